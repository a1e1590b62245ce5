namespace Sentry.Kernel.Tasks;

/// <summary>System calls: exit, exit_group, wait4, waitid, set_tid_address, arch_prctl and others about processes as such.</summary>
internal static class ProcessSyscalls
{
    private const int WNoHang = 1, WStopped = 2, WExited = 4, WContinued = 8, WNoWait = 0x01000000, WNoThread = 0x20000000, WAll = 0x40000000,
        WCloned = int.MinValue;

    internal static SyscallResult Exit(Task task, in SyscallArgs args)
    {
        if (TraceStops.OnExit(task, Lifecycle.ExitStatus(args.I0)))
            return SyscallResult.Handled;
        task.Kernel.Dispatcher.AnsweredByHandler(task, null);
        Lifecycle.ExitTask(task, Lifecycle.ExitStatus(args.I0));
        return SyscallResult.Handled;
    }

    internal static SyscallResult ExitGroup(Task task, in SyscallArgs args)
    {
        if (TraceStops.OnExit(task, Lifecycle.ExitStatus(args.I0)))
            return SyscallResult.Handled;
        task.Kernel.Dispatcher.AnsweredByHandler(task, null);
        Lifecycle.KillGroup(task.Group, Lifecycle.ExitStatus(args.I0));
        return SyscallResult.Handled;
    }

    internal static SyscallResult SetTidAddress(Task task, in SyscallArgs args)
    {
        task.ClearChildTid = args.A0;
        return task.PidNamespace.ToLocal(task.Tid);
    }

    internal static SyscallResult ArchPrctl(Task task, in SyscallArgs args)
    {
        const int setGs = 0x1001, setFs = 0x1002, getFs = 0x1003, getGs = 0x1004, getXcompSupported = 0x1021, getXcompPermitted = 0x1022, requestXcomp = 0x1023, getCpuid = 0x1011, setCpuid = 0x1012;
        switch (args.I0)
        {
            case setFs or setGs:
                if (args.A1 >= task.Memory.Limit)
                    return Errno.EPERM;
                return WithRegisters(task, args.I0 == setFs, args.A1);
            case getFs or getGs:
                task.Thread.ReturnAndStop(0);
                task.Thread.GetRegisters(out GuestRegisters registers);
                bool written = task.TryWrite(args.A1, args.I0 == getFs ? registers.FsBase : registers.GsBase);
                if (!written)
                {
                    registers.Rax = unchecked((ulong)-(long)Errno.EFAULT);
                    task.Thread.SetRegisters(registers);
                }

                return Answered(task, written ? 0 : -(long)Errno.EFAULT);
            case getXcompSupported or getXcompPermitted:
                // x87, SSE, AVX and AVX-512: what needs no permission.
                return task.TryWrite(args.A1, 0xe7ul) ? SyscallResult.Ok : Errno.EFAULT;
            case getCpuid:
                return 1;
            case setCpuid:
                // As on a processor that cannot make CPUID fault.
                return Errno.ENODEV;
            case requestXcomp:
                return Errno.EOPNOTSUPP;
            default:
                return Errno.EINVAL;
        }
    }

    internal static SyscallResult Wait4(Task task, in SyscallArgs args)
    {
        int pid = args.I0, options = args.I2;
        if ((options & ~(WNoHang | WStopped | WContinued | WNoThread | WAll | WCloned)) != 0)
            return Errno.EINVAL;
        if (pid == int.MinValue)
            return Errno.ESRCH;
        Result<WaitOutcome> outcome = WaitForChild(task, (c, id) => Matches(task, c, id, pid), WExited | (options & (WStopped | WContinued | WAll | WCloned)), consume: true);
        if (outcome.IsError)
            return outcome.Error;
        if (outcome.Value.Pid == 0)
            return (options & WNoHang) != 0 ? 0 : Wait(task);
        if (args.A1 != 0 && !task.TryWrite(args.A1, outcome.Value.Status))
            return Errno.EFAULT;
        if (args.A3 != 0 && !task.Memory.TryWriteAll(args.A3, ResourceUsage.OfChild(outcome.Value.Child!)))
            return Errno.EFAULT;
        return task.PidNamespace.ToLocal(outcome.Value.Pid);
    }

