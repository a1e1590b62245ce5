using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <summary>
/// What the entry code does with a call, by its number. Only calls whose handlers read and write the caller's memory and nothing else of it have a
/// kind: what needs registers, changes the address space, or must see memory as it is at the time of the call (futex(2)) goes the plain way, and so does
/// sched_yield(2), which is made to let others have the processor: a thread that waits at its mailbox keeps it.
/// </summary>
internal static class CallKinds
{
    public const int Count = 512;

    // Bits of a kind. With UseMailbox: which argument is the address of what is sent along (None), how its length is known.
    public const uint UseMailbox = 1;
    public const int AddressShift = 1, LengthShift = 4, ScaleShift = 7, ConstantShift = 16;
    public const uint None = 7, String = 6, Constant = 7;

    public static uint[] Build()
    {
        uint[] kinds = new uint[Count];
        // Nothing to bring along, as all is in registers or is to be looked at when the call is served.
        foreach (int number in (ReadOnlySpan<int>)[
            Sysno.close, Sysno.lseek, Sysno.sendfile, Sysno.fcntl, Sysno.dup, Sysno.dup2, Sysno.dup3, Sysno.fsync, Sysno.fdatasync, Sysno.ftruncate, Sysno.fchmod,
            Sysno.fchown, Sysno.fchdir, Sysno.umask, Sysno.flock, Sysno.fallocate, Sysno.fadvise64, Sysno.readahead, Sysno.copy_file_range, Sysno.splice, Sysno.tee, Sysno.vmsplice,
            Sysno.socket, Sysno.bind, Sysno.connect, Sysno.listen, Sysno.shutdown, Sysno.getsockopt, Sysno.sendmmsg, Sysno.recvmmsg,
            Sysno.select, Sysno.pselect6, Sysno.epoll_create, Sysno.epoll_create1, Sysno.eventfd, Sysno.eventfd2, Sysno.timerfd_create, Sysno.timerfd_gettime, Sysno.inotify_init1,
            Sysno.futex, Sysno.kill, Sysno.tkill, Sysno.tgkill, Sysno.alarm, Sysno.getitimer, Sysno.setitimer, Sysno.wait4, Sysno.waitid,
            Sysno.getpid, Sysno.gettid, Sysno.getppid, Sysno.getuid, Sysno.geteuid, Sysno.getgid, Sysno.getegid, Sysno.getpgrp, Sysno.getpgid, Sysno.getsid, Sysno.getpriority,
            Sysno.sched_getscheduler, Sysno.semop, Sysno.semtimedop, Sysno.msgsnd, Sysno.msgrcv, Sysno.mincore])
            kinds[number] = UseMailbox | None << AddressShift;

        // Results only.
        foreach (int number in (ReadOnlySpan<int>)[
            Sysno.read, Sysno.pread64, Sysno.fstat, Sysno.ioctl, Sysno.pipe, Sysno.pipe2, Sysno.recvfrom, Sysno.uname, Sysno.getcwd, Sysno.gettimeofday,
            Sysno.clock_gettime, Sysno.time, Sysno.times, Sysno.getrusage, Sysno.getrlimit, Sysno.sysinfo, Sysno.epoll_wait, Sysno.epoll_pwait, Sysno.getdents64,
            Sysno.getrandom, Sysno.fstatfs, Sysno.socketpair, Sysno.accept, Sysno.accept4, Sysno.getsockname, Sysno.getpeername, Sysno.sched_getaffinity, Sysno.getcpu])
            kinds[number] = UseMailbox | None << AddressShift;

        // A path.
        foreach (int number in (ReadOnlySpan<int>)[
            Sysno.open, Sysno.stat, Sysno.lstat, Sysno.access, Sysno.readlink, Sysno.chdir, Sysno.mkdir, Sysno.rmdir, Sysno.unlink, Sysno.rename, Sysno.statfs])
            kinds[number] = Kind(0, String);
        foreach (int number in (ReadOnlySpan<int>)[
            Sysno.openat, Sysno.newfstatat, Sysno.readlinkat, Sysno.faccessat, Sysno.faccessat2, Sysno.statx, Sysno.unlinkat, Sysno.mkdirat])
            kinds[number] = Kind(1, String);

        // Bytes, and arrays of structures: the length is an argument.
        foreach (int number in (ReadOnlySpan<int>)[Sysno.write, Sysno.pwrite64, Sysno.sendto])
            kinds[number] = Kind(1, 2);
        foreach (int number in (ReadOnlySpan<int>)[Sysno.readv, Sysno.writev, Sysno.preadv, Sysno.pwritev])
            kinds[number] = Kind(1, 2, scale: 4);
        foreach (int number in (ReadOnlySpan<int>)[Sysno.poll, Sysno.ppoll])
            kinds[number] = Kind(0, 1, scale: 3);
        kinds[Sysno.setsockopt] = Kind(3, 4);

        // Structures.
        kinds[Sysno.rt_sigprocmask] = Kind(1, Constant, constant: 8);
        kinds[Sysno.rt_sigaction] = Kind(1, Constant, constant: 32);
        kinds[Sysno.nanosleep] = Kind(0, Constant, constant: 16);
        kinds[Sysno.clock_nanosleep] = Kind(2, Constant, constant: 16);
        kinds[Sysno.epoll_ctl] = Kind(3, Constant, constant: 12);
        kinds[Sysno.sendmsg] = kinds[Sysno.recvmsg] = Kind(1, Constant, constant: 56);
        kinds[Sysno.timerfd_settime] = Kind(2, Constant, constant: 32);
        return kinds;
    }

    private static uint Kind(uint addressArgument, uint length, uint scale = 0, uint constant = 0) =>
        UseMailbox | addressArgument << AddressShift | length << LengthShift | scale << ScaleShift | constant << ConstantShift;
}
