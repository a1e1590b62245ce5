namespace Tests.Kernel.Events;

public class EpollTests
{
    private const ulong Add = 1, Delete = 2, Modify = 3;
    private const uint In = 1, EdgeTriggered = 1u << 31, OneShot = 1u << 30;
    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly ulong _epoll;
    private readonly ulong _event;
    private readonly ulong _out;

    public EpollTests()
    {
        _task = _kernel.NewProcess();
        _epoll = (ulong)_kernel.Do(_task, Sysno.epoll_create1, 0);
        _event = (ulong)_kernel.Do(_task, Sysno.eventfd2, 0, 0x800);
        _out = _kernel.Allocate(120);
    }

    private ulong Event(uint events, uint data) => _kernel.PutInts(_task, (int)events, (int)data, 0);

    private long Control(ulong operation, uint events = In, ulong? fd = null, ulong? epoll = null) =>
        _kernel.Do(_task, Sysno.epoll_ctl, epoll ?? _epoll, operation, fd ?? _event, Event(events, 42));

    private long Wait(ulong? epoll = null) => _kernel.Do(_task, Sysno.epoll_wait, epoll ?? _epoll, _out, 10, 0);

    private void Signal() => _task.Files.Get((int)_event)!.Write(_task, new UserBuffer(BitConverter.GetBytes(1UL)));

    private void Drain() => _task.Files.Get((int)_event)!.Read(_task, new UserBuffer(new byte[8]));

    [Fact]
    public void Wait_LevelTriggered_ReportsUntilDrained()
    {
        Control(Add);
        Assert.Equal(0, Wait());
        Signal();
        Assert.Equal(1, Wait());
        Assert.Equal(1, TestKernel.GetInt(_task, _out));
        Assert.Equal(42, TestKernel.GetInt(_task, _out + 4));
        Assert.Equal(1, Wait());
        Drain();
        Assert.Equal(0, Wait());
    }

    [Fact]
    public void Wait_EdgeTriggered_ReportsOncePerEvent()
    {
        Control(Add, In | EdgeTriggered);
        Signal();
        Assert.Equal(1, Wait());
        Assert.Equal(0, Wait());
        Signal();
        Assert.Equal(1, Wait());
    }

    [Fact]
    public void Wait_OneShot_IsSilentUntilModified()
    {
        Control(Add, In | OneShot);
        Signal();
        Assert.Equal(1, Wait());
        Signal();
        Assert.Equal(0, Wait());
        Control(Modify, In | OneShot);
        Assert.Equal(1, Wait());
    }

    [Fact]
    public void Wait_Blocked_IsWokenAndKeepsItsDeadline()
    {
        Control(Add);
        Assert.Null(_kernel.Call(_task, Sysno.epoll_wait, _epoll, _out, 10, 1000));
        _kernel.Advance(400_000_000);
        _kernel.RetryAll();
        Assert.Null(TestKernel.Result(_task));
        Signal();
        _kernel.RunReady();
        Assert.Equal(1, TestKernel.Result(_task));
    }

    [Fact]
    public void Control_Errors()
    {
        Assert.Equal(-(long)Errno.ENOENT, Control(Delete));
        Assert.Equal(-(long)Errno.ENOENT, Control(Modify));
        Assert.Equal(0, Control(Add));
        Assert.Equal(-(long)Errno.EEXIST, Control(Add));
        Assert.Equal(-(long)Errno.EBADF, Control(Add, In, 99));
        Assert.Equal(-(long)Errno.EINVAL, Control(Add, In, _epoll));
        Assert.Equal(-(long)Errno.EINVAL, Control(Add, In, _epoll, _event));
        Assert.Equal(0, Control(Delete));
    }

    [Fact]
    public void Item_GoesWithTheLastDescriptor()
    {
        Control(Add);
        Signal();
        FileObject file = _task.Files.Get((int)_event)!;
        file.AddReference();
        _task.Files.Close(_task.Group, (int)_event);
        Assert.Equal(1, Wait());
        file.Release();
        Assert.Equal(0, Wait());
    }

    [Fact]
    public void Nested_IsReadyWhenTheInnerIs()
    {
        ulong outer = (ulong)_kernel.Do(_task, Sysno.epoll_create1, 0);
        Control(Add);
        Assert.Equal(0, Control(Add, In, _epoll, outer));
        Assert.Equal(-(long)Errno.ELOOP, Control(Add, In, outer, _epoll));
        Assert.Equal(0, Wait(outer));
        Signal();
        Assert.Equal(1, Wait(outer));
        Drain();
        Assert.Equal(0, Wait(outer));
    }

    [Fact]
    public void AfterLoad_RegistersAgain()
    {
        Control(Add);
        var epoll = (EpollFile)_task.Files.Get((int)_epoll)!;
        EpollItem item = epoll.Find((int)_event, _task.Files.Get((int)_event)!)!;
        item.File.WaitQueue!.Remove(item);
        Signal();
        Assert.Equal(0, Wait());
        Drain();
        item.AfterLoad(RestorePhase.Links, null!);
        Signal();
        Assert.Equal(1, Wait());
    }
}
