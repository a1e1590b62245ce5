namespace Sentry.Kernel.Tracing;

/// <summary>Where traced tasks stop and how they go on (ptrace_stop, ptrace_signal, ptrace_resume). Everything here has the thread Stopped and is done
/// where a task comes by on its way back to guest code (<see cref="SignalDelivery.DeliverPending"/>), so a stop holds no host thread and is
/// saved like any other state.</summary>
internal static class TraceStops
{
    internal const ulong TrapFlag = 0x100;

    private const ulong CallInstructionLength = 2;

    /// <summary>Whether a task that comes by is in a stop or enters one that is not a signal's. Its thread is Stopped.</summary>
    internal static bool ComeBy(Task task, TraceState trace)
    {
        ClearTrapFlag(task, trace);
        if (trace.IsStopped)
            return true;
        if (trace.PassCall)
            return false;
        if (trace.Event != 0)
        {
            int code = Signal.SIGTRAP | trace.Event << 8;
            trace.Message = trace.EventMessage;
            trace.Event = 0;
            Enter(task, trace, TraceStop.Event, code, Trap(task, code));
            return true;
        }

        // The parent of a vfork is in that call until its child lets go of the memory.
        if (trace.ExitDue && !task.WaitsForVfork)
        {
            trace.ExitDue = false;
            int code = Signal.SIGTRAP | (trace.Has(PTRACE.O_TRACESYSGOOD) ? 0x80 : 0);
            Enter(task, trace, TraceStop.CallExit, code, Trap(task, code));
            return true;
        }

        if (trace.StepDue)
        {
            trace.StepDue = false;
            task.Thread.GetRegisters(out GuestRegisters registers);
            SignalDelivery.Force(task, SignalInfo.Fault(Signal.SIGTRAP, SignalCode.TRAP_TRACE, registers.Rip));
        }

        JobState job = task.Group.Job;
        if (job.IsStopped && !trace.GroupStopSeen && !trace.RunsInGroupStop)
        {
            trace.GroupStopSeen = true;
            trace.TrapWanted = false;
            Enter(task, trace, TraceStop.Group, trace.Seized ? job.StopSignal | PTRACE.EVENT_STOP << 8 : job.StopSignal, trace.Seized ? Trap(task, job.StopSignal | PTRACE.EVENT_STOP << 8) : null);
            return true;
        }

        if (trace.TrapWanted)
        {
            trace.TrapWanted = false;
            int code = (job.IsStopped ? job.StopSignal : Signal.SIGTRAP) | PTRACE.EVENT_STOP << 8;
            Enter(task, trace, job.IsStopped ? TraceStop.Group : TraceStop.Event, code, Trap(task, code));
            return true;
        }

        return false;
    }

    /// <summary>A signal was taken off the queues: its tracer decides what becomes of it.</summary>
    internal static void OnSignal(Task task, TraceState trace, SignalInfo info) => Enter(task, trace, TraceStop.Signal, info.Number, info);

    /// <summary>A traced task makes a call; true when it was stopped at its entry and is to make it again.</summary>
    internal static bool OnCall(Task task, TraceState trace, int number)
    {
        if (trace.PassCall)
        {
            trace.PassCall = false;
            return false;
        }

        if (trace.Mode is not (TraceMode.Call or TraceMode.Emulate or TraceMode.EmulateStep))
            return false;
        task.Thread.Stop();
        trace.Emulated = trace.Mode != TraceMode.Call;
        trace.Call = number;
        trace.AtInstruction = true;
        int code = Signal.SIGTRAP | (trace.Has(PTRACE.O_TRACESYSGOOD) ? 0x80 : 0);
        Enter(task, trace, TraceStop.CallEntry, code, Trap(task, code));
        return true;
    }

    /// <summary>A filter says that the tracer is to decide on a call that begins: it is stopped, and makes the call again.</summary>
    internal static void OnFiltered(Task task, TraceState trace, int number, uint data)
    {
        const int code = Signal.SIGTRAP | PTRACE.EVENT_SECCOMP << 8;
        task.Thread.Stop();
        task.CurrentCall = null;
        trace.Call = number;
        trace.AtInstruction = true;
        trace.FilterSeen = true;
        trace.Message = data;
        Enter(task, trace, TraceStop.Event, code, Trap(task, code));
    }

    /// <summary>A call has been answered: what its tracer is to see of that.</summary>
    internal static void OnAnswered(TraceState trace, int number)
    {
        trace.ExitDue = trace.Mode == TraceMode.Call;
        trace.StepDue |= trace.Steps;
        trace.Call = trace.ExitDue || trace.Event != 0 ? number : -1;
    }

    /// <summary>Whether a task whose call has been answered must be stopped before it runs on.</summary>
    internal static bool StopsAfterCall(TraceState trace) => trace.ExitDue || trace.StepDue || trace.Event != 0;

