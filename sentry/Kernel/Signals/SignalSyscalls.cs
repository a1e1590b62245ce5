namespace Sentry.Kernel.Signals;

/// <summary>System calls: rt_sigaction, rt_sigprocmask, rt_sigreturn, rt_sigpending, rt_sigtimedwait, rt_sigqueueinfo, ….</summary>
internal static class SignalSyscalls
{
    internal static SyscallResult RtSigaction(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigprocmask(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigreturn(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigpending(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigtimedwait(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigqueueinfo(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtTgsigqueueinfo(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RtSigsuspend(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Sigaltstack(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Kill(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Tkill(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Tgkill(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult Pause(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult RestartSyscall(Task task, in SyscallArgs args) => Errno.ENOSYS;

    internal static SyscallResult PidfdSendSignal(Task task, in SyscallArgs args) => Errno.ENOSYS;
}
