namespace Sentry.Kernel.Tasks;

/// <summary>System calls: uname, sysinfo, getrandom, getrlimit, setrlimit, prlimit64, ….</summary>
internal static class SystemSyscalls
{
    internal static SyscallResult Uname(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sysinfo(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getrandom(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getrlimit(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setrlimit(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Prlimit64(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getrusage(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sethostname(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setdomainname(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Syslog(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Reboot(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
