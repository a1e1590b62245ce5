namespace Sentry.Kernel.Signals;

/// <summary>System calls that send signals: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal.</summary>
internal static class KillSyscalls
{
    private const int CAP_KILL = 5;

    internal static SyscallResult Kill(Task task, in SyscallArgs args)
    {
        int pid = args.I0, signal = args.I1;
        GuestKernel kernel = task.Kernel;
        if (pid > 0)
            return FindProcess(task, pid) is { } group ? ToProcess(task, group, signal, null) : Errno.ESRCH;

        if (pid == int.MinValue)
            return Errno.ESRCH;
        int processGroup = pid == 0 ? task.Group.ProcessGroup : task.PidNamespace.ToKernel(-pid);
        bool found = false, sent = false;
        Errno error = Errno.None;

        // What is sent may end processes only later, on the dispatch thread, but a copy costs little and keeps this safe.
        foreach (ThreadGroup group in kernel.Processes.Values.ToArray())
        {
            if (pid == -1 ? group.IsReaper || group == task.Group || !group.PidNamespace.IsWithin(task.PidNamespace) : group.ProcessGroup != processGroup)
                continue;
            found = true;
            Errno result = ToProcess(task, group, signal, null);
            sent |= result == Errno.None;
            if (result != Errno.None && (pid != -1 || result != Errno.EPERM))
                error = result;
        }

        if (!found)
            return Errno.ESRCH;
        return sent || error == Errno.None ? SyscallResult.Ok : error;
    }

    internal static SyscallResult Tkill(Task task, in SyscallArgs args) =>
        args.I0 <= 0 ? Errno.EINVAL : ToThread(task, 0, task.PidNamespace.ToKernel(args.I0), args.I1, null);

    internal static SyscallResult Tgkill(Task task, in SyscallArgs args) =>
        args.I0 <= 0 || args.I1 <= 0 ? Errno.EINVAL : ToThread(task, task.PidNamespace.ToKernel(args.I0), task.PidNamespace.ToKernel(args.I1), args.I2, null);

    internal static SyscallResult RtSigqueueinfo(Task task, in SyscallArgs args)
    {
        if (!TryReadInfo(task, args.A2, args.I1, out SignalInfo? info))
            return Errno.EFAULT;

        // A program may claim to be a queue, a timer or itself, never kill(2) or the kernel towards others.
        if ((info.Code >= 0 || info.Code == SignalCode.SI_TKILL) && task.PidNamespace.ToKernel(args.I0) != task.Group.Pid)
            return Errno.EPERM;
        return FindProcess(task, args.I0) is { } group ? ToProcess(task, group, args.I1, info) : Errno.ESRCH;
    }

    internal static SyscallResult RtTgsigqueueinfo(Task task, in SyscallArgs args)
    {
        if (args.I0 <= 0 || args.I1 <= 0)
            return Errno.EINVAL;
        if (!TryReadInfo(task, args.A3, args.I2, out SignalInfo? info))
            return Errno.EFAULT;
        if ((info.Code >= 0 || info.Code == SignalCode.SI_TKILL) && task.PidNamespace.ToKernel(args.I1) != task.Tid)
            return Errno.EPERM;
        return ToThread(task, task.PidNamespace.ToKernel(args.I0), task.PidNamespace.ToKernel(args.I1), args.I2, info);
    }

    /// <summary>pidfd_send_signal(2): to what the descriptor stands for, or to its thread, process or process group.</summary>
    internal static SyscallResult PidfdSendSignal(Task task, in SyscallArgs args)
    {
        const ulong toThread = 1, toProcess = 2, toGroup = 4;
        ulong scope = args.A3;
        if (scope is not (0 or toThread or toProcess or toGroup))
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || ((file as IProcessFile) ?? (file as DirectoryFile)?.Inode as IProcessFile) is not { } found)
            return Errno.EBADF;
        ThreadGroup? group = found.Process;
        var pidfd = file as PidFile;
        if (scope == 0)
            scope = pidfd is { IsThread: true } ? toThread : toProcess;
        SignalInfo? info = null;
        if (args.A2 != 0)
        {
            if (!TryReadInfo(task, args.A2, args.I1, out info))
                return Errno.EFAULT;
            Span<byte> number = stackalloc byte[4];
            task.Memory.Read(args.A2, number);
            if (System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(number) != args.I1)
                return Errno.EINVAL;
            if ((info.Code >= 0 || info.Code == SignalCode.SI_TKILL) && (group != task.Group || scope == toGroup))
                return Errno.EPERM;
        }

