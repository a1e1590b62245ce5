namespace Sentry.Kernel.Signals;

/// <summary>The disposition of one signal (sigaction(2)).</summary>
[Savable("signal-action")]
public partial struct SignalAction
{
    /// <summary>SIG_DFL, SIG_IGN or an address.</summary>
    [Saved(1)] public ulong Handler;

    /// <summary>SA_*.</summary>
    [Saved(2)] public ulong Flags;
    [Saved(3)] public ulong Restorer;
    [Saved(4)] public ulong Mask;

    public readonly bool IsDefault => Handler == SignalAct.SIG_DFL;

    public readonly bool IsIgnored => Handler == SignalAct.SIG_IGN;

    /// <summary>Whether a function of the guest is called.</summary>
    public readonly bool IsHandler => Handler > SignalAct.SIG_IGN;

    public readonly bool Has(ulong flag) => (Flags & flag) != 0;
}

/// <summary>The dispositions of a process (sighand_struct), shared by CLONE_SIGHAND.</summary>
[Savable("signal-actions")]
public sealed partial class SignalActions : IAfterLoad
{
    [Saved(1)] private int _users = 1;
    [Saved(2)] private SignalAction[] _actions = new SignalAction[Signal.Max];

    public SignalActions()
    {
    }

    /// <summary>How many processes share it; the lifecycle code counts.</summary>
    public int Users
    {
        get => _users;
        set => _users = value;
    }

    /// <summary>The disposition of a signal, 1 to 64.</summary>
    public ref SignalAction this[int signal] => ref _actions[signal - 1];

    /// <summary>For fork(2) without CLONE_SIGHAND, and for execve(2) of a process that shares them.</summary>
    public SignalActions Copy() => new() { _actions = (SignalAction[])_actions.Clone() };

    /// <summary>execve(2): handlers become SIG_DFL, ignored signals stay ignored, flags and masks go.</summary>
    public void ResetForExec()
    {
        for (int i = 0; i < _actions.Length; i++)
            _actions[i] = new SignalAction { Handler = _actions[i].IsIgnored ? SignalAct.SIG_IGN : SignalAct.SIG_DFL };
    }

    /// <summary>CLONE_CLEAR_SIGHAND of clone3(2): handlers become SIG_DFL.</summary>
    public void ClearHandlers() => ResetForExec();

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host && _actions.Length != Signal.Max)
            throw new InvalidImageException($"the image holds {_actions.Length} signal actions, not {Signal.Max}");
    }

    /// <summary>Whether a signal with this disposition does nothing.</summary>
    public bool DoesNothing(int signal) => _actions[signal - 1].IsIgnored || (_actions[signal - 1].IsDefault && Signal.Has(Signal.IgnoredByDefault, signal));
}
