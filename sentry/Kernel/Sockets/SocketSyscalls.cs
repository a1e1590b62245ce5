namespace Sentry.Kernel.Sockets;

/// <summary>System calls: socket, socketpair, bind, listen, accept, accept4, ….</summary>
internal static class SocketSyscalls
{
    internal static SyscallResult Socket(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Socketpair(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Bind(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Listen(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Accept(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Accept4(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Connect(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getsockname(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getpeername(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sendto(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Recvfrom(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sendmsg(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Recvmsg(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sendmmsg(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Recvmmsg(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Shutdown(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setsockopt(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getsockopt(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
