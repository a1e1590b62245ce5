using Tests.Netstack.Simulation;

namespace Tests.Netstack.Udp;

public sealed class UdpSendTests
{
    private static (SimNetwork Net, SimHost A, SimHost B, SimSegment Wire) Two(bool offloads = false)
    {
        var net = new SimNetwork(name: nameof(UdpSendTests));
        SimSegment wire = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, offloads, "10.0.0.1/24", "fd00::1/64");
        b.Attach(wire, offloads, "10.0.0.2/24", "fd00::2/64");
        net.RunFor(3 * SimNetwork.Second);
        wire.Log = [];
        return (net, a, b, wire);
    }

    [Fact]
    public void Send_NoPeer_NeedsDestination()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        Assert.Equal(Errno.EDESTADDRREQ, host.Send(host.Udp(), "x"));
        Assert.Equal(Errno.EINVAL, host.SendTo(host.Udp(), "127.0.0.1", 0, "x"));
    }

    [Fact]
    public void Send_AfterShutdown_IsEpipe_AndReceivingShutdownIsSeen()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint socket = host.Udp();
        Assert.Equal(Errno.ENOTCONN, host.Do(_ => socket.Shutdown(true, true)));
        Assert.Equal(Errno.EPIPE, host.SendTo(socket, "127.0.0.1", 9, "x"));
        Assert.True(socket.IsReceiveShut);
        Assert.Equal(EndpointEvents.In | EndpointEvents.Out | EndpointEvents.RdHup | EndpointEvents.Hup, socket.Poll());
    }

    [Fact]
    public void Send_Empty_ArrivesEmpty()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint server = host.Udp("0.0.0.0", 7);
        host.SendTo(host.Udp(), "127.0.0.1", 7, "");
        Assert.Empty(server.Receive(false)!.Data);
    }

    [Fact]
    public void Send_Control_ChoosesSourceAndTimeToLive()
    {
        (SimNetwork net, SimHost a, SimHost b, _) = Two();
        a.Do(s => s.FindInterface("eth0")!.AddAddress(SimHost.ParseAddress("10.0.0.5/24")));
        UdpEndpoint server = b.Udp("0.0.0.0", 7), client = a.Udp();
        var control = new DatagramControl { Source = InetAddress.Parse("10.0.0.5"), TimeToLive = 9, TypeOfService = 0x20 };
        Assert.Equal(Errno.None, a.Do(_ => client.Send([1], InetAddress.Parse("10.0.0.2"), 7, 0, control)));
        Assert.Equal(Errno.EINVAL, a.Do(_ => client.Send([1], InetAddress.Parse("10.0.0.2"), 7, 0, new DatagramControl { Source = InetAddress.Parse("10.0.0.6") })));
        net.RunFor(SimNetwork.Millisecond);
        Datagram got = server.Receive(false)!;
        Assert.Equal(("10.0.0.5", (byte)9, (byte)0x20), (got.Source.ToString(), got.TimeToLive, got.TypeOfService));
        net.Dispose();
    }

    [Fact]
    public void Send_Options_AreThoseOfTheSocket()
    {
        (SimNetwork net, SimHost a, SimHost b, _) = Two();
        UdpEndpoint server = b.Udp("::", 7, isV6: true);
        UdpEndpoint four = a.Udp(options: o => (o.TimeToLive, o.TypeOfService) = (3, 0x10)), six = a.Udp(isV6: true, options: o => (o.HopLimit, o.TrafficClass) = (5, 0x30));
        a.SendTo(four, "10.0.0.2", 7, "4");
        a.SendTo(six, "fd00::2", 7, "6");
        net.RunFor(SimNetwork.Millisecond);
        Datagram first = server.Receive(false)!, second = server.Receive(false)!;
        Assert.Equal((3, 0x10, 5, 0x30), (first.TimeToLive, first.TypeOfService, second.TimeToLive, second.TypeOfService));
        net.Dispose();
    }

    [Fact]
    public void Send_NoChecksum_SendsZero()
    {
        (SimNetwork net, SimHost a, SimHost b, SimSegment wire) = Two();
        UdpEndpoint server = b.Udp("0.0.0.0", 7);
        a.SendTo(a.Udp(options: o => o.NoChecksum = true), "10.0.0.2", 7, "x");
        net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(0, BitConverter.ToUInt16(Assert.Single(wire.V4Of(IpProtocol.Udp)).Payload, 6));
        Assert.Equal("x", server.Text());
        net.Dispose();
    }

    [Fact]
    public void Send_ChecksumThatWouldBeZero_IsAllOnes()
    {
        (SimNetwork net, SimHost a, SimHost b, SimSegment wire) = Two();
        UdpEndpoint server = b.Udp("0.0.0.0", 7), client = a.Udp("10.0.0.1", 9);

        // Two bytes that make the sum of the whole 0xffff, so that its complement is 0.
        byte[] plain = Frames.Udp("10.0.0.1", 9, "10.0.0.2", 7, [0, 0]);
        byte[] data = [plain[6], plain[7]];
        a.SendTo(client, "10.0.0.2", 7, data);
        net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(0xffff, BitConverter.ToUInt16(Assert.Single(wire.V4Of(IpProtocol.Udp)).Payload, 6));
        Assert.Equal(data, server.Receive(false)!.Data);
        net.Dispose();
    }

    [Fact]
    public void Receive_QueueFull_DropsAndCounts()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint server = host.Udp("0.0.0.0", 7, options: o => o.ReceiveBuffer = 10_000), client = host.Udp();
        for (int i = 0; i < 20; i++)
            host.SendTo(client, "127.0.0.1", 7, new byte[1000]);
        Assert.Equal(15, server.Dropped);
        Assert.Equal(15, host.Stack.Counters.UdpReceiveBufferErrors);
        for (int i = 0; i < 5; i++)
            Assert.NotNull(server.Receive(false));
        Assert.Equal(0, server.QueuedBytes);
    }

    [Fact]
    public void Receive_Peek_LeavesIt()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint server = host.Udp("0.0.0.0", 7);
        host.SendTo(host.Udp(), "127.0.0.1", 7, "x");
        Assert.Same(server.Receive(true), server.Receive(true));
        Assert.Equal(1, server.NextLength);
        Assert.NotNull(server.Receive(false));
        Assert.Equal(-1, server.NextLength);
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 10)]
    public void Segments_OverLoopback_StayTogetherForWhoWantsThem(bool wanted, int count)
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint server = host.Udp("0.0.0.0", 7, options: o => o.UdpReceiveSegments = wanted);
        byte[] data = Sockets.Pattern(9500);
        Assert.Equal(Errno.None, host.SendTo(host.Udp(), "127.0.0.1", 7, data, segmentSize: 1000));
        List<Datagram> got = [];
        while (server.Receive(false) is { } datagram)
            got.Add(datagram);
        Assert.Equal(count, got.Count);
        Assert.Equal(data, got.SelectMany(d => d.Data));
        Assert.Equal(wanted ? 1000 : 0, got[0].SegmentSize);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Segments_OverAWire_AreDatagramsOfTheirOwn(bool offloads)
    {
        (SimNetwork net, SimHost a, SimHost b, SimSegment wire) = Two(offloads);
        UdpEndpoint server = b.Udp("::", 7, isV6: true);
        byte[] data = Sockets.Pattern(2500);
        a.SendTo(a.Udp(), "10.0.0.2", 7, data, segmentSize: 1000);
        a.SendTo(a.Udp(isV6: true), "fd00::2", 7, data, segmentSize: 1000);
        net.RunFor(SimNetwork.Millisecond);
        Assert.Equal([1008, 1008, 508], wire.V4Of(IpProtocol.Udp).Select(p => p.Payload.Length));
        Assert.Equal([1008, 1008, 508], wire.V6Of(IpProtocol.Udp).Select(p => p.Payload.Length));
        Assert.Equal(data.Concat(data), Enumerable.Range(0, 6).SelectMany(_ => server.Receive(false)!.Data));
        net.Dispose();
    }

    [Fact]
    public void Segments_TooLongOrTooMany_AreRefused()
    {
        (SimNetwork net, SimHost a, _, _) = Two();
        Assert.Equal(Errno.EINVAL, a.SendTo(a.Udp(), "10.0.0.2", 7, new byte[5000], segmentSize: 1473));
        Assert.Equal(Errno.EINVAL, a.SendTo(a.Udp(), "10.0.0.2", 7, new byte[1290], segmentSize: 10));
        net.Dispose();
    }

    [Fact]
    public void Route_ChangesUnderAConnectedSocket_AreFollowed()
    {
        using var net = new SimNetwork();
        SimSegment one = net.AddSegment(), two = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(one, "10.0.0.1/24");
        a.Attach(two, "10.1.0.1/24");
        b.Attach(one, "10.0.0.2/24");
        b.Attach(two, "10.1.0.2/24");
        b.Do(s => s.Loopback.AddAddress(SimHost.ParseAddress("10.9.9.9/32")));
        UdpEndpoint server = b.Udp("10.9.9.9", 7), client = a.Udp("10.0.0.1", 9);
        RouteEntry Way(string gateway) => new() { Destination = InetAddress.Parse("10.9.9.9"), Prefix = 32, Gateway = InetAddress.Parse(gateway) };
        a.Do(s => s.Routes.Add(Way("10.0.0.2")));
        a.Connect(client, "10.9.9.9", 7);
        a.Send(client, "first");
        net.RunFor(SimNetwork.Millisecond);
        int sent = two.Sent;
        a.Do(s => s.Routes.Add(Way("10.1.0.2"), RouteAddMode.Replace));
        a.Send(client, "second");
        net.RunFor(SimNetwork.Millisecond);
        Assert.Equal(("first", "second"), (server.Text(), server.Text()));
        Assert.True(two.Sent > sent);
    }
}
