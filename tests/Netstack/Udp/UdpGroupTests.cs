using Tests.Netstack.Simulation;

namespace Tests.Netstack.Udp;

/// <summary>Multicast and broadcast.</summary>
public sealed class UdpGroupTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(UdpGroupTests));
    private readonly SimHost _a, _b;

    public UdpGroupTests()
    {
        SimSegment wire = _net.AddSegment();
        _a = _net.AddHost("a");
        _b = _net.AddHost("b");
        _a.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        _b.Attach(wire, "10.0.0.2/24", "fd00::2/64");
        _net.RunFor(3 * SimNetwork.Second);
    }

    public void Dispose() => _net.Dispose();

    private static UdpEndpoint Member(SimHost host, string group, Action<EndpointOptions>? options = null)
    {
        bool isV6 = group.Contains(':', StringComparison.Ordinal);
        UdpEndpoint socket = host.Udp(isV6 ? "::" : "0.0.0.0", 5000, isV6, o =>
        {
            o.ReuseAddress = true;
            options?.Invoke(o);
        });
        Assert.Equal(Errno.None, host.Do(s => socket.JoinGroup(InetAddress.Parse(group), s.FindInterface("eth0")!.Index)));
        return socket;
    }

    private UdpEndpoint Sender(bool isV6, Action<EndpointOptions>? options = null) => _a.Udp(isV6: isV6, options: o =>
    {
        o.MulticastInterface = o.MulticastInterfaceV6 = _a.Stack.FindInterface("eth0")!.Index;
        options?.Invoke(o);
    });

    [Theory]
    [InlineData("239.1.2.3")]
    [InlineData("ff05::1234")]
    public void Send_ToGroup_ReachesMembersHereAndThere_OnEachSocket(string group)
    {
        bool isV6 = group.Contains(':', StringComparison.Ordinal);
        UdpEndpoint here = Member(_a, group), there = Member(_b, group), alsoThere = Member(_b, group);
        Assert.Equal(Errno.None, _a.SendTo(Sender(isV6), group, 5000, "all"));
        _net.RunFor(SimNetwork.Millisecond);

        Assert.Equal(("all", "all", "all"), (here.Text(), there.Text(), alsoThere.Text()));
        Assert.Null(there.Text());
    }

    [Theory]
    [InlineData("239.1.2.3")]
    [InlineData("ff05::1234")]
    public void Send_LoopOff_ReachesOnlyOthers(string group)
    {
        bool isV6 = group.Contains(':', StringComparison.Ordinal);
        UdpEndpoint here = Member(_a, group), there = Member(_b, group);
        _a.SendTo(Sender(isV6, o => o.MulticastLoop = o.MulticastLoopV6 = false), group, 5000, "all");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal((null, "all"), (here.Text(), there.Text()));
    }

    [Fact]
    public void Send_TimeToLive0_StaysHere()
    {
        UdpEndpoint here = Member(_a, "239.1.2.3"), there = Member(_b, "239.1.2.3");
        _a.SendTo(Sender(false, o => o.MulticastTimeToLive = 0), "239.1.2.3", 5000, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(("x", null), (here.Text(), there.Text()));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(9, 9)]
    public void Send_MulticastTimeToLive_IsThatOfTheOption(int set, int seen)
    {
        UdpEndpoint there = Member(_b, "239.1.2.3");
        _a.SendTo(Sender(false, o => o.MulticastTimeToLive = set), "239.1.2.3", 5000, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(seen, there.Receive(false)!.TimeToLive);
    }

    [Theory]
    [InlineData(true, "x")]
    [InlineData(false, null)]
    public void Receive_GroupOfAnotherSocket_OnlyWithMulticastAll(bool all, string? text)
    {
        Member(_b, "239.1.2.3");
        UdpEndpoint other = _b.Udp("0.0.0.0", 5000, options: o =>
        {
            o.ReuseAddress = true;
            o.MulticastAll = all;
        });
        _a.SendTo(Sender(false), "239.1.2.3", 5000, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(text, other.Text());
    }

    [Fact]
    public void Receive_BoundToTheGroup_TakesOnlyIt()
    {
        Member(_b, "239.9.9.9");
        UdpEndpoint bound = _b.Udp("239.1.2.3", 5000, options: o => o.ReuseAddress = true);
        _b.Do(s => bound.JoinGroup(InetAddress.Parse("239.1.2.3"), s.FindInterface("eth0")!.Index));
        UdpEndpoint sender = Sender(false);
        _a.SendTo(sender, "239.9.9.9", 5000, "other");
        _a.SendTo(sender, "239.1.2.3", 5000, "own");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal("own", bound.Text());
        Assert.Null(bound.Text());
    }

    [Fact]
    public void Send_NotJoinedByAnyone_IsNotTaken()
    {
        UdpEndpoint socket = _b.Udp("0.0.0.0", 5000);
        _a.SendTo(Sender(false), "239.1.2.3", 5000, "x");
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Null(socket.Text());
    }

    [Fact]
    public void Restore_MembershipGoesOn()
    {
        Member(_b, "239.1.2.3");
        _b.SaveAndRestore();
        _a.SendTo(Sender(false), "239.1.2.3", 5000, "x");
        _net.RunFor(SimNetwork.Millisecond);
        UdpEndpoint there = _b.UdpAt(5000);
        Assert.Equal("x", there.Text());
        _b.Do(_ => there.Close());
        Assert.False(_b.Stack.FindInterface("eth0")!.Groups.Contains(InetAddress.Parse("239.1.2.3")));
    }

    [Theory]
    [InlineData("10.0.0.255")]
    [InlineData("255.255.255.255")]
    public void Broadcast_NeedsTheOption_AndReachesAllSockets(string to)
    {
        UdpEndpoint here = _a.Udp("0.0.0.0", 5000), there = _b.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true), alsoThere = _b.Udp("0.0.0.0", 5000, options: o => o.ReuseAddress = true);
        int link = _a.Stack.FindInterface("eth0")!.Index;
        UdpEndpoint plain = _a.Udp(options: o => o.BoundInterface = link), allowed = _a.Udp(options: o =>
        {
            o.BoundInterface = link;
            o.Broadcast = true;
        });
        Assert.Equal(Errno.EACCES, _a.SendTo(plain, to, 5000, "x"));
        Assert.Equal(Errno.EACCES, _a.Connect(plain, to, 5000));
        Assert.Equal(Errno.None, _a.SendTo(allowed, to, 5000, "all"));
        _net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(("all", "all", "all"), (here.Text(), there.Text(), alsoThere.Text()));
    }
}
