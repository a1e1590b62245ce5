namespace Sentry.Kernel.Events;

/// <summary>The timer of a <see cref="TimerFile"/>.</summary>
[Savable("timerfd-timer")]
internal sealed partial class TimerFileTimer : IntervalTimer
{
    [Saved(1)] private TimerFile _file;

    internal TimerFileTimer(GuestKernel kernel, TimerFile file)
        : base(kernel)
    {
        _file = file;
    }

    protected override bool WaitsForReader => true;

    protected override void OnExpired(long count) => _file.OnExpired(count);
}

/// <summary>timerfd_create(2): counts expirations.</summary>
[Savable("timer-file")]
internal sealed partial class TimerFile : FileObject
{
    [Saved(1)] private TimerFileTimer _timer;
    [Saved(2)] private ulong _ticks;
    [Saved(3)] private int _clock;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal TimerFile(GuestKernel kernel, int clock, OpenFlags flags)
        : base(OpenFlags.ReadWrite | flags)
    {
        _timer = new TimerFileTimer(kernel, this);
        _clock = clock;
    }

    /// <summary>ClockId.*.</summary>
    internal int Clock => _clock;

    internal IntervalTimer Timer => _timer;

    public override WaitQueue? WaitQueue => _waiters;

    public override string Describe() => "anon_inode:[timerfd]";

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;

    public override PollEvents Poll() => _ticks > 0 ? PollEvents.In : PollEvents.None;

    /// <summary>timerfd_settime(2): a new setting forgets what has expired under the old one.</summary>
    internal void Set(long value, long interval, bool absolute, bool wall)
    {
        _ticks = 0;
        if (value == 0)
            _timer.Disarm();
        else
            _timer.Set(value, interval, absolute, wall);
    }

    /// <summary>Counts what nobody was told of, before somebody looks.</summary>
    internal void CatchUp() => _ticks += (ulong)_timer.CatchUp();

    internal void OnExpired(long count)
    {
        _ticks += (ulong)count;
        _waiters.Wake(PollEvents.In);
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (destination.Length < sizeof(ulong))
            return Errno.EINVAL;
        if (_ticks == 0)
            return Errno.EAGAIN;
        CatchUp();
        if (destination.CopyOut(BitConverter.GetBytes(_ticks)) < sizeof(ulong))
            return Errno.EFAULT;
        _ticks = 0;
        return (long)sizeof(ulong);
    }

    protected override void OnRelease() => _timer.Disarm();
}
