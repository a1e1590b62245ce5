using Tests.Netstack.Simulation;

namespace Tests.Netstack.Raw;

public sealed class PacketSocketTests
{
    private static PacketEndpoint Packets(OneHost one, ushort protocol = EtherType.All, bool cooked = false) => one.Host.Do(s => s.Raw.CreatePacket(protocol, cooked, new EndpointOptions()));

    private static List<Datagram> All(PacketEndpoint socket)
    {
        List<Datagram> got = [];
        while (socket.Receive(false) is { } datagram)
            got.Add(datagram);
        return got;
    }

    private static byte[] Echo => Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 1, [1, 2, 3]));

    [Fact]
    public void All_SeesBothWays()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one);
        one.InjectV4(Echo);
        List<Datagram> got = All(socket);
        Assert.Equal([PacketType.Host, PacketType.Outgoing], got.Select(d => d.PacketType));
        Assert.Equal(Frames.Ethernet(one.Mac, Frames.Stranger, EtherType.Ipv4, Echo), got[0].Data);
        Assert.Equal(one.Wire.Log![^1], got[1].Data);
        Assert.Equal((Frames.Stranger, EtherType.Ipv4, one.Link.Index, 14), (got[0].LinkAddress, got[0].Protocol, got[0].InterfaceIndex, got[0].NetworkOffset));
        Assert.Equal((2u, 0u), socket.TakeStatistics());
        Assert.Equal((0u, 0u), socket.TakeStatistics());
    }

    [Fact]
    public void Protocol_SeesOnlyItsOwnIncoming()
    {
        using var one = new OneHost();
        PacketEndpoint arp = Packets(one, EtherType.Arp), ip = Packets(one, EtherType.Ipv4), none = Packets(one, 0);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, OneHost.PeerV4, default, OneHost.V4));
        one.InjectV4(Echo);
        Assert.Equal((1, 1, 0), (All(arp).Count, All(ip).Count, All(none).Count));
    }

    [Fact]
    public void Cooked_HasNoLinkHeader()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one, cooked: true);
        one.InjectV4(Echo);
        List<Datagram> got = All(socket);
        Assert.Equal(Echo, got[0].Data);
        Assert.Equal(0x45, got[1].Data[0]);
    }

    [Fact]
    public void Loopback_SeenOutAndIn_WithAHeaderOfZeros()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one);
        one.Host.SendTo(one.Host.Udp(), "127.0.0.1", 9, "x");
        List<Datagram> got = All(socket);
        Assert.Equal([PacketType.Outgoing, PacketType.Host, PacketType.Outgoing, PacketType.Host], got.Select(d => d.PacketType));
        Assert.Equal("0000000000000000000000000800", Convert.ToHexStringLower(got[0].Data.AsSpan(0, 14)));
        Assert.Equal(got[0].Data, got[1].Data);
        Assert.Equal(1, got[0].InterfaceIndex);
    }

    [Fact]
    public void Bound_SeesOneInterface()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one);
        Assert.Equal(Errno.ENODEV, one.Host.Do(_ => socket.Bind(0, 99)));
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Bind(0, one.Link.Index)));
        one.Host.SendTo(one.Host.Udp(), "127.0.0.1", 9, "x");
        Assert.Empty(All(socket));
        one.InjectV4(Echo);
        Assert.Equal(2, All(socket).Count);
    }

    [Fact]
    public void OthersFrames_OnlyWhilePromiscuous()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one);
        one.InjectV4(Echo, new MacAddress(0x020000000077));
        Assert.Empty(All(socket));
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.AddMembership(one.Link.Index, PacketMembershipType.Promiscuous)));
        Assert.True(one.Link.IsPromiscuous);
        one.InjectV4(Echo, new MacAddress(0x020000000077));
        Assert.Equal(PacketType.OtherHost, Assert.Single(All(socket)).PacketType);
        one.Host.Do(_ => socket.Close());
        Assert.False(one.Link.IsPromiscuous);
        Assert.Equal(Errno.EADDRNOTAVAIL, one.Host.Do(_ => socket.DropMembership(one.Link.Index, PacketMembershipType.Promiscuous)));
    }

    [Fact]
    public void Send_Whole_GoesOutAndIsSeenByOthersOnly()
    {
        using var one = new OneHost();
        PacketEndpoint sender = Packets(one), other = Packets(one);
        byte[] frame = Frames.Ethernet(Frames.Stranger, one.Mac, 0x88b5, [1, 2, 3]);
        Assert.Equal(Errno.ENXIO, one.Host.Do(_ => sender.Send(frame, 0, 0, default)));
        Assert.Equal(Errno.EINVAL, one.Host.Do(_ => sender.Send(frame[..13], 0, one.Link.Index, default)));
        Assert.Equal(Errno.EMSGSIZE, one.Host.Do(_ => sender.Send(new byte[1519], 0, one.Link.Index, default)));
        Assert.Equal(Errno.None, one.Host.Do(_ => sender.Send(frame, 0, one.Link.Index, default)));
        Assert.Equal(frame, Assert.Single(one.Wire.Log!));
        Assert.Empty(All(sender));
        Assert.Equal(0x88b5, Assert.Single(All(other)).Protocol);
        one.Host.Do(_ => one.Link.IsUp = false);
        Assert.Equal(Errno.ENETDOWN, one.Host.Do(_ => sender.Send(frame, 0, one.Link.Index, default)));
    }

    [Fact]
    public void Send_Cooked_GetsALinkHeader()
    {
        using var one = new OneHost();
        PacketEndpoint sender = Packets(one, cooked: true);
        Assert.Equal(Errno.None, one.Host.Do(_ => sender.Send([1, 2, 3], 0x88b5, one.Link.Index, Frames.Stranger)));
        Assert.Equal(Frames.Ethernet(Frames.Stranger, one.Mac, 0x88b5, [1, 2, 3]), Assert.Single(one.Wire.Log!));
    }

    [Fact]
    public void Send_OnLoopback_ComesInAgain_ButLoopbackSourcesAreMartian()
    {
        using var one = new OneHost();
        PacketEndpoint sender = Packets(one), other = Packets(one, EtherType.Ipv4);
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        byte[] packet = Frames.V4("127.0.0.1", "127.0.0.1", IpProtocol.Udp, Frames.Udp("127.0.0.1", 9, "127.0.0.1", 7, [1]));
        Assert.Equal(Errno.None, one.Host.Do(_ => sender.Send(Frames.Ethernet(default, default, EtherType.Ipv4, packet), 0, 1, default)));
        Assert.Equal(packet, Assert.Single(All(other)).Data[14..]);
        Assert.Null(server.Receive(false));
    }

    [Fact]
    public void Queue_Full_IsCountedAsDropped()
    {
        using var one = new OneHost();
        PacketEndpoint socket = one.Host.Do(s => s.Raw.CreatePacket(EtherType.Ipv4, false, new EndpointOptions { ReceiveBuffer = 2000 }));
        for (int i = 0; i < 10; i++)
            one.InjectV4(Echo);
        (uint received, uint dropped) = socket.TakeStatistics();
        Assert.Equal(10u, received);
        Assert.Equal(10u - (uint)All(socket).Count, dropped);
        Assert.InRange(dropped, 7u, 9u);
    }

    [Fact]
    public void Filter_CutsAndRefuses_AlsoAcrossRestore()
    {
        using var one = new OneHost();
        PacketEndpoint socket = Packets(one);

        // ldh [12]; jeq #0x806, 0, 1; ret #20; ret #0: ARP, cut to 20 bytes.
        byte[] program = Filters.Program((0x28, 0, 0, 12), (0x15, 0, 1, 0x806), (0x06, 0, 0, 20), (0x06, 0, 0, 0));
        Assert.Equal(Errno.EINVAL, socket.SetFilter([1, 2, 3]));
        Assert.Equal(Errno.None, socket.SetFilter(program));
        one.Host.SaveAndRestore();
        socket = one.Stack.Raw.PacketEndpoints.Single();
        one.InjectV4(Echo);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, OneHost.PeerV4, default, "10.0.0.77"));
        Datagram got = Assert.Single(All(socket));
        Assert.Equal((20, 42, EtherType.Arp), (got.Data.Length, got.OriginalLength, got.Protocol));
        Assert.Equal(Errno.None, socket.SetFilter(null));
        one.InjectV4(Echo);
        Assert.Equal(2, All(socket).Count);
    }
}
