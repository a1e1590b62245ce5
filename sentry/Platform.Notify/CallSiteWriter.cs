using System.Buffers.Binary;
using Iced.Intel;

namespace Sentry.Platform.Notify;

/// <summary>
/// Rewrites system-call instructions so that they enter the entry code. No instruction of the program loses its first byte to another
/// one, so a jump to any of them still means what it meant; there are two ways:
/// <list type="bullet">
/// <item>the two bytes of the call become a short jump to padding behind the end of the function, which becomes a jump to the trampoline. Padding
/// is bytes that nothing can reach: no-operations or breakpoints right behind a return or jump;</item>
/// <item>where there is none, a <c>mov eax, number</c> in front of the call becomes the jump; the call stays.</item>
/// </list>
/// </summary>
internal static class CallSiteWriter
{
    private const int CallLength = 2, JumpLength = 5, ShortReach = 127, PlainCallOffset = 21;

    public static CallSitePlan? Plan(ReadOnlySpan<byte> code, int site, long trampoline, int number, ulong entry)
    {
        if (site + CallLength > code.Length || code[site] != 0x0F || code[site + 1] != 0x05 || trampoline is > int.MaxValue / 2 or < int.MinValue / 2)
            return null;
        int padding = FindPadding(code, site);
        if (padding > 0)
        {
            int offset = padding - site;
            return new CallSitePlan(
                [(offset, Jump(offset, trampoline)), (0, [0xEB, (byte)(offset - CallLength)])],
                Trampoline([], trampoline, entry),
                PlainCallOffset,
                Start: 0);
        }

        // mov eax, imm32; a REX prefix in front would make it another register's
        int load = site - JumpLength;
        if (load < 1 || code[load] != 0xB8 || code[load - 1] is >= 0x40 and <= 0x4F || BinaryPrimitives.ReadInt32LittleEndian(code[(load + 1)..]) != number)
            return null;
        byte[] copy = code.Slice(load, JumpLength).ToArray();
        return new CallSitePlan([(-JumpLength, Jump(-JumpLength, trampoline))], Trampoline(copy, trampoline, entry), copy.Length + PlainCallOffset, Start: -JumpLength);
    }

    /// <summary>Five unreachable bytes within reach of a short jump at the site; 0 when there are none.</summary>
    private static int FindPadding(ReadOnlySpan<byte> code, int site)
    {
        int at = site + CallLength, farthest = site + CallLength + ShortReach, start = 0;
        bool unreachable = false;
        Decoder decoder = Decoder.Create(64, new ByteArrayCodeReader(code[at..].ToArray()), (ulong)at);
        List<ulong> targets = [];
        while (at <= farthest && at < code.Length)
        {
            Instruction instruction = decoder.Decode();
            if (instruction.IsInvalid)
                return 0;
            bool isPadding = unreachable && instruction.Mnemonic is Mnemonic.Nop or Mnemonic.Int3;
            if (isPadding)
            {
                start = start == 0 ? at : start;
                int end = at + instruction.Length;
                if (end - start >= JumpLength)
                    return targets.Exists(t => t >= (ulong)start && t < (ulong)(start + JumpLength)) ? 0 : start;
            }
            else
            {
                start = 0;
                if (instruction.FlowControl is FlowControl.ConditionalBranch or FlowControl.UnconditionalBranch or FlowControl.Call)
                    targets.Add(instruction.NearBranchTarget);
                unreachable = instruction.FlowControl is FlowControl.Return or FlowControl.UnconditionalBranch or FlowControl.IndirectBranch;
            }

            at += instruction.Length;
        }

        return 0;
    }

    // jmp rel32 at an offset from the site
    private static byte[] Jump(int offset, long trampoline)
    {
        byte[] jump = new byte[JumpLength];
        jump[0] = 0xE9;
        BinaryPrimitives.WriteInt32LittleEndian(jump.AsSpan(1), (int)(trampoline - (offset + JumpLength)));
        return jump;
    }

    private static byte[] Trampoline(ReadOnlySpan<byte> first, long trampoline, ulong entry)
    {
        byte[] code =
        [
            .. first,
            0x48, 0x8D, 0x0D, 0x0E, 0x00, 0x00, 0x00, // lea rcx, [plain call]
            0xFF, 0x25, 0x00, 0x00, 0x00, 0x00, // jmp [the next eight bytes]
            0, 0, 0, 0, 0, 0, 0, 0,
            0x0F, 0x05, // the plain call: syscall
            0xE9, 0, 0, 0, 0, // jmp behind the site's call
        ];
        BinaryPrimitives.WriteUInt64LittleEndian(code.AsSpan(first.Length + 13), entry);
        BinaryPrimitives.WriteInt32LittleEndian(code.AsSpan(code.Length - 4), (int)(CallLength - (trampoline + code.Length)));
        return code;
    }
}
