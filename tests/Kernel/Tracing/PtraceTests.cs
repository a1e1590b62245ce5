using Tests.Kernel.Fakes;

namespace Tests.Kernel.Tracing;

public sealed class PtraceTests
{
    private const int WNoHang = 1;

    private readonly TestKernel _kernel = new();
    private readonly Task _tracer;
    private readonly Task _tracee;

    public PtraceTests()
    {
        _kernel.NewProcess();
        _tracer = _kernel.NewProcess();
        _tracee = _kernel.NewProcess(_tracer.Group);
    }

    private long Ptrace(int request, ulong address = 0, ulong data = 0) => _kernel.Do(_tracer, Sysno.ptrace, (ulong)request, (ulong)_tracee.Tid, address, data);

    private (long Pid, int Status) Wait()
    {
        ulong status = _kernel.Allocate(4);
        long pid = _kernel.Do(_tracer, Sysno.wait4, unchecked((ulong)-1), status, WNoHang, 0);
        return (pid, TestKernel.GetInt(_tracer, status));
    }

    private void TraceMe() => Assert.Equal(0, _kernel.Do(_tracee, Sysno.ptrace, PTRACE.TRACEME));

    /// <summary>Has the tracee come by with its thread stopped, as after an interrupt.</summary>
    private DeliveryOutcome ComeBy()
    {
        TestKernel.ThreadOf(_tracee).Stop();
        return SignalDelivery.Resume(_tracee);
    }

    [Fact]
    public void Signal_Traced_StopsAndIsReported()
    {
        TraceMe();
        SignalDelivery.SendToTask(_tracee, SignalInfo.User(Signal.SIGUSR1, _tracer));
        Assert.Equal(DeliveryOutcome.StayStopped, ComeBy());
        Assert.Equal((_tracee.Tid, Signal.SIGUSR1 << 8 | 0x7f), Wait());
        Assert.Equal(0, Wait().Pid);
        Assert.True(_tracer.Group.Pending.Has(Signal.SIGCHLD) || _tracer.Group.Actions.DoesNothing(Signal.SIGCHLD));
    }

    [Fact]
    public void Cont_WithoutSignal_ForgetsIt()
    {
        TraceMe();
        SignalDelivery.SendToTask(_tracee, SignalInfo.User(Signal.SIGTERM, _tracer));
        ComeBy();
        Assert.Equal(0, Ptrace(PTRACE.CONT));
        Assert.Equal(GuestThreadState.Running, _tracee.Thread.State);
        Assert.Null(_tracee.Group.WaitStatus);
    }

    [Fact]
    public void Cont_WithTheSignal_EndsTheProcess()
    {
        TraceMe();
        SignalDelivery.SendToTask(_tracee, SignalInfo.User(Signal.SIGTERM, _tracer));
        ComeBy();
        Assert.Equal(0, Ptrace(PTRACE.CONT, 0, Signal.SIGTERM));
        Assert.Equal((_tracee.Tid, Signal.SIGTERM), Wait());
    }

    [Fact]
    public void IgnoredSignal_Traced_StopsAllTheSame()
    {
        TraceMe();
        SignalDelivery.SendToTask(_tracee, SignalInfo.Kernel(Signal.SIGWINCH));
        Assert.Equal(DeliveryOutcome.StayStopped, ComeBy());
    }

    [Fact]
    public void Kill_InAStop_EndsIt()
    {
        TraceMe();
        SignalDelivery.SendToTask(_tracee, SignalInfo.User(Signal.SIGUSR1, _tracer));
        ComeBy();
        SignalDelivery.SendToTask(_tracee, SignalInfo.Kernel(Signal.SIGKILL));
        SignalDelivery.Resume(_tracee);
        Assert.Equal(Signal.SIGKILL, _tracee.Group.WaitStatus);
    }

    [Fact]
    public void Requests_NotStopped_ReturnEsrch()
    {
        Assert.Equal(-(long)Errno.ESRCH, Ptrace(PTRACE.CONT));
        TraceMe();
        Assert.Equal(-(long)Errno.ESRCH, Ptrace(PTRACE.CONT));
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(_tracee, Sysno.ptrace, PTRACE.TRACEME));
        Assert.Equal(-(long)Errno.EPERM, Ptrace(PTRACE.ATTACH));
        Assert.Equal(-(long)Errno.EIO, Ptrace(PTRACE.INTERRUPT));
    }

    [Fact]
    public void Interrupt_BlockedCall_ShowsItAndMakesItAgain()
    {
        Assert.Null(_kernel.Call(_tracee, Sysno.pause));
        Assert.Equal(0, Ptrace(PTRACE.SEIZE));
        Assert.Equal(0, Ptrace(PTRACE.INTERRUPT));
        Assert.True(SignalDelivery.InterruptBlocked(_tracee));
        Assert.Equal((_tracee.Tid, (Signal.SIGTRAP | PTRACE.EVENT_STOP << 8) << 8 | 0x7f), Wait());
        ulong place = _kernel.Allocate(UserRegs.Size);
        Assert.Equal(0, Ptrace(PTRACE.GETREGS, 0, place));
        Assert.True(_tracer.TryRead(place, out UserRegs registers));
        Assert.Equal((ulong)Sysno.pause, registers.OrigRax);
        Assert.Equal(-PTRACE.ERESTARTNOHAND, (long)registers.Rax);
        Assert.Equal(0, Ptrace(PTRACE.CONT));
        _tracee.Thread.GetRegisters(out GuestRegisters after);
        Assert.Equal((ulong)Sysno.pause, after.Rax);
        Assert.Equal(registers.Rip - 2, after.Rip);
        Assert.True(_tracee.CurrentCall is { Suspended: true });
    }

    [Fact]
    public void TracerEnds_TraceesRunOn_OrEndWithIt()
    {
        Assert.Equal(0, Ptrace(PTRACE.SEIZE, 0, PTRACE.O_EXITKILL));
        Lifecycle.KillGroup(_tracer.Group, 0);
        Assert.Null(_tracee.Trace);
        Assert.True(_tracee.Group.Pending.Has(Signal.SIGKILL));
    }

    [Fact]
    public void AnothersChild_ParentWaitsForTheTracer()
    {
        Task stranger = _kernel.NewProcess();
        Assert.Equal(0, _kernel.Do(stranger, Sysno.ptrace, PTRACE.SEIZE, (ulong)_tracee.Tid, 0, 0));
        Lifecycle.KillGroup(_tracee.Group, Signal.SIGKILL);
        Assert.Equal(0, Wait().Pid);
        ulong status = _kernel.Allocate(4);
        Assert.Equal(_tracee.Tid, _kernel.Do(stranger, Sysno.wait4, (ulong)_tracee.Tid, status, 0, 0));
        Assert.Equal((_tracee.Tid, Signal.SIGKILL), Wait());
    }
}
