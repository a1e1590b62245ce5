using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>System calls about policies and CPUs (sched(7)). The host schedules guest threads; what guests set is checked and kept, not enforced.</summary>
internal static class SchedulingSyscalls
{
    private const int ResetOnForkFlag = 0x40000000;
    private const int SchedAttrSize = 48;

    internal static SyscallResult SchedYield(Task task, in SyscallArgs args) => SyscallResult.Ok;

    internal static SyscallResult SchedSetaffinity(Task task, in SyscallArgs args)
    {
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        if (!MayChange(task, target))
            return Errno.EPERM;
        Span<byte> mask = stackalloc byte[8];
        mask.Clear();
        int length = (int)Math.Min(args.A1, 8);
        if (!task.Memory.TryReadAll(args.A2, mask[..length]))
            return Errno.EFAULT;
        ulong cpus = BinaryPrimitives.ReadUInt64LittleEndian(mask) & AllCpus(task.Kernel);
        if (cpus == 0)
            return Errno.EINVAL;
        target.Scheduling.Affinity = cpus == AllCpus(task.Kernel) ? 0 : cpus;
        return SyscallResult.Ok;
    }

    /// <summary>Answers the size of the kernel's CPU mask, 8 bytes (the wrapper of the C library clears the rest).</summary>
    internal static SyscallResult SchedGetaffinity(Task task, in SyscallArgs args)
    {
        if (args.A1 < 8 || args.A1 % 8 != 0)
            return Errno.EINVAL;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        return task.TryWrite(args.A2, EffectiveAffinity(target)) ? 8 : Errno.EFAULT;
    }

