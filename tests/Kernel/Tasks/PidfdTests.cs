namespace Tests.Kernel.Tasks;

public sealed class PidfdTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _parent;
    private readonly Task _child;
    private readonly ulong _pidfd;

    public PidfdTests()
    {
        _parent = _kernel.NewProcess();
        _child = _kernel.NewProcess(_parent.Group);
        _pidfd = (ulong)_kernel.Do(_parent, Sysno.pidfd_open, (ulong)_child.Tid, 0);
    }

    [Fact]
    public void Poll_IsReadableOnceTheProcessHasEnded()
    {
        FileObject file = _parent.Files.Get((int)_pidfd)!;
        Assert.Equal(PollEvents.None, file.Poll());
        _kernel.Call(_child, Sysno.exit_group, 3);
        Assert.Equal(PollEvents.ReadMask, file.Poll());
    }

    [Fact]
    public void Waitid_ByPidfd_ReapsThatChild()
    {
        const ulong byPidfd = 3, exited = 4;
        ulong info = _kernel.Allocate(128);
        Assert.Null(_kernel.Call(_parent, Sysno.waitid, byPidfd, _pidfd, info, exited, 0));
        _kernel.Call(_child, Sysno.exit_group, 3);
        _kernel.RunReady();
        Assert.Equal(0, TestKernel.Result(_parent));
        Assert.Equal(_child.Tid, TestKernel.GetInt(_parent, info + 16));
        Assert.Equal(3, TestKernel.GetInt(_parent, info + 24));
        Assert.Equal(-(long)Errno.ECHILD, _kernel.Do(_parent, Sysno.waitid, byPidfd, _pidfd, info, exited, 0));
    }

    [Fact]
    public void SendSignal_AfterTheEnd_IsEsrch()
    {
        Assert.Equal(0, _kernel.Do(_parent, Sysno.pidfd_send_signal, _pidfd, 0, 0, 0));
        _kernel.Call(_child, Sysno.exit_group, 0);
        _kernel.Do(_parent, Sysno.wait4, ulong.MaxValue, 0, 0, 0);
        Assert.Equal(-(long)Errno.ESRCH, _kernel.Do(_parent, Sysno.pidfd_send_signal, _pidfd, 0, 0, 0));
    }

    [Fact]
    public void Getfd_GivesTheSameDescription()
    {
        ulong made = (ulong)_kernel.Do(_child, Sysno.eventfd2, 1, 0);
        int got = (int)_kernel.Do(_parent, Sysno.pidfd_getfd, _pidfd, made, 0);
        Assert.Same(_child.Files.Get((int)made), _parent.Files.Get(got));
        const ulong file = 0;
        Assert.Equal(0, _kernel.Do(_parent, Sysno.kcmp, (ulong)_child.Tid, (ulong)_parent.Tid, file, made, (ulong)got));
        Assert.Equal(3, _kernel.Do(_parent, Sysno.kcmp, (ulong)_child.Tid, (ulong)_parent.Tid, file, made, _pidfd));
    }
}
