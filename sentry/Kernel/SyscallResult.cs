namespace Sentry.Kernel;

/// <summary>The outcome of one try at a system call.</summary>
public readonly struct SyscallResult
{
    private enum ResultKind : byte
    {
        Value,
        Blocked,
        Handled,
    }

    private readonly long _value;
    private readonly ResultKind _kind;

    private SyscallResult(long value, ResultKind kind)
    {
        _value = value;
        _kind = kind;
    }

    /// <summary>The call waits: the handler has said on what through <see cref="Task.Block"/> and will be tried again.</summary>
    public static SyscallResult Blocked => new(0, ResultKind.Blocked);

    /// <summary>The handler has answered the thread itself, or the thread is gone (exit, execve, rt_sigreturn).</summary>
    public static SyscallResult Handled => new(0, ResultKind.Handled);

    public static SyscallResult Ok => new(0, ResultKind.Value);

    public bool IsValue => _kind == ResultKind.Value;

    public bool IsBlocked => _kind == ResultKind.Blocked;

    /// <summary>What the guest finds in rax: a value, or an errno negated.</summary>
    public long Value => _value;

    public bool IsError => IsValue && _value is < 0 and > -4096;

    public static implicit operator SyscallResult(long value) => new(value, ResultKind.Value);

    public static implicit operator SyscallResult(int value) => new(value, ResultKind.Value);

    public static implicit operator SyscallResult(ulong value) => new((long)value, ResultKind.Value);

    public static implicit operator SyscallResult(Errno error) => new(-(long)error, ResultKind.Value);

    public static implicit operator SyscallResult(Result<long> result) => result.IsOk ? result.Value : result.Error;

    public static implicit operator SyscallResult(Result<int> result) => result.IsOk ? result.Value : result.Error;
}

/// <summary>The arguments of a system call.</summary>
[Savable("syscall-args")]
public partial struct SyscallArgs : IEquatable<SyscallArgs>
{
    [Saved(1)] public ulong A0;
    [Saved(2)] public ulong A1;
    [Saved(3)] public ulong A2;
    [Saved(4)] public ulong A3;
    [Saved(5)] public ulong A4;
    [Saved(6)] public ulong A5;

    public SyscallArgs(ulong a0, ulong a1 = 0, ulong a2 = 0, ulong a3 = 0, ulong a4 = 0, ulong a5 = 0)
    {
        A0 = a0;
        A1 = a1;
        A2 = a2;
        A3 = a3;
        A4 = a4;
        A5 = a5;
    }

    /// <summary>Argument 0 as a 32-bit int, as the kernel reads descriptors and flags.</summary>
    public readonly int I0 => (int)A0;

    public readonly int I1 => (int)A1;

    public readonly int I2 => (int)A2;

    public readonly int I3 => (int)A3;

    public readonly int I4 => (int)A4;

    public readonly int I5 => (int)A5;

    public readonly bool Equals(SyscallArgs other) =>
        A0 == other.A0 && A1 == other.A1 && A2 == other.A2 && A3 == other.A3 && A4 == other.A4 && A5 == other.A5;

    public override readonly bool Equals(object? obj) => obj is SyscallArgs other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(A0, A1, A2, A3, A4, A5);
}

/// <summary>A system call's handler: one try, never waits. When it must wait it registers on wait queues and returns
/// <see cref="SyscallResult.Blocked"/>; it is called again with the same arguments when one of them wakes, when its deadline passes
/// (<see cref="CallContext.TimedOut"/>) and after a restore. What it must remember between tries it keeps in <see cref="CallContext.State"/>.</summary>
public delegate SyscallResult SyscallHandler(Task task, in SyscallArgs args);
