namespace Sentry.Kernel.Files;

/// <summary>System calls: setxattr, lsetxattr, fsetxattr, getxattr, lgetxattr, fgetxattr, ….</summary>
internal static class XattrSyscalls
{
    internal static SyscallResult Setxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lsetxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fsetxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lgetxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fgetxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Listxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Llistxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Flistxattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Removexattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lremovexattr(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fremovexattr(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
