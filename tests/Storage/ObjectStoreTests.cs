using Storage;

namespace Tests.Storage;

/// <summary>What every adapter must do alike: the meaning of <see cref="IObjectStore"/>.</summary>
public abstract class ObjectStoreTests
{
    /// <summary>A new, empty store.</summary>
    protected abstract IObjectStore Create();

    /// <summary>A store over the same server with credentials it does not know, or null where there are none.</summary>
    protected abstract Task<IObjectStore?> CreateWithWrongCredentialsAsync();

    /// <summary>A store whose server does not listen, or null where there is no server.</summary>
    protected abstract IObjectStore? CreateUnreachable();

    /// <summary>A bucket or container that does not exist, or null where it is made on opening.</summary>
    protected abstract IObjectStore? CreateMissing();

    [ServerFact]
    public async Task Replace_TakesThePlaceOfWhatIsThere()
    {
        await using IObjectStore store = Create();
        await store.ReplaceAsync("a/key", "old"u8.ToArray());
        Assert.False(await store.PutIfAbsentAsync("a/key", "other"u8.ToArray()));
        await store.ReplaceAsync("a/key", "newer"u8.ToArray());
        Assert.Equal("newer"u8.ToArray(), await store.GetWholeAsync("a/key", 10));
        Assert.Equal(["a/key"], await KeysAsync(store, ""));
    }

    [ServerFact]
    public async Task Put_NewKey_CanBeReadBack()
    {
        await using IObjectStore store = Create();
        byte[] content = Bytes(100_000, 1);
        Assert.True(await store.PutIfAbsentAsync("a/b/c", content));
        Assert.Equal(content.Length, await store.GetLengthAsync("a/b/c"));
        Assert.Equal(content, await store.GetWholeAsync("a/b/c", 1 << 20));
    }

    [ServerFact]
    public async Task Put_KeyTaken_ChangesNothing()
    {
        await using IObjectStore store = Create();
        Assert.True(await store.PutIfAbsentAsync("key", "first"u8.ToArray()));
        Assert.False(await store.PutIfAbsentAsync("key", "second"u8.ToArray()));
        Assert.Equal("first"u8.ToArray(), await store.GetWholeAsync("key", 100));
    }

    [ServerFact]
    public async Task Put_SixteenRacing_OneWins()
    {
        await using IObjectStore store = Create();
        for (int round = 0; round < 5; round++)
        {
            string key = $"race/{round}";
            byte[][] contents = [.. Enumerable.Range(0, 16).Select(i => Bytes(10_000 + i, i))];
            bool[] won = await Task.WhenAll(contents.Select(c => Task.Run(() => store.PutIfAbsentAsync(key, c))));
            Assert.Equal(1, won.Count(w => w));
            Assert.Equal(contents[Array.IndexOf(won, true)], await store.GetWholeAsync(key, 100_000));
        }
    }

    [ServerFact]
    public async Task Put_Empty_HasLengthZero()
    {
        await using IObjectStore store = Create();
        Assert.True(await store.PutIfAbsentAsync("empty", ReadOnlyMemory<byte>.Empty));
        Assert.Equal(0, await store.GetLengthAsync("empty"));
        Assert.Equal(0, await store.GetAsync("empty", 0, new byte[10]));
    }

    [ServerFact]
    public async Task Put_64MiB_CanBeReadInParts()
    {
        await using IObjectStore store = Create();
        byte[] content = Bytes(64 << 20, 3);
        Assert.True(await store.PutIfAbsentAsync("big", content));
        Assert.False(await store.PutIfAbsentAsync("big", content));
        byte[] part = new byte[5 << 20];
        foreach (long offset in (long[])[0, 12_345_678, content.Length - part.Length])
        {
            Assert.Equal(part.Length, await store.GetAsync("big", offset, part));
            Assert.True(content.AsSpan((int)offset, part.Length).SequenceEqual(part));
        }
    }

    [ServerTheory]
    [InlineData(0, 10, 10)]
    [InlineData(5, 10, 10)]
    [InlineData(95, 10, 5)]
    [InlineData(100, 10, 0)]
    [InlineData(5000, 10, 0)]
    [InlineData(50, 0, 0)]
    public async Task Get_Range_StopsAtTheEnd(long offset, int asked, int expected)
    {
        await using IObjectStore store = Create();
        byte[] content = Bytes(100, 4);
        await store.PutIfAbsentAsync("hundred", content);
        byte[] buffer = new byte[asked];
        Assert.Equal(expected, await store.GetAsync("hundred", offset, buffer));
        if (expected > 0)
            Assert.Equal(content.AsSpan((int)offset, expected).ToArray(), buffer[..expected]);
    }

