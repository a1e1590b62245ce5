namespace Sentry.Kernel.Files;

/// <summary>System calls: read, write, readv, writev, pread64, pwrite64, ….</summary>
internal static class ReadWriteSyscalls
{
    internal static SyscallResult Read(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Write(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Readv(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Writev(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pread64(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pwrite64(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Preadv(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pwritev(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Preadv2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pwritev2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Lseek(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sendfile(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Splice(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Tee(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Vmsplice(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult CopyFileRange(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fsync(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fdatasync(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sync(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Syncfs(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SyncFileRange(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fadvise64(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Readahead(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Ftruncate(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Truncate(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fallocate(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
