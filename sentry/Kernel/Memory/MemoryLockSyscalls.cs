namespace Sentry.Kernel.Memory;

/// <summary>System calls: mlock, mlock2, munlock, mlockall, munlockall. Nothing is ever swapped out, so locking is bookkeeping and a page fault ahead of time.</summary>
internal static class MemoryLockSyscalls
{
    private const int Current = 1, Future = 2, OnFault = 4;

    /// <summary>RLIMIT_MEMLOCK: EPERM when nothing may be locked, EAGAIN when it would be too much.</summary>
    internal static Errno CheckLimit(Task task, bool wanted, ulong more)
    {
        bool future = (task.Memory.FutureFlags & AreaFlags.Locked) != 0;
        if ((!wanted && !future) || task.Credentials.Has(Capability.CAP_IPC_LOCK))
            return Errno.None;
        ulong limit = task.Group.Limits[ResourceLimits.MemLock].Soft;
        if (wanted && limit == 0)
            return Errno.EPERM;
        return task.Memory.LockedBytes + more > limit ? Errno.EAGAIN : Errno.None;
    }

    internal static SyscallResult Mlock(Task task, in SyscallArgs args) => Lock(task, args.A0, args.A1, AreaFlags.Locked);

    internal static SyscallResult Mlock2(Task task, in SyscallArgs args) =>
        (args.I2 & ~1) != 0 ? Errno.EINVAL : Lock(task, args.A0, args.A1, AreaFlags.Locked | ((args.I2 & 1) != 0 ? AreaFlags.LockOnFault : 0));

    private static SyscallResult Lock(Task task, ulong address, ulong length, AreaFlags flags)
    {
        ulong limit = task.Credentials.Has(Capability.CAP_IPC_LOCK) ? ulong.MaxValue : task.Group.Limits[ResourceLimits.MemLock].Soft;
        if (limit == 0)
            return Errno.EPERM;
        ulong start = address & ~(Mappings.PageSize - 1), end = Mappings.RoundUp(address + length);
        if (end < start)
            return Errno.EINVAL;
        if (start == end)
            return SyscallResult.Ok;
        ulong more = 0;
        for (int i = task.Memory.Areas.FirstEndingAfter(start); i < task.Memory.Areas.Count && task.Memory.Areas[i].Start < end; i++)
        {
            Area area = task.Memory.Areas[i];
            more += area.Has(AreaFlags.Locked) ? 0 : Math.Min(end, area.End) - Math.Max(start, area.Start);
        }

        if (limit != ulong.MaxValue && task.Memory.LockedBytes + more > limit)
            return Errno.ENOMEM;
        if (!task.Memory.Areas.Covers(start, end))
            return Errno.ENOMEM;
        Mappings.SetFlags(task.Memory, start, end, flags, AreaFlags.LockOnFault);
        if ((flags & AreaFlags.LockOnFault) == 0)
            AdviceSyscalls.Populate(task, start, end);
        return SyscallResult.Ok;
    }

    internal static SyscallResult Munlock(Task task, in SyscallArgs args)
    {
        ulong start = args.A0 & ~(Mappings.PageSize - 1), end = Mappings.RoundUp(args.A0 + args.A1);
        if (end < start)
            return Errno.EINVAL;
        if (start == end)
            return SyscallResult.Ok;
        if (!task.Memory.Areas.Covers(start, end))
            return Errno.ENOMEM;
        Mappings.SetFlags(task.Memory, start, end, AreaFlags.None, AreaFlags.Locked | AreaFlags.LockOnFault);
        return SyscallResult.Ok;
    }

    internal static SyscallResult Mlockall(Task task, in SyscallArgs args)
    {
        int flags = args.I0;
        if (flags is 0 or OnFault || (flags & ~(Current | Future | OnFault)) != 0)
            return Errno.EINVAL;
        MemoryManager memory = task.Memory;
        ulong limit = task.Credentials.Has(Capability.CAP_IPC_LOCK) ? ulong.MaxValue : task.Group.Limits[ResourceLimits.MemLock].Soft;
        if (limit == 0)
            return Errno.EPERM;
        if ((flags & Current) != 0 && limit != ulong.MaxValue && TotalBytes(memory) > limit)
            return Errno.ENOMEM;
        AreaFlags kept = AreaFlags.Locked | ((flags & OnFault) != 0 ? AreaFlags.LockOnFault : 0);
        memory.FutureFlags = (flags & Future) != 0 ? kept : AreaFlags.None;
        if ((flags & Current) != 0)
            SetAll(memory, kept, AreaFlags.LockOnFault);
        return SyscallResult.Ok;
    }

    internal static SyscallResult Munlockall(Task task, in SyscallArgs args)
    {
        task.Memory.FutureFlags = AreaFlags.None;
        SetAll(task.Memory, AreaFlags.None, AreaFlags.Locked | AreaFlags.LockOnFault);
        return SyscallResult.Ok;
    }

    private static void SetAll(MemoryManager memory, AreaFlags set, AreaFlags clear)
    {
        if (memory.Areas.Count > 0)
            Mappings.SetFlags(memory, memory.Areas[0].Start, memory.Areas[memory.Areas.Count - 1].End, set, clear);
    }

    private static ulong TotalBytes(MemoryManager memory)
    {
        ulong bytes = 0;
        foreach (Area area in memory.Areas.All)
            bytes += area.Length;
        return bytes;
    }
}
