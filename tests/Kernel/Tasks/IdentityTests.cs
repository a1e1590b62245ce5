namespace Tests.Kernel.Tasks;

public sealed class IdentityTests
{
    private readonly TestKernel _kernel = new();

    private static Credentials User(uint uid) => CredentialsDraft.Initial(uid, uid);

    private Task NewRoot()
    {
        Task task = _kernel.NewProcess();
        task.Credentials = CredentialsDraft.Initial(0, 0);
        return task;
    }

    [Fact]
    public void Setuid_OfRoot_ChangesAllIdsAndDropsCapabilities()
    {
        Task task = NewRoot();
        Assert.Equal(0, _kernel.Do(task, Sysno.setuid, 1000));
        Assert.Equal((1000u, 1000u, 1000u, 1000u), (task.Credentials.Uid, task.Credentials.EffectiveUid, task.Credentials.SavedUid, task.Credentials.FsUid));
        Assert.Equal((0ul, 0ul), (task.Credentials.Permitted, task.Credentials.Effective));
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(task, Sysno.setuid, 0));
    }

    [Fact]
    public void Setresuid_KeepingSavedRoot_DropsAndRegainsEffectiveCapabilities()
    {
        Task task = NewRoot();
        Assert.Equal(0, _kernel.Do(task, Sysno.setresuid, ulong.MaxValue, 1000, ulong.MaxValue));
        Assert.Equal((Capability.CAP_FULL_SET, 0ul), (task.Credentials.Permitted, task.Credentials.Effective));
        Assert.Equal(0, _kernel.Do(task, Sysno.setresuid, ulong.MaxValue, 0, ulong.MaxValue));
        Assert.Equal(Capability.CAP_FULL_SET, task.Credentials.Effective);
    }

    [Fact]
    public void Setuid_WithKeepCapabilities_KeepsPermitted()
    {
        Task task = NewRoot();
        Assert.Equal(0, _kernel.Do(task, Sysno.prctl, 8, 1));
        Assert.Equal(0, _kernel.Do(task, Sysno.setuid, 1000));
        Assert.Equal((Capability.CAP_FULL_SET, 0ul), (task.Credentials.Permitted, task.Credentials.Effective));
    }

    [Fact]
    public void Setreuid_OfAUser_MaySwapButNotTakeOthers()
    {
        Task task = NewRoot();
        task.Credentials = User(1000);
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(task, Sysno.setreuid, 0, 1000));
        Assert.Equal(0, _kernel.Do(task, Sysno.setreuid, 1000, 1000));
    }

    [Fact]
    public void Setgroups_IsSortedAndReadBack()
    {
        Task task = NewRoot();
        Assert.Equal(0, _kernel.Do(task, Sysno.setgroups, 2, _kernel.PutInts(task, 50, 20)));
        ulong list = _kernel.Allocate(8);
        Assert.Equal(2, _kernel.Do(task, Sysno.getgroups, 2, list));
        Assert.Equal((20, 50), (TestKernel.GetInt(task, list), TestKernel.GetInt(task, list + 4)));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.getgroups, 1, list));
    }

    [Fact]
    public void Capget_OfAnUnknownVersion_NamesThePreferredOne()
    {
        Task task = NewRoot();
        ulong header = _kernel.PutInts(task, 1, 0);
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.capget, header, _kernel.Allocate(24)));
        Assert.Equal(0x20080522, TestKernel.GetInt(task, header));
    }

    [Fact]
    public void Capset_AddingToPermitted_IsRefused()
    {
        Task task = NewRoot();
        task.Credentials = User(1);
        ulong header = _kernel.PutInts(task, 0x20080522, 0);
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(task, Sysno.capset, header, _kernel.PutInts(task, 1, 1, 0, 0, 0, 0)));
        Assert.Equal(0, _kernel.Do(task, Sysno.capset, header, _kernel.PutInts(task, 0, 0, 0, 0, 0, 0)));
    }

    [Fact]
    public void Setsid_OfAGroupLeader_IsRefused()
    {
        Task parent = NewRoot();
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(parent, Sysno.setsid));
        Task child = _kernel.NewProcess(parent.Group);
        child.Group.ProcessGroup = child.Group.Session = parent.Group.Pid;
        Assert.Equal(child.Group.Pid, _kernel.Do(child, Sysno.setsid));
        Assert.Equal(child.Group.Pid, _kernel.Do(parent, Sysno.getsid, (ulong)child.Group.Pid));
    }

    [Fact]
    public void Setpgid_OfAChild_WorksUntilItExecutes()
    {
        Task parent = NewRoot();
        Task child = _kernel.NewProcess(parent.Group);
        child.Group.ProcessGroup = child.Group.Session = parent.Group.Pid;
        Assert.Equal(0, _kernel.Do(parent, Sysno.setpgid, (ulong)child.Group.Pid, 0));
        Assert.Equal(child.Group.Pid, child.Group.ProcessGroup);
        child.Group.HasExecuted = true;
        Assert.Equal(-(long)Errno.EACCES, _kernel.Do(parent, Sysno.setpgid, (ulong)child.Group.Pid, (ulong)parent.Group.Pid));
        Assert.Equal(-(long)Errno.ESRCH, _kernel.Do(child, Sysno.setpgid, (ulong)parent.Group.Pid, 0));
    }

    [Fact]
    public void PrctlName_IsCutAtFifteenBytes()
    {
        Task task = NewRoot();
        Assert.Equal(0, _kernel.Do(task, Sysno.prctl, 15, _kernel.PutString(task, "a-name-that-is-too-long")));
        Assert.Equal("a-name-that-is-", task.Name);
        ulong name = _kernel.Allocate(16);
        Assert.Equal(0, _kernel.Do(task, Sysno.prctl, 16, name));
        Assert.Equal("a-name-that-is-\0", TestKernel.GetString(task, name, 16));
    }

    [Fact]
    public void PrctlUnknownOption_IsInvalid() => Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(NewRoot(), Sysno.prctl, 12345));

    [Fact]
    public void Prlimit_AboveTheHardLimit_NeedsPrivilege()
    {
        Task task = NewRoot();
        task.Credentials = User(5);
        Assert.Equal(0, _kernel.Do(task, Sysno.setrlimit, 7, _kernel.PutLongs(task, 100, 200)));
        Assert.Equal(-(long)Errno.EPERM, _kernel.Do(task, Sysno.prlimit64, 0, 7, _kernel.PutLongs(task, 100, 300)));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.prlimit64, 0, 7, _kernel.PutLongs(task, 150, 120)));
        ulong old = _kernel.Allocate(16);
        Assert.Equal(0, _kernel.Do(task, Sysno.prlimit64, 0, 7, 0, old));
        Assert.Equal((100L, 200L), (TestKernel.GetLong(task, old), TestKernel.GetLong(task, old + 8)));
    }

    [Fact]
    public void Affinity_IsStoredWithinTheCpusThereAre()
    {
        _kernel.Kernel.CpuCount = 4;
        Task task = NewRoot();
        ulong mask = _kernel.PutLongs(task, 0b10110);
        Assert.Equal(0, _kernel.Do(task, Sysno.sched_setaffinity, 0, 8, mask));
        Assert.Equal(8, _kernel.Do(task, Sysno.sched_getaffinity, 0, 128, mask));
        Assert.Equal(0b0110, TestKernel.GetLong(task, mask));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.sched_setaffinity, 0, 8, _kernel.PutLongs(task, 0x100)));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.sched_getaffinity, 0, 4, mask));
    }

    [Fact]
    public void Nice_RaisedByAUser_IsRefused()
    {
        Task task = NewRoot();
        task.Credentials = User(5);
        Assert.Equal(0, _kernel.Do(task, Sysno.setpriority, 0, 0, 5));
        Assert.Equal(15, _kernel.Do(task, Sysno.getpriority, 0, 0));
        Assert.Equal(-(long)Errno.EACCES, _kernel.Do(task, Sysno.setpriority, 0, 0, 0));
    }

    [Fact]
    public void Getrandom_IntoAnUnmappedPage_Faults()
    {
        Task task = NewRoot();
        Assert.Equal(16, _kernel.Do(task, Sysno.getrandom, _kernel.Allocate(16), 16));
        Assert.Equal(-(long)Errno.EFAULT, _kernel.Do(task, Sysno.getrandom, 8, 16));
        Assert.Equal(-(long)Errno.EINVAL, _kernel.Do(task, Sysno.getrandom, 8, 16, 6));
    }

    [Fact]
    public void Uname_NamesTheHost()
    {
        Task task = NewRoot();
        ulong name = _kernel.PutString(task, "box");
        Assert.Equal(0, _kernel.Do(task, Sysno.sethostname, name, 3));
        ulong buffer = _kernel.Allocate(390);
        Assert.Equal(0, _kernel.Do(task, Sysno.uname, buffer));
        Assert.Equal("Linux\0", TestKernel.GetString(task, buffer, 6));
        Assert.Equal("box\0", TestKernel.GetString(task, buffer + 65, 4));
        Assert.Equal("x86_64\0", TestKernel.GetString(task, buffer + 260, 7));
    }
}
