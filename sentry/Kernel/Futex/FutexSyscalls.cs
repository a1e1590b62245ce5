namespace Sentry.Kernel.Futex;

/// <summary>System calls: futex, set_robust_list, get_robust_list, futex_waitv, futex_wake, futex_wait, ….</summary>
internal static class FutexSyscalls
{
    internal static SyscallResult Futex(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SetRobustList(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult GetRobustList(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult FutexWaitv(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult FutexWake(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult FutexWait(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult FutexRequeue(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
