namespace Sentry.Kernel.Events;

/// <summary>System calls: pipe, pipe2, eventfd, eventfd2, timerfd_create, timerfd_settime, ….</summary>
internal static class EventSyscalls
{
    internal static SyscallResult Pipe(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pipe2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Eventfd(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Eventfd2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerfdCreate(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerfdSettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult TimerfdGettime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Signalfd(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Signalfd4(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult InotifyInit(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult InotifyInit1(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult InotifyAddWatch(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult InotifyRmWatch(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
