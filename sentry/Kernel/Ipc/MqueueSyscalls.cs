using System.Buffers.Binary;

namespace Sentry.Kernel.Ipc;

/// <summary>System calls: mq_open, mq_unlink, mq_timedsend, mq_timedreceive, mq_notify, mq_getsetattr.</summary>
internal static class MqueueSyscalls
{
    private const int AttributesSize = 64;
    private const uint MaxPriority = 32768;

    /// <summary>What nobody may exceed: HARD_MSGMAX, HARD_MSGSIZEMAX (mq_overview(7)).</summary>
    private const long MostMessages = 65536, LargestMessage = 16 << 20;

    internal static SyscallResult MqOpen(Task task, in SyscallArgs args)
    {
        var flags = (OpenFlags)args.I1;
        byte[] attributes = new byte[AttributesSize];
        if (args.A3 != 0 && !task.Memory.TryReadAll(args.A3, attributes))
            return Errno.EFAULT;
        if (!ReadName(task, args.A0).TryGet(out string? name, out Errno error))
            return error;
        if ((flags & OpenFlags.AccessMode) == OpenFlags.AccessMode)
            return Errno.EINVAL;
        Mount mount = task.Ipc.GetMqueueMount(task.Kernel);
        Dentry directory = mount.Root;
        Result<Dentry> found = directory.Lookup(name);
        if (found.IsError && found.Error != Errno.ENOENT)
            return found.Error;
        bool created = found.IsError;
        if (created)
        {
            if ((flags & OpenFlags.Create) == 0)
                return Errno.ENOENT;
            if (!Make(task, directory, name, (uint)args.A2, args.A3 == 0 ? null : attributes).TryGet(out Dentry? made, out error))
                return error;
            found = made;
        }
        else if ((flags & (OpenFlags.Create | OpenFlags.Exclusive)) == (OpenFlags.Create | OpenFlags.Exclusive))
        {
            return Errno.EEXIST;
        }

        // Every descriptor of a queue is closed by exec.
        if (!Vfs.OpenPlace(task, new VfsPath(mount, found.Value), flags & (OpenFlags.AccessMode | OpenFlags.NonBlock), created).TryGet(out FileObject? file, out error))
            return error;
        return task.AddFile(file, true);
    }

    private static Result<Dentry> Make(Task task, Dentry directory, string name, uint mode, byte[]? attributes)
    {
        IpcNamespace ipc = task.Ipc;
        Credentials credentials = task.Credentials;
        bool privileged = credentials.HasIn(ipc.Owner, Capability.CAP_SYS_RESOURCE);
        if (ipc.MqueueCount >= ipc.MqueueLimit && !privileged)
            return Errno.ENOSPC;
        var limits = new MqueueLimits(Math.Min(ipc.DefaultQueueLength, ipc.LongestQueue), Math.Min(ipc.DefaultQueueMessageSize, ipc.LargestQueueMessage));
        if (attributes is not null)
        {
            limits = new MqueueLimits(BinaryPrimitives.ReadInt64LittleEndian(attributes.AsSpan(8)), BinaryPrimitives.ReadInt64LittleEndian(attributes.AsSpan(16)));
            if (limits.Messages <= 0 || limits.MessageSize <= 0
                || limits.Messages > (privileged ? MostMessages : ipc.LongestQueue) || limits.MessageSize > (privileged ? LargestMessage : ipc.LargestQueueMessage))
                return Errno.EINVAL;
        }

        if (ipc.QueueChargeOf(credentials.FsUid) + limits.Charge > task.Group.Limits[ResourceLimits.MsgQueue].Soft)
            return Errno.EMFILE;
        Errno error = directory.Inode.CheckAccess(credentials, FileAccessMask.Write | FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        var node = new NewNode(S.IFREG | (mode & 0x1FF & ~task.Fs.Umask), credentials.FsUid, credentials.FsGid);
        return directory.AddChild(name, ((MqueueDirectory)directory.Inode).Add(name, node, limits));
    }

    internal static SyscallResult MqUnlink(Task task, in SyscallArgs args)
    {
        if (!ReadName(task, args.A0).TryGet(out string? name, out Errno error))
            return error;
        Mount mount = task.Ipc.GetMqueueMount(task.Kernel);
        error = Vfs.Unlink(task, new ParentAndName(new VfsPath(mount, mount.Root), name, false));
        return error == Errno.EPERM ? Errno.EACCES : error;
    }

    /// <summary>A name without its slash, as the C library passes it.</summary>
    private static Result<string> ReadName(Task task, ulong address)
    {
        if (!task.Memory.ReadPath(address).TryGet(out string? name, out Errno error))
            return error;
        if (name.Length == 0)
            return Errno.ENOENT;
        if (name.Length > 255)
            return Errno.ENAMETOOLONG;
        return name.Contains('/') || name is "." or ".." ? Errno.EACCES : name;
    }

    internal static SyscallResult MqTimedsend(Task task, in SyscallArgs args)
    {
        Errno error = SetDeadline(task, args.A4);
        if (error != Errno.None)
            return error;
        if ((uint)args.A3 >= MaxPriority)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not MqueueFile { Queue: var queue } || !file.CanWrite)
            return Errno.EBADF;
        if (args.A2 > (ulong)queue.Limits.MessageSize)
            return Errno.EMSGSIZE;
        if (queue.IsFull)
            return Wait(task, queue, file.IsNonBlocking, receives: false);
        byte[] text = new byte[args.A2];
        if (!task.Memory.TryReadAll(args.A1, text))
            return Errno.EFAULT;
        queue.Send(task, new MqueueMessage((uint)args.A3, text));
        return SyscallResult.Ok;
    }

