using System.Buffers.Binary;

namespace Sentry.Kernel.Ipc;

/// <summary>System calls: semget, semop, semtimedop, semctl.</summary>
internal static class SemSyscalls
{
    private const int GetPid = 11, GetValue = 12, GetAll = 13, GetWaiting = 14, GetWaitingForZero = 15, SetValue = 16, SetAll = 17, StatCommand = 18, InfoCommand = 19,
        StatAnyCommand = 20;

    private const int SetSize = 104;

    internal static SyscallResult Semget(Task task, in SyscallArgs args)
    {
        int key = args.I0, count = args.I1, flags = args.I2;
        IpcNamespace ipc = task.Ipc;
        if (count < 0 || count > ipc.SetSizeLimit)
            return Errno.EINVAL;
        if (!ipc.Semaphores.FindKey(task, key, flags).TryGet(out IpcObject? there, out Errno error))
            return error;
        if (there is SemaphoreSet found)
        {
            if (count > found.Count)
                return Errno.EINVAL;
            return found.Permits(task, (uint)flags & 0x1FF) ? found.Id : Errno.EACCES;
        }

        if (count == 0)
            return Errno.EINVAL;
        long used = 0;
        foreach (IpcObject other in ipc.Semaphores.Objects.Values)
            used += ((SemaphoreSet)other).Count;
        if (used + count > ipc.SemaphoreLimit)
            return Errno.ENOSPC;
        return ipc.Semaphores.Add(new SemaphoreSet(task, key, flags, count));
    }

    internal static SyscallResult Semop(Task task, in SyscallArgs args) => Operate(task, args.I0, args.A1, args.A2);

    internal static SyscallResult Semtimedop(Task task, in SyscallArgs args)
    {
        if (args.A3 != 0)
        {
            if (!task.TryRead(args.A3, out Timespec timeout))
                return Errno.EFAULT;
            if (!timeout.IsValid)
                return Errno.EINVAL;
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout.ToNanoseconds());
        }

