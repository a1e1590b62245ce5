namespace Sentry.Kernel.Events;

/// <summary>An end of a pipe, or both (a FIFO opened O_RDWR).</summary>
[Savable("pipe-file")]
public partial class PipeFile : FileObject
{
    private const uint Fionread = 0x541B;

    [Saved(1)] private Pipe _pipe;
    [Saved(2)] private ulong _inode;
    [Saved(3)] private long _hangupSince = -1;
    [Saved(4)] private uint _uid;
    [Saved(5)] private uint _gid;
    [Saved(6)] private long _openTime;

    internal override bool RaisesSignals => true;

    /// <param name="inode">The number in <c>pipe:[N]</c>.</param>
    public PipeFile(Pipe pipe, OpenFlags flags, ulong inode, Task? owner)
        : base(flags)
    {
        _pipe = pipe;
        _inode = inode;
        if (owner is not null)
        {
            _uid = owner.Credentials.FsUid;
            _gid = owner.Credentials.FsGid;
            _openTime = owner.Kernel.Clock.Realtime;
        }

        pipe.Open(CanRead, CanWrite);
    }

    public Pipe Pipe => _pipe;

    /// <summary>A reader that came without a writer sees no hang-up until one has come and gone (fifo(7), poll(2)).</summary>
    internal void ExpectWriter() => _hangupSince = _pipe.WriterOpens;

    public override WaitQueue? WaitQueue => _pipe.Waiters;

    public override bool WritesInFull => true;

    public override string Describe() => $"pipe:[{_inode}]";

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        if (CanRead)
        {
            if (!_pipe.IsEmpty)
                events |= PollEvents.ReadMask;
            if (_pipe.Writers == 0 && _hangupSince != _pipe.WriterOpens)
                events |= PollEvents.Hup;
        }

        if (CanWrite)
        {
            if (!_pipe.IsFull)
                events |= PollEvents.WriteMask;
            if (_pipe.Readers == 0)
                events |= PollEvents.Err;
        }

        return events;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination) => destination.Length == 0 ? 0L : _pipe.Read(destination);

    public override Result<long> Write(Task caller, in UserBuffer source) => _pipe.Write(source, (Flags & OpenFlags.Direct) != 0);

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        if (request != Fionread)
            return Errno.ENOTTY;
        return caller.TryWrite(argument, (int)_pipe.BytesAvailable) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>/proc/self/fd/N of a pipe opens another end of it.</summary>
    public override Result<FileObject> Reopen(Task caller, OpenFlags flags) => new PipeFile(_pipe, flags, _inode, caller);

    public override SyscallResult Fcntl(Task caller, int command, ulong argument)
    {
        const int SetPipeSize = 1031, GetPipeSize = 1032;
        return command switch
        {
            GetPipeSize => _pipe.Capacity,
            SetPipeSize => _pipe.SetCapacity((int)argument, caller.Credentials.Has(Capability.CAP_SYS_RESOURCE)),
            _ => Errno.EINVAL,
        };
    }

    public override Result<FileStatus> GetStatus() => new FileStatus
    {
        Device = 14,
        Inode = _inode,
        Mode = 0x1180, // S_IFIFO | 0600
        LinkCount = 1,
        Uid = _uid,
        Gid = _gid,
        BlockSize = Pipe.PageSize,
        AccessTime = _openTime,
        ModifyTime = _openTime,
        ChangeTime = _openTime,
    };

    protected override void OnRelease() => _pipe.Close(CanRead, CanWrite);
}