    internal static SyscallResult Waitid(Task task, in SyscallArgs args)
    {
        const int all = 0, byPid = 1, byGroup = 2, byPidfd = 3;
        int type = args.I0, id = args.I1, options = args.I3;
        if ((options & ~(WNoHang | WStopped | WExited | WContinued | WNoWait | WNoThread | WAll | WCloned)) != 0 || (options & (WStopped | WExited | WContinued)) == 0)
            return Errno.EINVAL;
        ThreadGroup? wanted = null;
        bool nonBlocking = false;
        if (type == byPidfd)
        {
            if (id < 0)
                return Errno.EINVAL;
            if (!task.TryGetFile(id, out FileObject? file) || file is not PidFile pidfd)
                return Errno.EBADF;
            wanted = pidfd.Process;
            nonBlocking = pidfd.IsNonBlocking;
            if (wanted is null)
                return Errno.ECHILD;
        }
        else if (type is not (all or byPid or byGroup) || (type == byPid && id <= 0) || (type == byGroup && id < 0))
        {
            return Errno.EINVAL;
        }

        int pid = type == all ? -1 : type == byPid ? id : -id;
        Result<WaitOutcome> outcome = WaitForChild(task, (c, found) => wanted is null ? Matches(task, c, found, pid) : ReferenceEquals(c, wanted), options & (WStopped | WExited | WContinued | WAll | WCloned), consume: (options & WNoWait) == 0);
        if (outcome.IsError)
            return outcome.Error;
        byte[] info = new byte[128];
        if (outcome.Value.Pid == 0)
        {
            if ((options & WNoHang) == 0)
                return nonBlocking ? Errno.EAGAIN : Wait(task);
        }
        else
        {
            (int code, int status) = outcome.Value.Describe();
            SignalInfo.Child(Signal.SIGCHLD, code, task.PidNamespace.ToLocal(outcome.Value.Pid), task.UserNamespace.ShowUid(outcome.Value.Child!.LastUid), status).ToBytes(info);
        }

        if (args.A2 != 0 && !task.Memory.TryWriteAll(args.A2, info))
            return Errno.EFAULT;
        if (args.A4 != 0 && outcome.Value.Child is { } waited && !task.Memory.TryWriteAll(args.A4, ResourceUsage.OfChild(waited)))
            return Errno.EFAULT;
        return SyscallResult.Ok;
    }

    private static SyscallResult Wait(Task task)
    {
        task.WaitOn(task.Group.ChildWait);
        return task.Block(InterruptMode.Restart);
    }

    private static bool Matches(Task task, ThreadGroup child, int id, int pid) => pid switch
    {
        -1 => true,
        0 => child.ProcessGroup == task.Group.ProcessGroup,
        < 0 => child.ProcessGroup == task.PidNamespace.ToKernel(-pid),
        _ => id == task.PidNamespace.ToKernel(pid),
    };

    /// <summary>What a wait found; no child: none is in a state that is waited for.</summary>
    /// <param name="Pid">0 for no child; the thread of a tracee.</param>
    /// <param name="Traced">It is a stop that the tracer waits for.</param>
    private readonly record struct WaitOutcome(int Pid, ThreadGroup? Child, int Status, bool Traced = false)
    {
        /// <summary>si_code and si_status.</summary>
        public (int Code, int Status) Describe() => Status switch
        {
            _ when Traced => (SignalCode.CLD_TRAPPED, Status >> 8),
            JobState.ContinueStatus => (SignalCode.CLD_CONTINUED, Signal.SIGCONT),
            _ when (Status & 0xff) == 0x7f => (SignalCode.CLD_STOPPED, Status >> 8),
            _ when (Status & 0x7f) == 0 => (SignalCode.CLD_EXITED, Status >> 8),
            _ => ((Status & 0x80) != 0 ? SignalCode.CLD_DUMPED : SignalCode.CLD_KILLED, Status & 0x7f),
        };
    }

