using System.Buffers.Binary;

namespace Netstack.Links;

/// <summary>
/// The header in front of every frame on a link (struct virtio_net_hdr, virtio 1.2 section 5.1.6): whether the checksum is still to be
/// completed and whether the payload is to be cut into segments. In the byte order of the machine.
/// </summary>
public readonly record struct VirtioNetHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Size = 10;

    /// <summary>VIRTIO_NET_HDR_F_NEEDS_CSUM: the field at <see cref="ChecksumStart"/> + <see cref="ChecksumOffset"/> holds the pseudo-header's sum.</summary>
    public const byte NeedsChecksum = 1;

    /// <summary>VIRTIO_NET_HDR_F_DATA_VALID: the checksum was verified.</summary>
    public const byte DataValid = 2;

    /// <summary>VIRTIO_NET_HDR_GSO_*; <see cref="GsoEcn"/> is a flag beside TCP's types.</summary>
    public const byte GsoNone = 0, GsoTcpV4 = 1, GsoUdp = 3, GsoTcpV6 = 4, GsoUdpL4 = 5, GsoEcn = 0x80;

    public byte Flags { get; init; }

    public byte GsoType { get; init; }

    /// <summary>Bytes of all headers; a hint.</summary>
    public ushort HeaderLength { get; init; }

    /// <summary>Payload bytes of each segment.</summary>
    public ushort GsoSize { get; init; }

    public ushort ChecksumStart { get; init; }

    public ushort ChecksumOffset { get; init; }

    public static VirtioNetHeader Read(ReadOnlySpan<byte> bytes) => new()
    {
        Flags = bytes[0],
        GsoType = bytes[1],
        HeaderLength = BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
        GsoSize = BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
        ChecksumStart = BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
        ChecksumOffset = BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]),
    };

    public void Write(Span<byte> destination)
    {
        destination[0] = Flags;
        destination[1] = GsoType;
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], HeaderLength);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], GsoSize);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], ChecksumStart);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[8..], ChecksumOffset);
    }
}
