namespace Sentry.Kernel.Memory;

/// <summary>System calls: mmap, munmap, mprotect, mremap, brk, madvise, ….</summary>
internal static class MemorySyscalls
{
    internal static SyscallResult Mmap(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Munmap(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mprotect(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mremap(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Brk(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Madvise(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mincore(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Msync(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mlock(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mlock2(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Munlock(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mlockall(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Munlockall(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Membarrier(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Mbind(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SetMempolicy(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult GetMempolicy(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ProcessVmReadv(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ProcessVmWritev(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PkeyMprotect(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PkeyAlloc(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PkeyFree(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ProcessMadvise(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RemapFilePages(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
