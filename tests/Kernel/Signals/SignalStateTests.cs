namespace Tests.Kernel.Signals;

public sealed class SignalStateTests
{
    private readonly SignalState _state = new();

    [Fact]
    public void SetTemporaryMask_Twice_KeepsTheOuterMask()
    {
        _state.Mask = 1;
        _state.SetTemporaryMask(2);
        _state.SetTemporaryMask(4 | Signal.Unblockable);
        Assert.Equal((4UL, 1UL), (_state.Mask, _state.OuterMask));
        _state.RestoreMask();
        _state.RestoreMask();
        Assert.Equal(1UL, _state.Mask);
    }

    [Fact]
    public void SetAltStack_TooSmall_ReturnsEnomem() =>
        Assert.Equal(Errno.ENOMEM, _state.SetAltStack(new StackT { Pointer = 0x1000, Size = 100 }, 0));

    [Fact]
    public void SetAltStack_UnknownFlags_ReturnsEinval() =>
        Assert.Equal(Errno.EINVAL, _state.SetAltStack(new StackT { Pointer = 0x1000, Size = 8192, Flags = 8 }, 0));

    [Fact]
    public void SetAltStack_WhileOnIt_ReturnsEperm()
    {
        Assert.Equal(Errno.None, _state.SetAltStack(new StackT { Pointer = 0x1000, Size = 8192 }, 0));
        Assert.Equal(Errno.EPERM, _state.SetAltStack(new StackT { Flags = StackT.SS_DISABLE }, 0x1800));
        Assert.Equal(StackT.SS_ONSTACK, _state.DescribeAltStack(0x1800).Flags);
        Assert.Equal(0, _state.DescribeAltStack(0x800).Flags);
    }

    [Fact]
    public void DescribeAltStack_None_SaysDisabled() => Assert.Equal(StackT.SS_DISABLE, _state.DescribeAltStack(0).Flags);

    [Fact]
    public void DisarmAltStack_AutoDisarm_LeavesNone()
    {
        _state.SetAltStack(new StackT { Pointer = 0x1000, Size = 8192, Flags = StackT.SS_AUTODISARM }, 0);
        Assert.False(_state.IsOnAltStack(0x1800));
        _state.DisarmAltStack();
        Assert.Equal(0UL, _state.AltStackSize);
        Assert.Equal(StackT.SS_DISABLE, _state.DescribeAltStack(0x1800).Flags);
    }

    [Fact]
    public void ForChild_InheritsMaskNotPending()
    {
        _state.Mask = 8;
        _state.SetTemporaryMask(0);
        _state.Pending.Add(SignalInfo.Kernel(Signal.SIGHUP));
        _state.SetAltStack(new StackT { Pointer = 0x1000, Size = 8192 }, 0);
        Assert.Equal((8UL, 0UL, 8192UL), (_state.ForChild(true).Mask, _state.ForChild(true).Pending.Set, _state.ForChild(true).AltStackSize));
        Assert.Equal(0UL, _state.ForChild(false).AltStackSize);
    }

    [Fact]
    public void ResetForExec_KeepsIgnoredDropsHandlers()
    {
        SignalActions actions = new();
        actions[Signal.SIGINT].Handler = 0x4000;
        actions[Signal.SIGHUP] = new SignalAction { Handler = SignalAct.SIG_IGN, Flags = SignalAct.SA_RESTART };
        actions.ResetForExec();
        Assert.True(actions[Signal.SIGINT].IsDefault);
        Assert.True(actions[Signal.SIGHUP].IsIgnored);
        Assert.Equal(0UL, actions[Signal.SIGHUP].Flags);
    }
}