    [ServerFact]
    public async Task Get_NoSuchKey_SaysNotFound()
    {
        await using IObjectStore store = Create();
        Assert.Null(await store.GetLengthAsync("nothing/here"));
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => store.GetAsync("nothing/here", 0, new byte[1]));
        AssertHelpful(e, StoreError.NotFound);
    }

    [ServerFact]
    public async Task Delete_Key_IsGone()
    {
        await using IObjectStore store = Create();
        await store.PutIfAbsentAsync("x/y", "1"u8.ToArray());
        await store.DeleteAsync("x/y");
        Assert.Null(await store.GetLengthAsync("x/y"));
        await store.DeleteAsync("x/y");
        await store.DeleteAsync("never/was");
        Assert.True(await store.PutIfAbsentAsync("x/y", "2"u8.ToArray()));
    }

    [ServerFact]
    public async Task List_Prefix_GivesThoseInOrder()
    {
        await using IObjectStore store = Create();
        string[] keys = ["b/2", "a/1", "b/1", "ba/x", "b/11", "c"];
        foreach (string key in keys)
            await store.PutIfAbsentAsync(key, Bytes(key.Length, 1));
        Assert.Equal(["b/1", "b/11", "b/2"], await KeysAsync(store, "b/"));
        Assert.Equal(["b/1", "b/11"], await KeysAsync(store, "b/1"));
        Assert.Equal(["b/1", "b/11", "b/2", "ba/x"], await KeysAsync(store, "b"));
        Assert.Equal(["a/1", "b/1", "b/11", "b/2", "ba/x", "c"], await KeysAsync(store, ""));
        Assert.Empty(await KeysAsync(store, "nobody/"));
        await foreach (StoredObject item in store.ListAsync("c"))
        {
            Assert.Equal(1, item.Length);
            Assert.InRange(item.Modified, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(5));
        }
    }

    [ServerFact]
    public async Task List_MoreThanAPage_GivesAll()
    {
        await using IObjectStore store = Create();
        string[] keys = [.. Enumerable.Range(0, 1100).Select(i => $"many/{i:d5}")];
        await Parallel.ForEachAsync(keys, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (key, token) => await store.PutIfAbsentAsync(key, "x"u8.ToArray(), token));
        Assert.Equal(keys, await KeysAsync(store, "many/"));
    }

    [ServerTheory]
    [InlineData("space in it")]
    [InlineData("plus+and&and=and?and#and%41")]
    [InlineData("ünï/cödé/键")]
    [InlineData("quote'\"<>|*:;,@!$()[]{}^`~")]
    public async Task Key_OddCharacters_AreKept(string key)
    {
        await using IObjectStore store = Create();
        Assert.True(await store.PutIfAbsentAsync(key, "odd"u8.ToArray()));
        Assert.False(await store.PutIfAbsentAsync(key, "odder"u8.ToArray()));
        Assert.Equal("odd"u8.ToArray(), await store.GetWholeAsync(key, 10));
        Assert.Equal([key], await KeysAsync(store, ""));
        await store.DeleteAsync(key);
        Assert.Empty(await KeysAsync(store, ""));
    }

    [ServerTheory]
    [InlineData("")]
    [InlineData("/a")]
    [InlineData("a//b")]
    [InlineData("../a")]
    [InlineData("a/../../b")]
    [InlineData("a/.")]
    [InlineData("a\0b")]
    public async Task Key_Invalid_IsRefused(string key)
    {
        await using IObjectStore store = Create();
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => store.PutIfAbsentAsync(key, "x"u8.ToArray()));
        AssertHelpful(e, StoreError.Invalid);
        await Assert.ThrowsAsync<StoreException>(() => store.GetAsync(key, 0, new byte[1]));
    }

    [ServerFact]
    public async Task Put_Cancelled_Throws()
    {
        await using IObjectStore store = Create();
        using CancellationTokenSource cancelled = new();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.PutIfAbsentAsync("cancelled", Bytes(1000, 1), cancelled.Token));
        Assert.Null(await store.GetLengthAsync("cancelled"));
    }

    [ServerFact]
    public async Task Credentials_Wrong_AreSaidToBe()
    {
        IObjectStore? wrong = await CreateWithWrongCredentialsAsync();
        if (wrong is null)
            return;
        await using IObjectStore store = wrong;
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => store.PutIfAbsentAsync("key", "x"u8.ToArray())), StoreError.AccessDenied);
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => store.GetAsync("key", 0, new byte[1])), StoreError.AccessDenied);
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => KeysAsync(store, "")), StoreError.AccessDenied);
    }

    [ServerFact]
    public async Task Server_NotThere_IsSaidToBe()
    {
        IObjectStore? unreachable = CreateUnreachable();
        if (unreachable is null)
            return;
        await using IObjectStore store = unreachable;
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => store.PutIfAbsentAsync("key", "x"u8.ToArray())), StoreError.Unreachable);
    }

    [ServerFact]
    public async Task Container_NotThere_IsSaidToBe()
    {
        IObjectStore? missing = CreateMissing();
        if (missing is null)
            return;
        await using IObjectStore store = missing;
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => store.PutIfAbsentAsync("key", "x"u8.ToArray())), StoreError.NotFound);
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => store.GetLengthAsync("key")), StoreError.NotFound);
        AssertHelpful(await Assert.ThrowsAsync<StoreException>(() => KeysAsync(store, "")), StoreError.NotFound);
    }

    protected static async Task<List<string>> KeysAsync(IObjectStore store, string prefix)
    {
        List<string> keys = [];
        await foreach (StoredObject item in store.ListAsync(prefix))
            keys.Add(item.Key);
        return keys;
    }

    protected static byte[] Bytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static void AssertHelpful(StoreException e, StoreError error)
    {
        Assert.True(e.Error == error, $"expected {error}, got {e.Error}: {e}");
        Assert.DoesNotContain('\n', e.Message);
        Assert.InRange(e.Message.Length, 20, 400);
        Assert.DoesNotContain("testsecret", e.Message, StringComparison.OrdinalIgnoreCase);
    }
}
