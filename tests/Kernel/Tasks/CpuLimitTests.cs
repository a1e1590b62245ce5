namespace Tests.Kernel.Tasks;

/// <summary>RLIMIT_CPU counts what the host charged, not what has passed.</summary>
public sealed class CpuLimitTests
{
    private const long Second = 1_000_000_000;
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public CpuLimitTests()
    {
        _kernel.Kernel.CpuCount = 2;
        _task = _kernel.NewProcess();
        _task.Credentials = TestKernel.Root;
    }

    private void SetLimit(ulong soft, ulong hard)
    {
        ulong place = _kernel.Put(_task, [.. BitConverter.GetBytes(soft), .. BitConverter.GetBytes(hard)]);
        Assert.Equal(0, _kernel.Do(_task, Sysno.setrlimit, (ulong)ResourceLimits.Cpu, place));
    }

    private bool IsPending => _task.Group.Pending.Has(Signal.SIGXCPU);

    [Fact]
    public void SoftLimit_ReachedByTimeOnTheProcessor_RaisesSignalEachSecond()
    {
        _task.Signals.Mask = 1ul << (Signal.SIGXCPU - 1);
        SetLimit(2, ulong.MaxValue);
        _kernel.Advance(60 * Second);
        Assert.False(IsPending);
        TestKernel.ThreadOf(_task).CpuTime = 2 * Second;
        _kernel.Advance(2 * Second);
        Assert.True(IsPending);
        Assert.Equal(3ul, _task.Group.Limits[ResourceLimits.Cpu].Soft);
        Assert.NotNull(SignalDelivery.TryDequeue(_task, _task.Signals.Mask));
        _kernel.Advance(5 * Second);
        Assert.False(IsPending);
        TestKernel.ThreadOf(_task).CpuTime = 3 * Second;
        _kernel.Advance(Second);
        Assert.True(IsPending);
    }

    [Fact]
    public void HardLimit_Reached_Kills()
    {
        SetLimit(1, 1);
        TestKernel.ThreadOf(_task).CpuTime = Second;
        _kernel.Advance(Second);
        Assert.True(_task.Group.Pending.Has(Signal.SIGKILL) || _task.Group.WaitStatus == Signal.SIGKILL);
    }
}
