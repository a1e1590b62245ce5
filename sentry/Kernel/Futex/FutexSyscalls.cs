using System.Runtime.InteropServices;

namespace Sentry.Kernel.Futex;

/// <summary>System calls: futex, set_robust_list, get_robust_list, futex_waitv, futex_wake, futex_wait, futex_requeue.</summary>
internal static class FutexSyscalls
{
    private const int OpWait = 0, OpWake = 1, OpRequeue = 3, OpCmpRequeue = 4, OpWakeOp = 5, OpLockPi = 6, OpUnlockPi = 7, OpTrylockPi = 8,
        OpWaitBitset = 9, OpWakeBitset = 10, OpLockPi2 = 13;

    private const int PrivateFlag = 128;
    private const int ClockRealtimeFlag = 256;
    private const uint Size32 = 2;
    private const int MaxVector = 128;
    private const ulong RobustListSize = 24;

    /// <summary>struct futex_waitv.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WaitVector
    {
        public ulong Value;
        public ulong Address;
        public uint Flags;
        public uint Reserved;
    }

    internal static SyscallResult Futex(Task task, in SyscallArgs args)
    {
        int operation = args.I1 & ~(PrivateFlag | ClockRealtimeFlag);
        bool isPrivate = (args.I1 & PrivateFlag) != 0;
        bool wall = (args.I1 & ClockRealtimeFlag) != 0;
        ulong address = args.A0;
        uint value = (uint)args.A2;
        if (wall && operation is not (OpWait or OpWaitBitset or OpLockPi2))
            return Errno.ENOSYS;
        if ((address & 3) != 0)
            return Errno.EINVAL;
        switch (operation)
        {
            case OpWait:
                return Wait(task, address, value, isPrivate, FutexTable.AnyBit, args.A3, wall, absolute: false);
            case OpWaitBitset:
                return Wait(task, address, value, isPrivate, (uint)args.A5, args.A3, wall, absolute: true);
            case OpWake:
                return Wake(task, address, isPrivate, (int)value, FutexTable.AnyBit);
            case OpWakeBitset:
                return Wake(task, address, isPrivate, (int)value, (uint)args.A5);
            case OpRequeue:
                return Requeue(task, address, args.A4, isPrivate, (int)value, (int)args.A3, null);
            case OpCmpRequeue:
                return Requeue(task, address, args.A4, isPrivate, (int)value, (int)args.A3, (uint)args.A5);
            case OpWakeOp:
                return WakeOp(task, address, args.A4, isPrivate, (int)value, (int)args.A3, (uint)args.A5);
            case OpLockPi or OpLockPi2:
                long deadline = -1;
                if (args.A3 != 0 && ReadTime(task, args.A3, out deadline) is var error && error != Errno.None)
                    return error;
                return PriorityInheritance.Lock(task, address, isPrivate, deadline, wall || operation == OpLockPi, tryOnly: false);
            case OpTrylockPi:
                return PriorityInheritance.Lock(task, address, isPrivate, -1, false, tryOnly: true);
            case OpUnlockPi:
                return PriorityInheritance.Unlock(task, address, isPrivate);
            default:
                return Errno.ENOSYS;
        }
    }

