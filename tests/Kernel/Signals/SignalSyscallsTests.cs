using Tests.Kernel.Fakes;

namespace Tests.Kernel.Signals;

public sealed class SignalSyscallsTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _init;
    private readonly Task _task;

    public SignalSyscallsTests()
    {
        _init = _kernel.NewProcess();
        _task = _kernel.NewProcess(_init.Group);
    }

    [Fact]
    public void RtSigaction_SetAndGet_DropsUnknownFlagsAndKill()
    {
        ulong set = _kernel.PutLongs(_task, 0x401000, (long)(SignalAct.SA_RESTART | 0x400 | SignalAct.SA_RESTORER), 0x402000, -1);
        ulong old = _kernel.Allocate(32);
        Assert.Equal(0, _kernel.Do(_task, Sysno.rt_sigaction, Signal.SIGUSR1, set, old, 8));
        Assert.Equal(0, TestKernel.GetLong(_task, old));
        Assert.Equal(0, _kernel.Do(_task, Sysno.rt_sigaction, Signal.SIGUSR1, 0, old, 8));
        Assert.Equal((0x401000, (long)(SignalAct.SA_RESTART | SignalAct.SA_RESTORER)), (TestKernel.GetLong(_task, old), TestKernel.GetLong(_task, old + 8)));
        Assert.Equal(~Signal.Unblockable, (ulong)TestKernel.GetLong(_task, old + 24));
    }

    [Theory]
    [InlineData(Signal.SIGKILL, 8, Errno.EINVAL)]
    [InlineData(Signal.SIGSTOP, 8, Errno.EINVAL)]
    [InlineData(0, 8, Errno.EINVAL)]
    [InlineData(65, 8, Errno.EINVAL)]
    [InlineData(Signal.SIGINT, 16, Errno.EINVAL)]
    public void RtSigaction_BadArgument_Fails(int signal, int size, Errno error) =>
        Assert.Equal(-(long)error, _kernel.Do(_task, Sysno.rt_sigaction, (ulong)signal, _kernel.PutLongs(_task, 1, 0, 0, 0), 0, (ulong)size));

    [Fact]
    public void RtSigaction_IgnoreWhilePending_Discards()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR1);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR1));
        _kernel.Do(_task, Sysno.rt_sigaction, Signal.SIGUSR1, _kernel.PutLongs(_task, 1, 0, 0, 0), 0, 8);
        Assert.Equal(0UL, SignalDelivery.PendingSet(_task));
    }

    [Fact]
    public void RtSigprocmask_BlockUnblockSet()
    {
        ulong old = _kernel.Allocate(8);
        _kernel.Do(_task, Sysno.rt_sigprocmask, 0, _kernel.PutLongs(_task, -1), 0, 8);
        Assert.Equal(~Signal.Unblockable, _task.Signals.Mask);
        _kernel.Do(_task, Sysno.rt_sigprocmask, 1, _kernel.PutLongs(_task, 0xff), 0, 8);
        Assert.Equal(~Signal.Unblockable & ~0xffUL, _task.Signals.Mask);
        _kernel.Do(_task, Sysno.rt_sigprocmask, 2, _kernel.PutLongs(_task, 3), old, 8);
        Assert.Equal((3UL, ~Signal.Unblockable & ~0xffUL), (_task.Signals.Mask, (ulong)TestKernel.GetLong(_task, old)));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.rt_sigprocmask, 3, old, 0, 8));
        Assert.Equal(-(long)Errno.EFAULT, _kernel.Do(_task, Sysno.rt_sigprocmask, 0, 8, 0, 8));
    }

    [Fact]
    public void RtSigpending_ShowsBlockedOnes()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR1) | Signal.Bit(40);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(40));
        ulong set = _kernel.Allocate(8);
        Assert.Equal(0, _kernel.Do(_task, Sysno.rt_sigpending, set, 8));
        Assert.Equal(_task.Signals.Mask, (ulong)TestKernel.GetLong(_task, set));
    }

    [Fact]
    public void RtSigtimedwait_Pending_TakesItWithInfo()
    {
        _task.Signals.Mask = Signal.Bit(40);
        Assert.Equal(0, _kernel.Do(_task, Sysno.rt_sigqueueinfo, (ulong)_task.Group.Pid, 40, Queued(_task, 99)));
        ulong info = _kernel.Allocate(128), set = _kernel.PutLongs(_task, (long)Signal.Bit(40));
        Assert.Equal(40, _kernel.Do(_task, Sysno.rt_sigtimedwait, set, info, 0, 8));
        Assert.Equal((40, -1, 99), (TestKernel.GetInt(_task, info), TestKernel.GetInt(_task, info + 8), TestKernel.GetLong(_task, info + 24)));
    }

    [Fact]
    public void RtSigtimedwait_SignalComesLater_Wakes()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR1);
        ulong set = _kernel.PutLongs(_task, (long)Signal.Bit(Signal.SIGUSR1));
        Assert.Null(_kernel.Call(_task, Sysno.rt_sigtimedwait, set, 0, 0, 8));
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        _kernel.RunReady();
        Assert.Equal(Signal.SIGUSR1, TestKernel.Result(_task));
        Assert.Equal(0UL, _task.Signals.WaitedFor);
    }

    [Fact]
    public void RtSigtimedwait_TimePasses_ReturnsEagain()
    {
        ulong set = _kernel.PutLongs(_task, (long)Signal.Bit(Signal.SIGUSR1)), timeout = _kernel.PutLongs(_task, 1, 0);
        Assert.Null(_kernel.Call(_task, Sysno.rt_sigtimedwait, set, 0, timeout, 8));
        _kernel.Advance(1_000_000_001);
        Assert.Equal(-(long)Errno.EAGAIN, TestKernel.Result(_task));
    }

    [Fact]
    public void Kill_UnknownProcess_ReturnsEsrch() => Assert.Equal(-(long)Errno.ESRCH, _kernel.Do(_task, Sysno.kill, 999, 0));

    [Fact]
    public void Kill_BadSignal_ReturnsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.kill, (ulong)_task.Group.Pid, 65));

    [Fact]
    public void Kill_OtherUser_ReturnsEperm()
    {
        Task other = _kernel.NewProcess(_init.Group);
        _task.Credentials = new Credentials { Uid = 5, EffectiveUid = 5, SavedUid = 5 };
        other.Credentials = new Credentials { Uid = 6, EffectiveUid = 6, SavedUid = 6 };
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(_task, Sysno.kill, (ulong)other.Group.Pid, Signal.SIGTERM));
        other.Group.Session = _task.Group.Session;
        Assert.Equal(0, _kernel.Do(_task, Sysno.kill, (ulong)other.Group.Pid, Signal.SIGCONT));
    }

    [Fact]
    public void Kill_ProcessGroup_ReachesItsMembersOnly()
    {
        Task member = _kernel.NewProcess(_init.Group), other = _kernel.NewProcess(_init.Group);
        member.Group.ProcessGroup = _task.Group.ProcessGroup;
        member.Signals.Mask = other.Signals.Mask = _task.Signals.Mask = Signal.Bit(Signal.SIGTERM);
        Assert.Equal(0, _kernel.Do(_task, Sysno.kill, 0, Signal.SIGTERM));
        Assert.Equal((true, true, false), (_task.Group.Pending.Has(15), member.Group.Pending.Has(15), other.Group.Pending.Has(15)));
        Assert.Equal(0, _kernel.Do(_task, Sysno.kill, ulong.MaxValue, Signal.SIGTERM));
        Assert.Equal((true, false), (other.Group.Pending.Has(15), _init.Group.Pending.Has(15)));
    }

    [Fact]
    public void Tgkill_WrongGroup_ReturnsEsrch()
    {
        Assert.Equal(-(long)Errno.ESRCH, _kernel.Do(_task, Sysno.tgkill, (ulong)_init.Tid, (ulong)_task.Tid, 0));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.tgkill, 0, (ulong)_task.Tid, 0));
        Assert.Equal(0, _kernel.Do(_task, Sysno.tgkill, (ulong)_task.Group.Pid, (ulong)_task.Tid, 0));
    }

    [Fact]
    public void RtSigqueueinfo_ForgedCode_ReturnsEperm()
    {
        ulong info = _kernel.PutLongs(_task, new long[16]);
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(_task, Sysno.rt_sigqueueinfo, (ulong)_init.Group.Pid, 40, info));
    }

    private ulong Queued(Task task, long value) => _kernel.PutLongs(task, [0, unchecked((uint)SignalCode.SI_QUEUE), 7, value, .. new long[12]]);
}
