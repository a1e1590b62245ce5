using Tests.Netstack.Simulation;

namespace Tests.Netstack.Neighbours;

public sealed class ArpTests
{
    private const string Peer = OneHost.PeerV4;

    private static Neighbour? Entry(OneHost one) => one.Stack.Ip.Neighbours.Find(one.Link, InetAddress.Parse(Peer));

    private static byte[] Reply(OneHost one, MacAddress mac) => Frames.Arp(ArpPacket.Reply, mac, Peer, one.Mac, OneHost.V4);

    [Fact]
    public void Request_ForOwnAddress_IsAnsweredAndLearned()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, Peer, default, OneHost.V4));

        Assert.Equal(new ArpPacket(ArpPacket.Reply, one.Mac, InetAddress.Parse(OneHost.V4), Frames.Stranger, InetAddress.Parse(Peer)), Assert.Single(one.Wire.ArpOf()));
        Assert.Equal((NeighbourState.Stale, Frames.Stranger), (Entry(one)!.State, Entry(one)!.Mac));
    }

    [Fact]
    public void Forget_LearnedEntryIsAskedForAgain_StaticStays()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, Peer, default, OneHost.V4));
        one.Stack.Ip.Neighbours.Forget(one.Link);
        Assert.Null(Entry(one));

        using var other = new OneHost();
        Assert.Equal(NeighbourState.Permanent, Entry(other)!.State);
        other.Stack.Ip.Neighbours.Forget(other.Link);
        Assert.NotNull(Entry(other));
    }

    [Fact]
    public void Request_ForAnother_IsNeitherAnsweredNorLearned()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, Peer, default, "10.0.0.77"));
        Assert.Empty(one.Wire.Log!);
        Assert.Null(Entry(one));
    }

    [Fact]
    public void Probe_ForOwnAddress_IsAnsweredButNotLearned()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, "0.0.0.0", default, OneHost.V4));
        Assert.Equal(ArpPacket.Reply, Assert.Single(one.Wire.ArpOf()).Operation);
        Assert.DoesNotContain(one.Stack.Ip.Neighbours.Entries, n => n.Address.IsAny);
        Assert.Empty(one.Host.Conflicts);
    }

    [Fact]
    public void Request_ForLoopback_IsNotAnswered()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, Peer, default, "127.0.0.1"));
        Assert.Empty(one.Wire.Log!);
    }

    [Fact]
    public void Send_Unresolved_AsksOnceASecondThreeTimes_ThenTellsUnreachable()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp();
        one.Host.Connect(socket, Peer, 9);
        one.Host.Send(socket, "one");
        one.Host.Send(socket, "two");

        one.Network.RunFor(2500 * SimNetwork.Millisecond);
        Assert.Equal(3, one.Wire.ArpOf().Count);
        Assert.All(one.Wire.ArpOf(), a => Assert.Equal((OneHost.V4, Peer, ArpPacket.Request), (a.Sender.ToString(), a.Target.ToString(), a.Operation)));
        Assert.Equal(NeighbourState.Incomplete, Entry(one)!.State);
        Assert.Equal(Errno.None, socket.PendingError);

        one.Network.RunFor(SimNetwork.Second);
        Assert.Equal(NeighbourState.Failed, Entry(one)!.State);
        Assert.Equal(2UL, one.Link.Counters.SendDropped);
        Assert.Equal(Errno.None, socket.PendingError);
    }

    [Fact]
    public void Send_Unresolved_WithReceiveErrors_HasTheErrorQueued()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp(options: o => o.ReceiveErrors = true);
        one.Host.SendTo(socket, Peer, 9, "one");
        one.Network.RunFor(4 * SimNetwork.Second);

        Assert.Equal(Errno.EHOSTUNREACH, socket.PendingError);
        Datagram error = socket.ReceiveError(peek: false)!;
        Assert.Equal("one", System.Text.Encoding.ASCII.GetString(error.Data));
        Assert.Equal((Peer, (ushort)9), (error.Destination.ToString(), error.DestinationPort));
        Assert.Equal((TransportError.OriginIcmp, IcmpType.Unreachable, IcmpType.HostUnreachable), (error.ExtendedError![4], error.ExtendedError[5], error.ExtendedError[6]));
    }

    [Fact]
    public void Reply_SendsWhatWaits_InOrder()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp();
        for (int i = 0; i < 5; i++)
            one.Host.SendTo(socket, Peer, 9, $"{i}");
        Assert.Empty(one.Wire.V4Of(IpProtocol.Udp));

        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);

        Assert.Equal(["0", "1", "2", "3", "4"], one.Wire.V4Of(IpProtocol.Udp).Select(p => System.Text.Encoding.ASCII.GetString(p.Payload[8..])));
        Assert.Equal(NeighbourState.Reachable, Entry(one)!.State);
    }

    [Fact]
    public void Send_Unresolved_KeepsTheLast101()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp();
        for (int i = 0; i < 150; i++)
            one.Host.SendTo(socket, Peer, 9, $"{i}");
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        Assert.Equal(101, one.Wire.V4Of(IpProtocol.Udp).Count);
        Assert.Equal("149", System.Text.Encoding.ASCII.GetString(one.Wire.V4Of(IpProtocol.Udp)[^1].Payload[8..]));
    }

    [Fact]
    public void Reply_Unasked_IsNotLearned()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        Assert.Null(Entry(one));
    }

    [Fact]
    public void Reply_SecondWithinASecond_IsNotBelieved()
    {
        using var one = new OneHost(knowsPeer: false);
        one.Host.SendTo(one.Host.Udp(), Peer, 9, "x");
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        one.InjectArp(Reply(one, new MacAddress(0x020000000077)), one.Mac);
        Assert.Equal(Frames.Stranger, Entry(one)!.Mac);
        one.Network.RunFor(2 * SimNetwork.Second);
        one.InjectArp(Reply(one, new MacAddress(0x020000000077)), one.Mac);
        Assert.Equal(new MacAddress(0x020000000077), Entry(one)!.Mac);
    }

    [Fact]
    public void Gratuitous_ChangesAKnownNeighbour()
    {
        using var one = new OneHost(knowsPeer: false);
        one.Host.SendTo(one.Host.Udp(), Peer, 9, "x");
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        one.InjectArp(Frames.Arp(ArpPacket.Request, new MacAddress(0x020000000077), Peer, default, Peer), from: new MacAddress(0x020000000077));
        Assert.Equal((new MacAddress(0x020000000077), NeighbourState.Stale), (Entry(one)!.Mac, Entry(one)!.State));
    }

    [Fact]
    public void Permanent_IsNotChangedByReplies()
    {
        using var one = new OneHost();
        one.InjectArp(Frames.Arp(ArpPacket.Request, new MacAddress(0x020000000077), Peer, default, OneHost.V4));
        Assert.Equal((Frames.Stranger, NeighbourState.Permanent), (Entry(one)!.Mac, Entry(one)!.State));
    }

    [Fact]
    public void Reachable_Unused_GoesStale_Used_IsProbedByUnicast_ThenFails()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp();
        one.Host.SendTo(socket, Peer, 9, "x");
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        one.Network.RunFor(60 * SimNetwork.Second);
        Assert.Equal(NeighbourState.Stale, Entry(one)!.State);
        one.Wire.Log!.Clear();

        one.Host.SendTo(socket, Peer, 9, "y");
        Assert.Equal(NeighbourState.Delay, Entry(one)!.State);
        Assert.Empty(one.Wire.ArpOf());
        one.Network.RunFor(5500 * SimNetwork.Millisecond);
        Assert.Equal(NeighbourState.Probe, Entry(one)!.State);
        Assert.Equal(Frames.Stranger, MacAddress.FromBytes(one.Wire.Log!.Single(Frames.IsArp)));
        one.Network.RunFor(3 * SimNetwork.Second);
        Assert.Equal(NeighbourState.Failed, Entry(one)!.State);
        Assert.Equal(3, one.Wire.ArpOf().Count);
    }

    [Fact]
    public void Delay_ConfirmedByTransport_IsReachableWithoutProbe()
    {
        using var one = new OneHost(knowsPeer: false);
        UdpEndpoint socket = one.Host.Udp();
        one.Host.SendTo(socket, Peer, 9, "x");
        one.InjectArp(Reply(one, Frames.Stranger), one.Mac);
        one.Network.RunFor(60 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        one.Host.SendTo(socket, Peer, 9, "y");

        one.Host.Do(s => s.Ip.ConfirmReachability(s.Ip.FindRoute(InetAddress.Parse(Peer), default).Value));

        Assert.Equal(NeighbourState.Reachable, Entry(one)!.State);
        one.Network.RunFor(10 * SimNetwork.Second);
        Assert.Empty(one.Wire.ArpOf());
    }

    [Fact]
    public void Restore_WhileResolving_GoesOnAndFails()
    {
        using var one = new OneHost(knowsPeer: false);
        one.Host.SendTo(one.Host.Udp(), Peer, 9, "x");
        one.Network.RunFor(1500 * SimNetwork.Millisecond);
        one.Host.SaveAndRestore();
        Assert.Equal(NeighbourState.Incomplete, Entry(one)!.State);
        one.Network.RunFor(2 * SimNetwork.Second);
        Assert.Equal(NeighbourState.Failed, Entry(one)!.State);
        Assert.Equal(3, one.Wire.ArpOf().Count);
    }

    [Fact]
    public void Claim_OfOwnAddress_IsToldToTheHost()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, Frames.Stranger, OneHost.V4, default, OneHost.V4));
        one.InjectArp(Frames.Arp(ArpPacket.Reply, Frames.Stranger, OneHost.V4, default, "10.0.0.3"), one.Mac);
        Assert.Equal([(InetAddress.Parse(OneHost.V4), Frames.Stranger), (InetAddress.Parse(OneHost.V4), Frames.Stranger)], one.Host.Conflicts);
        Assert.Null(one.Stack.Ip.Neighbours.Find(one.Link, InetAddress.Parse(OneHost.V4)));
    }

    [Fact]
    public void OwnAnnouncement_ThatComesBack_IsNoConflict()
    {
        using var one = new OneHost(knowsPeer: false);
        one.InjectArp(Frames.Arp(ArpPacket.Request, one.Mac, OneHost.V4, default, OneHost.V4), from: one.Mac);
        Assert.Empty(one.Host.Conflicts);
    }

    [Fact]
    public void Announce_TellsAllAddresses()
    {
        using var one = new OneHost(knowsPeer: false);
        one.Host.Do(s => s.Announce(one.Link));

        Assert.Equal([ArpPacket.Request, ArpPacket.Reply], one.Wire.ArpOf().Select(a => a.Operation));
        Assert.All(one.Wire.ArpOf(), a => Assert.Equal((OneHost.V4, OneHost.V4, one.Mac), (a.Sender.ToString(), a.Target.ToString(), a.SenderMac)));
        List<NeighbourMessage> told = [.. one.Wire.V6Of(IpProtocol.Icmpv6).Where(p => p.Payload[0] == Icmpv6Type.NeighbourAdvertisement).Select(p =>
        {
            Assert.True(NeighbourMessage.TryParse(p.Payload, out NeighbourMessage message));
            Assert.Equal(("ff02::1", (byte)255), (p.Header.Destination.ToString(), p.Header.HopLimit));
            return message;
        })];
        Assert.Equal([one.Mac.LinkLocal.ToString(), OneHost.V6], told.Select(m => m.Target.ToString()).Order(StringComparer.Ordinal).Reverse());
        Assert.All(told, m => Assert.True(m.IsOverride && !m.IsSolicited && m.LinkAddress == one.Mac));
    }

    [Fact]
    public void Announce_AfterRestoreWithAnotherMac_MovesPeers()
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        b.Attach(wire, "10.0.0.2/24", "fd00::2/64");
        a.SendTo(a.Udp(), "10.0.0.2", 9, "x");
        a.SendTo(a.Udp(isV6: true), "fd00::2", 9, "x");
        net.RunFor(SimNetwork.Second);

        b.Do(s => s.FindInterface("eth0")!.Mac = new MacAddress(0x020000009999));
        b.Do(s => s.Announce(s.FindInterface("eth0")!));
        net.RunFor(SimNetwork.Millisecond);

        NetworkInterface link = a.Stack.FindInterface("eth0")!;
        Assert.Equal(new MacAddress(0x020000009999), a.Stack.Ip.Neighbours.Find(link, InetAddress.Parse("10.0.0.2"))!.Mac);
        Assert.Equal(new MacAddress(0x020000009999), a.Stack.Ip.Neighbours.Find(link, InetAddress.Parse("fd00::2"))!.Mac);
    }

    [Fact]
    public void Set_FollowsNetlinksFlags()
    {
        using var one = new OneHost(knowsPeer: false);
        NeighbourTable table = one.Stack.Ip.Neighbours;
        InetAddress address = InetAddress.Parse("10.0.0.50");
        Assert.Equal(Errno.ENOENT, one.Host.Do(_ => table.Set(one.Link, address, new MacAddress(2), NeighbourState.Permanent, RouteAddMode.Replace)));
        Assert.Equal(Errno.None, one.Host.Do(_ => table.Set(one.Link, address, new MacAddress(2), NeighbourState.Permanent, RouteAddMode.Create | RouteAddMode.Exclusive)));
        Assert.Equal(Errno.EEXIST, one.Host.Do(_ => table.Set(one.Link, address, new MacAddress(4), NeighbourState.Permanent, RouteAddMode.Create | RouteAddMode.Exclusive)));
        Assert.Equal(Errno.None, one.Host.Do(_ => table.Set(one.Link, address, new MacAddress(4), NeighbourState.Reachable, RouteAddMode.Create | RouteAddMode.Replace)));
        Assert.Equal(new MacAddress(4), table.Find(one.Link, address)!.Mac);
        Assert.Equal(Errno.EINVAL, one.Host.Do(_ => table.Set(one.Link, InetAddress.AnyV4, new MacAddress(4), NeighbourState.Permanent, RouteAddMode.Create)));
        Assert.Equal(Errno.None, one.Host.Do(_ => table.Remove(one.Link, address)));
        Assert.Equal(Errno.ENOENT, one.Host.Do(_ => table.Remove(one.Link, address)));
    }

    [Fact]
    public void Table_Full_EvictsTheLongestUnused()
    {
        using var one = new OneHost(knowsPeer: false);
        for (int i = 0; i < 1100; i++)
        {
            string from = $"10.0.{i / 250 + 1}.{i % 250 + 1}";
            one.InjectArp(Frames.Arp(ArpPacket.Request, new MacAddress(0x020000000000UL + (ulong)i), from, default, OneHost.V4), from: new MacAddress(0x020000000000UL + (ulong)i));
        }

        Assert.Equal(1024, one.Stack.Ip.Neighbours.Entries.Count);
        Assert.NotNull(one.Stack.Ip.Neighbours.Find(one.Link, InetAddress.Parse("10.0.5.100")));
    }
}
