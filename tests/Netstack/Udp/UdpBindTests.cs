using Tests.Netstack.Simulation;

namespace Tests.Netstack.Udp;

public sealed class UdpBindTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(UdpBindTests));
    private readonly SimHost _host;

    public UdpBindTests()
    {
        _host = _net.AddHost("host");
        _host.Attach(_net.AddSegment(), "10.0.0.1/24", "fd00::1/64");
        _net.RunFor(3 * SimNetwork.Second);
    }

    public void Dispose() => _net.Dispose();

    private Errno Bind(UdpEndpoint socket, string address, ushort port, int scope = 0) => _host.Do(_ => socket.Bind(InetAddress.Parse(address), port, scope));

    [Theory]
    [InlineData("10.0.0.1", false, Errno.None)]
    [InlineData("127.0.0.99", false, Errno.None)]
    [InlineData("10.0.0.2", false, Errno.EADDRNOTAVAIL)]
    [InlineData("10.0.0.255", false, Errno.None)]
    [InlineData("239.1.1.1", false, Errno.None)]
    [InlineData("fd00::1", false, Errno.EAFNOSUPPORT)]
    [InlineData("fd00::1", true, Errno.None)]
    [InlineData("fd00::2", true, Errno.EADDRNOTAVAIL)]
    [InlineData("10.0.0.1", true, Errno.None)]
    [InlineData("fe80::1", true, Errno.EINVAL)]
    public void Bind_Address_SaysWhatLinuxSays(string address, bool isV6, Errno error) => Assert.Equal(error, Bind(_host.Udp(isV6: isV6), address, 5000));

    [Fact]
    public void Bind_Twice_IsInvalid()
    {
        UdpEndpoint socket = _host.Udp("0.0.0.0", 5000);
        Assert.Equal(Errno.EINVAL, Bind(socket, "0.0.0.0", 5001));
    }

    [Fact]
    public void Bind_LinkLocalWithScope_BindsToTheInterface()
    {
        NetworkInterface link = _host.Stack.FindInterface("eth0")!;
        UdpEndpoint socket = _host.Udp(isV6: true);
        Assert.Equal(Errno.ENODEV, Bind(_host.Udp(isV6: true), link.Mac.LinkLocal.ToString(), 5000, 99));
        Assert.Equal(Errno.None, Bind(socket, link.Mac.LinkLocal.ToString(), 5000, link.Index));
        Assert.Equal(link.Index, socket.Options.BoundInterface);
    }

    [Fact]
    public void Bind_FreeBind_TakesAnyAddress()
    {
        Assert.Equal(Errno.None, Bind(_host.Udp(options: o => o.FreeBind = true), "1.2.3.4", 5000));
        _host.Stack.Settings.NonlocalBind = true;
        Assert.Equal(Errno.None, Bind(_host.Udp(), "1.2.3.4", 5001));
    }

    [Theory]
    [InlineData("0.0.0.0", false, "0.0.0.0", false, true)]
    [InlineData("0.0.0.0", false, "10.0.0.1", false, true)]
    [InlineData("127.0.0.1", false, "10.0.0.1", false, false)]
    [InlineData("::", true, "0.0.0.0", false, true)]
    [InlineData("::", true, "10.0.0.1", false, true)]
    [InlineData("fd00::1", true, "0.0.0.0", false, false)]
    [InlineData("::", true, "fd00::1", true, true)]
    [InlineData("10.0.0.1", true, "10.0.0.1", false, true)]
    public void Bind_SamePort_ConflictsWhereAddressesOverlap(string first, bool firstV6, string second, bool secondV6, bool conflicts)
    {
        _host.Udp(first, 5000, firstV6);
        Assert.Equal(conflicts ? Errno.EADDRINUSE : Errno.None, Bind(_host.Udp(isV6: secondV6), second, 5000));
    }

    [Fact]
    public void Bind_V6Only_LeavesV4Free()
    {
        _host.Udp("::", 5000, isV6: true, options: o => o.V6Only = true);
        Assert.Equal(Errno.None, Bind(_host.Udp(), "0.0.0.0", 5000));
        Assert.Equal(Errno.EINVAL, Bind(_host.Udp(isV6: true, options: o => o.V6Only = true), "10.0.0.1", 5001));
    }

    [Theory]
    [InlineData(true, true, false, false, true)]
    [InlineData(true, false, false, false, false)]
    [InlineData(false, false, true, true, true)]
    [InlineData(false, false, true, false, false)]
    public void Bind_Reuse_NeedsBoth(bool reuse1, bool reuse2, bool port1, bool port2, bool allowed)
    {
        _host.Udp("0.0.0.0", 5000, options: o => (o.ReuseAddress, o.ReusePort) = (reuse1, port1));
        Assert.Equal(allowed ? Errno.None : Errno.EADDRINUSE, Bind(_host.Udp(options: o => (o.ReuseAddress, o.ReusePort) = (reuse2, port2)), "0.0.0.0", 5000));
    }

    [Fact]
    public void Bind_ReusePort_OnlyForTheSameUser()
    {
        _host.Udp("0.0.0.0", 5000, options: o => o.ReusePort = true);
        Assert.Equal(Errno.EADDRINUSE, Bind(_host.Udp(options: o => (o.ReusePort, o.OwnerUid) = (true, 1000)), "0.0.0.0", 5000));
    }

    [Fact]
    public void Bind_DifferentInterfaces_DoNotConflict()
    {
        _host.Udp("0.0.0.0", 5000, options: o => o.BoundInterface = 1);
        Assert.Equal(Errno.None, Bind(_host.Udp(options: o => o.BoundInterface = 2), "0.0.0.0", 5000));
        Assert.Equal(Errno.EADDRINUSE, Bind(_host.Udp(), "0.0.0.0", 5000));
    }

    [Fact]
    public void Close_FreesThePort()
    {
        UdpEndpoint socket = _host.Udp("0.0.0.0", 5000);
        _host.Do(_ => socket.Close());
        Assert.Equal(Errno.None, Bind(_host.Udp(), "0.0.0.0", 5000));
    }

    [Fact]
    public void BindPort0_IsInTheRange_SpreadAndUnique()
    {
        HashSet<ushort> ports = [.. Enumerable.Range(0, 200).Select(_ => _host.Udp("0.0.0.0").LocalPort)];
        Assert.Equal(200, ports.Count);
        Assert.All(ports, p => Assert.InRange(p, 32768, 60999));
        Assert.True(ports.Max() - ports.Min() > 10_000);
    }

    [Fact]
    public void BindPort0_RangeUsedUp_IsInUse()
    {
        (_host.Stack.Settings.PortRangeFirst, _host.Stack.Settings.PortRangeLast) = (5000, 5004);
        for (int i = 0; i < 5; i++)
            _host.Udp("0.0.0.0");
        Assert.Equal(Errno.EADDRINUSE, Bind(_host.Udp(), "0.0.0.0", 0));
        Assert.Equal(Errno.EAGAIN, _host.SendTo(_host.Udp(), "127.0.0.1", 5000, "x"));
    }

    [Fact]
    public void Connect_SetsTheLocalAddress_DisconnectForgetsIt()
    {
        UdpEndpoint socket = _host.Udp();
        Assert.Equal(Errno.None, _host.Connect(socket, "10.0.0.9", 53));
        Assert.Equal(("10.0.0.1", "10.0.0.9", 53, true), (socket.LocalAddress.ToString(), socket.RemoteAddress.ToString(), socket.RemotePort, socket.IsConnected));
        Assert.NotEqual(0, socket.LocalPort);
        Assert.Equal(Errno.None, _host.Do(_ => socket.Disconnect()));
        Assert.Equal(("0.0.0.0", (ushort)0, false), (socket.LocalAddress.ToString(), socket.LocalPort, socket.IsConnected));
    }

    [Fact]
    public void Disconnect_KeepsWhatWasBound()
    {
        UdpEndpoint socket = _host.Udp("10.0.0.1", 5000);
        _host.Connect(socket, "10.0.0.9", 53);
        _host.Do(_ => socket.Disconnect());
        Assert.Equal(("10.0.0.1", (ushort)5000), (socket.LocalAddress.ToString(), socket.LocalPort));
    }

    [Theory]
    [InlineData("0.0.0.0", false, "127.0.0.1")]
    [InlineData("::", true, "::1")]
    public void Connect_Unspecified_IsThisHost(string to, bool isV6, string peer)
    {
        UdpEndpoint socket = _host.Udp(isV6: isV6);
        Assert.Equal(Errno.None, _host.Connect(socket, to, 53));
        Assert.Equal(peer, socket.RemoteAddress.ToString());
    }

    [Theory]
    [InlineData("8.8.8.8", false, Errno.ENETUNREACH)]
    [InlineData("2001:db8::1", true, Errno.ENETUNREACH)]
    [InlineData("fe80::9", true, Errno.EINVAL)]
    [InlineData("fd00::9", false, Errno.EAFNOSUPPORT)]
    public void Connect_NoWay_SaysWhatLinuxSays(string to, bool isV6, Errno error) => Assert.Equal(error, _host.Connect(_host.Udp(isV6: isV6), to, 53));

    [Fact]
    public void Receive_ConnectedSocket_TakesOnlyItsPeer_AndBeatsTheOthers()
    {
        UdpEndpoint any = _host.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true), connected = _host.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true);
        UdpEndpoint peer = _host.Udp("127.0.0.1", 6000), other = _host.Udp("127.0.0.1", 6001);
        _host.Connect(connected, "127.0.0.1", 6000);
        _host.SendTo(peer, "127.0.0.1", 5000, "peer");
        _host.SendTo(other, "127.0.0.1", 5000, "other");
        Assert.Equal(("peer", null), (connected.Text(), connected.Text()));
        Assert.Equal(("other", null), (any.Text(), any.Text()));
    }

    [Fact]
    public void Receive_MoreSpecificAddress_Wins_ElseTheLastBound()
    {
        UdpEndpoint any = _host.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true), exact = _host.Udp("10.0.0.1", 5000, options: o => o.ReuseAddress = true), last = _host.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true);
        UdpEndpoint client = _host.Udp();
        _host.SendTo(client, "10.0.0.1", 5000, "exact");
        _host.SendTo(client, "127.0.0.1", 5000, "last");
        Assert.Equal(("exact", "last", null), (exact.Text(), last.Text(), any.Text()));
    }

    [Fact]
    public void Receive_ReusePort_SpreadsPeers_EachAlwaysToTheSame()
    {
        UdpEndpoint[] group = [.. Enumerable.Range(0, 4).Select(_ => _host.Udp("0.0.0.0", 5000, options: o => o.ReusePort = true))];
        UdpEndpoint[] clients = [.. Enumerable.Range(0, 100).Select(_ => _host.Udp("127.0.0.1"))];
        foreach (UdpEndpoint client in clients.Concat(clients))
            _host.SendTo(client, "127.0.0.1", 5000, "x");
        List<HashSet<ushort>> peers = [];
        foreach (UdpEndpoint member in group)
        {
            HashSet<ushort> ports = [];
            int count = 0;
            while (member.Receive(false) is { } datagram)
            {
                ports.Add(datagram.SourcePort);
                count++;
            }

            Assert.Equal(2 * ports.Count, count);
            Assert.InRange(ports.Count, 5, 60);
            peers.Add(ports);
        }

        Assert.Equal(100, peers.Sum(p => p.Count));
    }

    [Fact]
    public void Receive_V6OnlySocket_TakesNoV4()
    {
        UdpEndpoint six = _host.Udp("::", 5000, isV6: true, options: o => o.V6Only = true);
        _host.SendTo(_host.Udp(), "127.0.0.1", 5000, "four");
        _host.SendTo(_host.Udp(isV6: true), "::1", 5000, "six");
        Assert.Equal(("six", null), (six.Text(), six.Text()));
    }

    [Fact]
    public void Receive_BoundToInterface_TakesOnlyItsPackets()
    {
        UdpEndpoint bound = _host.Udp("0.0.0.0", 5000, options: o => o.BoundInterface = _host.Stack.FindInterface("eth0")!.Index);
        _host.SendTo(_host.Udp(), "127.0.0.1", 5000, "x");
        Assert.Null(bound.Text());
    }
}
