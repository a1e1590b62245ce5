using Sentry.Kernel.Strace;

namespace Tests.Kernel.Strace;

/// <summary>Lines as strace(1) 6.1 prints them for the same calls on Linux.</summary>
public sealed class StraceLogTests : IStraceSink
{
    private readonly TestKernel _kernel = new();
    private readonly List<string> _lines = [];
    private readonly StraceLog _log;
    private readonly Task _task;

    public StraceLogTests()
    {
        _log = new StraceLog(this);
        _task = _kernel.NewProcess();
    }

    void IStraceSink.WriteLine(string line) => _lines.Add(line);

    private string Trace(int number, SyscallArgs args, SyscallResult result)
    {
        _log.OnEnter(_task, number, args);
        _log.OnExit(_task, result);
        return Assert.Single(_lines);
    }

    [Fact]
    public void Openat_OfAFile_ShowsPathAndFlags() => Assert.Equal(
        "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3",
        Trace(Sysno.openat, new SyscallArgs(unchecked((ulong)-100), _kernel.PutString(_task, "/etc/passwd"), 0x80000), 3));

    [Fact]
    public void Openat_WithCreate_ShowsTheMode() => Assert.Equal(
        "openat(AT_FDCWD, \"x\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)",
        Trace(Sysno.openat, new SyscallArgs(unchecked((ulong)-100), _kernel.PutString(_task, "x"), 0x241, 0x1a4), Errno.EACCES));

    [Fact]
    public void Getpid_IsPaddedToColumnForty() => Assert.Equal("getpid()                                = 12", Trace(Sysno.getpid, default, 12));

    [Fact]
    public void Read_ShowsWhatCame() => Assert.Equal(
        "read(3, \"root\\n\\0\\1\\377\", 100)          = 8",
        Trace(Sysno.read, new SyscallArgs(3, _kernel.Put(_task, "root\n\0\u0001\u00ff"u8.ToArray()[..7].Append((byte)255).ToArray()), 100), 8));

    [Fact]
    public void Getrandom_IsHexadecimal() => Assert.Equal(
        "getrandom(\"\\x36\\x25\\x00\", 3, GRND_NONBLOCK) = 3",
        Trace(Sysno.getrandom, new SyscallArgs(_kernel.Put(_task, [0x36, 0x25, 0]), 3, 1), 3));

    [Fact]
    public void Write_OfMuchData_IsCutAt32() => Assert.Equal(
        "write(1, \"abcdefghijklmnopqrstuvwxyzabcdef\"..., 40) = 40",
        Trace(Sysno.write, new SyscallArgs(1, _kernel.PutString(_task, "abcdefghijklmnopqrstuvwxyzabcdefghijklmn"), 40), 40));

    [Fact]
    public void Mmap_ShowsFlagsAndAddress() => Assert.Equal(
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f62f67ac000",
        Trace(Sysno.mmap, new SyscallArgs(0, 8192, 3, 0x22, ulong.MaxValue), 0x7f62f67ac000));

    [Fact]
    public void Poll_ShowsWhoIsReady()
    {
        byte[] fds = [5, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 5, 0, 4, 0];
        Assert.Equal(
            "poll([{fd=5, events=POLLIN}, {fd=6, events=POLLIN|POLLOUT}], 2, 100) = 1 ([{fd=6, revents=POLLOUT}])",
            Trace(Sysno.poll, new SyscallArgs(_kernel.Put(_task, fds), 2, 100), 1));
    }

    [Fact]
    public void Sigaction_ShowsHandlerMaskAndFlags()
    {
        ulong action = _kernel.PutLongs(_task, 0x563d0e3d8529, 0x14000000, 0x7f62f65fc050, 0);
        Assert.Equal(
            "rt_sigaction(SIGUSR1, {sa_handler=0x563d0e3d8529, sa_mask=[], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x7f62f65fc050}, NULL, 8) = 0",
            Trace(Sysno.rt_sigaction, new SyscallArgs(10, action, 0, 8), 0));
    }

    [Fact]
    public void Connect_ToAUnixSocket_ShowsThePath()
    {
        byte[] address = new byte[110];
        address[0] = 1;
        "/tmp/nosuch.sock"u8.CopyTo(address.AsSpan(2));
        Assert.Equal(
            "connect(7, {sa_family=AF_UNIX, sun_path=\"/tmp/nosuch.sock\"}, 110) = -1 ENOENT (No such file or directory)",
            Trace(Sysno.connect, new SyscallArgs(7, _kernel.Put(_task, address), 110), Errno.ENOENT));
    }

