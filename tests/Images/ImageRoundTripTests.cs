using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace Tests.Images;

public sealed class ImageRoundTripTests
{
    [Fact]
    public async Task Materialize_WhatWasWritten_IsTheSame()
    {
        using ImageFiles files = new();
        files.Make(seed: 1);
        WrittenImage written = await files.WriteAsync("one");
        ImageReader reader = await ImageReader.OpenAsync(files.Store, "one");
        Assert.Equal(written.ManifestId, reader.ManifestId);
        Assert.Equal("guest", reader.Info.HostName);
        string state = Path.Combine(files.Folder, "s");
        string memory = Path.Combine(files.Folder, "m");
        await reader.MaterializeAsync(state, memory);
        ImageFiles.AssertSame(files.StateFile, state);
        ImageFiles.AssertSame(files.MemoryFile, memory);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(4095, 4097)]
    [InlineData(262144, 262145)]
    public async Task Materialize_OddLengths_AreTheSame(int stateLength, int memoryLength)
    {
        using ImageFiles files = new();
        byte[] state = new byte[stateLength];
        byte[] memory = new byte[memoryLength];
        new Random(5).NextBytes(memory);
        File.WriteAllBytes(files.StateFile, state);
        File.WriteAllBytes(files.MemoryFile, memory);
        files.Ranges.AddRange([0, memoryLength]);
        await files.WriteAsync("odd");
        ImageReader reader = await ImageReader.OpenAsync(files.Store, "odd");
        await reader.MaterializeAsync(files.StateFile + "2", files.MemoryFile + "2");
        ImageFiles.AssertSame(files.StateFile, files.StateFile + "2");
        ImageFiles.AssertSame(files.MemoryFile, files.MemoryFile + "2");
    }

    [Fact]
    public async Task Write_SameContentAgain_StoresNoChunkTwice()
    {
        using ImageFiles files = new();
        files.Make(seed: 2);
        WrittenImage first = await files.WriteAsync("first");
        WrittenImage second = await files.WriteAsync("second");
        Assert.True(first.StoredBytes > 500_000);
        Assert.Equal(second.Chunks, second.ReusedChunks);
        Assert.True(second.StoredBytes < 20_000);
        await SnapshotCatalog.VerifyAsync(files.Store, "second");
    }

    [Fact]
    public async Task Write_NameTaken_SaysExistsAndLeavesNothing()
    {
        using ImageFiles files = new();
        files.Make(seed: 3);
        await files.WriteAsync("name");
        string[] before = files.StoreObjects();
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => files.WriteAsync("name"));
        Assert.Equal(StoreError.Exists, e.Error);
        Assert.Equal(before, files.StoreObjects());
    }

    [Fact]
    public async Task Write_NameTakenInTheMiddle_LeavesNothingOfTheLoser()
    {
        using ImageFiles files = new();
        files.Make(seed: 4);
        Task<WrittenImage>[] racing = [.. Enumerable.Range(0, 6).Select(_ => files.WriteAsync("race"))];
        await Task.WhenAll(racing).ContinueWith(_ => { }, TaskScheduler.Default);
        Assert.Equal(1, racing.Count(r => r.IsCompletedSuccessfully));
        Assert.All(racing.Where(r => r.IsFaulted), r => Assert.Equal(StoreError.Exists, Assert.IsType<StoreException>(r.Exception!.InnerException).Error));
        await SnapshotCatalog.VerifyAsync(files.Store, "race");
        long freed = await SnapshotCatalog.CollectGarbageAsync(files.Store, TimeSpan.Zero);
        Assert.Equal(0, freed);
    }

    [Fact]
    public async Task Write_Replace_TakesTheName()
    {
        using ImageFiles files = new();
        files.Make(seed: 5);
        await files.WriteAsync("name");
        files.Make(seed: 6);
        WrittenImage second = await files.WriteAsync("name", replace: true);
        Assert.Equal(second.ManifestId, (await ImageReader.OpenAsync(files.Store, "name")).ManifestId);
    }

    [Theory]
    [InlineData("")]
    [InlineData("../x")]
    [InlineData(".hidden")]
    [InlineData("a/b")]
    [InlineData("end.")]
    public async Task Write_BadName_IsRefused(string name)
    {
        using ImageFiles files = new();
        files.Make(seed: 1);
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => files.WriteAsync(name));
        Assert.Equal(StoreError.Invalid, e.Error);
    }

    [Theory]
    [InlineData(new long[] { 0 })]
    [InlineData(new long[] { 0, long.MaxValue })]
    [InlineData(new long[] { -4096, 4096 })]
    [InlineData(new long[] { 8192, 4096, 0, 4096 })]
    public async Task Write_ImpossibleDataRanges_AreRefused(long[] ranges)
    {
        using ImageFiles files = new();
        files.Make(seed: 1);
        files.Ranges.Clear();
        files.Ranges.AddRange(ranges);
        await Assert.ThrowsAsync<InvalidImageException>(() => files.WriteAsync("x"));
    }

    [Fact]
    public async Task Open_UnknownName_SaysNotFound()
    {
        using ImageFiles files = new();
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => ImageReader.OpenAsync(files.Store, "nobody"));
        Assert.Equal(StoreError.NotFound, e.Error);
    }

    [Fact]
    public async Task Write_ManyPacks_RoundTrips()
    {
        using ImageFiles files = new();
        files.Make(seed: 7, regions: 9, regionLength: 25 << 20);
        WrittenImage written = await files.WriteAsync("big");
        Assert.True(Directory.GetFiles(Path.Combine(files.StoreFolder, "packs")).Length >= 3);
        using CachedImage image = await new ImageCache(Path.Combine(files.Folder, "cache")).GetAsync(await ImageReader.OpenAsync(files.Store, "big"));
        ImageFiles.AssertSame(files.MemoryFile, image.MemoryFile);
        Assert.True(written.StoredBytes > 70 << 20);
    }
}
