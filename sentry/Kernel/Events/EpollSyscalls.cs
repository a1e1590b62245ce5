using System.Buffers.Binary;

namespace Sentry.Kernel.Events;

/// <summary>System calls: epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2.</summary>
internal static class EpollSyscalls
{
    private const int OpAdd = 1, OpDelete = 2, OpModify = 3;
    private const int EventSize = 12;

    internal static SyscallResult EpollCreate(Task task, in SyscallArgs args) =>
        args.I0 <= 0 ? Errno.EINVAL : task.AddFile(new EpollFile(), closeOnExec: false);

    internal static SyscallResult EpollCreate1(Task task, in SyscallArgs args) =>
        (args.I0 & ~(int)OpenFlags.CloseOnExec) != 0 ? Errno.EINVAL : task.AddFile(new EpollFile(), (args.I0 & (int)OpenFlags.CloseOnExec) != 0);

    internal static SyscallResult EpollCtl(Task task, in SyscallArgs args)
    {
        int operation = args.I1, descriptor = args.I2;
        uint events = 0;
        ulong data = 0;
        if (operation != OpDelete)
        {
            Span<byte> bytes = stackalloc byte[EventSize];
            if (!task.Memory.TryReadAll(args.A3, bytes))
                return Errno.EFAULT;
            events = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            data = BinaryPrimitives.ReadUInt64LittleEndian(bytes[4..]);
        }

        if (!task.TryGetFile(args.I0, out FileObject? file) || !task.TryGetFile(descriptor, out FileObject? target))
            return Errno.EBADF;
        if (file is PathFile || target is PathFile)
            return Errno.EBADF;
        if (!target.CanPoll)
            return Errno.EPERM;
        if (file is not EpollFile epoll || target == file)
            return Errno.EINVAL;
        if ((events & EpollFlags.Exclusive) != 0)
        {
            const uint allowed = (uint)(PollEvents.In | PollEvents.Out | PollEvents.Err | PollEvents.Hup) | EpollFlags.Exclusive | EpollFlags.EdgeTriggered | EpollFlags.WakeUp;
            if (operation == OpModify || (events & ~allowed) != 0 || target is EpollFile)
                return Errno.EINVAL;
        }

        EpollItem? item = epoll.Find(descriptor, target);
        switch (operation)
        {
            case OpAdd:
                Errno error = epoll.Add(descriptor, target, events, data);
                return error == Errno.None ? SyscallResult.Ok : error;
            case OpModify when item is not null:
                if ((item.Events & EpollFlags.Exclusive) != 0)
                    return Errno.EINVAL;
                item.Watch(events, data);
                return SyscallResult.Ok;
            case OpDelete when item is not null:
                epoll.Remove(item);
                return SyscallResult.Ok;
            case OpModify or OpDelete:
                return Errno.ENOENT;
            default:
                return Errno.EINVAL;
        }
    }

    internal static SyscallResult EpollWait(Task task, in SyscallArgs args) => Wait(task, args, Milliseconds(args.I3));

    internal static SyscallResult EpollPwait(Task task, in SyscallArgs args)
    {
        Errno error = TemporaryMask.Set(task, args.A4, args.A5);
        return error != Errno.None ? error : TemporaryMask.Finish(task, Wait(task, args, Milliseconds(args.I3)));
    }

    internal static SyscallResult EpollPwait2(Task task, in SyscallArgs args)
    {
        Errno error = PollSyscalls.ReadTimeout(task, args.A3, out long timeout);
        if (error == Errno.None)
            error = TemporaryMask.Set(task, args.A4, args.A5);
        return error != Errno.None ? error : TemporaryMask.Finish(task, Wait(task, args, timeout));
    }

    private static long Milliseconds(int timeout) => timeout < 0 ? -1 : timeout * 1_000_000L;

    private static SyscallResult Wait(Task task, in SyscallArgs args, long timeout)
    {
        int limit = args.I2;
        if (limit is <= 0 or > int.MaxValue / EventSize)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not EpollFile epoll)
            return Errno.EINVAL;
        Result<int> reported = epoll.Collect(task, args.A1, limit);
        if (reported.IsError || reported.Value > 0 || timeout == 0 || task.Call.TimedOut)
            return reported;
        task.WaitOn(epoll.WaitQueue!, PollEvents.ReadMask);
        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout);
        return task.Block(InterruptMode.Interrupt);
    }
}
