using System.Buffers.Binary;
using Iced.Intel;
using Sentry.Abi;
using static Iced.Intel.AssemblerRegisters;

namespace Sentry.Platform.Notify;

/// <summary>
/// The code of a stub and the ELF program that carries it. The code is a signal handler: it either reports (a system call that the
/// filter hands to the sentry) and does as the answer says, or runs a batch that the sentry put in the slot beforehand.
/// </summary>
internal sealed class StubProgram
{
    private const int CodeOffset = 0x100, TileConfigOffset = 0xF00;

    private StubProgram(byte[] image, ulong handler, ulong swap, EntryCode entry)
    {
        Image = image;
        Entry = entry;
        Handler = handler;
        Swap = swap;
    }

    /// <summary>The ELF file.</summary>
    public byte[] Image { get; }

    /// <summary>The address of the signal handler.</summary>
    public ulong Handler { get; }

    /// <summary>The address of the compare-and-exchange: rdi = word, eax = expected, ecx = desired, rbx = slot; reports what it found.</summary>
    public ulong Swap { get; }

    /// <summary>The page where rewritten call sites enter.</summary>
    public EntryCode Entry { get; }

    public static StubProgram Build()
    {
        Assembler c = new(64);
        Label handler = c.CreateLabel("handler");
        Label report = c.CreateLabel("report");
        Label batch = c.CreateLabel("batch");
        Label swap = c.CreateLabel("swap");

        // Entry of the zygote: take slot 0 as the stack and report.
        c.mov(rsp, StubLayout.Slot(0) + StubLayout.SlotSize - 64);
        c.mov(rbx, StubLayout.Slot(0));
        c.xor(r13d, r13d);
        c.mov(edi, (int)ReportKind.Birth);
        c.xor(esi, esi);
        c.jmp(report);

        EmitHandler(c, ref handler, report, batch);
        EmitReportAndBatch(c, ref report, ref batch);

        // Runs with faults unblocked, so that an address that is gone is reported like any fault.
        c.Label(ref swap);
        c.@lock.cmpxchg(__dword_ptr[rdi], ecx);
        c.mov(esi, eax);
        c.mov(edi, (int)ReportKind.Swap);
        c.jmp(report);

        using MemoryStream code = new();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(code), StubLayout.Base + CodeOffset, BlockEncoderOptions.ReturnNewInstructionOffsets);
        EntryCode entry = EntryCode.Build();
        return new StubProgram(BuildElf(code.ToArray(), entry.Page), result.GetLabelRIP(handler), result.GetLabelRIP(swap), entry);
    }

    // handler(rdi = signal, rsi = siginfo, rdx = ucontext), on the slot's signal stack with all signals blocked
    private static void EmitHandler(Assembler c, ref Label handler, Label report, Label batch)
    {
        Label signal = c.CreateLabel();
        c.Label(ref handler);
        c.mov(r13, rdx);
        c.mov(esi, edi);
        c.mov(rbx, rsp);
        c.and(rbx, -(int)StubLayout.SlotSize);
        c.cmp(edi, StubLayout.BatchSignal);
        c.jne(signal);
        c.mov(rcx, __[rbx + StubLayout.AtPrefilled]);
        c.test(rcx, rcx);
        c.je(signal);
        c.mov(__qword_ptr[rbx + StubLayout.AtPrefilled], 0);
        c.jmp(batch);
        c.Label(ref signal);
        c.xor(edi, edi);
        c.jmp(report);
    }

    // report(rdi = kind, rsi = signal or error): the sentry answers 0 (return to the frame in r13), a count of operations to run, or the
    // address of a frame to return to; -ENOSYS when there is no sentry any more.
    private static void EmitReportAndBatch(Assembler c, ref Label report, ref Label batch)
    {
        Label next = c.CreateLabel(), ran = c.CreateLabel(), system = c.CreateLabel(), good = c.CreateLabel();
        Label batchDone = c.CreateLabel(), ownFrame = c.CreateLabel(), toFrame = c.CreateLabel(), keepBases = c.CreateLabel(), die = c.CreateLabel();

        c.Label(ref report);
        c.rdfsbase(r10);
        c.rdgsbase(r9);
        c.mov(rdx, r13);
        c.mov(r8, rbx);
        c.mov(eax, StubLayout.ReportNumber);
        c.syscall();
        c.test(rax, rax);
        c.js(die);
        c.je(ownFrame);
        c.cmp(rax, 0x1000);
        c.jae(toFrame);
        c.mov(rcx, rax);

        // r12 = operations left, rbp = operation, r14 = first error
        c.Label(ref batch);
        c.mov(r12, rcx);
        c.lea(rbp, __[rbx + StubLayout.AtOperations]);
        c.xor(r14d, r14d);
        c.Label(ref next);
        c.cmp(__qword_ptr[rbp], StubLayout.TouchTiles);
        c.jne(system);
        c.mov(rax, StubLayout.Base + TileConfigOffset);
        c.ldtilecfg(__[rax]);
        c.tilezero(tmm0);
        c.tilerelease();
        c.xor(eax, eax);
        c.jmp(ran);
        c.Label(ref system);
        c.mov(rax, __[rbp]);
        c.mov(rdi, __[rbp + 8]);
        c.mov(rsi, __[rbp + 16]);
        c.mov(rdx, __[rbp + 24]);
        c.mov(r10, __[rbp + 32]);
        c.mov(r8, __[rbp + 40]);
        c.mov(r9, __[rbp + 48]);
        c.syscall();
        c.test(rax, rax);
        c.jne(ran);
        c.cmp(__qword_ptr[rbp], Sysno.clone);
        c.jne(ran);

        // Born: a forked child is on the same slot, a new thread on the top of its own. The parent-death signal is not inherited, nor is a mailbox.
        c.mov(rbx, rsp);
        c.and(rbx, -(int)StubLayout.SlotSize);
        c.mov(__qword_ptr[rbx + StubLayout.AtMailbox], 0);
        c.mov(edi, 1);
        c.mov(esi, 9);
        c.mov(eax, Sysno.prctl);
        c.syscall();
        c.mov(edi, (int)ReportKind.Birth);
        c.xor(esi, esi);
        c.jmp(report);

        c.Label(ref ran);
        c.mov(__[rbp + StubLayout.OperationResult], rax);
        c.cmp(rax, -4095);
        c.jb(good);
        c.test(r14, r14);
        c.jne(good);
        c.mov(r14, rax);
        c.Label(ref good);
        c.add(rbp, StubLayout.OperationSize);
        c.dec(r12);
        c.jne(next);
        c.mov(rax, __[rbx + StubLayout.AtAutoReturn]);
        c.mov(__qword_ptr[rbx + StubLayout.AtAutoReturn], 0);
        c.test(r14, r14);
        c.jne(batchDone);
        c.test(rax, rax);
        c.je(batchDone);
        c.cmp(rax, 0x1000);
        c.jae(toFrame);
        c.jmp(ownFrame);
        c.Label(ref batchDone);
        c.mov(edi, (int)ReportKind.Batch);
        c.mov(rsi, r14);
        c.jmp(report);

        c.Label(ref ownFrame);
        c.mov(rax, r13);
        c.Label(ref toFrame);
        c.cmp(__qword_ptr[rbx + StubLayout.AtSetBases], 0);
        c.je(keepBases);
        c.mov(__qword_ptr[rbx + StubLayout.AtSetBases], 0);
        c.mov(rcx, __[rbx + StubLayout.AtFsBase]);
        c.wrfsbase(rcx);
        c.mov(rcx, __[rbx + StubLayout.AtGsBase]);
        c.wrgsbase(rcx);
        c.Label(ref keepBases);
        c.mov(rsp, rax); // rt_sigreturn finds the ucontext at the stack pointer
        c.mov(eax, Sysno.rt_sigreturn);
        c.syscall();
        c.Label(ref die);
        c.mov(edi, 1);
        c.mov(eax, Sysno.exit_group);
        c.syscall();
        c.hlt();
    }

    // A static ELF with two segments: the pages of code (with the headers), and the first slot.
    private static byte[] BuildElf(byte[] code, byte[] entry)
    {
        if (CodeOffset + code.Length > TileConfigOffset)
            throw new InvalidOperationException("the stub's code has outgrown its page");
        byte[] elf = new byte[StubLayout.CodeSize + StubLayout.EntrySize];
        ReadOnlySpan<byte> magic = [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        magic.CopyTo(elf);
        Half(16, 2); // ET_EXEC
        Half(18, 62); // EM_X86_64
        Word(20, 1);
        Quad(24, StubLayout.Base + CodeOffset);
        Quad(32, 64);
        Half(52, 64);
        Half(54, 56);
        Half(56, 2);
        Segment(64, flags: 5, StubLayout.Base, (ulong)elf.Length, (ulong)elf.Length);
        Segment(120, flags: 6, StubLayout.Slot(0), 0, StubLayout.SlotSize);
        code.CopyTo(elf, CodeOffset);
        entry.CopyTo(elf, (int)StubLayout.CodeSize);

        // LDTILECFG operand: palette 1, tile 0 of one row of 64 bytes
        elf[TileConfigOffset] = 1;
        elf[TileConfigOffset + 16] = 64;
        elf[TileConfigOffset + 48] = 1;
        return elf;

        void Half(int at, int value) => BinaryPrimitives.WriteUInt16LittleEndian(elf.AsSpan(at), (ushort)value);
        void Word(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(elf.AsSpan(at), value);
        void Quad(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(elf.AsSpan(at), value);
        void Segment(int at, uint flags, ulong address, ulong fileSize, ulong memorySize)
        {
            Word(at, 1); // PT_LOAD
            Word(at + 4, flags);
            Quad(at + 16, address);
            Quad(at + 24, address);
            Quad(at + 32, fileSize);
            Quad(at + 40, memorySize);
            Quad(at + 48, 4096);
        }
    }
}
