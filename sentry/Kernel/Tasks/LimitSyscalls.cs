using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>System calls about resource limits and use (getrlimit(2), getrusage(2)).</summary>
internal static class LimitSyscalls
{
    /// <summary>/proc/sys/fs/nr_open: no descriptor limit goes beyond.</summary>
    internal const ulong MaximumOpenFiles = 1048576;

    internal static SyscallResult Getrlimit(Task task, in SyscallArgs args)
    {
        if ((uint)args.A0 >= ResourceLimits.Count)
            return Errno.EINVAL;
        return WriteLimit(task, args.A1, task.Group.Limits[args.I0]) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Setrlimit(Task task, in SyscallArgs args)
    {
        if (!TryReadLimit(task, args.A1, out ResourceLimit limit))
            return Errno.EFAULT;
        return Change(task, task.Group, (uint)args.A0, limit);
    }

    /// <summary>prlimit64(2): another process needs the caller's ids in all of its own, or CAP_SYS_RESOURCE.</summary>
    internal static SyscallResult Prlimit64(Task task, in SyscallArgs args)
    {
        ResourceLimit wanted = default;
        if (args.A2 != 0 && !TryReadLimit(task, args.A2, out wanted))
            return Errno.EFAULT;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        if (!ReferenceEquals(target.Group, task.Group) && !HasSameIds(task.Credentials, target.Credentials) && !task.Credentials.Has(Capability.CAP_SYS_RESOURCE))
            return Errno.EPERM;
        if ((uint)args.A1 >= ResourceLimits.Count)
            return Errno.EINVAL;
        ResourceLimit old = target.Group.Limits[args.I1];
        if (args.A2 != 0)
        {
            SyscallResult changed = Change(task, target.Group, (uint)args.A1, wanted);
            if (changed.IsError)
                return changed;
        }

        return args.A3 == 0 || WriteLimit(task, args.A3, old) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>getrusage(2): CPU time, all of it as user time since guest code is all that the host charges to guest threads; the rest is 0.</summary>
    internal static SyscallResult Getrusage(Task task, in SyscallArgs args)
    {
        const int Self = 0, Children = -1, Thread = 1, Size = 144;
        long time;
        switch (args.I0)
        {
            case Self:
                time = CpuTime(task.Group);
                break;
            case Children:
                time = task.Group.ChildrenCpuTime;
                break;
            case Thread:
                time = task.CpuTime;
                break;
            default:
                return Errno.EINVAL;
        }

        Span<byte> usage = stackalloc byte[Size];
        usage.Clear();
        WriteUsage(usage, time);
        return task.Memory.TryWriteAll(args.A1, usage) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>Fills ru_utime of a cleared struct rusage; wait4(2) uses it as well.</summary>
    internal static void WriteUsage(Span<byte> usage, long cpuTime)
    {
        BinaryPrimitives.WriteInt64LittleEndian(usage, cpuTime / 1_000_000_000);
        BinaryPrimitives.WriteInt64LittleEndian(usage[8..], cpuTime % 1_000_000_000 / 1000);
    }

    /// <summary>The CPU time of a process with the threads that have exited, ns.</summary>
    internal static long CpuTime(ThreadGroup group)
    {
        long time = group.ExitedCpuTime;
        foreach (Task task in group.Tasks)
            time += task.CpuTime;
        return time;
    }

    private static SyscallResult Change(Task task, ThreadGroup target, uint resource, ResourceLimit limit)
    {
        if (resource >= ResourceLimits.Count || limit.Soft > limit.Hard)
            return Errno.EINVAL;
        if (resource == ResourceLimits.NoFile && limit.Hard > MaximumOpenFiles)
            return Errno.EPERM;
        if (limit.Hard > target.Limits[(int)resource].Hard && !task.Credentials.Has(Capability.CAP_SYS_RESOURCE))
            return Errno.EPERM;
        target.Limits[(int)resource] = limit;
        if (resource == ResourceLimits.Cpu)
            target.FollowCpuLimit();
        return SyscallResult.Ok;
    }

    private static bool HasSameIds(Credentials caller, Credentials target) =>
        target.Uid == caller.Uid && target.EffectiveUid == caller.Uid && target.SavedUid == caller.Uid
        && target.Gid == caller.Gid && target.EffectiveGid == caller.Gid && target.SavedGid == caller.Gid;

    private static bool TryReadLimit(Task task, ulong address, out ResourceLimit limit)
    {
        limit = default;
        return task.TryRead(address, out limit.Soft) && task.TryRead(address + 8, out limit.Hard);
    }

    private static bool WriteLimit(Task task, ulong address, ResourceLimit limit) => task.TryWrite(address, limit.Soft) && task.TryWrite(address + 8, limit.Hard);
}
