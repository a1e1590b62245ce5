namespace Sentry.Kernel.Files;

/// <summary>System calls: close, close_range, dup, dup2, dup3, fcntl, ….</summary>
internal static class DescriptorSyscalls
{
    internal static SyscallResult Close(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult CloseRange(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Dup(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Dup2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Dup3(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fcntl(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Ioctl(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Flock(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult MemfdCreate(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