    private static Result<WaitOutcome> WaitForChild(Task task, Func<ThreadGroup, int, bool> matches, int what, bool consume)
    {
        bool any = false;
        if (WaitForTracee(task, matches, what, consume, ref any) is { } traced)
            return traced;
        foreach (ThreadGroup child in task.Group.Children)
        {
            if (!IsWaitedFor(child, what) || !matches(child, child.Pid))
                continue;
            any = true;
            if (child.TracedBy is { } tracer && !ReferenceEquals(tracer, task.Group))
                continue;
            if (child.WaitStatus is { } status)
            {
                if ((what & WExited) == 0)
                    continue;
                if (consume)
                {
                    task.Group.ChildrenCpuTime += child.ExitedCpuTime + child.ChildrenCpuTime;
                    Lifecycle.Reap(child);
                }

                return new WaitOutcome(child.Pid, child, status);
            }

            // Its stops are its tracer's to see.
            if (child.Tasks.Count > 0 && child.Tasks[0].Trace is { } trace && ReferenceEquals(trace.Tracer, task.Group))
                continue;
            if ((what & WStopped) != 0 && child.Job.StopUnreported)
            {
                child.Job.StopUnreported = !consume;
                return new WaitOutcome(child.Pid, child, child.Job.StopStatus);
            }

            if ((what & WContinued) != 0 && child.Job.ContinueUnreported)
            {
                child.Job.ContinueUnreported = !consume;
                return new WaitOutcome(child.Pid, child, JobState.ContinueStatus);
            }
        }

        return any ? default(WaitOutcome) : Errno.ECHILD;
    }

    /// <summary>Children whose end raises another signal than SIGCHLD, or none, are waited for with __WCLONE alone, others without it; with __WALL all are
    /// (wait(2), "Linux notes").</summary>
    private static bool IsWaitedFor(ThreadGroup child, int options) => (options & WAll) != 0 || (child.ExitSignal != Signal.SIGCHLD) == ((options & WCloned) != 0);

    /// <summary>Stops and ends of tracees, threads among them, whatever the options ask for (ptrace(2), "Death under ptrace").</summary>
    private static WaitOutcome? WaitForTracee(Task task, Func<ThreadGroup, int, bool> matches, int what, bool consume, ref bool any)
    {
        foreach (Task tracee in task.Kernel.Tasks.Values)
        {
            if (tracee.Trace is not { } trace || !ReferenceEquals(trace.Tracer, task.Group) || !matches(tracee.Group, tracee.Tid))
                continue;
            any = true;
            if (!trace.Unreported)
                continue;
            trace.Unreported = !consume;
            return new WaitOutcome(tracee.Tid, tracee.Group, trace.Code << 8 | 0x7f, Traced: true);
        }

        foreach (TraceeExit exit in task.Group.TraceeExits)
        {
            if (!matches(exit.Group, exit.Tid))
                continue;
            any = true;
            if ((what & WExited) == 0)
                continue;
            if (consume)
                TraceStops.Consume(task.Group, exit);
            return new WaitOutcome(exit.Tid, exit.Group, exit.Status);
        }

        return null;
    }

    private static SyscallResult WithRegisters(Task task, bool fs, ulong value)
    {
        task.Thread.ReturnAndStop(0);
        task.Thread.GetRegisters(out GuestRegisters registers);
        if (fs)
            registers.FsBase = value;
        else
            registers.GsBase = value;
        task.Thread.SetRegisters(registers);
        return Answered(task, 0);
    }

    private static SyscallResult Answered(Task task, long value)
    {
        task.Kernel.Dispatcher.AnsweredByHandler(task, value);
        task.Kernel.Dispatcher.ResumeStopped(task);
        return SyscallResult.Handled;
    }
}