    internal static SyscallResult MqTimedreceive(Task task, in SyscallArgs args)
    {
        Errno error = SetDeadline(task, args.A4);
        if (error != Errno.None)
            return error;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not MqueueFile { Queue: var queue } || !file.CanRead)
            return Errno.EBADF;
        if (args.A2 < (ulong)queue.Limits.MessageSize)
            return Errno.EMSGSIZE;
        if (queue.Count == 0)
            return Wait(task, queue, file.IsNonBlocking, receives: true);
        MqueueMessage message = queue.Receive();
        if (args.A3 != 0 && !task.TryWrite(args.A3, message.Priority))
            return Errno.EFAULT;
        return task.Memory.TryWriteAll(args.A1, message.Text) ? message.Text.Length : Errno.EFAULT;
    }

    /// <summary>The wall-clock time at which a send or receive gives up.</summary>
    private static Errno SetDeadline(Task task, ulong address)
    {
        if (address == 0)
            return Errno.None;
        if (!task.TryRead(address, out Timespec until))
            return Errno.EFAULT;
        if (!until.IsValid)
            return Errno.EINVAL;
        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, Math.Max(0, until.ToNanoseconds() - task.Kernel.Clock.Realtime));
        return Errno.None;
    }

    private static SyscallResult Wait(Task task, MqueueInode queue, bool nonBlocking, bool receives)
    {
        if (nonBlocking)
            return Errno.EAGAIN;
        if (task.Call.TimedOut || (task.Call.Deadline >= 0 && task.Call.Deadline <= task.Kernel.Clock.Monotonic))
            return Errno.ETIMEDOUT;
        task.Call.State ??= new MqueueWait(queue, receives);
        task.WaitOn(queue.Waiters, receives ? PollEvents.In : PollEvents.Out);
        return task.Block(InterruptMode.Restart);
    }

    internal static SyscallResult MqNotify(Task task, in SyscallArgs args)
    {
        int notify = TimerNotify.None, signal = 0;
        ulong value = 0;
        if (args.A1 != 0)
        {
            if (!task.TryRead(args.A1, out value) || !task.TryRead(args.A1 + 8, out signal) || !task.TryRead(args.A1 + 12, out notify))
                return Errno.EFAULT;
            if (notify is not (TimerNotify.None or TimerNotify.SendSignal or TimerNotify.Thread) || (notify == TimerNotify.SendSignal && signal is < 0 or > Signal.Max))
                return Errno.EINVAL;
        }

        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not MqueueFile { Queue: var queue })
            return Errno.EBADF;
        if (args.A1 == 0)
        {
            if (ReferenceEquals(queue.Notification?.Group, task.Group))
                queue.Notification = null;
            return SyscallResult.Ok;
        }

        // A thread is started by the C library, which is told through a netlink socket.
        if (notify == TimerNotify.Thread)
            return Errno.EINVAL;
        if (queue.Notification is not null)
            return Errno.EBUSY;
        queue.Notification = new MqueueNotification(task.Group, notify == TimerNotify.SendSignal ? signal : 0, value);
        return SyscallResult.Ok;
    }

    internal static SyscallResult MqGetsetattr(Task task, in SyscallArgs args)
    {
        long wanted = 0;
        if (args.A1 != 0)
        {
            if (!task.TryRead(args.A1, out wanted))
                return Errno.EFAULT;
            if ((wanted & ~(long)OpenFlags.NonBlock) != 0)
                return Errno.EINVAL;
        }

        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not MqueueFile { Queue: var queue })
            return Errno.EBADF;
        Span<byte> attributes = stackalloc byte[AttributesSize];
        attributes.Clear();
        ReadOnlySpan<long> values = [(long)(file.Flags & OpenFlags.NonBlock), queue.Limits.Messages, queue.Limits.MessageSize, queue.Count];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(attributes[(i * 8)..], values[i]);
        if (args.A1 != 0)
            file.Flags = (file.Flags & ~OpenFlags.NonBlock) | (OpenFlags)wanted;
        return args.A2 == 0 || task.Memory.TryWriteAll(args.A2, attributes) ? SyscallResult.Ok : Errno.EFAULT;
    }
}
