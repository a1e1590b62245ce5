using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>System calls about process ids, process groups, sessions and personality.</summary>
internal static class IdentitySyscalls
{
    internal static SyscallResult Getpid(Task task, in SyscallArgs args) => task.PidNamespace.ToLocal(task.Group.Pid);

    internal static SyscallResult Gettid(Task task, in SyscallArgs args) => task.PidNamespace.ToLocal(task.Tid);

    internal static SyscallResult Getppid(Task task, in SyscallArgs args) => task.Group.Parent is { } parent ? task.PidNamespace.ToLocal(parent.Pid) : 0;

    internal static SyscallResult Getpgid(Task task, in SyscallArgs args) =>
        FindGroup(task, args.I0) is { } group ? task.PidNamespace.ToLocal(group.ProcessGroup) : Errno.ESRCH;

    internal static SyscallResult Getpgrp(Task task, in SyscallArgs args) => task.PidNamespace.ToLocal(task.Group.ProcessGroup);

    internal static SyscallResult Getsid(Task task, in SyscallArgs args) =>
        FindGroup(task, args.I0) is { } group ? task.PidNamespace.ToLocal(group.Session) : Errno.ESRCH;

    /// <summary>setpgid(2): oneself or a child that has not executed a program, within the session.</summary>
    internal static SyscallResult Setpgid(Task task, in SyscallArgs args)
    {
        ThreadGroup caller = task.Group;
        if (args.I1 < 0)
            return Errno.EINVAL;
        int pid = args.I0 == 0 ? caller.Pid : task.PidNamespace.ToKernel(args.I0);
        int target = args.I1 == 0 ? pid : task.PidNamespace.ToKernel(args.I1);
        if (!task.Kernel.Processes.TryGetValue(pid, out ThreadGroup? process))
            return Errno.ESRCH;
        if (ReferenceEquals(process.Parent, caller))
        {
            if (process.Session != caller.Session)
                return Errno.EPERM;
            if (process.HasExecuted)
                return Errno.EACCES;
        }
        else if (!ReferenceEquals(process, caller))
        {
            return Errno.ESRCH;
        }

        if (process.Session == process.Pid)
            return Errno.EPERM;
        if (target != pid && !HasMember(task.Kernel, target, caller.Session))
            return Errno.EPERM;
        process.ProcessGroup = target;
        return SyscallResult.Ok;
    }

    /// <summary>setsid(2); a process-group leader may not (EPERM).</summary>
    internal static SyscallResult Setsid(Task task, in SyscallArgs args)
    {
        ThreadGroup group = task.Group;
        foreach (ThreadGroup other in task.Kernel.Processes.Values)
        {
            if (other.ProcessGroup == group.Pid)
                return Errno.EPERM;
        }

        group.Session = group.Pid;
        group.ProcessGroup = group.Pid;
        group.Terminal = null;
        return task.PidNamespace.ToLocal(group.Pid);
    }

    /// <summary>vhangup(2): hangs up the caller's own terminal.</summary>
    internal static SyscallResult Vhangup(Task task, in SyscallArgs args)
    {
        if (!task.Credentials.Has(Capability.CAP_SYS_TTY_CONFIG))
            return Errno.EPERM;
        task.Group.Terminal?.HangUp();
        return SyscallResult.Ok;
    }

    internal static SyscallResult Getuid(Task task, in SyscallArgs args) => (long)task.UserNamespace.ShowUid(task.Credentials.Uid);

    internal static SyscallResult Geteuid(Task task, in SyscallArgs args) => (long)task.UserNamespace.ShowUid(task.Credentials.EffectiveUid);

    internal static SyscallResult Getgid(Task task, in SyscallArgs args) => (long)task.UserNamespace.ShowGid(task.Credentials.Gid);

    internal static SyscallResult Getegid(Task task, in SyscallArgs args) => (long)task.UserNamespace.ShowGid(task.Credentials.EffectiveGid);

    internal static SyscallResult Getresuid(Task task, in SyscallArgs args)
    {
        Credentials credentials = task.Credentials;
        return WriteThree(task, args, task.UserNamespace.ShowUid(credentials.Uid), task.UserNamespace.ShowUid(credentials.EffectiveUid), task.UserNamespace.ShowUid(credentials.SavedUid));
    }

    internal static SyscallResult Getresgid(Task task, in SyscallArgs args)
    {
        Credentials credentials = task.Credentials;
        return WriteThree(task, args, task.UserNamespace.ShowGid(credentials.Gid), task.UserNamespace.ShowGid(credentials.EffectiveGid), task.UserNamespace.ShowGid(credentials.SavedGid));
    }

    internal static SyscallResult Getgroups(Task task, in SyscallArgs args)
    {
        uint[] groups = task.Credentials.Groups;
        int size = args.I0;
        if (size < 0)
            return Errno.EINVAL;
        if (size == 0)
            return groups.Length;
        if (size < groups.Length)
            return Errno.EINVAL;
        byte[] bytes = new byte[groups.Length * 4];
        for (int i = 0; i < groups.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), task.UserNamespace.ShowGid(groups[i]));
        return task.Memory.TryWriteAll(args.A1, bytes) ? groups.Length : Errno.EFAULT;
    }

    /// <summary>personality(2): 0xffffffff asks; the domains of other systems are stored and change nothing but uname's machine.</summary>
    internal static SyscallResult Personality(Task task, in SyscallArgs args)
    {
        uint old = task.Group.Personality;
        if ((uint)args.A0 != uint.MaxValue)
            task.Group.Personality = (uint)args.A0;
        return (long)old;
    }

    /// <summary>STICKY_TIMEOUTS of personality(2): select and its kin leave the caller's timeout alone.</summary>
    internal static bool HasStickyTimeouts(Task task) => (task.Group.Personality & 0x4000000) != 0;

    /// <summary>The process of a thread or process id, the caller's own for 0; null is ESRCH.</summary>
    internal static ThreadGroup? FindGroup(Task caller, int pid)
    {
        if (pid == 0)
            return caller.Group;
        pid = caller.PidNamespace.ToKernel(pid);
        if (caller.Kernel.Tasks.TryGetValue(pid, out Task? task))
            return task.Group;
        return caller.Kernel.Processes.GetValueOrDefault(pid);
    }

    /// <summary>The task of a thread id, the caller itself for 0; null is ESRCH.</summary>
    internal static Task? FindTask(Task caller, int tid) => tid == 0 ? caller : caller.Kernel.Tasks.GetValueOrDefault(caller.PidNamespace.ToKernel(tid));

    private static bool HasMember(GuestKernel kernel, int processGroup, int session)
    {
        foreach (ThreadGroup process in kernel.Processes.Values)
        {
            if (process.ProcessGroup == processGroup && process.Session == session)
                return true;
        }

        return false;
    }

    private static SyscallResult WriteThree(Task task, in SyscallArgs args, uint real, uint effective, uint saved)
    {
        if (!task.TryWrite(args.A0, real) || !task.TryWrite(args.A1, effective) || !task.TryWrite(args.A2, saved))
            return Errno.EFAULT;
        return SyscallResult.Ok;
    }
}
