using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class ForwardingTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(ForwardingTests));
    private readonly SimSegment _left, _right;
    private readonly SimHost _a, _router, _b;

    public ForwardingTests()
    {
        _left = _net.AddSegment();
        _right = _net.AddSegment();
        _left.Log = [];
        _right.Log = [];
        _a = _net.AddHost("a");
        _router = _net.AddHost("router");
        _b = _net.AddHost("b");
        _a.Attach(_left, "10.0.0.1/24", "fd00::1/64");
        _router.Attach(_left, "10.0.0.254/24", "fd00::fe/64");
        _router.Attach(_right, "10.1.0.254/24", "fd01::fe/64");
        _b.Attach(_right, "10.1.0.1/24", "fd01::1/64");
        _router.Stack.Settings.Forwarding = _router.Stack.Settings.ForwardingV6 = true;
        foreach ((SimHost host, string four, string six) in new[] { (_a, "10.0.0.254", "fd00::fe"), (_b, "10.1.0.254", "fd01::fe") })
        {
            Assert.Equal(Errno.None, host.Do(s => s.Routes.Add(new RouteEntry { Destination = InetAddress.AnyV4, Gateway = InetAddress.Parse(four) })));
            Assert.Equal(Errno.None, host.Do(s => s.Routes.Add(new RouteEntry { Destination = InetAddress.AnyV6, Gateway = InetAddress.Parse(six) })));
        }

        _net.RunFor(3 * SimNetwork.Second);
    }

    public void Dispose() => _net.Dispose();

    [Theory]
    [InlineData("10.1.0.1", false)]
    [InlineData("fd01::1", true)]
    public void Forward_BothWays_WithOneHopLess(string to, bool isV6)
    {
        UdpEndpoint server = _b.Udp("::", 7, isV6: true), client = _a.Udp(isV6: isV6);
        _a.SendTo(client, to, 7, "there");
        _net.RunFor(SimNetwork.Millisecond);
        Datagram got = server.Receive(false)!;
        Assert.Equal(63, got.TimeToLive);
        _b.SendTo(server, got.Source.ToString(), got.SourcePort, "back");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal("back", client.Text());
        Assert.Equal(isV6 ? 0 : 2, _router.Stack.Counters.IpForwarded);
        Assert.Equal(isV6 ? 2 : 0, _router.Stack.Counters.Ip6Forwarded);
    }

    [Fact]
    public void Forward_Off_DropsSilently()
    {
        _router.Stack.Settings.Forwarding = false;
        UdpEndpoint server = _b.Udp("0.0.0.0", 7);
        _left.Log!.Clear();
        _a.SendTo(_a.Udp(), "10.1.0.1", 7, "x");
        _net.RunFor(SimNetwork.Second);
        Assert.Null(server.Text());
        Assert.Empty(_left.V4Of(IpProtocol.Icmp));
    }

    [Theory]
    [InlineData("10.1.0.1", false, IcmpType.TimeExceeded)]
    [InlineData("fd01::1", true, Icmpv6Type.TimeExceeded)]
    public void Forward_LastHop_IsTimeExceeded(string to, bool isV6, byte type)
    {
        UdpEndpoint client = _a.Udp(isV6: isV6, options: o =>
        {
            o.TimeToLive = o.HopLimit = 1;
            o.ReceiveErrors = o.ReceiveErrorsV6 = true;
        });
        _a.SendTo(client, to, 7, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Datagram error = client.ReceiveError(false)!;
        Assert.Equal((type, (byte)0, isV6 ? "fd00::fe" : "10.0.0.254"), (error.ExtendedError![5], error.ExtendedError[6], error.Source.ToString()));
    }

    [Theory]
    [InlineData("99.9.9.9", false)]
    [InlineData("2001:db8::1", true)]
    public void Forward_NoRoute_IsUnreachable(string to, bool isV6)
    {
        UdpEndpoint client = _a.Udp(isV6: isV6, options: o => o.ReceiveErrors = o.ReceiveErrorsV6 = true);
        _a.SendTo(client, to, 7, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(Errno.ENETUNREACH, client.TakeError());
    }

    [Theory]
    [InlineData("10.1.0.77", false)]
    [InlineData("fd01::77", true)]
    public void Forward_NoNeighbour_IsHostUnreachable(string to, bool isV6)
    {
        UdpEndpoint client = _a.Udp(isV6: isV6, options: o => o.ReceiveErrors = o.ReceiveErrorsV6 = true);
        _a.SendTo(client, to, 7, "x");
        _net.RunFor(5 * SimNetwork.Second);
        Assert.Equal(Errno.EHOSTUNREACH, client.TakeError());
    }

    [Theory]
    [InlineData("10.1.0.1", false, 1300)]
    [InlineData("fd01::1", true, 1300)]
    public void Forward_NarrowLink_SenderLearnsThePath_AndRepeatsInPieces(string to, bool isV6, int mtu)
    {
        _router.Do(s => s.FindInterface("eth1")!.SetMtu(mtu));
        UdpEndpoint server = _b.Udp("::", 7, isV6: true), client = _a.Udp(isV6: isV6);
        _a.Connect(client, to, 7);
        byte[] data = Sockets.Pattern(1400);
        _a.Do(_ => client.Send((byte[])data.Clone(), default, 0, 0, default));
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(Errno.EMSGSIZE, client.TakeError());
        Assert.Null(server.Receive(false));
        _a.Do(_ => client.Send(data, default, 0, 0, default));
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(data, server.Receive(false)!.Data);
        Assert.Equal(mtu, _a.Do(s => s.Ip.FindRoute(InetAddress.Parse(to), default)).Value.Mtu);
    }

    [Fact]
    public void Forward_NarrowLinkWithoutDontFragment_IsCutOnTheWay()
    {
        _router.Do(s => s.FindInterface("eth1")!.SetMtu(600));
        UdpEndpoint server = _b.Udp("0.0.0.0", 7), client = _a.Udp(options: o => o.PathMtu = PathMtuMode.Dont);
        byte[] data = Sockets.Pattern(1400);
        _a.SendTo(client, "10.1.0.1", 7, (byte[])data.Clone());
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(data, server.Receive(false)!.Data);
        Assert.Equal([576, 576, 256], _right.V4Of(IpProtocol.Udp).Select(p => p.Payload.Length));
    }

    [Fact]
    public void Forward_LinkLocalAndLinkBroadcasts_StayOnTheLink()
    {
        _right.Log!.Clear();
        NetworkInterface link = _router.Stack.FindInterface("eth0")!;
        byte[] packet = Frames.V4("10.0.0.9", "10.1.0.1", 200, [1]);
        _left.Inject(Frames.Ethernet(MacAddress.Broadcast, Frames.Stranger, EtherType.Ipv4, packet));
        _left.Inject(Frames.Ethernet(link.Mac, Frames.Stranger, EtherType.Ipv6, Frames.V6("fe80::9", "fd01::1", 200, [1])));
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Empty(_right.Log);
    }

    [Fact]
    public void Forward_Prohibited_IsTold()
    {
        _router.Do(s => s.Routes.Add(new RouteEntry { Destination = InetAddress.Parse("9.0.0.0"), Prefix = 8, Type = RouteType.Prohibit }));
        UdpEndpoint client = _a.Udp(options: o => o.ReceiveErrors = true);
        _a.SendTo(client, "9.9.9.9", 7, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(IcmpType.Prohibited, client.ReceiveError(false)!.ExtendedError![6]);
    }
}
