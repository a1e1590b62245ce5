using System.Security.Cryptography;
using Snapshot.Images;
using Snapshot.State;

namespace Tests.Images;

public sealed class BaseFileHasherTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("base-").FullName;

    private string Root => Path.Combine(_folder, "root");

    public BaseFileHasherTests()
    {
        Directory.CreateDirectory(Path.Combine(Root, "lib"));
        File.WriteAllText(Path.Combine(Root, "lib/a"), "content of a");
        File.WriteAllText(Path.Combine(_folder, "outside"), "secret");
    }

    [Fact]
    public async Task Hash_File_IsItsSha256()
    {
        using BaseFileHasher hasher = new(Root);
        BaseTreeFile file = Assert.Single(await hasher.HashAsync([("/lib/a", 12)]));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("content of a"u8)), file.Sha256);
        await hasher.CheckAsync([file]);
    }

    [Fact]
    public async Task Check_ChangedOrMissing_NamesThem()
    {
        using BaseFileHasher hasher = new(Root, Path.Combine(_folder, "hashes"));
        BaseTreeFile[] files = await hasher.HashAsync([("/lib/a", 12)]);
        File.WriteAllText(Path.Combine(Root, "lib/a"), "content of b");
        InvalidImageException e = await Assert.ThrowsAsync<InvalidImageException>(() => hasher.CheckAsync(
            [.. files, new BaseTreeFile { Path = "/lib/none", Size = 1, Sha256 = files[0].Sha256 }]));
        Assert.Contains("/lib/a,", e.Message, StringComparison.Ordinal);
        Assert.Contains("/lib/none (missing)", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hash_SizeOtherThanTheGuestSaw_IsRefused()
    {
        using BaseFileHasher hasher = new(Root);
        await Assert.ThrowsAsync<InvalidImageException>(() => hasher.HashAsync([("/lib/a", 13)]));
        await Assert.ThrowsAsync<InvalidImageException>(() => hasher.HashAsync([("/lib/zzz", 13)]));
    }

    [Theory]
    [InlineData("/../outside")]
    [InlineData("/lib/../../outside")]
    [InlineData("/link")]
    [InlineData("/absolute")]
    [InlineData("/lib")]
    [InlineData("/pipe")]
    public async Task Hash_OutsideTheTreeOrNoFile_IsMissing(string path)
    {
        File.CreateSymbolicLink(Path.Combine(Root, "link"), "../outside");
        File.CreateSymbolicLink(Path.Combine(Root, "absolute"), Path.Combine(_folder, "outside"));
        using (var fifo = System.Diagnostics.Process.Start("mkfifo", [Path.Combine(Root, "pipe")]))
            fifo.WaitForExit();
        using BaseFileHasher hasher = new(Root);
        await Assert.ThrowsAsync<InvalidImageException>(() => hasher.HashAsync([(path, 6)]));
    }

    [Fact]
    public async Task Hash_AbsoluteLink_IsFollowedInsideTheTree()
    {
        File.CreateSymbolicLink(Path.Combine(Root, "usr"), "/lib");
        using BaseFileHasher hasher = new(Root);
        Assert.Single(await hasher.HashAsync([("/usr/a", 12)]));
    }

    [Fact]
    public async Task Hash_RememberedFile_IsNotReadAgain()
    {
        string cache = Path.Combine(_folder, "hashes");

        // Only what has not changed for a while is remembered.
        await Task.Delay(2200);
        using (BaseFileHasher first = new(Root, cache))
            await first.HashAsync([("/lib/a", 12)]);
        string text = File.ReadAllText(cache);
        string forged = new('0', 64);
        File.WriteAllText(cache, text.Replace(Convert.ToHexStringLower(SHA256.HashData("content of a"u8)), forged, StringComparison.Ordinal));
        using BaseFileHasher second = new(Root, cache);
        Assert.Equal(forged, Assert.Single(await second.HashAsync([("/lib/a", 12)])).Sha256);
        File.WriteAllText(Path.Combine(Root, "lib/a"), "content of a");
        Assert.NotEqual(forged, Assert.Single(await second.HashAsync([("/lib/a", 12)])).Sha256);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
