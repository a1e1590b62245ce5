namespace Sentry.Kernel.Futex;

/// <summary>The FUTEX_*_PI operations: the word holds the owner's thread id, and the kernel hands a released lock to the first waiter. There
/// are no priorities to inherit, the protocol on the word is what programs see.</summary>
internal static class PriorityInheritance
{
    internal static SyscallResult Lock(Task task, ulong address, bool isPrivate, long deadline, bool wall, bool tryOnly)
    {
        IAddressSpace space = task.Memory.Space;
        FutexTable table = task.Kernel.Futexes;
        FutexKey key = FutexTable.KeyOf(task.Memory, address, isPrivate);
        if (!space.TryRead32(address, out uint word))
            return Errno.EFAULT;
        for (; ; )
        {
            uint owner = word & FutexTable.TidMask;
            if (owner == (uint)task.OwnTid)
                return Errno.EDEADLK;
            uint desired = owner == 0
                ? (uint)task.OwnTid | (word & FutexTable.OwnerDied) | (table.Find(key) is null ? 0 : FutexTable.Waiters)
                : word | FutexTable.Waiters;
            if (owner != 0)
            {
                if (tryOnly)
                    return Errno.EAGAIN;
                if (!task.Kernel.Tasks.ContainsKey(task.PidNamespace.ToKernel((int)owner)))
                    return Errno.ESRCH;
            }

            if (!space.TryCompareExchange32(task.Thread, address, word, desired, out uint found))
                return Errno.EFAULT;
            if (found != word)
            {
                word = found;
                continue;
            }

            if (owner == 0)
                return SyscallResult.Ok;
            break;
        }

        if (deadline >= 0 && SleepSyscalls.SleepUntil(task, deadline, wall))
            return Errno.ETIMEDOUT;
        table.GetOrAdd(key).Enqueue(new FutexQueue.Waiter(task, FutexTable.AnyBit, 0, Inherits: true));
        return task.Block(InterruptMode.Restart);
    }

    internal static SyscallResult Unlock(Task task, ulong address, bool isPrivate)
    {
        IAddressSpace space = task.Memory.Space;
        FutexTable table = task.Kernel.Futexes;
        if (!space.TryRead32(address, out uint word))
            return Errno.EFAULT;
        if ((word & FutexTable.TidMask) != (uint)task.OwnTid)
            return Errno.EPERM;
        FutexQueue? queue = table.Find(FutexTable.KeyOf(task.Memory, address, isPrivate));
        for (; ; )
        {
            uint desired = queue is null ? 0 : Successor(queue);
            if (!space.TryCompareExchange32(task.Thread, address, word, desired, out uint found))
                return Errno.EFAULT;
            if (found == word)
                break;
            if ((found & FutexTable.TidMask) != (uint)task.OwnTid)
                return Errno.EPERM;
            word = found;
        }

        queue?.WakeUp(1, FutexTable.AnyBit);
        return SyscallResult.Ok;
    }

    /// <summary>The owner of a robust lock has died: the first waiter gets it, marked.</summary>
    internal static void HandOver(Task task, FutexTable table, ulong address)
    {
        FutexQueue? queue = table.Find(FutexTable.KeyOf(task.Memory, address, isPrivate: true)) ?? table.Find(FutexTable.KeyOf(task.Memory, address, isPrivate: false));
        if (queue is null || !task.Memory.Space.TryRead32(address, out uint word))
            return;
        if (task.Memory.Space.TryCompareExchange32(task.Thread, address, word, Successor(queue) | FutexTable.OwnerDied, out uint found) && found == word)
            queue.WakeUp(1, FutexTable.AnyBit);
    }

    private static uint Successor(FutexQueue queue) => (uint)queue.First.Task.OwnTid | (queue.Count > 1 ? FutexTable.Waiters : 0);
}