    [Fact]
    public void Prlimit_ShowsBothLimits()
    {
        ulong limit = _kernel.PutLongs(_task, 8 << 20, -1);
        Assert.Equal(
            "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0",
            Trace(Sysno.prlimit64, new SyscallArgs(0, 3, 0, limit), 0));
    }

    [Fact]
    public void Wait4_ShowsTheStatus() => Assert.Equal(
        "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WNOHANG, NULL) = 14184",
        Trace(Sysno.wait4, new SyscallArgs(ulong.MaxValue, _kernel.PutInts(_task, 0x300), 1), 14184));

    [Fact]
    public void Execve_ShowsArgumentsAndCountsVariables()
    {
        ulong path = _kernel.PutString(_task, "/bin/true");
        ulong argv = _kernel.PutLongs(_task, (long)_kernel.PutString(_task, "true"), (long)_kernel.PutString(_task, "a b"), 0);
        ulong envp = _kernel.PutLongs(_task, (long)path, 0);
        Assert.Equal(
            $"execve(\"/bin/true\", [\"true\", \"a b\"], 0x{envp:x} /* 1 var */) = 0",
            Trace(Sysno.execve, new SyscallArgs(path, argv, envp), 0));
    }

    [Fact]
    public void SetOfSignals_MostlyFull_IsInverted() => Assert.Equal(
        "rt_sigprocmask(SIG_SETMASK, ~[KILL STOP RTMIN RT_1], NULL, 8) = 0",
        Trace(Sysno.rt_sigprocmask, new SyscallArgs(2, _kernel.PutLongs(_task, ~((1L << 8) | (1L << 18) | (3L << 31))), 0, 8), 0));

    [Fact]
    public void FutexWait_ShowsOperationAndTimeout() => Assert.Equal(
        "futex(0x1000, FUTEX_WAIT_PRIVATE, 2, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
        Trace(Sysno.futex, new SyscallArgs(0x1000, 0x80, 2), Errno.EAGAIN));

    [Fact]
    public void Umask_IsOctal() => Assert.Equal("umask(022)                              = 022", Trace(Sysno.umask, new SyscallArgs(18), 18));

    [Fact]
    public void TwoThreads_CallInTheMiddle_IsUnfinishedAndResumed()
    {
        Task other = _kernel.NewThread(_task);
        _log.OnEnter(_task, Sysno.wait4, new SyscallArgs(ulong.MaxValue, 0, 0));
        _log.OnEnter(other, Sysno.getpid, default);
        _log.OnExit(other, 1);
        _log.OnExit(_task, 2);
        Assert.Equal(
            [
                "[pid     1] wait4(-1,  <unfinished ...>",
                "[pid     2] getpid()                    = 1",
                "[pid     1] <... wait4 resumed>NULL, 0, NULL) = 2",
            ], _lines);
    }

    [Fact]
    public void ExitGroup_HasNoAnswer()
    {
        _log.OnEnter(_task, Sysno.exit_group, new SyscallArgs(0));
        _log.OnExitProcess(_task, 0);
        Assert.Equal(["exit_group(0)                           = ?", "+++ exited with 0 +++"], _lines);
    }

    [Fact]
    public void Killed_NamesTheSignal()
    {
        _log.OnExitProcess(_task, 14);
        Assert.Equal("+++ killed by SIGALRM +++", Assert.Single(_lines));
    }

    [Fact]
    public void InterruptedSleep_SaysWhichRestart()
    {
        _log.OnEnter(_task, Sysno.rt_sigsuspend, new SyscallArgs(_kernel.PutLongs(_task, 0), 8));
        _log.OnInterrupted(_task, InterruptMode.Interrupt);
        Assert.Equal("rt_sigsuspend([], 8)                    = ? ERESTARTNOHAND (To be restarted if no handler)", Assert.Single(_lines));
    }

    [Fact]
    public void ChildExit_IsDescribed()
    {
        byte[] fields = new byte[32];
        fields[0] = 42;
        fields[8] = 7;
        _log.OnSignal(_task, new SignalInfo { Number = 17, Code = 1, Fields = fields });
        Assert.Equal("--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=42, si_uid=0, si_status=7, si_utime=0, si_stime=0} ---", Assert.Single(_lines));
    }
}
