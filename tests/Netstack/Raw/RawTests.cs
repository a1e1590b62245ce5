using Tests.Netstack.Simulation;

namespace Tests.Netstack.Raw;

public sealed class RawTests
{
    private static RawEndpoint Raw(OneHost one, byte protocol, bool isV6 = false, Action<EndpointOptions>? options = null) => one.Host.Do(s =>
    {
        var set = new EndpointOptions();
        options?.Invoke(set);
        return s.Raw.CreateRaw(isV6, protocol, set);
    });

    private static RawEndpoint Ping(OneHost one, bool isV6 = false, Action<EndpointOptions>? options = null) => one.Host.Do(s =>
    {
        var set = new EndpointOptions();
        options?.Invoke(set);
        return s.Raw.CreatePing(isV6, set);
    });

    private static Errno Send(OneHost one, RawEndpoint socket, byte[] data, string to) => one.Host.Do(_ => socket.Send(data, InetAddress.Parse(to), 0, 0, default));

    [Fact]
    public void Receive_V4_BeginsWithTheIpHeader()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, 200);
        byte[] packet = Frames.V4(OneHost.PeerV4, OneHost.V4, 200, [1, 2, 3], options: [1, 1, 1, 0]);
        one.InjectV4(packet);
        Assert.Equal(packet, socket.Receive(false)!.Data);
        Assert.Empty(one.Wire.Log!);
    }

    [Fact]
    public void Receive_V6_IsThePayload()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, 200, isV6: true);
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, 60, [200, 0, 1, 4, 0, 0, 0, 0, 7, 8, 9]));
        Datagram got = socket.Receive(false)!;
        Assert.Equal([7, 8, 9], got.Data);
        Assert.Equal((OneHost.PeerV6, OneHost.V6), (got.Source.ToString(), got.Destination.ToString()));
    }

    [Fact]
    public void Receive_EachSocketGetsACopy_AndTheTransportToo()
    {
        using var one = new OneHost();
        RawEndpoint first = Raw(one, IpProtocol.Udp), second = Raw(one, IpProtocol.Udp), other = Raw(one, IpProtocol.Tcp);
        UdpEndpoint udp = one.Host.Udp("0.0.0.0", 7);
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, Frames.Udp(OneHost.PeerV4, 9, OneHost.V4, 7, [1])));
        Assert.NotNull(first.Receive(false));
        Assert.NotNull(second.Receive(false));
        Assert.NotNull(udp.Receive(false));
        Assert.Null(other.Receive(false));
    }

    [Fact]
    public void Receive_BoundAndConnected_TakesOnlyThat()
    {
        using var one = new OneHost();
        RawEndpoint bound = Raw(one, 200), connected = Raw(one, 200);
        Assert.Equal(Errno.EADDRNOTAVAIL, one.Host.Do(_ => bound.Bind(InetAddress.Parse("10.0.0.2"), 0)));
        Assert.Equal(Errno.None, one.Host.Do(_ => bound.Bind(InetAddress.Parse("127.0.0.1"), 0)));
        Assert.Equal(Errno.None, one.Host.Do(_ => connected.Connect(InetAddress.Parse("10.0.0.8"), 0, 0)));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, 200, [1]));
        Assert.Null(bound.Receive(false));
        Assert.Null(connected.Receive(false));
        one.InjectV4(Frames.V4("10.0.0.8", OneHost.V4, 200, [1]));
        Assert.NotNull(connected.Receive(false));
    }

    [Fact]
    public void IcmpFilter_LeavesTypesOut()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, IpProtocol.Icmp), six = Raw(one, IpProtocol.Icmpv6, isV6: true);
        socket.IcmpFilter = ~(1u << IcmpType.EchoReply);
        six.Icmpv6Filter = [.. Enumerable.Repeat(uint.MaxValue, 8)];
        six.Icmpv6Filter[Icmpv6Type.EchoReply / 32] &= ~(1u << (Icmpv6Type.EchoReply % 32));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 1, [])));
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.EchoReply, 0, 1, [])));
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.Echo, 0, 1, [], OneHost.PeerV6, OneHost.V6)));
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.EchoReply, 0, 1, [], OneHost.PeerV6, OneHost.V6)));
        Assert.Equal(IcmpType.EchoReply, socket.Receive(false)!.Data[20]);
        Assert.Null(socket.Receive(false));
        Assert.Equal(Icmpv6Type.EchoReply, six.Receive(false)!.Data[0]);
        Assert.Null(six.Receive(false));
    }

    [Fact]
    public void Send_V4_GetsItsHeader()
    {
        using var one = new OneHost();
        Assert.Equal(Errno.None, Send(one, Raw(one, 200, options: o => o.TimeToLive = 7), [1, 2, 3], OneHost.PeerV4));
        (Ipv4Header header, byte[] payload) = Assert.Single(one.Wire.V4Of(200));
        Assert.Equal((OneHost.V4, OneHost.PeerV4, (byte)7), (header.Source.ToString(), header.Destination.ToString(), header.TimeToLive));
        Assert.Equal([1, 2, 3], payload);
    }

    [Fact]
    public void Send_OwnHeader_IsCompleted()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, IpProtocol.Raw);
        socket.IncludesHeader = true;
        byte[] packet = Frames.V4("0.0.0.0", OneHost.PeerV4, 200, [1, 2, 3], ttl: 5, id: 0);
        packet[2] = packet[3] = packet[10] = packet[11] = 0;
        Assert.Equal(Errno.None, Send(one, socket, packet, OneHost.PeerV4));
        (Ipv4Header header, byte[] payload) = Assert.Single(one.Wire.V4Of(200));
        Assert.Equal((OneHost.V4, 23, (byte)5), (header.Source.ToString(), header.TotalLength, header.TimeToLive));
        Assert.Equal([1, 2, 3], payload);
        Assert.True(Ipv4Header.IsChecksumRight(one.Wire.Log![^1].AsSpan(14), 20));
        Assert.Equal(Errno.EMSGSIZE, Send(one, socket, new byte[1501], OneHost.PeerV4));
        Assert.Equal(Errno.EINVAL, Send(one, socket, new byte[19], OneHost.PeerV4));
    }

    [Fact]
    public void Send_OwnHeader_MayHaveAForeignSource()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, IpProtocol.Raw);
        socket.IncludesHeader = true;
        Assert.Equal(Errno.None, Send(one, socket, Frames.V4("1.2.3.4", OneHost.PeerV4, 200, [1]), OneHost.PeerV4));
        Assert.Equal("1.2.3.4", Assert.Single(one.Wire.V4Of(200)).Header.Source.ToString());
    }

    [Fact]
    public void Send_V6Checksum_IsFilledIn()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, 200, isV6: true);
        socket.ChecksumOffset = 4;
        Assert.Equal(Errno.None, Send(one, socket, [1, 2, 3, 4, 9, 9, 5], OneHost.PeerV6));
        byte[] payload = Assert.Single(one.Wire.V6Of(200)).Payload;
        ulong sum = InternetChecksum.PseudoHeader(InetAddress.Parse(OneHost.V6), InetAddress.Parse(OneHost.PeerV6), 200, payload.Length);
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(sum, payload)));
        Assert.Equal(Errno.EINVAL, Send(one, socket, [1, 2, 3, 4, 5], OneHost.PeerV6));
    }

    [Fact]
    public void Receive_V6Checksum_WrongOnesAreDropped()
    {
        using var one = new OneHost();
        RawEndpoint socket = Raw(one, 200, isV6: true);
        socket.ChecksumOffset = 0;
        byte[] payload = [0, 0, 3, 4];
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, 200, payload));
        Assert.Null(socket.Receive(false));
        Frames.WriteChecksum(payload, 0, OneHost.PeerV6, OneHost.V6, 200);
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, 200, payload));
        Assert.NotNull(socket.Receive(false));
    }

    [Fact]
    public void Send_NoDestination_OrOtherFamily_IsRefused()
    {
        using var one = new OneHost();
        Assert.Equal(Errno.EDESTADDRREQ, one.Host.Do(_ => Raw(one, 200).Send([1], default, 0, 0, default)));
        Assert.Equal(Errno.EAFNOSUPPORT, Send(one, Raw(one, 200), [1], OneHost.PeerV6));
        Assert.Equal(Errno.EACCES, Send(one, Raw(one, 200), [1], "10.0.0.255"));
        Assert.Equal(Errno.ENETUNREACH, Send(one, Raw(one, 200), [1], "8.8.8.8"));
    }

    [Fact]
    public void Send_Long_IsFragmented()
    {
        using var one = new OneHost();
        byte[] data = Sockets.Pattern(3000);
        Assert.Equal(Errno.None, Send(one, Raw(one, 200), data, OneHost.PeerV4));
        Assert.Equal(data, one.Wire.V4Of(200).SelectMany(p => p.Payload));
        Assert.Equal(3, one.Wire.V4Of(200).Count);
    }

    [Fact]
    public void Error_ForConnectedOrAskingSocket()
    {
        using var one = new OneHost();
        RawEndpoint plain = Raw(one, 200), connected = Raw(one, 200), asking = Raw(one, 200, options: o => o.ReceiveErrors = true);
        one.Host.Do(_ => connected.Connect(InetAddress.Parse(OneHost.PeerV4), 0, 0));
        Send(one, plain, [1, 2, 3, 4, 5, 6, 7, 8], OneHost.PeerV4);
        byte[] quoted = one.Wire.Log![^1][14..];
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Unreachable, 2, 0, quoted)));
        Assert.Equal((Errno.None, Errno.ENOPROTOOPT, Errno.ENOPROTOOPT), (plain.PendingError, connected.PendingError, asking.PendingError));
        Assert.NotNull(asking.ReceiveError(false));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Ping_OverLoopback_GetsItsReply(bool isV6)
    {
        using var one = new OneHost();
        RawEndpoint socket = Ping(one, isV6), other = Ping(one, isV6);
        byte[] request = [isV6 ? Icmpv6Type.Echo : IcmpType.Echo, 0, 0, 0, 0, 0, 0, 1, 42];
        Send(one, other, [.. request], isV6 ? "::1" : "127.0.0.1");
        other.Receive(false);
        Assert.Equal(Errno.None, Send(one, socket, request, isV6 ? "::1" : "127.0.0.1"));
        Datagram reply = socket.Receive(false)!;
        Assert.Equal((isV6 ? Icmpv6Type.EchoReply : IcmpType.EchoReply, 9, 42), (reply.Data[0], reply.Data.Length, reply.Data[8]));
        Assert.Equal(socket.LocalPort, System.Buffers.Binary.BinaryPrimitives.ReadUInt16BigEndian(reply.Data.AsSpan(4)));
        Assert.NotEqual(0, socket.LocalPort);
        Assert.Null(other.Receive(false));
    }

    [Fact]
    public void Ping_ToAPeer_AndAcrossRestore()
    {
        using var one = new OneHost();
        RawEndpoint socket = Ping(one);
        Send(one, socket, [8, 0, 0, 0, 0, 0, 0, 1], OneHost.PeerV4);
        byte[] request = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp)).Payload;
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(0, request)));
        one.Host.SaveAndRestore();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.EchoReply, 0, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(request.AsSpan(4)), [])));
        Assert.NotNull(one.Stack.Raw.PingEndpoints.Single().Receive(false));
    }

    [Theory]
    [InlineData("00000000", "too short")]
    [InlineData("0000000000000001", "a reply")]
    [InlineData("0801000000000001", "a code")]
    public void Ping_OnlyEchoRequests(string hex, string why)
    {
        using var one = new OneHost();
        Assert.True(Send(one, Ping(one), Convert.FromHexString(hex), "127.0.0.1") == Errno.EINVAL, why);
    }

    [Fact]
    public void Ping_Bind_TakesTheIdentifier()
    {
        using var one = new OneHost();
        RawEndpoint socket = Ping(one), second = Ping(one);
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.Bind(InetAddress.AnyV4, 77)));
        Assert.Equal(Errno.EADDRINUSE, one.Host.Do(_ => second.Bind(InetAddress.AnyV4, 77)));
        Assert.Equal(Errno.EINVAL, one.Host.Do(_ => socket.Bind(InetAddress.AnyV4, 78)));
        one.Host.Do(_ => socket.Close());
        Assert.Equal(Errno.None, one.Host.Do(_ => second.Bind(InetAddress.AnyV4, 77)));
    }

    [Fact]
    public void Ping_Error_ComesInTheErrorQueue()
    {
        using var one = new OneHost();
        RawEndpoint socket = Ping(one, options: o => o.ReceiveErrors = true);
        Send(one, socket, [8, 0, 0, 0, 0, 0, 0, 1], OneHost.PeerV4);
        byte[] quoted = one.Wire.Log![^1][14..];
        one.InjectV4(Frames.V4("10.0.0.254", OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.TimeExceeded, 0, 0, quoted)));
        Datagram error = socket.ReceiveError(false)!;
        Assert.Equal(("10.0.0.254", IcmpType.TimeExceeded), (error.Source.ToString(), error.ExtendedError![5]));
    }
}
