using Tests.Netstack.Simulation;

namespace Tests.Netstack.Neighbours;

public sealed class NdpTests
{
    private const string Peer = OneHost.PeerV6;

    private static Neighbour? Entry(OneHost one) => one.Stack.Ip.Neighbours.Find(one.Link, InetAddress.Parse(Peer));

    private static void Inject(OneHost one, in NeighbourMessage message, string from, string to, byte hops = 255) =>
        one.InjectV6(Frames.V6(from, to, IpProtocol.Icmpv6, Frames.Neighbour(message, from, to), hops), InetAddress.Parse(to).IsMulticast ? MacAddress.OfMulticast(InetAddress.Parse(to)) : one.Mac);

    private static NeighbourMessage Advertisement(MacAddress? mac, bool solicited = true, bool overrides = true, bool router = false) =>
        new(true, InetAddress.Parse(Peer), mac) { IsSolicited = solicited, IsOverride = overrides, IsRouter = router };

    private static List<(Ipv6Header Header, NeighbourMessage Message)> Sent(OneHost one, byte type) =>
        [.. one.Wire.V6Of(IpProtocol.Icmpv6).Where(p => p.Payload[0] == type).Select(p =>
        {
            Assert.True(NeighbourMessage.TryParse(p.Payload, out NeighbourMessage message));
            return (p.Header, message);
        })];

    private static OneHost Resolving()
    {
        var one = new OneHost(knowsPeer: false, name: nameof(NdpTests));
        one.Host.SendTo(one.Host.Udp(isV6: true), Peer, 9, "x");
        return one;
    }

    [Fact]
    public void Solicitation_ForOwnAddress_IsAnsweredByUnicastAndLearned()
    {
        using var one = new OneHost(knowsPeer: false);
        Inject(one, new NeighbourMessage(false, InetAddress.Parse(OneHost.V6), Frames.Stranger), Peer, "ff02::1:ff00:1");

        (Ipv6Header header, NeighbourMessage answer) = Assert.Single(Sent(one, Icmpv6Type.NeighbourAdvertisement));
        Assert.Equal((Peer, (byte)255), (header.Destination.ToString(), header.HopLimit));
        Assert.Equal(new NeighbourMessage(true, InetAddress.Parse(OneHost.V6), one.Mac) { IsSolicited = true, IsOverride = true }, answer);
        Assert.Equal((Frames.Stranger, NeighbourState.Stale), (Entry(one)!.Mac, Entry(one)!.State));
    }

    [Fact]
    public void Solicitation_FromBeyondTheLink_IsIgnored()
    {
        using var one = new OneHost(knowsPeer: false);
        Inject(one, new NeighbourMessage(false, InetAddress.Parse(OneHost.V6), Frames.Stranger), Peer, "ff02::1:ff00:1", hops: 254);
        Assert.Empty(one.Wire.Log!);
    }

    [Fact]
    public void Solicitation_OfDetection_IsDefendedToAllNodes()
    {
        using var one = new OneHost(knowsPeer: false);
        Inject(one, new NeighbourMessage(false, InetAddress.Parse(OneHost.V6), null) { Nonce = 5 }, "::", "ff02::1:ff00:1");
        (Ipv6Header header, NeighbourMessage answer) = Assert.Single(Sent(one, Icmpv6Type.NeighbourAdvertisement));
        Assert.Equal("ff02::1", header.Destination.ToString());
        Assert.False(answer.IsSolicited);
        Assert.Empty(one.Host.Conflicts);
    }

    [Fact]
    public void Send_Unresolved_AsksTheSolicitedNodeGroup_ThenFails()
    {
        using OneHost one = Resolving();
        one.Network.RunFor(2500 * SimNetwork.Millisecond);
        Assert.Equal(3, Sent(one, Icmpv6Type.NeighbourSolicitation).Count);
        Assert.All(Sent(one, Icmpv6Type.NeighbourSolicitation), s => Assert.Equal(("ff02::1:ff00:9", OneHost.V6, one.Mac), (s.Header.Destination.ToString(), s.Header.Source.ToString(), s.Message.LinkAddress)));
        one.Network.RunFor(SimNetwork.Second);
        Assert.Equal(NeighbourState.Failed, Entry(one)!.State);
    }

