using System.Buffers.Binary;

namespace Sentry.Kernel.Ipc;

/// <summary>System calls: msgget, msgsnd, msgrcv, msgctl.</summary>
internal static class MsgSyscalls
{
    private const int StatCommand = 11, InfoCommand = 12, StatAnyCommand = 13;
    private const int QueueSize = 120;

    internal static SyscallResult Msgget(Task task, in SyscallArgs args)
    {
        int key = args.I0, flags = args.I1;
        IpcNamespace ipc = task.Ipc;
        if (!ipc.Queues.FindKey(task, key, flags).TryGet(out IpcObject? there, out Errno error))
            return error;
        if (there is not null)
            return there.Permits(task, (uint)flags & 0x1FF) ? there.Id : Errno.EACCES;
        return ipc.Queues.Add(new MessageQueue(task, key, flags, ipc.QueueSizeLimit));
    }

    internal static SyscallResult Msgsnd(Task task, in SyscallArgs args)
    {
        int id = args.I0, flags = args.I3;
        ulong address = args.A1;
        long length = (long)args.A2;
        if (!task.TryRead(address, out long type))
            return Errno.EFAULT;
        if (length < 0 || length > task.Ipc.MessageSizeLimit || id < 0 || type < 1)
            return Errno.EINVAL;
        byte[] text = new byte[length];
        if (!task.Memory.TryReadAll(address + 8, text))
            return Errno.EFAULT;
        if (!FindQueue(task, id, IpcObject.WritePermission).TryGet(out MessageQueue? queue, out Errno error))
            return error;
        if (queue.HasRoom(text.Length))
        {
            queue.Send(task, new SysvMessage(type, text));
            return SyscallResult.Ok;
        }

        return (flags & IpcObject.NoWait) != 0 ? Errno.EAGAIN : Wait(task, queue);
    }

    internal static SyscallResult Msgrcv(Task task, in SyscallArgs args)
    {
        const int noError = 0x1000, except = 0x2000, copy = 0x4000;
        int id = args.I0, flags = args.I4;
        long room = (long)args.A2, type = (long)args.A3;
        if (id < 0 || room < 0)
            return Errno.EINVAL;
        if ((flags & copy) != 0 && ((flags & except) != 0 || (flags & IpcObject.NoWait) == 0))
            return Errno.EINVAL;
        if (!FindQueue(task, id, IpcObject.ReadPermission).TryGet(out MessageQueue? queue, out Errno error))
            return error;
        SysvMessage? message = (flags & copy) != 0 ? queue.At(type) : queue.Find(type, (flags & except) != 0);
        if (message is null)
            return (flags & IpcObject.NoWait) != 0 ? Errno.ENOMSG : Wait(task, queue);
        if (message.Text.Length > room && (flags & noError) == 0)
            return Errno.E2BIG;
        if ((flags & copy) == 0)
            queue.Take(task, message);
        int moved = (int)Math.Min(room, message.Text.Length);
        return task.TryWrite(args.A1, message.Type) && task.Memory.TryWriteAll(args.A1 + 8, message.Text.AsSpan(0, moved)) ? moved : Errno.EFAULT;
    }

    /// <summary>The queue of a call, at a later try the one it began with: EIDRM when it has gone since.</summary>
    private static Result<MessageQueue> FindQueue(Task task, int id, uint permission)
    {
        MessageQueue? queue = (task.Call.State as MessageWait)?.Queue;
        if (queue is null && !task.Ipc.Queues.Find<MessageQueue>(id).TryGet(out queue, out Errno error))
            return error;
        if (queue.IsRemoved)
            return Errno.EIDRM;
        return queue.Permits(task, permission) ? queue : Errno.EACCES;
    }

    private static SyscallResult Wait(Task task, MessageQueue queue)
    {
        task.Call.State ??= new MessageWait(queue);
        task.WaitOn(queue.Waiters);
        return task.Block(InterruptMode.Interrupt);
    }

