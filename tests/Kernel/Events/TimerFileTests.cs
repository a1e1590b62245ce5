namespace Tests.Kernel.Events;

public class TimerFileTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public TimerFileTests() => _task = _kernel.NewProcess();

    private (ulong Fd, FileObject File) Make(int clock)
    {
        long fd = _kernel.Do(_task, Sysno.timerfd_create, (ulong)clock, 0x800);
        return ((ulong)fd, _task.Files.Get((int)fd)!);
    }

    private ulong? Take(FileObject file)
    {
        byte[] bytes = new byte[8];
        return file.Read(_task, new UserBuffer(bytes)).IsOk ? BitConverter.ToUInt64(bytes) : null;
    }

    [Fact]
    public void Interval_CountsExpirations()
    {
        (ulong fd, FileObject file) = Make(ClockId.Monotonic);
        Assert.Equal(0, _kernel.Do(_task, Sysno.timerfd_settime, fd, 0, _kernel.PutLongs(_task, 0, 10, 0, 100), 0));
        Assert.Null(Take(file));
        _kernel.Advance(100);
        Assert.Equal(PollEvents.In, file.Poll());
        Assert.Equal(1UL, Take(file));
        _kernel.Advance(35);
        Assert.Equal(3UL, Take(file));
        ulong now = _kernel.Allocate(32);
        _kernel.Do(_task, Sysno.timerfd_gettime, fd, now);
        Assert.Equal(5, TestKernel.GetLong(_task, now + 24));
        Assert.Equal(10, TestKernel.GetLong(_task, now + 8));
    }

    [Fact]
    public void AbsoluteWallClock_FollowsAJump()
    {
        (ulong fd, FileObject file) = Make(ClockId.Realtime);
        long seconds = (_kernel.Host.FakeClock.Realtime / 1_000_000_000) + 1000;
        _kernel.Do(_task, Sysno.timerfd_settime, fd, 1, _kernel.PutLongs(_task, 0, 0, seconds, 0), 0);
        _kernel.Host.FakeClock.Realtime += 2_000_000_000_000;
        ((TimerFile)file).Timer.AfterLoad(RestorePhase.Activation, null!);
        _kernel.Advance(1);
        Assert.Equal(1UL, Take(file));
    }

    [Fact]
    public void Settime_Zero_Disarms()
    {
        (ulong fd, FileObject file) = Make(ClockId.Boottime);
        _kernel.Do(_task, Sysno.timerfd_settime, fd, 0, _kernel.PutLongs(_task, 0, 0, 0, 100), 0);
        ulong old = _kernel.Allocate(32);
        _kernel.Do(_task, Sysno.timerfd_settime, fd, 0, _kernel.PutLongs(_task, 0, 0, 0, 0), old);
        Assert.Equal(100, TestKernel.GetLong(_task, old + 24));
        _kernel.Advance(1000);
        Assert.Null(Take(file));
    }

    [Fact]
    public void Create_UnknownClock_IsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.timerfd_create, 2, 0));
}