        return Operate(task, args.I0, args.A1, args.A2);
    }

    private static SyscallResult Operate(Task task, int id, ulong address, ulong count)
    {
        var wait = task.Call.State as SemaphoreWait;
        IpcNamespace ipc = task.Ipc;
        if (count < 1 || id < 0)
            return Errno.EINVAL;
        if (count > (ulong)ipc.OperationLimit)
            return Errno.E2BIG;
        byte[] raw = new byte[count * 6];
        if (!task.Memory.TryReadAll(address, raw))
            return Errno.EFAULT;
        Errno error;
        SemaphoreSet? set = wait?.Set;
        if (set is null && !ipc.Semaphores.Find<SemaphoreSet>(id).TryGet(out set, out error))
            return error;
        if (set.IsRemoved)
            return Errno.EIDRM;
        var operations = new SemaphoreOperation[count];
        bool alters = false;
        for (int i = 0; i < operations.Length; i++)
        {
            ReadOnlySpan<byte> one = raw.AsSpan(i * 6);
            operations[i] = new SemaphoreOperation(BinaryPrimitives.ReadUInt16LittleEndian(one), BinaryPrimitives.ReadInt16LittleEndian(one[2..]), BinaryPrimitives.ReadUInt16LittleEndian(one[4..]));
            alters |= operations[i].Change != 0;
            if (operations[i].Number >= set.Count)
                return Errno.EFBIG;
        }

        if (!set.Permits(task, alters ? IpcObject.WritePermission : IpcObject.ReadPermission))
            return Errno.EACCES;
        error = set.TryOperate(task, operations, out int stuck);
        if (error != Errno.EAGAIN || operations[stuck].NoWait || task.Call.TimedOut)
            return error;
        if (task.Call.Deadline >= 0 && task.Call.Deadline <= task.Kernel.Clock.Monotonic)
            return Errno.EAGAIN;
        if (wait is null)
            task.Call.State = wait = new SemaphoreWait(set);
        wait.Number = operations[stuck].Number;
        wait.ForZero = operations[stuck].Change == 0;
        task.WaitOn(set.Waiters);
        return task.Block(InterruptMode.Interrupt);
    }

    internal static SyscallResult Semctl(Task task, in SyscallArgs args)
    {
        int id = args.I0, number = args.I1, command = args.I2;
        ulong argument = args.A3;
        if (id < 0)
            return Errno.EINVAL;
        switch (command)
        {
            case IpcObject.Info or InfoCommand:
                return WriteLimits(task, command == InfoCommand, argument);
            case IpcObject.Stat or StatCommand or StatAnyCommand:
                return Describe(task, id, command, argument);
            case IpcObject.Set or IpcObject.Remove:
                return Change(task, id, command, argument);
            case GetPid or GetValue or GetWaiting or GetWaitingForZero or GetAll or SetValue or SetAll:
                break;
            default:
                return Errno.EINVAL;
        }

        if (!task.Ipc.Semaphores.Find<SemaphoreSet>(id).TryGet(out SemaphoreSet? set, out Errno error))
            return error;
        if (command is not (GetAll or SetAll) && (number < 0 || number >= set.Count))
            return Errno.EINVAL;
        if (!set.Permits(task, command is SetValue or SetAll ? IpcObject.WritePermission : IpcObject.ReadPermission))
            return Errno.EACCES;
        return command switch
        {
            GetValue => set[number].Value,
            GetPid => set[number].Pid,
            GetWaiting => set.CountWaiters(task.Kernel, number, forZero: false),
            GetWaitingForZero => set.CountWaiters(task.Kernel, number, forZero: true),
            GetAll => ReadValues(task, set, argument),
            SetAll => WriteValues(task, set, argument),
            _ => WriteValue(task, set, number, (int)argument),
        };
    }

    private static SyscallResult ReadValues(Task task, SemaphoreSet set, ulong address)
    {
        byte[] values = new byte[set.Count * 2];
        for (int i = 0; i < set.Count; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(values.AsSpan(i * 2), (ushort)set[i].Value);
        return task.Memory.TryWriteAll(address, values) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static SyscallResult WriteValues(Task task, SemaphoreSet set, ulong address)
    {
        byte[] values = new byte[set.Count * 2];
        if (!task.Memory.TryReadAll(address, values))
            return Errno.EFAULT;
        for (int i = 0; i < set.Count; i++)
        {
            if (BinaryPrimitives.ReadUInt16LittleEndian(values.AsSpan(i * 2)) > SemaphoreSet.MaxValue)
                return Errno.ERANGE;
        }

        for (int i = 0; i < set.Count; i++)
            set.SetValue(task, i, BinaryPrimitives.ReadUInt16LittleEndian(values.AsSpan(i * 2)));
        ForgetUndo(task.Kernel, set, -1);
        set.Touch(task);
        set.Waiters.Wake();
        return SyscallResult.Ok;
    }

    private static SyscallResult WriteValue(Task task, SemaphoreSet set, int number, int value)
    {
        if (value is < 0 or > SemaphoreSet.MaxValue)
            return Errno.ERANGE;
        set.SetValue(task, number, value);
        ForgetUndo(task.Kernel, set, number);
        set.Touch(task);
        set.Waiters.Wake();
        return SyscallResult.Ok;
    }

    private static void ForgetUndo(GuestKernel kernel, SemaphoreSet set, int number)
    {
        foreach (Task task in kernel.Tasks.Values)
            task.SemaphoreUndo?.Forget(set, number);
    }

    private static SyscallResult Change(Task task, int id, int command, ulong buffer)
    {
        byte[] wanted = new byte[IpcObject.PermissionSize];
        if (command == IpcObject.Set && !task.Memory.TryReadAll(buffer, wanted))
            return Errno.EFAULT;
        if (!task.Ipc.Semaphores.Find<SemaphoreSet>(id).TryGet(out SemaphoreSet? set, out Errno error))
            return error;
        if (!set.IsOwner(task))
            return Errno.EPERM;
        if (command == IpcObject.Set)
            return set.SetOwner(task, wanted);
        task.Ipc.Semaphores.Remove(set);
        return SyscallResult.Ok;
    }

    private static SyscallResult Describe(Task task, int id, int command, ulong buffer)
    {
        Result<SemaphoreSet> found = command == IpcObject.Stat ? task.Ipc.Semaphores.Find<SemaphoreSet>(id) : task.Ipc.Semaphores.FindIndex<SemaphoreSet>(id);
        if (!found.TryGet(out SemaphoreSet? set, out Errno error))
            return error;
        if (command != StatAnyCommand && !set.Permits(task, IpcObject.ReadPermission))
            return Errno.EACCES;
        Span<byte> bytes = stackalloc byte[SetSize];
        bytes.Clear();
        set.WritePermissions(task, bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[48..], set.OperationTime);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], set.ChangeTime);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[80..], set.Count);
        if (!task.Memory.TryWriteAll(buffer, bytes))
            return Errno.EFAULT;
        return command == IpcObject.Stat ? 0 : set.Id;
    }

    /// <summary>IPC_INFO, SEM_INFO: struct seminfo.</summary>
    private static SyscallResult WriteLimits(Task task, bool use, ulong buffer)
    {
        const int undoSize = 20;
        IpcNamespace ipc = task.Ipc;
        int used = 0;
        foreach (IpcObject other in ipc.Semaphores.Objects.Values)
            used += ((SemaphoreSet)other).Count;
        ReadOnlySpan<int> info =
        [
            ipc.SemaphoreLimit, ipc.Semaphores.Limit, ipc.SemaphoreLimit, ipc.SemaphoreLimit, ipc.SetSizeLimit, ipc.OperationLimit, ipc.OperationLimit,
            use ? ipc.Semaphores.Objects.Count : undoSize, SemaphoreSet.MaxValue, use ? used : SemaphoreSet.MaxValue,
        ];
        return task.Memory.TryWriteAll(buffer, System.Runtime.InteropServices.MemoryMarshal.AsBytes(info)) ? ipc.Semaphores.HighestIndex : Errno.EFAULT;
    }
}
