using System.Buffers.Binary;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sentry.Platform.Notify;

/// <summary>
/// The page where rewritten call sites enter (<see cref="CallSiteWriter"/>): guest code as far as rights go, its system call is
/// intercepted like any. In: rax = number, arguments in their registers, rcx = a plain system-call instruction of the site's own; the code goes
/// on behind that one. All registers but rax, rcx, r11 and the arithmetic flags come back as they were (the call itself changes the three registers);
/// no stack is used, as the caller may have data below its stack pointer.
/// A thread can be stopped at every instruction: <see cref="Restore"/> then makes of its registers those at the plain call or behind it.
/// </summary>
internal sealed class EntryCode
{
    private const int KindsOffset = 0x800;

    private readonly ulong _saved;
    private readonly ulong _captured;
    private readonly ulong _copyIn;
    private readonly ulong _copyInEnd;
    private readonly ulong _returned;
    private readonly ulong _copyOut;
    private readonly ulong _copyOutEnd;
    private readonly ulong _pickUp;
    private readonly ulong _pickedUp;
    private readonly ulong _plainSaved;
    private readonly ulong _plain;

    private EntryCode(byte[] page, int length, in AssemblerResult labels, ReadOnlySpan<Label> ranges)
    {
        Page = page;
        Length = length;
        _saved = labels.GetLabelRIP(ranges[0]);
        _captured = labels.GetLabelRIP(ranges[1]);
        _copyIn = labels.GetLabelRIP(ranges[2]);
        _copyInEnd = labels.GetLabelRIP(ranges[3]);
        _returned = labels.GetLabelRIP(ranges[4]);
        _copyOut = labels.GetLabelRIP(ranges[5]);
        _copyOutEnd = labels.GetLabelRIP(ranges[6]);
        _pickUp = labels.GetLabelRIP(ranges[7]);
        _pickedUp = labels.GetLabelRIP(ranges[8]);
        _plainSaved = labels.GetLabelRIP(ranges[9]);
        _plain = labels.GetLabelRIP(ranges[10]);
    }

    /// <summary>Where a thread's registers stand, by the instruction it is at.</summary>
    public enum Place
    {
        /// <summary>Not in this code.</summary>
        Outside,

        /// <summary>Nothing has changed but r11; rcx is the plain call.</summary>
        Entering,

        /// <summary>The number and the plain call are in the mailbox, the arguments in their registers.</summary>
        Saved,

        /// <summary>The arguments are in the mailbox too: the call is being prepared, or waits there for its answer.</summary>
        Capturing,

        /// <summary>As <see cref="Capturing"/>, at an instruction that reads the guest's memory.</summary>
        CopyingIn,

        /// <summary>The call has been answered, its result is in rax.</summary>
        Answered,

        /// <summary>The result is in the mailbox.</summary>
        Emptying,

        /// <summary>As <see cref="Emptying"/>, at an instruction that writes the guest's memory.</summary>
        CopyingOut,
    }

    /// <summary>The page's bytes.</summary>
    public byte[] Page { get; }

    /// <summary>How many of them are code.</summary>
    public int Length { get; }

    /// <summary>The instruction pointer of a call that came with a mailbox, as intercepted.</summary>
    public ulong CallReturn => _returned;

    public Place PlaceOf(ulong instruction)
    {
        if (instruction - StubLayout.Entry >= StubLayout.EntrySize)
            return Place.Outside;
        if (instruction < _saved || instruction >= _plain)
            return Place.Entering;
        if (instruction < _captured)
            return Place.Saved;
        if (instruction < _returned)
            return instruction >= _copyIn && instruction < _copyInEnd ? Place.CopyingIn : Place.Capturing;
        if (instruction >= _plainSaved)
            return Place.Saved;
        if (instruction >= _pickUp)
            return instruction < _pickedUp ? Place.Capturing : Place.Answered;
        if (instruction < _copyOut)
            return Place.Answered;
        return instruction < _copyOutEnd ? Place.CopyingOut : Place.Emptying;
    }

