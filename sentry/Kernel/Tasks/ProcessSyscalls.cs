namespace Sentry.Kernel.Tasks;

/// <summary>System calls: clone, clone3, fork, vfork, execve, execveat, ….</summary>
internal static class ProcessSyscalls
{
    internal static SyscallResult Clone(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Clone3(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Fork(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Vfork(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Execve(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Execveat(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Exit(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ExitGroup(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Wait4(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Waitid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult SetTidAddress(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult ArchPrctl(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Unshare(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setns(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Ptrace(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PidfdOpen(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PidfdGetfd(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Kcmp(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
