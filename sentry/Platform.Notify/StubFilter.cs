using Sentry.Abi;

namespace Sentry.Platform.Notify;

/// <summary>
/// The seccomp filter of every stub (classic BPF): all calls go to the sentry but a short list made from the stub's page, with which a guest
/// that jumps there can only take memory from itself, add memory without content, or end itself. Making threads and mapping descriptors are not on
/// it, nor what changes a mapping that is there: parts of the arena are mapped, and mremap(2) would make such a part longer, mprotect(2) writable,
/// madvise(2) empty (MADV_REMOVE). Those operations of the stub are notifications too, which the sentry lets continue when it ordered exactly that.
/// </summary>
internal static class StubFilter
{
    private const uint Allow = 0x7FFF_0000, Notify = 0x7FC0_0000, RefuseWithEnosys = 0x0005_0000 | (uint)Errno.ENOSYS;
    private const ushort Load = 0x20, IfEqual = 0x15, IfGreaterOrEqual = 0x35, IfBitSet = 0x45, Answer = 0x06;

    // struct seccomp_data: number, architecture, instruction pointer, arguments (low half first)
    private const uint AtNumber = 0, AtArchitecture = 4, AtPointerLow = 8, AtPointerHigh = 12, AtArgument0 = 16, AtArgument1 = 24, AtArgument3 = 40;

    // Jump targets beyond the next instruction.
    private const int Next = 0, ToAllow = -1, ToNotify = -2, ToRefuse = -3;

    /// <summary>Each instruction is code | jt &lt;&lt; 16 | jf &lt;&lt; 24 | k &lt;&lt; 32.</summary>
    public static ulong[] Build()
    {
        const uint X86Architecture64 = 0xC000_003E, X32Bit = 0x4000_0000, MapAnonymous = 0x20;
        uint low = unchecked((uint)StubLayout.Base);
        List<(ushort Code, int True, int False, uint Operand)> program =
        [
            (Load, Next, Next, AtArchitecture), (IfEqual, Next, ToRefuse, X86Architecture64),
            (Load, Next, Next, AtNumber), (IfGreaterOrEqual, ToRefuse, Next, X32Bit),
            (Load, Next, Next, AtPointerHigh), (IfEqual, Next, ToNotify, (uint)(StubLayout.Base >> 32)),
            (Load, Next, Next, AtPointerLow), (IfGreaterOrEqual, Next, ToNotify, low), (IfGreaterOrEqual, ToNotify, Next, low + (uint)StubLayout.CodeSize),
            (Load, Next, Next, AtNumber),
        ];
        foreach (int number in (ReadOnlySpan<int>)[Sysno.rt_sigreturn, Sysno.munmap, Sysno.close, Sysno.exit, Sysno.exit_group])
            program.Add((IfEqual, ToAllow, Next, (uint)number));

        // mmap: only without a descriptor
        program.Add((IfEqual, Next, 2, Sysno.mmap));
        program.Add((Load, Next, Next, AtArgument3));
        program.Add((IfBitSet, ToAllow, ToNotify, MapAnonymous));

        // prctl: only PR_SET_PDEATHSIG to SIGKILL
        program.Add((IfEqual, Next, ToNotify, Sysno.prctl));
        program.Add((Load, Next, Next, AtArgument0));
        program.Add((IfEqual, Next, ToNotify, 1));
        program.Add((Load, Next, Next, AtArgument1));
        program.Add((IfEqual, ToAllow, ToNotify, 9));

        int count = program.Count;
        ulong[] code = new ulong[count + 3];
        for (int i = 0; i < count; i++)
        {
            (ushort operation, int yes, int no, uint operand) = program[i];
            code[i] = operation | Distance(i, yes) << 16 | Distance(i, no) << 24 | (ulong)operand << 32;
        }

        code[count] = Answer | (ulong)Allow << 32;
        code[count + 1] = Answer | (ulong)Notify << 32;
        code[count + 2] = Answer | (ulong)RefuseWithEnosys << 32;
        return code;

        ulong Distance(int from, int target) => (ulong)(byte)(target >= 0 ? target : count - target - 1 - (from + 1));
    }
}
