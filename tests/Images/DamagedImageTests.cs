using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace Tests.Images;

/// <summary>A thousand ways to damage a store: each is refused in one line, or harms nothing.</summary>
public sealed class DamagedImageTests
{
    private const int Cases = 1000;

    [Fact]
    public async Task Get_OneByteFlippedOrObjectCut_IsRefusedOrExact()
    {
        using ImageFiles files = new();

        // Small, so that a thousand restores take seconds; two snapshots, so that packs are shared and indexes matter.
        files.Make(seed: 10, stateLength: 9_000, regions: 4, regionLength: 60_000);
        await files.WriteAsync("older");
        File.AppendAllText(files.StateFile, "something new");
        await files.WriteAsync("newer");
        byte[] state = File.ReadAllBytes(files.StateFile);
        byte[] memory = File.ReadAllBytes(files.MemoryFile);
        string[] objects = files.StoreObjects();
        Random random = new(20261122);
        int refused = 0;
        int harmless = 0;
        for (int i = 0; i < Cases; i++)
        {
            string path = objects[random.Next(objects.Length)];
            byte[] whole = File.ReadAllBytes(path);
            File.WriteAllBytes(path, Damage(whole, random));
            string cacheFolder = Path.Combine(files.Folder, $"cache-{i}");
            try
            {
                using CachedImage image = await new ImageCache(cacheFolder).GetAsync(await ImageReader.OpenAsync(files.Store, "newer"));
                Assert.True(state.AsSpan().SequenceEqual(File.ReadAllBytes(image.StateFile)));
                Assert.True(memory.AsSpan().SequenceEqual(File.ReadAllBytes(image.MemoryFile)));
                harmless++;

                // What this snapshot does not need the other one does, but for the indexes, which only aid writers.
                if (!path.Contains("/indexes/", StringComparison.Ordinal))
                    await Assert.ThrowsAsync<InvalidImageException>(() => SnapshotCatalog.VerifyAsync(files.Store, "older"));
            }
            catch (Exception e) when (e is InvalidImageException or StoreException)
            {
                refused++;
                Assert.DoesNotContain('\n', e.Message);
                Assert.InRange(e.Message.Length, 20, 300);
                Assert.True(!Directory.Exists(cacheFolder) || Directory.GetDirectories(cacheFolder).Length == 0, "something half-restored was left");
            }
            finally
            {
                File.WriteAllBytes(path, whole);
                if (Directory.Exists(cacheFolder))
                    Directory.Delete(cacheFolder, recursive: true);
            }
        }

        Assert.True(refused > Cases / 3, $"only {refused} refused, {harmless} harmless");
        await SnapshotCatalog.VerifyAsync(files.Store, "newer");
        await SnapshotCatalog.VerifyAsync(files.Store, "older");
    }

    [Fact]
    public async Task Write_DamagedIndexes_ArePassedOver()
    {
        using ImageFiles files = new();
        files.Make(seed: 11, regionLength: 60_000);
        await files.WriteAsync("first");
        Random random = new(1);
        foreach (string index in Directory.GetFiles(Path.Combine(files.StoreFolder, "indexes")))
            File.WriteAllBytes(index, Damage(File.ReadAllBytes(index), random));
        WrittenImage second = await files.WriteAsync("second");
        Assert.True(second.StoredBytes > 50_000);
        await SnapshotCatalog.VerifyAsync(files.Store, "second");
    }

    [Fact]
    public async Task Open_RefMovedToAnotherName_IsRefused()
    {
        using ImageFiles files = new();
        files.Make(seed: 12);
        await files.WriteAsync("one");
        File.Copy(Path.Combine(files.StoreFolder, "snapshots/one"), Path.Combine(files.StoreFolder, "snapshots/two"));
        await Assert.ThrowsAsync<InvalidImageException>(() => ImageReader.OpenAsync(files.Store, "two"));
    }

    [Fact]
    public async Task Open_ObjectsMissing_IsRefused()
    {
        using ImageFiles files = new();
        files.Make(seed: 13);
        await files.WriteAsync("one");
        foreach (string path in files.StoreObjects().Where(p => p.Contains("/packs/", StringComparison.Ordinal)))
            File.Delete(path);
        await Assert.ThrowsAsync<InvalidImageException>(() => SnapshotCatalog.VerifyAsync(files.Store, "one"));
        Directory.Delete(Path.Combine(files.StoreFolder, "manifests"), recursive: true);
        await Assert.ThrowsAsync<InvalidImageException>(() => ImageReader.OpenAsync(files.Store, "one"));
    }

    private static byte[] Damage(byte[] whole, Random random)
    {
        if (random.Next(4) == 0)
            return whole[..random.Next(whole.Length)];
        byte[] altered = [.. whole];
        altered[random.Next(altered.Length)] ^= (byte)(1 << random.Next(8));
        return altered;
    }
}
