using Snapshot.Images;
using Snapshot.State;

namespace Tests.Images;

public sealed class ImageCacheTests : IDisposable
{
    private readonly ImageFiles _files = new();

    private string CacheFolder => Path.Combine(_files.Folder, "cache");

    [Fact]
    public async Task Get_NotCached_MaterializesOnce()
    {
        _files.Make(seed: 1);
        await _files.WriteAsync("a");
        ImageCache cache = new(CacheFolder);
        ImageReader reader = await ImageReader.OpenAsync(_files.Store, "a");
        Assert.Null(cache.TryOpen(reader.ManifestId));
        using (CachedImage image = await cache.GetAsync(reader))
        {
            ImageFiles.AssertSame(_files.StateFile, image.StateFile);
            ImageFiles.AssertSame(_files.MemoryFile, image.MemoryFile);
            Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(image.MemoryFile));
        }

        // The store is gone: only the cache can answer.
        Directory.Delete(Path.Combine(_files.StoreFolder, "packs"), recursive: true);
        using CachedImage again = await new ImageCache(CacheFolder).GetAsync(reader);
        ImageFiles.AssertSame(_files.MemoryFile, again.MemoryFile);
    }

    [Fact]
    public async Task Get_ManyAtOnce_ShareOneEntry()
    {
        _files.Make(seed: 2);
        await _files.WriteAsync("a");
        ImageReader reader = await ImageReader.OpenAsync(_files.Store, "a");
        ImageCache[] caches = [new(CacheFolder), new(CacheFolder)];
        CachedImage[] images = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => caches[i % 2].GetAsync(reader)));
        Assert.Single(images.Select(i => i.MemoryFile).Distinct());
        foreach (CachedImage image in images)
            image.Dispose();
        Assert.Equal([reader.ManifestId], Directory.GetDirectories(CacheFolder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Get_DamagedStore_LeavesNothing()
    {
        _files.Make(seed: 3);
        await _files.WriteAsync("a");
        ImageReader reader = await ImageReader.OpenAsync(_files.Store, "a");
        string pack = Directory.GetFiles(Path.Combine(_files.StoreFolder, "packs"))[0];
        byte[] bytes = File.ReadAllBytes(pack);
        bytes[^100] ^= 1;
        File.WriteAllBytes(pack, bytes);
        await Assert.ThrowsAsync<InvalidImageException>(() => new ImageCache(CacheFolder).GetAsync(reader));
        Assert.Empty(Directory.GetDirectories(CacheFolder));
    }

    [Fact]
    public async Task Seed_CheckpointFiles_AreTheEntryWithoutCopying()
    {
        _files.Make(seed: 4);
        WrittenImage written = await _files.WriteAsync("a");
        ImageCache cache = new(CacheFolder);
        using ScratchFolder scratch = cache.CreateScratchFolder();
        string state = Path.Combine(scratch.Path, "kernel");
        string memory = Path.Combine(scratch.Path, "pages");
        File.Copy(_files.StateFile, state);
        File.Copy(_files.MemoryFile, memory);
        using FileStream same = File.OpenRead(memory);
        using (CachedImage image = cache.Seed(written.ManifestId, state, memory, written.MemoryBytes))
            ImageFiles.AssertSame(_files.MemoryFile, image.MemoryFile);
        Assert.False(File.Exists(memory));
        using CachedImage opened = cache.TryOpen(written.ManifestId)!;
        ImageFiles.AssertSame(_files.StateFile, opened.StateFile);
    }

    [Fact]
    public void TryOpen_EntryOfAnEarlierBoot_IsNotBelieved()
    {
        string id = new('a', 64);
        ImageCache cache = new(CacheFolder);
        Seed(cache, id, 1000);
        string marker = Path.Combine(CacheFolder, id, "complete");
        string[] fields = File.ReadAllText(marker).Split(' ');
        fields[1] = Guid.NewGuid().ToString();
        File.WriteAllText(marker, string.Join(' ', fields));
        Assert.Null(cache.TryOpen(id));
        Seed(cache, id, 1000);
        using CachedImage? image = cache.TryOpen(id);
        Assert.NotNull(image);
    }

    [Fact]
    public void TryOpen_FileCutShort_IsNotBelieved()
    {
        string id = new('b', 64);
        ImageCache cache = new(CacheFolder);
        Seed(cache, id, 1000);
        string memory = Path.Combine(CacheFolder, id, "memory");
        File.SetUnixFileMode(memory, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.WriteAllBytes(memory, new byte[999]);
        Assert.Null(cache.TryOpen(id));
    }

    [Fact]
    public void Seed_BeyondTheBound_EvictsTheLeastRecentlyUsedThatIsNotInUse()
    {
        ImageCache cache = new(CacheFolder, maxBytes: 3500);
        string[] ids = [.. "0123".Select(c => new string(c, 64))];
        using CachedImage used = Seed(cache, ids[0], 1000, keep: true)!;
        Seed(cache, ids[1], 1000);
        Seed(cache, ids[2], 1000);
        File.SetLastWriteTimeUtc(Path.Combine(CacheFolder, ids[1], "lock"), DateTime.UtcNow.AddHours(-1));
        Seed(cache, ids[3], 1000);
        Assert.Equal([ids[0], ids[2], ids[3]], Directory.GetDirectories(CacheFolder).Select(Path.GetFileName).Order());
        Assert.False(cache.Remove(ids[0]));
        Assert.True(cache.Remove(ids[2]));
        Assert.Equal(1000, new FileInfo(used.MemoryFile).Length);
    }

    [Fact]
    public void Open_LeftoversOfDeadProcesses_AreRemoved()
    {
        ImageCache cache = new(CacheFolder);
        using ScratchFolder alive = cache.CreateScratchFolder();
        string dead = Directory.CreateDirectory(Path.Combine(CacheFolder, ".new-dead")).FullName;
        string gone = Directory.CreateDirectory(Path.Combine(CacheFolder, ".gone-x")).FullName;
        foreach (string folder in (string[])[dead, gone, alive.Path])
        {
            File.WriteAllText(Path.Combine(folder, "memory"), "half");
            Directory.SetLastWriteTimeUtc(folder, DateTime.UtcNow.AddHours(-1));
        }

        _ = new ImageCache(CacheFolder);
        Assert.Equal([alive.Path], Directory.GetDirectories(CacheFolder, ".*"));
    }

    public void Dispose() => _files.Dispose();

    private CachedImage? Seed(ImageCache cache, string id, int length, bool keep = false)
    {
        using ScratchFolder scratch = cache.CreateScratchFolder();
        string state = Path.Combine(scratch.Path, "s");
        string memory = Path.Combine(scratch.Path, "m");
        File.WriteAllBytes(state, []);
        File.WriteAllBytes(memory, new byte[length]);
        CachedImage image = cache.Seed(id, state, memory, dataBytes: length);
        if (keep)
            return image;
        image.Dispose();
        return null;
    }
}
