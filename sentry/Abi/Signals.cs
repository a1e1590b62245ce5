namespace Sentry.Abi;

/// <summary>Signal numbers of Linux on x86-64 (signal(7)) and sets of them; bit n-1 of a set is signal n.</summary>
public static class Signal
{
    public const int SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10,
        SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20,
        SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25, SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30,
        SIGSYS = 31, SIGRTMIN = 32, Max = 64;

    /// <summary>Those that a mask can't hold back.</summary>
    public const ulong Unblockable = (1UL << (SIGKILL - 1)) | (1UL << (SIGSTOP - 1));

    /// <summary>Those that stop a process by default.</summary>
    public const ulong Stops = (1UL << (SIGSTOP - 1)) | (1UL << (SIGTSTP - 1)) | (1UL << (SIGTTIN - 1)) | (1UL << (SIGTTOU - 1));

    /// <summary>Those that do nothing by default.</summary>
    public const ulong IgnoredByDefault = (1UL << (SIGCONT - 1)) | (1UL << (SIGCHLD - 1)) | (1UL << (SIGWINCH - 1)) | (1UL << (SIGURG - 1));

    /// <summary>Those that end a process with a core dump by default.</summary>
    public const ulong DumpsCore = (1UL << (SIGQUIT - 1)) | (1UL << (SIGILL - 1)) | (1UL << (SIGTRAP - 1)) | (1UL << (SIGABRT - 1)) | (1UL << (SIGFPE - 1)) |
        (1UL << (SIGSEGV - 1)) | (1UL << (SIGBUS - 1)) | (1UL << (SIGSYS - 1)) | (1UL << (SIGXCPU - 1)) | (1UL << (SIGXFSZ - 1));

    /// <summary>Those that an instruction causes; delivered before others.</summary>
    public const ulong Synchronous = (1UL << (SIGSEGV - 1)) | (1UL << (SIGBUS - 1)) | (1UL << (SIGILL - 1)) | (1UL << (SIGTRAP - 1)) |
        (1UL << (SIGFPE - 1)) | (1UL << (SIGSYS - 1));

    /// <summary>The set that holds one signal.</summary>
    public static ulong Bit(int signal) => 1UL << (signal - 1);

    public static bool IsValid(int signal) => signal is >= 1 and <= Max;

    /// <summary>Whether a set holds a signal.</summary>
    public static bool Has(ulong set, int signal) => (set >> (signal - 1) & 1) != 0;
}

/// <summary>si_code values (sigaction(2)).</summary>
public static class SignalCode
{
    public const int POLL_IN = 1, POLL_OUT = 2, POLL_MSG = 3, POLL_ERR = 4, POLL_PRI = 5, POLL_HUP = 6;

    public const int SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_MESGQ = -3, SI_ASYNCIO = -4, SI_SIGIO = -5, SI_TKILL = -6;

    public const int SEGV_MAPERR = 1, SEGV_ACCERR = 2, BUS_ADRALN = 1, BUS_ADRERR = 2, ILL_ILLOPN = 2, FPE_INTDIV = 1, TRAP_BRKPT = 1, TRAP_TRACE = 2, TRAP_HWBKPT = 4,
        SYS_SECCOMP = 1;

    public const int CLD_EXITED = 1, CLD_KILLED = 2, CLD_DUMPED = 3, CLD_TRAPPED = 4, CLD_STOPPED = 5, CLD_CONTINUED = 6;
}

/// <summary>sa_flags of rt_sigaction(2), and the two special handlers.</summary>
public static class SignalAct
{
    public const ulong SIG_DFL = 0, SIG_IGN = 1;

    public const ulong SA_NOCLDSTOP = 1, SA_NOCLDWAIT = 2, SA_SIGINFO = 4, SA_EXPOSE_TAGBITS = 0x800, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000,
        SA_RESTART = 0x10000000, SA_NODEFER = 0x40000000, SA_RESETHAND = 0x80000000;

    /// <summary>The flags that Linux keeps; others are cleared silently, which is how a program learns that one is not supported.</summary>
    public const ulong Known = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_RESTORER | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND;
}

/// <summary>struct sigaction as rt_sigaction(2) takes it on x86-64.</summary>
public struct KernelSigaction
{
    public ulong Handler, Flags, Restorer, Mask;
}

/// <summary>stack_t of sigaltstack(2).</summary>
public struct StackT
{
    public const int SS_ONSTACK = 1, SS_DISABLE = 2, SS_AUTODISARM = int.MinValue;

    /// <summary>MINSIGSTKSZ.</summary>
    public const ulong MinimumSize = 2048;

    public ulong Pointer;
    public int Flags;
    public int Padding;
    public ulong Size;
}

/// <summary>struct sigcontext of x86-64 (asm/sigcontext.h), 256 bytes.</summary>
public struct Sigcontext
{
    public ulong R8, R9, R10, R11, R12, R13, R14, R15, Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp, Rip, Eflags;
    public ushort Cs, Gs, Fs, Ss;
    public ulong Err, Trapno, Oldmask, Cr2, Fpstate;
    public ulong Reserved0, Reserved1, Reserved2, Reserved3, Reserved4, Reserved5, Reserved6, Reserved7;
}

/// <summary>struct ucontext of the kernel on x86-64 (asm-generic/ucontext.h), 304 bytes.</summary>
public struct Ucontext
{
    public const ulong UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4;

    public ulong Flags, Link;
    public StackT Stack;
    public Sigcontext Mcontext;
    public ulong Sigmask;
}

/// <summary>struct rt_sigframe of x86-64 without its siginfo, which follows (128 bytes) at <see cref="InfoOffset"/>.</summary>
public struct RtSigframe
{
    public const int ContextOffset = 8, InfoOffset = 312, Size = 440, SiginfoSize = 128;

    /// <summary>Where the handler returns to: sa_restorer, which calls rt_sigreturn.</summary>
    public ulong Pretcode;
    public Ucontext Context;
}

/// <summary>The words in an FXSAVE image's software-reserved bytes that say what follows it in a signal frame (asm/sigcontext.h).</summary>
public static class SignalXState
{
    public const uint FP_XSTATE_MAGIC1 = 0x46505853, FP_XSTATE_MAGIC2 = 0x46505845;

    public const int FxsaveSize = 512, SoftwareReservedOffset = 464;

    /// <summary>FXSAVE image, XSAVE header and the second magic word.</summary>
    public const int MinimumSize = FxsaveSize + 64 + 4;
}