    [Fact]
    public void Send_Unresolved_TellsConnectedSocketThatAsksForErrors()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp(isV6: true, options: o => o.ReceiveErrorsV6 = true);
        one.Host.Connect(socket, Peer, 9);
        one.Host.Send(socket, "x");
        one.Network.RunFor(4 * SimNetwork.Second);
        Assert.Equal(Errno.EHOSTUNREACH, socket.PendingError);
        Assert.Equal((TransportError.OriginIcmp6, Icmpv6Type.Unreachable, Icmpv6Type.AddressUnreachable), (socket.ReceiveError(true)!.ExtendedError![4], socket.ReceiveError(true)!.ExtendedError![5], socket.ReceiveError(true)!.ExtendedError![6]));
    }

    [Theory]
    [InlineData(true, NeighbourState.Reachable)]
    [InlineData(false, NeighbourState.Stale)]
    public void Advertisement_WhileIncomplete_Resolves(bool solicited, NeighbourState state)
    {
        using OneHost one = Resolving();
        Inject(one, Advertisement(Frames.Stranger, solicited), Peer, solicited ? OneHost.V6 : "ff02::1");
        Assert.Equal((Frames.Stranger, state), (Entry(one)!.Mac, Entry(one)!.State));
        Assert.Single(one.Wire.V6Of(IpProtocol.Udp));
    }

    [Fact]
    public void Advertisement_WithoutAddressWhileIncomplete_IsIgnored()
    {
        using OneHost one = Resolving();
        Inject(one, Advertisement(null), Peer, OneHost.V6);
        Assert.Equal(NeighbourState.Incomplete, Entry(one)!.State);
    }

    [Theory]
    [InlineData(false, false, 1, NeighbourState.Stale)]
    [InlineData(false, true, 1, NeighbourState.Stale)]
    [InlineData(true, false, 2, NeighbourState.Stale)]
    [InlineData(true, true, 2, NeighbourState.Reachable)]
    public void Advertisement_OfAnotherAddress_WhileReachable_FollowsTheFlags(bool overrides, bool solicited, int which, NeighbourState state)
    {
        var other = new MacAddress(0x020000000077);
        using OneHost one = Resolving();
        Inject(one, Advertisement(Frames.Stranger), Peer, OneHost.V6);
        Inject(one, Advertisement(other, solicited, overrides), Peer, solicited ? OneHost.V6 : "ff02::1");
        Assert.Equal((which == 2 ? other : Frames.Stranger, state), (Entry(one)!.Mac, Entry(one)!.State));
    }

    [Fact]
    public void Stale_Used_IsProbedByUnicast()
    {
        using OneHost one = Resolving();
        Inject(one, Advertisement(Frames.Stranger), Peer, OneHost.V6);
        one.Network.RunFor(60 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        one.Host.SendTo(one.Host.Udp(isV6: true), Peer, 9, "y");
        one.Network.RunFor(5500 * SimNetwork.Millisecond);
        Assert.Equal(Peer, Assert.Single(Sent(one, Icmpv6Type.NeighbourSolicitation)).Header.Destination.ToString());
        Inject(one, Advertisement(null), Peer, OneHost.V6);
        Assert.Equal(NeighbourState.Reachable, Entry(one)!.State);
    }

    [Fact]
    public void Detection_ProbesOnce_ThenUsable()
    {
        using var one = new OneHost();
        one.Host.Do(_ => one.Link.AddAddress(new InterfaceAddress { Address = InetAddress.Parse("fd00::5"), Prefix = 64 }));
        InterfaceAddress own = one.Link.FindAddress(InetAddress.Parse("fd00::5"))!;
        Assert.True(own.IsTentative);
        one.Network.RunFor(3 * SimNetwork.Second);
        Assert.True(own.IsUsable);
        (Ipv6Header header, NeighbourMessage probe) = Assert.Single(Sent(one, Icmpv6Type.NeighbourSolicitation));
        Assert.Equal(("::", "ff02::1:ff00:5", "fd00::5"), (header.Source.ToString(), header.Destination.ToString(), probe.Target.ToString()));
        Assert.Null(probe.LinkAddress);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Detection_AnotherHasIt_FailsAndTells(bool advertised)
    {
        using var one = new OneHost();
        one.Host.Do(_ => one.Link.AddAddress(new InterfaceAddress { Address = InetAddress.Parse("fd00::5"), Prefix = 64 }));
        if (advertised)
            Inject(one, new NeighbourMessage(true, InetAddress.Parse("fd00::5"), Frames.Stranger) { IsOverride = true }, "fd00::5", "ff02::1");
        else
            Inject(one, new NeighbourMessage(false, InetAddress.Parse("fd00::5"), null) { Nonce = 5 }, "::", "ff02::1:ff00:5");
        one.Network.RunFor(5 * SimNetwork.Second);

        InterfaceAddress own = one.Link.FindAddress(InetAddress.Parse("fd00::5"))!;
        Assert.Equal(AddressFlags.Tentative | AddressFlags.DadFailed, own.Flags & (AddressFlags.Tentative | AddressFlags.DadFailed));
        Assert.False(one.Stack.Ip.IsLocal(own.Address));
        Assert.Equal((InetAddress.Parse("fd00::5"), Frames.Stranger), Assert.Single(one.Host.Conflicts));
    }

    [Fact]
    public void Detection_OwnProbeComesBack_IsNoConflict()
    {
        using var one = new OneHost();
        one.Host.Do(_ => one.Link.AddAddress(new InterfaceAddress { Address = InetAddress.Parse("fd00::5"), Prefix = 64 }));
        Assert.True(one.Network.RunUntil(() => one.Wire.Log!.Count > 0 && Sent(one, Icmpv6Type.NeighbourSolicitation).Count > 0));
        byte[] probe = one.Wire.Log!.Last(f => Frames.AsV6(f, IpProtocol.Icmpv6) is { Payload: [Icmpv6Type.NeighbourSolicitation, ..] });
        one.Wire.Inject(probe);
        one.Network.RunFor(2 * SimNetwork.Second);
        Assert.True(one.Link.FindAddress(InetAddress.Parse("fd00::5"))!.IsUsable);
    }

    [Fact]
    public void Detection_Restore_GoesOn()
    {
        using var one = new OneHost();
        one.Host.Do(_ => one.Link.AddAddress(new InterfaceAddress { Address = InetAddress.Parse("fd00::5"), Prefix = 64 }));
        one.Host.SaveAndRestore();
        one.Network.RunFor(3 * SimNetwork.Second);
        Assert.True(one.Link.FindAddress(InetAddress.Parse("fd00::5"))!.IsUsable);
    }

    [Fact]
    public void Claim_OfOwnAddress_IsTold()
    {
        using var one = new OneHost();
        Inject(one, new NeighbourMessage(true, InetAddress.Parse(OneHost.V6), Frames.Stranger) { IsOverride = true }, Peer, "ff02::1");
        Inject(one, new NeighbourMessage(false, InetAddress.Parse(Peer), Frames.Stranger), OneHost.V6, "ff02::1");
        Assert.Equal([(InetAddress.Parse(OneHost.V6), Frames.Stranger), (InetAddress.Parse(OneHost.V6), Frames.Stranger)], one.Host.Conflicts);
    }

    [Fact]
    public void RouterAdvertisement_BringsDefaultRoutePrefixAndAddress_ForTheirTime()
    {
        using var one = new OneHost();
        const string router = "fe80::aa";
        byte[] body = Convert.FromHexString("4000" + "0064" + "00000000" + "00000000" + "010102aabbccddee" + "030440c0" + "00000078" + "0000003c" + "00000000" + "20010db8000000000000000000000000");
        byte[] message = [Icmpv6Type.RouterAdvertisement, 0, 0, 0, .. body];
        Frames.WriteChecksum(message, 2, router, "ff02::1", IpProtocol.Icmpv6);
        one.InjectV6(Frames.V6(router, "ff02::1", IpProtocol.Icmpv6, message, 255), MacAddress.OfMulticast(InetAddress.Parse("ff02::1")));

        RouteEntry way = one.Stack.Routes.Lookup(InetAddress.Parse("2a00::1"))!;
        Assert.Equal((router, RouteProtocol.RouterAdvertisement), (way.Gateway.ToString(), way.Protocol));
        one.Network.RunFor(3 * SimNetwork.Second);
        var made = new InetAddress(0x20010db800000000, one.Mac.LinkLocal.Low);
        Assert.True(one.Link.FindAddress(made)!.IsUsable);
        Assert.Equal(made, one.Host.Do(s => s.Ip.FindRoute(InetAddress.Parse("2a00::1"), default)).Value.Source);

        one.Host.SaveAndRestore();
        one.Network.RunFor(70 * SimNetwork.Second);
        Assert.True(one.Link.FindAddress(made)!.IsDeprecated);
        one.Network.RunFor(30 * SimNetwork.Second);
        Assert.Null(one.Stack.Routes.Lookup(InetAddress.Parse("2a00::1")));
        one.Network.RunFor(30 * SimNetwork.Second);
        Assert.Null(one.Link.FindAddress(made));
    }

    [Fact]
    public void RouterSolicitation_IsSentAfterDetection()
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        wire.Log = [];
        SimHost host = net.AddHost("host");
        host.Attach(wire);
        net.RunFor(20 * SimNetwork.Second);
        List<(Ipv6Header Header, byte[] Payload)> asked = [.. wire.V6Of(IpProtocol.Icmpv6).Where(p => p.Payload[0] == Icmpv6Type.RouterSolicitation)];
        Assert.Equal(3, asked.Count);
        Assert.All(asked, a => Assert.Equal(("ff02::2", (byte)255, 16), (a.Header.Destination.ToString(), a.Header.HopLimit, a.Payload.Length)));
    }

    [Fact]
    public void NoRouterFlag_TakesItsDefaultRouteAway()
    {
        using var one = new OneHost();
        const string router = "fe80::aa";
        byte[] message = [Icmpv6Type.RouterAdvertisement, 0, 0, 0, .. Convert.FromHexString("4000" + "0064" + "00000000" + "00000000" + "010102aabbccddee")];
        Frames.WriteChecksum(message, 2, router, "ff02::1", IpProtocol.Icmpv6);
        one.InjectV6(Frames.V6(router, "ff02::1", IpProtocol.Icmpv6, message, 255), MacAddress.OfMulticast(InetAddress.Parse("ff02::1")));
        Assert.NotNull(one.Stack.Routes.Lookup(InetAddress.Parse("2a00::1")));
        Inject(one, new NeighbourMessage(true, InetAddress.Parse(router), Frames.Stranger) { IsOverride = true }, router, "ff02::1");
        Assert.Null(one.Stack.Routes.Lookup(InetAddress.Parse("2a00::1")));
    }
}
