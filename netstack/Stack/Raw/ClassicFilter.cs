using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Netstack.Stack;

/// <summary>A classic BPF program (bpf(4) of BSD; Documentation/networking/filter.rst of Linux with its ancillary extensions), checked and interpreted.</summary>
public sealed class ClassicFilter
{
    /// <summary>BPF_MAXINSNS.</summary>
    public const int MaxInstructions = 4096;

    private const int InstructionSize = 8, MemoryWords = 16;
    private const uint AncillaryOffset = 0xffff_f000, NetworkOffset = 0xfff0_0000, LinkOffset = 0xffe0_0000;

    private readonly Instruction[] _program;

    private ClassicFilter(Instruction[] program) => _program = program;

    /// <summary>False for a program that Linux would refuse with EINVAL.</summary>
    /// <param name="program">struct sock_filter, one after the other.</param>
    /// <param name="filter">The program, ready to run.</param>
    public static bool TryDecode(ReadOnlySpan<byte> program, [NotNullWhen(true)] out ClassicFilter? filter)
    {
        filter = null;
        if (program.Length == 0 || program.Length % InstructionSize != 0 || program.Length / InstructionSize > MaxInstructions)
            return false;
        var instructions = new Instruction[program.Length / InstructionSize];
        for (int i = 0; i < instructions.Length; i++)
        {
            ReadOnlySpan<byte> bytes = program[(i * InstructionSize)..];
            instructions[i] = new Instruction(BinaryPrimitives.ReadUInt16LittleEndian(bytes), bytes[2], bytes[3], BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]));
        }

        for (int i = 0; i < instructions.Length; i++)
        {
            if (!IsValid(instructions, i))
                return false;
        }

        if ((instructions[^1].Code & 0x07) != Op.Ret || !LoadsWhatWasStored(instructions))
            return false;
        filter = new ClassicFilter(instructions);
        return true;
    }

    /// <summary>How many bytes of a packet are wanted; 0 for none.</summary>
    /// <param name="packet">Its LinkOffset and NetworkOffset are set where there are such headers.</param>
    /// <param name="start">Where loads are relative to, in the packet's buffer.</param>
    /// <param name="stack">For random numbers.</param>
    public uint Run(Packet packet, int start, NetworkStack stack)
    {
        uint a = 0, x = 0;
        Span<uint> memory = stackalloc uint[MemoryWords];
        uint length = (uint)(packet.End - start + packet.MoreLength);
        for (int pc = 0; ; pc++)
        {
            ref readonly Instruction now = ref _program[pc];
            uint k = now.K;
            switch (now.Code)
            {
                case Op.LdWordAbs or Op.LdHalfAbs or Op.LdByteAbs:
                    if (k >= AncillaryOffset)
                    {
                        if (!LoadAncillary(packet, start, k - AncillaryOffset, stack, ref a, x))
                            return 0;
                    }
                    else if (!Load(packet, start, k, SizeOf(now.Code), out a))
                    {
                        return 0;
                    }

                    break;
                case Op.LdWordInd or Op.LdHalfInd or Op.LdByteInd:
                    if (!Load(packet, start, x + k, SizeOf(now.Code), out a))
                        return 0;
                    break;
                case Op.LdxHeaderLength:
                    if (!Load(packet, start, k, 1, out uint first))
                        return 0;
                    x = (first & 0xf) * 4;
                    break;
                case Op.LdLength:
                    a = length;
                    break;
                case Op.LdxLength:
                    x = length;
                    break;
                case Op.LdImmediate:
                    a = k;
                    break;
                case Op.LdxImmediate:
                    x = k;
                    break;
                case Op.LdMemory:
                    a = memory[(int)k];
                    break;
                case Op.LdxMemory:
                    x = memory[(int)k];
                    break;
                case Op.Store:
                    memory[(int)k] = a;
                    break;
                case Op.StoreX:
                    memory[(int)k] = x;
                    break;
                case Op.Tax:
                    x = a;
                    break;
                case Op.Txa:
                    a = x;
                    break;
                case Op.RetK:
                    return k;
                case Op.RetA:
                    return a;
                case Op.Jump:
                    pc += (int)k;
                    break;
                default:
                    if ((now.Code & 0x07) == Op.Jmp)
                        pc += Compare(now.Code, a, (now.Code & Op.FromX) != 0 ? x : k) ? now.True : now.False;
                    else if (!Compute(now.Code, ref a, (now.Code & Op.FromX) != 0 ? x : k))
                        return 0;
                    break;
            }
        }
    }

    private static bool Compare(ushort code, uint a, uint operand) => (code & 0xf0) switch
    {
        0x10 => a == operand,
        0x20 => a > operand,
        0x30 => a >= operand,
        _ => (a & operand) != 0,
    };

    /// <summary>False where the program ends: a division by 0.</summary>
    private static bool Compute(ushort code, ref uint a, uint operand)
    {
        switch (code & 0xf0)
        {
            case 0x00:
                a += operand;
                return true;
            case 0x10:
                a -= operand;
                return true;
            case 0x20:
                a *= operand;
                return true;
            case 0x30 when operand != 0:
                a /= operand;
                return true;
            case 0x40:
                a |= operand;
                return true;
            case 0x50:
                a &= operand;
                return true;
            case 0x60:
                a = operand < 32 ? a << (int)operand : 0;
                return true;
            case 0x70:
                a = operand < 32 ? a >> (int)operand : 0;
                return true;
            case 0x80:
                a = 0u - a;
                return true;
            case 0x90 when operand != 0:
                a %= operand;
                return true;
            case 0xa0:
                a ^= operand;
                return true;
            default:
                return false;
        }
    }

    private static int SizeOf(ushort code) => (code & 0x18) switch
    {
        0x00 => 4,
        0x08 => 2,
        _ => 1,
    };

    private static bool Load(Packet packet, int start, uint offset, int size, out uint value)
    {
        value = 0;
        long at = start + (long)offset;
        if (offset >= LinkOffset)
        {
            // Negative offsets are relative to the network or the link header.
            bool network = offset >= NetworkOffset;
            int origin = network ? packet.NetworkOffset : packet.LinkOffset;
            if (origin < 0)
                return false;
            at = origin + (long)(offset - (network ? NetworkOffset : LinkOffset));
        }
        else if (offset > int.MaxValue)
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[4];
        if (at + size <= packet.End)
        {
            packet.Buffer.AsSpan((int)at, size).CopyTo(bytes);
        }
        else
        {
            long behind = at - packet.Start;
            if (behind > int.MaxValue || packet.CopyTo((int)behind, bytes[..size]) != size)
                return false;
        }

        value = size switch
        {
            4 => BinaryPrimitives.ReadUInt32BigEndian(bytes),
            2 => BinaryPrimitives.ReadUInt16BigEndian(bytes),
            _ => bytes[0],
        };
        return true;
    }

    /// <summary>SKF_AD_* of linux/filter.h.</summary>
    private static bool LoadAncillary(Packet packet, int start, uint which, NetworkStack stack, ref uint a, uint x)
    {
        switch (which)
        {
            case 0:
                a = packet.Protocol;
                return true;
            case 4:
                a = (uint)packet.Type;
                return true;
            case 8:
                a = (uint)(packet.Interface?.Index ?? 0);
                return packet.Interface is not null;
            case 12 or 16:
                // Attributes of netlink messages, which these are not.
                a = 0;
                return true;
            case 28:
                a = (uint)(packet.Interface?.Kind ?? 0);
                return packet.Interface is not null;
            case 40:
                a ^= x;
                return true;
            case 52:
                a = (uint)Math.Max(0, (packet.TransportOffset >= 0 ? packet.TransportOffset : packet.NetworkOffset) - start);
                return true;
            case 56:
                a = stack.NextRandom();
                return true;
            case 20 or 24 or 32 or 36 or 44 or 48 or 60:
                // Mark, queue, hash, processor and VLAN tag, none of which packets have here.
                a = 0;
                return true;
            default:
                return false;
        }
    }

    private static bool IsValid(Instruction[] program, int index)
    {
        Instruction now = program[index];
        switch (now.Code)
        {
            case Op.LdWordAbs or Op.LdHalfAbs or Op.LdByteAbs:
                // An ancillary value that is not known is refused.
                return now.K < AncillaryOffset || ((now.K - AncillaryOffset) % 4 == 0 && now.K - AncillaryOffset <= 60);
            case Op.LdWordInd or Op.LdHalfInd or Op.LdByteInd or Op.LdxHeaderLength or Op.LdLength or Op.LdxLength or Op.LdImmediate or Op.LdxImmediate
                or Op.Tax or Op.Txa or Op.RetK or Op.RetA:
                return true;
            case Op.LdMemory or Op.LdxMemory or Op.Store or Op.StoreX:
                return now.K < MemoryWords;
            case Op.Jump:
                return now.K < (uint)(program.Length - index - 1);
        }

        int operation = now.Code & 0xf0;
        switch (now.Code & ~(0xf0 | Op.FromX))
        {
            case Op.Jmp:
                return operation is >= 0x10 and <= 0x40 && index + now.True + 1 < program.Length && index + now.False + 1 < program.Length;
            case Op.Alu:
                bool fromX = (now.Code & Op.FromX) != 0;
                return operation switch
                {
                    0x30 or 0x90 => fromX || now.K != 0,
                    0x60 or 0x70 => fromX || now.K < 32,
                    0x80 => !fromX,
                    <= 0xa0 => true,
                    _ => false,
                };
            default:
                return false;
        }
    }

    /// <summary>Whether every word of memory is stored before it is loaded, on all ways (check_load_and_stores): what a program has not stored it may not see.</summary>
    private static bool LoadsWhatWasStored(Instruction[] program)
    {
        var stored = new ushort[program.Length];
        Array.Fill(stored, ushort.MaxValue);
        ushort valid = 0;
        for (int i = 0; i < program.Length; i++)
        {
            valid &= stored[i];
            Instruction now = program[i];
            switch (now.Code)
            {
                case Op.Store or Op.StoreX:
                    valid |= (ushort)(1 << (int)now.K);
                    break;
                case Op.LdMemory or Op.LdxMemory:
                    if ((valid & 1 << (int)now.K) == 0)
                        return false;
                    break;
                case Op.Jump:
                    stored[i + 1 + (int)now.K] &= valid;
                    valid = ushort.MaxValue;
                    break;
                default:
                    if ((now.Code & 0x07) == Op.Jmp)
                    {
                        stored[i + 1 + now.True] &= valid;
                        stored[i + 1 + now.False] &= valid;
                        valid = ushort.MaxValue;
                    }

                    break;
            }
        }

        return true;
    }

    private readonly record struct Instruction(ushort Code, byte True, byte False, uint K);

    /// <summary>Opcodes: class, size, mode and source in one number.</summary>
    private static class Op
    {
        public const ushort Alu = 0x04, Jmp = 0x05, Ret = 0x06, FromX = 0x08;
        public const ushort LdWordAbs = 0x20, LdHalfAbs = 0x28, LdByteAbs = 0x30, LdWordInd = 0x40, LdHalfInd = 0x48, LdByteInd = 0x50;
        public const ushort LdImmediate = 0x00, LdMemory = 0x60, LdLength = 0x80, LdxImmediate = 0x01, LdxMemory = 0x61, LdxLength = 0x81, LdxHeaderLength = 0xb1;
        public const ushort Store = 0x02, StoreX = 0x03, Jump = 0x05, RetK = 0x06, RetA = 0x16, Tax = 0x07, Txa = 0x87;
    }
}