    /// <summary>A call that waits is interrupted: it is made again, with what it remembers, unless a handler ends it. Its thread is Stopped afterwards.</summary>
    internal static void InterruptCall(Task task, TraceState trace)
    {
        CallContext call = task.Call;
        task.ClearWaits();
        task.State = TaskState.Running;
        task.Kernel.Strace?.OnInterrupted(task, call.InterruptMode);
        if (call.State?.ValueIfInterrupted is { } partial)
        {
            task.Thread.ReturnAndStop(partial);
            task.CurrentCall = null;
        }
        else
        {
            task.Thread.Stop();
            call.Suspended = true;
            trace.AtInstruction = true;
        }

        trace.Call = call.Number;
        trace.ExitDue = trace.Mode == TraceMode.Call;
        SignalDelivery.Resume(task);
    }

    /// <summary>exit(2) and exit_group(2) of a task whose tracer wants to see that; true when it has been stopped and will make the call again.</summary>
    internal static bool OnExit(Task task, int status)
    {
        if (task.Trace is not { ExitSeen: false } trace || !trace.Has(PTRACE.O_TRACEEXIT))
            return false;
        trace.ExitSeen = true;
        trace.Call = task.Call.Number;
        task.Thread.Stop();
        task.CurrentCall = null;
        trace.AtInstruction = true;
        ShowExit(task, trace, status);
        return true;
    }

    /// <summary>A signal is about to end a task; true when its tracer is shown that first. The signal comes again.</summary>
    internal static bool OnFatalSignal(Task task, SignalInfo info, int status)
    {
        if (task.Trace is not { ExitSeen: false } trace || info.Number == Signal.SIGKILL || !trace.Has(PTRACE.O_TRACEEXIT))
            return false;
        trace.ExitSeen = true;
        trace.Injected = info;
        ShowExit(task, trace, status);
        return true;
    }

    /// <summary>Lets a stopped tracee go on. A signal given at a signal's stop takes that one's place, at a call's stop it is sent.</summary>
    internal static void GoOn(Task task, TraceState trace, TraceMode mode, int signal)
    {
        TraceStop stop = trace.Stop;
        trace.Mode = mode;
        trace.Stop = TraceStop.None;
        trace.Unreported = trace.Listening = trace.StepDue = false;
        trace.RunsInGroupStop = task.Group.Job.IsStopped && stop != TraceStop.CallEntry;
        Rewind(task, trace, stop);
        if (signal != 0)
        {
            SignalInfo info = stop == TraceStop.Signal && trace.Info is { } taken && taken.Number == signal ? taken : SignalInfo.User(signal, trace.Tracer.Pid, trace.Tracer.LastUid);
            if (stop == TraceStop.Signal)
                trace.Injected = info;
            else if (stop is TraceStop.CallEntry or TraceStop.CallExit)
                SignalDelivery.SendToTask(task, info);
        }

        SignalDelivery.Resume(task);
    }

    /// <summary>The tracer lets go of a task for good.</summary>
    internal static void Detach(Task task, TraceState trace, int signal)
    {
        trace.Options = 0;
        if (!trace.IsStopped)
        {
            task.Trace = null;
            return;
        }

        TraceStop stop = trace.Stop;
        trace.Mode = TraceMode.Continue;
        trace.Stop = TraceStop.None;
        Rewind(task, trace, stop);
        SignalInfo? info = signal == 0 ? null : stop == TraceStop.Signal && trace.Info is { } taken && taken.Number == signal ? taken : SignalInfo.User(signal, trace.Tracer.Pid, trace.Tracer.LastUid);
        bool passCall = trace.PassCall;
        task.Trace = null;
        if (info is not null)
            SignalDelivery.SendToTask(task, info);
        if (passCall)
            task.Thread.Resume();
        else
            SignalDelivery.Resume(task);
    }

    /// <summary>A tracer has ended: its tracees run on, or end with it (PTRACE_O_EXITKILL).</summary>
    internal static void OnTracerEnded(ThreadGroup tracer)
    {
        GuestKernel kernel = tracer.Kernel;
        foreach (Task task in kernel.Tasks.Values.ToArray())
        {
            if (task.Trace is not { } trace || !ReferenceEquals(trace.Tracer, tracer))
                continue;
            if (trace.Has(PTRACE.O_EXITKILL))
                SignalDelivery.SendToProcess(task.Group, SignalInfo.Kernel(Signal.SIGKILL));
            Detach(task, trace, 0);
        }

        foreach (TraceeExit exit in tracer.TraceeExits.ToArray())
            Consume(tracer, exit);
    }