    private static SyscallResult Wait(Task task, ulong address, uint value, bool isPrivate, uint bitset, ulong timeout, bool wall, bool absolute)
    {
        if (bitset == 0)
            return Errno.EINVAL;
        long time = -1;
        if (timeout != 0 && ReadTime(task, timeout, out time) is var error && error != Errno.None)
            return error;
        if (task.Call.TimedOut && !(wall && absolute))
            return Errno.ETIMEDOUT;
        if (!task.Memory.Space.TryRead32(address, out uint found))
            return Errno.EFAULT;
        if (found != value)
            return Errno.EAGAIN;
        if (time >= 0 && absolute && SleepSyscalls.SleepUntil(task, time, wall))
            return Errno.ETIMEDOUT;
        if (time >= 0 && !absolute)
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, time);
        FutexTable table = task.Kernel.Futexes;
        table.GetOrAdd(FutexTable.KeyOf(task.Memory, address, isPrivate)).Enqueue(new FutexQueue.Waiter(task, bitset, 0, Inherits: false));
        return task.Block(time < 0 ? InterruptMode.Restart : InterruptMode.Interrupt);
    }

    private static SyscallResult Wake(Task task, ulong address, bool isPrivate, int count, uint bitset)
    {
        if (bitset == 0)
            return Errno.EINVAL;

        // The word of a shared futex is looked at to find what it belongs to.
        if (!isPrivate && !task.Memory.Space.TryRead32(address, out _))
            return Errno.EFAULT;

        // A count of 0 wakes one all the same (futex_wake in Linux).
        return task.Kernel.Futexes.Wake(FutexTable.KeyOf(task.Memory, address, isPrivate), Math.Max(1, count), bitset);
    }

    private static SyscallResult Requeue(Task task, ulong from, ulong to, bool isPrivate, int wake, int requeue, uint? expected)
    {
        if ((to & 3) != 0 || wake < 0 || requeue < 0)
            return Errno.EINVAL;
        if (!isPrivate && (!task.Memory.Space.TryRead32(from, out _) || !task.Memory.Space.TryRead32(to, out _)))
            return Errno.EFAULT;
        if (expected is { } value)
        {
            if (!task.Memory.Space.TryRead32(from, out uint found))
                return Errno.EFAULT;
            if (found != value)
                return Errno.EAGAIN;
        }

        return Requeue(task.Kernel.Futexes, FutexTable.KeyOf(task.Memory, from, isPrivate), FutexTable.KeyOf(task.Memory, to, isPrivate), wake, requeue);
    }

    private static int Requeue(FutexTable table, in FutexKey from, in FutexKey to, int wake, int requeue)
    {
        if (table.Find(from) is not { } queue)
            return 0;
        int done = queue.WakeUp(wake, FutexTable.AnyBit);
        if (from == to)
            return done + Math.Min(requeue, queue.Count);
        if (requeue > 0 && queue.Count > 0)
            done += queue.MoveTo(table.GetOrAdd(to), requeue);
        return done;
    }

    /// <summary>FUTEX_WAKE_OP: changes the second word, wakes waiters of the first, and those of the second if its old value compares.</summary>
    private static SyscallResult WakeOp(Task task, ulong first, ulong second, bool isPrivate, int wakeFirst, int wakeSecond, uint encoded)
    {
        if ((second & 3) != 0)
            return Errno.EINVAL;
        int operation = (int)(encoded >> 28 & 7), comparison = (int)(encoded >> 24 & 15);
        int operand = (int)(encoded << 8) >> 20, against = (int)(encoded << 20) >> 20;
        if (encoded >> 31 != 0)
            operand = 1 << (operand & 31);
        if (operation > 4 || comparison > 5)
            return Errno.ENOSYS;
        IAddressSpace space = task.Memory.Space;
        if (!space.TryRead32(second, out uint old))
            return Errno.EFAULT;
        for (; ; )
        {
            uint desired = operation switch
            {
                0 => (uint)operand,
                1 => old + (uint)operand,
                2 => old | (uint)operand,
                3 => old & ~(uint)operand,
                _ => old ^ (uint)operand,
            };
            if (!space.TryCompareExchange32(task.Thread, second, old, desired, out uint found))
                return Errno.EFAULT;
            if (found == old)
                break;
            old = found;
        }

        FutexTable table = task.Kernel.Futexes;
        int woken = table.Wake(FutexTable.KeyOf(task.Memory, first, isPrivate), Math.Max(1, wakeFirst));
        int previous = (int)old;
        bool holds = comparison switch
        {
            0 => previous == against,
            1 => previous != against,
            2 => previous < against,
            3 => previous <= against,
            4 => previous > against,
            _ => previous >= against,
        };
        if (holds)
            woken += table.Wake(FutexTable.KeyOf(task.Memory, second, isPrivate), Math.Max(1, wakeSecond));
        return woken;
    }

    internal static SyscallResult SetRobustList(Task task, in SyscallArgs args)
    {
        if (args.A1 != RobustListSize)
            return Errno.EINVAL;
        task.RobustList = args.A0;
        return SyscallResult.Ok;
    }

    internal static SyscallResult GetRobustList(Task task, in SyscallArgs args)
    {
        Task? target = task;
        if (args.I0 != 0 && !task.Kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(args.I0), out target))
            return Errno.ESRCH;
        if (!PtraceAccess.MayRead(task, target))
            return Errno.EPERM;
        return task.TryWrite(args.A2, RobustListSize) && task.TryWrite(args.A1, target.RobustList) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult FutexWaitv(Task task, in SyscallArgs args)
    {
        uint count = (uint)args.A1;
        if (args.A2 != 0 || count is 0 or > MaxVector || args.A0 == 0)
            return Errno.EINVAL;
        if (args.A3 != 0 && args.I4 is not (ClockId.Monotonic or ClockId.Realtime))
            return Errno.EINVAL;
        long time = -1;
        if (args.A3 != 0 && ReadTime(task, args.A3, out time) is var error && error != Errno.None)
            return error;
        Span<WaitVector> vectors = stackalloc WaitVector[(int)count];
        if (!task.Memory.TryReadAll(args.A0, MemoryMarshal.AsBytes(vectors)))
            return Errno.EFAULT;
        foreach (ref WaitVector vector in vectors)
        {
            if ((vector.Flags & ~(uint)PrivateFlag) != Size32 || vector.Reserved != 0 || (vector.Address & 3) != 0)
                return Errno.EINVAL;
            if (!task.Memory.Space.TryRead32(vector.Address, out uint found))
                return Errno.EFAULT;
            if (found != (uint)vector.Value)
                return Errno.EAGAIN;
        }

        if (time >= 0 && SleepSyscalls.SleepUntil(task, time, args.I4 == ClockId.Realtime))
            return Errno.ETIMEDOUT;
        for (int i = 0; i < vectors.Length; i++)
        {
            FutexKey key = FutexTable.KeyOf(task.Memory, vectors[i].Address, (vectors[i].Flags & PrivateFlag) != 0);
            task.Kernel.Futexes.GetOrAdd(key).Enqueue(new FutexQueue.Waiter(task, FutexTable.AnyBit, i, Inherits: false));
        }

        return task.Block(time < 0 ? InterruptMode.Restart : InterruptMode.Interrupt);
    }

    internal static SyscallResult FutexWake(Task task, in SyscallArgs args)
    {
        Errno error = CheckFlags((uint)args.A3, args.A0);
        if (error != Errno.None)
            return error;
        return args.I2 == 0 ? SyscallResult.Ok : Wake(task, args.A0, (args.A3 & PrivateFlag) != 0, args.I2, (uint)args.A1);
    }

    internal static SyscallResult FutexWait(Task task, in SyscallArgs args)
    {
        Errno error = CheckFlags((uint)args.A3, args.A0);
        if (error != Errno.None)
            return error;
        if (args.A4 != 0 && args.I5 is not (ClockId.Monotonic or ClockId.Realtime))
            return Errno.EINVAL;
        return Wait(task, args.A0, (uint)args.A1, (args.A3 & PrivateFlag) != 0, (uint)args.A2, args.A4, args.I5 == ClockId.Realtime, absolute: true);
    }

    internal static SyscallResult FutexRequeue(Task task, in SyscallArgs args)
    {
        if (args.A1 != 0 || args.I2 < 0 || args.I3 < 0)
            return Errno.EINVAL;
        Span<WaitVector> pair = stackalloc WaitVector[2];
        if (!task.Memory.TryReadAll(args.A0, MemoryMarshal.AsBytes(pair)))
            return Errno.EFAULT;
        foreach (ref WaitVector vector in pair)
        {
            if (CheckFlags(vector.Flags, vector.Address) is var error && error != Errno.None)
                return error;
        }

        if (!task.Memory.Space.TryRead32(pair[0].Address, out uint found))
            return Errno.EFAULT;
        if (found != (uint)pair[0].Value)
            return Errno.EAGAIN;
        FutexKey from = FutexTable.KeyOf(task.Memory, pair[0].Address, (pair[0].Flags & PrivateFlag) != 0);
        FutexKey to = FutexTable.KeyOf(task.Memory, pair[1].Address, (pair[1].Flags & PrivateFlag) != 0);
        return Requeue(task.Kernel.Futexes, from, to, args.I2, args.I3);
    }

    private static Errno CheckFlags(uint flags, ulong address) =>
        (flags & ~(uint)PrivateFlag) != Size32 || (address & 3) != 0 ? Errno.EINVAL : Errno.None;

    private static Errno ReadTime(Task task, ulong address, out long time)
    {
        time = -1;
        if (!task.TryRead(address, out Timespec value))
            return Errno.EFAULT;
        if (!value.IsValid)
            return Errno.EINVAL;
        time = value.ToNanoseconds();
        return Errno.None;
    }
}
