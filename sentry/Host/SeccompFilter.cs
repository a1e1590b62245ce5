using Sentry.Abi;

namespace Sentry.Host;

/// <summary>
/// A seccomp filter of a process of ours (seccomp(2)): the calls on its list pass, all others fail with EPERM, and one of another architecture
/// kills. The runtime must meet EPERM, not death, where it looks around by itself.
/// </summary>
public sealed class SeccompFilter
{
    private const uint LoadWord = 0x20, JumpEqual = 0x15, JumpGreaterOrEqual = 0x35, JumpIfAny = 0x45, Return = 0x06;
    private const uint Pass = 0x7FFF0000, Kill = 0x80000000, Error = 0x00050000, Fail = Error | (uint)Errno.EPERM;
    private const uint Amd64 = 0xC000003E, X32Bit = 0x40000000;
    private const uint NumberOffset = 0, ArchitectureOffset = 4, FirstArgumentOffset = 16;

    private readonly List<ulong> _program =
    [
        Instruction(LoadWord, 0, 0, ArchitectureOffset),
        Instruction(JumpEqual, 1, 0, Amd64),
        Instruction(Return, 0, 0, Kill),
        Instruction(LoadWord, 0, 0, NumberOffset),
        Instruction(JumpGreaterOrEqual, 0, 1, X32Bit),
        Instruction(Return, 0, 0, Kill),
    ];

    /// <summary>What a runtime without files needs: memory, threads (one may still be starting), signals, time, a message before the end.</summary>
    public SeccompFilter AllowRuntime() => Allow(
        Sysno.mmap, Sysno.munmap, Sysno.mprotect, Sysno.madvise, Sysno.mremap, Sysno.brk, Sysno.futex, Sysno.rt_sigaction, Sysno.rt_sigprocmask, Sysno.rt_sigreturn,
        Sysno.rseq, Sysno.set_robust_list, Sysno.sigaltstack, Sysno.tgkill, Sysno.getpid, Sysno.gettid, Sysno.sched_yield, Sysno.sched_getaffinity, Sysno.sched_setaffinity, Sysno.clock_gettime,
        Sysno.clock_nanosleep, Sysno.nanosleep, Sysno.membarrier, Sysno.getrandom, Sysno.sysinfo, Sysno.restart_syscall, Sysno.read, Sysno.poll, Sysno.fcntl, Sysno.getrusage, Sysno.mincore,
        Sysno.prctl, Sysno.prlimit64, Sysno.arch_prctl, Sysno.uname, Sysno.write, Sysno.exit_group, Sysno.exit);

    /// <summary>New threads, but no new processes. clone3(2), whose flags a filter cannot see, is not there, and libc then uses clone(2).</summary>
    public SeccompFilter AllowThreads()
    {
        const uint CloneThread = 0x10000;
        _program.Add(Instruction(JumpEqual, 0, 1, Sysno.clone3));
        _program.Add(Instruction(Return, 0, 0, Error | (uint)Errno.ENOSYS));
        _program.Add(Instruction(JumpEqual, 0, 4, Sysno.clone));
        _program.Add(Instruction(LoadWord, 0, 0, FirstArgumentOffset));
        _program.Add(Instruction(JumpIfAny, 0, 1, CloneThread));
        _program.Add(Instruction(Return, 0, 0, Pass));
        _program.Add(Instruction(Return, 0, 0, Fail));
        return this;
    }

    public SeccompFilter Allow(params ReadOnlySpan<int> numbers)
    {
        foreach (int number in numbers)
        {
            _program.Add(Instruction(JumpEqual, 0, 1, (uint)number));
            _program.Add(Instruction(Return, 0, 0, Pass));
        }

        return this;
    }

    /// <summary>A call only with one of some values as its first argument (the low 32 bits).</summary>
    public SeccompFilter AllowWith(int number, params ReadOnlySpan<uint> firstArguments)
    {
        // Behind the number's test: load the argument, two instructions for each value, fail; so all ways in there end in there.
        _program.Add(Instruction(JumpEqual, 0, (uint)(2 + (2 * firstArguments.Length)), (uint)number));
        _program.Add(Instruction(LoadWord, 0, 0, FirstArgumentOffset));
        foreach (uint value in firstArguments)
        {
            _program.Add(Instruction(JumpEqual, 0, 1, value));
            _program.Add(Instruction(Return, 0, 0, Pass));
        }

        _program.Add(Instruction(Return, 0, 0, Fail));
        return this;
    }

    /// <summary>The instructions, each as struct sock_filter lies in memory.</summary>
    public ulong[] ToProgram() => [.. _program, Instruction(Return, 0, 0, Fail)];

    /// <summary>Puts the filter on all threads of this process for good; it needs no_new_privs.</summary>
    public Errno Install()
    {
        const uint AllThreads = 1;
        return HostProcess.InstallFilter(ToProgram(), AllThreads).Error;
    }

    private static ulong Instruction(uint code, uint ifTrue, uint ifFalse, uint value) => code | (ulong)ifTrue << 16 | (ulong)ifFalse << 24 | (ulong)value << 32;
}
