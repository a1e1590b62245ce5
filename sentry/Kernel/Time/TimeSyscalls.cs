namespace Sentry.Kernel.Time;

/// <summary>System calls: nanosleep, clock_nanosleep, clock_gettime, clock_settime, clock_getres, clock_adjtime, ….</summary>
internal static class TimeSyscalls
{
    internal static SyscallResult Nanosleep(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ClockNanosleep(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ClockGettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ClockSettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ClockGetres(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ClockAdjtime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Adjtimex(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Gettimeofday(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Settimeofday(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Time(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Times(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getitimer(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setitimer(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Alarm(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerCreate(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerSettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerGettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerGetoverrun(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerDelete(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
