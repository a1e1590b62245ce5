namespace Sentry.Kernel.Tasks;

/// <summary>What a blocked call must remember between two tries; saved with the task. Derived classes are small and have names.</summary>
[Savable("call-state")]
public abstract partial class CallState
{
    /// <summary>What the call returns when a signal ends it after it has had an effect (bytes moved so far); null: EINTR or a restart.</summary>
    public virtual long? ValueIfInterrupted => null;

    /// <summary>A signal handler ends the call without a restart: the last chance to tell the guest how far it came (nanosleep's remainder). EINTR, or what the call
    /// fails with when it cannot be told.</summary>
    public virtual Errno OnInterrupted(Task task) => Errno.EINTR;

    /// <summary>The call is over without another try (a signal handler, the task's end): what it holds is let go.</summary>
    public virtual void OnAbandoned()
    {
    }
}

/// <summary>A transfer that has moved some bytes already.</summary>
[Savable("partial-transfer")]
public sealed partial class PartialTransfer : CallState
{
    [Saved(1)] public long Done;

    public PartialTransfer()
    {
    }

    public override long? ValueIfInterrupted => Done > 0 ? Done : null;
}

/// <summary>What a signal handler does to a call that waits (signal(7), "Interruption of system calls").</summary>
public enum InterruptMode
{
    /// <summary>Restarted when the handler has SA_RESTART, else EINTR (read, write, wait4, …): ERESTARTSYS.</summary>
    Restart,

    /// <summary>EINTR always when a handler runs (poll, nanosleep, epoll_wait, sigsuspend, …): ERESTARTNOHAND.</summary>
    Interrupt,

    /// <summary>Handlers wait until the call is over; only a signal that ends the process ends it.</summary>
    Killable,
}

/// <summary>The system call a task is in, from its first try to its answer. Saved when the task is blocked in it.</summary>
[Savable("call-context")]
public sealed partial class CallContext
{
    [Saved(1)] public int Number;
    [Saved(2)] public SyscallArgs Args;
    [Saved(3)] public CallState? State;

    /// <summary>Guest monotonic time in ns at which a waiting call is tried again with <see cref="TimedOut"/>; -1 for never.</summary>
    [Saved(4)] public long Deadline = -1;

    /// <summary>The deadline has passed. A handler that sees this must not block again on it.</summary>
    [Saved(5)] public bool TimedOut;

    [Saved(6)] public InterruptMode InterruptMode;

    /// <summary>The call was torn down with its state kept (a checkpoint); the next call of the task with the same number and arguments continues it.</summary>
    [Saved(7)] public bool Suspended;

    public CallContext()
    {
    }

    /// <summary>Sets the deadline at the first try and keeps it at later ones.</summary>
    /// <param name="now">Guest monotonic time in ns.</param>
    /// <param name="timeout">ns from now; negative for none.</param>
    public void SetTimeoutOnce(long now, long timeout)
    {
        if (timeout >= 0 && Deadline < 0)
            Deadline = timeout > long.MaxValue - now ? long.MaxValue : now + timeout;
    }
}
