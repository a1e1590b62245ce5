using static Sentry.Kernel.Strace.Arguments;

namespace Sentry.Kernel.Strace;

/// <summary>How every call's arguments are written; calls without a row show six hexadecimal numbers.</summary>
internal static class CallFormats
{
    private static readonly ArgumentFormat FutexOperation = new((p, i) => p.Append(DescribeFutex((uint)p[i])));

    private static readonly CallFormat[] Formats = Build();

    internal static CallFormat Get(int number) => (uint)number < (uint)Formats.Length ? Formats[number] : new CallFormat($"syscall_0x{number:x}", SixNumbers);

    private static ArgumentFormat[] SixNumbers => [Hex, Hex, Hex, Hex, Hex, Hex];

    private static CallFormat[] Build()
    {
        var table = new CallFormat[Sysno.Count];
        for (int number = 0; number < table.Length; number++)
            table[number] = new CallFormat(Sysno.Name(number), SixNumbers);
        void Add(int number, params ArgumentFormat[] arguments) => table[number] = new CallFormat(Sysno.Name(number), arguments);
        void AddHex(int number, params ArgumentFormat[] arguments) => table[number] = new CallFormat(Sysno.Name(number), arguments) { Result = ResultFormat.Hexadecimal };
        Files(Add);
        PathCalls(Add);
        MemoryCalls(Add, AddHex);
        Events(Add, table);
        Signals(Add);
        Processes(Add, table);
        Identity(Add);
        SystemCalls(Add);
        Times(Add);
        SocketFormats.Add(Add);
        IpcFormats.Add(Add, AddHex);
        table[Sysno.umask] = new CallFormat("umask", [Mode]) { Result = ResultFormat.Octal };
        return table;
    }

    internal delegate void AddFormat(int number, params ArgumentFormat[] arguments);

    private static void Files(AddFormat add)
    {
        add(Sysno.read, Fd, DataOut, ULong);
        add(Sysno.write, Fd, DataIn(2), ULong);
        add(Sysno.pread64, Fd, DataOut, ULong, Long);
        add(Sysno.pwrite64, Fd, DataIn(2), ULong, Long);
        add(Sysno.readv, Fd, Structs.IoVectors(false), Int);
        add(Sysno.writev, Fd, Structs.IoVectors(true), Int);
        add(Sysno.preadv, Fd, Structs.IoVectors(false), Int, Long);
        add(Sysno.pwritev, Fd, Structs.IoVectors(true), Int, Long);
        add(Sysno.lseek, Fd, Long, Flags(FlagTables.Seek));
        add(Sysno.close, Fd);
        add(Sysno.close_range, UInt, UInt, Flags(FlagTables.CloseRange));
        add(Sysno.dup, Fd);
        add(Sysno.dup2, Fd, Fd);
        add(Sysno.dup3, Fd, Fd, Flags(FlagTables.Pipe));
        add(Sysno.fcntl, Fd, Flags(FlagTables.Fcntl), new ArgumentFormat(PrintFcntlArgument, Condition: HasFcntlArgument));
        add(Sysno.ioctl, Fd, new ArgumentFormat(PrintIoctl), new ArgumentFormat(PrintIoctlArgument, OnExit: true));
        add(Sysno.fsync, Fd);
        add(Sysno.fdatasync, Fd);
        add(Sysno.sync);
        add(Sysno.syncfs, Fd);
        add(Sysno.ftruncate, Fd, Long);
        add(Sysno.fallocate, Fd, Flags(FlagTables.Allocate), Long, Long);
        add(Sysno.fadvise64, Fd, Long, Long, Flags(FlagTables.FileAdvice));
        add(Sysno.flock, Fd, Flags(FlagTables.Flock));
        add(Sysno.sendfile, Fd, Fd, Address, ULong);
        add(Sysno.copy_file_range, Fd, Address, Fd, Address, ULong, UInt);
        add(Sysno.splice, Fd, Address, Fd, Address, ULong, Hex);
        add(Sysno.getdents64, Fd, new ArgumentFormat((p, i) => p.Address(p[i]), OnExit: true), ULong);
        add(Sysno.fstat, Fd, Out(Structs.Stat));
        add(Sysno.fchmod, Fd, Mode);
        add(Sysno.fchown, Fd, Id, Id);
        add(Sysno.fchdir, Fd);
        add(Sysno.fstatfs, Fd, OutAddress);
        add(Sysno.memfd_create, Text, Flags(FlagTables.MemoryFile));
        add(Sysno.pipe, FdPair);
        add(Sysno.pipe2, FdPair, Flags(FlagTables.Pipe));
    }

