namespace Sentry.Kernel.Events;

/// <summary>System calls: poll, ppoll, select, pselect6, epoll_create, epoll_create1, ….</summary>
internal static class PollSyscalls
{
    internal static SyscallResult Poll(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Ppoll(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Select(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pselect6(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollCreate(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollCreate1(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollCtl(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollWait(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollPwait(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult EpollPwait2(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
