namespace Sentry.Kernel.Seccomp;

/// <summary>seccomp(2) and its forms of prctl(2).</summary>
internal static class SeccompSyscalls
{
    internal static SyscallResult Seccomp(Task task, in SyscallArgs args)
    {
        uint operation = (uint)args.A0, flags = (uint)args.A1;
        switch (operation)
        {
            case SECCOMP.SET_MODE_STRICT:
                return flags != 0 || args.A2 != 0 ? Errno.EINVAL : SetStrict(task);
            case SECCOMP.SET_MODE_FILTER:
                return SetFilter(task, flags, args.A2);
            case SECCOMP.GET_ACTION_AVAIL:
                if (flags != 0)
                    return Errno.EINVAL;
                if (!task.TryRead(args.A2, out uint action))
                    return Errno.EFAULT;
                return action is SECCOMP.RET_KILL_PROCESS or SECCOMP.RET_KILL_THREAD or SECCOMP.RET_TRAP or SECCOMP.RET_ERRNO or SECCOMP.RET_TRACE or SECCOMP.RET_LOG or SECCOMP.RET_ALLOW
                    ? SyscallResult.Ok
                    : Errno.EOPNOTSUPP;
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>prctl(PR_SET_SECCOMP).</summary>
    internal static SyscallResult SetMode(Task task, ulong mode, ulong filter) => mode switch
    {
        SECCOMP.MODE_STRICT => SetStrict(task),
        SECCOMP.MODE_FILTER => SetFilter(task, 0, filter),
        _ => Errno.EINVAL,
    };

    private static SyscallResult SetStrict(Task task)
    {
        if (task.Seccomp is { Mode: not SECCOMP.MODE_STRICT })
            return Errno.EINVAL;
        task.Seccomp ??= new SeccompState(null);
        return SyscallResult.Ok;
    }

    private static SyscallResult SetFilter(Task task, uint flags, ulong program)
    {
        const uint known = SECCOMP.FILTER_FLAG_TSYNC | SECCOMP.FILTER_FLAG_LOG | SECCOMP.FILTER_FLAG_SPEC_ALLOW | SECCOMP.FILTER_FLAG_TSYNC_ESRCH;
        if ((flags & ~known) != 0)
            return Errno.EINVAL;

        // struct sock_fprog: a count, padding, a pointer.
        if (!task.TryRead(program, out ushort count) || !task.TryRead(program + 8, out ulong place))
            return Errno.EFAULT;
        if (count is 0 or > FilterProgram.MaxLength)
            return Errno.EINVAL;
        if (!task.Credentials.NoNewPrivileges && !task.Credentials.HasIn(task.UserNamespace, Capability.CAP_SYS_ADMIN))
            return Errno.EACCES;
        byte[] bytes = new byte[count * sizeof(ulong)];
        if (!task.Memory.TryReadAll(place, bytes))
            return Errno.EFAULT;
        ulong[] instructions = new ulong[count];
        Buffer.BlockCopy(bytes, 0, instructions, 0, bytes.Length);
        if (!FilterProgram.IsSound(instructions) || task.Seccomp is { Mode: SECCOMP.MODE_STRICT })
            return Errno.EINVAL;
        if ((flags & SECCOMP.FILTER_FLAG_TSYNC) != 0 && FindStranger(task) is { } stranger)
            return (flags & SECCOMP.FILTER_FLAG_TSYNC_ESRCH) != 0 ? Errno.ESRCH : task.PidNamespace.ToLocal(stranger.Tid);
        var filter = new SeccompFilter(instructions, task.Seccomp?.Filter);
        int cost = 0;
        for (SeccompFilter? each = filter; each is not null; each = each.Previous)
            cost += each.Cost;
        if (cost > SeccompFilter.MaxCost)
            return Errno.ENOMEM;
        task.Seccomp = new SeccompState(filter);
        if ((flags & SECCOMP.FILTER_FLAG_TSYNC) != 0)
            Share(task);
        return SyscallResult.Ok;
    }

    /// <summary>A thread whose filters are not among the caller's: it cannot be given those.</summary>
    private static Task? FindStranger(Task task)
    {
        foreach (Task other in task.Group.Tasks)
        {
            if (!ReferenceEquals(other, task) && other.Seccomp is { } own && !own.IsAncestorOf(task.Seccomp))
                return other;
        }

        return null;
    }

    private static void Share(Task task)
    {
        foreach (Task other in task.Group.Tasks)
        {
            other.Seccomp = task.Seccomp;
            if (task.Credentials.NoNewPrivileges && !other.Credentials.NoNewPrivileges)
                other.Credentials = new CredentialsDraft(other.Credentials) { NoNewPrivileges = true }.ToCredentials();
        }
    }
}
