using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>The header of UDP (RFC 768).</summary>
/// <param name="SourcePort">In host order.</param>
/// <param name="DestinationPort">In host order.</param>
/// <param name="Length">Bytes of header and payload; 0 in a packet cut by segmentation offload.</param>
/// <param name="HasChecksum">False when the field is 0.</param>
public readonly record struct UdpHeader(ushort SourcePort, ushort DestinationPort, int Length, bool HasChecksum)
{
    public const int Size = 8, ChecksumOffset = 6;

    public static bool TryParse(ReadOnlySpan<byte> bytes, out UdpHeader header)
    {
        header = default;
        if (bytes.Length < Size)
            return false;
        header = new UdpHeader(BinaryPrimitives.ReadUInt16BigEndian(bytes), BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]),
            BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]), (bytes[6] | bytes[7]) != 0);
        return true;
    }

    /// <summary>Writes eight bytes with a checksum of 0.</summary>
    public static void Write(Span<byte> destination, ushort sourcePort, ushort destinationPort, int length)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], destinationPort);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)length << 16);
    }
}
