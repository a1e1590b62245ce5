using Tests.Netstack.Simulation;

namespace Tests.Netstack.Links;

/// <summary>Links within one stack: veth pairs, dummies.</summary>
public sealed class VirtualLinkTests : IDisposable
{
    private readonly SimNetwork _net = new(name: nameof(VirtualLinkTests));
    private readonly SimHost _host;

    public VirtualLinkTests() => _host = _net.AddHost("host");

    public void Dispose() => _net.Dispose();

    private (NetworkInterface A, NetworkInterface B) MakePair() => _host.Do(s =>
    {
        NetworkInterface a = s.AddInterface("a", InterfaceKind.Ethernet, new MacAddress(0x02_00_00_00_00_0a), 1500), b = s.AddInterface("b", InterfaceKind.Ethernet, new MacAddress(0x02_00_00_00_00_0b), 1500);
        VethLink.Join(a, b);
        return (a, b);
    });

    [Fact]
    public void Pair_HasCarrierWhenBothAreUp()
    {
        (NetworkInterface a, NetworkInterface b) = MakePair();
        _host.Do(_ => a.IsUp = true);
        Assert.False(a.HasCarrier);
        Assert.Null(a.LinkLocal);
        _host.Do(_ => b.IsUp = true);
        Assert.True(a.HasCarrier && b.HasCarrier);
        _net.RunFor(3 * SimNetwork.Second);
        Assert.NotNull(a.LinkLocal);
        Assert.NotNull(b.LinkLocal);
        _host.Do(_ => b.IsUp = false);
        Assert.False(a.HasCarrier);
    }

    [Fact]
    public void Frames_ComeInAtTheOtherEnd()
    {
        (NetworkInterface a, NetworkInterface b) = MakePair();
        _host.Do(_ => b.IsUp = a.IsUp = true);
        _net.RunFor(3 * SimNetwork.Second);

        // Reports of groups and detection of addresses have gone both ways.
        Assert.True(b.Counters.ReceivedPackets > 0);
        Assert.Equal(a.Counters.SentPackets, b.Counters.ReceivedPackets);
        Assert.Equal(b.Counters.SentBytes, a.Counters.ReceivedBytes);
    }

    [Fact]
    public void Dummy_TakesEverything()
    {
        NetworkInterface dummy = _host.Do(s =>
        {
            NetworkInterface added = s.AddInterface("dummy0", InterfaceKind.Ethernet, new MacAddress(0x02_00_00_00_00_0d), 1500);
            DummyLink.Attach(added);
            added.IsUp = true;
            added.AddAddress(new InterfaceAddress { Address = InetAddress.Parse("10.9.0.1"), Prefix = 24 });
            return added;
        });
        _net.RunFor(3 * SimNetwork.Second);
        Assert.True(dummy.HasCarrier);
        Assert.True(dummy.Counters.SentPackets > 0);
        Assert.Equal(0ul, dummy.Counters.ReceivedPackets);
    }
}
