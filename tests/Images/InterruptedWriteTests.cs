using System.Diagnostics;
using Snapshot.Images;
using Storage;

namespace Tests.Images;

/// <summary>Whatever stops a writer: its snapshot is there whole or not at all, and older ones are unharmed.</summary>
public sealed class InterruptedWriteTests
{
    [Fact]
    public async Task Write_StoppedAtEveryStoreOperation_IsWholeOrNothing()
    {
        using ImageFiles files = new();
        files.Make(seed: 1, regionLength: 100_000);
        await files.WriteAsync("older");
        files.Make(seed: 2, regionLength: 100_000);
        bool succeeded = false;
        int stops = 0;
        for (int operations = 0; !succeeded; operations++)
        {
            foreach (bool doneButUnanswered in (bool[])[false, true])
            {
                DyingStore dying = new(files.Store, operations, doneButUnanswered);
                try
                {
                    await files.WriteAsync("newer", store: dying);
                    succeeded = true;
                }
                catch (StoreException)
                {
                    stops++;
                }

                bool listed = await CheckAsync(files.Store);
                Assert.True(listed || !succeeded);
                if (listed)
                    await SnapshotCatalog.DeleteAsync(files.Store, "newer");
                await SnapshotCatalog.CollectGarbageAsync(files.Store, TimeSpan.Zero);
                await SnapshotCatalog.VerifyAsync(files.Store, "older");
            }
        }

        // A pack, its index, the manifest, the name; each not done, and done without an answer.
        Assert.Equal(8, stops);
    }

    [Fact]
    public async Task Write_ProcessKilledAtRandomMoments_IsWholeOrNothing()
    {
        using ImageFiles files = new();
        files.Make(seed: 3, regionLength: 100_000);
        await files.WriteAsync("older");
        files.Make(seed: 4, regions: 8, regionLength: 12 << 20);
        Random random = new(7);
        int whole = 0;
        for (int round = 0; round < 15; round++)
        {
            using (Process writer = Start(files))
            {
                Assert.Equal("writing", await writer.StandardOutput.ReadLineAsync());
                await Task.Delay(random.Next(0, 900));
                writer.Kill();
                await writer.WaitForExitAsync();
            }

            if (await CheckAsync(files.Store))
            {
                whole++;
                await SnapshotCatalog.DeleteAsync(files.Store, "newer");
            }

            if (round % 3 == 0)
                await SnapshotCatalog.CollectGarbageAsync(files.Store, TimeSpan.Zero);
        }

        Assert.True(whole < 15, "no writer was killed in time");
        await files.WriteAsync("newer");
        Assert.True(await CheckAsync(files.Store));
    }

    [RootFact]
    public async Task Write_DiskFull_LeavesOlderSnapshotsAndFreesWhatItTook()
    {
        using ImageFiles files = new();
        using SmallDisk disk = new(files.Folder, megabytes: 6);
        LocalStore store = new(Path.Combine(disk.Folder, "store"));
        files.Make(seed: 5, regions: 2, regionLength: 1 << 20);
        await files.WriteAsync("older", store: store);
        files.Make(seed: 6, regions: 6, regionLength: 8 << 20);
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => files.WriteAsync("newer", store: store));
        Assert.Equal(StoreError.NoSpace, e.Error);
        Assert.False(await CheckAsync(store));
        files.Make(seed: 7, regions: 2, regionLength: 1 << 20);
        await files.WriteAsync("newer", store: store);
        Assert.True(await CheckAsync(store));
    }

    [RootFact]
    public async Task Materialize_DiskFull_LeavesNothing()
    {
        using ImageFiles files = new();
        using SmallDisk disk = new(files.Folder, megabytes: 2);
        files.Make(seed: 8, regions: 4, regionLength: 2 << 20);
        await files.WriteAsync("older");
        ImageCache cache = new(Path.Combine(disk.Folder, "cache"));
        ImageReader reader = await ImageReader.OpenAsync(files.Store, "older");
        StoreException e = await Assert.ThrowsAsync<StoreException>(() => cache.GetAsync(reader));
        Assert.Equal(StoreError.NoSpace, e.Error);
        Assert.Empty(Directory.GetDirectories(Path.Combine(disk.Folder, "cache")));
    }

    /// <summary>Every listed snapshot verifies, "older" is among them; whether "newer" is.</summary>
    private static async Task<bool> CheckAsync(IObjectStore store)
    {
        List<SnapshotEntry> entries = await SnapshotCatalog.ListAsync(store);
        Assert.Contains(entries, e => e.Name == "older");
        foreach (SnapshotEntry entry in entries)
        {
            Assert.Null(entry.Problem);
            await SnapshotCatalog.VerifyAsync(store, entry.Name);
        }

        return entries.Count == 2;
    }

    private static Process Start(ImageFiles files) => Process.Start(
        new ProcessStartInfo("dotnet", [typeof(Program).Assembly.Location, files.StoreFolder, "newer", files.StateFile, files.MemoryFile]) { RedirectStandardOutput = true })!;

    /// <summary>A store that answers a number of changes and then nothing any more, as seen by a process that is killed.</summary>
    private sealed class DyingStore(IObjectStore store, int operations, bool doneButUnanswered) : IObjectStore
    {
        private int _left = operations;

        public string Location => store.Location;

        public IObjectStore With(Transfer transfer) => this;

        public Task ReplaceAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) => throw new NotSupportedException();

        public async Task<bool> PutIfAbsentAsync(string key, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default)
        {
            int left = Interlocked.Decrement(ref _left);
            if (left == -1 && doneButUnanswered)
                await store.PutIfAbsentAsync(key, content, cancellationToken);
            return left >= 0 ? await store.PutIfAbsentAsync(key, content, cancellationToken) : throw Dead();
        }

        public Task<int> GetAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellationToken = default) =>
            _left >= 0 ? store.GetAsync(key, offset, destination, cancellationToken) : throw Dead();

        public Task<long?> GetLengthAsync(string key, CancellationToken cancellationToken = default) =>
            _left >= 0 ? store.GetLengthAsync(key, cancellationToken) : throw Dead();

        public IAsyncEnumerable<StoredObject> ListAsync(string prefix, CancellationToken cancellationToken = default) =>
            _left >= 0 ? store.ListAsync(prefix, cancellationToken) : throw Dead();

        public Task DeleteAsync(string key, CancellationToken cancellationToken = default) =>
            _left >= 0 ? store.DeleteAsync(key, cancellationToken) : throw Dead();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        private static StoreException Dead() => new(StoreError.Unreachable, "the store is dead, as this test wants it");
    }

    private sealed class SmallDisk : IDisposable
    {
        internal SmallDisk(string parent, int megabytes)
        {
            Folder = Directory.CreateDirectory(Path.Combine(parent, "disk")).FullName;
            Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "tmpfs", Folder);
        }

        internal string Folder { get; }

        public void Dispose() => Run("umount", "-l", Folder);

        private static void Run(string program, params string[] arguments)
        {
            using Process process = Process.Start(program, arguments);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }
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
