using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Tracing;

/// <summary>A stopped tracee's registers in the shapes that ptrace(2) shows and takes: user_regs_struct, FXSAVE, XSAVE.</summary>
internal static class TracedRegisters
{
    private const ulong CodeSegment = 0x33, DataSegment = 0x2b, OrigRaxOffset = 15 * 8;

    /// <summary>The flags that a tracer may change (FLAG_MASK of arch/x86/kernel/ptrace.c).</summary>
    private const ulong SettableFlags = 0x54dd5;

    private const int HeaderSize = 64;

    internal static UserRegs Get(Task tracee, TraceState trace)
    {
        tracee.Thread.GetRegisters(out GuestRegisters r);
        return new UserRegs
        {
            R15 = r.R15,
            R14 = r.R14,
            R13 = r.R13,
            R12 = r.R12,
            Rbp = r.Rbp,
            Rbx = r.Rbx,
            R11 = r.R11,
            R10 = r.R10,
            R9 = r.R9,
            R8 = r.R8,
            Rax = r.Rax,
            Rcx = r.Rcx,
            Rdx = r.Rdx,
            Rsi = r.Rsi,
            Rdi = r.Rdi,
            OrigRax = (ulong)trace.Call,
            Rip = r.Rip,
            Cs = CodeSegment,
            Eflags = r.Eflags,
            Rsp = r.Rsp,
            Ss = DataSegment,
            FsBase = r.FsBase,
            GsBase = r.GsBase,
        };
    }

    internal static SyscallResult Set(Task tracee, TraceState trace, in UserRegs from)
    {
        ulong limit = tracee.Memory.Limit;
        if (from.FsBase >= limit || from.GsBase >= limit || (from.Cs | 3) != CodeSegment || (from.Ss | 3) != DataSegment)
            return Errno.EIO;
        tracee.Thread.GetRegisters(out GuestRegisters r);
        trace.Call = (int)from.OrigRax;
        var to = new GuestRegisters
        {
            R8 = from.R8,
            R9 = from.R9,
            R10 = from.R10,
            R11 = from.R11,
            R12 = from.R12,
            R13 = from.R13,
            R14 = from.R14,
            R15 = from.R15,
            Rdi = from.Rdi,
            Rsi = from.Rsi,
            Rbp = from.Rbp,
            Rbx = from.Rbx,
            Rdx = from.Rdx,
            Rax = from.Rax,
            Rcx = from.Rcx,
            Rsp = from.Rsp,
            Rip = from.Rip,
            Eflags = (r.Eflags & ~SettableFlags) | (from.Eflags & SettableFlags),
            FsBase = from.FsBase,
            GsBase = from.GsBase,
        };
        tracee.Thread.SetRegisters(in to);
        return SyscallResult.Ok;
    }

    internal static byte[] GetBytes(Task tracee, TraceState trace)
    {
        UserRegs registers = Get(tracee, trace);
        return MemoryMarshal.AsBytes(new ReadOnlySpan<UserRegs>(in registers)).ToArray();
    }

    internal static SyscallResult SetBytes(Task tracee, TraceState trace, ReadOnlySpan<byte> bytes)
    {
        UserRegs registers = Get(tracee, trace);
        bytes.CopyTo(MemoryMarshal.AsBytes(new Span<UserRegs>(ref registers)));
        return Set(tracee, trace, registers);
    }

    /// <summary>A word of struct user; of what is not registers nothing is known: 0.</summary>
    internal static bool TryPeek(Task tracee, TraceState trace, ulong offset, out ulong value)
    {
        value = 0;
        if (offset % 8 != 0 || offset >= UserRegs.UserSize)
            return false;
        if (offset < UserRegs.Size)
            value = BinaryPrimitives.ReadUInt64LittleEndian(GetBytes(tracee, trace).AsSpan((int)offset));
        else if (offset >= UserRegs.DebugRegisters)
            value = (trace.Debug ?? new DebugRegisters()).Get((int)(offset - UserRegs.DebugRegisters) / 8);
        return true;
    }

    /// <summary>EIO outside the registers.</summary>
    internal static SyscallResult Poke(Task tracee, TraceState trace, ulong offset, ulong value)
    {
        if (offset % 8 != 0 || offset >= UserRegs.UserSize)
            return Errno.EIO;
        if (offset >= UserRegs.DebugRegisters)
            return (trace.Debug ??= new DebugRegisters()).Set((int)(offset - UserRegs.DebugRegisters) / 8, value, tracee.Memory);
        if (offset >= UserRegs.Size)
            return Errno.EIO;
        byte[] bytes = GetBytes(tracee, trace);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((int)offset), offset == OrigRaxOffset ? (ulong)(int)value : value);
        return SetBytes(tracee, trace, bytes);
    }

    /// <summary>The XSAVE area in its standard format, XCR0 in its reserved bytes; what a signal frame adds is left out.</summary>
    internal static byte[] GetExtended(Task tracee)
    {
        byte[] frame = new byte[Math.Max(tracee.Kernel.Host.Platform.MaxXStateSize, SignalXState.MinimumSize)];
        int length = tracee.Thread.GetXState(frame);
        if (length == 0)
            length = SignalFrame.WriteInitialState(frame);
        byte[] area = frame[..(length - 4)];
        Span<byte> words = area.AsSpan(SignalXState.SoftwareReservedOffset, SignalXState.FxsaveSize - SignalXState.SoftwareReservedOffset);
        ulong features = BinaryPrimitives.ReadUInt64LittleEndian(words[8..]);
        words.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(words, features);
        return area;
    }

    /// <summary>Takes what <see cref="GetExtended"/> gave, changed; false when no processor could load it.</summary>
    internal static bool SetExtended(Task tracee, ReadOnlySpan<byte> area)
    {
        byte[] frame = new byte[area.Length + 4];
        area.CopyTo(frame);
        Span<byte> words = frame.AsSpan(SignalXState.SoftwareReservedOffset, SignalXState.FxsaveSize - SignalXState.SoftwareReservedOffset);
        ulong features = BinaryPrimitives.ReadUInt64LittleEndian(GetExtended(tracee).AsSpan(SignalXState.SoftwareReservedOffset));
        words.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(words, SignalXState.FP_XSTATE_MAGIC1);
        BinaryPrimitives.WriteUInt32LittleEndian(words[4..], (uint)frame.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(words[8..], features);
        BinaryPrimitives.WriteUInt32LittleEndian(words[16..], (uint)area.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(area.Length), SignalXState.FP_XSTATE_MAGIC2);
        return tracee.Thread.SetXState(frame);
    }

    /// <summary>x87 and SSE registers; the others stay.</summary>
    internal static bool SetLegacy(Task tracee, ReadOnlySpan<byte> legacy)
    {
        const ulong X87AndSse = 3;
        byte[] area = GetExtended(tracee);
        legacy[..Math.Min(legacy.Length, SignalXState.SoftwareReservedOffset)].CopyTo(area);
        Span<byte> present = area.AsSpan(SignalXState.FxsaveSize, HeaderSize);
        BinaryPrimitives.WriteUInt64LittleEndian(present, BinaryPrimitives.ReadUInt64LittleEndian(present) | X87AndSse);
        return SetExtended(tracee, area);
    }
}