    private static void PathCalls(AddFormat add)
    {
        ArgumentFormat open = Flags(FlagTables.Open), at = Flags(FlagTables.At);
        add(Sysno.open, PathName, open, CreateMode(1));
        add(Sysno.openat, DirFd, PathName, open, CreateMode(2));
        add(Sysno.openat2, DirFd, PathName, In(Structs.OpenHow), ULong);
        add(Sysno.creat, PathName, Mode);
        add(Sysno.stat, PathName, Out(Structs.Stat));
        add(Sysno.lstat, PathName, Out(Structs.Stat));
        add(Sysno.newfstatat, DirFd, PathName, Out(Structs.Stat), at);
        add(Sysno.statx, DirFd, PathName, Flags(FlagTables.Statx), Flags(FlagTables.StatxMask), Out(Structs.Statx));
        add(Sysno.access, PathName, Flags(FlagTables.Access));
        add(Sysno.faccessat, DirFd, PathName, Flags(FlagTables.Access));
        add(Sysno.faccessat2, DirFd, PathName, Flags(FlagTables.Access), Flags(FlagTables.AccessAt));
        add(Sysno.readlink, PathName, DataOut, ULong);
        add(Sysno.readlinkat, DirFd, PathName, DataOut, ULong);
        add(Sysno.getcwd, TextOut, ULong);
        add(Sysno.chdir, PathName);
        add(Sysno.chroot, PathName);
        add(Sysno.mkdir, PathName, Mode);
        add(Sysno.mkdirat, DirFd, PathName, Mode);
        add(Sysno.mknod, PathName, NodeMode, Hex);
        add(Sysno.mknodat, DirFd, PathName, NodeMode, Hex);
        add(Sysno.rmdir, PathName);
        add(Sysno.unlink, PathName);
        add(Sysno.unlinkat, DirFd, PathName, at);
        add(Sysno.rename, PathName, PathName);
        add(Sysno.renameat, DirFd, PathName, DirFd, PathName);
        add(Sysno.renameat2, DirFd, PathName, DirFd, PathName, Flags(FlagTables.Rename));
        add(Sysno.link, PathName, PathName);
        add(Sysno.linkat, DirFd, PathName, DirFd, PathName, at);
        add(Sysno.symlink, PathName, PathName);
        add(Sysno.symlinkat, PathName, DirFd, PathName);
        add(Sysno.chmod, PathName, Mode);
        add(Sysno.fchmodat, DirFd, PathName, Mode);
        add(Sysno.chown, PathName, Id, Id);
        add(Sysno.lchown, PathName, Id, Id);
        add(Sysno.fchownat, DirFd, PathName, Id, Id, at);
        add(Sysno.truncate, PathName, Long);
        add(Sysno.utimensat, DirFd, PathName, In(Structs.TimespecPair), at);
        add(Sysno.statfs, PathName, OutAddress);
        add(Sysno.mount, PathName, PathName, Text, Hex, Address);
        add(Sysno.umount2, PathName, Hex);
        add(Sysno.getxattr, PathName, Text, OutAddress, ULong);
        add(Sysno.lgetxattr, PathName, Text, OutAddress, ULong);
        add(Sysno.fgetxattr, Fd, Text, OutAddress, ULong);
        add(Sysno.listxattr, PathName, OutAddress, ULong);
        add(Sysno.llistxattr, PathName, OutAddress, ULong);
        add(Sysno.flistxattr, Fd, OutAddress, ULong);
        add(Sysno.setxattr, PathName, Text, DataIn(3), ULong, Hex);
        add(Sysno.fsetxattr, Fd, Text, DataIn(3), ULong, Hex);
        add(Sysno.removexattr, PathName, Text);
        add(Sysno.inotify_init1, Flags(FlagTables.Inotify));
        add(Sysno.inotify_add_watch, Fd, PathName, Hex);
        add(Sysno.inotify_rm_watch, Fd, Int);
    }

