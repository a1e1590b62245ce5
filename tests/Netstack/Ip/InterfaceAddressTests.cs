using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class InterfaceAddressTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(InterfaceAddressTests));
    private readonly SimHost _host;
    private readonly NetworkInterface _eth0;

    public InterfaceAddressTests()
    {
        _host = _net.AddHost("host");
        _eth0 = _host.Attach(_net.AddSegment(), "10.0.0.1/24");
    }

    public void Dispose() => _net.Dispose();

    private Errno Add(string address) => _host.Do(_ => _eth0.AddAddress(SimHost.ParseAddress(address)));

    private string[] Routes(bool isV6, uint table) => [.. _host.Stack.Routes.Dump(isV6, table).Where(r => r.InterfaceIndex == _eth0.Index).Select(r => $"{r.Type} {r.Destination}/{r.Prefix} {r.Scope} {r.PreferredSource}")];

    [Fact]
    public void Add_First_BringsConnectedLocalAndBroadcastRoutes()
    {
        Assert.Equal(["1 10.0.0.0/24 253 10.0.0.1"], Routes(false, RouteTable.Main));
        Assert.Equal(["2 10.0.0.1/32 254 10.0.0.1", "3 10.0.0.255/32 253 10.0.0.1"], Routes(false, RouteTable.Local));
    }

    [Fact]
    public void Add_SecondOfSubnet_IsSecondary()
    {
        Assert.Equal(Errno.None, Add("10.0.0.2/24"));
        Assert.True(_eth0.FindAddress(InetAddress.Parse("10.0.0.2"))!.IsSecondary);
        Assert.Equal(["1 10.0.0.0/24 253 10.0.0.1"], Routes(false, RouteTable.Main));
        Assert.Contains("2 10.0.0.2/32 254 10.0.0.1", Routes(false, RouteTable.Local));
    }

    [Theory]
    [InlineData("10.0.0.1/24", Errno.EEXIST)]
    [InlineData("224.0.0.1/4", Errno.EINVAL)]
    [InlineData("255.255.255.255/32", Errno.EINVAL)]
    [InlineData("10.0.0.1/25", Errno.None)]
    [InlineData("fe80::5/64", Errno.None)]
    [InlineData("::/64", Errno.EINVAL)]
    [InlineData("ff02::1/64", Errno.EINVAL)]
    public void Add_SaysWhatLinuxSays(string address, Errno error) => Assert.Equal(error, Add(address));

    [Fact]
    public void Add_Slash32_HasNoConnectedRoute()
    {
        Add("10.5.5.5/32");
        Assert.Single(Routes(false, RouteTable.Main));
        Assert.Contains("2 10.5.5.5/32 254 10.5.5.5", Routes(false, RouteTable.Local));
    }

    [Fact]
    public void Add_Slash31_HasNoBroadcast()
    {
        Add("10.6.0.0/31");
        Assert.DoesNotContain(Routes(false, RouteTable.Local), r => r.StartsWith("3 10.6", StringComparison.Ordinal));
    }

    [Fact]
    public void Add_BroadcastGiven_IsBroadcast()
    {
        InterfaceAddress address = SimHost.ParseAddress("10.7.0.1/16");
        address.Broadcast = InetAddress.Parse("10.7.9.9");
        _host.Do(_ => _eth0.AddAddress(address));
        Assert.True(_host.Stack.Ip.IsBroadcast(InetAddress.Parse("10.7.9.9")));
        Assert.True(_host.Stack.Ip.IsBroadcast(InetAddress.Parse("10.7.255.255")));
    }

    [Fact]
    public void Remove_Primary_TakesSecondariesAndRoutes()
    {
        Add("10.0.0.2/24");
        Assert.Equal(Errno.None, _host.Do(_ => _eth0.RemoveAddress(InetAddress.Parse("10.0.0.1"))));
        Assert.DoesNotContain(_eth0.Addresses, a => a.Address.IsV4);
        Assert.Empty(Routes(false, RouteTable.Main));
        Assert.Empty(Routes(false, RouteTable.Local));
        Assert.Equal(Errno.EADDRNOTAVAIL, _host.Do(_ => _eth0.RemoveAddress(InetAddress.Parse("10.0.0.1"))));
    }

    [Fact]
    public void Remove_OneOfTwoSubnets_LeavesTheOther()
    {
        Add("10.1.0.1/16");
        _host.Do(_ => _eth0.RemoveAddress(InetAddress.Parse("10.0.0.1")));
        Assert.Equal(["1 10.1.0.0/16 253 10.1.0.1"], Routes(false, RouteTable.Main));
    }

    [Fact]
    public void Up_Ethernet_HasLinkLocalAfterDetection()
    {
        InterfaceAddress own = _eth0.Addresses.Single(a => a.Address.IsV6);
        Assert.True(own.IsTentative);
        Assert.False(_host.Stack.Ip.IsLocal(own.Address));
        _net.RunFor(3 * SimNetwork.Second);
        Assert.True(own.IsUsable);
        Assert.True(_host.Stack.Ip.IsLocal(own.Address));
        Assert.Equal(_eth0.Mac.LinkLocal, own.Address);
    }

    [Fact]
    public void DisableIpv6_AddressesGo_AndAreRefused()
    {
        Add("fd00::1/64");
        _host.Do(_ => _eth0.DisableIpv6 = true);
        Assert.DoesNotContain(_eth0.Addresses, a => a.Address.IsV6);
        Assert.Empty(Routes(true, RouteTable.Unspecified));
        Assert.Equal(Errno.EACCES, Add("fd00::1/64"));
        _host.Do(_ => _eth0.DisableIpv6 = false);
        Assert.Contains(_eth0.Addresses, a => a.Address.IsLinkLocal);
    }

    [Fact]
    public void SetMtu_BelowThatOfIpv6_TurnsItOff()
    {
        Assert.Equal(Errno.EINVAL, _host.Do(_ => _eth0.SetMtu(67)));
        Assert.Equal(Errno.None, _host.Do(_ => _eth0.SetMtu(1279)));
        Assert.DoesNotContain(_eth0.Addresses, a => a.Address.IsV6);
    }

    [Fact]
    public void Lifetimes_DeprecateAndRemove_AlsoAcrossRestore()
    {
        InterfaceAddress address = SimHost.ParseAddress("fd00::1/64");
        address.PreferredUntil = _net.Now + (10 * SimNetwork.Second);
        address.ValidUntil = _net.Now + (20 * SimNetwork.Second);
        _host.Do(_ => _eth0.AddAddress(address));
        _host.SaveAndRestore();
        NetworkInterface link = _host.Stack.FindInterface("eth0")!;
        _net.RunFor(11 * SimNetwork.Second);
        Assert.True(link.FindAddress(InetAddress.Parse("fd00::1"))!.IsDeprecated);
        _net.RunFor(10 * SimNetwork.Second);
        Assert.Null(link.FindAddress(InetAddress.Parse("fd00::1")));
    }

    [Fact]
    public void Observer_IsToldOfEverything()
    {
        var observer = new Observer();
        _host.Do(s => s.AddObserver(observer));
        Add("10.9.0.1/16");
        _host.Do(_ => _eth0.SetMtu(1400));
        _host.Do(_ => _eth0.RemoveAddress(InetAddress.Parse("10.9.0.1")));
        _host.Do(s => s.Ip.Neighbours.Set(_eth0, InetAddress.Parse("10.0.0.3"), new MacAddress(2), NeighbourState.Permanent, RouteAddMode.Create));
        _host.Do(s => s.Ip.Neighbours.Remove(_eth0, InetAddress.Parse("10.0.0.3")));
        Assert.Equal(
        [
            "address 10.9.0.1 Added", "route 10.9.0.1/32 Added", "route 10.9.0.0/16 Added", "route 10.9.255.255/32 Added", "link eth0 Changed", "address 10.9.0.1 Removed",
            "route 10.9.0.1/32 Removed", "route 10.9.0.0/16 Removed", "route 10.9.255.255/32 Removed", "neighbour 10.0.0.3 Permanent Changed", "neighbour 10.0.0.3 Permanent Removed",
        ],
            observer.Events);
        _host.Do(s => s.RemoveObserver(observer));
        Add("10.9.0.1/16");
        Assert.Equal(11, observer.Events.Count);
    }

    [Fact]
    public void Rename_AlsoWhileUp()
    {
        Assert.Equal(Errno.EEXIST, _host.Do(_ => _eth0.Rename("lo")));
        Assert.Equal(Errno.EINVAL, _host.Do(_ => _eth0.Rename("a/b")));
        Assert.Equal(Errno.EINVAL, _host.Do(_ => _eth0.Rename("sixteen-letters-")));
        Assert.Equal(Errno.None, _host.Do(_ => _eth0.Rename("wan")));
        Assert.Equal("wan", _eth0.AddressesInOrder(isV6: false)[0].Label);
    }

    [Fact]
    public void RemoveInterface_TakesAllWithIt()
    {
        Assert.Equal(Errno.EPERM, _host.Do(s => s.RemoveInterface(s.Loopback)));
        Assert.Equal(Errno.None, _host.Do(s => s.RemoveInterface(_eth0)));
        Assert.Null(_host.Stack.FindInterface("eth0"));
        Assert.False(_host.Stack.Ip.IsLocal(InetAddress.Parse("10.0.0.1")));
        Assert.DoesNotContain(_host.Stack.Routes.Entries, r => r.InterfaceIndex == _eth0.Index);
    }

    private sealed class Observer : IStackObserver
    {
        public List<string> Events { get; } = [];

        public void OnLink(NetworkInterface link, StackChange change) => Events.Add($"link {link.Name} {change}");

        public void OnAddress(NetworkInterface link, InterfaceAddress address, StackChange change) => Events.Add($"address {address.Address} {change}");

        public void OnRoute(RouteEntry route, StackChange change) => Events.Add($"route {route.Destination}/{route.Prefix} {change}");

        public void OnNeighbour(Neighbour neighbour, StackChange change) => Events.Add($"neighbour {neighbour.Address} {neighbour.State} {change}");
    }
}
