using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

/// <summary>RFC 6724 section 5, and inet_select_addr of Linux for IPv4.</summary>
public sealed class SourceSelectionTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(SourceSelectionTests));
    private readonly SimHost _host;
    private readonly NetworkInterface _eth0, _eth1;

    public SourceSelectionTests()
    {
        SimSegment wire = _net.AddSegment();
        _host = _net.AddHost("host");
        _eth0 = _host.Attach(wire);
        _eth1 = _host.Attach(wire);
        _net.RunFor(3 * SimNetwork.Second);
    }

    public void Dispose() => _net.Dispose();

    private void Add(NetworkInterface link, string address, uint flags = 0)
    {
        InterfaceAddress parsed = SimHost.ParseAddress(address);
        parsed.Flags |= flags;
        Assert.Equal(Errno.None, _host.Do(_ => link.AddAddress(parsed)));
    }

    private string Source(string destination) => _host.Do(s => s.Ip.SelectSourceV6(_eth0, InetAddress.Parse(destination))).ToString();

    [Fact]
    public void Rule1_TheDestinationItself()
    {
        Add(_eth0, "2001:db8::1/64");
        Add(_eth0, "2001:db8::2/64");
        Assert.Equal("2001:db8::2", Source("2001:db8::2"));
    }

    [Fact]
    public void Rule2_AppropriateScope()
    {
        Add(_eth0, "2001:db8::1/64");
        Assert.Equal("2001:db8::1", Source("2001:4860::1"));
        Assert.Equal(_eth0.Mac.LinkLocal.ToString(), Source("fe80::99"));
        Assert.Equal(_eth0.Mac.LinkLocal.ToString(), Source("ff02::1"));
        Assert.Equal("2001:db8::1", Source("ff05::1"));
    }

    [Fact]
    public void Rule3_NotDeprecated()
    {
        Add(_eth0, "2001:db8:1::1/64", AddressFlags.Deprecated);
        Add(_eth0, "2001:db8:2::1/64");
        Assert.Equal("2001:db8:2::1", Source("2001:db8:1::9"));
    }

    [Fact]
    public void Rule5_OutgoingInterface()
    {
        Add(_eth1, "2001:db8:1::1/64");
        Add(_eth0, "2001:db8:2::1/64");
        Assert.Equal("2001:db8:2::1", Source("2001:db8:1::9"));
    }

    [Fact]
    public void Rule6_SameLabel()
    {
        Add(_eth0, "2001:db8::1/64");
        Add(_eth0, "fd00::1/64");
        Add(_eth0, "2002:c633:6401::1/64");
        Assert.Equal("fd00::1", Source("fd99::1"));
        Assert.Equal("2002:c633:6401::1", Source("2002:c633:6402::1"));
        Assert.Equal("2001:db8::1", Source("2a00::1"));
    }

    [Fact]
    public void Rule8_LongestPrefix()
    {
        Add(_eth0, "2001:db8:1::1/64");
        Add(_eth0, "2001:db8:3::1/64");
        Assert.Equal("2001:db8:3::1", Source("2001:db8:3::99"));
        Assert.Equal("2001:db8:1::1", Source("2001:db8:1::99"));
    }

    [Fact]
    public void NoAddress_IsUnspecified_AndRouteSaysSo()
    {
        _host.Do(_ => _eth0.RemoveAddress(_eth0.Mac.LinkLocal));
        Assert.Equal("::", Source("fe80::1"));
    }

    [Theory]
    [InlineData("10.0.0.9", "10.0.0.1")]
    [InlineData("10.0.5.9", "10.0.5.1")]
    [InlineData("8.8.8.8", "10.0.0.1")]
    public void V4_SameSubnetElseFirst(string neighbour, string source)
    {
        Add(_eth0, "10.0.0.1/24");
        Add(_eth0, "10.0.5.1/24");
        Assert.Equal(source, _host.Do(s => s.Ip.SelectSourceV4(_eth0, InetAddress.Parse(neighbour))).ToString());
    }

    [Fact]
    public void V4_InterfaceWithoutAddress_TakesAnothers()
    {
        Add(_eth1, "10.0.0.1/24");
        Assert.Equal("10.0.0.1", _host.Do(s => s.Ip.SelectSourceV4(_eth0, InetAddress.Parse("8.8.8.8"))).ToString());
    }
}
