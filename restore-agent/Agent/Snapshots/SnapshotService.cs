using RestoreAgent.Api;
using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>Lists, describes and deletes snapshots.</summary>
public sealed class SnapshotService(Stores stores)
{
    public async Task<SnapshotSummary[]> ListAsync(string? store)
    {
        List<SnapshotEntry> entries = await SnapshotCatalog.ListAsync(stores.Open(store)).ConfigureAwait(false);
        return [.. entries.Select(e => new SnapshotSummary { Name = e.Name, Created = e.Created, Size = e.Size, Problem = e.Problem })];
    }

    public async Task<SnapshotDetails> GetAsync(string name, string? store)
    {
        IObjectStore opened = stores.Open(store);
        ImageReader reader = await ImageReader.OpenAsync(opened, name).ConfigureAwait(false);
        SnapshotInfo info = reader.Info;
        return new SnapshotDetails
        {
            Name = info.Name,
            Id = info.Id,
            ManifestId = reader.ManifestId,
            Store = opened.Location,
            Created = info.Created,
            HostName = info.HostName,
            Platform = info.Platform,
            RootFolder = info.RootFolder,
            StateBytes = reader.StateLength,
            MemoryLength = reader.MemoryLength,
            Processes = [.. info.Processes.Select(ToDetails)],
            BaseFiles = [.. info.BaseFiles.Select(f => new BaseFileDetails(Sentry.Host.HostPath.ToText(f.Path), f.Size, f.Sha256))],
            UnimplementedCalls = info.UnimplementedCalls,
        };
    }

    public async Task DeleteAsync(string name, string? store)
    {
        IObjectStore opened = stores.Open(store);
        await SnapshotCatalog.DeleteAsync(opened, name).ConfigureAwait(false);
        await SnapshotCatalog.CollectGarbageAsync(opened).ConfigureAwait(false);
    }

    public async Task<CopyReport> CopyAsync(string name, CopySnapshotRequest request, Operation operation)
    {
        IObjectStore from = stores.Open(request.Store), to = stores.Open(request.To);
        Transfer reading = operation.AddSource(request.Rate);
        ImageReader reader = await ImageReader.OpenAsync(from.With(reading), name, operation.Cancelled).ConfigureAwait(false);
        WrittenImage written = await ImageCopier.CopyAsync(
            reader, to, request.Name ?? name, new ImageWriterOptions { Replace = request.Replace, Transfer = operation.Transfer }, reading, operation.Cancelled).ConfigureAwait(false);
        return new CopyReport { Snapshot = written.Info.Name, Store = to.Location, Size = reader.DataBytes, StoredBytes = written.StoredBytes };
    }

    /// <summary>Reads and checks all of a snapshot. That it is damaged is an answer, that it is not there is none.</summary>
    public async Task<VerifyReport> VerifyAsync(string name, string? store, Operation operation)
    {
        IObjectStore opened = stores.Open(store);
        try
        {
            ImageReader reader = await SnapshotCatalog.VerifyAsync(opened, name, operation.Transfer, operation.Cancelled).ConfigureAwait(false);
            return new VerifyReport { Snapshot = name, Store = opened.Location, Size = reader.DataBytes };
        }
        catch (InvalidImageException e)
        {
            return new VerifyReport { Snapshot = name, Store = opened.Location, Problem = Errors.Describe(e).Message };
        }
    }

    public async Task<CollectReport> CollectAsync(string? store)
    {
        IObjectStore opened = stores.Open(store);
        return new CollectReport { Store = opened.Location, FreedBytes = await SnapshotCatalog.CollectGarbageAsync(opened).ConfigureAwait(false) };
    }

    private static ProcessDetails ToDetails(SavedProcess process) => new()
    {
        Pid = process.Pid,
        ParentPid = process.ParentPid,
        Name = process.Name,
        Threads = process.Threads,
        State = process.State,
        Arguments = process.Arguments,
    };
}
