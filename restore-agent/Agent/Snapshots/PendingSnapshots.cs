using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Api;
using Sentry.Control;
using Snapshot.Images;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>
/// Restores that wait for a snapshot that this agent is about to make. They get the dump itself, before it is compressed and in the store: the
/// sandbox goes on elsewhere while its image is still being written.
/// </summary>
public sealed class PendingSnapshots
{
    private readonly Lock _lock = new();
    private readonly List<(string Location, string Name, TaskCompletionSource<PendingSnapshot> Waiter)> _waiters = [];

    /// <summary>Completes when a dump of that name is there. The caller ends its wait with <see cref="Forget"/>.</summary>
    public Task<PendingSnapshot> Expect(string location, string name)
    {
        TaskCompletionSource<PendingSnapshot> waiter = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
            _waiters.Add((location, name, waiter));
        return waiter.Task;
    }

    /// <summary>Nobody waits any more.</summary>
    public void Forget(Task<PendingSnapshot> expected)
    {
        lock (_lock)
            _waiters.RemoveAll(w => w.Waiter.Task == expected);
    }

    /// <summary>A dump is there. Null unless somebody has taken it: the dumped sandbox goes on in another place then.</summary>
    public PendingSnapshot? Offer(string location, string name, Func<PendingSnapshot> make)
    {
        lock (_lock)
        {
            int index = _waiters.FindIndex(w => w.Location == location && w.Name == name);
            if (index < 0)
                return null;
            PendingSnapshot offered = make();
            bool taken = _waiters[index].Waiter.TrySetResult(offered);
            _waiters.RemoveAt(index);
            if (taken)
                return offered;
            offered.Dispose();
            return null;
        }
    }
}

/// <summary>A dump that is not in a store yet.</summary>
/// <param name="Source">The sandbox it was made of, which stands still for good.</param>
/// <param name="Info">As it will be in the image, but for the hashes of base files.</param>
/// <param name="Files">Open, so that it does not matter what becomes of their names.</param>
public sealed record PendingSnapshot(Sandbox Source, SnapshotInfo Info, OpenFiles Files) : IDisposable
{
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the dumped sandbox is needed no more: it has gone on elsewhere, or that has failed.</summary>
    public Task Over => _over.Task;

    /// <summary>The dumped sandbox has gone on elsewhere.</summary>
    public bool IsHandedOver { get; private set; }

    /// <summary>Ends the dumped sandbox; what has come for it since is the other's.</summary>
    public async Task<KeptFrame[]> HandOverAsync(string successor)
    {
        KeptFrame[] kept = await Source.KeptFramesAsync().ConfigureAwait(false);
        IsHandedOver = true;
        Source.Finish(new ExitReport { ExitCode = 0, Reason = $"went on as {successor}" });
        return kept;
    }

    public void Dispose()
    {
        Files.Dispose();
        _over.TrySetResult();
    }
}
