using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

/// <summary>Rules, tables of users' own, several next hops.</summary>
public sealed class PolicyRoutingTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(PolicyRoutingTests));
    private readonly SimHost _host;
    private readonly NetworkInterface _eth0, _eth1;

    public PolicyRoutingTests()
    {
        SimSegment wire = _net.AddSegment();
        _host = _net.AddHost("host");
        _eth0 = _host.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        _eth1 = _host.Attach(wire, "10.1.0.1/24");
        _net.RunFor(3 * SimNetwork.Second);
        Add("0.0.0.0/0", "10.0.0.254", RouteTable.Main);
        Add("0.0.0.0/0", "10.1.0.254", 100);
    }

    public void Dispose() => _net.Dispose();

    private void Add(string destination, string via, uint table)
    {
        string[] parts = destination.Split('/');
        var entry = new RouteEntry
        {
            Destination = InetAddress.Parse(parts[0]),
            Prefix = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture),
            Gateway = InetAddress.Parse(via),
            Table = table,
        };
        Assert.Equal(Errno.None, _host.Do(s => s.Routes.Add(entry)));
    }

    private RoutingRule Rule(uint priority, uint table, string source = "0.0.0.0", int sourcePrefix = 0, string destination = "0.0.0.0", int destinationPrefix = 0, byte action = RuleAction.ToTable)
    {
        var rule = new RoutingRule
        {
            Priority = priority,
            Table = table,
            Action = action,
            Source = InetAddress.Parse(source),
            SourcePrefix = sourcePrefix,
            Destination = InetAddress.Parse(destination),
            DestinationPrefix = destinationPrefix,
        };
        Assert.Equal(Errno.None, _host.Do(s => s.Routes.AddRule(rule, RouteAddMode.Create | RouteAddMode.Exclusive)));
        return rule;
    }

    private Result<Route> Find(string to, string from = "0.0.0.0") => _host.Do(s => s.Ip.FindRoute(InetAddress.Parse(to), InetAddress.Parse(from)));

    private string HopOf(string to, string from = "0.0.0.0") => Find(to, from) is { IsOk: true } found ? found.Value.NextHop.ToString() : Find(to, from).Error.ToString();

    [Fact]
    public void Rule_BySource_AsksItsTable()
    {
        Assert.Equal("10.0.0.254", HopOf("8.8.8.8", "10.1.0.1"));
        RoutingRule rule = Rule(100, 100, source: "10.1.0.0", sourcePrefix: 24);
        Assert.Equal("10.1.0.254", HopOf("8.8.8.8", "10.1.0.1"));
        Assert.Equal("10.0.0.254", HopOf("8.8.8.8", "10.0.0.1"));
        Assert.Equal("10.0.0.254", HopOf("8.8.8.8"));
        _host.Do(s => s.Routes.RemoveRule(rule));
        Assert.Equal("10.0.0.254", HopOf("8.8.8.8", "10.1.0.1"));
    }

    [Fact]
    public void Rule_ByDestination_RefusesOrGoesElsewhere()
    {
        Rule(100, 100, destination: "9.0.0.0", destinationPrefix: 8);
        Rule(101, 0, destination: "7.0.0.0", destinationPrefix: 8, action: RuleAction.Prohibit);
        Rule(102, 0, destination: "6.0.0.0", destinationPrefix: 8, action: RuleAction.Unreachable);
        Assert.Equal("10.1.0.254", HopOf("9.1.1.1"));
        Assert.Equal("EACCES", HopOf("7.1.1.1"));
        Assert.Equal("EHOSTUNREACH", HopOf("6.1.1.1"));
        Assert.Equal("127.0.0.1", HopOf("127.0.0.1"));
    }

    [Fact]
    public void Rules_HaveAnOrderAndNextPriority()
    {
        Assert.Equal(32765u, _host.Stack.Routes.Rules.NextPriority(isV6: false));
        Rule(5, 100);
        Assert.Equal([0u, 5u, 32766u, 32767u], _host.Stack.Routes.Rules.List.Where(r => !r.IsV6).Select(r => r.Priority));
        Assert.Equal(4u, _host.Stack.Routes.Rules.NextPriority(isV6: false));
        Assert.Equal(Errno.EEXIST, _host.Do(s => s.Routes.AddRule(new RoutingRule { Priority = 5, Table = 100, Source = InetAddress.AnyV4, Destination = InetAddress.AnyV4 }, RouteAddMode.Exclusive)));
    }

    [Fact]
    public void Throw_GoesOnWithTheNextRule()
    {
        Rule(100, 100);
        Assert.Equal("10.1.0.254", HopOf("8.8.8.8"));
        var entry = new RouteEntry { Destination = InetAddress.Parse("8.0.0.0"), Prefix = 8, Type = RouteType.Throw, Table = 100 };
        Assert.Equal(Errno.None, _host.Do(s => s.Routes.Add(entry)));
        Assert.Equal("10.0.0.254", HopOf("8.8.8.8"));
    }

    [Fact]
    public void NextHops_AreShared_AndOneIsLostWithItsInterface()
    {
        var entry = new RouteEntry
        {
            Destination = InetAddress.Parse("5.0.0.0"),
            Prefix = 8,
            NextHops =
            [
                new RouteNextHop { Gateway = InetAddress.Parse("10.0.0.9"), Weight = 1 }, new RouteNextHop { Gateway = InetAddress.Parse("10.1.0.9"), Weight = 3 },
            ],
        };
        Assert.Equal(Errno.None, _host.Do(s => s.Routes.Add(entry)));
        var hops = Enumerable.Range(0, 200).Select(i => HopOf($"5.1.{i}.7")).GroupBy(h => h).ToDictionary(g => g.Key, g => g.Count());
        Assert.Equal(["10.0.0.9", "10.1.0.9"], hops.Keys.Order());
        Assert.InRange(hops["10.1.0.9"], 120, 180);
        Assert.Equal(HopOf("5.1.1.1"), HopOf("5.1.1.1"));
        _host.Do(_ => _eth1.IsUp = false);
        Assert.All(Enumerable.Range(0, 20), i => Assert.Equal("10.0.0.9", HopOf($"5.1.{i}.7")));
        _host.Do(_ => _eth0.IsUp = false);
        Assert.Equal("ENETUNREACH", HopOf("5.1.1.1"));
    }

    [Fact]
    public void Tables_AreListedSeparately()
    {
        Assert.Single(_host.Stack.Routes.Dump(isV6: false, 100));
        Assert.True(_host.Stack.Routes.HasTable(100));
        Assert.False(_host.Stack.Routes.HasTable(101));
        Assert.Equal(Errno.None, _host.Do(s => s.Routes.Delete(new RouteEntry { Destination = InetAddress.AnyV4, Type = 0, Scope = RouteScope.Nowhere, Protocol = 0, Table = 100 })));
        Assert.False(_host.Stack.Routes.HasTable(100));
    }
}
