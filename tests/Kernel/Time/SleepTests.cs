namespace Tests.Kernel.Time;

public class SleepTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public SleepTests() => _task = _kernel.NewProcess();

    [Fact]
    public void Nanosleep_ReturnsWhenTheTimeHasCome()
    {
        ulong request = _kernel.PutLongs(_task, 1, 0);
        Assert.Null(_kernel.Call(_task, Sysno.nanosleep, request, 0));
        _kernel.Advance(999_999_999);
        Assert.Null(TestKernel.Result(_task));
        _kernel.Advance(1);
        Assert.Equal(0, TestKernel.Result(_task));
    }

    [Fact]
    public void Nanosleep_Invalid_IsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.nanosleep, _kernel.PutLongs(_task, 0, 1_000_000_000), 0));

    [Fact]
    public void Nanosleep_Interrupted_TellsWhatIsLeft()
    {
        ulong request = _kernel.PutLongs(_task, 3, 0), remaining = _kernel.PutLongs(_task, 0, 0);
        Assert.Null(_kernel.Call(_task, Sysno.nanosleep, request, remaining));
        _kernel.Advance(1_000_000_000);
        _task.Call.State!.OnInterrupted(_task);
        Assert.Equal(2, TestKernel.GetLong(_task, remaining));
    }

    [Fact]
    public void ClockNanosleep_AbsoluteInThePast_ReturnsAtOnce() =>
        Assert.Equal(0, _kernel.Do(_task, Sysno.clock_nanosleep, ClockId.Monotonic, 1, _kernel.PutLongs(_task, 0, 0), 0));

    [Fact]
    public void ClockNanosleep_WallClock_WaitsOnWhenTheClockWentBack()
    {
        long seconds = (_kernel.Host.FakeClock.Realtime / 1_000_000_000) + 10;
        Assert.Null(_kernel.Call(_task, Sysno.clock_nanosleep, ClockId.Realtime, 1, _kernel.PutLongs(_task, seconds, 0), 0));
        _kernel.Host.FakeClock.Realtime -= 5_000_000_000;
        _kernel.Advance(11_000_000_000);
        Assert.Null(TestKernel.Result(_task));
        _kernel.Advance(5_000_000_000);
        Assert.Equal(0, TestKernel.Result(_task));
    }

    [Fact]
    public void ClockGettime_UnknownClock_IsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.clock_gettime, 99, _kernel.Allocate(16)));

    [Fact]
    public void ClockGettime_MonotonicMovesWithTheHost()
    {
        ulong time = _kernel.Allocate(16);
        _kernel.Do(_task, Sysno.clock_gettime, ClockId.Monotonic, time);
        long before = TestKernel.GetLong(_task, time + 8);
        _kernel.Advance(1234);
        _kernel.Do(_task, Sysno.clock_gettime, ClockId.Monotonic, time);
        Assert.Equal(before + 1234, TestKernel.GetLong(_task, time + 8));
    }
}
