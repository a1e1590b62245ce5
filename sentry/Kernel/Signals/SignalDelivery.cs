namespace Sentry.Kernel.Signals;

/// <summary>What has become of a task whose signals were delivered.</summary>
public enum DeliveryOutcome
{
    /// <summary>It may run on: the caller resumes its thread.</summary>
    Run,

    /// <summary>Its process is stopped: the thread stays Stopped until SIGCONT.</summary>
    StayStopped,

    /// <summary>It has been ended.</summary>
    Dead,
}

/// <summary>Raising signals, and acting on them.
/// <para>Raising (Send…) only marks a signal pending and nudges the target, so that it may be done by whoever holds the kernel lock (timers, the
/// control connection). What a signal does (handlers, default actions, interrupted calls) is done on the dispatch thread alone.</para>
/// <para>The dispatch loop's part: a ready task whose process is stopped is left alone (<see cref="MayRetry"/>); else its call is tried
/// first, as Linux looks at the condition before the signal; a try that blocks while <see cref="HasDeliverable"/> goes to
/// <see cref="InterruptBlocked"/>; one that ends while <see cref="HasDeliverable"/> is answered by ReturnAndStop and <see cref="Resume"/>.
/// OnInterrupted and everything else that has a thread Stopped ends in <see cref="Resume"/> too.</para></summary>
public static class SignalDelivery
{
    /// <summary>To one thread (tgkill(2), faults). <paramref name="sender"/> is null when the kernel or the world outside sends.
    /// EAGAIN: RLIMIT_SIGPENDING.</summary>
    public static Errno SendToTask(Task target, SignalInfo info, Task? sender = null)
    {
        if (target.State == TaskState.Dead || !Prepare(target, info.Number, sender))
            return Errno.None;
        Errno error = Queue(target.Group, target.Signals.Pending, info.ShownTo(target));
        if (error != Errno.None)
            return error;
        target.Group.SignalWait.Wake();
        if (Wants(target, info.Number))
            Notify(target);
        return Errno.None;
    }

    /// <summary>To a process as a whole (kill(2), timers, SIGCHLD); a thread that does not block it will take it.</summary>
    public static Errno SendToProcess(ThreadGroup target, SignalInfo info, Task? sender = null)
    {
        if (target.WaitStatus is not null || target.Tasks.Count == 0 || !Prepare(target.Tasks[0], info.Number, sender))
            return Errno.None;
        Errno error = Queue(target, target.Pending, info.ShownTo(target.Tasks[0]));
        if (error != Errno.None)
            return error;
        target.SignalWait.Wake();
        if (ChooseTask(target, info.Number) is { } task)
            Notify(task);
        return Errno.None;
    }

    /// <summary>To every process of a group (kill(2) with a negative id, the terminal's keys); the number of processes it was sent to.</summary>
    public static int SendToProcessGroup(GuestKernel kernel, int processGroup, SignalInfo info, Task? sender = null)
    {
        int count = 0;
        foreach (ThreadGroup group in kernel.Processes.Values)
        {
            if (group.ProcessGroup != processGroup)
                continue;
            SendToProcess(group, info, sender);
            count++;
        }

        return count;
    }

    /// <summary>What write(2) to a pipe or socket without readers raises.</summary>
    public static void RaisePipe(Task task) => SendToTask(task, SignalInfo.User(Signal.SIGPIPE, task), task);

    /// <summary>A signal that must not be lost (a fault, a broken frame): blocked or ignored it takes its default action.</summary>
    public static void Force(Task task, SignalInfo info)
    {
        ref SignalAction action = ref task.Group.Actions[info.Number];
        if (action.IsIgnored || Signal.Has(task.Signals.Mask, info.Number))
        {
            action.Handler = SignalAct.SIG_DFL;
            task.Signals.Mask &= ~Signal.Bit(info.Number);
        }

        task.Signals.Pending.Add(info);
        task.Group.SignalWait.Wake();
    }