    private static void MemoryCalls(AddFormat add, AddFormat addHex)
    {
        ArgumentFormat protection = Flags(FlagTables.Protection);
        addHex(Sysno.mmap, Address, ULong, protection, Flags(FlagTables.Map), Fd, Hex);
        addHex(Sysno.brk, Address);
        addHex(Sysno.mremap, Address, ULong, ULong, Flags(FlagTables.Remap), new ArgumentFormat((p, i) => p.Address(p[i]), Condition: p => (p[3] & 6) != 0));
        add(Sysno.munmap, Address, ULong);
        add(Sysno.mprotect, Address, ULong, protection);
        add(Sysno.madvise, Address, ULong, Flags(FlagTables.Advice));
        add(Sysno.msync, Address, ULong, Flags(FlagTables.Sync));
        add(Sysno.mincore, Address, ULong, OutAddress);
        add(Sysno.mlock, Address, ULong);
        add(Sysno.munlock, Address, ULong);
        add(Sysno.membarrier, Flags(FlagTables.Membarrier), Hex, Int);
    }

    private static void Events(AddFormat add, CallFormat[] table)
    {
        table[Sysno.poll] = new CallFormat("poll", [Structs.PollIn, UInt, MilliTimeout]) { Remark = Structs.PollRemark };
        table[Sysno.ppoll] = new CallFormat("ppoll", [Structs.PollIn, UInt, In(Structs.Timespec), SignalSetIn, ULong]) { Remark = Structs.PollRemark };
        add(Sysno.select, Int, Structs.DescriptorSet, Structs.DescriptorSet, Structs.DescriptorSet, In(Structs.Timeval));
        add(Sysno.pselect6, Int, Structs.DescriptorSet, Structs.DescriptorSet, Structs.DescriptorSet, In(Structs.Timespec), Address);
        add(Sysno.epoll_create, Int);
        add(Sysno.epoll_create1, Flags(FlagTables.EpollCreate));
        add(Sysno.epoll_ctl, Fd, Flags(FlagTables.EpollControl), Fd, In(Structs.EpollEvent));
        add(Sysno.epoll_wait, Fd, Structs.EpollEvents, Int, MilliTimeout);
        add(Sysno.epoll_pwait, Fd, Structs.EpollEvents, Int, MilliTimeout, SignalSetIn, ULong);
        add(Sysno.epoll_pwait2, Fd, Structs.EpollEvents, Int, In(Structs.Timespec), SignalSetIn, ULong);
        add(Sysno.eventfd, UInt);
        add(Sysno.eventfd2, UInt, Flags(FlagTables.Eventfd));
        add(Sysno.signalfd, Fd, SignalSetIn, ULong);
        add(Sysno.signalfd4, Fd, SignalSetIn, ULong, Flags(FlagTables.Signalfd));
        add(Sysno.timerfd_create, Flags(FlagTables.Clock), Flags(FlagTables.Timerfd));
        add(Sysno.timerfd_settime, Fd, Flags(FlagTables.TimerfdSet), In(Structs.Itimerspec), Out(Structs.Itimerspec));
        add(Sysno.timerfd_gettime, Fd, Out(Structs.Itimerspec));
        add(Sysno.futex, Address, FutexOperation, UInt,
            new ArgumentFormat(PrintFutexTimeout, Condition: p => FutexCommand(p) is 0 or 3 or 4 or 5 or 6 or 9 or 11 or 12 or 13),
            new ArgumentFormat((p, i) => p.Address(p[i]), Condition: p => FutexCommand(p) is 3 or 4 or 5 or 11 or 12),
            new ArgumentFormat(PrintFutexValue3, Condition: p => FutexCommand(p) is 4 or 5 or 9 or 10 or 11 or 12));
        add(Sysno.set_robust_list, Address, ULong);
        add(Sysno.get_robust_list, Int, OutAddress, OutAddress);
    }

