namespace Sentry.Kernel.Files;

/// <summary>Bytes on their way to the host's disk (fsync(2) of a file of a volume), which may take long: done aside, while the sandbox goes on. Never saved:
/// a call that is tried again elsewhere begins anew.</summary>
public abstract class HostSync : IHostWork
{
    private bool _begun;

    /// <summary>Woken when it is done.</summary>
    public WaitQueue Waiters { get; } = new();

    public bool IsDone { get; private set; }

    /// <summary>How it ended.</summary>
    public Errno Error { get; private set; }

    void IHostWork.Run() => Error = Work();

    void IHostWork.OnDone()
    {
        IsDone = true;
        Waiters.Wake();
    }

    /// <summary>On a thread without the kernel lock, once.</summary>
    protected internal abstract Errno Work();

    /// <summary>For the rare writes that do not come by write(2) and its kin: while the sandbox stands still.</summary>
    internal static Errno AfterWrite(FileObject file) => file.SyncsWrites ? file.StartSync(dataOnly: false)?.Work() ?? Errno.None : Errno.None;

    internal HostSync Begin(GuestKernel kernel)
    {
        if (!_begun)
            kernel.Host.RunAside(this);
        _begun = true;
        return this;
    }

    /// <summary>All of several, one after the other; null of none.</summary>
    internal static HostSync? All(List<HostSync> parts) => parts.Count switch
    {
        0 => null,
        1 => parts[0],
        _ => new Several(parts),
    };

    private sealed class Several(List<HostSync> parts) : HostSync
    {
        protected internal override Errno Work()
        {
            Errno first = Errno.None;
            foreach (HostSync part in parts)
            {
                Errno error = part.Work();
                first = first == Errno.None ? error : first;
            }

            return first;
        }
    }
}

/// <summary>A call that ends when bytes have reached the host's disk.</summary>
[Savable("sync-wait")]
internal sealed partial class SyncWait : CallState
{
    [NotSaved("begun anew where the call is tried again")] private HostSync? _work;
    [Saved(1)] private long _result;

    /// <param name="result">What the call then returns.</param>
    internal SyncWait(HostSync work, long result)
    {
        _work = work;
        _result = result;
    }

    /// <summary>Begins or goes on waiting. <paramref name="start"/> is asked for the work at first and after a restore; null of it: there is nothing to be done.</summary>
    internal static SyscallResult Await(Task task, long result, Func<HostSync?> start)
    {
        var state = task.Call.State as SyncWait;
        if (state?._work is not { } work)
        {
            result = state?._result ?? result;
            if (start() is not { } begun)
                return result;
            work = begun.Begin(task.Kernel);
            task.Call.State = state = new SyncWait(work, result);
        }

        if (work.IsDone)
            return work.Error == Errno.None ? state!._result : work.Error;
        task.WaitOn(work.Waiters);
        return task.Block(InterruptMode.Killable);
    }
}
