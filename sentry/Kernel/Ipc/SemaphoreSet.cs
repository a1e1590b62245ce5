namespace Sentry.Kernel.Ipc;

/// <summary>One semaphore of a set (struct sem).</summary>
[Savable("semaphore")]
internal partial struct Semaphore
{
    [Saved(1)] public int Value;

    /// <summary>The process that operated on it last (GETPID).</summary>
    [Saved(2)] public int Pid;
}

/// <summary>One operation of semop(2): struct sembuf.</summary>
internal readonly record struct SemaphoreOperation(int Number, int Change, int Flags)
{
    internal const int Undo = 0x1000;

    internal bool NoWait => (Flags & IpcObject.NoWait) != 0;

    internal bool HasUndo => (Flags & Undo) != 0;
}

/// <summary>What a task waits for in semop(2): the set, and the semaphore that its operations are stuck at.</summary>
[Savable("semaphore-wait")]
internal sealed partial class SemaphoreWait : CallState
{
    [Saved(1)] public SemaphoreSet Set;
    [Saved(2)] public int Number;
    [Saved(3)] public bool ForZero;

    internal SemaphoreWait(SemaphoreSet set) => Set = set;
}

/// <summary>A System V semaphore set (semget(2)).</summary>
[Savable("semaphore-set")]
internal sealed partial class SemaphoreSet : IpcObject
{
    /// <summary>SEMVMX.</summary>
    internal const int MaxValue = 32767;

    [Saved(1)] private Semaphore[] _semaphores;
    [Saved(2)] private long _operationTime;

    internal SemaphoreSet(Task creator, int key, int flags, int count)
        : base(creator, key, flags)
    {
        _semaphores = new Semaphore[count];
    }

    internal int Count => _semaphores.Length;

    /// <summary>Seconds since 1970 of the last semop(2); 0 for none.</summary>
    internal long OperationTime => _operationTime;

    internal Semaphore this[int number] => _semaphores[number];

    /// <summary>SETVAL, SETALL: undo adjustments of all processes for it are forgotten by the caller.</summary>
    internal void SetValue(Task task, int number, int value) => _semaphores[number] = new Semaphore { Value = value, Pid = task.Group.Pid };

    /// <summary>All operations or none: ERANGE, EAGAIN for one that must wait, <paramref name="stuck"/> says at which.</summary>
    internal Errno TryOperate(Task task, SemaphoreOperation[] operations, out int stuck)
    {
        Span<int> values = _semaphores.Length <= 128 ? stackalloc int[_semaphores.Length] : new int[_semaphores.Length];
        for (int i = 0; i < values.Length; i++)
            values[i] = _semaphores[i].Value;
        for (stuck = 0; stuck < operations.Length; stuck++)
        {
            SemaphoreOperation operation = operations[stuck];
            ref int value = ref values[operation.Number];
            if (operation.Change == 0 && value != 0)
                return Errno.EAGAIN;
            if (value + operation.Change < 0)
                return Errno.EAGAIN;
            if (value + operation.Change > MaxValue)
                return Errno.ERANGE;
            value += operation.Change;
            if (operation.HasUndo && operation.Change != 0)
            {
                int adjustment = task.SemaphoreUndo?.Get(this, operation.Number) ?? 0;
                if (adjustment - operation.Change is < -MaxValue - 1 or > MaxValue)
                    return Errno.ERANGE;
            }
        }

        foreach (SemaphoreOperation operation in operations)
        {
            if (operation.HasUndo && operation.Change != 0)
                (task.SemaphoreUndo ??= new SemaphoreUndo()).Add(this, operation.Number, -operation.Change);
            _semaphores[operation.Number].Pid = task.Group.Pid;
        }

        bool changed = false;
        for (int i = 0; i < values.Length; i++)
        {
            changed |= _semaphores[i].Value != values[i];
            _semaphores[i].Value = values[i];
        }

        _operationTime = Now(task);
        if (changed)
            Waiters.Wake();
        return Errno.None;
    }

    /// <summary>A process that asked for it has ended: its adjustments are made, as far as they go (semop(2), "SEM_UNDO").</summary>
    internal void ApplyUndo(Task task, int[] adjustments)
    {
        if (IsRemoved)
            return;
        for (int i = 0; i < adjustments.Length; i++)
        {
            if (adjustments[i] == 0)
                continue;
            _semaphores[i].Value = Math.Clamp(_semaphores[i].Value + adjustments[i], 0, MaxValue);
            _semaphores[i].Pid = task.Group.Pid;
        }

        _operationTime = Now(task);
        Waiters.Wake();
    }

    /// <summary>GETNCNT, GETZCNT: tasks stuck at a semaphore.</summary>
    internal int CountWaiters(GuestKernel kernel, int number, bool forZero)
    {
        int count = 0;
        foreach (Task task in kernel.Tasks.Values)
        {
            if (task.CurrentCall?.State is SemaphoreWait wait && ReferenceEquals(wait.Set, this) && wait.Number == number && wait.ForZero == forZero)
                count++;
        }

        return count;
    }
}

/// <summary>The adjustments of one set that are made when a process ends.</summary>
[Savable("semaphore-adjustments")]
internal sealed partial class SemaphoreAdjustments
{
    [Saved(1)] public SemaphoreSet Set;
    [Saved(2)] public int[] Values;

    internal SemaphoreAdjustments(SemaphoreSet set)
    {
        Set = set;
        Values = new int[set.Count];
    }
}

/// <summary>What SEM_UNDO remembers (struct sem_undo_list); shared by tasks that clone with CLONE_SYSVSEM.</summary>
[Savable("semaphore-undo")]
internal sealed partial class SemaphoreUndo
{
    [Saved(1)] private List<SemaphoreAdjustments> _sets = [];
    [Saved(2)] private int _users = 1;

    internal SemaphoreUndo()
    {
    }

    internal void AddUser() => _users++;

    internal int Get(SemaphoreSet set, int number) => Find(set)?.Values[number] ?? 0;

    internal void Add(SemaphoreSet set, int number, int adjustment)
    {
        SemaphoreAdjustments? found = Find(set);
        if (found is null)
            _sets.Add(found = new SemaphoreAdjustments(set));
        found.Values[number] += adjustment;
    }

    /// <summary>Forgets adjustments: of one semaphore, or of the whole set for -1.</summary>
    internal void Forget(SemaphoreSet set, int number)
    {
        if (Find(set) is not { } found)
            return;
        if (number < 0)
            _sets.Remove(found);
        else
            found.Values[number] = 0;
    }

    /// <summary>A task that shared it ends; the last one makes the adjustments.</summary>
    internal void RemoveUser(Task task)
    {
        if (--_users > 0)
            return;
        foreach (SemaphoreAdjustments adjustments in _sets)
            adjustments.Set.ApplyUndo(task, adjustments.Values);
        _sets.Clear();
    }

    private SemaphoreAdjustments? Find(SemaphoreSet set)
    {
        _sets.RemoveAll(entry => entry.Set.IsRemoved);
        return _sets.Find(entry => ReferenceEquals(entry.Set, set));
    }
}
