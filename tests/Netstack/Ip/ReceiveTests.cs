using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class ReceiveTests
{
    private static byte[] Datagram(string from, string to) => Frames.Udp(from, 9, to, 7, [1, 2, 3]);

    private static bool TakesV4(string from, string to, Action<OneHost>? prepare = null, Func<byte[], byte[]>? change = null, MacAddress? mac = null)
    {
        using var one = new OneHost(name: nameof(ReceiveTests));
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        prepare?.Invoke(one);
        byte[] packet = Frames.V4(from, to, IpProtocol.Udp, Datagram(from, to));
        one.InjectV4(change is null ? packet : change(packet), mac);
        return server.Receive(false) is not null;
    }

    private static bool TakesV6(string from, string to, MacAddress? mac = null)
    {
        using var one = new OneHost(name: nameof(ReceiveTests));
        UdpEndpoint server = one.Host.Udp("::", 7, isV6: true);
        one.InjectV6(Frames.V6(from, to, IpProtocol.Udp, Datagram(from, to)), mac);
        return server.Receive(false) is not null;
    }

    [Fact]
    public void V4_Unicast_IsTaken() => Assert.True(TakesV4("10.0.0.9", "10.0.0.1"));

    [Theory]
    [InlineData("127.0.0.1", "10.0.0.1", "loopback source")]
    [InlineData("10.0.0.9", "127.0.0.1", "loopback destination")]
    [InlineData("224.0.0.1", "10.0.0.1", "multicast source")]
    [InlineData("255.255.255.255", "10.0.0.1", "broadcast source")]
    [InlineData("10.0.0.255", "10.0.0.1", "subnet broadcast source")]
    [InlineData("0.0.0.0", "10.0.0.1", "unspecified source")]
    [InlineData("0.1.2.3", "10.0.0.1", "zero net source")]
    [InlineData("10.0.0.9", "0.0.0.0", "unspecified destination")]
    [InlineData("10.0.0.1", "10.0.0.1", "own address as source")]
    [InlineData("10.0.0.9", "10.0.0.77", "another's address")]
    [InlineData("10.0.0.9", "239.1.1.1", "group that was not joined")]
    public void V4_Martian_IsDropped(string from, string to, string why) => Assert.False(TakesV4(from, to), why);

    [Theory]
    [InlineData("10.0.0.9", "10.0.0.255")]
    [InlineData("10.0.0.9", "255.255.255.255")]
    [InlineData("0.0.0.0", "255.255.255.255")]
    public void V4_Broadcast_IsTaken(string from, string to) => Assert.True(TakesV4(from, to, mac: MacAddress.Broadcast));

    [Fact]
    public void V4_WrongHeaderChecksum_IsDropped() => Assert.False(TakesV4("10.0.0.9", "10.0.0.1", change: p =>
    {
        p[10] ^= 1;
        return p;
    }));

    [Fact]
    public void V4_WrongUdpChecksum_IsDropped() => Assert.False(TakesV4("10.0.0.9", "10.0.0.1", change: p =>
    {
        p[^1] ^= 1;
        return p;
    }));

    [Fact]
    public void V4_UdpWithoutChecksum_IsTaken()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        one.InjectV4(Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Frames.Udp("10.0.0.9", 9, "10.0.0.1", 7, [1], checksum: false)));
        Assert.NotNull(server.Receive(false));
    }

    [Fact]
    public void V6_UdpWithoutChecksum_IsDropped()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("::", 7, isV6: true);
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Udp, Frames.Udp(OneHost.PeerV6, 9, OneHost.V6, 7, [1], checksum: false)));
        Assert.Null(server.Receive(false));
        Assert.Equal(1, one.Stack.Counters.Udp6ChecksumErrors);
    }

    [Fact]
    public void V4_PaddingBehindThePacket_IsCutOff()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        one.InjectV4([.. Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Datagram("10.0.0.9", "10.0.0.1")), .. new byte[20]]);
        Assert.Equal([1, 2, 3], server.Receive(false)!.Data);
    }

    [Fact]
    public void V4_SourceRouted_IsDropped()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        one.InjectV4(Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Datagram("10.0.0.9", "10.0.0.1"), options: [131, 7, 4, 10, 0, 0, 1, 0]));
        Assert.Null(server.Receive(false));
    }

    [Fact]
    public void V4_RecordRoute_IsTaken()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        one.InjectV4(Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Datagram("10.0.0.9", "10.0.0.1"), options: [7, 7, 4, 0, 0, 0, 0, 0]));
        Assert.NotNull(server.Receive(false));
    }

    [Fact]
    public void Frame_ForAnotherStation_IsDropped() => Assert.False(TakesV4("10.0.0.9", "10.0.0.1", mac: new MacAddress(0x020000000077)));

    [Fact]
    public void Frame_ForAnotherStation_Promiscuous_IsStillNotOurs() =>
        Assert.False(TakesV4("10.0.0.9", "10.0.0.1", one => one.Link.Promiscuity = 1, mac: new MacAddress(0x020000000077)));

    [Fact]
    public void Frame_OnInterfaceThatIsDown_IsDropped() => Assert.False(TakesV4("10.0.0.9", "10.0.0.1", one => one.Host.Do(_ => one.Link.IsUp = false)));

    [Theory]
    [InlineData(0, true)]
    [InlineData(5, false)]
    public void Frame_Tagged_OnlyPriorityTagsAreOurs(int vlan, bool taken)
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        byte[] packet = Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Datagram("10.0.0.9", "10.0.0.1"));
        one.Wire.Inject(Frames.Ethernet(one.Mac, Frames.Stranger, EtherType.Vlan, [0x60, (byte)vlan, 8, 0], packet));
        Assert.Equal(taken, server.Receive(false) is not null);
    }

    [Fact]
    public void V6_Unicast_IsTaken() => Assert.True(TakesV6(OneHost.PeerV6, OneHost.V6));

    [Theory]
    [InlineData("::1", "fd00::1", "loopback source")]
    [InlineData("fd00::9", "::1", "loopback destination")]
    [InlineData("ff02::1", "fd00::1", "multicast source")]
    [InlineData("::", "fd00::1", "unspecified source")]
    [InlineData("fd00::1", "fd00::1", "own address as source")]
    [InlineData("fd00::9", "fd00::77", "another's address")]
    [InlineData("fd00::9", "ff05::99", "group that was not joined")]
    [InlineData("fd00::9", "ff01::1", "interface-local group from a wire")]
    public void V6_Martian_IsDropped(string from, string to, string why) => Assert.False(TakesV6(from, to), why);

    [Fact]
    public void V6_MappedAddress_DoesNotPassForIpv4()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("::", 7, isV6: true);
        byte[] packet = Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Udp, Datagram(OneHost.PeerV6, OneHost.V6));
        InetAddress.Parse("10.0.0.1").WriteV6(packet.AsSpan(24));
        one.InjectV6(packet);
        InetAddress.Parse("10.0.0.9").WriteV6(packet.AsSpan(8));
        one.InjectV6(packet);
        Assert.Null(server.Receive(false));
        Assert.Equal(0, one.Stack.Counters.UdpReceived + one.Stack.Counters.UdpNoPorts);
    }

    [Fact]
    public void V6_ExtensionHeadersInFront_ArePassed()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("::", 7, isV6: true);
        byte[] chain = Convert.FromHexString("3c00010400000000" + "1100010400000000");
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.HopByHop, Frames.Join(chain, Datagram(OneHost.PeerV6, OneHost.V6))));
        Assert.Equal([1, 2, 3], server.Receive(false)!.Data);
    }

    [Fact]
    public void Counters_OfTheInterface_AreKept()
    {
        using var one = new OneHost();
        ulong before = one.Link.Counters.ReceivedPackets;
        one.InjectV4(Frames.V4("10.0.0.9", "10.0.0.1", IpProtocol.Udp, Datagram("10.0.0.9", "10.0.0.1")));
        Assert.Equal(before + 1, one.Link.Counters.ReceivedPackets);
        Assert.Equal(1, one.Stack.Counters.UdpNoPorts);
        Assert.Equal(1, one.Stack.Counters.IcmpSent);
    }
}
