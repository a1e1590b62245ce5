namespace Sentry.Kernel.Seccomp;

/// <summary>Where the filters of a task are asked before a call, and what they say is done (__seccomp_filter).</summary>
internal static class CallGate
{
    /// <summary>Whether a call that begins may be made; otherwise it has been answered, or the task is stopped or has ended.</summary>
    internal static bool Admits(Task task, SeccompState seccomp, in CallData call)
    {
        bool seenByTracer = task.Trace is { FilterSeen: true };
        if (seenByTracer)
            task.Trace!.FilterSeen = false;
        uint answer = seccomp.Decide(call);
        uint data = answer & SECCOMP.RET_DATA;
        switch (answer & SECCOMP.RET_ACTION_FULL)
        {
            case SECCOMP.RET_ALLOW or SECCOMP.RET_LOG:
                return true;
            case SECCOMP.RET_TRACE when seenByTracer:
                return true;
            case SECCOMP.RET_TRACE when task.Trace is { } trace && trace.Has(PTRACE.O_TRACESECCOMP):
                TraceStops.OnFiltered(task, trace, call.Number, data);
                return false;
            case SECCOMP.RET_TRACE:
                task.Kernel.Dispatcher.Complete(task, Errno.ENOSYS);
                return false;
            case SECCOMP.RET_ERRNO:
                task.Kernel.Dispatcher.Complete(task, -(long)Math.Min(data, SECCOMP.MAX_ERRNO));
                return false;
            case SECCOMP.RET_TRAP:
                // The registers are as behind the instruction, with the call's number still in rax (syscall_rollback).
                task.Thread.ReturnAndStop(call.Number);
                task.Kernel.Dispatcher.AnsweredByHandler(task, call.Number);
                SignalDelivery.Force(task, SignalInfo.Refused(call.Number, (int)data, call.InstructionPointer));
                SignalDelivery.Resume(task);
                return false;
            case SECCOMP.RET_KILL_THREAD when seccomp.Mode == SECCOMP.MODE_STRICT:
                task.Kernel.Dispatcher.AnsweredByHandler(task, null);
                Lifecycle.ExitTask(task, Signal.SIGKILL);
                return false;
            case SECCOMP.RET_KILL_THREAD when task.Group.Tasks.Count > 1:
                task.Kernel.Dispatcher.AnsweredByHandler(task, null);
                Lifecycle.ExitTask(task, Signal.SIGSYS);
                return false;
            default:
                task.Kernel.Dispatcher.AnsweredByHandler(task, null);
                Lifecycle.KillGroup(task.Group, Signal.SIGSYS | CoreDumped);
                return false;
        }
    }

    private const int CoreDumped = 0x80;
}