    // ---- parents ------------------------------------------------------------------------------------------------

    /// <summary>Whether children of this process leave no zombies: SIGCHLD is ignored or has SA_NOCLDWAIT (wait(2), Notes).</summary>
    public static bool AutoReaps(ThreadGroup parent)
    {
        ref SignalAction action = ref parent.Actions[Signal.SIGCHLD];
        return action.IsIgnored || action.Has(SignalAct.SA_NOCLDWAIT);
    }

    /// <summary>Tells the parent that a child has ended (its WaitStatus is set) and wakes its waiters; true when no zombie is to be kept.</summary>
    /// <param name="exitSignal">As given to clone(2); 0 for none. Only SIGCHLD makes zombies vanish.</param>
    /// <param name="uid">The child's real user.</param>
    public static bool NotifyParentOfExit(ThreadGroup child, int exitSignal = Signal.SIGCHLD, uint uid = 0)
    {
        if (child.Parent is not { } parent)
            return true;
        bool reaped = exitSignal == Signal.SIGCHLD && AutoReaps(parent);
        if (Signal.IsValid(exitSignal) && !IsProtected(parent, exitSignal) && child.WaitStatus is { } waitStatus)
        {
            int signal = waitStatus & 0x7f;
            int code = signal == 0 ? SignalCode.CLD_EXITED : (waitStatus & 0x80) != 0 ? SignalCode.CLD_DUMPED : SignalCode.CLD_KILLED;
            SendToProcess(parent, SignalInfo.Child(exitSignal, code, child.Pid, uid, signal == 0 ? waitStatus >> 8 & 0xff : signal));
        }

        parent.ChildWait.Wake();
        return reaped;
    }

    /// <summary>The parent of a task's process has died: prctl(PR_SET_PDEATHSIG).</summary>
    public static void OnParentDied(Task task)
    {
        if (Signal.IsValid(task.ParentDeathSignal))
            SendToProcess(task.Group, SignalInfo.Kernel(task.ParentDeathSignal));
    }

    /// <summary>A process has ended that tied process groups to the rest of their session: if they are orphaned by it and have stopped members, they get
    /// SIGHUP and SIGCONT (setpgid(2)). Called when its children have been given to their new parent.</summary>
    public static void HangUpOrphans(GuestKernel kernel, int session, IEnumerable<int> processGroups)
    {
        foreach (int processGroup in processGroups)
        {
            bool stopped = false;
            foreach (ThreadGroup group in kernel.Processes.Values)
                stopped |= group.ProcessGroup == processGroup && group.Session == session && group.Job.IsStopped;
            if (!stopped || !IsOrphaned(kernel, processGroup, session))
                continue;
            SendToProcessGroup(kernel, processGroup, SignalInfo.Kernel(Signal.SIGHUP));
            SendToProcessGroup(kernel, processGroup, SignalInfo.Kernel(Signal.SIGCONT));
        }
    }

    /// <summary>Whether no member of a process group has a parent in another group of the same session: no one would continue it.</summary>
    public static bool IsOrphaned(GuestKernel kernel, int processGroup, int session)
    {
        foreach (ThreadGroup group in kernel.Processes.Values)
        {
            if (group.ProcessGroup == processGroup && group.WaitStatus is null && group.Parent is { } parent && parent.Session == session &&
                parent.ProcessGroup != processGroup)
                return false;
        }

        return true;
    }

    internal static void NotifyJob(ThreadGroup group, int code, int signal)
    {
        if (group.Parent is not { } parent || (group.Tasks.Count > 0 && group.Tasks[0].Trace is { } trace && ReferenceEquals(trace.Tracer, parent)))
            return;
        ref SignalAction action = ref parent.Actions[Signal.SIGCHLD];
        if (!action.IsIgnored && !action.Has(SignalAct.SA_NOCLDSTOP))
            SendToProcess(parent, SignalInfo.Child(Signal.SIGCHLD, code, group.Pid, UidOf(group), signal));
        parent.ChildWait.Wake();
    }

