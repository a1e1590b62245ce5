using Sentry.Kernel.Strace;

namespace Sentry.Kernel;

/// <summary>Takes guest events from the platform to the kernel: system calls to their handlers, faults to signals; tries blocked calls again.
/// The one place that waits, and the one that answers.</summary>
public sealed class Dispatcher(GuestKernel kernel) : IPlatformEvents
{
    private Task? _serving;

    /// <summary>Guest calls served since the sentry started.</summary>
    public long CallCount { get; private set; }

    /// <summary>The call number of the test aid --save-at-call; -1 for none.</summary>
    public int SaveAtCall { get; set; } = -1;

    /// <summary>The call number of the test aid --crash-at-call; -1 for none.</summary>
    public int CrashAtCall { get; set; } = -1;

    /// <summary>The call that is being served and who made it, for a crash report; null between calls.</summary>
    public string? DescribeServing() => _serving is not { } task ? null
        : $"{(task.CurrentCall is { } call ? StraceLog.Describe(task, call.Number, call.Args) : "a call")} of task {task.Tid} in process {task.Group.Pid} ({task.Name})";

    /// <inheritdoc/>
    public void OnSyscall(IGuestThread thread, in SyscallFrame call)
    {
        if (thread.Owner is not Task task || task.State == TaskState.Dead)
        {
            thread.Kill();
            return;
        }

        CallCount++;
        var args = new SyscallArgs(call.A0, call.A1, call.A2, call.A3, call.A4, call.A5);
        if (task.Trace is { } trace && TraceStops.OnCall(task, trace, call.Number))
        {
            RunReady();
            return;
        }

        if (task.CurrentCall is { Suspended: true } suspended && suspended.Number == call.Number && suspended.Args.Equals(args))
        {
            suspended.Suspended = false;
        }
        else
        {
            task.BeginCall(call.Number, args);
            kernel.Strace?.OnEnter(task, call.Number, args);
            if (task.Seccomp is { } seccomp && !CallGate.Admits(task, seccomp, new CallData(call.Number, CallSites.ToNatural(task, call.InstructionPointer), args)))
            {
                RunReady();
                return;
            }
        }

        kernel.CallSites?.OnCall(task, call.Number, call.InstructionPointer);
        Try(task);
        RunReady();
    }

    /// <inheritdoc/>
    public void OnInterrupted(IGuestThread thread)
    {
        if (thread.Owner is Task task && task.State != TaskState.Dead)
            ResumeStopped(task);
        RunReady();
    }

    /// <inheritdoc/>
    public void OnFault(IGuestThread thread, in GuestFault fault)
    {
        if (thread.Owner is not Task task || task.State == TaskState.Dead)
        {
            thread.Kill();
            return;
        }

        if (task.Trace is { } trace && TraceStops.OnTrap(task, trace, fault))
        {
            RunReady();
            return;
        }

        if (FaultHandler.TryResolve(task, fault))
            SignalDelivery.Resume(task);
        else
            SignalDelivery.DeliverFault(task, FaultHandler.Describe(task, fault));
        RunReady();
    }

    /// <inheritdoc/>
    public void OnLost(IGuestThread thread, string reason)
    {
        if (thread.Owner is not Task task || task.State == TaskState.Dead)
            return;
        kernel.Host.Log($"process {task.Group.Pid} ({task.Name}) lost its host process: {reason}");
        Lifecycle.KillGroup(task.Group, Signal.SIGKILL);
        RunReady();
    }

    /// <summary>Tries the calls that something woke. Called after every event on the dispatch thread.</summary>
    public void RunReady()
    {
        do
        {
            kernel.RunDeferred();
            TryReady();
        }
        while (kernel.HasDeferred);
    }

    private void TryReady()
    {
        while (kernel.ReadyTasks.TryDequeue(out Task? task))
        {
            if (!task.TakeReady() || task.State != TaskState.Blocked || !(SignalDelivery.MayRetry(task) || SignalDelivery.MustShowStop(task)))
                continue;
            task.ClearWaits();
            Try(task);
        }
    }

