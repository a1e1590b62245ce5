namespace Sentry.Kernel.Tracing;

/// <summary>The events of ptrace(2) that come with new tasks and programs.</summary>
internal static class TraceEvents
{
    private const ulong ClonePtrace = 0x2000, CloneVfork = 0x4000, CloneUntraced = 0x800000;

    /// <summary>Whether a traced task must be stopped when its fork has been answered.</summary>
    internal static bool StopsAtFork(Task task, ulong flags, int exitSignal) =>
        task.Trace is { } trace && (trace.Mode != TraceMode.Continue || EventOf(trace, flags, exitSignal) != 0);

    /// <summary>A traced task has made another: the event, and whether that one is traced too.</summary>
    internal static void OnFork(Task parent, Task child, ulong flags, int exitSignal)
    {
        if (parent.Trace is not { } trace)
            return;
        int shown = EventOf(trace, flags, exitSignal);
        if (shown != 0)
            (trace.Event, trace.EventMessage) = (shown, (ulong)trace.Tracer.PidNamespace.ToLocal(child.Tid));
        if (shown == 0 && (flags & ClonePtrace) == 0)
            return;
        child.Trace = new TraceState { Tracer = trace.Tracer, Seized = trace.Seized, Options = trace.Options };
        if (trace.Seized)
            child.Trace.TrapWanted = true;
        else
            child.Signals.Pending.Add(SignalInfo.User(Signal.SIGSTOP, 0, 0));
    }

    /// <summary>A traced task runs a new program: an event, or the SIGTRAP of old.</summary>
    internal static void OnExec(Task task, TraceState trace, int tidBefore)
    {
        trace.Debug = null;
        if (trace.Has(PTRACE.O_TRACEEXEC))
            (trace.Event, trace.EventMessage) = (PTRACE.EVENT_EXEC, (ulong)trace.Tracer.PidNamespace.ToLocal(tidBefore));
        else if (!trace.Seized)
            SignalDelivery.SendToTask(task, SignalInfo.User(Signal.SIGTRAP, task));
    }

    private static int EventOf(TraceState trace, ulong flags, int exitSignal)
    {
        if ((flags & CloneUntraced) != 0)
            return 0;
        (uint option, int number) = (flags & CloneVfork) != 0 ? (PTRACE.O_TRACEVFORK, PTRACE.EVENT_VFORK)
            : exitSignal != Signal.SIGCHLD ? (PTRACE.O_TRACECLONE, PTRACE.EVENT_CLONE)
            : (PTRACE.O_TRACEFORK, PTRACE.EVENT_FORK);
        return trace.Has(option) ? number : 0;
    }
}
