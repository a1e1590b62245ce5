namespace Sentry.Kernel.Tasks;

/// <summary>System calls: sched_yield, sched_setaffinity, sched_getaffinity, sched_getscheduler, sched_setscheduler, sched_getparam, ….</summary>
internal static class SchedulingSyscalls
{
    internal static SyscallResult SchedYield(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedSetaffinity(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetaffinity(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetscheduler(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedSetscheduler(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetparam(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedSetparam(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetPriorityMax(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetPriorityMin(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedRrGetInterval(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedSetattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SchedGetattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getpriority(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setpriority(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult IoprioGet(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult IoprioSet(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getcpu(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Rseq(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
