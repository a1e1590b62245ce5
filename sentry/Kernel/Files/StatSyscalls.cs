namespace Sentry.Kernel.Files;

/// <summary>System calls: stat, fstat, lstat, newfstatat, statx, statfs, ….</summary>
internal static class StatSyscalls
{
    internal static SyscallResult Stat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fstat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lstat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Newfstatat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Statx(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Statfs(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fstatfs(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Ustat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getdents(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getdents64(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
