using System.Buffers.Binary;

namespace Sentry.Kernel.Signals;

/// <summary>A queued signal with its siginfo (sigaction(2)); the union's bytes are kept as they will be shown to the handler.</summary>
[Savable("siginfo")]
public sealed partial class SignalInfo
{
    [Saved(1)] public int Number { get; init; }

    [Saved(2)] public int Code { get; init; }

    [Saved(3)] public int Error { get; init; }

    /// <summary>The bytes of siginfo_t from offset 16 on (si_pid, si_uid, si_value, si_addr, …); at most 112.</summary>
    [Saved(4)] public byte[] Fields { get; init; } = [];

    public SignalInfo()
    {
    }

    private SignalInfo(int number, int code, int fields)
    {
        Number = number;
        Code = code;
        Fields = new byte[fields];
    }

    // ---- shapes (the union members of siginfo_t) -----------------------------------------------------------------

    /// <summary>kill(2), tkill(2) and tgkill(2): SI_USER or SI_TKILL with the sender.</summary>
    public static SignalInfo User(int number, Task sender, int code = SignalCode.SI_USER) => User(number, sender.Group.Pid, sender.Credentials.Uid, code);

    /// <summary>As sent by a process with this id and real user.</summary>
    public static SignalInfo User(int number, int pid, uint uid, int code = SignalCode.SI_USER)
    {
        SignalInfo info = new(number, code, 8);
        info.Put32(0, pid);
        info.Put32(4, (int)uid);
        return info;
    }

    /// <summary>By the kernel itself, without details (SI_KERNEL): timers of setitimer(2), SIGHUP of a terminal, SIGXFSZ, ….</summary>
    public static SignalInfo Kernel(int number) => new(number, SignalCode.SI_KERNEL, 0);

    /// <summary>SIGCHLD: <paramref name="code"/> is CLD_*, <paramref name="status"/> an exit code or a signal number; times in clock ticks.</summary>
    public static SignalInfo Child(int number, int code, int pid, uint uid, int status, long userTime = 0, long systemTime = 0)
    {
        SignalInfo info = new(number, code, 32);
        info.Put32(0, pid);
        info.Put32(4, (int)uid);
        info.Put32(8, status);
        info.Put64(16, userTime);
        info.Put64(24, systemTime);
        return info;
    }

    /// <summary>A fault: si_addr.</summary>
    public static SignalInfo Fault(int number, int code, ulong address)
    {
        SignalInfo info = new(number, code, 16);
        info.Put64(0, (long)address);
        return info;
    }

    /// <summary>A call that a filter refused (SYS_SECCOMP): si_call_addr, si_syscall, si_arch, and the filter's data in si_errno.</summary>
    public static SignalInfo Refused(int call, int data, ulong address)
    {
        SignalInfo info = new(Signal.SIGSYS, SignalCode.SYS_SECCOMP, 16) { Error = data };
        info.Put64(0, (long)address);
        info.Put32(8, call);
        info.Put32(12, unchecked((int)PTRACE.ArchX64));
        return info;
    }

    /// <summary>A POSIX timer (SI_TIMER): si_timerid, si_overrun, si_value.</summary>
    public static SignalInfo Timer(int number, int timerId, int overrun, ulong value)
    {
        SignalInfo info = new(number, SignalCode.SI_TIMER, 16);
        info.Put32(0, timerId);
        info.Put32(4, overrun);
        info.Put64(8, (long)value);
        return info;
    }

    /// <summary>A message came to an empty queue (SI_MESGQ): si_pid, si_uid, si_value.</summary>
    public static SignalInfo Message(int number, int pid, uint uid, ulong value)
    {
        SignalInfo info = new(number, SignalCode.SI_MESGQ, 16);
        info.Put32(0, pid);
        info.Put32(4, (int)uid);
        info.Put64(8, (long)value);
        return info;
    }

    /// <summary>SIGIO and its like: si_band, si_fd.</summary>
    public static SignalInfo Poll(int number, int code, long band, int fd)
    {
        SignalInfo info = new(number, code, 16);
        info.Put64(0, band);
        info.Put32(8, fd);
        return info;
    }

    // ---- fields, meaningful according to the code ----------------------------------------------------------------

    /// <summary>si_pid; si_timerid of a timer.</summary>
    public int Pid => Get32(0);

    /// <summary>si_uid.</summary>
    public uint Uid => (uint)Get32(4);

