namespace Sentry.Kernel.Tasks;

/// <summary>How tasks and processes end (do_exit, do_group_exit, exit_notify).</summary>
public static class Lifecycle
{
    /// <summary>wait4's status of a process that called exit with a code.</summary>
    public static int ExitStatus(int code) => (code & 0xff) << 8;

    /// <summary>Ends every task of a process. The status is wait4's: exit code shifted, or signal number with 0x80 for a core.</summary>
    public static void KillGroup(ThreadGroup group, int waitStatus)
    {
        if (group.WaitStatus is not null)
            return;
        group.ExitStatus ??= waitStatus;
        while (group.Tasks.Count > 0)
            ExitTask(group.Tasks[^1]);
    }

    /// <summary>Ends one task; the last one ends its process with the group's status, or with <paramref name="waitStatus"/>.</summary>
    public static void ExitTask(Task task, int waitStatus = 0)
    {
        if (task.State == TaskState.Dead)
            return;
        GuestKernel kernel = task.Kernel;
        ThreadGroup group = task.Group;
        task.ClearWaits();
        task.State = TaskState.Dead;
        task.CurrentCall?.State?.OnAbandoned();
        task.CurrentCall = null;
        kernel.Futexes.ExitRobustList(task);
        if (task.ClearChildTid != 0 && task.Memory.Users > 1)
        {
            task.Memory.TryWrite(task.ClearChildTid, 0);
            kernel.Futexes.Wake(task.Memory, task.ClearChildTid, 1);
        }

        task.SemaphoreUndo?.RemoveUser(task);
        task.SemaphoreUndo = null;
        task.Files.RemoveUser(group);
        task.Memory.RemoveUser();
        group.LastUid = task.Credentials.Uid;
        group.LastScheduling = task.Scheduling;
        group.Tasks.Remove(task);
        kernel.Tasks.Remove(task.Tid);
        SignalDelivery.Retarget(group, task);
        if (task.Trace is { } trace)
            TraceStops.OnTaskEnded(task, trace, group.ExitStatus ?? waitStatus);
        group.ExitedCpuTime += task.CpuTime;
        task.Thread.Kill();
        ReleaseVforkParent(task);
        kernel.Strace?.OnExitProcess(task, group.ExitStatus ?? waitStatus);
        if (group.Tasks.Count == 0)
            EndGroup(group, group.ExitStatus ?? waitStatus);
        group.ExitWait.Wake();
    }

    /// <summary>The child of a vfork has its own memory now (or is gone): the parent goes on.</summary>
    public static void ReleaseVforkParent(Task child)
    {
        Task? parent = child.VforkParent;
        child.VforkParent = null;
        if (parent is null || parent.State == TaskState.Dead)
            return;
        parent.WaitsForVfork = false;
        if (parent.Trace is { } trace && trace.Has(PTRACE.O_TRACEVFORKDONE))
            (trace.Event, trace.EventMessage) = (PTRACE.EVENT_VFORK_DONE, (ulong)trace.Tracer.PidNamespace.ToLocal(child.Tid));
        parent.Kernel.Dispatcher.ResumeStopped(parent);
    }

    private static void EndGroup(ThreadGroup group, int waitStatus)
    {
        GuestKernel kernel = group.Kernel;
        group.WaitStatus = waitStatus;
        group.DisarmTimers();
        Sessions.OnExit(group);
        TraceStops.OnTracerEnded(group);
        if (group.IsReaper && !group.PidNamespace.IsFirst)
            EndNamespace(group);
        int[] families = TiedBy(group);
        foreach (ThreadGroup child in group.Children.ToArray())
            Reparent(child, kernel);
        group.Children.Clear();
        SignalDelivery.HangUpOrphans(kernel, group.Session, families);
        if (group.Pid == 1 && group.PidNamespace.IsFirst)
        {
            kernel.Processes.Remove(1);
            foreach (ThreadGroup other in kernel.Processes.Values.ToArray())
                KillGroup(other, 9);
            kernel.ReportExit(1, waitStatus);
            return;
        }

        if (TraceStops.HoldForTracer(group, waitStatus))
            return;
        if (group.Parent is null)
        {
            // Started by exec from outside: its caller is told, nobody inside waits for it.
            kernel.Processes.Remove(group.Pid);
            kernel.ReportExit(group.Pid, waitStatus);
            return;
        }

        TellParent(group);
    }

    /// <summary>The process groups that a process ties to the rest of its session: as a member with a parent outside, and as the parent outside of members.
    /// Others cannot be orphaned by its end, or are so already.</summary>
    private static int[] TiedBy(ThreadGroup group)
    {
        IEnumerable<int> groups = group.Children.Where(c => c.Session == group.Session && c.ProcessGroup != group.ProcessGroup).Select(static c => c.ProcessGroup);
        if (group.Parent is { } parent && parent.Session == group.Session && parent.ProcessGroup != group.ProcessGroup)
            groups = groups.Append(group.ProcessGroup);
        return [.. groups.Distinct()];
    }

    /// <summary>Process 1 of a namespace has ended: so do all others in it, and it can have no more (pid_namespaces(7)).</summary>
    private static void EndNamespace(ThreadGroup reaper)
    {
        reaper.PidNamespace.MarkDead();
        foreach (ThreadGroup member in reaper.Kernel.Processes.Values.ToArray())
        {
            if (ReferenceEquals(member, reaper) || !member.PidNamespace.IsWithin(reaper.PidNamespace))
                continue;
            KillGroup(member, Signal.SIGKILL);
            if (ReferenceEquals(member.Parent, reaper))
                Reap(member);
        }
    }

    private static void TellParent(ThreadGroup zombie)
    {
        if (SignalDelivery.NotifyParentOfExit(zombie, zombie.ExitSignal, zombie.LastUid))
            Reap(zombie);
    }

    /// <summary>An orphan goes to the nearest living ancestor that is a subreaper, else to process 1.</summary>
    private static void Reparent(ThreadGroup child, GuestKernel kernel)
    {
        ThreadGroup? parent = child.Parent?.Parent;
        PidNamespace pids = child.Parent?.PidNamespace ?? child.PidNamespace;
        while (parent is not null && (parent.WaitStatus is not null || !parent.IsChildSubreaper))
            parent = ReferenceEquals(parent.PidNamespace, pids) ? parent.Parent : null;
        if (parent is null && (pids.IsFirst ? !kernel.Processes.TryGetValue(1, out parent) : (parent = pids.Reaper) is null))
            parent = null;
        if (parent is { WaitStatus: not null })
            parent = null;
        child.Parent = parent;
        parent?.Children.Add(child);
        foreach (Task task in child.Tasks)
            SignalDelivery.OnParentDied(task);
        child.ExitSignal = Signal.SIGCHLD;
        if (child.WaitStatus is null || child.TracedBy is not null)
            return;
        if (parent is null)
            kernel.Processes.Remove(child.Pid);
        else
            TellParent(child);
    }

    /// <summary>Forgets a zombie that has been waited for (or that nobody wants to wait for).</summary>
    public static void Reap(ThreadGroup zombie)
    {
        zombie.Parent?.Children.Remove(zombie);
        zombie.Kernel.Processes.Remove(zombie.Pid);
        zombie.ExitWait.Wake(PollEvents.Hup);
    }
}
