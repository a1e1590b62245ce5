using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class RoutingTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(RoutingTests));
    private readonly SimHost _host;
    private readonly NetworkInterface _eth0, _eth1;

    public RoutingTests()
    {
        SimSegment wire = _net.AddSegment();
        _host = _net.AddHost("host");
        _eth0 = _host.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        _eth1 = _host.Attach(wire, "192.168.1.5/16");
        _net.RunFor(3 * SimNetwork.Second);
    }

    public void Dispose() => _net.Dispose();

    private static RouteEntry Entry(string destination, string? via = null, int dev = 0, uint metric = 0, byte type = RouteType.Unicast, byte scope = 0, string? source = null)
    {
        string[] parts = destination.Split('/');
        return new RouteEntry
        {
            Destination = InetAddress.Parse(parts[0]),
            Prefix = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture),
            Gateway = via is null ? default : InetAddress.Parse(via),
            PreferredSource = source is null ? default : InetAddress.Parse(source),
            InterfaceIndex = dev,
            Metric = metric,
            Type = type,
            Scope = scope,
        };
    }

    private Errno Add(RouteEntry entry, RouteAddMode mode = RouteAddMode.Create | RouteAddMode.Exclusive) => _host.Do(s => s.Routes.Add(entry, mode));

    private Errno Delete(RouteEntry entry)
    {
        entry.Protocol = RouteProtocol.Unspecified;
        return _host.Do(s => s.Routes.Delete(entry));
    }

    private Result<Route> Find(string to, string from = "0.0.0.0", int bound = 0) => _host.Do(s => s.Ip.FindRoute(InetAddress.Parse(to), InetAddress.Parse(from), bound));

    [Fact]
    public void FindRoute_Connected_GoesToTheNeighbourItself()
    {
        Route route = Find("10.0.0.77").Value;
        Assert.Equal((_eth0.Name, "10.0.0.77", "10.0.0.1"), (route.Interface.Name, route.NextHop.ToString(), route.Source.ToString()));
        Assert.Equal((RouteType.Unicast, 1500), (route.Type, route.Mtu));
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("127.0.0.9", "127.0.0.1")]
    [InlineData("fd00::1", "fd00::1")]
    [InlineData("::1", "::1")]
    public void FindRoute_OwnAddress_IsLocalByLoopback(string to, string source)
    {
        Route route = Find(to).Value;
        Assert.True(route.IsLocal);
        Assert.Equal(("lo", source, 65536), (route.Interface.Name, route.Source.ToString(), route.Mtu));
    }

    [Theory]
    [InlineData("8.8.8.8")]
    [InlineData("2001:db8::1")]
    [InlineData("224.1.2.3")]
    [InlineData("255.255.255.255")]
    public void FindRoute_NoRoute_IsNetUnreachable(string to) => Assert.Equal(Errno.ENETUNREACH, Find(to).Error);

    [Fact]
    public void FindRoute_LongestPrefixWins_ThenLowestMetric()
    {
        Assert.Equal(Errno.None, Add(Entry("0.0.0.0/0", "10.0.0.254", metric: 100)));
        Assert.Equal(Errno.None, Add(Entry("0.0.0.0/0", "10.0.0.253", metric: 50)));
        Assert.Equal(Errno.None, Add(Entry("8.8.0.0/16", "192.168.0.1")));
        Assert.Equal(Errno.None, Add(Entry("8.8.8.0/24", "10.0.0.252")));

        Assert.Equal("10.0.0.253", Find("9.9.9.9").Value.NextHop.ToString());
        Assert.Equal(("192.168.0.1", "192.168.1.5"), (Find("8.8.4.4").Value.NextHop.ToString(), Find("8.8.4.4").Value.Source.ToString()));
        Assert.Equal("10.0.0.252", Find("8.8.8.8").Value.NextHop.ToString());
        Assert.Equal(Errno.None, Delete(Entry("0.0.0.0/0", metric: 50, scope: RouteScope.Nowhere)));
        Assert.Equal("10.0.0.254", Find("9.9.9.9").Value.NextHop.ToString());
    }

    [Fact]
    public void FindRoute_BoundInterface_TakesOnlyItsRoutes()
    {
        Assert.Equal(Errno.None, Add(Entry("0.0.0.0/0", "10.0.0.254")));
        Assert.Equal(Errno.None, Add(Entry("0.0.0.0/0", "192.168.0.1", metric: 9)));
        Assert.Equal("192.168.0.1", Find("8.8.8.8", bound: _eth1.Index).Value.NextHop.ToString());
        Assert.Equal(Errno.ENODEV, Find("8.8.8.8", bound: 99).Error);
    }

    [Fact]
    public void FindRoute_BoundInterfaceWithoutRoute_TakesItForANeighbour()
    {
        Route route = Find("8.8.8.8", bound: _eth0.Index).Value;
        Assert.Equal(("8.8.8.8", "10.0.0.1"), (route.NextHop.ToString(), route.Source.ToString()));
    }

    [Theory]
    [InlineData(RouteType.Blackhole, Errno.EINVAL)]
    [InlineData(RouteType.Unreachable, Errno.EHOSTUNREACH)]
    [InlineData(RouteType.Prohibit, Errno.EACCES)]
    public void FindRoute_RefusingRoute_HasItsError(byte type, Errno error)
    {
        Assert.Equal(Errno.None, Add(Entry("8.8.8.8/32", type: type)));
        Assert.Equal(Errno.None, Add(Entry("2001:db8::/32", type: type)));
        Assert.Equal(error, Find("8.8.8.8").Error);
        Assert.Equal(error, Find("2001:db8::1").Error);
    }

    [Theory]
    [InlineData("10.0.0.255", RouteType.Broadcast)]
    [InlineData("192.168.255.255", RouteType.Broadcast)]
    public void FindRoute_SubnetBroadcast_IsBroadcast(string to, byte type) => Assert.Equal(type, Find(to).Value.Type);

    [Fact]
    public void FindRoute_MulticastWithSource_GoesByItsInterface()
    {
        Route route = Find("239.1.1.1", "192.168.1.5").Value;
        Assert.Equal((_eth1.Name, RouteType.Multicast), (route.Interface.Name, route.Type));
    }

    [Theory]
    [InlineData("10.0.0.9", "1.2.3.4", Errno.EINVAL)]
    [InlineData("fd00::9", "fd00::77", Errno.EADDRNOTAVAIL)]
    [InlineData("10.0.0.9", "224.0.0.1", Errno.EINVAL)]
    public void FindRoute_SourceThatIsNotOurs_IsRefused(string to, string from, Errno error) => Assert.Equal(error, Find(to, from).Error);

    [Fact]
    public void FindRoute_PreferredSource_IsUsed()
    {
        _host.Do(s => _eth0.AddAddress(SimHost.ParseAddress("10.0.0.2/24")));
        Assert.Equal(Errno.None, Add(Entry("8.0.0.0/8", "10.0.0.254", source: "10.0.0.2")));
        Assert.Equal("10.0.0.2", Find("8.8.8.8").Value.Source.ToString());
        Assert.Equal(Errno.EINVAL, Add(Entry("9.0.0.0/8", "10.0.0.254", source: "1.1.1.1")));
    }

    [Fact]
    public void FindRoute_RouteMtu_LimitsThePath()
    {
        RouteEntry entry = Entry("8.0.0.0/8", "10.0.0.254");
        entry.Mtu = 1400;
        Assert.Equal(Errno.None, Add(entry));
        Assert.Equal(1400, Find("8.8.8.8").Value.Mtu);
    }

    [Fact]
    public void Add_Twice_SaysExists()
    {
        Assert.Equal(Errno.None, Add(Entry("8.0.0.0/8", "10.0.0.254")));
        Assert.Equal(Errno.EEXIST, Add(Entry("8.0.0.0/8", "10.0.0.253")));
        Assert.Equal(Errno.None, Add(Entry("8.0.0.0/8", "10.0.0.253"), RouteAddMode.Create | RouteAddMode.Append));
        Assert.Equal(Errno.EEXIST, Add(Entry("8.0.0.0/8", "10.0.0.253"), RouteAddMode.Create | RouteAddMode.Append));
        Assert.Equal("10.0.0.254", Find("8.8.8.8").Value.NextHop.ToString());
    }

    [Fact]
    public void Add_Replace_TakesThePlace()
    {
        Assert.Equal(Errno.ENOENT, Add(Entry("8.0.0.0/8", "10.0.0.254"), RouteAddMode.Replace));
        Assert.Equal(Errno.None, Add(Entry("8.0.0.0/8", "10.0.0.254"), RouteAddMode.Create | RouteAddMode.Replace));
        Assert.Equal(Errno.None, Add(Entry("8.0.0.0/8", "10.0.0.253"), RouteAddMode.Create | RouteAddMode.Replace));
        Assert.Equal("10.0.0.253", Find("8.8.8.8").Value.NextHop.ToString());
        Assert.Single(_host.Stack.Routes.Entries, e => e.Prefix == 8 && e.Destination == InetAddress.Parse("8.0.0.0"));
    }

    [Theory]
    [InlineData("8.0.0.0/8", "1.1.1.1", 0, Errno.ENETUNREACH)]
    [InlineData("8.0.0.0/8", "224.0.0.1", 0, Errno.EINVAL)]
    [InlineData("8.0.0.0/8", null, 0, Errno.ENODEV)]
    [InlineData("8.0.0.0/8", null, 77, Errno.ENODEV)]
    [InlineData("8.0.0.1/8", null, 2, Errno.EINVAL)]
    [InlineData("8.0.0.0/33", null, 2, Errno.EINVAL)]
    [InlineData("2001:db8::/32", "2001:db9::1", 0, Errno.EHOSTUNREACH)]
    [InlineData("2001:db8::/32", "fe80::1", 0, Errno.EINVAL)]
    [InlineData("2001:db8::/32", "fe80::1", 2, Errno.None)]
    public void Add_WrongGatewayOrInterface_IsRefused(string destination, string? via, int dev, Errno error) => Assert.Equal(error, Add(Entry(destination, via, dev)));

    [Fact]
    public void Add_OnLinkFlag_BelievesTheGateway()
    {
        RouteEntry entry = Entry("0.0.0.0/0", "1.1.1.1", _eth0.Index);
        entry.Flags = RouteEntry.OnLinkFlag;
        Assert.Equal(Errno.None, Add(entry));
        Assert.Equal("1.1.1.1", Find("8.8.8.8").Value.NextHop.ToString());
    }

    [Fact]
    public void Add_InterfaceDown_SaysNetDown()
    {
        _host.Do(_ => _eth1.IsUp = false);
        Assert.Equal(Errno.ENETDOWN, Add(Entry("8.0.0.0/8", null, _eth1.Index)));
    }

    [Fact]
    public void Delete_NoMatch_SaysNoSuchProcess()
    {
        Assert.Equal(Errno.ESRCH, Delete(Entry("8.0.0.0/8", scope: RouteScope.Nowhere)));
        Assert.Equal(Errno.ESRCH, Delete(Entry("10.0.0.0/24", "10.0.0.9", scope: RouteScope.Nowhere)));
        Assert.Equal(Errno.None, Delete(Entry("10.0.0.0/24", scope: RouteScope.Nowhere)));
        Assert.Equal(Errno.ENETUNREACH, Find("10.0.0.77").Error);
    }

    [Fact]
    public void Down_RoutesGo_OwnAddressStaysLocal()
    {
        Assert.Equal(Errno.None, Add(Entry("0.0.0.0/0", "10.0.0.254")));
        _host.Do(_ => _eth0.IsUp = false);

        Assert.Equal(Errno.ENETUNREACH, Find("8.8.8.8").Error);
        Assert.True(_host.Stack.Ip.IsLocal(InetAddress.Parse("10.0.0.1")));
        Assert.DoesNotContain(_eth0.Addresses, a => a.Address.IsV6);

        _host.Do(_ => _eth0.IsUp = true);
        Assert.Equal(Errno.ENETUNREACH, Find("8.8.8.8").Error);
        Assert.Equal("10.0.0.1", Find("10.0.0.3").Value.Source.ToString());
    }

    [Fact]
    public void Generation_ChangesWithRoutesAddressesAndMtu()
    {
        HashSet<int> seen = [_host.Stack.Routes.Generation];
        Add(Entry("8.0.0.0/8", "10.0.0.254"));
        Assert.True(seen.Add(_host.Stack.Routes.Generation));
        _host.Do(_ => _eth0.AddAddress(SimHost.ParseAddress("10.0.7.1/24")));
        Assert.True(seen.Add(_host.Stack.Routes.Generation));
        _host.Do(_ => _eth0.SetMtu(1400));
        Assert.True(seen.Add(_host.Stack.Routes.Generation));
        _host.Do(s => s.Ip.UpdatePathMtu(InetAddress.Parse("8.8.8.8"), 1300));
        Assert.True(seen.Add(_host.Stack.Routes.Generation));
    }

    [Fact]
    public void Dump_IsInLinuxsOrder()
    {
        Add(Entry("0.0.0.0/0", "10.0.0.254"));
        Add(Entry("10.0.0.0/8", "10.0.0.254"));
        Assert.Equal(["0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/8", "192.168.0.0/16"], _host.Stack.Routes.Dump(false, RouteTable.Main).Select(r => $"{r.Destination}/{r.Prefix}"));
    }

    [Fact]
    public void Restore_AllRoutes_AnswerTheSame()
    {
        Add(Entry("0.0.0.0/0", "10.0.0.254", metric: 5));
        Add(Entry("0.0.0.0/0", "192.168.0.1", metric: 5), RouteAddMode.Create);
        Add(Entry("8.0.0.0/8", type: RouteType.Prohibit));
        string before = string.Join('\n', _host.Stack.Routes.Dump(false).Concat(_host.Stack.Routes.Dump(true)).Select(r => $"{r.Table} {r.Destination}/{r.Prefix} {r.Gateway} {r.InterfaceIndex} {r.Metric}"));
        InetAddress hop = Find("9.9.9.9").Value.NextHop;

        _host.SaveAndRestore();

        Assert.Equal(before, string.Join('\n', _host.Stack.Routes.Dump(false).Concat(_host.Stack.Routes.Dump(true)).Select(r => $"{r.Table} {r.Destination}/{r.Prefix} {r.Gateway} {r.InterfaceIndex} {r.Metric}")));
        Assert.Equal(hop, Find("9.9.9.9").Value.NextHop);
        Assert.Equal(Errno.EACCES, Find("8.1.1.1").Error);
    }
}
