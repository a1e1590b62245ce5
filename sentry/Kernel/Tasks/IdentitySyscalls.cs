namespace Sentry.Kernel.Tasks;

/// <summary>System calls: getpid, gettid, getppid, getpgid, setpgid, getpgrp, ….</summary>
internal static class IdentitySyscalls
{
    internal static SyscallResult Getpid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Gettid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getppid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getpgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setpgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getpgrp(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getsid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setsid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Geteuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getegid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getresuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getresgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setreuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setregid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setresuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setresgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setfsuid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setfsgid(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Getgroups(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Setgroups(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Capget(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Capset(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Prctl(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Personality(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
