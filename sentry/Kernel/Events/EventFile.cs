namespace Sentry.Kernel.Events;

/// <summary>The counter behind eventfd(2).</summary>
[Savable("event-file")]
public sealed partial class EventFile : FileObject
{
    [Saved(1)] private ulong _count;
    [Saved(2)] private bool _semaphore;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    public EventFile(uint count, bool semaphore, OpenFlags flags)
        : base(OpenFlags.ReadWrite | flags)
    {
        _count = count;
        _semaphore = semaphore;
    }

    public override WaitQueue? WaitQueue => _waiters;

    public override string Describe() => "anon_inode:[eventfd]";

    public override PollEvents Poll() =>
        (_count > 0 ? PollEvents.In : PollEvents.None) | (_count < ulong.MaxValue - 1 ? PollEvents.Out : PollEvents.None) | (_count == ulong.MaxValue ? PollEvents.Err : PollEvents.None);

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (destination.Length < sizeof(ulong))
            return Errno.EINVAL;
        if (_count == 0)
            return Errno.EAGAIN;
        ulong value = _semaphore ? 1 : _count;
        if (destination.CopyOut(BitConverter.GetBytes(value)) < sizeof(ulong))
            return Errno.EFAULT;
        _count -= value;
        _waiters.Wake(PollEvents.Out);
        return (long)sizeof(ulong);
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        if (source.Length < sizeof(ulong))
            return Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        if (source.CopyIn(bytes) < sizeof(ulong))
            return Errno.EFAULT;
        ulong value = BitConverter.ToUInt64(bytes);
        if (value == ulong.MaxValue)
            return Errno.EINVAL;
        if (ulong.MaxValue - _count <= value)
            return Errno.EAGAIN;
        _count += value;
        _waiters.Wake(PollEvents.In);
        return (long)sizeof(ulong);
    }

    /// <summary>Something that it counts has happened (aio); a counter that is full stays so.</summary>
    internal void Signal()
    {
        if (_count < ulong.MaxValue)
            _count++;
        _waiters.Wake(PollEvents.In);
    }

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;
}

/// <summary>What fstat(2) says of files that have no inode of their own (eventfd, epoll, timerfd, signalfd).</summary>
internal static class AnonymousInode
{
    internal static FileStatus Status => new() { Device = 15, Inode = 1, Mode = 0x180, LinkCount = 1, BlockSize = 4096 };
}
