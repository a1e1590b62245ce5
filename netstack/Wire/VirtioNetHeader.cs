using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>struct virtio_net_hdr (virtio 1.2, section 5.1.6): ten bytes, little-endian, in front of frames of a TAP with IFF_VNET_HDR and of packet
/// sockets with PACKET_VNET_HDR.</summary>
/// <param name="Flags"><see cref="NeedsChecksum"/>, <see cref="DataValid"/>.</param>
/// <param name="SegmentType">One of the Segment constants, perhaps with <see cref="SegmentEcn"/>.</param>
/// <param name="HeaderLength">Bytes of all headers of a packet to be cut; a hint.</param>
/// <param name="SegmentSize">Payload bytes of each segment.</param>
/// <param name="ChecksumStart">Where summing starts.</param>
/// <param name="ChecksumOffset">Where the sum goes, after the start.</param>
public readonly record struct VirtioNetHeader(byte Flags, byte SegmentType, ushort HeaderLength, ushort SegmentSize, ushort ChecksumStart, ushort ChecksumOffset)
{
    public const int Size = 10;
    public const byte NeedsChecksum = 1, DataValid = 2;
    public const byte SegmentNone = 0, SegmentTcpV4 = 1, SegmentUdp = 3, SegmentTcpV6 = 4, SegmentUdpL4 = 5, SegmentEcn = 0x80;

    public static bool TryParse(ReadOnlySpan<byte> bytes, out VirtioNetHeader header)
    {
        header = default;
        if (bytes.Length < Size)
            return false;
        header = new VirtioNetHeader(bytes[0], bytes[1], BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]));
        return true;
    }

    public void WriteTo(Span<byte> destination)
    {
        destination[0] = Flags;
        destination[1] = SegmentType;
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], SegmentSize);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], ChecksumStart);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[8..], ChecksumOffset);
    }
}