    internal static SyscallResult SchedGetscheduler(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0)
            return Errno.EINVAL;
        if (FindState(task, args.I0) is not { } state)
            return Errno.ESRCH;
        return state.Policy | (state.ResetOnFork ? ResetOnForkFlag : 0);
    }

    internal static SyscallResult SchedSetscheduler(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0 || args.I1 < 0 || args.A2 == 0)
            return Errno.EINVAL;
        if (!task.TryRead(args.A2, out int priority))
            return Errno.EFAULT;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        return Change(task, target, args.I1 & ~ResetOnForkFlag, priority, (args.I1 & ResetOnForkFlag) != 0);
    }

    internal static SyscallResult SchedGetparam(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0 || args.A1 == 0)
            return Errno.EINVAL;
        if (FindState(task, args.I0) is not { } state)
            return Errno.ESRCH;
        return task.TryWrite(args.A1, state.Priority) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult SchedSetparam(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0 || args.A1 == 0)
            return Errno.EINVAL;
        if (!task.TryRead(args.A1, out int priority))
            return Errno.EFAULT;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        return Change(task, target, target.Scheduling.Policy, priority, target.Scheduling.ResetOnFork);
    }

    internal static SyscallResult SchedGetPriorityMax(Task task, in SyscallArgs args) => args.I0 switch
    {
        SchedulingState.Fifo or SchedulingState.RoundRobin => 99,
        SchedulingState.Other or SchedulingState.Batch or SchedulingState.Idle or SchedulingState.Deadline => 0,
        _ => Errno.EINVAL,
    };

    internal static SyscallResult SchedGetPriorityMin(Task task, in SyscallArgs args) => args.I0 switch
    {
        SchedulingState.Fifo or SchedulingState.RoundRobin => 1,
        SchedulingState.Other or SchedulingState.Batch or SchedulingState.Idle or SchedulingState.Deadline => 0,
        _ => Errno.EINVAL,
    };

    /// <summary>100 ms for round robin, nothing for FIFO, a scheduler tick else.</summary>
    internal static SyscallResult SchedRrGetInterval(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0)
            return Errno.EINVAL;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        long nanoseconds = target.Scheduling.Policy switch
        {
            SchedulingState.RoundRobin => 100_000_000,
            SchedulingState.Fifo => 0,
            _ => 4_000_000,
        };
        return task.TryWrite(args.A1, 0L) && task.TryWrite(args.A1 + 8, nanoseconds) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult SchedSetattr(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0 || args.A1 == 0 || args.A2 != 0)
            return Errno.EINVAL;
        if (!task.TryRead(args.A1, out uint size))
            return Errno.EFAULT;
        if (size == 0)
            size = SchedAttrSize;
        if (size is < SchedAttrSize or > 4096)
            return task.TryWrite(args.A1, 56u) ? Errno.E2BIG : Errno.EFAULT;
        Span<byte> attributes = stackalloc byte[SchedAttrSize];
        if (!task.Memory.TryReadAll(args.A1, attributes))
            return Errno.EFAULT;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        int policy = BinaryPrimitives.ReadInt32LittleEndian(attributes[4..]);
        ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(attributes[8..]);
        int nice = BinaryPrimitives.ReadInt32LittleEndian(attributes[16..]);
        int priority = BinaryPrimitives.ReadInt32LittleEndian(attributes[20..]);
        if ((flags & ~0x7fUL) != 0)
            return Errno.EINVAL;
        if (policy == SchedulingState.Deadline)
            return SetDeadline(task, target, attributes, (flags & 1) != 0);
        bool niceCounts = policy is SchedulingState.Other or SchedulingState.Batch;
        nice = Math.Clamp(nice, -20, 19);
        if (niceCounts && nice < target.Scheduling.Nice && !MayRaise(task, target, nice))
            return Errno.EPERM;
        SyscallResult result = Change(task, target, policy, priority, (flags & 1) != 0);
        if (!result.IsError && niceCounts)
            target.Scheduling.Nice = nice;
        return result;
    }

    internal static SyscallResult SchedGetattr(Task task, in SyscallArgs args)
    {
        if (args.I0 < 0 || args.A1 == 0 || args.A3 != 0 || (uint)args.A2 is < SchedAttrSize or > 4096)
            return Errno.EINVAL;
        if (IdentitySyscalls.FindTask(task, args.I0) is not { } target)
            return Errno.ESRCH;
        SchedulingState state = target.Scheduling;
        Span<byte> attributes = stackalloc byte[SchedAttrSize];
        attributes.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(attributes, SchedAttrSize);
        BinaryPrimitives.WriteInt32LittleEndian(attributes[4..], state.Policy);
        BinaryPrimitives.WriteUInt64LittleEndian(attributes[8..], state.ResetOnFork ? 1UL : 0);
        BinaryPrimitives.WriteInt32LittleEndian(attributes[16..], state.Nice);
        BinaryPrimitives.WriteInt32LittleEndian(attributes[20..], state.Priority);
        if (state.Policy == SchedulingState.Deadline)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(attributes[24..], state.Runtime);
            BinaryPrimitives.WriteUInt64LittleEndian(attributes[32..], state.RelativeDeadline);
            BinaryPrimitives.WriteUInt64LittleEndian(attributes[40..], state.Period);
        }

        return task.Memory.TryWriteAll(args.A1, attributes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>getpriority(2): 20 minus the lowest nice value, so that it is never negative.</summary>
    internal static SyscallResult Getpriority(Task task, in SyscallArgs args)
    {
        if ((uint)args.A0 > 2)
            return Errno.EINVAL;
        int best = int.MinValue;
        foreach (Task target in SelectTasks(task, args.I0, args.I1))
            best = Math.Max(best, 20 - target.Scheduling.Nice);
        return best == int.MinValue ? Errno.ESRCH : best;
    }

    internal static SyscallResult Setpriority(Task task, in SyscallArgs args)
    {
        if ((uint)args.A0 > 2)
            return Errno.EINVAL;
        int nice = Math.Clamp(args.I2, -20, 19);
        Errno error = Errno.ESRCH;
        foreach (Task target in SelectTasks(task, args.I0, args.I1))
        {
            uint effective = task.Credentials.EffectiveUid;
            if (target.Credentials.Uid != effective && target.Credentials.EffectiveUid != effective && !task.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_NICE))
            {
                error = Errno.EPERM;
                continue;
            }

            if (nice < target.Scheduling.Nice && !MayRaise(task, target, nice))
            {
                error = Errno.EACCES;
                continue;
            }

            if (error == Errno.ESRCH)
                error = Errno.None;
            target.Scheduling.Nice = nice;
        }

        return error;
    }

    internal static SyscallResult IoprioGet(Task task, in SyscallArgs args)
    {
        if (args.I0 is < 1 or > 3)
            return Errno.EINVAL;
        foreach (Task target in SelectTasks(task, args.I0 - 1, args.I1))
            return target.Scheduling.IoPriority;
        return Errno.ESRCH;
    }

    internal static SyscallResult IoprioSet(Task task, in SyscallArgs args)
    {
        int ioClass = args.I2 >> 13;
        if (args.I0 is < 1 or > 3 || ioClass is < 0 or > 3 || (ioClass == 0 && (args.I2 & 0x1fff) != 0) || (args.I2 & 0x1fff) >= 8)
            return Errno.EINVAL;
        if (ioClass == 1 && !task.Credentials.Has(Capability.CAP_SYS_NICE) && !task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        bool any = false;
        foreach (Task target in SelectTasks(task, args.I0 - 1, args.I1))
        {
            target.Scheduling.IoPriority = args.I2;
            any = true;
        }

        return any ? SyscallResult.Ok : Errno.ESRCH;
    }

    /// <summary>getcpu(2): the lowest CPU the task may run on, on the only node. Where a thread runs is the host's secret.</summary>
    internal static SyscallResult Getcpu(Task task, in SyscallArgs args)
    {
        if (args.A0 != 0 && !task.TryWrite(args.A0, System.Numerics.BitOperations.TrailingZeroCount(EffectiveAffinity(task))))
            return Errno.EFAULT;
        if (args.A1 != 0 && !task.TryWrite(args.A1, 0))
            return Errno.EFAULT;
        return SyscallResult.Ok;
    }

    /// <summary>rseq(2) is refused: a restartable sequence would have to be aborted wherever a thread is stopped; C libraries do without.</summary>
    internal static SyscallResult Rseq(Task task, in SyscallArgs args) => Errno.ENOSYS;

    /// <summary>The CPUs a task may run on, as a mask.</summary>
    internal static ulong EffectiveAffinity(Task task) => task.Scheduling.Affinity == 0 ? AllCpus(task.Kernel) : task.Scheduling.Affinity;

    private static ulong AllCpus(GuestKernel kernel) => kernel.CpuCount >= 64 ? ulong.MaxValue : (1UL << kernel.CpuCount) - 1;

    private static bool MayChange(Task task, Task target)
    {
        uint effective = task.Credentials.EffectiveUid;
        return ReferenceEquals(task, target) || target.Credentials.Uid == effective || target.Credentials.EffectiveUid == effective
            || task.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_NICE);
    }

    /// <summary>RLIMIT_NICE allows down to 20 minus the limit (getrlimit(2)).</summary>
    private static bool MayRaise(Task task, Task target, int nice) =>
        task.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_NICE) || (ulong)(20 - nice) <= target.Group.Limits[ResourceLimits.Nice].Soft;

    private static SyscallResult Change(Task task, Task target, int policy, int priority, bool resetOnFork)
    {
        bool realTime = policy is SchedulingState.Fifo or SchedulingState.RoundRobin;
        if (!realTime && policy is not (SchedulingState.Other or SchedulingState.Batch or SchedulingState.Idle))
            return Errno.EINVAL;
        if (realTime ? priority is < 1 or > 99 : priority != 0)
            return Errno.EINVAL;
        SchedulingState state = target.Scheduling;
        if (!task.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_NICE))
        {
            ulong limit = target.Group.Limits[ResourceLimits.RtPrio].Soft;
            if (realTime && ((limit == 0 && policy != state.Policy) || (priority > state.Priority && (ulong)priority > limit)))
                return Errno.EPERM;
            if (state.ResetOnFork && !resetOnFork)
                return Errno.EPERM;
        }

        if (!MayChange(task, target))
            return Errno.EPERM;
        state.Policy = policy;
        state.Priority = priority;
        state.ResetOnFork = resetOnFork;
        return SyscallResult.Ok;
    }

    /// <summary>SCHED_DEADLINE: runtime ≤ deadline ≤ period, at least a microsecond of runtime (sched(7)).</summary>
    private static SyscallResult SetDeadline(Task task, Task target, ReadOnlySpan<byte> attributes, bool resetOnFork)
    {
        const ulong shortest = 1024;
        ulong runtime = BinaryPrimitives.ReadUInt64LittleEndian(attributes[24..]);
        ulong deadline = BinaryPrimitives.ReadUInt64LittleEndian(attributes[32..]);
        ulong period = BinaryPrimitives.ReadUInt64LittleEndian(attributes[40..]);
        if (period == 0)
            period = deadline;
        if (runtime < shortest || runtime > deadline || deadline > period || period >> 63 != 0)
            return Errno.EINVAL;
        if (!task.Credentials.HasIn(target.UserNamespace, Capability.CAP_SYS_NICE))
            return Errno.EPERM;
        SchedulingState state = target.Scheduling;
        (state.Policy, state.Priority, state.ResetOnFork) = (SchedulingState.Deadline, 0, resetOnFork);
        (state.Runtime, state.RelativeDeadline, state.Period) = (runtime, deadline, period);
        return SyscallResult.Ok;
    }

    /// <summary>What was set for a thread, or for a process that has ended and not been waited for.</summary>
    private static SchedulingState? FindState(Task caller, int id)
    {
        if (IdentitySyscalls.FindTask(caller, id) is { } task)
            return task.Scheduling;
        return caller.Kernel.Processes.TryGetValue(caller.PidNamespace.ToKernel(id), out ThreadGroup? zombie) ? zombie.LastScheduling : null;
    }

    /// <summary>Those a which/who pair of getpriority(2) means: 0 one thread, 1 a process group, 2 a user.</summary>
    private static IEnumerable<Task> SelectTasks(Task caller, int which, int who)
    {
        if (which == 0)
        {
            if (IdentitySyscalls.FindTask(caller, who) is { } one)
                yield return one;
            yield break;
        }

        int processGroup = who == 0 ? caller.Group.ProcessGroup : caller.PidNamespace.ToKernel(who);
        uint uid = who == 0 ? caller.Credentials.Uid : caller.UserNamespace.TryMakeUid((uint)who, out uint kernelUid) ? kernelUid : uint.MaxValue;
        foreach (Task task in caller.Kernel.Tasks.Values)
        {
            if (which == 1 ? task.Group.ProcessGroup == processGroup : task.Credentials.Uid == uid)
                yield return task;
        }
    }
}