    // ---- stop and continue --------------------------------------------------------------------------------------

    /// <summary>Stops a process: its threads are kept from running guest code as each comes by.</summary>
    internal static void Stop(ThreadGroup group, int signal)
    {
        group.Job.Stop(signal);
        TraceStops.OnGroup(group, continues: false);
        foreach (Task task in group.Tasks)
        {
            if (task.State == TaskState.Running && task.Thread.State == GuestThreadState.Running)
                task.Thread.Interrupt();
            else if (task.Trace is not null)
                task.MakeReady();
        }

        NotifyJob(group, SignalCode.CLD_STOPPED, signal);
    }

    private static void Continue(ThreadGroup group)
    {
        if (!group.Job.IsStopped)
            return;
        group.Job.Continue();
        TraceStops.OnGroup(group, continues: true);
        foreach (Task task in group.Tasks)
            Notify(task);
        NotifyJob(group, SignalCode.CLD_CONTINUED, Signal.SIGCONT);
    }

    // ---- targets ------------------------------------------------------------------------------------------------

    /// <summary>Has threads that may take the process's pending signals look at them: the one they were meant for exits or blocks them.</summary>
    public static void Retarget(ThreadGroup group, Task except)
    {
        ulong pending = group.Pending.Set;
        if (pending == 0)
            return;
        foreach (Task task in group.Tasks)
        {
            if (task != except && (pending & ~task.Signals.Mask) != 0)
                Notify(task);
        }
    }

    /// <summary>Discards a signal that has come to be ignored from all queues of a process.</summary>
    internal static void Discard(ThreadGroup group, ulong signals)
    {
        group.Pending.Discard(signals);
        foreach (Task task in group.Tasks)
            task.Signals.Pending.Discard(signals);
    }

    /// <summary>Process 1 of a namespace: the end of others, or what they do to files, does not end it (pid_namespaces(7)). A signal that it blocks it wants.</summary>
    internal static bool IsProtected(ThreadGroup group, int signal) =>
        group.IsReaper && group.Actions[signal].IsDefault && !group.Actions.DoesNothing(signal) && group.Tasks.TrueForAll(task => !Signal.Has(task.Signals.Mask, signal));

    /// <summary>The side effects of raising a signal, whatever becomes of it; false when it is dropped because it would do nothing.</summary>
    private static bool Prepare(Task target, int signal, Task? sender)
    {
        ThreadGroup group = target.Group;
        if (Signal.Has(Signal.Stops, signal))
        {
            Discard(group, Signal.Bit(Signal.SIGCONT));
        }
        else if (signal == Signal.SIGCONT)
        {
            Discard(group, Signal.Stops);
            Continue(group);
        }

        if (Signal.Has(target.Signals.Mask, signal))
            return true;

        // Process 1 of a namespace is protected from those in it, not from itself: its abort() must end it as it would outside. Those above can stop and kill it.
        if (group.IsReaper && sender is not null && sender.Group != group && group.Actions[signal].IsDefault
            && (sender.Group.PidNamespace.IsWithin(group.PidNamespace) || !Signal.Has(Signal.Unblockable, signal)))
            return false;
        return target.Trace is not null || !group.Actions.DoesNothing(signal);
    }

    private static Errno Queue(ThreadGroup group, PendingSignals pending, SignalInfo info)
    {
        // Standard signals take one place each; only real-time ones can pile up.
        if (info.Number >= Signal.SIGRTMIN)
        {
            long queued = group.Pending.Count;
            foreach (Task task in group.Tasks)
                queued += task.Signals.Pending.Count;
            if ((ulong)queued >= group.Limits[ResourceLimits.SigPending].Soft)
            {
                if (info.Code != SignalCode.SI_USER)
                    return Errno.EAGAIN;
                if (pending.Has(info.Number))
                    return Errno.None;
            }
        }

        pending.Add(info);
        return Errno.None;
    }

