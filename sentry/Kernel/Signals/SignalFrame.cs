using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Signals;

/// <summary>The frame that a handler runs on, as Linux builds it on x86-64 (struct rt_sigframe; sigreturn(2)). It lives in guest memory, so
/// nothing of it needs saving.</summary>
internal static class SignalFrame
{
    private const ulong RedZone = 128;
    private const ushort UserCodeSegment = 0x33;
    private const ushort UserDataSegment = 0x2b;

    private const ulong TrapFlag = 0x100, DirectionFlag = 0x400, ResumeFlag = 0x10000;

    /// <summary>The flags that a program may set by itself: AC OF DF TF SF ZF AF PF CF RF.</summary>
    private const ulong RestorableFlags = 0x50dd5;

    /// <summary>No guest code or stack lies at or above this (47-bit addresses less the guard page).</summary>
    private const ulong UserEnd = 0x7ffffffff000;

    /// <summary>Builds the frame and points the registers at the handler; false when the stack can't take it.</summary>
    internal static bool Push(Task task, SignalInfo info, in SignalAction action)
    {
        if (!action.Has(SignalAct.SA_RESTORER))
            return false;
        SignalState state = task.Signals;
        task.Thread.GetRegisters(out GuestRegisters registers);
        registers.Rip = CallSites.ToNatural(task, registers.Rip);
        int room = RtSigframe.Size + 128 + Math.Max(task.Kernel.Host.Platform.MaxXStateSize, SignalXState.MinimumSize);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(room);
        try
        {
            // The extended state is fetched to where it will stand once the gap before it is known.
            Span<byte> extended = buffer.AsSpan(RtSigframe.Size + 128);
            int extendedSize = task.Thread.GetXState(extended);
            if (extendedSize == 0)
                extendedSize = WriteInitialState(extended);

            ulong stack = registers.Rsp - RedZone;
            bool nested = state.IsOnAltStack(registers.Rsp);
            bool entering = action.Has(SignalAct.SA_ONSTACK) && state.AltStackSize != 0 && !state.IsOnAltStack(stack);
            if (entering)
                stack = state.AltStack + state.AltStackSize;
            ulong fpstate = (stack - (ulong)extendedSize) & ~63UL;
            ulong frame = ((fpstate - RtSigframe.Size) & ~15UL) - 8;
            if (frame >= UserEnd || ((nested || entering) && !state.IsWithinAltStack(frame)))
                return false;

            RtSigframe contents = new() { Pretcode = action.Restorer };
            ref Ucontext context = ref contents.Context;
            context.Flags = Ucontext.UC_FP_XSTATE | Ucontext.UC_SIGCONTEXT_SS | Ucontext.UC_STRICT_RESTORE_SS;
            context.Stack = state.SaveAltStack();
            context.Sigmask = state.OuterMask;
            Save(registers, ref context.Mcontext);
            context.Mcontext.Err = state.ErrorCode;
            context.Mcontext.Trapno = state.TrapNumber;
            context.Mcontext.Cr2 = state.Cr2;
            context.Mcontext.Oldmask = state.OuterMask;
            context.Mcontext.Fpstate = fpstate;

            int gap = (int)(fpstate - frame);
            Span<byte> image = buffer.AsSpan(RtSigframe.Size + 128 - gap, gap + extendedSize);
            image[..gap].Clear();
            MemoryMarshal.Write(image, in contents);
            if (action.Has(SignalAct.SA_SIGINFO))
                info.ToBytes(image[RtSigframe.InfoOffset..]);
            if (!task.Memory.TryWriteAll(frame, image))
                return false;

            state.TakeOuterMask();
            registers.Rdi = (ulong)info.Number;
            registers.Rax = 0;
            registers.Rsi = frame + RtSigframe.InfoOffset;
            registers.Rdx = frame + RtSigframe.ContextOffset;
            registers.Rsp = frame;
            registers.Rip = action.Handler;
            registers.Eflags &= ~(DirectionFlag | ResumeFlag | TrapFlag);
            task.Thread.SetRegisters(in registers);
            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Puts the task back to where a frame says; false when the frame can't be right. The restorer has popped its return address, so
    /// the frame begins 8 bytes below the stack pointer.</summary>
    internal static bool Pop(Task task)
    {
        task.Thread.GetRegisters(out GuestRegisters registers);
        ulong frame = registers.Rsp - 8;
        if (!task.Memory.TryRead(frame, out RtSigframe contents))
            return false;
        ref Ucontext context = ref contents.Context;
        ref Sigcontext machine = ref context.Mcontext;
        bool strict = (context.Flags & Ucontext.UC_STRICT_RESTORE_SS) != 0;
        if ((machine.Cs | 3) != UserCodeSegment || (strict && (machine.Ss | 3) != UserDataSegment) || machine.Rip >= UserEnd)
            return false;
        if (!RestoreXState(task, machine.Fpstate))
            return false;

        task.Signals.Mask = context.Sigmask & ~Signal.Unblockable;
        Load(machine, ref registers);
        task.Thread.SetRegisters(in registers);

        // Linux ignores an alternate stack that can't be restored.
        task.Signals.SetAltStack(in context.Stack, registers.Rsp);
        return true;
    }

    private static void Save(in GuestRegisters from, ref Sigcontext to)
    {
        to.R8 = from.R8;
        to.R9 = from.R9;
        to.R10 = from.R10;
        to.R11 = from.R11;
        to.R12 = from.R12;
        to.R13 = from.R13;
        to.R14 = from.R14;
        to.R15 = from.R15;
        to.Rdi = from.Rdi;
        to.Rsi = from.Rsi;
        to.Rbp = from.Rbp;
        to.Rbx = from.Rbx;
        to.Rdx = from.Rdx;
        to.Rax = from.Rax;
        to.Rcx = from.Rcx;
        to.Rsp = from.Rsp;
        to.Rip = from.Rip;
        to.Eflags = from.Eflags;
        to.Cs = UserCodeSegment;
        to.Ss = UserDataSegment;
    }

    private static void Load(in Sigcontext from, ref GuestRegisters to)
    {
        to.R8 = from.R8;
        to.R9 = from.R9;
        to.R10 = from.R10;
        to.R11 = from.R11;
        to.R12 = from.R12;
        to.R13 = from.R13;
        to.R14 = from.R14;
        to.R15 = from.R15;
        to.Rdi = from.Rdi;
        to.Rsi = from.Rsi;
        to.Rbp = from.Rbp;
        to.Rbx = from.Rbx;
        to.Rdx = from.Rdx;
        to.Rax = from.Rax;
        to.Rcx = from.Rcx;
        to.Rsp = from.Rsp;
        to.Rip = from.Rip;
        to.Eflags = (to.Eflags & ~RestorableFlags) | (from.Eflags & RestorableFlags);
    }

    /// <summary>The state of a processor just initialised: default control words, all else zero.</summary>
    internal static int WriteInitialState(Span<byte> area)
    {
        area[..SignalXState.FxsaveSize].Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(area, 0x37f);
        BinaryPrimitives.WriteUInt32LittleEndian(area[24..], 0x1f80);
        BinaryPrimitives.WriteUInt32LittleEndian(area[28..], 0xffff);
        return CompletePlainState(area);
    }

    /// <summary>Makes a plain FXSAVE image the smallest whole area: x87 and SSE present, all other components initial.</summary>
    private static int CompletePlainState(Span<byte> area)
    {
        const int HeaderSize = 64, Inner = SignalXState.FxsaveSize + HeaderSize;
        const ulong X87AndSse = 3;
        Span<byte> words = area[SignalXState.SoftwareReservedOffset..SignalXState.FxsaveSize];
        words.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(words, SignalXState.FP_XSTATE_MAGIC1);
        BinaryPrimitives.WriteUInt32LittleEndian(words[4..], Inner + 4);
        BinaryPrimitives.WriteUInt64LittleEndian(words[8..], X87AndSse);
        BinaryPrimitives.WriteUInt32LittleEndian(words[16..], Inner);
        area.Slice(SignalXState.FxsaveSize, HeaderSize).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(area[SignalXState.FxsaveSize..], X87AndSse);
        BinaryPrimitives.WriteUInt32LittleEndian(area[Inner..], SignalXState.FP_XSTATE_MAGIC2);
        return Inner + 4;
    }

    private static bool RestoreXState(Task task, ulong address)
    {
        if (address == 0)
            return task.Thread.SetXState([]);
        int limit = task.Kernel.Host.Platform.MaxXStateSize;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(Math.Max(limit, SignalXState.MinimumSize));
        try
        {
            Span<byte> state = buffer;
            if (!task.Memory.TryReadAll(address, state[..SignalXState.FxsaveSize]))
                return false;
            int size = 0;
            ReadOnlySpan<byte> words = state.Slice(SignalXState.SoftwareReservedOffset, 24);
            uint whole = BinaryPrimitives.ReadUInt32LittleEndian(words[4..]);
            uint inner = BinaryPrimitives.ReadUInt32LittleEndian(words[16..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(words) == SignalXState.FP_XSTATE_MAGIC1 && whole <= limit &&
                inner >= SignalXState.FxsaveSize + 64 && inner + 4 <= whole)
            {
                // Without the second magic word the program has moved the plain FXSAVE part only.
                Span<byte> rest = state[SignalXState.FxsaveSize..(int)whole];
                if (task.Memory.TryReadAll(address + SignalXState.FxsaveSize, rest) &&
                    BinaryPrimitives.ReadUInt32LittleEndian(state[(int)inner..]) == SignalXState.FP_XSTATE_MAGIC2)
                    size = (int)whole;
            }

            if (size == 0)
                size = CompletePlainState(state);
            return task.Thread.SetXState(state[..size]);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
