namespace Tests.Kernel.Events;

public class EventFileTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public EventFileTests() => _task = _kernel.NewProcess();

    private FileObject Make(uint count, int flags) => _task.Files.Get((int)_kernel.Do(_task, Sysno.eventfd2, count, (ulong)flags))!;

    private Result<long> Add(FileObject file, ulong value) => file.Write(_task, new UserBuffer(BitConverter.GetBytes(value)));

    private ulong? Take(FileObject file)
    {
        byte[] bytes = new byte[8];
        return file.Read(_task, new UserBuffer(bytes)).IsOk ? BitConverter.ToUInt64(bytes) : null;
    }

    [Fact]
    public void Read_CountIsZero_IsEagain() => Assert.Equal(Errno.EAGAIN, Make(0, 0).Read(_task, new UserBuffer(new byte[8])).Error);

    [Fact]
    public void Read_TakesTheWholeCount()
    {
        FileObject file = Make(3, 0);
        Add(file, 4);
        Assert.Equal(7UL, Take(file));
        Assert.Null(Take(file));
    }

    [Fact]
    public void Read_Semaphore_TakesOne()
    {
        FileObject file = Make(2, 1);
        Assert.Equal(1UL, Take(file));
        Assert.Equal(1UL, Take(file));
        Assert.Null(Take(file));
    }

    [Fact]
    public void Write_WouldOverflow_IsEagain()
    {
        FileObject file = Make(1, 0);
        Assert.True(Add(file, ulong.MaxValue - 2).IsOk);
        Assert.Equal(Errno.EAGAIN, Add(file, 1).Error);
        Assert.Equal(Errno.EINVAL, Add(file, ulong.MaxValue).Error);
        Assert.Equal(PollEvents.In, file.Poll());
    }

    [Fact]
    public void Eventfd2_UnknownFlags_IsEinval() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(_task, Sysno.eventfd2, 0, 2));
}