    /// <summary>A traced task has ended, the process perhaps with it: the tracer hears of it first (exit_notify).</summary>
    internal static void OnTaskEnded(Task task, TraceState trace, int status)
    {
        ThreadGroup tracer = trace.Tracer;
        ThreadGroup group = task.Group;
        task.Trace = null;
        if (tracer.WaitStatus is not null || ReferenceEquals(tracer, group))
            return;
        if (task.Tid == group.Pid)
        {
            group.TracedBy = tracer;
            return;
        }

        Report(tracer, new TraceeExit { Tid = task.Tid, Status = status, Uid = task.Credentials.Uid, Group = group });
    }

    /// <summary>A process has ended whose leader was traced by another than its parent: true when the parent must wait for that one.</summary>
    internal static bool HoldForTracer(ThreadGroup group, int status)
    {
        ThreadGroup? tracer = group.TracedBy;
        if (tracer is null || tracer.WaitStatus is not null || ReferenceEquals(tracer, group.Parent))
        {
            group.TracedBy = null;
            return false;
        }

        bool hasParent = group.Parent is not null;
        Report(tracer, new TraceeExit { Tid = group.Pid, Status = status, Uid = group.LastUid, Group = group, IsHeld = hasParent });
        if (!hasParent)
            group.TracedBy = null;
        return hasParent;
    }

    /// <summary>The tracer has waited for an end: now the parent may.</summary>
    internal static void Consume(ThreadGroup tracer, TraceeExit exit)
    {
        tracer.TraceeExits.Remove(exit);
        if (!exit.IsHeld)
            return;
        ThreadGroup zombie = exit.Group;
        zombie.TracedBy = null;
        if (SignalDelivery.NotifyParentOfExit(zombie, zombie.ExitSignal, zombie.LastUid))
            Lifecycle.Reap(zombie);
    }

    /// <summary>A process begins to be stopped anew, or goes on: what was shown of its last stop is forgotten, and tracers that listen are told.</summary>
    internal static void OnGroup(ThreadGroup group, bool continues)
    {
        foreach (Task task in group.Tasks)
        {
            if (task.Trace is not { } trace)
                continue;
            trace.GroupStopSeen = trace.RunsInGroupStop = false;
            if (continues && trace.Seized)
                WantTrap(task, trace);
        }
    }

    /// <summary>Has a seized task stop with PTRACE_EVENT_STOP as soon as it can.</summary>
    internal static void WantTrap(Task task, TraceState trace)
    {
        trace.TrapWanted = true;
        if (trace.Listening)
        {
            trace.Listening = false;
            trace.Stop = TraceStop.None;
            Rewind(task, trace, TraceStop.Group);
        }

        ComeSoon(task, trace);
    }

    /// <summary>Makes a task come by, wherever it is.</summary>
    internal static void ComeSoon(Task task, TraceState trace)
    {
        if (trace.IsStopped)
            return;
        if (task.State == TaskState.Blocked)
            task.MakeReady();
        else if (task.State == TaskState.Running && task.Thread.State == GuestThreadState.Running)
            task.Thread.Interrupt();
        else if (task.State == TaskState.Running && task.Thread.State == GuestThreadState.Stopped)
            task.Kernel.Host.Platform.Post(() => Look(task));
    }

    /// <summary>The trap flag has stopped a task behind an instruction: where no tracer steps but watches, it goes on or shows what it met. False when that is
    /// a signal like others.</summary>
    internal static bool OnTrap(Task task, TraceState trace, in GuestFault fault)
    {
        if (fault.Signal != Signal.SIGTRAP || fault.Code != SignalCode.TRAP_TRACE || !trace.TrapFlag || trace.Debug is not { IsArmed: true } debug)
            return false;
        bool met = debug.Notice(task, trace.Steps);
        if (trace.Steps)
            return false;
        if (met)
        {
            task.Thread.GetRegisters(out GuestRegisters registers);
            SignalDelivery.Force(task, SignalInfo.Fault(Signal.SIGTRAP, SignalCode.TRAP_HWBKPT, registers.Rip));
        }

        SignalDelivery.Resume(task);
        return true;
    }

    /// <summary>Sets the trap flag of a task that is about to run one instruction.</summary>
    internal static void BeforeRun(Task task, TraceState trace)
    {
        if (!trace.Steps && trace.Debug is not { IsArmed: true })
            return;
        task.Thread.GetRegisters(out GuestRegisters registers);
        if ((registers.Eflags & TrapFlag) != 0)
            return;
        registers.Eflags |= TrapFlag;
        task.Thread.SetRegisters(in registers);
        trace.TrapFlag = true;
    }

    /// <summary>The siginfo of a stop that no signal made (ptrace_notify).</summary>
    private static SignalInfo Trap(Task task, int code) => SignalInfo.User(Signal.SIGTRAP, task.Tid, task.Credentials.Uid, code);

