namespace Tests.Kernel.Events;

public class PollTests
{
    private const long Millisecond = 1_000_000;
    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly int _event;

    public PollTests()
    {
        _task = _kernel.NewProcess();
        _event = (int)_kernel.Do(_task, Sysno.eventfd2, 0, 0);
    }

    private void Signal() => _task.Files.Get(_event)!.Write(_task, new UserBuffer(BitConverter.GetBytes(1UL)));

    [Fact]
    public void Poll_ClosedDescriptor_IsNval()
    {
        ulong fds = _kernel.PutInts(_task, 77, 1);
        Assert.Equal(1, _kernel.Do(_task, Sysno.poll, fds, 1, 0));
        Assert.Equal(1 | ((int)PollEvents.Nval << 16), TestKernel.GetInt(_task, fds + 4));
    }

    [Fact]
    public void Poll_TimesOut()
    {
        ulong fds = _kernel.PutInts(_task, _event, 1);
        Assert.Null(_kernel.Call(_task, Sysno.poll, fds, 1, 10));
        _kernel.Advance(9 * Millisecond);
        Assert.Null(TestKernel.Result(_task));
        _kernel.Advance(Millisecond);
        Assert.Equal(0, TestKernel.Result(_task));
    }

    [Fact]
    public void Poll_RetriedAfterRestore_KeepsItsDeadline()
    {
        ulong fds = _kernel.PutInts(_task, _event, 1);
        Assert.Null(_kernel.Call(_task, Sysno.poll, fds, 1, 10));
        _kernel.Advance(5 * Millisecond);
        _kernel.RetryAll();
        _kernel.Advance(5 * Millisecond);
        Assert.Equal(0, TestKernel.Result(_task));
    }

    [Fact]
    public void Poll_TooManyDescriptors_IsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.poll, 0, 2000, 0));

    [Fact]
    public void Ppoll_WritesBackWhatIsLeft()
    {
        ulong fds = _kernel.PutInts(_task, _event, 1), time = _kernel.PutLongs(_task, 2, 0);
        Assert.Null(_kernel.Call(_task, Sysno.ppoll, fds, 1, time, 0, 8));
        _kernel.Advance(500 * Millisecond);
        Signal();
        _kernel.RunReady();
        Assert.Equal(1, TestKernel.Result(_task));
        Assert.Equal(1, TestKernel.GetLong(_task, time));
        Assert.Equal(500 * Millisecond, TestKernel.GetLong(_task, time + 8));
    }

    [Fact]
    public void Select_MarksReadyOnesAndUpdatesTheTimeout()
    {
        ulong reads = _kernel.PutLongs(_task, 1L << _event), writes = _kernel.PutLongs(_task, 0), time = _kernel.PutLongs(_task, 1, 0);
        Assert.Null(_kernel.Call(_task, Sysno.select, (ulong)_event + 1, reads, writes, 0, time));
        _kernel.Advance(250 * Millisecond);
        Signal();
        _kernel.RunReady();
        Assert.Equal(1, TestKernel.Result(_task));
        Assert.Equal(1L << _event, TestKernel.GetLong(_task, reads));
        Assert.Equal(0, TestKernel.GetLong(_task, time));
        Assert.Equal(750_000, TestKernel.GetLong(_task, time + 8));
    }

    [Fact]
    public void Select_ClosedDescriptor_IsEbadf()
    {
        ulong reads = _kernel.PutLongs(_task, 1L << 40);
        Assert.Equal(-(long)Errno.EBADF, _kernel.Do(_task, Sysno.select, 41, reads, 0, 0, 0));
    }

    [Fact]
    public void Select_Timeout_ClearsTheSets()
    {
        ulong reads = _kernel.PutLongs(_task, 1L << _event), time = _kernel.PutLongs(_task, 0, 1000);
        Assert.Null(_kernel.Call(_task, Sysno.select, (ulong)_event + 1, reads, 0, 0, time));
        _kernel.Advance(Millisecond);
        Assert.Equal(0, TestKernel.Result(_task));
        Assert.Equal(0, TestKernel.GetLong(_task, reads));
    }
}
