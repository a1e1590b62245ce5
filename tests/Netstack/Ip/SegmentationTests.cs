using System.Buffers.Binary;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

/// <summary>Packets with a SegmentSize, on interfaces that do not cut them.</summary>
public sealed class SegmentationTests
{
    private const byte Fin = 1, Psh = 8, Ack = 0x10, Cwr = 0x80;

    /// <summary>A TCP segment of <paramref name="length"/> payload bytes as the transport hands it down.</summary>
    private static Packet Tcp(bool isV6, int length, int segmentSize, byte flags, byte[] data)
    {
        const int header = 32;
        Packet packet = Packet.Create();
        Span<byte> tcp = packet.Prepend(header);
        tcp.Clear();
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 1000);
        BinaryPrimitives.WriteUInt16BigEndian(tcp[2..], 80);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], 0xfffffff0);
        BinaryPrimitives.WriteUInt32BigEndian(tcp[8..], 77);
        tcp[12] = header / 4 << 4;
        tcp[13] = flags;
        tcp[14] = 0x10;
        InetAddress from = InetAddress.Parse(isV6 ? OneHost.V6 : OneHost.V4), to = InetAddress.Parse(isV6 ? OneHost.PeerV6 : OneHost.PeerV4);
        InternetChecksum.Write(tcp[16..], InternetChecksum.Fold(InternetChecksum.PseudoHeader(from, to, IpProtocol.Tcp, header + length)));
        packet.Append(data.AsMemory(0, length / 3));
        packet.Append(data.AsMemory(length / 3, length - (length / 3)));
        packet.Checksum = ChecksumState.Partial;
        packet.SegmentSize = segmentSize;
        return packet;
    }

    private static List<(int Total, byte[] Tcp)> Send(OneHost one, Packet packet, bool isV6)
    {
        InetAddress to = InetAddress.Parse(isV6 ? OneHost.PeerV6 : OneHost.PeerV4);
        one.Host.Do(s =>
        {
            Route route = s.Ip.FindRoute(to, default).Value;
            Assert.Equal(Errno.None, s.Ip.Send(packet, route, route.Source, to, new IpSendOptions(IpProtocol.Tcp, 64, 2) { DontFragment = true }));
        });
        return isV6 ? [.. one.Wire.V6Of(IpProtocol.Tcp).Select(p => (p.Header.PayloadLength + 40, p.Payload))] : [.. one.Wire.V4Of(IpProtocol.Tcp).Select(p => (p.Header.TotalLength, p.Payload))];
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tcp_IsCutIntoSegmentsWithRightNumbersFlagsAndChecksums(bool isV6)
    {
        using var one = new OneHost();
        byte[] data = Sockets.Pattern(3501);
        List<(int Total, byte[] Tcp)> segments = Send(one, Tcp(isV6, 3501, 1001, Fin | Psh | Ack | Cwr, data), isV6);

        Assert.Equal([1001, 1001, 1001, 498], segments.Select(s => s.Tcp.Length - 32));
        Assert.Equal(data, segments.SelectMany(s => s.Tcp[32..]));
        Assert.Equal([0xfffffff0, 0x3d9, 0x7c2, 0xbab], segments.Select(s => BinaryPrimitives.ReadUInt32BigEndian(s.Tcp.AsSpan(4))));
        Assert.Equal([Ack | Cwr, Ack, Ack, Fin | Psh | Ack], segments.Select(s => (int)s.Tcp[13]));
        InetAddress from = InetAddress.Parse(isV6 ? OneHost.V6 : OneHost.V4), to = InetAddress.Parse(isV6 ? OneHost.PeerV6 : OneHost.PeerV4);
        Assert.All(segments, s => Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(InternetChecksum.PseudoHeader(from, to, IpProtocol.Tcp, s.Tcp.Length), s.Tcp))));
        if (!isV6)
            Assert.All(one.Wire.Log!, f => Assert.True(Ipv4Header.IsChecksumRight(f.AsSpan(14), 20)));
    }

    [Fact]
    public void Tcp_PayloadOfOneSegment_IsNotCut()
    {
        using var one = new OneHost();
        byte[] data = Sockets.Pattern(1000);
        Assert.Equal(1052, Assert.Single(Send(one, Tcp(false, 1000, 1000, Psh | Ack, data), false)).Total);
    }

    [Fact]
    public void Partial_WithoutSegments_IsCompleted()
    {
        using var one = new OneHost();
        byte[] tcp = Assert.Single(Send(one, Tcp(false, 777, 0, Ack, Sockets.Pattern(777)), false)).Tcp;
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(InternetChecksum.PseudoHeader(InetAddress.Parse(OneHost.V4), InetAddress.Parse(OneHost.PeerV4), IpProtocol.Tcp, tcp.Length), tcp)));
    }

    [Fact]
    public void Offloads_PacketsPassWhole_WithThePseudoHeadersSum()
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        wire.Log = [];
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, offloads: true, OneHost.V4 + "/24");
        b.Attach(wire, offloads: true, OneHost.PeerV4 + "/24");
        a.SendTo(a.Udp(), OneHost.PeerV4, 9, "x");
        net.RunFor(SimNetwork.Second);
        wire.Log.Clear();
        byte[] data = Sockets.Pattern(60_000);
        a.Do(s =>
        {
            InetAddress to = InetAddress.Parse(OneHost.PeerV4);
            Route route = s.Ip.FindRoute(to, default).Value;
            Assert.Equal(Errno.None, s.Ip.Send(Tcp(false, 60_000, 1448, Ack, data), route, route.Source, to, new IpSendOptions(IpProtocol.Tcp, 64, 0) { DontFragment = true }));
        });
        byte[] tcp = Assert.Single(wire.V4Of(IpProtocol.Tcp)).Payload;
        Assert.Equal(60_032, tcp.Length);
        ulong pseudo = InternetChecksum.PseudoHeader(InetAddress.Parse(OneHost.V4), InetAddress.Parse(OneHost.PeerV4), IpProtocol.Tcp, tcp.Length);
        Assert.Equal(InternetChecksum.Fold(pseudo), BitConverter.ToUInt16(tcp, 16));
        net.RunFor(SimNetwork.Second);

        // Taken as it is: the segment belongs to no connection, and is answered with a reset, not dropped for its checksum.
        Assert.Equal(1, b.Stack.Counters.TcpResetsSent);
        Assert.Equal(0, b.Stack.Counters.TcpChecksumErrors);
    }
}
