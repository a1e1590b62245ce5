namespace Sentry.Kernel.Futex;

/// <summary>What makes two futex words the same (futex(2)): the address space and the address, or for shared mappings the object behind them
/// and the offset in it.</summary>
internal readonly record struct FutexKey(object Owner, ulong Offset);

/// <summary>The waiters of one word, first come first served.</summary>
internal sealed class FutexQueue(FutexTable table, FutexKey key) : WaitQueue
{
    /// <summary>A waiting task; <paramref name="Index"/> is what its call returns (futex_waitv), <paramref name="Inherits"/> that it waits for a lock to be handed to it.</summary>
    internal readonly record struct Waiter(Task Task, uint Bitset, int Index, bool Inherits);

    private readonly List<Waiter> _waiters = [];

    internal FutexKey Key => key;

    internal int Count => _waiters.Count;

    internal Waiter First => _waiters[0];

    internal void Enqueue(in Waiter waiter)
    {
        _waiters.Add(waiter);
        waiter.Task.TrackWait(this);
    }

    /// <summary>Wakes up to <paramref name="count"/> waiters whose bitset meets <paramref name="bitset"/>; how many it woke.</summary>
    internal int WakeUp(long count, uint bitset)
    {
        int woken = 0;
        for (int i = 0; i < _waiters.Count && woken < count;)
        {
            Waiter waiter = _waiters[i];
            if ((waiter.Bitset & bitset) == 0)
            {
                i++;
                continue;
            }

            // Takes the task off this queue, so that the next waiter is at i.
            waiter.Task.CompleteBlocked(waiter.Index);
            woken++;
        }

        return woken;
    }

    /// <summary>Moves up to <paramref name="count"/> waiters to another word's queue; how many.</summary>
    internal int MoveTo(FutexQueue target, long count)
    {
        int moved = (int)Math.Min(count, _waiters.Count);
        for (int i = 0; i < moved; i++)
        {
            _waiters[i].Task.ReplaceWait(this, target);
            target._waiters.Add(_waiters[i]);
        }

        _waiters.RemoveRange(0, moved);
        if (_waiters.Count == 0)
            table.Forget(this);
        return moved;
    }

    public override void Remove(IWaiter waiter)
    {
        int i = _waiters.Count > 0 && ReferenceEquals(_waiters[0].Task, waiter) ? 0 : _waiters.FindIndex(entry => ReferenceEquals(entry.Task, waiter));
        if (i < 0)
            return;
        _waiters.RemoveAt(i);
        if (_waiters.Count == 0)
            table.Forget(this);
    }
}

/// <summary>All futex words that tasks wait on. Not saved: a blocked call checks its word anew after a restore, which futex(2) allows (a
/// waiter must expect to be woken for nothing).</summary>
internal sealed class FutexTable
{
    internal const uint TidMask = 0x3fffffff;
    internal const uint OwnerDied = 0x40000000;
    internal const uint Waiters = 0x80000000;
    internal const uint AnyBit = uint.MaxValue;
    private const int RobustListLimit = 2048;

    private readonly Dictionary<FutexKey, FutexQueue> _queues = [];

    /// <summary>The key of a word of a task's memory.</summary>
    /// <param name="isPrivate">FUTEX_PRIVATE_FLAG: the guest promises that the word is not shared between processes.</param>
    internal static FutexKey KeyOf(MemoryManager memory, ulong address, bool isPrivate)
    {
        // The file of a shared mapping may be open several times: its inode is what processes have in common.
        if (!isPrivate && memory.TryGetSharedKey(address, out FileObject? file, out ulong offset))
            return new FutexKey(file is InodeFile named ? named.Inode : file, offset);
        return new FutexKey(memory, address);
    }

    internal FutexQueue? Find(in FutexKey key) => _queues.GetValueOrDefault(key);

    internal FutexQueue GetOrAdd(in FutexKey key)
    {
        if (!_queues.TryGetValue(key, out FutexQueue? queue))
            _queues.Add(key, queue = new FutexQueue(this, key));
        return queue;
    }

    internal void Forget(FutexQueue queue)
    {
        if (queue.Count == 0)
            _queues.Remove(queue.Key);
    }

    /// <summary>FUTEX_WAKE_BITSET; how many were woken.</summary>
    internal int Wake(in FutexKey key, long count, uint bitset = AnyBit) => Find(key)?.WakeUp(count, bitset) ?? 0;

    /// <summary>Wakes waiters of a word whether they said it is private or shared (CLONE_CHILD_CLEARTID, robust lists).</summary>
    internal int Wake(MemoryManager memory, ulong address, int count)
    {
        FutexKey own = KeyOf(memory, address, isPrivate: true);
        FutexKey shared = KeyOf(memory, address, isPrivate: false);
        int woken = Wake(own, count);
        return shared != own && woken < count ? woken + Wake(shared, count - woken) : woken;
    }

    /// <summary>set_robust_list(2), at a task's end and before its execve: marks the locks it holds with FUTEX_OWNER_DIED and wakes a waiter of
    /// each. The task's thread is InSyscall or Stopped.</summary>
    internal void ExitRobustList(Task task)
    {
        ulong head = task.RobustList;
        if (head == 0)
            return;
        task.RobustList = 0;
        if (!task.TryRead(head, out ulong next) || !task.TryRead(head + 8, out long offset) || !task.TryRead(head + 16, out ulong pending))
            return;
        for (int i = 0; i < RobustListLimit && (next & ~1UL) != head; i++)
        {
            ulong entry = next;
            bool more = task.TryRead(entry & ~1UL, out next);
            if ((entry & ~1UL) != (pending & ~1UL) && !MarkOwnerDead(task, entry, offset, isPending: false))
                return;
            if (!more)
                return;
        }

        if (pending != 0)
            MarkOwnerDead(task, pending, offset, isPending: true);
    }

    private bool MarkOwnerDead(Task task, ulong entry, long offset, bool isPending)
    {
        bool inherits = (entry & 1) != 0;
        ulong address = (entry & ~1UL) + (ulong)offset;
        if ((address & 3) != 0 || !task.Memory.Space.TryRead32(address, out uint word))
            return false;
        for (; ; )
        {
            if (isPending && !inherits && word == 0)
            {
                Wake(task.Memory, address, 1);
                return true;
            }

            if ((word & TidMask) != (uint)task.OwnTid)
                return true;
            if (!task.Memory.Space.TryCompareExchange32(task.Thread, address, word, (word & Waiters) | OwnerDied, out uint found))
                return false;
            if (found == word)
                break;
            word = found;
        }

        if ((word & Waiters) == 0)
            return true;
        if (inherits)
            PriorityInheritance.HandOver(task, this, address);
        else
            Wake(task.Memory, address, 1);
        return true;
    }
}
