using RestoreAgent.Agent.Processes;
using RestoreAgent.Agent.Sandboxes;
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

    /// <summary>Has another go on in place of the dumped sandbox; what has come for that since is the other's. Which of them goes on does not depend on this agent:
    /// it is whoever takes the baton, and the dumped one tries that when the agent dies.</summary>
    public async Task HandOverAsync(string successor, SentryProcess to)
    {
        using Baton baton = Baton.Create();
        KeptFrame[] kept = await Source.HandOverAsync(successor, baton).ConfigureAwait(false);
        try
        {
            await Sandbox.BeginAsync(to, kept, [baton.Descriptor]).ConfigureAwait(false);
        }
        catch (AgentException) when (baton.IsFree)
        {
            // Nothing that it still has to read may let it go on.
            to.Kill();
            await to.Ended.ConfigureAwait(false);
            if (!baton.IsFree)
                End();
            throw;
        }
        catch (AgentException) when (to.Ended.IsCompleted)
        {
            End();
            throw;
        }
        catch (AgentException)
        {
            // It goes on, and says so too late.
        }

        End();
    }

    private void End()
    {
        IsHandedOver = true;
        Source.Finish(Source.ReportMove());
    }

    public void Dispose()
    {
        Files.Dispose();
        _over.TrySetResult();
    }
}
