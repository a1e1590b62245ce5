using System.Buffers.Binary;

namespace Tests.Netstack.Simulation;

/// <summary>Makes and reads frames byte by byte, by other code than the stack's own sending side where that is what is tested.</summary>
public static class Frames
{
    public static readonly MacAddress Stranger = new(0x02_aa_bb_cc_dd_ee);

    public static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(p => p)];

    public static byte[] Ethernet(MacAddress to, MacAddress from, ushort type, params byte[][] payload)
    {
        byte[] header = new byte[14];
        EthernetHeader.Write(header, to, from, type);
        return Join([header, .. payload]);
    }

    public static byte[] Arp(ushort operation, MacAddress senderMac, string sender, MacAddress targetMac, string target)
    {
        byte[] bytes = new byte[ArpPacket.Size];
        new ArpPacket(operation, senderMac, InetAddress.Parse(sender), targetMac, InetAddress.Parse(target)).WriteTo(bytes);
        return bytes;
    }

    public static byte[] V4(string from, string to, byte protocol, byte[] payload, byte ttl = 64, ushort id = 1, int offset = 0, bool more = false, bool df = false, byte[]? options = null, byte tos = 0)
    {
        int size = Ipv4Header.Size + (options?.Length ?? 0);
        byte[] header = new byte[size];
        new Ipv4Header
        {
            TotalLength = size + payload.Length,
            Protocol = protocol,
            TimeToLive = ttl,
            Identification = id,
            FragmentOffset = offset,
            MoreFragments = more,
            DontFragment = df,
            TypeOfService = tos,
            Source = InetAddress.Parse(from),
            Destination = InetAddress.Parse(to),
        }.WriteTo(header, options);
        return Join(header, payload);
    }

    public static byte[] V6(string from, string to, byte next, byte[] payload, byte hops = 64)
    {
        byte[] header = new byte[Ipv6Header.Size];
        new Ipv6Header { PayloadLength = payload.Length, NextHeader = next, HopLimit = hops, Source = InetAddress.Parse(from), Destination = InetAddress.Parse(to) }.WriteTo(header);
        return Join(header, payload);
    }

    public static byte[] Udp(string from, ushort fromPort, string to, ushort toPort, byte[] data, bool checksum = true)
    {
        byte[] bytes = new byte[8 + data.Length];
        UdpHeader.Write(bytes, fromPort, toPort, bytes.Length);
        data.CopyTo(bytes, 8);
        if (checksum)
            WriteChecksum(bytes, 6, from, to, IpProtocol.Udp);
        return bytes;
    }

    /// <summary>An ICMP (or, with addresses, ICMPv6) message with its checksum.</summary>
    public static byte[] Icmp(byte type, byte code, uint rest, byte[] body, string? from = null, string? to = null)
    {
        byte[] bytes = new byte[8 + body.Length];
        new IcmpHeader(type, code, rest).WriteTo(bytes);
        body.CopyTo(bytes, 8);
        if (from is null)
            InternetChecksum.Write(bytes.AsSpan(2), InternetChecksum.Finish(InternetChecksum.Add(0, bytes)));
        else
            WriteChecksum(bytes, 2, from, to!, IpProtocol.Icmpv6);
        return bytes;
    }

    public static byte[] Neighbour(in NeighbourMessage message, string from, string to)
    {
        byte[] bytes = new byte[message.Size];
        message.WriteTo(bytes);
        WriteChecksum(bytes, 2, from, to, IpProtocol.Icmpv6);
        return bytes;
    }

    public static void WriteChecksum(byte[] bytes, int field, string from, string to, byte protocol)
    {
        bytes.AsSpan(field, 2).Clear();
        ulong sum = InternetChecksum.PseudoHeader(InetAddress.Parse(from), InetAddress.Parse(to), protocol, bytes.Length);
        InternetChecksum.Write(bytes.AsSpan(field), InternetChecksum.Finish(InternetChecksum.Add(sum, bytes)));
    }

    public static ushort Type(byte[] frame) => BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(12));

    public static bool IsArp(byte[] frame) => Type(frame) == EtherType.Arp;

    /// <summary>The packet of a frame of IPv4 that carries a protocol; null for others.</summary>
    public static (Ipv4Header Header, byte[] Payload)? AsV4(byte[] frame, byte protocol)
    {
        if (Type(frame) != EtherType.Ipv4 || !Ipv4Header.TryParse(frame.AsSpan(14), frame.Length - 14, out Ipv4Header header) || header.Protocol != protocol)
            return null;
        return (header, frame[(14 + header.HeaderLength)..(14 + header.TotalLength)]);
    }

    public static (Ipv6Header Header, byte[] Payload)? AsV6(byte[] frame, byte next)
    {
        if (Type(frame) != EtherType.Ipv6 || !Ipv6Header.TryParse(frame.AsSpan(14), frame.Length - 14, out Ipv6Header header) || header.NextHeader != next)
            return null;
        return (header, frame[54..(54 + header.PayloadLength)]);
    }

    public static List<(Ipv4Header Header, byte[] Payload)> V4Of(this SimSegment segment, byte protocol) =>
        [.. segment.Log!.Select(f => AsV4(f, protocol)).OfType<(Ipv4Header, byte[])>()];

    public static List<(Ipv6Header Header, byte[] Payload)> V6Of(this SimSegment segment, byte next) =>
        [.. segment.Log!.Select(f => AsV6(f, next)).OfType<(Ipv6Header, byte[])>()];

    public static List<ArpPacket> ArpOf(this SimSegment segment) => [.. segment.Log!.Where(IsArp).Select(f =>
    {
        Assert.True(ArpPacket.TryParse(f.AsSpan(14), out ArpPacket arp));
        return arp;
    })];
}
