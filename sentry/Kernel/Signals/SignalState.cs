namespace Sentry.Kernel.Signals;

/// <summary>A queued signal with its siginfo (sigaction(2)); the union's bytes are kept as they will be shown to the handler.</summary>
[Savable("siginfo")]
public sealed partial class SignalInfo
{
    [Saved(1)] public int Number { get; init; }

    [Saved(2)] public int Code { get; init; }

    [Saved(3)] public int Error { get; init; }

    /// <summary>The bytes of siginfo_t from offset 16 on (si_pid, si_uid, si_value, si_addr, …); at most 112.</summary>
    [Saved(4)] public byte[] Fields { get; init; } = [];

    public SignalInfo()
    {
    }
}

/// <summary>Signals that wait for delivery, to one task or to a process.</summary>
[Savable("pending-signals")]
public sealed partial class PendingSignals
{
    [Saved(1)] private List<SignalInfo> _queue = [];
    [Saved(2)] private ulong _set;

    public PendingSignals()
    {
    }

    /// <summary>Bit n-1 is signal n.</summary>
    public ulong Set
    {
        get => _set;
        set => _set = value;
    }

    /// <summary>In the order of their coming.</summary>
    public List<SignalInfo> Queue => _queue;
}

/// <summary>A task's own part of signal handling.</summary>
[Savable("signal-state")]
public sealed partial class SignalState
{
    [Saved(1)] public ulong Mask;
    [Saved(2)] public PendingSignals Pending = new();

    public SignalState()
    {
    }
}

/// <summary>The dispositions of a process (sighand_struct), shared by CLONE_SIGHAND.</summary>
[Savable("signal-actions")]
public sealed partial class SignalActions
{
    [Saved(1)] private int _users = 1;

    public SignalActions()
    {
    }

    public int Users
    {
        get => _users;
        set => _users = value;
    }
}
