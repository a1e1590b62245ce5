using System.Diagnostics;
using Storage;

namespace Tests.Storage;

public sealed class LocalStoreTests : ObjectStoreTests, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("store-").FullName;

    [Fact]
    public async Task Put_Object_IsPrivateToTheUser()
    {
        await using LocalStore store = new(Path.Combine(_folder, "s"));
        await store.PutIfAbsentAsync("a/b", "x"u8.ToArray());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, "s/a/b")));
        UnixFileMode folder = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Assert.Equal(folder, File.GetUnixFileMode(Path.Combine(_folder, "s/a")));
        Assert.Equal(folder, File.GetUnixFileMode(Path.Combine(_folder, "s")));
    }

    [Fact]
    public async Task Put_StoreRemovedWhileOpen_MakesItAgain()
    {
        string folder = Path.Combine(_folder, "s");
        await using LocalStore store = new(folder);
        await store.PutIfAbsentAsync("a/b", "x"u8.ToArray());
        Directory.Delete(folder, recursive: true);
        Assert.True(await store.PutIfAbsentAsync("a/b", "y"u8.ToArray()));
        Assert.Equal("y"u8.ToArray(), await store.GetWholeAsync("a/b", 10));
    }

    [Fact]
    public async Task Open_LeftoversOfDeadWriters_AreRemoved()
    {
        string incoming = Path.Combine(_folder, ".incoming");
        await using (LocalStore first = new(_folder))
            await first.PutIfAbsentAsync("kept", "x"u8.ToArray());
        string dead = Path.Combine(incoming, "dead");
        string young = Path.Combine(incoming, "young");
        string alive = Path.Combine(incoming, "alive");
        foreach (string file in (string[])[dead, young, alive])
            File.WriteAllText(file, "half");
        File.SetLastWriteTimeUtc(dead, DateTime.UtcNow.AddHours(-1));
        using FileStream held = new(alive, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        File.SetLastWriteTimeUtc(alive, DateTime.UtcNow.AddHours(-1));
        await using LocalStore second = new(_folder);
        Assert.Equal(["alive", "young"], Directory.GetFiles(incoming).Select(Path.GetFileName).Order());
        Assert.Equal(["kept"], await KeysAsync(second, ""));
    }

    [RootFact]
    public async Task Put_DiskFull_SaysSoAndLeavesNothing()
    {
        string mount = Path.Combine(_folder, "small");
        Directory.CreateDirectory(mount);
        Run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount);
        try
        {
            await using LocalStore store = new(Path.Combine(mount, "s"));
            Assert.True(await store.PutIfAbsentAsync("fits", Bytes(300_000, 1)));
            StoreException e = await Assert.ThrowsAsync<StoreException>(() => store.PutIfAbsentAsync("too/big", Bytes(2_000_000, 2)));
            Assert.Equal(StoreError.NoSpace, e.Error);
            Assert.Equal(["fits"], await KeysAsync(store, ""));
            Assert.Empty(Directory.GetFiles(Path.Combine(mount, "s/.incoming")));
            Assert.True(await store.PutIfAbsentAsync("fits/not".Replace('/', '-'), Bytes(300_000, 1)));
        }
        finally
        {
            Run("umount", mount);
        }
    }

    [Fact]
    public async Task Put_ProcessesRacing_OneWins()
    {
        // Several stores over one folder stand for several processes: nothing is shared but the folder.
        LocalStore[] stores = [.. Enumerable.Range(0, 4).Select(_ => new LocalStore(_folder))];
        for (int round = 0; round < 200; round++)
        {
            bool[] won = await Task.WhenAll(stores.Select(s => Task.Run(() => s.PutIfAbsentAsync($"race-{round}", "x"u8.ToArray()))));
            Assert.Equal(1, won.Count(w => w));
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    protected override IObjectStore Create() => new LocalStore(Path.Combine(_folder, "new"));

    protected override Task<IObjectStore?> CreateWithWrongCredentialsAsync() => Task.FromResult<IObjectStore?>(null);

    protected override IObjectStore? CreateUnreachable() => null;

    protected override IObjectStore? CreateMissing() => null;

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}

/// <summary>A fact that needs root, to mount something.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute()
    {
        if (Environment.UserName != "root")
            Skip = "needs root to mount a small file system";
    }
}