    private static void Look(Task task)
    {
        if (task.State == TaskState.Running && task.Thread.State == GuestThreadState.Stopped)
            SignalDelivery.Resume(task);
    }

    private static void ShowExit(Task task, TraceState trace, int status)
    {
        const int code = Signal.SIGTRAP | PTRACE.EVENT_EXIT << 8;
        trace.Message = (ulong)status;
        Enter(task, trace, TraceStop.Event, code, Trap(task, code));
    }

    private static void Report(ThreadGroup tracer, TraceeExit exit)
    {
        tracer.TraceeExits.Add(exit);
        int signal = exit.Status & 0x7f;
        int code = signal == 0 ? SignalCode.CLD_EXITED : (exit.Status & 0x80) != 0 ? SignalCode.CLD_DUMPED : SignalCode.CLD_KILLED;
        SignalDelivery.SendToProcess(tracer, SignalInfo.Child(Signal.SIGCHLD, code, exit.Tid, exit.Uid, signal == 0 ? exit.Status >> 8 & 0xff : signal));
        tracer.ChildWait.Wake();
    }

    private static void Enter(Task task, TraceState trace, TraceStop stop, int code, SignalInfo? info)
    {
        trace.Stop = stop;
        trace.Code = code;
        trace.Info = info;
        trace.Unreported = true;
        trace.Listening = false;
        Unwind(task, trace, stop);
        ThreadGroup tracer = trace.Tracer;
        ref SignalAction action = ref tracer.Actions[Signal.SIGCHLD];
        if (!action.IsIgnored && !action.Has(SignalAct.SA_NOCLDSTOP))
            SignalDelivery.SendToProcess(tracer, SignalInfo.Child(Signal.SIGCHLD, stop == TraceStop.Group ? SignalCode.CLD_STOPPED : SignalCode.CLD_TRAPPED, task.Tid, task.Credentials.Uid, code & 0x7f));
        tracer.ChildWait.Wake();
    }

    /// <summary>Shows the registers of a thread at a call's instruction as the host's kernel has them inside the call.</summary>
    private static void Unwind(Task task, TraceState trace, TraceStop stop)
    {
        CallContext? suspended = task.CurrentCall is { Suspended: true } call ? call : null;
        if (!trace.AtInstruction && suspended is not null)
        {
            trace.Call = suspended.Number;
            trace.AtInstruction = true;
        }

        if (!trace.AtInstruction)
        {
            if (stop is not (TraceStop.CallExit or TraceStop.Event))
                trace.Call = -1;
            return;
        }

        trace.AtInstruction = false;
        bool entering = stop == TraceStop.CallEntry || suspended is null;
        int error = entering ? (int)Errno.ENOSYS : suspended!.InterruptMode == InterruptMode.Restart ? PTRACE.ERESTARTSYS : PTRACE.ERESTARTNOHAND;
        task.Thread.GetRegisters(out GuestRegisters registers);
        InterruptedCall.SetAnswer(ref registers, -error);
        task.Thread.SetRegisters(in registers);
        trace.PassCall = entering;
    }

    /// <summary>The way back: to the call's instruction when the call is to be made (again), which the tracer may have changed or forbidden.</summary>
    private static void Rewind(Task task, TraceState trace, TraceStop stop)
    {
        bool entering = trace.PassCall;
        trace.PassCall = false;
        task.Thread.GetRegisters(out GuestRegisters registers);
        bool restarts = trace.Call >= 0 && -(long)registers.Rax is PTRACE.ERESTARTSYS or PTRACE.ERESTARTNOINTR or PTRACE.ERESTARTNOHAND or PTRACE.ERESTART_RESTARTBLOCK;
        if (entering && (trace.Call < 0 || trace.Emulated))
        {
            // The tracer forbids the call, or makes it itself; its result stands in rax, and the exit is shown.
            task.CurrentCall = null;
            trace.FilterSeen = trace.Emulated = false;
            trace.ExitDue = trace.Mode == TraceMode.Call;
            trace.StepDue |= trace.Mode == TraceMode.Step;
            return;
        }

        if (!entering && !restarts)
        {
            if (task.CurrentCall is { Suspended: true })
                task.CurrentCall = null;
            trace.Call = stop == TraceStop.Event && trace.ExitDue ? trace.Call : -1;
            return;
        }

        registers.Rip -= CallInstructionLength;
        registers.Rax = (ulong)trace.Call;
        task.Thread.SetRegisters(in registers);
        trace.PassCall = entering;
    }

    private static void ClearTrapFlag(Task task, TraceState trace)
    {
        if (!trace.TrapFlag)
            return;
        trace.TrapFlag = false;
        task.Thread.GetRegisters(out GuestRegisters registers);
        registers.Eflags &= ~TrapFlag;
        task.Thread.SetRegisters(in registers);
    }
}
