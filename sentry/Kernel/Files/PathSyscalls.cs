namespace Sentry.Kernel.Files;

/// <summary>System calls: open, openat, openat2, creat, mkdir, mkdirat, ….</summary>
internal static class PathSyscalls
{
    internal static SyscallResult Open(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Openat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Openat2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Creat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mkdir(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mkdirat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Rmdir(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Link(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Linkat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Unlink(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Unlinkat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Symlink(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Symlinkat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Rename(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Renameat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Renameat2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Readlink(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Readlinkat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Chmod(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchmod(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchmodat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchmodat2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Chown(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchown(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lchown(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchownat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Utime(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Utimes(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Futimesat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Utimensat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Access(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Faccessat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Faccessat2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mknod(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mknodat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Chdir(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fchdir(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getcwd(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Chroot(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Umask(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mount(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Umount2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PivotRoot(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult NameToHandleAt(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult OpenByHandleAt(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
