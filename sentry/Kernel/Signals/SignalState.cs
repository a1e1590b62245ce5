namespace Sentry.Kernel.Signals;

/// <summary>A task's own part of signal handling.</summary>
[Savable("signal-state")]
public sealed partial class SignalState
{
    /// <summary>The blocked signals now in force (bit n-1 is signal n); never SIGKILL or SIGSTOP.</summary>
    [Saved(1)] public ulong Mask;

    /// <summary>Signals sent to this task alone.</summary>
    [Saved(2)] public PendingSignals Pending = new();

    [Saved(3)] private ulong _savedMask;
    [Saved(4)] private bool _hasSavedMask;
    [Saved(5)] private ulong _altStack;
    [Saved(6)] private ulong _altStackSize;
    [Saved(7)] private int _altStackFlags;

    /// <summary>The signals that rt_sigtimedwait(2) waits for, 0 outside it: they wake the task although they are blocked.</summary>
    [Saved(8)] public ulong WaitedFor;

    /// <summary>Trap number, error code and CR2 of the task's last fault, as its next signal frames show them.</summary>
    [Saved(9)] public ulong TrapNumber;
    [Saved(10)] public ulong ErrorCode;
    [Saved(11)] public ulong Cr2;

    [NotSaved("true again when the restored task is about to run")] private bool _parked;

    public SignalState()
    {
    }

    /// <summary>For a new task: the mask is inherited, pending signals are not (signal(7)).</summary>
    /// <param name="keepAltStack">fork(2) and vfork(2) keep the alternate stack, a thread in the same address space starts without.</param>
    public SignalState ForChild(bool keepAltStack)
    {
        SignalState child = new() { Mask = _hasSavedMask ? _savedMask : Mask };
        if (keepAltStack)
            (child._altStack, child._altStackSize, child._altStackFlags) = (_altStack, _altStackSize, _altStackFlags);
        return child;
    }

    /// <summary>execve(2): mask and pending signals stay, the alternate stack goes.</summary>
    public void ResetForExec()
    {
        ClearAltStack();
        WaitedFor = 0;
        TrapNumber = ErrorCode = Cr2 = 0;
    }

    // ---- temporary masks -----------------------------------------------------------------------------------------

    /// <summary>Whether a call runs under a mask of its own (sigsuspend, ppoll, pselect, epoll_pwait).</summary>
    public bool HasTemporaryMask => _hasSavedMask;

    /// <summary>The mask that the task has outside the call it is in.</summary>
    public ulong OuterMask => _hasSavedMask ? _savedMask : Mask;

    /// <summary>Puts a mask in force until <see cref="RestoreMask"/>; when the call is tried again the mask saved first is kept.
    /// A call that answers by itself restores the mask before that; one that a handler interrupts leaves it to the handler's frame.</summary>
    public void SetTemporaryMask(ulong mask)
    {
        if (!_hasSavedMask)
        {
            _savedMask = Mask;
            _hasSavedMask = true;
        }

        Mask = mask & ~Signal.Unblockable;
    }

    /// <summary>Back to the mask before <see cref="SetTemporaryMask"/>; does nothing when there is none.</summary>
    public void RestoreMask()
    {
        if (!_hasSavedMask)
            return;
        Mask = _savedMask;
        _hasSavedMask = false;
    }

    /// <summary>The saved mask goes into a handler's frame: the temporary one stays in force for the handler.</summary>
    internal ulong TakeOuterMask()
    {
        ulong mask = OuterMask;
        _hasSavedMask = false;
        return mask;
    }

    // ---- alternate stack -----------------------------------------------------------------------------------------

    public ulong AltStack => _altStack;

    public ulong AltStackSize => _altStackSize;

    /// <summary>Whether a stack pointer is on the alternate stack; an auto-disarming one never counts (sigaltstack(2), SS_AUTODISARM).</summary>
    public bool IsOnAltStack(ulong stackPointer) => (_altStackFlags & StackT.SS_AUTODISARM) == 0 && IsWithinAltStack(stackPointer);

    /// <summary>Whether a stack pointer is within the alternate stack.</summary>
    public bool IsWithinAltStack(ulong stackPointer) => stackPointer > _altStack && stackPointer - _altStack <= _altStackSize;

    /// <summary>As sigaltstack(2) shows it to a task with this stack pointer.</summary>
    public StackT DescribeAltStack(ulong stackPointer) => new()
    {
        Pointer = _altStack,
        Size = _altStackSize,
        Flags = (_altStackSize == 0 ? StackT.SS_DISABLE : IsOnAltStack(stackPointer) ? StackT.SS_ONSTACK : 0) | (_altStackFlags & StackT.SS_AUTODISARM),
    };

    /// <summary>As a signal frame keeps it.</summary>
    internal StackT SaveAltStack() => new() { Pointer = _altStack, Size = _altStackSize, Flags = _altStackFlags };

    /// <summary>sigaltstack(2): EPERM on the stack itself, EINVAL for unknown flags, ENOMEM for one too small.</summary>
    public Errno SetAltStack(in StackT stack, ulong stackPointer)
    {
        if (IsOnAltStack(stackPointer))
            return Errno.EPERM;
        int mode = stack.Flags & ~StackT.SS_AUTODISARM;
        if (mode is not (0 or StackT.SS_ONSTACK or StackT.SS_DISABLE))
            return Errno.EINVAL;
        if (mode == StackT.SS_DISABLE)
        {
            _altStack = _altStackSize = 0;
        }
        else
        {
            if (stack.Size < StackT.MinimumSize)
                return Errno.ENOMEM;
            _altStack = stack.Pointer;
            _altStackSize = stack.Size;
        }

        _altStackFlags = stack.Flags;
        return Errno.None;
    }

    /// <summary>A handler has been given an auto-disarming stack.</summary>
    internal void DisarmAltStack()
    {
        if ((_altStackFlags & StackT.SS_AUTODISARM) != 0)
        {
            ClearAltStack();
            _altStackFlags = StackT.SS_DISABLE;
        }
    }

    private void ClearAltStack() => (_altStack, _altStackSize, _altStackFlags) = (0, 0, 0);

    // ---- group stop ----------------------------------------------------------------------------------------------

    /// <summary>The thread is kept Stopped because its process is stopped.</summary>
    internal bool Parked
    {
        get => _parked;
        set => _parked = value;
    }
}
