using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>Control bits of a segment (RFC 9293 section 3.1, RFC 3168).</summary>
[Flags]
public enum TcpFlags : byte
{
    None = 0,
    Fin = 0x01,
    Syn = 0x02,
    Rst = 0x04,
    Psh = 0x08,
    Ack = 0x10,
    Urg = 0x20,
    Ece = 0x40,
    Cwr = 0x80,
}

/// <summary>The fixed part of a TCP header (RFC 9293 section 3.1).</summary>
public struct TcpHeader
{
    /// <summary>Bytes without options.</summary>
    public const int MinLength = 20;

    /// <summary>Bytes with all the options that fit.</summary>
    public const int MaxLength = 60;

    public const int ChecksumOffset = 16;

    public ushort SourcePort;
    public ushort DestinationPort;
    public uint Sequence;
    public uint Acknowledgment;

    /// <summary>Bytes of the header with its options.</summary>
    public int Length;

    public TcpFlags Flags;
    public ushort Window;
    public ushort UrgentPointer;

    public readonly bool Has(TcpFlags flags) => (Flags & flags) != 0;

    /// <summary>Reads a header; false when it is cut short or its length is not possible.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out TcpHeader header)
    {
        header = default;
        if (bytes.Length < MinLength)
            return false;
        header.SourcePort = BinaryPrimitives.ReadUInt16BigEndian(bytes);
        header.DestinationPort = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        header.Sequence = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]);
        header.Acknowledgment = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
        header.Length = (bytes[12] >> 4) * 4;
        header.Flags = (TcpFlags)bytes[13];
        header.Window = BinaryPrimitives.ReadUInt16BigEndian(bytes[14..]);
        header.UrgentPointer = BinaryPrimitives.ReadUInt16BigEndian(bytes[18..]);
        return header.Length >= MinLength && header.Length <= bytes.Length;
    }

    /// <summary>Writes the fixed part with a checksum of zero.</summary>
    public readonly void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt16BigEndian(bytes, SourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[2..], DestinationPort);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[4..], Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[8..], Acknowledgment);
        bytes[12] = (byte)((Length / 4) << 4);
        bytes[13] = (byte)Flags;
        BinaryPrimitives.WriteUInt16BigEndian(bytes[14..], Window);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[16..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[18..], UrgentPointer);
    }
}
