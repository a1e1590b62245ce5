using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Netstack.Wire;

/// <summary>A block of a selective acknowledgment (RFC 2018): from <paramref name="Start"/> up to, not including, <paramref name="End"/>.</summary>
public readonly record struct SackBlock(uint Start, uint End);

/// <summary>The blocks of one segment; four are all that fit.</summary>
[InlineArray(4)]
public struct SackBlocks
{
    private SackBlock _first;
}

/// <summary>The options of a TCP header that this stack speaks: MSS, window scale, SACK, timestamps (RFC 9293, 7323, 2018).</summary>
public struct TcpHeaderOptions
{
    /// <summary>Bytes that timestamps take in every segment, with padding.</summary>
    public const int TimestampLength = 12;

    /// <summary>The largest shift (RFC 7323 section 2.3).</summary>
    public const int MaxWindowScale = 14;

    private const byte EndKind = 0, NoOpKind = 1, MssKind = 2, WindowScaleKind = 3, SackPermittedKind = 4, SackKind = 5, TimestampKind = 8, Md5Kind = 19;

    /// <summary>0: the option is not there.</summary>
    public ushort Mss;

    public bool HasWindowScale;
    public byte WindowScale;
    public bool SackPermitted;
    public bool HasTimestamp;
    public uint TimestampValue;
    public uint TimestampEcho;

    /// <summary>A signature (RFC 2385), which nobody here can have asked for.</summary>
    public bool HasSignature;

    public int BlockCount;
    public SackBlocks Blocks;

    /// <summary>Reads the options behind the fixed header. What is malformed ends the reading, as in Linux: the rest of the segment still counts.</summary>
    /// <param name="options">Bytes between fixed header and payload.</param>
    /// <param name="isSyn">MSS, window scale and SACK-permitted count in SYN segments alone.</param>
    /// <param name="parsed">What was found.</param>
    public static void Read(ReadOnlySpan<byte> options, bool isSyn, out TcpHeaderOptions parsed)
    {
        parsed = default;
        if (options.Length == TimestampLength && !isSyn && BinaryPrimitives.ReadUInt32BigEndian(options) == 0x0101080a)
        {
            parsed.ReadTimestamp(options[4..]);
            return;
        }

        while (options.Length > 0)
        {
            byte kind = options[0];
            if (kind == EndKind)
                return;
            if (kind == NoOpKind)
            {
                options = options[1..];
                continue;
            }

            if (options.Length < 2 || options[1] < 2 || options[1] > options.Length)
                return;
            int length = options[1];
            parsed.ReadOne(kind, options[2..length], isSyn);
            options = options[length..];
        }
    }

    private void ReadTimestamp(ReadOnlySpan<byte> value)
    {
        HasTimestamp = true;
        TimestampValue = BinaryPrimitives.ReadUInt32BigEndian(value);
        TimestampEcho = BinaryPrimitives.ReadUInt32BigEndian(value[4..]);
    }

    private void ReadOne(byte kind, ReadOnlySpan<byte> value, bool isSyn)
    {
        switch (kind)
        {
            case MssKind when isSyn && value.Length == 2:
                Mss = BinaryPrimitives.ReadUInt16BigEndian(value);
                break;
            case WindowScaleKind when isSyn && value.Length == 1:
                HasWindowScale = true;
                WindowScale = Math.Min(value[0], (byte)MaxWindowScale);
                break;
            case SackPermittedKind when isSyn && value.Length == 0:
                SackPermitted = true;
                break;
            case TimestampKind when value.Length == 8:
                ReadTimestamp(value);
                break;
            case Md5Kind when value.Length == 16:
                HasSignature = true;
                break;
            case SackKind when !isSyn && value.Length >= 8 && value.Length % 8 == 0 && BlockCount == 0:
                for (; BlockCount < 4 && value.Length >= 8; value = value[8..])
                    Blocks[BlockCount++] = new SackBlock(BinaryPrimitives.ReadUInt32BigEndian(value), BinaryPrimitives.ReadUInt32BigEndian(value[4..]));
                break;
        }
    }

    /// <summary>Bytes that <see cref="Write"/> will need.</summary>
    public readonly int Length(bool isSyn)
    {
        int length = 0;
        if (isSyn)
        {
            length += Mss != 0 ? 4 : 0;
            length += HasWindowScale ? 4 : 0;
            length += SackPermitted && !HasTimestamp ? 4 : 0;
        }

        length += HasTimestamp ? TimestampLength : 0;
        length += BlockCount > 0 ? 4 + (8 * BlockCount) : 0;
        return length;
    }

    /// <summary>Writes the options in the order and with the padding of Linux, which middle boxes are used to.</summary>
    public readonly void Write(Span<byte> bytes, bool isSyn)
    {
        if (isSyn && Mss != 0)
        {
            bytes[0] = MssKind;
            bytes[1] = 4;
            BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], Mss);
            bytes = bytes[4..];
        }

        bool permit = isSyn && SackPermitted;
        if (HasTimestamp)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, permit ? 0x0402080a : 0x0101080au);
            BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], TimestampValue);
            BinaryPrimitives.WriteUInt32BigEndian(bytes[8..], TimestampEcho);
            bytes = bytes[TimestampLength..];
        }
        else if (permit)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, 0x01010402);
            bytes = bytes[4..];
        }

        if (isSyn && HasWindowScale)
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, 0x01030300u | WindowScale);
            bytes = bytes[4..];
        }

        if (BlockCount == 0)
            return;
        BinaryPrimitives.WriteUInt32BigEndian(bytes, 0x01010500u | (uint)(2 + (8 * BlockCount)));
        bytes = bytes[4..];
        for (int i = 0; i < BlockCount; i++, bytes = bytes[8..])
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes, Blocks[i].Start);
            BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], Blocks[i].End);
        }
    }
}
