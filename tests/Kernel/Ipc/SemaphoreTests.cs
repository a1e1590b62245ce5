namespace Tests.Kernel.Ipc;

public sealed class SemaphoreTests
{
    private const ulong Create = 0x200, NoWait = 0x800, Undo = 0x1000;
    private const ulong GetNcnt = 14, GetVal = 12, SetVal = 16, Rmid = 0;

    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly ulong _set;

    public SemaphoreTests()
    {
        _task = _kernel.NewProcess();
        _set = (ulong)_kernel.Do(_task, Sysno.semget, 0, 2, Create | 0x1B6);
    }

    private ulong Operation(Task task, int number, int change, ulong flags = 0) =>
        _kernel.Put(task, [(byte)number, 0, (byte)change, (byte)(change >> 8), (byte)flags, (byte)(flags >> 8)]);

    private long Value(int number) => _kernel.Do(_task, Sysno.semctl, _set, (ulong)number, GetVal, 0);

    [Fact]
    public void Semop_MustWait_WakesWhenOthersGive()
    {
        Task other = _kernel.NewProcess();
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(other, Sysno.semop, _set, Operation(other, 0, -2, NoWait), 1));
        Assert.Null(_kernel.Call(other, Sysno.semop, _set, Operation(other, 0, -2), 1));
        Assert.Equal(1, _kernel.Do(_task, Sysno.semctl, _set, 0, GetNcnt, 0));
        Assert.Equal(0, _kernel.Do(_task, Sysno.semop, _set, Operation(_task, 0, 1), 1));
        Assert.Null(TestKernel.Result(other));
        _kernel.RetryAll();
        Assert.Null(TestKernel.Result(other));
        Assert.Equal(0, _kernel.Do(_task, Sysno.semop, _set, Operation(_task, 0, 1), 1));
        Assert.Equal(0, TestKernel.Result(other));
        Assert.Equal(0, Value(0));
    }

    [Fact]
    public void Semtimedop_TimeIsUp_IsEagain()
    {
        Assert.Null(_kernel.Call(_task, Sysno.semtimedop, _set, Operation(_task, 1, -1), 1, _kernel.PutLongs(_task, 0, 1000)));
        _kernel.Advance(2000);
        Assert.Equal(-(long)Errno.EAGAIN, TestKernel.Result(_task));
    }

    [Fact]
    public void Exit_WithUndo_GivesBack()
    {
        Task other = _kernel.NewProcess(_task.Group);
        Assert.Equal(0, _kernel.Do(_task, Sysno.semctl, _set, 0, SetVal, 5));
        Assert.Equal(0, _kernel.Do(other, Sysno.semop, _set, Operation(other, 0, -3, Undo), 1));
        Assert.Equal(2, Value(0));
        _kernel.Call(other, Sysno.exit_group, 0);
        Assert.Equal(5, Value(0));
    }

    [Fact]
    public void Removed_WaiterGetsEidrm()
    {
        Task other = _kernel.NewProcess();
        Assert.Null(_kernel.Call(other, Sysno.semop, _set, Operation(other, 0, -1), 1));
        Assert.Equal(0, _kernel.Do(_task, Sysno.semctl, _set, 0, Rmid, 0));
        _kernel.RunReady();
        Assert.Equal(-(long)Errno.EIDRM, TestKernel.Result(other));
        Assert.Equal(-(long)Errno.EINVAL, Value(0));
    }

    [Fact]
    public void Semop_OneOfSeveralFails_ChangesNone()
    {
        Assert.Equal(0, _kernel.Do(_task, Sysno.semctl, _set, 0, SetVal, 1));
        byte[] both = new byte[12];
        BitConverter.TryWriteBytes(both.AsSpan(2), (short)-1);
        both[6] = 1;
        BitConverter.TryWriteBytes(both.AsSpan(8), (short)-1);
        BitConverter.TryWriteBytes(both.AsSpan(10), (ushort)NoWait);
        Assert.Equal(-(long)Errno.EAGAIN, _kernel.Do(_task, Sysno.semop, _set, _kernel.Put(_task, both), 2));
        Assert.Equal(1, Value(0));
    }

    [Fact]
    public void OthersWithoutPermission_AreRefused()
    {
        Task other = _kernel.NewProcess();
        ulong closed = (ulong)_kernel.Do(_task, Sysno.semget, 0, 1, Create | 0x180);
        other.Credentials = new Credentials { Uid = 5, EffectiveUid = 5, SavedUid = 5, FsUid = 5, Gid = 5, EffectiveGid = 5, SavedGid = 5, FsGid = 5 };
        Assert.Equal(-(long)Errno.EACCES, _kernel.Do(other, Sysno.semop, closed, Operation(other, 0, 1), 1));
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(other, Sysno.semctl, closed, 0, Rmid, 0));
    }
}
