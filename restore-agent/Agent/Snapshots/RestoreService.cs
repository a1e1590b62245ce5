using RestoreAgent.Agent.Network;
using RestoreAgent.Api;
using Snapshot.Images;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>An image whose files are ready to be mapped.</summary>
public sealed class PreparedImage(CachedImage image, SnapshotInfo info, string rootFolder) : IDisposable
{
    public string StateFile => image.StateFile;

    public string MemoryFile => image.MemoryFile;

    public string RootFolder { get; } = rootFolder;

    public string HostName => info.HostName;

    /// <summary>Null when the saved sandbox had none to speak of.</summary>
    public SavedNetwork? Network { get; } = SavedNetworkJson.Read(info);

    public ProgramOptions Program { get; } = SnapshotProperties.ProgramOf(info);

    public void Dispose() => image.Dispose();
}

/// <summary>Fetches a snapshot and makes sure that it fits this host.</summary>
public sealed class RestoreService(AgentFolders folders, Stores stores, ImageCache cache)
{
    /// <summary>Checks the base tree and has the image's files in the local cache. Nothing is started when it throws.</summary>
    public async Task<PreparedImage> PrepareAsync(string snapshot, RestoreSnapshotRequest request)
    {
        IObjectStore store = stores.Open(request.Store);
        ImageReader reader = await ImageReader.OpenAsync(store, snapshot).ConfigureAwait(false);
        string root = request.RootFolder ?? reader.Info.RootFolder;
        if (!Directory.Exists(root))
            throw AgentException.Invalid($"the root file system {root} of snapshot {snapshot} is no folder here; give --rootfs");
        await new BaseFileHasher(root, folders.BaseHashes).CheckAsync(reader.Info.BaseFiles).ConfigureAwait(false);
        CachedImage image = cache.TryOpen(reader.ManifestId) ?? await cache.GetAsync(reader).ConfigureAwait(false);
        return new PreparedImage(image, reader.Info, root);
    }
}
