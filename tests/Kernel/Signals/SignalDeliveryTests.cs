using Tests.Kernel.Fakes;

namespace Tests.Kernel.Signals;

public sealed class SignalDeliveryTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _init;
    private readonly Task _task;

    public SignalDeliveryTests()
    {
        _init = _kernel.NewProcess();
        _task = _kernel.NewProcess(_init.Group);
        _task.Group.Session = _init.Group.Session;
    }

    // ---- sending ------------------------------------------------------------------------------------------------

    [Fact]
    public void SendToProcess_DefaultIgnored_IsDropped()
    {
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGCHLD));
        Assert.Equal(0UL, _task.Group.Pending.Set);
    }

    [Fact]
    public void SendToProcess_IgnoredButBlocked_IsKept()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGCHLD);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGCHLD));
        Assert.True(_task.Group.Pending.Has(Signal.SIGCHLD));
        Assert.False(SignalDelivery.HasDeliverable(_task));
    }

    [Fact]
    public void SendToProcess_RunningThread_IsInterrupted()
    {
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTERM));
        Assert.Equal(1, TestKernel.ThreadOf(_task).Interrupts);
    }

    [Fact]
    public void SendToProcess_MainThreadBlocksIt_OtherThreadIsChosen()
    {
        Task other = _kernel.NewThread(_task);
        _task.Signals.Mask = Signal.Bit(Signal.SIGTERM);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTERM));
        Assert.Equal((0, 1), (TestKernel.ThreadOf(_task).Interrupts, TestKernel.ThreadOf(other).Interrupts));
    }

    [Fact]
    public void SendToProcess_InitFromInside_WithoutHandlerIsDropped()
    {
        SignalDelivery.SendToProcess(_init.Group, SignalInfo.User(Signal.SIGKILL, _task), _task);
        Assert.False(SignalDelivery.HasDeliverable(_init));
        SignalDelivery.SendToProcess(_init.Group, SignalInfo.Kernel(Signal.SIGKILL));
        Assert.True(SignalDelivery.HasDeliverable(_init));
    }

    [Fact]
    public void SendToTask_RealTimeBeyondTheLimit_ReturnsEagain()
    {
        _task.Signals.Mask = ulong.MaxValue & ~Signal.Unblockable;
        _task.Group.Limits[ResourceLimits.SigPending] = new ResourceLimit { Soft = 2, Hard = 2 };
        Errno Send() => SignalDelivery.SendToTask(_task, new SignalInfo { Number = 40, Code = SignalCode.SI_QUEUE });
        Assert.Equal([Errno.None, Errno.None, Errno.EAGAIN], [Send(), Send(), Send()]);
    }

    [Fact]
    public void NotifyParentOfExit_Ignored_IsReapedWithoutSignal()
    {
        _task.Group.WaitStatus = 0x300;
        Assert.False(SignalDelivery.NotifyParentOfExit(_task.Group));
        _init.Group.Actions[Signal.SIGCHLD].Handler = SignalAct.SIG_IGN;
        Assert.True(SignalDelivery.NotifyParentOfExit(_task.Group));
        Assert.Equal(0UL, _init.Group.Pending.Set);
    }

    [Fact]
    public void NotifyParentOfExit_Handler_GetsCodeAndStatus()
    {
        Handle(_init, Signal.SIGCHLD);
        _task.Group.WaitStatus = 9;
        SignalDelivery.NotifyParentOfExit(_task.Group, Signal.SIGCHLD, 5);
        SignalInfo info = SignalDelivery.TryDequeue(_init, ulong.MaxValue)!;
        Assert.Equal((SignalCode.CLD_KILLED, _task.Group.Pid, 5U, 9), (info.Code, info.Pid, info.Uid, info.Status));
    }

    // ---- default actions ----------------------------------------------------------------------------------------

    [Fact]
    public void DeliverPending_Fatal_EndsTheProcess()
    {
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTERM));
        Stop(_task);
        Assert.Equal(DeliveryOutcome.Dead, SignalDelivery.Resume(_task));
        Assert.Equal(Signal.SIGTERM, _task.Group.WaitStatus);
    }

    [Fact]
    public void DeliverPending_Stop_ParksAndContinueResumes()
    {
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGSTOP));
        Stop(_task);
        Assert.Equal(DeliveryOutcome.StayStopped, SignalDelivery.Resume(_task));
        Assert.True(_task.Group.Job is { IsStopped: true, StopUnreported: true, StopStatus: 0x137f });
        Assert.Equal(GuestThreadState.Stopped, _task.Thread.State);

        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGCONT));
        Assert.True(_task.Group.Job is { IsStopped: false, StopUnreported: false, ContinueUnreported: true });
        Assert.Equal(GuestThreadState.Running, _task.Thread.State);
    }

    [Fact]
    public void DeliverPending_StopOfManyThreads_InterruptsTheOthers()
    {
        Task other = _kernel.NewThread(_task);
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGSTOP));
        Stop(_task);
        SignalDelivery.Resume(_task);
        Assert.Equal(1, TestKernel.ThreadOf(other).Interrupts);
        Stop(other);
        Assert.Equal(DeliveryOutcome.StayStopped, SignalDelivery.Resume(other));
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGCONT));
        Assert.Equal((GuestThreadState.Running, GuestThreadState.Running), (_task.Thread.State, other.Thread.State));
    }

    [Fact]
    public void SendToProcess_KillWhileStopped_EndsTheProcess()
    {
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGSTOP));
        Stop(_task);
        SignalDelivery.Resume(_task);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTERM));
        Assert.Null(_task.Group.WaitStatus);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGKILL));
        Assert.Equal(Signal.SIGKILL, _task.Group.WaitStatus);
    }

    [Fact]
    public void DeliverPending_TerminalStopOfAnOrphanedGroup_IsIgnored()
    {
        _task.Group.Parent = null;
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTSTP));
        Stop(_task);
        Assert.Equal(DeliveryOutcome.Run, SignalDelivery.Resume(_task));
        Assert.False(_task.Group.Job.IsStopped);
    }

    [Fact]
    public void SendToProcess_ContinueAndStop_DiscardEachOther()
    {
        _task.Signals.Mask = ulong.MaxValue & ~Signal.Unblockable;
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTSTP));
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGCONT));
        Assert.Equal(Signal.Bit(Signal.SIGCONT), _task.Group.Pending.Set);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGTTIN));
        Assert.Equal(Signal.Bit(Signal.SIGTTIN), _task.Group.Pending.Set);
    }

    // ---- interrupted calls --------------------------------------------------------------------------------------

    [Fact]
    public void InterruptBlocked_Handler_EndsInEintr()
    {
        Handle(_task, Signal.SIGUSR1);
        Assert.Null(_kernel.Call(_task, Sysno.pause));
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        Assert.True(SignalDelivery.InterruptBlocked(_task));
        Assert.Equal(-(long)Errno.EINTR, TestKernel.Result(_task));
        _task.Thread.GetRegisters(out GuestRegisters registers);
        Assert.Equal((ulong)Signal.SIGUSR1, registers.Rdi);
        Assert.Equal((TaskState.Running, GuestThreadState.Running), (_task.State, _task.Thread.State));
    }

    [Fact]
    public void InterruptBlocked_RestartingHandler_Rewinds()
    {
        ulong word = _kernel.PutInts(_task, 5);
        Handle(_task, Signal.SIGUSR1, SignalAct.SA_RESTART);
        Assert.Null(_kernel.Call(_task, Sysno.futex, word, 0, 5, 0));
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        Assert.True(SignalDelivery.InterruptBlocked(_task));
        Assert.Null(TestKernel.Result(_task));
        Assert.Null(_task.CurrentCall);
    }

    [Fact]
    public void InterruptBlocked_NothingToDo_LeavesTheCall()
    {
        _kernel.Call(_task, Sysno.pause);
        _task.Signals.Pending.Add(SignalInfo.Kernel(Signal.SIGCHLD));
        Assert.False(SignalDelivery.InterruptBlocked(_task));
        Assert.True(_task.IsBlocked);
        Assert.Equal(0UL, _task.Signals.Pending.Set);
    }

    [Fact]
    public void InterruptBlocked_Fatal_EndsTheProcess()
    {
        _kernel.Call(_task, Sysno.pause);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGINT));
        Assert.True(SignalDelivery.InterruptBlocked(_task));
        Assert.Equal(Signal.SIGINT, _task.Group.WaitStatus);
    }

    [Fact]
    public void RtSigsuspend_Interrupted_FrameHoldsTheOuterMask()
    {
        Handle(_task, Signal.SIGUSR1);
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR1);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        ulong none = _kernel.PutLongs(_task, 0);
        _kernel.Call(_task, Sysno.rt_sigsuspend, none, 8);
        if (_task.IsBlocked)
            Assert.True(SignalDelivery.InterruptBlocked(_task));
        Assert.Equal(-(long)Errno.EINTR, TestKernel.Result(_task));
        Assert.False(_task.Signals.HasTemporaryMask);
        _task.Thread.GetRegisters(out GuestRegisters registers);
        Assert.Equal((long)Signal.Bit(Signal.SIGUSR1), TestKernel.GetLong(_task, registers.Rsp + 8 + 296));
    }

    [Fact]
    public void DeliverPending_CallSuspendedByACheckpoint_IsInterruptedAsInAwait()
    {
        Handle(_task, Signal.SIGUSR1);
        _kernel.Call(_task, Sysno.pause);
        Suspend(_task);
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.Kernel(Signal.SIGUSR1));
        Assert.Equal(DeliveryOutcome.Run, SignalDelivery.DeliverPending(_task));
        Assert.Null(_task.CurrentCall);
        _task.Thread.GetRegisters(out GuestRegisters registers);
        Assert.Equal(-(long)Errno.EINTR, TestKernel.GetLong(_task, registers.Rsp + 48 + 104));
        Assert.Equal(0x400002, TestKernel.GetLong(_task, registers.Rsp + 48 + 128));
    }

    [Fact]
    public void DeliverPending_SuspendedUnderATemporaryMask_KeepsIt()
    {
        _task.Signals.Mask = 1;
        _kernel.Call(_task, Sysno.rt_sigsuspend, _kernel.PutLongs(_task, 2), 8);
        Suspend(_task);
        Assert.Equal(DeliveryOutcome.Run, SignalDelivery.DeliverPending(_task));
        Assert.Equal((2UL, 1UL), (_task.Signals.Mask, _task.Signals.OuterMask));
    }

    private static void Suspend(Task task)
    {
        task.Thread.Stop();
        task.Call.Suspended = true;
        task.ClearWaits();
        task.State = TaskState.Running;
    }

    private static void Stop(Task task) => TestKernel.ThreadOf(task).State = GuestThreadState.Stopped;

    private static void Handle(Task task, int signal, ulong flags = 0)
    {
        task.Group.Actions[signal] = new SignalAction { Handler = 0x401000, Flags = flags | SignalAct.SA_RESTORER, Restorer = 0x402000 };
        task.Thread.SetRegisters(new GuestRegisters { Rsp = TestKernel.Base + TestKernel.Size - 64, Rip = 0x400000 });
    }
}