    private static bool Wants(Task task, int signal) =>
        task.State != TaskState.Dead && !Signal.Has(task.Signals.Mask & ~task.Signals.WaitedFor, signal) &&
        (signal == Signal.SIGKILL || !task.Group.Job.IsStopped);

    /// <summary>The main thread when it may take the signal, else the first that may, better one without others pending.</summary>
    private static Task? ChooseTask(ThreadGroup group, int signal)
    {
        Task? choice = null;
        foreach (Task task in group.Tasks)
        {
            if (!Wants(task, signal))
                continue;
            if ((task.Signals.Pending.Set & ~task.Signals.Mask) == 0)
                return task;
            choice ??= task;
        }

        return choice;
    }

    /// <summary>Makes a task come by the delivery soon.</summary>
    private static void Notify(Task task)
    {
        switch (task.State)
        {
            case TaskState.Blocked:
                task.MakeReady();
                break;
            case TaskState.Running when task.Signals.Parked || ((task.WaitsForVfork || task.Trace is { IsStopped: true }) && HasKill(task)):
                task.Kernel.Host.Platform.Post(() => Unpark(task));
                break;
            case TaskState.Running when task.Thread.State == GuestThreadState.Running:
                task.Thread.Interrupt();
                break;
        }
    }

    private static uint UidOf(ThreadGroup group) => group.Tasks.Count > 0 ? group.Tasks[0].Credentials.Uid : 0;

    // ---- acting ---------------------------------------------------------------------------------------------------

    /// <summary>Whether the task has something to attend to before it runs guest code again or waits any longer.</summary>
    public static bool HasDeliverable(Task task) =>
        ((task.Signals.Pending.Set | task.Group.Pending.Set) & ~task.Signals.Mask) != 0 || task.Group.Job.IsStopped || task.Trace is { TrapWanted: true };

    /// <summary>Whether a blocked call may be tried again: not while the process is stopped (SIGCONT makes it ready).</summary>
    public static bool MayRetry(Task task) => !task.Group.Job.IsStopped || HasKill(task) || task.Trace is { RunsInGroupStop: true };

    /// <summary>Whether a traced task must come by although its process is stopped: its tracer has not seen that.</summary>
    internal static bool MustShowStop(Task task) => task.Trace is { GroupStopSeen: false, RunsInGroupStop: false };

    /// <summary>Delivers what is pending and lets the thread run if it may. The thread is Stopped.</summary>
    public static DeliveryOutcome Resume(Task task)
    {
        DeliveryOutcome outcome = DeliverPending(task);
        if (outcome == DeliveryOutcome.Run)
        {
            if (task.Trace is { } trace)
                TraceStops.BeforeRun(task, trace);
            task.Thread.Resume();
        }

        return outcome;
    }

    /// <summary>Acts on the deliverable signals one by one; the thread is Stopped and no call is in progress. Handlers' frames are stacked, the
    /// last one runs first.</summary>
    public static DeliveryOutcome DeliverPending(Task task)
    {
        SignalState state = task.Signals;
        state.Parked = false;
        for (; ; )
        {
            if (task.State == TaskState.Dead)
                return DeliveryOutcome.Dead;
            TraceState? trace = task.Trace;
            if (trace is not null && !HasKill(task))
            {
                if (TraceStops.ComeBy(task, trace))
                    return DeliveryOutcome.StayStopped;
                if (trace.PassCall)
                    return DeliveryOutcome.Run;
            }

            if (!MayRetry(task))
            {
                state.Parked = true;
                return DeliveryOutcome.StayStopped;
            }

            // Its memory is in use by the child of its vfork; only SIGKILL reaches it.
            if (task.WaitsForVfork && !HasKill(task))
                return DeliveryOutcome.StayStopped;

            // A call that a checkpoint tore down is about to be made again and goes on under its own mask.
            CallContext? suspended = task.CurrentCall is { Suspended: true } call ? call : null;
            SignalInfo? injected = trace?.Injected;
            if (injected is not null)
            {
                trace!.Injected = null;
                if (Signal.Has(task.Signals.Mask, injected.Number))
                {
                    state.Pending.Add(injected);
                    continue;
                }
            }

            if ((injected ?? Take(task)) is not { } info)
            {
                if (!state.HasTemporaryMask || suspended is not null)
                    return DeliveryOutcome.Run;
                state.RestoreMask();
                continue;
            }

            if (trace is not null && injected is null && info.Number != Signal.SIGKILL)
            {
                TraceStops.OnSignal(task, trace, info);
                return DeliveryOutcome.StayStopped;
            }

            SignalAction action = task.Group.Actions[info.Number];
            if (!action.IsIgnored)
                task.Kernel.Strace?.OnSignal(task, info);
            if (!action.IsHandler)
            {
                if (trace is not null && EndsProcess(info.Number, action) && TraceStops.OnFatalSignal(task, info, info.Number))
                    return DeliveryOutcome.StayStopped;
                ActByDefault(task, info.Number, action);
                continue;
            }

            if (suspended is not null)
                InterruptedCall.End(task, suspended, action);
            CallHandler(task, info, action);
        }
    }

