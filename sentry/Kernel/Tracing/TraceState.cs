namespace Sentry.Kernel.Tracing;

/// <summary>Why a traced task is kept stopped (ptrace(2), "Stopped states").</summary>
public enum TraceStop
{
    /// <summary>It runs, or waits in a call.</summary>
    None,

    /// <summary>A signal was taken off its queue and the tracer decides on it: signal-delivery-stop.</summary>
    Signal,

    /// <summary>Before a call.</summary>
    CallEntry,

    /// <summary>After a call.</summary>
    CallExit,

    /// <summary>PTRACE_EVENT stops.</summary>
    Event,

    /// <summary>Its process is stopped: group-stop.</summary>
    Group,
}

/// <summary>How a tracer let its tracee go on.</summary>
public enum TraceMode
{
    /// <summary>PTRACE_CONT.</summary>
    Continue,

    /// <summary>PTRACE_SYSCALL: to the next entry or exit of a call.</summary>
    Call,

    /// <summary>PTRACE_SINGLESTEP: one instruction.</summary>
    Step,

    /// <summary>PTRACE_SYSEMU: to the next entry of a call, which is then not made.</summary>
    Emulate,

    /// <summary>PTRACE_SYSEMU_SINGLESTEP: the same, at most one instruction.</summary>
    EmulateStep,
}

/// <summary>What ptrace(2) has made of a task: who traces it, how, and the stop it is in. In a stop the thread's registers are those that the
/// tracer sees: at a call they are as behind its instruction, and <see cref="Call"/> is orig_rax.</summary>
[Savable("trace-state")]
public sealed partial class TraceState
{
    [Saved(1)] public ThreadGroup Tracer = null!;
    [Saved(2)] public bool Seized;
    [Saved(3)] public uint Options;
    [Saved(4)] public TraceStop Stop;

    /// <summary>si_status of the stop: a signal, with an event above it.</summary>
    [Saved(5)] public int Code;

    /// <summary>wait4(2) has not told of the stop.</summary>
    [Saved(6)] public bool Unreported;

    /// <summary>The siginfo of the stop; null in a group-stop.</summary>
    [Saved(7)] public SignalInfo? Info;

    /// <summary>PTRACE_GETEVENTMSG.</summary>
    [Saved(8)] public ulong Message;

    [Saved(9)] public TraceMode Mode;

    /// <summary>PTRACE_LISTEN: stopped, and waiting for SIGCONT to be told of.</summary>
    [Saved(10)] public bool Listening;

    /// <summary>PTRACE_INTERRUPT and its like: it stops as soon as it comes by.</summary>
    [Saved(11)] public bool TrapWanted;

    /// <summary>The thread stands before a call's instruction and will make the call, whose entry the tracer has seen.</summary>
    [Saved(12)] public bool PassCall;

    /// <summary>orig_rax: the number of the call that the stop is in; -1 outside one.</summary>
    [Saved(13)] public long Call = -1;

    /// <summary>At the next stop the thread is at the instruction of the call named by <see cref="Call"/>, not behind it.</summary>
    [Saved(14)] public bool AtInstruction;

    /// <summary>A call has ended whose exit is to be shown.</summary>
    [Saved(15)] public bool ExitDue;

    /// <summary>A single step has ended with a call, or with a handler about to run.</summary>
    [Saved(16)] public bool StepDue;

    /// <summary>The PTRACE_EVENT to stop for; 0 for none.</summary>
    [Saved(17)] public int Event;
    [Saved(18)] public ulong EventMessage;

    /// <summary>The signal that the tracer let through; it is acted on without another stop.</summary>
    [Saved(19)] public SignalInfo? Injected;

    /// <summary>Let go by its tracer although its process is stopped, which Linux allows.</summary>
    [Saved(20)] public bool RunsInGroupStop;

    /// <summary>The process's stop was shown.</summary>
    [Saved(21)] public bool GroupStopSeen;

    /// <summary>PTRACE_EVENT_EXIT was shown.</summary>
    [Saved(22)] public bool ExitSeen;

    /// <summary>The trap flag in the thread's registers is this tracer's.</summary>
    [Saved(23)] public bool TrapFlag;

    /// <summary>The tracer has seen that a filter asked for it (PTRACE_EVENT_SECCOMP): the call is made in spite of that.</summary>
    [Saved(24)] public bool FilterSeen;

    /// <summary>The call whose entry was shown is not made (PTRACE_SYSEMU).</summary>
    [Saved(25)] public bool Emulated;

    /// <summary>Breakpoints and watchpoints of the tracer's; null when it never set one.</summary>
    [Saved(26)] public DebugRegisters? Debug;

    /// <summary>Two instructions are not run in one go.</summary>
    internal bool Steps => Mode is TraceMode.Step or TraceMode.EmulateStep;

    public TraceState()
    {
    }

    public bool IsStopped => Stop != TraceStop.None;

    public bool Has(uint option) => (Options & option) != 0;
}

/// <summary>A thread or process whose end its tracer has not waited for.</summary>
[Savable("tracee-exit")]
public sealed partial class TraceeExit
{
    [Saved(1)] public int Tid;
    [Saved(2)] public int Status;
    [Saved(3)] public uint Uid;

    /// <summary>The thread's process.</summary>
    [Saved(4)] public ThreadGroup Group = null!;

    /// <summary>The process has ended and its parent is to hear of it afterwards.</summary>
    [Saved(5)] public bool IsHeld;

    public TraceeExit()
    {
    }
}