    public static EntryCode Build()
    {
        Assembler c = new(64);
        Label saved = c.CreateLabel(), captured = c.CreateLabel(), copyIn = c.CreateLabel(), copyInEnd = c.CreateLabel(), returned = c.CreateLabel();
        Label copyOut = c.CreateLabel(), copyOutEnd = c.CreateLabel(), plain = c.CreateLabel(), plainSaved = c.CreateLabel();
        Label pickUp = c.CreateLabel(), pickedUp = c.CreateLabel();

        // The thread's mailbox; whatever the guest made of its GS base, only a slot's address is used.
        c.rdgsbase(r11);
        c.shr(r11, StubLayout.SlotsShift);
        c.cmp(r11d, (int)(StubLayout.Slots >> StubLayout.SlotsShift));
        c.jne(plain);
        c.rdgsbase(r11);
        c.mov(r11, __[r11 + StubLayout.AtMailbox]);
        c.test(r11, r11);
        c.je(plain);
        c.cmp(rax, CallKinds.Count);
        c.jae(plain);
        c.mov(__[r11 + MailboxLayout.Return], rcx);
        c.mov(__[r11 + MailboxLayout.Number], rax);
        c.Label(ref saved);
        c.mov(rcx, StubLayout.Entry + KindsOffset);
        c.mov(ecx, __[rcx + rax * 4]);
        c.test(ecx, ecx);
        c.je(plainSaved);
        AssemblerRegister64[] registers = [rdi, rsi, rdx, r10, r8, r9];
        for (int i = 0; i < registers.Length; i++)
            c.mov(__[r11 + MailboxLayout.Arguments + i * 8], registers[i]);
        c.Label(ref captured);
        EmitCapture(c, ref copyIn, ref copyInEnd);
        EmitPost(c, pickUp);
        c.mov(rax, __[r11 + MailboxLayout.Number]);
        c.mov(rdi, __[r11 + MailboxLayout.Arguments]);
        c.mov(rsi, __[r11 + MailboxLayout.Arguments + 8]);
        c.syscall();
        c.Label(ref returned);
        EmitResults(c, ref copyOut, ref copyOutEnd);

        c.Label(ref pickUp);
        c.mov(rdi, __[r11 + MailboxLayout.Arguments]);
        c.mov(rsi, __[r11 + MailboxLayout.Arguments + 8]);
        c.mov(rax, __[r11 + MailboxLayout.Answer]);
        c.Label(ref pickedUp);
        c.mov(__dword_ptr[r11 + MailboxLayout.State], (int)MailState.Idle);
        c.jmp(returned);

        c.Label(ref plainSaved);
        c.mov(rcx, __[r11 + MailboxLayout.Return]);
        c.jmp(rcx);
        c.Label(ref plain);
        c.jmp(rcx);

        using MemoryStream code = new();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(code), StubLayout.Entry, BlockEncoderOptions.ReturnNewInstructionOffsets);
        if (code.Length > KindsOffset)
            throw new InvalidOperationException("the entry code has outgrown its part of the page");
        byte[] page = new byte[StubLayout.EntrySize];
        code.ToArray().CopyTo(page, 0);
        uint[] kinds = CallKinds.Build();
        for (int i = 0; i < kinds.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(KindsOffset + i * 4), kinds[i]);
        return new EntryCode(page, (int)code.Length, result, [saved, captured, copyIn, copyInEnd, returned, copyOut, copyOutEnd, pickUp, pickedUp, plainSaved, plain]);
    }

    /// <summary>Takes a stopped thread that is in this code out of it: back to the plain call with the registers that it had there, or behind it.</summary>
    public static void Restore(Place place, Mailbox? mailbox, ThreadContext context)
    {
        if (place == Place.Entering)
            context[FrameLayout.Rip] = context[FrameLayout.Rcx];
        if (place is Place.Entering or Place.Outside || mailbox is null)
            return;
        switch (place)
        {
            case Place.Saved:
                context[FrameLayout.Rax] = mailbox.Number;
                context[FrameLayout.Rip] = mailbox.PlainCall;
                return;
            case Place.Capturing or Place.CopyingIn:
                context[FrameLayout.Rax] = mailbox.Number;
                context[FrameLayout.Rip] = mailbox.PlainCall;
                break;
            case Place.Answered:
                context[FrameLayout.Rip] = mailbox.PlainCall + 2;
                return;
            default:
                context[FrameLayout.Rax] = mailbox.Result;
                context[FrameLayout.Rip] = mailbox.PlainCall + 2;
                break;
        }

        context[FrameLayout.Rdi] = mailbox.GetArgument(0);
        context[FrameLayout.Rdi + 8] = mailbox.GetArgument(1);
    }

    // ecx = the kind; uses rax, rcx, rdi, rsi
    private static void EmitCapture(Assembler c, ref Label copyIn, ref Label copyInEnd)
    {
        Label send = c.CreateLabel(), text = c.CreateLabel(), constant = c.CreateLabel(), bytes = c.CreateLabel(), next = c.CreateLabel(), end = c.CreateLabel();
        c.mov(__qword_ptr[r11 + MailboxLayout.InLength], 0);
        Extract(edi, CallKinds.AddressShift);
        c.cmp(edi, (int)CallKinds.None);
        c.je(send);
        c.mov(rsi, __[r11 + rdi * 8 + MailboxLayout.Arguments]);
        c.test(rsi, rsi);
        c.je(send);
        c.mov(__[r11 + MailboxLayout.InAddress], rsi);
        Extract(edi, CallKinds.LengthShift);
        c.cmp(edi, (int)CallKinds.String);
        c.je(text);
        c.ja(constant);
        c.mov(rax, __[r11 + rdi * 8 + MailboxLayout.Arguments]);
        c.cmp(rax, MailboxLayout.InSize);
        c.ja(send);
        c.shr(ecx, CallKinds.ScaleShift);
        c.and(ecx, 7);
        c.shl(eax, cl);
        c.jmp(bytes);
        c.Label(ref constant);
        c.mov(eax, ecx);
        c.shr(eax, CallKinds.ConstantShift);
        c.Label(ref bytes);
        c.cmp(eax, MailboxLayout.InSize);
        c.ja(send);
        c.mov(ecx, eax);
        c.lea(rdi, __[r11 + MailboxLayout.InData]);
        c.cld();
        c.Label(ref copyIn);
        c.rep.movsb();
        c.mov(__[r11 + MailboxLayout.InLength], rax);
        c.jmp(send);
        c.Label(ref text);
        c.xor(ecx, ecx);
        c.Label(ref next);
        c.movzx(eax, __byte_ptr[rsi + rcx]);
        c.mov(__[r11 + rcx + MailboxLayout.InData], al);
        c.inc(ecx);
        c.test(al, al);
        c.je(end);
        c.cmp(ecx, MailboxLayout.InSize);
        c.jb(next);
        c.jmp(send);
        c.Label(ref end);
        c.mov(__[r11 + MailboxLayout.InLength], rcx);
        c.Label(ref copyInEnd);
        c.nop();
        c.Label(ref send);

        void Extract(AssemblerRegister32 register, int shift)
        {
            c.mov(register, ecx);
            c.shr(register, (byte)shift);
            c.and(register, 7);
        }
    }

    // When the sentry listens: leaves the call in the mailbox and waits a while for the answer. Falls through when the call is to be made; uses rax, rcx.
    private static void EmitPost(Assembler c, Label pickUp)
    {
        Label make = c.CreateLabel(), withdraw = c.CreateLabel(), wait = c.CreateLabel(), next = c.CreateLabel(), park = c.CreateLabel();
        c.cmp(__dword_ptr[r11 + MailboxLayout.Listening], 0);
        c.je(make);
        c.mov(eax, (int)MailState.Posted);
        c.xchg(__dword_ptr[r11 + MailboxLayout.State], eax);

        // The sentry that stops listening looks once more afterwards: it sees the call, or we see that it has stopped.
        c.cmp(__dword_ptr[r11 + MailboxLayout.Listening], 0);
        c.jne(wait);
        c.Label(ref withdraw);
        c.mov(eax, (int)MailState.Posted);
        c.xor(ecx, ecx);
        c.@lock.cmpxchg(__dword_ptr[r11 + MailboxLayout.State], ecx);
        c.je(make);
        c.Label(ref wait);
        c.mov(ecx, MailboxLayout.Patience);
        c.Label(ref next);
        c.mov(eax, __dword_ptr[r11 + MailboxLayout.State]);
        c.cmp(eax, (int)MailState.Answered);
        c.je(pickUp);
        c.cmp(eax, (int)MailState.Blocked);
        c.je(park);
        c.pause();
        c.dec(ecx);
        c.jne(next);
        c.cmp(eax, (int)MailState.Posted);
        c.je(withdraw);
        c.Label(ref park);
        c.mov(ecx, (int)MailState.Parking);
        c.@lock.cmpxchg(__dword_ptr[r11 + MailboxLayout.State], ecx);
        c.jne(wait);
        c.Label(ref make);
    }

    // rax = the result
    private static void EmitResults(Assembler c, ref Label copyOut, ref Label copyOutEnd)
    {
        Label pieces = c.CreateLabel(), next = c.CreateLabel();
        c.rdgsbase(r11);
        c.mov(r11, __[r11 + StubLayout.AtMailbox]);
        c.cmp(__qword_ptr[r11 + MailboxLayout.OutCount], 0);
        c.jne(pieces);
        EmitReturn(c);
        c.Label(ref pieces);
        c.mov(__[r11 + MailboxLayout.Result], rax);
        c.Label(ref copyOut);
        c.xor(eax, eax);
        c.cld();
        c.Label(ref next);
        c.mov(edi, eax);
        c.shl(edi, 4);
        c.mov(ecx, __[r11 + rdi + MailboxLayout.Outs + 8]);
        c.mov(esi, __[r11 + rdi + MailboxLayout.Outs + 12]);
        c.add(rsi, r11);
        c.mov(rdi, __[r11 + rdi + MailboxLayout.Outs]);
        c.rep.movsb();
        c.inc(eax);
        c.cmp(rax, __[r11 + MailboxLayout.OutCount]);
        c.jb(next);
        c.Label(ref copyOutEnd);
        c.mov(__qword_ptr[r11 + MailboxLayout.OutCount], 0);
        c.mov(rax, __[r11 + MailboxLayout.Result]);
        c.mov(rdi, __[r11 + MailboxLayout.Arguments]);
        c.mov(rsi, __[r11 + MailboxLayout.Arguments + 8]);
        EmitReturn(c);
    }

    private static void EmitReturn(Assembler c)
    {
        c.mov(rcx, __[r11 + MailboxLayout.Return]);
        c.add(rcx, 2);
        c.jmp(rcx);
    }
}
