using System.Runtime.InteropServices;
using Sentry.Abi;

namespace Sentry.Host;

/// <summary>How a child ended: an exit code, or the signal that killed it.</summary>
public readonly record struct ExitStatus(int ProcessId, bool Signaled, int Code);

/// <summary>Processes, threads, signals and privileges of the host.</summary>
public static unsafe class HostProcess
{
    private const int WaitAll = 0x40000000, NoHang = 1, Exited = 4;

    public static int ProcessId => (int)HostSyscall.CallFast(Sysno.getpid);

    public static int ThreadId => (int)HostSyscall.CallFast(Sysno.gettid);

    public static int EffectiveUserId => (int)HostSyscall.CallFast(Sysno.geteuid);

    public static int EffectiveGroupId => (int)HostSyscall.CallFast(Sysno.getegid);

    public static Errno Kill(int process, int signal) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.kill, process, signal));

    public static Errno KillThread(int process, int thread, int signal) => HostSyscall.ErrorOf(HostSyscall.CallFast(Sysno.tgkill, process, thread, signal));

    public static Result<int> OpenPidFd(int process, uint flags = 0) => HostSyscall.ToInt(HostSyscall.Call(Sysno.pidfd_open, process, flags));

    public static Errno SendSignal(int pidfd, int signal) => HostSyscall.ErrorOf(HostSyscall.Call(Sysno.pidfd_send_signal, pidfd, signal));

    /// <summary>Waits for the child of a pidfd (waitid P_PIDFD) and reaps it; EAGAIN when <paramref name="noHang"/> and it still runs.</summary>
    public static Result<ExitStatus> Wait(int pidfd, bool noHang)
    {
        int* info = stackalloc int[32];
        new Span<int>(info, 32).Clear();
        long result;
        do
        {
            result = HostSyscall.Call(Sysno.waitid, 3, pidfd, (long)info, Exited | WaitAll | (noHang ? NoHang : 0), 0);
        }
        while (result == -(int)Errno.EINTR);

        if (result < 0)
            return (Errno)(-result);
        if (info[4] == 0)
            return Errno.EAGAIN;

        // siginfo of SIGCHLD: si_signo, si_errno, si_code, pad, si_pid, si_uid, si_status; CLD_EXITED is 1
        return new ExitStatus(info[4], info[2] != 1, info[6]);
    }

    /// <summary>How the process of a pidfd ended that is no child of this one (ioctl PIDFD_GET_INFO, Linux 6.15): the status of wait4(2), null when
    /// that cannot be told.</summary>
    public static int? GetExitStatus(int pidfd)
    {
        const uint getInfo = 0xC0400000 | (0xFF << 8) | 11;
        const ulong exit = 8;
        const int size = 64, exitCode = 60;
        byte* info = stackalloc byte[size];
        new Span<byte>(info, size).Clear();
        *(ulong*)info = exit;
        return HostSyscall.Call(Sysno.ioctl, pidfd, getInfo, (long)info) == 0 && (*(ulong*)info & exit) != 0 ? *(int*)(info + exitCode) : null;
    }

    /// <summary>Whether a child of this process has ended and waits to be reaped (waitid P_PID with WNOWAIT).</summary>
    public static bool HasEnded(int process)
    {
        const int noWait = 0x1000000;
        int* info = stackalloc int[32];
        new Span<int>(info, 32).Clear();
        return HostSyscall.Call(Sysno.waitid, 1, process, (long)info, Exited | WaitAll | NoHang | noWait, 0) == 0 && info[4] == process;
    }

    /// <summary>Reaps one child with wait4 __WALL: its id, 0 when none has ended yet, ECHILD when there is none.</summary>
    public static Result<int> Reap(int process, bool noHang) =>
        HostSyscall.ToInt(HostSyscall.Call(Sysno.wait4, process, 0, WaitAll | (noHang ? NoHang : 0), 0));

    /// <summary>prctl(2) with value arguments.</summary>
    public static Result<int> Prctl(int option, long a = 0, long b = 0, long c = 0, long d = 0) => HostSyscall.ToInt(HostSyscall.Call(Sysno.prctl, option, a, b, c, d));

    /// <summary>No program executed from now on gains privileges (PR_SET_NO_NEW_PRIVS).</summary>
    public static Errno SetNoNewPrivileges() => Prctl(38, 1).Error;

    /// <summary>PR_SET_DUMPABLE: with false, /proc/PID belongs to root and ptrace needs CAP_SYS_PTRACE.</summary>
    public static Errno SetDumpable(bool on) => Prctl(4, on ? 1 : 0).Error;

    /// <summary>The signal this process gets when the <i>thread</i> that made it ends (PR_SET_PDEATHSIG).</summary>
    public static Errno SetParentDeathSignal(int signal) => Prctl(1, signal).Error;

    /// <summary>Drops every capability: bounding set, ambient set, then effective, permitted and inheritable (of the calling thread).</summary>
    public static Errno DropAllCapabilities()
    {
        _ = Prctl(47, 4); // PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
        for (int capability = 0; capability < 64; capability++)
        {
            Errno error = Prctl(24, capability).Error; // PR_CAPBSET_DROP
            if (error == Errno.EINVAL)
                break;
            if (error == Errno.EPERM)
                break; // without CAP_SETPCAP the bounding set stays; no_new_privs makes it harmless
        }

        return SetCapabilities(0, 0, 0);
    }

    /// <summary>sched_setaffinity(2) of a thread, and of what it makes from now on.</summary>
    public static Errno SetAffinity(int thread, ReadOnlySpan<ulong> mask)
    {
        fixed (ulong* p = mask)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.sched_setaffinity, thread, mask.Length * sizeof(ulong), (long)p));
    }

    /// <summary>sched_getaffinity(2) of this thread: the processors that it may use.</summary>
    public static List<int> GetAffinity()
    {
        ulong* mask = stackalloc ulong[16];
        List<int> processors = [];
        long length = HostSyscall.Call(Sysno.sched_getaffinity, 0, 16 * sizeof(ulong), (long)mask);
        for (int i = 0; i < length * 8; i++)
        {
            if ((mask[i / 64] >> (i % 64) & 1) != 0)
                processors.Add(i);
        }

        return processors;
    }

    /// <summary>getcpu(2): the processor that this thread is on.</summary>
    public static int CurrentProcessor
    {
        get
        {
            uint processor = 0;
            HostSyscall.CallFast(Sysno.getcpu, (long)(&processor), 0, 0);
            return (int)processor;
        }
    }

    /// <summary>umask(2): which permissions new files do not get.</summary>
    public static void SetFileModeMask(int mask) => HostSyscall.Call(Sysno.umask, mask);

    /// <summary>capset(2) of the calling thread.</summary>
    public static Errno SetCapabilities(ulong effective, ulong permitted, ulong inheritable)
    {
        uint* header = stackalloc uint[2] { 0x20080522, 0 };
        uint* data = stackalloc uint[6]
        {
            (uint)effective, (uint)permitted, (uint)inheritable, (uint)(effective >> 32), (uint)(permitted >> 32), (uint)(inheritable >> 32),
        };
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.capset, (long)header, (long)data));
    }

    /// <summary>prlimit64(2) of this process: the resource's number (RLIMIT_*), soft and hard limit.</summary>
    public static Errno SetLimit(int resource, ulong soft, ulong hard)
    {
        ulong* limit = stackalloc ulong[2] { soft, hard };
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.prlimit64, 0, resource, (long)limit, 0));
    }

    public static Result<(ulong Soft, ulong Hard)> GetLimit(int resource)
    {
        ulong* limit = stackalloc ulong[2];
        Errno error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.prlimit64, 0, resource, 0, (long)limit));
        return error != Errno.None ? error : (limit[0], limit[1]);
    }

    /// <summary>Installs a classic BPF program as the seccomp filter of this thread (and with flag TSYNC 1 of all): each instruction
    /// is code | jt &lt;&lt; 16 | jf &lt;&lt; 24 | k &lt;&lt; 32.</summary>
    public static Result<int> InstallFilter(ReadOnlySpan<ulong> program, uint flags)
    {
        fixed (ulong* instructions = program)
        {
            FilterProgram filter = new() { Length = (ushort)program.Length, Instructions = instructions };
            return HostSyscall.ToInt(HostSyscall.Call(Sysno.seccomp, 1, flags, (long)(&filter)));
        }
    }

    /// <summary>seccomp(2) with flags 0: asks what the kernel offers, the answer or question being <paramref name="argument"/>.</summary>
    public static Errno Seccomp(int operation, Span<byte> argument)
    {
        fixed (byte* p = argument)
            return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.seccomp, operation, 0, (long)p));
    }

    /// <summary>rt_sigaction(2) to the default action or to being ignored.</summary>
    public static Errno SetSignalDisposition(int signal, bool ignore)
    {
        ulong* action = stackalloc ulong[4] { ignore ? 1u : 0u, 0, 0, 0 };
        return HostSyscall.ErrorOf(HostSyscall.Call(Sysno.rt_sigaction, signal, (long)action, 0, 8));
    }

    public static Errno SetUser(int user, int group)
    {
        Errno error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.setgroups, 0, 0));
        if (error == Errno.None)
            error = HostSyscall.ErrorOf(HostSyscall.Call(Sysno.setresgid, group, group, group));
        return error != Errno.None ? error : HostSyscall.ErrorOf(HostSyscall.Call(Sysno.setresuid, user, user, user));
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct FilterProgram
    {
        public ushort Length;
        public ulong* Instructions;
    }
}