    /// <summary>A task is blocked in a call and <see cref="HasDeliverable"/>: signals that do nothing are forgotten, one that ends or stops the
    /// process does so, and one with a handler ends the call. False when the call goes on waiting.</summary>
    public static bool InterruptBlocked(Task task)
    {
        for (; ; )
        {
            if (task.State == TaskState.Dead || (!MayRetry(task) && !MustShowStop(task)))
                return true;
            if (task.Trace is { } trace && !HasKill(task))
            {
                if (task.Call.InterruptMode == InterruptMode.Killable)
                    return false;
                TraceStops.InterruptCall(task, trace);
                return true;
            }

            if (Peek(task) is not { } info)
                return false;
            SignalAction action = task.Group.Actions[info.Number];
            if (!action.IsHandler)
            {
                Take(task);
                if (!action.IsIgnored)
                    task.Kernel.Strace?.OnSignal(task, info);
                ActByDefault(task, info.Number, action);
                continue;
            }

            CallContext call = task.Call;
            if (call.InterruptMode == InterruptMode.Killable)
                return false;
            task.ClearWaits();
            long? answer = InterruptedCall.ValueAfter(task, call, action);
            if (answer is null or -(long)Errno.EINTR)
                task.Kernel.Strace?.OnInterrupted(task, call.InterruptMode);
            else
                task.Kernel.Strace?.OnExit(task, answer.Value);
            if (answer is { } value)
                task.Thread.ReturnAndStop(value);
            else
                task.Thread.Stop();
            call.State?.OnAbandoned();
            task.CurrentCall = null;
            task.State = TaskState.Running;
            Resume(task);
            return true;
        }
    }

    /// <summary>A guest instruction faulted; the thread is Stopped at it.</summary>
    public static DeliveryOutcome DeliverFault(Task task, in GuestFault fault)
    {
        task.Signals.TrapNumber = fault.TrapNumber;
        task.Signals.ErrorCode = fault.ErrorCode;
        task.Signals.Cr2 = fault.Cr2;
        Force(task, SignalInfo.Fault(fault.Signal, fault.Code, fault.Address));
        return Resume(task);
    }

    /// <summary>rt_sigreturn(2): the thread is InSyscall; its registers, extended state, mask and alternate stack come from the frame.</summary>
    public static void SigReturn(Task task)
    {
        task.Thread.ReturnAndStop(0);
        task.Kernel.Strace?.OnExit(task, SyscallResult.Ok);
        if (task.Trace is { } trace)
            TraceStops.OnAnswered(trace, -1);
        task.CurrentCall = null;
        task.State = TaskState.Running;
        if (!SignalFrame.Pop(task))
            Force(task, SignalInfo.Kernel(Signal.SIGSEGV));
        Resume(task);
    }