    private static void Signals(AddFormat add)
    {
        add(Sysno.rt_sigaction, SignalNumber, In(Structs.Sigaction), Out(Structs.Sigaction), ULong);
        add(Sysno.rt_sigprocmask, Flags(FlagTables.SignalHow), SignalSetIn, SignalSetOut, ULong);
        add(Sysno.rt_sigpending, SignalSetOut, ULong);
        add(Sysno.rt_sigsuspend, SignalSetIn, ULong);
        add(Sysno.rt_sigtimedwait, SignalSetIn, Out(Structs.SignalInformation), In(Structs.Timespec), ULong);
        add(Sysno.rt_sigqueueinfo, Int, SignalNumber, In(Structs.SignalInformation));
        add(Sysno.rt_sigreturn);
        add(Sysno.sigaltstack, In(Structs.SignalStack), Out(Structs.SignalStack));
        add(Sysno.kill, Int, SignalNumber);
        add(Sysno.tkill, Int, SignalNumber);
        add(Sysno.tgkill, Int, Int, SignalNumber);
        add(Sysno.pause);
        add(Sysno.restart_syscall);
    }

    private static void Processes(AddFormat add, CallFormat[] table)
    {
        add(Sysno.fork);
        add(Sysno.vfork);
        add(Sysno.clone,
            new ArgumentFormat((p, _) => p.Append("child_stack=").Address(p[1])),
            new ArgumentFormat((p, _) => p.Append("flags=").Append(DescribeCloneFlags(p[0]))),
            new ArgumentFormat((p, _) => p.Append("parent_tid=").Address(p[2]), Condition: p => (p[0] & 0x101000) != 0),
            new ArgumentFormat((p, _) => p.Append("tls=").Hex(p[4]), Condition: p => (p[0] & 0x80000) != 0),
            new ArgumentFormat((p, _) => p.Append("child_tidptr=").Address(p[3]), Condition: p => (p[0] & 0x1200000) != 0));
        add(Sysno.clone3, In(Structs.CloneArguments), ULong);
        add(Sysno.execve, PathName, StringArray, EnvironmentCount);
        add(Sysno.execveat, DirFd, PathName, StringArray, EnvironmentCount, Flags(FlagTables.At));
        table[Sysno.exit] = new CallFormat("exit", [Int]) { NeverReturns = true };
        table[Sysno.exit_group] = new CallFormat("exit_group", [Int]) { NeverReturns = true };
        add(Sysno.wait4, Int, WaitStatus, Flags(FlagTables.Wait), Out(Structs.Rusage));
        add(Sysno.waitid, Flags(FlagTables.WaitId), Int, Out(Structs.SignalInformation), Flags(FlagTables.Wait), Out(Structs.Rusage));
        add(Sysno.set_tid_address, Address);
        add(Sysno.arch_prctl, Flags(FlagTables.ArchPrctl), Hex);
        add(Sysno.prctl, Flags(FlagTables.Prctl), new ArgumentFormat(PrintPrctlArgument, Condition: p => p[0] is not (3 or 7 or 21 or 27 or 30)),
            new ArgumentFormat((p, i) => p.Hex(p[i]), Condition: HasLongPrctl), new ArgumentFormat((p, i) => p.Hex(p[i]), Condition: HasLongPrctl),
            new ArgumentFormat((p, i) => p.Hex(p[i]), Condition: HasLongPrctl));
        add(Sysno.unshare, Flags(FlagTables.Clone));
        add(Sysno.rseq, Address, Hex, Int, Hex);
        add(Sysno.sched_yield);
        add(Sysno.sched_getaffinity, Int, ULong, OutAddress);
        add(Sysno.sched_setaffinity, Int, ULong, Address);
        add(Sysno.sched_getscheduler, Int);
        add(Sysno.sched_setscheduler, Int, Flags(FlagTables.Policy), In(IntCell));
        add(Sysno.sched_getparam, Int, IntOut);
        add(Sysno.sched_setparam, Int, In(IntCell));
        add(Sysno.sched_get_priority_max, Flags(FlagTables.Policy));
        add(Sysno.sched_get_priority_min, Flags(FlagTables.Policy));
        add(Sysno.getpriority, Flags(FlagTables.PriorityWhich), Int);
        add(Sysno.setpriority, Flags(FlagTables.PriorityWhich), Int, Int);
        add(Sysno.getcpu, IntOut, IntOut, Address);
    }

