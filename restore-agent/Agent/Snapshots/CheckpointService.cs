using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Api;
using Sentry.Control;
using Snapshot.Images;
using Snapshot.State;
using Storage;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>Saves sandboxes as snapshots: all of it or nothing, and a sandbox that could not be saved goes on.</summary>
public sealed class CheckpointService(AgentFolders folders, Stores stores, ImageCache cache, SentryPool pool, PendingSnapshots pending, ILogger<CheckpointService> logger)
{
    public async Task<CheckpointReport> CheckpointAsync(Sandbox sandbox, CheckpointSandboxRequest request, Operation operation)
    {
        SnapshotNames.Validate(request.Snapshot);
        IObjectStore store = stores.Open(request.Store);
        if (!request.Replace && await ExistsAsync(store, request.Snapshot).ConfigureAwait(false))
            throw AgentException.Conflict($"{store.Location} has a snapshot {request.Snapshot} already; choose another name or give --replace");

        await sandbox.Gate.WaitAsync().ConfigureAwait(false);
        bool held = true;
        try
        {
            operation.Cancelled.ThrowIfCancellationRequested();
            SandboxInspection inspection = await sandbox.InspectAsync().ConfigureAwait(false);
            using DumpFolder folder = new(folders);
            Dump dump;
            using (OpenFiles files = folder.MakeFiles())
                dump = await sandbox.DumpAsync(files.State, files.Memory, stop: !request.LeaveRunning).ConfigureAwait(false);
            if (request.LeaveRunning)
            {
                sandbox.Gate.Release();
                held = false;
            }

            PendingSnapshot? moved = request.LeaveRunning ? null : pending.Offer(store.Location, request.Snapshot,
                () => new PendingSnapshot(sandbox, Describe(sandbox, request.Snapshot, inspection, []), OpenFiles.Open(folder.StateFile, folder.MemoryFile)));
            WrittenImage written;
            operation.Phase = "writing";
            try
            {
                written = await WriteAsync(sandbox, request.Snapshot, store, folder, dump, inspection, request.Replace, keepFrames: moved is null && !request.LeaveRunning,
                    operation, moved is null ? operation.Cancelled : CancellationToken.None).ConfigureAwait(false);
                await (moved?.Over ?? Task.CompletedTask).ConfigureAwait(false);
            }
            catch (Exception e) when (!request.LeaveRunning)
            {
                // Whoever took the dump may have failed as well.
                await (moved?.Over ?? Task.CompletedTask).ConfigureAwait(false);
                if (moved is { IsHandedOver: true })
                    throw AgentException.Failed($"the sandbox has moved, but its snapshot {request.Snapshot} could not be written: {Errors.Describe(e).Message}", e);
                logger.LogWarning("checkpoint {Snapshot} of {Sandbox} failed, the sandbox goes on: {Reason}", request.Snapshot, sandbox.Identity.Name, e.Message);
                await sandbox.GoOnAsync().ConfigureAwait(false);
                throw;
            }

            if (!request.LeaveRunning)
                sandbox.Finish(new ExitReport { ExitCode = 0, Reason = $"checkpointed as {request.Snapshot}" });
            return new CheckpointReport
            {
                Snapshot = request.Snapshot,
                Store = store.Location,
                PauseNanoseconds = dump.Reply.PauseNanoseconds,
                StateBytes = written.StateBytes,
                MemoryBytes = written.MemoryBytes,
                StoredBytes = written.StoredBytes,
                Lost = [.. inspection.Sockets.Where(s => s.Lost is not null).Select(s => $"{s.Protocol} {s.State} {s.Local} {s.Remote}: {s.Lost}")],
            };
        }
        finally
        {
            if (held)
                sandbox.Gate.Release();
        }
    }

    /// <summary>Restores a stopped sandbox in a new sentry, with the streams it has; ends it when that fails.</summary>
    public async Task ResumeAsync(Sandbox sandbox, string stateFile, string memoryFile)
    {
        SentryProcess? sentry = null;
        GoferProcess? gofer = null;
        try
        {
            sentry = await pool.TakeAsync(sandbox.Platform).ConfigureAwait(false);
            gofer = GoferProcess.Start(folders, sandbox.Identity.RootFolder, sandbox.Identity.Volumes);
            using OpenFiles files = OpenFiles.Open(stateFile, memoryFile);
            await sandbox.RestoreAsync(sentry, gofer, files.State, files.Memory, window: null, inPlace: true).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            sandbox.Finish(new ExitReport { ExitCode = 125, Reason = "the sandbox could not be restored: " + e.Message });
            sentry?.Dispose();
            gofer?.Dispose();
            throw;
        }
    }

    /// <summary>Writes a dump as a named image and puts its files into the cache.</summary>
    /// <param name="keepFrames">What comes for the sandbox while this goes on is the image's: it stands still.</param>
    public async Task<WrittenImage> WriteAsync(Sandbox sandbox, string name, IObjectStore store, DumpFolder folder, Dump dump, SandboxInspection inspection, bool replace,
        bool keepFrames = false, Operation? operation = null, CancellationToken cancellationToken = default)
    {
        BaseFileHasher hasher = new(sandbox.Identity.RootFolder, folders.BaseHashes);
        async Task KeepAsync(SnapshotInfo written) => SavedNetworkJson.Write(sandbox.Network.Save(await sandbox.KeptFramesAsync().ConfigureAwait(false)), written.Properties);
        SnapshotInfo info = Describe(sandbox, name, inspection, await hasher.HashAsync(dump.Reply.BaseFiles.Select(f => (f.Path, f.Size))).ConfigureAwait(false));
        WrittenImage written = await ImageWriter.WriteAsync(store, info, folder.StateFile, folder.MemoryFile, dump.DataRanges,
            new ImageWriterOptions { Replace = replace, BeforeManifest = keepFrames ? KeepAsync : null, Transfer = operation?.Transfer }, cancellationToken).ConfigureAwait(false);
        try
        {
            cache.Seed(written.ManifestId, folder.StateFile, folder.MemoryFile).Dispose();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StoreException)
        {
            logger.LogWarning("the image {Snapshot} is not cached: {Reason}", name, e.Message);
        }

        return written;
    }

    private static SnapshotInfo Describe(Sandbox sandbox, string name, SandboxInspection inspection, BaseTreeFile[] baseFiles)
    {
        SnapshotInfo info = new()
        {
            Name = name,
            HostName = sandbox.Identity.HostName,
            Platform = sandbox.Platform,
            RootFolder = sandbox.Identity.RootFolder,
            BaseFiles = baseFiles,
            Processes = [.. inspection.Processes.Select(ToSaved)],
            UnimplementedCalls = inspection.UnimplementedCalls,
            Properties = SnapshotProperties.Of(sandbox.Identity),
        };
        SavedNetworkJson.Write(sandbox.Network.Save([]), info.Properties);
        return info;
    }

    private static SavedProcess ToSaved(ProcessInspection process) => new()
    {
        Pid = process.Pid,
        ParentPid = process.ParentPid,
        Name = process.Name,
        Threads = process.Threads,
        State = process.State,
        Arguments = process.Arguments,
    };

    private static async Task<bool> ExistsAsync(IObjectStore store, string name)
    {
        try
        {
            _ = await ImageReader.OpenAsync(store, name).ConfigureAwait(false);
            return true;
        }
        catch (StoreException e) when (e.Error == StoreError.NotFound)
        {
            return false;
        }
        catch (InvalidImageException)
        {
            return true;
        }
    }
}
