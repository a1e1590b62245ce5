using System.Buffers.Binary;

namespace Sentry.Kernel.Events;

/// <summary>signalfd(2): reads take pending signals of the reader. Waiters wait on the process that made it (or read it last), as signals are
/// announced per process.</summary>
[Savable("signal-file")]
internal sealed partial class SignalFile : FileObject
{
    private const int RecordSize = 128;

    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private ulong _mask;

    internal SignalFile(ThreadGroup group, ulong mask, OpenFlags flags)
        : base(OpenFlags.ReadWrite | flags)
    {
        _group = group;
        _mask = mask & ~Signal.Unblockable;
    }

    /// <summary>The signals it takes; bit n-1 is signal n.</summary>
    internal ulong Mask
    {
        get => _mask;
        set
        {
            _mask = value & ~Signal.Unblockable;
            _group.SignalWait.Wake();
        }
    }

    public override WaitQueue? WaitQueue => _group.SignalWait;

    public override string Describe() => "anon_inode:[signalfd]";

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;

    public override PollEvents Poll()
    {
        ulong pending = _group.Pending.Set;
        foreach (Task task in _group.Tasks)
            pending |= task.Signals.Pending.Set;
        return (pending & _mask) != 0 ? PollEvents.In : PollEvents.None;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (destination.Length < RecordSize)
            return Errno.EINVAL;
        _group = caller.Group;
        Span<byte> record = stackalloc byte[RecordSize];
        long done = 0;
        while (destination.Length - done >= RecordSize && SignalDelivery.TryDequeue(caller, _mask) is { } info)
        {
            Format(info, record);
            if (destination.CopyOut(record, done) < RecordSize)
                return done > 0 ? done : Errno.EFAULT;
            done += RecordSize;
        }

        return done > 0 ? done : Errno.EAGAIN;
    }

    /// <summary>struct signalfd_siginfo.</summary>
    private static void Format(SignalInfo info, Span<byte> record)
    {
        record.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(record, info.Number);
        BinaryPrimitives.WriteInt32LittleEndian(record[4..], info.Error);
        BinaryPrimitives.WriteInt32LittleEndian(record[8..], info.Code);
        if (info.Code == SignalCode.SI_TIMER)
        {
            BinaryPrimitives.WriteInt32LittleEndian(record[24..], info.Pid);
            BinaryPrimitives.WriteInt32LittleEndian(record[32..], info.Overrun);
            PutValue(info, record);
        }
        else if (info.Code <= 0)
        {
            PutSender(info, record);
            PutValue(info, record);
        }
        else if (info.Number == Signal.SIGCHLD)
        {
            PutSender(info, record);
            BinaryPrimitives.WriteInt32LittleEndian(record[40..], info.Status);
            BinaryPrimitives.WriteInt64LittleEndian(record[56..], info.UserTime);
            BinaryPrimitives.WriteInt64LittleEndian(record[64..], info.SystemTime);
        }
        else if (info.Number == Signal.SIGIO)
        {
            BinaryPrimitives.WriteInt32LittleEndian(record[20..], info.Descriptor);
            BinaryPrimitives.WriteUInt32LittleEndian(record[28..], (uint)info.Address);
        }
        else if (info.Code != SignalCode.SI_KERNEL)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(record[72..], info.Address);
        }
    }

    private static void PutSender(SignalInfo info, Span<byte> record)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record[12..], info.Pid);
        BinaryPrimitives.WriteUInt32LittleEndian(record[16..], info.Uid);
    }

    private static void PutValue(SignalInfo info, Span<byte> record)
    {
        BinaryPrimitives.WriteInt32LittleEndian(record[44..], (int)info.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(record[48..], info.Value);
    }
}

/// <summary>System calls: signalfd, signalfd4.</summary>
internal static class SignalfdSyscalls
{
    internal static SyscallResult Signalfd(Task task, in SyscallArgs args) => Make(task, args, 0);

    internal static SyscallResult Signalfd4(Task task, in SyscallArgs args) => Make(task, args, args.I3);

    private static SyscallResult Make(Task task, in SyscallArgs args, int flags)
    {
        if ((flags & ~(int)(OpenFlags.NonBlock | OpenFlags.CloseOnExec)) != 0 || args.A2 != sizeof(ulong))
            return Errno.EINVAL;
        if (!task.TryRead(args.A1, out ulong mask))
            return Errno.EFAULT;
        if (args.I0 == -1)
            return task.AddFile(new SignalFile(task.Group, mask, (OpenFlags)flags & OpenFlags.NonBlock), (flags & (int)OpenFlags.CloseOnExec) != 0);
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not SignalFile existing)
            return Errno.EINVAL;
        existing.Mask = mask;
        return args.I0;
    }
}