    private static void Identity(AddFormat add)
    {
        foreach (int number in (int[])[Sysno.getpid, Sysno.gettid, Sysno.getppid, Sysno.getpgrp, Sysno.setsid, Sysno.getuid, Sysno.geteuid, Sysno.getgid, Sysno.getegid])
            add(number);
        foreach (int number in (int[])[Sysno.getpgid, Sysno.getsid])
            add(number, Int);
        foreach (int number in (int[])[Sysno.setuid, Sysno.setgid, Sysno.setfsuid, Sysno.setfsgid])
            add(number, Id);
        add(Sysno.setpgid, Int, Int);
        add(Sysno.setreuid, Id, Id);
        add(Sysno.setregid, Id, Id);
        add(Sysno.setresuid, Id, Id, Id);
        add(Sysno.setresgid, Id, Id, Id);
        add(Sysno.getresuid, IntOut, IntOut, IntOut);
        add(Sysno.getresgid, IntOut, IntOut, IntOut);
        add(Sysno.getgroups, Int, OutAddress);
        add(Sysno.setgroups, ULong, Address);
        add(Sysno.capget, Address, OutAddress);
        add(Sysno.capset, Address, Address);
        add(Sysno.personality, Hex);
    }

    private static void SystemCalls(AddFormat add)
    {
        add(Sysno.uname, Out(Structs.Uname));
        add(Sysno.sysinfo, OutAddress);
        add(Sysno.getrandom, BytesOut, ULong, Flags(FlagTables.Random));
        add(Sysno.getrlimit, Flags(FlagTables.Resource), Out(Limit));
        add(Sysno.setrlimit, Flags(FlagTables.Resource), In(Limit));
        add(Sysno.prlimit64, Int, Flags(FlagTables.Resource), In(Limit), Out(Limit));
        add(Sysno.getrusage, Flags(FlagTables.Usage), Out(Structs.Rusage));
        add(Sysno.sethostname, DataIn(1), ULong);
        add(Sysno.setdomainname, DataIn(1), ULong);
    }

    private static void Times(AddFormat add)
    {
        ArgumentFormat clock = Flags(FlagTables.Clock);
        ArgumentFormat remaining = new((p, i) =>
        {
            if (p.Result.IsError && p.Result.Value == -(long)Errno.EINTR)
                Structs.Timespec(p, p[i]);
            else
                p.Address(p[i]);
        }, OnExit: true);
        add(Sysno.nanosleep, In(Structs.Timespec), remaining);
        add(Sysno.clock_nanosleep, clock, Flags(FlagTables.TimerAbsolute), In(Structs.Timespec), remaining);
        add(Sysno.clock_gettime, clock, Out(Structs.Timespec));
        add(Sysno.clock_settime, clock, In(Structs.Timespec));
        add(Sysno.clock_getres, clock, Out(Structs.Timespec));
        add(Sysno.gettimeofday, Out(Structs.Timeval), Address);
        add(Sysno.time, Out(LongCell));
        add(Sysno.times, OutAddress);
        add(Sysno.getitimer, Flags(FlagTables.Itimer), Out(Structs.Itimerval));
        add(Sysno.setitimer, Flags(FlagTables.Itimer), In(Structs.Itimerval), Out(Structs.Itimerval));
        add(Sysno.alarm, UInt);
        add(Sysno.timer_create, clock, Address, IntOut);
        add(Sysno.timer_settime, Int, Flags(FlagTables.TimerAbsolute), In(Structs.Itimerspec), Out(Structs.Itimerspec));
        add(Sysno.timer_gettime, Int, Out(Structs.Itimerspec));
        add(Sysno.timer_getoverrun, Int);
        add(Sysno.timer_delete, Int);
    }

