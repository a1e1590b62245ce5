using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What a driver without offloads does not do: cutting packets with a SegmentSize into TCP segments or UDP datagrams, and completing checksums.</summary>
internal static class Segmentation
{
    private const int TcpHeaderSize = 20, TcpChecksum = 16, TcpFlags = 13;
    private const byte Fin = 0x01, Psh = 0x08, Cwr = 0x80;

    /// <summary>The transport checksum of a packet whose field holds the pseudo-header's sum. Start is at the IP header.</summary>
    public static void CompleteChecksum(Packet packet)
    {
        packet.Checksum = ChecksumState.Unknown;
        int field = ChecksumField(packet.TransportProtocol);
        if (field < 0 || packet.TransportOffset < 0 || packet.TransportOffset + field + 2 > packet.End)
            return;
        ushort checksum = InternetChecksum.Finish(packet.Sum(packet.TransportOffset - packet.Start));
        if (checksum == 0 && packet.TransportProtocol == IpProtocol.Udp)
            checksum = 0xffff;
        InternetChecksum.Write(packet.Buffer.AsSpan(packet.TransportOffset + field), checksum);
    }

    /// <summary>Where the checksum stands in a transport header; -1 for protocols without one.</summary>
    public static int ChecksumField(byte protocol) => protocol switch
    {
        IpProtocol.Tcp => TcpChecksum,
        IpProtocol.Udp => UdpHeader.ChecksumOffset,
        IpProtocol.Icmp or IpProtocol.Icmpv6 => IcmpHeader.ChecksumOffset,
        _ => -1,
    };

    /// <summary>Cuts a packet (from its IP header on) into packets of the wire with checksums of their own. Payload is shared, not copied.</summary>
    public static List<Packet> Split(Packet packet)
    {
        List<Packet> segments = [];
        int network = packet.Start;
        int transport = packet.TransportOffset - network;
        bool isTcp = packet.TransportProtocol == IpProtocol.Tcp;
        int transportLength = isTcp ? (packet.Buffer[packet.TransportOffset + 12] >> 4) * 4 : UdpHeader.Size;
        int headers = transport + transportLength;
        if (packet.End - network < headers || (isTcp && transportLength < TcpHeaderSize))
            return segments;

        bool isV4 = packet.Protocol == EtherType.Ipv4;
        ReadOnlySpan<byte> original = packet.Head[..headers];
        Addresses(original, isV4, out InetAddress source, out InetAddress destination);
        uint sequence = isTcp ? BinaryPrimitives.ReadUInt32BigEndian(original[(transport + 4)..]) : 0;
        ushort identification = isV4 ? BinaryPrimitives.ReadUInt16BigEndian(original[4..]) : (ushort)0;
        bool hasDontFragment = isV4 && (original[6] & 0x40) != 0;
        byte flags = isTcp ? original[transport + TcpFlags] : (byte)0;
        int payload = packet.Length - headers;
        for (int offset = 0; offset < payload; offset += packet.SegmentSize)
        {
            int length = Math.Min(packet.SegmentSize, payload - offset);
            bool isLast = offset + length == payload;
            Packet segment = Packet.Create();
            segment.AppendShared(packet, headers + offset, length);
            Span<byte> head = segment.Prepend(headers);
            packet.Buffer.AsSpan(network, headers).CopyTo(head);
            segment.Protocol = packet.Protocol;
            segment.Interface = packet.Interface;
            segment.Type = packet.Type;
            segment.TransportProtocol = packet.TransportProtocol;
            segment.NetworkOffset = segment.Start;
            segment.TransportOffset = segment.Start + transport;
            if (isV4)
            {
                BinaryPrimitives.WriteUInt16BigEndian(head[2..], (ushort)(headers + length));
                if (!hasDontFragment)
                    BinaryPrimitives.WriteUInt16BigEndian(head[4..], identification++);
                Ipv4Header.WriteChecksum(head[..((head[0] & 0xf) * 4)]);
            }
            else
            {
                BinaryPrimitives.WriteUInt16BigEndian(head[4..], (ushort)(headers - Ipv6Header.Size + length));
            }

            Span<byte> header = head[transport..];
            if (isTcp)
            {
                BinaryPrimitives.WriteUInt32BigEndian(header[4..], sequence + (uint)offset);
                byte own = isLast ? flags : (byte)(flags & ~(Fin | Psh));
                header[TcpFlags] = offset == 0 ? own : (byte)(own & ~Cwr);
            }
            else
            {
                BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)(UdpHeader.Size + length));
            }

            ulong pseudo = InternetChecksum.PseudoHeader(source, destination, packet.TransportProtocol, transportLength + length);
            InternetChecksum.Write(header[ChecksumField(packet.TransportProtocol)..], InternetChecksum.Fold(pseudo));
            segment.Checksum = ChecksumState.Partial;
            segments.Add(segment);
        }

        return segments;
    }

    private static void Addresses(ReadOnlySpan<byte> head, bool isV4, out InetAddress source, out InetAddress destination)
    {
        int size = isV4 ? 4 : 16, offset = isV4 ? 12 : 8;
        source = InetAddress.FromBytes(head.Slice(offset, size));
        destination = InetAddress.FromBytes(head.Slice(offset + size, size));
    }
}