    /// <summary>si_overrun of a timer.</summary>
    public int Overrun => Get32(4);

    /// <summary>si_status of SIGCHLD.</summary>
    public int Status => Get32(8);

    /// <summary>si_value (sival_ptr) of sigqueue(3) and timers.</summary>
    public ulong Value => (ulong)Get64(8);

    /// <summary>si_addr of a fault; si_band of SIGIO.</summary>
    public ulong Address => (ulong)Get64(0);

    /// <summary>si_fd of SIGIO.</summary>
    public int Descriptor => Get32(8);

    public long UserTime => Get64(16);

    public long SystemTime => Get64(24);

    /// <summary>With the sender's process id and user as a task in other namespaces sees them.</summary>
    internal SignalInfo ShownTo(Task target)
    {
        if ((target.PidNamespace.IsFirst && target.UserNamespace.IsIdentity) || Fields.Length == 0)
            return this;
        if (!(Code is SignalCode.SI_USER or SignalCode.SI_TKILL or SignalCode.SI_QUEUE or SignalCode.SI_MESGQ || (Number == Signal.SIGCHLD && Code > 0)))
            return this;
        SignalInfo shown = new(Number, Code, Math.Max(8, Fields.Length)) { Error = Error };
        Fields.CopyTo(shown.Fields, 0);
        shown.Put32(0, target.PidNamespace.ToLocal(Pid));
        shown.Put32(4, (int)target.UserNamespace.ShowUid(Uid));
        return shown;
    }

    /// <summary>What a program claims about itself, in the kernel's ids.</summary>
    internal SignalInfo ClaimedBy(Task sender)
    {
        if ((sender.PidNamespace.IsFirst && sender.UserNamespace.IsIdentity) || Fields.Length < 8 || Code is not (SignalCode.SI_USER or SignalCode.SI_TKILL or SignalCode.SI_QUEUE))
            return this;
        SignalInfo claimed = new(Number, Code, Fields.Length) { Error = Error };
        Fields.CopyTo(claimed.Fields, 0);
        claimed.Put32(0, Math.Max(0, sender.PidNamespace.ToKernel(Pid)));
        claimed.Put32(4, sender.UserNamespace.TryMakeUid(Uid, out uint uid) ? (int)uid : (int)UserNamespace.OverflowId);
        return claimed;
    }

    // ---- siginfo_t ----------------------------------------------------------------------------------------------

    /// <summary>Reads siginfo_t as a guest wrote it; the number is the call's own argument.</summary>
    public static SignalInfo FromBytes(int number, ReadOnlySpan<byte> siginfo)
    {
        ReadOnlySpan<byte> fields = siginfo[16..].TrimEnd((byte)0);
        return new SignalInfo
        {
            Number = number,
            Error = BinaryPrimitives.ReadInt32LittleEndian(siginfo[4..]),
            Code = BinaryPrimitives.ReadInt32LittleEndian(siginfo[8..]),
            Fields = fields.ToArray(),
        };
    }

    /// <summary>Writes siginfo_t: 128 bytes.</summary>
    public void ToBytes(Span<byte> siginfo)
    {
        siginfo[..RtSigframe.SiginfoSize].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(siginfo, Number);
        BinaryPrimitives.WriteInt32LittleEndian(siginfo[4..], Error);
        BinaryPrimitives.WriteInt32LittleEndian(siginfo[8..], Code);
        Fields.AsSpan(0, Math.Min(Fields.Length, RtSigframe.SiginfoSize - 16)).CopyTo(siginfo[16..]);
    }

    private int Get32(int offset) => Fields.Length >= offset + 4 ? BinaryPrimitives.ReadInt32LittleEndian(Fields.AsSpan(offset)) : (int)GetShort(offset, 4);

    private long Get64(int offset) => Fields.Length >= offset + 8 ? BinaryPrimitives.ReadInt64LittleEndian(Fields.AsSpan(offset)) : GetShort(offset, 8);

    private long GetShort(int offset, int size)
    {
        // Trailing zero bytes are not kept.
        long value = 0;
        for (int i = 0; i < size && offset + i < Fields.Length; i++)
            value |= (long)Fields[offset + i] << (8 * i);
        return value;
    }

    private void Put32(int offset, int value) => BinaryPrimitives.WriteInt32LittleEndian(Fields.AsSpan(offset), value);

    private void Put64(int offset, long value) => BinaryPrimitives.WriteInt64LittleEndian(Fields.AsSpan(offset), value);
}
