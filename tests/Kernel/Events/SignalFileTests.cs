namespace Tests.Kernel.Events;

public class SignalFileTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public SignalFileTests() => _task = _kernel.NewProcess();

    private ulong Make(ulong mask, ulong flags = 0x800) => (ulong)_kernel.Do(_task, Sysno.signalfd4, ulong.MaxValue, _kernel.PutLongs(_task, (long)mask), 8, flags);

    [Fact]
    public void Read_TakesAPendingSignal()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR1);
        ulong fd = Make(Signal.Bit(Signal.SIGUSR1)), buffer = _kernel.Allocate(256);
        FileObject file = _task.Files.Get((int)fd)!;
        Assert.Equal(PollEvents.None, file.Poll());
        SignalDelivery.SendToProcess(_task.Group, SignalInfo.User(Signal.SIGUSR1, 77, 5));
        Assert.Equal(PollEvents.In, file.Poll());
        Assert.Equal(128, _kernel.Do(_task, Sysno.read, fd, buffer, 256));
        Assert.Equal(Signal.SIGUSR1, TestKernel.GetInt(_task, buffer));
        Assert.Equal(77, TestKernel.GetInt(_task, buffer + 12));
        Assert.Equal(5, TestKernel.GetInt(_task, buffer + 16));
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.read, fd, buffer, 256));
    }

    [Fact]
    public void Read_Blocked_IsWokenByTheSignal()
    {
        _task.Signals.Mask = Signal.Bit(Signal.SIGUSR2);
        ulong fd = Make(Signal.Bit(Signal.SIGUSR2), 0), buffer = _kernel.Allocate(128);
        Assert.Null(_kernel.Call(_task, Sysno.read, fd, buffer, 128));
        SignalDelivery.SendToTask(_task, SignalInfo.Kernel(Signal.SIGUSR2));
        _kernel.RunReady();
        Assert.Equal(128, TestKernel.Result(_task));
    }

    [Fact]
    public void Signalfd4_ChangesTheMaskOfAnExistingOne()
    {
        ulong fd = Make(Signal.Bit(Signal.SIGUSR1));
        Assert.Equal((long)fd, _kernel.Do(_task, Sysno.signalfd4, fd, _kernel.PutLongs(_task, (long)Signal.Bit(Signal.SIGKILL) | 2), 8));
        Assert.Equal(2UL, ((SignalFile)_task.Files.Get((int)fd)!).Mask);
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.signalfd4, fd, 0, 4));
    }
}
