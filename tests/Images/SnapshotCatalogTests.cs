using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace Tests.Images;

public sealed class SnapshotCatalogTests : IDisposable
{
    private readonly ImageFiles _files = new();

    [Fact]
    public async Task List_AlsoDamagedOnes_SaysWhatIsWrong()
    {
        _files.Make(seed: 1);
        await _files.WriteAsync("good");
        await _files.WriteAsync("bad");
        string bad = Path.Combine(_files.StoreFolder, "snapshots/bad");
        File.WriteAllText(bad, File.ReadAllText(bad)[..50]);
        List<SnapshotEntry> entries = await SnapshotCatalog.ListAsync(_files.Store);
        Assert.Equal(["bad", "good"], entries.Select(e => e.Name));
        Assert.NotNull(entries[0].Problem);
        Assert.Null(entries[1].Problem);
        Assert.True(entries[1].Size > 1_000_000);
    }

    [Fact]
    public async Task Delete_Unknown_SaysNotFound() =>
        Assert.Equal(StoreError.NotFound, (await Assert.ThrowsAsync<StoreException>(() => SnapshotCatalog.DeleteAsync(_files.Store, "x"))).Error);

    [Fact]
    public async Task CollectGarbage_SharedChunks_AreKeptUntilTheLastSnapshotGoes()
    {
        _files.Make(seed: 2);
        await _files.WriteAsync("first");
        await _files.WriteAsync("second");
        await SnapshotCatalog.DeleteAsync(_files.Store, "first");
        await SnapshotCatalog.CollectGarbageAsync(_files.Store, TimeSpan.Zero);
        await SnapshotCatalog.VerifyAsync(_files.Store, "second");
        await SnapshotCatalog.DeleteAsync(_files.Store, "second");
        Assert.True(await SnapshotCatalog.CollectGarbageAsync(_files.Store, TimeSpan.Zero) > 500_000);
        Assert.Empty(_files.StoreObjects());
    }

    [Fact]
    public async Task CollectGarbage_WithGrace_CondemnsThenDeletes()
    {
        _files.Make(seed: 3);
        await _files.WriteAsync("a");
        await SnapshotCatalog.DeleteAsync(_files.Store, "a");
        TimeSpan grace = TimeSpan.FromMinutes(10);
        Assert.Equal(0, await SnapshotCatalog.CollectGarbageAsync(_files.Store, grace));
        Assert.DoesNotContain(_files.StoreObjects(), IsMark);
        Age(_files.StoreObjects());
        Assert.Equal(0, await SnapshotCatalog.CollectGarbageAsync(_files.Store, grace));
        Assert.Equal(3, _files.StoreObjects().Count(IsMark));
        Assert.Equal(0, await SnapshotCatalog.CollectGarbageAsync(_files.Store, grace));
        Age(_files.StoreObjects());
        Assert.True(await SnapshotCatalog.CollectGarbageAsync(_files.Store, grace) > 0);
        Assert.Empty(_files.StoreObjects());
    }

    [Fact]
    public async Task CollectGarbage_CondemnedPack_IsNoLongerCountedOn()
    {
        _files.Make(seed: 4);
        await _files.WriteAsync("a");
        await SnapshotCatalog.DeleteAsync(_files.Store, "a");
        Age(_files.StoreObjects());
        await SnapshotCatalog.CollectGarbageAsync(_files.Store, TimeSpan.FromMinutes(10));
        WrittenImage b = await _files.WriteAsync("b");
        Assert.Equal(0, b.ReusedChunks);
        Age(_files.StoreObjects());
        await SnapshotCatalog.CollectGarbageAsync(_files.Store, TimeSpan.FromMinutes(10));
        await SnapshotCatalog.VerifyAsync(_files.Store, "b");
    }

    [Fact]
    public async Task CollectGarbage_UnreadableSnapshot_DeletesNothing()
    {
        _files.Make(seed: 5);
        await _files.WriteAsync("a");
        await _files.WriteAsync("b");
        await SnapshotCatalog.DeleteAsync(_files.Store, "b");
        string reference = Path.Combine(_files.StoreFolder, "snapshots/a");
        File.WriteAllText(reference, "junk");
        int before = _files.StoreObjects().Length;
        await Assert.ThrowsAsync<InvalidImageException>(() => SnapshotCatalog.CollectGarbageAsync(_files.Store, TimeSpan.Zero));
        Assert.Equal(before, _files.StoreObjects().Length);
    }

    public void Dispose() => _files.Dispose();

    private static bool IsMark(string path) => path.Contains("/condemned/", StringComparison.Ordinal);

    private static void Age(IEnumerable<string> files)
    {
        foreach (string file in files)
            File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddHours(-1));
    }
}
