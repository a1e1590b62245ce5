using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace Tests.Images;

/// <summary>Copies between stores: the same image, checked, without what the other store holds already.</summary>
public sealed class ImageCopyTests
{
    [Fact]
    public async Task Copy_IsTheSameImage()
    {
        using ImageFiles files = new();
        files.Make(seed: 1);
        await files.WriteAsync("one");
        LocalStore other = Other(files);
        ImageReader source = await ImageReader.OpenAsync(files.Store, "one");
        WrittenImage copied = await ImageCopier.CopyAsync(source, other, "two");
        ImageReader copy = await ImageReader.OpenAsync(other, "two");
        Assert.Equal((source.Info.Id, source.Info.HostName, "two"), (copy.Info.Id, copy.Info.HostName, copy.Info.Name));
        Assert.Equal(copied.ManifestId, copy.ManifestId);
        string state = Path.Combine(files.Folder, "state2"), memory = Path.Combine(files.Folder, "memory2");
        await copy.MaterializeAsync(state, memory);
        ImageFiles.AssertSame(files.StateFile, state);
        ImageFiles.AssertSame(files.MemoryFile, memory);
    }

    [Fact]
    public async Task Copy_DoesNotBringWhatIsThere()
    {
        using ImageFiles files = new();
        files.Make(seed: 2);
        WrittenImage written = await files.WriteAsync("one");
        LocalStore other = Other(files);
        ImageReader source = await ImageReader.OpenAsync(files.Store, "one");
        await ImageCopier.CopyAsync(source, other, "one");
        Transfer reading = new();
        WrittenImage again = await ImageCopier.CopyAsync(source, other, "again", reading: reading);
        Assert.Equal(0, reading.Moved);
        Assert.Equal(written.Chunks, again.ReusedChunks);
        await SnapshotCatalog.DeleteAsync(other, "one");
        await SnapshotCatalog.CollectGarbageAsync(other, TimeSpan.Zero);
        await SnapshotCatalog.VerifyAsync(other, "again"); // what both share stays
        await SnapshotCatalog.DeleteAsync(other, "again");
        await SnapshotCatalog.CollectGarbageAsync(other, TimeSpan.Zero);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(files.Folder, "other"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Copy_NameTaken_IsRefusedAndReplacedWhenAsked()
    {
        using ImageFiles files = new();
        files.Make(seed: 3);
        await files.WriteAsync("one");
        LocalStore other = Other(files);
        ImageReader source = await ImageReader.OpenAsync(files.Store, "one");
        await ImageCopier.CopyAsync(source, other, "one");
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => ImageCopier.CopyAsync(source, other, "one"));
        Assert.Equal(StoreError.Exists, e.Error);
        await ImageCopier.CopyAsync(source, other, "one", new ImageWriterOptions { Replace = true });
        await SnapshotCatalog.VerifyAsync(other, "one");
    }

    [Fact]
    public async Task Copy_OfADamagedImage_IsRefused()
    {
        using ImageFiles files = new();
        files.Make(seed: 4);
        await files.WriteAsync("one");
        string pack = files.StoreObjects().First(f => f.Contains("/packs/", StringComparison.Ordinal));
        byte[] bytes = File.ReadAllBytes(pack);
        bytes[bytes.Length / 2] ^= 4;
        File.SetUnixFileMode(pack, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.WriteAllBytes(pack, bytes);
        LocalStore other = Other(files);
        ImageReader source = await ImageReader.OpenAsync(files.Store, "one");
        await Assert.ThrowsAsync<InvalidImageException>(() => ImageCopier.CopyAsync(source, other, "one"));
        Assert.Empty(await SnapshotCatalog.ListAsync(other));
    }

    private static LocalStore Other(ImageFiles files) => new(Path.Combine(files.Folder, "other"));
}