    /// <summary>Answers a call whose thread was stopped at it to see its registers.</summary>
    internal static void Answer(Task task, ref GuestRegisters registers, long value)
    {
        InterruptedCall.SetAnswer(ref registers, value);
        task.Thread.SetRegisters(in registers);
        if (task.Trace is { } trace)
            TraceStops.OnAnswered(trace, task.Call.Number);
        task.CurrentCall = null;
        task.State = TaskState.Running;
        Resume(task);
    }

    /// <summary>Takes a signal of a set off the queues of a task and its process, for signalfd(2) and rt_sigtimedwait(2).</summary>
    public static SignalInfo? TryDequeue(Task task, ulong wanted) => task.Signals.Pending.Take(wanted) ?? task.Group.Pending.Take(wanted);

    /// <summary>The signals that are pending for a task, deliverable or not.</summary>
    public static ulong PendingSet(Task task) => task.Signals.Pending.Set | task.Group.Pending.Set;

    /// <summary>After SIGCONT or SIGKILL, on the dispatch thread: a parked thread looks again.</summary>
    internal static void Unpark(Task task)
    {
        if (task.State == TaskState.Running && (task.Signals.Parked || task.WaitsForVfork || task.Trace is { IsStopped: true }) && task.Thread.State == GuestThreadState.Stopped)
            Resume(task);
    }

    private static bool HasKill(Task task) => task.Signals.Pending.Has(Signal.SIGKILL) || task.Group.Pending.Has(Signal.SIGKILL);

    private static SignalInfo? Peek(Task task)
    {
        ulong wanted = Wanted(task);
        return task.Signals.Pending.Peek(wanted) ?? task.Group.Pending.Peek(wanted);
    }

    private static SignalInfo? Take(Task task)
    {
        ulong wanted = Wanted(task);
        return task.Signals.Pending.Take(wanted) ?? task.Group.Pending.Take(wanted);
    }

    private static ulong Wanted(Task task) => HasKill(task) ? Signal.Bit(Signal.SIGKILL) : ~task.Signals.Mask;

    private static bool EndsProcess(int signal, in SignalAction action) =>
        !action.IsHandler && !action.IsIgnored && !Signal.Has(Signal.IgnoredByDefault | Signal.Stops, signal);

    private static void ActByDefault(Task task, int signal, in SignalAction action)
    {
        if (action.IsIgnored || Signal.Has(Signal.IgnoredByDefault, signal))
            return;
        ThreadGroup group = task.Group;
        if (Signal.Has(Signal.Stops, signal))
        {
            if (signal == Signal.SIGSTOP || !IsOrphaned(task.Kernel, group.ProcessGroup, group.Session))
                Stop(group, signal);
            return;
        }

        // No core file is ever written; the flag says what the limit asked for.
        bool core = Signal.Has(Signal.DumpsCore, signal) && group.Limits[ResourceLimits.Core].Soft > 0;
        Lifecycle.KillGroup(group, core ? signal | 0x80 : signal);
    }

    private static void CallHandler(Task task, SignalInfo info, in SignalAction action)
    {
        SignalState state = task.Signals;
        if (!SignalFrame.Push(task, info, action))
        {
            // As Linux: a SIGSEGV that can't be shown to its handler ends the process, another signal turns into a SIGSEGV.
            if (info.Number == Signal.SIGSEGV)
                task.Group.Actions[Signal.SIGSEGV].Handler = SignalAct.SIG_DFL;
            Force(task, SignalInfo.Kernel(Signal.SIGSEGV));
            return;
        }

        if (action.Has(SignalAct.SA_RESETHAND))
            task.Group.Actions[info.Number].Handler = SignalAct.SIG_DFL;
        state.Mask |= action.Mask & ~Signal.Unblockable;
        if (!action.Has(SignalAct.SA_NODEFER))
            state.Mask |= Signal.Bit(info.Number);
        state.DisarmAltStack();
        if (task.Trace is { Mode: TraceMode.Step } stepping)
            stepping.StepDue = true;
        Retarget(task.Group, task);
    }
}
