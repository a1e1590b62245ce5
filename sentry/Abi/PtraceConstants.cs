namespace Sentry.Abi;

/// <summary>Requests, options and events of ptrace(2) (linux/ptrace.h, asm/ptrace-abi.h).</summary>
public static class PTRACE
{
    public const int TRACEME = 0, PEEKTEXT = 1, PEEKDATA = 2, PEEKUSER = 3, POKETEXT = 4, POKEDATA = 5, POKEUSER = 6, CONT = 7, KILL = 8, SINGLESTEP = 9, GETREGS = 12,
        SETREGS = 13, GETFPREGS = 14, SETFPREGS = 15, ATTACH = 16, DETACH = 17, OLDSETOPTIONS = 21, SYSCALL = 24, ARCH_PRCTL = 30, SYSEMU = 31, SYSEMU_SINGLESTEP = 32, SETOPTIONS = 0x4200, GETEVENTMSG = 0x4201,
        GETSIGINFO = 0x4202, SETSIGINFO = 0x4203, GETREGSET = 0x4204, SETREGSET = 0x4205, SEIZE = 0x4206, INTERRUPT = 0x4207, LISTEN = 0x4208, PEEKSIGINFO = 0x4209,
        GETSIGMASK = 0x420a, SETSIGMASK = 0x420b, GET_SYSCALL_INFO = 0x420e;

    public const uint O_TRACESYSGOOD = 1, O_TRACEFORK = 2, O_TRACEVFORK = 4, O_TRACECLONE = 8, O_TRACEEXEC = 0x10, O_TRACEVFORKDONE = 0x20, O_TRACEEXIT = 0x40,
        O_TRACESECCOMP = 0x80, O_EXITKILL = 0x100000, O_ALL = 0x1000ff;

    public const int EVENT_FORK = 1, EVENT_VFORK = 2, EVENT_CLONE = 3, EVENT_EXEC = 4, EVENT_VFORK_DONE = 5, EVENT_EXIT = 6, EVENT_SECCOMP = 7, EVENT_STOP = 128;

    public const int PEEKSIGINFO_SHARED = 1;

    public const int NT_PRSTATUS = 1, NT_PRFPREG = 2, NT_X86_XSTATE = 0x202;

    public const byte SYSCALL_INFO_NONE = 0, SYSCALL_INFO_ENTRY = 1, SYSCALL_INFO_EXIT = 2, SYSCALL_INFO_SECCOMP = 3;

    /// <summary>AUDIT_ARCH_X86_64.</summary>
    public const uint ArchX64 = 0xc000003e;

    /// <summary>What a call that waits seems to have returned to a tracer when it was interrupted, negated: ERESTARTSYS, ERESTARTNOINTR,
    /// ERESTARTNOHAND, ERESTART_RESTARTBLOCK (linux/errno.h).</summary>
    public const int ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516;
}

/// <summary>struct user_regs_struct of x86-64 (sys/user.h).</summary>
public struct UserRegs
{
    /// <summary>Bytes of the structure; offsets from here on belong to other parts of struct user.</summary>
    public const int Size = 27 * 8;

    /// <summary>The place of u_debugreg in struct user, and behind it.</summary>
    public const int DebugRegisters = 848, UserSize = 912;

    public ulong R15, R14, R13, R12, Rbp, Rbx, R11, R10, R9, R8, Rax, Rcx, Rdx, Rsi, Rdi, OrigRax, Rip, Cs, Eflags, Rsp, Ss, FsBase, GsBase, Ds, Es, Fs, Gs;
}