        if (group is null)
            return Errno.ESRCH;
        if (scope == toGroup)
            return ToProcessGroup(task, group.ProcessGroup, args.I1, info);
        if (scope == toProcess)
            return ToProcess(task, group, args.I1, info);
        Task? thread = pidfd is { IsThread: true } ? pidfd.Thread : group.Tasks.Find(t => t.Tid == group.Pid);
        return thread is null ? Errno.ESRCH : ToThread(task, group.Pid, thread.Tid, args.I1, info ?? SignalInfo.User(args.I1, task));
    }

    private static Errno ToProcessGroup(Task sender, int processGroup, int signal, SignalInfo? info)
    {
        Errno error = Errno.ESRCH;
        bool sent = false;
        foreach (ThreadGroup group in sender.Kernel.Processes.Values.ToArray())
        {
            if (group.ProcessGroup != processGroup)
                continue;
            error = ToProcess(sender, group, signal, info);
            sent |= error == Errno.None;
        }

        return sent ? Errno.None : error;
    }

    /// <summary>Whether a task may signal a process (kill(2)): by user ids, CAP_KILL, or SIGCONT within the session.</summary>
    internal static bool MaySignal(Task sender, ThreadGroup target, int signal)
    {
        if (target == sender.Group || target.Tasks.Count == 0 || sender.Credentials.HasIn(target.Tasks[0].UserNamespace, CAP_KILL))
            return true;
        Credentials from = sender.Credentials, to = target.Tasks[0].Credentials;
        return from.EffectiveUid == to.SavedUid || from.EffectiveUid == to.Uid || from.Uid == to.SavedUid || from.Uid == to.Uid ||
            (signal == Signal.SIGCONT && sender.Group.Session == target.Session);
    }

    private static Errno ToProcess(Task sender, ThreadGroup target, int signal, SignalInfo? info)
    {
        if (signal is < 0 or > Signal.Max)
            return Errno.EINVAL;
        if (!MaySignal(sender, target, signal))
            return Errno.EPERM;
        return signal == 0 ? Errno.None : SignalDelivery.SendToProcess(target, info ?? SignalInfo.User(signal, sender), sender);
    }

    private static SyscallResult ToThread(Task sender, int pid, int tid, int signal, SignalInfo? info)
    {
        if (!sender.Kernel.Tasks.TryGetValue(tid, out Task? target) || (pid != 0 && target.Group.Pid != pid))
            return Errno.ESRCH;
        if (signal is < 0 or > Signal.Max)
            return Errno.EINVAL;
        if (!MaySignal(sender, target.Group, signal))
            return Errno.EPERM;
        return signal == 0 ? Errno.None : SignalDelivery.SendToTask(target, info ?? SignalInfo.User(signal, sender, SignalCode.SI_TKILL), sender);
    }

    /// <summary>The process with this id, or the one that a thread id belongs to, as kill(2) takes it.</summary>
    private static ThreadGroup? FindProcess(Task caller, int pid) => FindProcess(caller.Kernel, caller.PidNamespace.ToKernel(pid));

    private static ThreadGroup? FindProcess(GuestKernel kernel, int pid) =>
        kernel.Processes.TryGetValue(pid, out ThreadGroup? group) ? group : kernel.Tasks.TryGetValue(pid, out Task? task) ? task.Group : null;

    private static bool TryReadInfo(Task task, ulong address, int signal, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out SignalInfo? info)
    {
        Span<byte> siginfo = stackalloc byte[RtSigframe.SiginfoSize];
        info = task.Memory.TryReadAll(address, siginfo) ? SignalInfo.FromBytes(signal, siginfo).ClaimedBy(task) : null;
        return info is not null;
    }
}

/// <summary>A file that stands for a process (pidfd_open(2)), or the inode of /proc/PID.</summary>
public interface IProcessFile
{
    /// <summary>Null once it is gone.</summary>
    ThreadGroup? Process { get; }
}