    private static bool HasFcntlArgument(CallPrinter p) => (int)p[1] is not (1 or 3 or 9 or 11 or 1025 or 1032 or 1034);

    private static void PrintFcntlArgument(CallPrinter p, int index)
    {
        switch ((int)p[1])
        {
            case 2:
                p.Flags(p[index], FlagTables.DescriptorFlags);
                break;
            case 4:
                p.Flags(p[index], FlagTables.Open);
                break;
            case 5 or 6 or 7 or 36 or 37 or 38:
                Structs.FileLock(p, p[index]);
                break;
            default:
                p.Append((long)(int)p[index]);
                break;
        }
    }

    private static void PrintIoctl(CallPrinter p, int index)
    {
        FlagTable table = (p[index] & 0xff00) == 0x8900 ? SocketTables.Request : FlagTables.Ioctl;
        string name = table.Describe((uint)p[index]);
        if (name.StartsWith("0x", StringComparison.Ordinal))
            p.Hex((uint)p[index]);
        else
            p.Append(name);
    }

    private static void PrintIoctlArgument(CallPrinter p, int index)
    {
        switch ((uint)p[1])
        {
            case 0x5413 when !p.Result.IsError:
            case 0x5414:
                Structs.WindowSize(p, p[index]);
                break;
            case 0x540f or 0x541b when !p.Result.IsError:
            case 0x5410 or 0x5421:
                IntCell(p, p[index]);
                break;
            default:
                if (!SocketFormats.TryPrintRequest(p, (uint)p[1], p[index]))
                    p.Address(p[index]);
                break;
        }
    }

    private static int FutexCommand(CallPrinter p) => (int)p[1] & 0x7f;

    private static string DescribeFutex(uint operation)
    {
        string text = FlagTables.FutexCommand.Describe(operation & 0x7f);
        if ((operation & 0x80) != 0)
            text += "_PRIVATE";
        return (operation & 0x100) != 0 ? text + "|FUTEX_CLOCK_REALTIME" : text;
    }

    private static void PrintFutexTimeout(CallPrinter p, int index)
    {
        if (FutexCommand(p) is 3 or 4 or 5 or 12)
            p.Append((long)(uint)p[index]);
        else
            Structs.Timespec(p, p[index]);
    }

    private static void PrintFutexValue3(CallPrinter p, int index)
    {
        _ = index;
        if (FutexCommand(p) is not (9 or 10))
        {
            p.Hex((uint)p[5]);
            return;
        }

        // uaddr2 is not used by the bitset calls, but strace shows its place for FUTEX_WAIT_BITSET.
        if (FutexCommand(p) == 9)
            p.Address(p[4]).Append(", ");
        p.Append((uint)p[5] == uint.MaxValue ? "FUTEX_BITSET_MATCH_ANY" : "0x" + ((uint)p[5]).ToString("x", System.Globalization.CultureInfo.InvariantCulture));
    }

    private static string DescribeCloneFlags(ulong flags)
    {
        string names = FlagTables.Clone.Describe(flags & ~0xffUL);
        int signal = (int)(flags & 0xff);
        if (signal == 0)
            return names;
        return (flags & ~0xffUL) == 0 ? SignalNames.Get(signal) : names + "|" + SignalNames.Get(signal);
    }

    private static bool HasLongPrctl(CallPrinter p) => p[0] is 38 or 39 or 47 or 0x53564d41;

    private static void PrintPrctlArgument(CallPrinter p, int index)
    {
        switch (p[0])
        {
            case 1:
                p.Append(SignalNames.Get((int)p[index]));
                break;
            case 15:
                p.String(p[index]);
                break;
            case 23 or 24:
                p.Flags(p[index], FlagTables.Capability);
                break;
            case 2 or 16 or 37 or 40:
                p.Address(p[index]);
                break;
            case 4 or 8 or 29 or 36 or 38 or 39:
                p.Append(p[index]);
                break;
            default:
                p.Hex(p[index]);
                break;
        }
    }
}