    internal static SyscallResult Msgctl(Task task, in SyscallArgs args)
    {
        int id = args.I0, command = args.I1;
        ulong buffer = args.A2;
        if (id < 0 || command < 0)
            return Errno.EINVAL;
        switch (command)
        {
            case IpcObject.Info or InfoCommand:
                return WriteLimits(task, command == InfoCommand, buffer);
            case IpcObject.Stat or StatCommand or StatAnyCommand:
                return Describe(task, id, command, buffer);
            case IpcObject.Set or IpcObject.Remove:
                break;
            default:
                return Errno.EINVAL;
        }

        byte[] wanted = new byte[QueueSize];
        if (command == IpcObject.Set && !task.Memory.TryReadAll(buffer, wanted))
            return Errno.EFAULT;
        if (!task.Ipc.Queues.Find<MessageQueue>(id).TryGet(out MessageQueue? queue, out Errno error))
            return error;
        if (!queue.IsOwner(task))
            return Errno.EPERM;
        if (command == IpcObject.Remove)
        {
            task.Ipc.Queues.Remove(queue);
            return SyscallResult.Ok;
        }

        long limit = BinaryPrimitives.ReadInt64LittleEndian(wanted.AsSpan(88));
        if (limit > task.Ipc.QueueSizeLimit && !task.Credentials.HasIn(task.Ipc.Owner, Capability.CAP_SYS_RESOURCE))
            return Errno.EPERM;
        error = queue.SetOwner(task, wanted);
        if (error != Errno.None)
            return error;
        queue.Limit = limit;

        // More room or other permissions: whoever waits looks again.
        queue.Waiters.Wake();
        return SyscallResult.Ok;
    }

    private static SyscallResult Describe(Task task, int id, int command, ulong buffer)
    {
        Result<MessageQueue> found = command == IpcObject.Stat ? task.Ipc.Queues.Find<MessageQueue>(id) : task.Ipc.Queues.FindIndex<MessageQueue>(id);
        if (!found.TryGet(out MessageQueue? queue, out Errno error))
            return error;
        if (command != StatAnyCommand && !queue.Permits(task, IpcObject.ReadPermission))
            return Errno.EACCES;
        Span<byte> bytes = stackalloc byte[QueueSize];
        bytes.Clear();
        queue.WritePermissions(task, bytes);
        ReadOnlySpan<long> values = [queue.SendTime, queue.ReceiveTime, queue.ChangeTime, queue.Bytes, queue.Count, queue.Limit];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes[(48 + (i * 8))..], values[i]);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[96..], queue.LastSender);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[100..], queue.LastReceiver);
        if (!task.Memory.TryWriteAll(buffer, bytes))
            return Errno.EFAULT;
        return command == IpcObject.Stat ? 0 : queue.Id;
    }

    /// <summary>IPC_INFO, MSG_INFO: struct msginfo.</summary>
    private static SyscallResult WriteLimits(Task task, bool use, ulong buffer)
    {
        const int segmentSize = 16, segments = 0xFFFF;
        IpcNamespace ipc = task.Ipc;
        long messages = 0, total = 0;
        foreach (IpcObject other in ipc.Queues.Objects.Values)
        {
            messages += ((MessageQueue)other).Count;
            total += ((MessageQueue)other).Bytes;
        }

        ReadOnlySpan<int> info =
        [
            use ? ipc.Queues.Objects.Count : (int)((long)ipc.Queues.Limit * ipc.QueueSizeLimit / 1024), use ? (int)messages : ipc.QueueSizeLimit, ipc.MessageSizeLimit,
            ipc.QueueSizeLimit, ipc.Queues.Limit, segmentSize, use ? (int)total : ipc.QueueSizeLimit, segments,
        ];
        return task.Memory.TryWriteAll(buffer, System.Runtime.InteropServices.MemoryMarshal.AsBytes(info)) ? ipc.Queues.HighestIndex : Errno.EFAULT;
    }
}