    /// <summary>As <see cref="RunReady"/>, from another thread that holds the kernel lock: what may need a stopped thread (signals) is left to
    /// the dispatch thread.</summary>
    public void RunReadyElsewhere()
    {
        List<Task>? later = null;
        do
        {
            kernel.RunDeferred();
            TryReadyElsewhere(ref later);
        }
        while (kernel.HasDeferred);

        if (later is null)
            return;
        foreach (Task task in later)
            kernel.ReadyTasks.Enqueue(task);
        kernel.Host.Platform.Post(RunReady);
    }

    private void TryReadyElsewhere(ref List<Task>? later)
    {
        while (kernel.ReadyTasks.TryDequeue(out Task? task))
        {
            if (task.State == TaskState.Blocked && (SignalDelivery.HasDeliverable(task) || task.Trace is not null))
            {
                (later ??= []).Add(task);
                continue;
            }

            if (!task.TakeReady() || task.State != TaskState.Blocked)
                continue;
            task.ClearWaits();
            Try(task);
        }
    }

    /// <summary>Resumes a Stopped task unless it has a reason to stay: a vfork child uses its memory, its process is stopped, it is gone.</summary>
    public void ResumeStopped(Task task)
    {
        if (!task.WaitsForVfork || task.Trace is not null)
            SignalDelivery.Resume(task);
    }

    /// <summary>A handler has answered the thread itself; null when the call never returns.</summary>
    public void AnsweredByHandler(Task task, long? value)
    {
        if (value is { } shown)
            kernel.Strace?.OnExit(task, shown);
        if (task.Trace is { } trace && task.CurrentCall is { } ended)
            TraceStops.OnAnswered(trace, ended.Number);
        task.CurrentCall = null;
        if (task.State == TaskState.Blocked)
            task.State = TaskState.Running;
    }

    /// <summary>Answers a task's call with a value and lets it go on, signals first.</summary>
    public void Complete(Task task, SyscallResult result)
    {
        AnsweredByHandler(task, result.Value);
        if (task.Signals.HasTemporaryMask)
            task.Signals.RestoreMask();

        if (task.Trace is { } trace && TraceStops.StopsAfterCall(trace))
        {
            task.Thread.ReturnAndStop(result.Value);
            SignalDelivery.Resume(task);
            return;
        }

        // The interrupt is pending before the answer, so that no guest instruction runs in between; OnInterrupted delivers.
        if (SignalDelivery.HasDeliverable(task))
            task.Thread.Interrupt();
        task.Thread.Return(result.Value);
    }

    private void Try(Task task)
    {
        CallContext call = task.Call;
        _serving = task;
        kernel.Host.BeginCall(task.Group.Pid, task.Tid, call.Number, call.Args, task.Name);
        Serve(task, call);
        kernel.Host.EndCall();
        _serving = null;
    }

    private void Serve(Task task, CallContext call)
    {
        if (call.Number == CrashAtCall)
            throw new InvalidOperationException("the test aid --crash-at-call");
        if (call.Number == SaveAtCall && SavePoint.Reach(task, call) is { } early)
        {
            Finish(task, early);
            return;
        }

        SyscallEntry entry = SyscallTable.Get(call.Number);
        SyscallResult result;
        if (entry.Handler is null)
        {
            kernel.CountUnimplemented(call.Number);
            result = entry.Error;
        }
        else
        {
            ICallMailbox? mailbox = kernel.Strace is null ? task.Thread.Mailbox : null;
            if (mailbox is null)
            {
                result = entry.Handler(task, call.Args);
            }
            else
            {
                MemoryManager memory = task.Memory;
                memory.Mailbox = mailbox;
                result = entry.Handler(task, call.Args);
                memory.Mailbox = null;
                if (!result.IsValue)
                    mailbox.Flush();
            }
        }

        Finish(task, result);
    }

    private static void FinishBlocked(Task task)
    {
        task.State = TaskState.Blocked;
        if (SignalDelivery.HasDeliverable(task))
            SignalDelivery.InterruptBlocked(task);
    }

    private void Finish(Task task, SyscallResult result)
    {
        if (result.IsValue)
            Complete(task, result);
        else if (result.IsBlocked)
            FinishBlocked(task);
    }
}
