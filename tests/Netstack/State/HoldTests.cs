using Tests.Netstack.Simulation;

namespace Tests.Netstack.State;

/// <summary>A paused sandbox (<see cref="NetworkStack.IsHeld"/>): what it answers, and that nothing saved changes.</summary>
public sealed class HoldTests
{
    private static OneHost Held(out byte[] before)
    {
        var one = new OneHost(name: nameof(HoldTests));
        one.Host.Udp("0.0.0.0", 7);
        one.Stack.IsHeld = true;
        before = one.Host.Save();
        return one;
    }

    [Fact]
    public void ArpRequest_IsAnswered_NothingIsLearned()
    {
        using OneHost one = Held(out byte[] before);
        one.InjectArp(Frames.Arp(ArpPacket.Request, new MacAddress(0x020000000055), "10.0.0.55", default, OneHost.V4), from: new MacAddress(0x020000000055));
        Assert.Equal(ArpPacket.Reply, Assert.Single(one.Wire.ArpOf()).Operation);
        Assert.Equal(before, one.Host.Save());
    }

    [Fact]
    public void Solicitation_IsAnswered_NothingIsLearned()
    {
        using OneHost one = Held(out byte[] before);
        var message = new NeighbourMessage(false, InetAddress.Parse(OneHost.V6), new MacAddress(0x020000000055));
        one.InjectV6(Frames.V6("fd00::55", "ff02::1:ff00:1", IpProtocol.Icmpv6, Frames.Neighbour(message, "fd00::55", "ff02::1:ff00:1"), 255), MacAddress.OfMulticast(InetAddress.Parse("ff02::1:ff00:1")));
        (Ipv6Header header, byte[] payload) = Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6));
        Assert.Equal(("fd00::55", Icmpv6Type.NeighbourAdvertisement), (header.Destination.ToString(), payload[0]));
        Assert.Equal(before, one.Host.Save());
    }

    [Fact]
    public void Probe_OfDetection_IsAnsweredToAll()
    {
        using OneHost one = Held(out byte[] before);
        var message = new NeighbourMessage(false, InetAddress.Parse(OneHost.V6), null) { Nonce = 9 };
        one.InjectV6(Frames.V6("::", "ff02::1:ff00:1", IpProtocol.Icmpv6, Frames.Neighbour(message, "::", "ff02::1:ff00:1"), 255), MacAddress.OfMulticast(InetAddress.Parse("ff02::1:ff00:1")));
        Assert.Equal("ff02::1", Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Header.Destination.ToString());
        Assert.Equal(before, one.Host.Save());
    }

    [Fact]
    public void EverythingElse_IsDropped()
    {
        using OneHost one = Held(out byte[] before);
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, Frames.Udp(OneHost.PeerV4, 9, OneHost.V4, 7, [1])));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, Frames.Udp(OneHost.PeerV4, 9, OneHost.V4, 8, [1])));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 1, [])));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, new byte[16], more: true));
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.Echo, 0, 1, [], OneHost.PeerV6, OneHost.V6)));
        one.InjectArp(Frames.Arp(ArpPacket.Reply, Frames.Stranger, "10.0.0.33", one.Mac, OneHost.V4), one.Mac);
        one.Wire.Inject([1, 2, 3]);
        Assert.Empty(one.Wire.Log!);
        Assert.Equal(before, one.Host.Save());
    }

    [Fact]
    public void Claim_OfOwnAddress_IsStillTold()
    {
        using OneHost one = Held(out byte[] before);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, OneHost.V4, default, OneHost.V4));
        Assert.Single(one.Host.Conflicts);
        Assert.Equal(before, one.Host.Save());
    }

    [Fact]
    public void Timers_Wait_AndGoOnWhenReleased()
    {
        using var one = new OneHost(knowsPeer: false);
        one.Host.SendTo(one.Host.Udp(), OneHost.PeerV4, 9, "x");
        one.Stack.IsHeld = true;
        Assert.Equal(long.MaxValue, one.Stack.NextDeadline);
        one.Network.RunFor(10 * SimNetwork.Second);
        Assert.Single(one.Wire.ArpOf());
        one.Stack.IsHeld = false;
        one.Network.RunFor(10 * SimNetwork.Second);
        Assert.Equal(3, one.Wire.ArpOf().Count);
    }
}
