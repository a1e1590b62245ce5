using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Api;
using Snapshot.Images;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>A snapshot that was found: what it is, before its files are there.</summary>
public sealed class FoundImage(SnapshotInfo info, ImageReader? reader, PendingSnapshot? pending, string rootFolder) : IDisposable
{
    /// <summary>Null when it comes straight from a sandbox that was just dumped.</summary>
    public ImageReader? Reader => reader;

    /// <summary>The dump of a sandbox that goes on here.</summary>
    public PendingSnapshot? Pending => pending;

    public SnapshotInfo Info => info;

    public string RootFolder => rootFolder;

    public string HostName => info.HostName;

    /// <summary>Null when the saved sandbox had none to speak of.</summary>
    public SavedNetwork? Network { get; } = SavedNetworkJson.Read(info);

    /// <summary>With the folders that they were then.</summary>
    public VolumeOptions[] Volumes { get; } = SnapshotProperties.VolumesOf(info);

    public ProgramOptions Program { get; } = SnapshotProperties.ProgramOf(info);

    public void Dispose() => pending?.Dispose();
}

/// <summary>An image's files, open to be mapped.</summary>
public sealed class PreparedImage(OpenFiles files, IDisposable? image) : IDisposable
{
    public OpenFiles Files => files;

    public void Dispose()
    {
        files.Dispose();
        image?.Dispose();
    }
}

/// <summary>Fetches a snapshot and makes sure that it fits this host.</summary>
public sealed class RestoreService(AgentFolders folders, Stores stores, ImageCache cache, PendingSnapshots pending)
{
    private static readonly TimeSpan LookAgainLocally = TimeSpan.FromMilliseconds(10), LookAgain = TimeSpan.FromMilliseconds(250);

    /// <summary>Looks a snapshot up, waiting for it as long as the request says.</summary>
    public async Task<FoundImage> FindAsync(string snapshot, RestoreSnapshotRequest request, CancellationToken cancellationToken = default)
    {
        IObjectStore store = stores.Open(request.Store);
        if (request.WaitSeconds <= 0)
            return Found(snapshot, request, await ImageReader.OpenAsync(store, snapshot, cancellationToken).ConfigureAwait(false));
        Task<PendingSnapshot> dump = pending.Expect(store.Location, snapshot);
        bool taken = false;
        try
        {
            TimeSpan pause = store is LocalStore ? LookAgainLocally : LookAgain;
            for (long end = Environment.TickCount64 + (1000L * request.WaitSeconds); ;)
            {
                if (await TryOpenAsync(store, snapshot).ConfigureAwait(false) is { } reader)
                    return Found(snapshot, request, reader);
                cancellationToken.ThrowIfCancellationRequested();
                if (Environment.TickCount64 > end)
                    throw AgentException.NotFound($"{store.Location} has no snapshot {snapshot} after {request.WaitSeconds} s");
                if (await Task.WhenAny(dump, Task.Delay(pause)).ConfigureAwait(false) == dump)
                {
                    taken = true;
                    return new FoundImage(dump.Result.Info, null, dump.Result, request.RootFolder ?? dump.Result.Info.RootFolder);
                }
            }
        }
        finally
        {
            pending.Forget(dump);

            // One that came at the moment when the wait ended otherwise.
            if (!taken && dump.IsCompletedSuccessfully)
                dump.Result.Dispose();
        }
    }

    /// <summary>Checks the base tree and has the image's files in the local cache.</summary>
    public async Task<PreparedImage> PrepareAsync(FoundImage found, Operation? operation = null)
    {
        if (found.Pending is { } taken)
            return new PreparedImage(taken.Files, null);
        if (operation is not null)
            operation.Phase = "reading";
        await new BaseFileHasher(found.RootFolder, folders.BaseHashes).CheckAsync(found.Info.BaseFiles).ConfigureAwait(false);
        CachedImage image = cache.TryOpen(found.Reader!.ManifestId) ?? await cache.GetAsync(found.Reader, operation?.Transfer, operation?.Cancelled ?? default).ConfigureAwait(false);
        try
        {
            return new PreparedImage(OpenFiles.Open(image.StateFile, image.MemoryFile), image);
        }
        catch
        {
            image.Dispose();
            throw;
        }
    }

    private static async Task<ImageReader?> TryOpenAsync(IObjectStore store, string snapshot)
    {
        try
        {
            return await ImageReader.OpenAsync(store, snapshot).ConfigureAwait(false);
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            return null;
        }
    }

    private static FoundImage Found(string snapshot, RestoreSnapshotRequest request, ImageReader reader)
    {
        string root = request.RootFolder ?? reader.Info.RootFolder;
        return Directory.Exists(root) ? new FoundImage(reader.Info, reader, null, root)
            : throw AgentException.Invalid($"the root file system {root} of snapshot {snapshot} is no folder here; give --rootfs");
    }
}
