namespace Netstack.Links;

/// <summary>Between packets of the stack and frames of a link: what is left to the other side of a link stands in the virtio header.</summary>
public static class OffloadHeader
{
    private const int CongestionWindowReduced = 0x80;

    /// <summary>A packet of a received frame, virtio header first, at least as long as both headers. The bytes are copied.</summary>
    public static Packet Read(ReadOnlySpan<byte> frame) => Read(frame.ToArray(), frame.Length);

    /// <summary>A packet of the first bytes of a buffer, which it takes over.</summary>
    public static Packet Read(byte[] buffer, int length)
    {
        VirtioNetHeader.TryParse(buffer, out VirtioNetHeader header);
        Packet packet = Packet.Received(buffer, VirtioNetHeader.Size, length - VirtioNetHeader.Size);
        packet.Checksum = (header.Flags & VirtioNetHeader.NeedsChecksum) != 0 ? ChecksumState.Partial
            : (header.Flags & VirtioNetHeader.DataValid) != 0 ? ChecksumState.Verified : ChecksumState.Unknown;
        if ((header.SegmentType & ~VirtioNetHeader.SegmentEcn) is VirtioNetHeader.SegmentTcpV4 or VirtioNetHeader.SegmentTcpV6)
            packet.SegmentSize = header.SegmentSize;
        return packet;
    }

    /// <summary>The header for a packet that begins at its Ethernet header.</summary>
    public static VirtioNetHeader For(Packet packet)
    {
        VirtioNetHeader header = default;
        bool isV4 = packet.NetworkOffset >= 0 && packet.Buffer[packet.NetworkOffset] >> 4 == 4;
        int transport = packet.TransportOffset - packet.Start;
        if (packet.Checksum == ChecksumState.Partial)
        {
            header = header with
            {
                Flags = VirtioNetHeader.NeedsChecksum,
                ChecksumStart = (ushort)transport,
                ChecksumOffset = ChecksumOffset(TransportProtocol(packet, isV4)),
            };
        }

        if (packet.SegmentSize <= 0 || packet.SegmentCount < 2)
            return header;
        bool ecn = (packet.Buffer[packet.TransportOffset + 13] & CongestionWindowReduced) != 0;
        return header with
        {
            SegmentType = (byte)((isV4 ? VirtioNetHeader.SegmentTcpV4 : VirtioNetHeader.SegmentTcpV6) | (ecn ? VirtioNetHeader.SegmentEcn : 0)),
            HeaderLength = (ushort)(transport + ((packet.Buffer[packet.TransportOffset + 12] >> 4) * 4)),
            SegmentSize = (ushort)packet.SegmentSize,
        };
    }

    /// <summary>A packet that begins at its Ethernet header, as a frame.</summary>
    public static byte[] Write(Packet packet)
    {
        byte[] frame = GC.AllocateUninitializedArray<byte>(VirtioNetHeader.Size + packet.Length);
        For(packet).WriteTo(frame);
        packet.CopyTo(0, frame.AsSpan(VirtioNetHeader.Size));
        return frame;
    }

    private static ushort ChecksumOffset(byte protocol) => protocol switch
    {
        IpProtocol.Tcp => 16,
        IpProtocol.Udp => 6,
        _ => 2,
    };

    private static byte TransportProtocol(Packet packet, bool isV4)
    {
        ReadOnlySpan<byte> header = packet.Buffer.AsSpan(packet.NetworkOffset, packet.TransportOffset - packet.NetworkOffset);
        if (isV4)
            return header[9];
        byte next = header[6];
        for (int at = 40; at + 2 <= header.Length;)
        {
            int length = next == IpProtocol.Fragment ? 8 : (header[at + 1] + 1) * 8;
            next = header[at];
            at += length;
        }

        return next;
    }
}
