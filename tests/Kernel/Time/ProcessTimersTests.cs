namespace Tests.Kernel.Time;

public class ProcessTimersTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public ProcessTimersTests()
    {
        _task = _kernel.NewProcess();
        _task.Signals.Mask = ulong.MaxValue;
    }

    private bool Take(int signal) => SignalDelivery.TryDequeue(_task, Signal.Bit(signal)) is not null;

    [Fact]
    public void Setitimer_Real_SendsSigalrmEachPeriod()
    {
        Assert.Equal(0, _kernel.Do(_task, Sysno.setitimer, 0, _kernel.PutLongs(_task, 0, 10, 0, 100), 0));
        _kernel.Advance(99_000);
        Assert.False(Take(Signal.SIGALRM));
        _kernel.Advance(1_000);
        Assert.True(Take(Signal.SIGALRM));
        _kernel.Advance(10_000);
        Assert.True(Take(Signal.SIGALRM));
        ulong now = _kernel.Allocate(32);
        Assert.Equal(0, _kernel.Do(_task, Sysno.getitimer, 0, now));
        Assert.Equal(10, TestKernel.GetLong(_task, now + 8));
    }

    [Fact]
    public void Alarm_ReturnsWhatWasLeft()
    {
        Assert.Equal(0, _kernel.Do(_task, Sysno.alarm, 10));
        _kernel.Advance(2_600_000_000);
        Assert.Equal(7, _kernel.Do(_task, Sysno.alarm, 0));
        _kernel.Advance(20_000_000_000);
        Assert.False(Take(Signal.SIGALRM));
    }

    [Fact]
    public void PosixTimer_CountsOverruns()
    {
        ulong id = _kernel.Allocate(8), @event = _kernel.PutLongs(_task, 1234, 34, 0, 0);
        Assert.Equal(0, _kernel.Do(_task, Sysno.timer_create, ClockId.Monotonic, @event, id));
        ulong timer = (ulong)TestKernel.GetInt(_task, id);
        Assert.Equal(0, _kernel.Do(_task, Sysno.timer_settime, timer, 0, _kernel.PutLongs(_task, 0, 100, 0, 100), 0));
        _kernel.Advance(100);
        _kernel.Advance(300);
        Assert.Equal(3, _kernel.Do(_task, Sysno.timer_getoverrun, timer));
        SignalInfo info = SignalDelivery.TryDequeue(_task, Signal.Bit(34))!;
        Assert.Equal(SignalCode.SI_TIMER, info.Code);
        Assert.Equal(1234UL, info.Value);
        Assert.Equal(0, _kernel.Do(_task, Sysno.timer_delete, timer));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.timer_delete, timer));
    }
}
