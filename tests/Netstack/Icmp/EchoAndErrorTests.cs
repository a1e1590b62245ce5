using Tests.Netstack.Simulation;

namespace Tests.Netstack.Icmp;

public sealed class EchoAndErrorTests
{
    private static readonly byte[] Data = Sockets.Pattern(56);

    private static byte[] Closed(byte[]? data = null) => Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, Frames.Udp(OneHost.PeerV4, 9, OneHost.V4, 7, data ?? [1, 2, 3]));

    private static byte[] ClosedV6(byte[]? data = null) => Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Udp, Frames.Udp(OneHost.PeerV6, 9, OneHost.V6, 7, data ?? [1, 2, 3]));

    [Fact]
    public void Echo_IsAnsweredWithTheSameBytes()
    {
        using var one = new OneHost();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 0x12340001, Data)));
        (Ipv4Header header, byte[] payload) = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp));
        Assert.Equal((OneHost.V4, OneHost.PeerV4), (header.Source.ToString(), header.Destination.ToString()));
        Assert.Equal(Frames.Icmp(IcmpType.EchoReply, 0, 0x12340001, Data), payload);
    }

    [Fact]
    public void EchoV6_IsAnsweredWithTheSameBytes()
    {
        using var one = new OneHost();
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.Echo, 0, 0x12340001, Data, OneHost.PeerV6, OneHost.V6)));
        Assert.Equal(Frames.Icmp(Icmpv6Type.EchoReply, 0, 0x12340001, Data, OneHost.V6, OneHost.PeerV6), Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Payload);
    }

    [Fact]
    public void EchoV6_ToAllNodes_IsAnsweredFromAnAddressOfOurs()
    {
        using var one = new OneHost();
        one.InjectV6(Frames.V6(OneHost.PeerV6, "ff02::1", IpProtocol.Icmpv6, Frames.Icmp(Icmpv6Type.Echo, 0, 1, Data, OneHost.PeerV6, "ff02::1")), MacAddress.OfMulticast(InetAddress.Parse("ff02::1")));
        Assert.Equal(OneHost.V6, Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Header.Source.ToString());
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(false, 1)]
    public void Echo_ToBroadcast_OnlyIfWanted(bool ignored, int answers)
    {
        using var one = new OneHost();
        one.Stack.Settings.EchoIgnoreBroadcasts = ignored;
        one.InjectV4(Frames.V4(OneHost.PeerV4, "10.0.0.255", IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 1, Data)), MacAddress.Broadcast);
        Assert.Equal(answers, one.Wire.V4Of(IpProtocol.Icmp).Count);
        Assert.All(one.Wire.V4Of(IpProtocol.Icmp), p => Assert.Equal(OneHost.V4, p.Header.Source.ToString()));
    }

    [Fact]
    public void Echo_Ignored_WhenSoSet()
    {
        using var one = new OneHost();
        one.Stack.Settings.EchoIgnoreAll = 1;
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Echo, 0, 1, Data)));
        Assert.Empty(one.Wire.Log!);
    }

    [Fact]
    public void Echo_WrongChecksum_IsCountedAndDropped()
    {
        using var one = new OneHost();
        byte[] message = Frames.Icmp(IcmpType.Echo, 0, 1, Data);
        message[20] ^= 1;
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, message));
        Assert.Empty(one.Wire.Log!);
        Assert.Equal(1, one.Stack.Counters.IcmpChecksumErrors);
    }

    [Fact]
    public void Timestamp_IsAnswered()
    {
        using var one = new OneHost();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Timestamp, 0, 7, new byte[12])));
        byte[] answer = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp)).Payload;
        Assert.Equal((IcmpType.TimestampReply, 20), (answer[0], answer.Length));
        Assert.Equal((uint)(one.Network.Now / 1_000_000), System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(answer.AsSpan(12)));
    }

    [Fact]
    public void ClosedPort_IsToldWithTheQuotedPacket()
    {
        using var one = new OneHost();
        byte[] packet = Closed(Sockets.Pattern(1000));
        one.InjectV4(packet);
        byte[] error = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp)).Payload;
        Assert.Equal((IcmpType.Unreachable, IcmpType.PortUnreachable), (error[0], error[1]));
        Assert.Equal(packet[..548], error[8..]);
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(0, error)));
    }

    [Fact]
    public void ClosedPortV6_IsToldWithUpTo1280Bytes()
    {
        using var one = new OneHost();
        byte[] packet = ClosedV6(Sockets.Pattern(1400));
        one.InjectV6(packet);
        byte[] error = Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Payload;
        Assert.Equal((Icmpv6Type.Unreachable, Icmpv6Type.PortUnreachable, 1240), (error[0], error[1], error.Length));
        Assert.Equal(packet[..1232], error[8..]);
    }

    [Fact]
    public void UnknownProtocol_IsTold()
    {
        using var one = new OneHost();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, 200, new byte[20]));
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, 200, new byte[20]));
        byte[] error = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp)).Payload, errorV6 = Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Payload;
        Assert.Equal((IcmpType.Unreachable, IcmpType.ProtocolUnreachable), (error[0], error[1]));
        Assert.Equal((Icmpv6Type.ParameterProblem, 1, 6), (errorV6[0], errorV6[1], errorV6[7]));
    }

    [Fact]
    public void MalformedOption_IsParameterProblemThatPoints()
    {
        using var one = new OneHost();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, new byte[20], options: [7, 1, 0, 0]));
        byte[] error = Assert.Single(one.Wire.V4Of(IpProtocol.Icmp)).Payload;
        Assert.Equal((IcmpType.ParameterProblem, 21), (error[0], error[4]));
    }

    [Fact]
    public void RoutingType0_IsParameterProblem()
    {
        using var one = new OneHost();
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Routing, Convert.FromHexString("1100000100000000")));
        byte[] error = Assert.Single(one.Wire.V6Of(IpProtocol.Icmpv6)).Payload;
        Assert.Equal((Icmpv6Type.ParameterProblem, 0, 42), (error[0], error[1], error[7]));
    }

    public static TheoryData<string, byte[]> SilentV4 => new()
    {
        { "an ICMP error", Frames.V4(OneHost.PeerV4, OneHost.V4, 200, Frames.Icmp(IcmpType.Unreachable, 3, 0, [])) is var p && (p[9] = IpProtocol.Icmp) > 0 ? p : p },
        { "a later fragment", Frames.V4(OneHost.PeerV4, OneHost.V4, 200, new byte[8], offset: 8) },
        { "a source that is a group", Frames.V4("224.0.0.5", OneHost.V4, 200, new byte[8]) },
        { "a group as destination", Frames.V4(OneHost.PeerV4, "224.0.0.1", IpProtocol.Udp, Frames.Udp(OneHost.PeerV4, 9, "224.0.0.1", 7, [1])) },
    };

    [Theory]
    [MemberData(nameof(SilentV4))]
    public void Error_AboutThese_IsNotSent(string why, byte[] packet)
    {
        using var one = new OneHost();
        one.InjectV4(packet);
        Assert.True(one.Wire.V4Of(IpProtocol.Icmp).Count == 0, why);
    }

    [Fact]
    public void Error_AboutLinkLayerBroadcast_IsNotSent()
    {
        using var one = new OneHost();
        one.InjectV4(Closed(), MacAddress.Broadcast);
        one.InjectV6(ClosedV6(), MacAddress.Broadcast);
        Assert.Empty(one.Wire.Log!);
    }

    [Fact]
    public void Errors_AreLimited_SixAtOnceThenOneASecond()
    {
        using var one = new OneHost();
        for (int i = 0; i < 20; i++)
            one.InjectV4(Closed());
        Assert.Equal(6, one.Wire.V4Of(IpProtocol.Icmp).Count);
        Assert.Equal(14, one.Stack.Counters.IcmpRateLimited);
        one.Network.RunFor(3 * SimNetwork.Second);
        for (int i = 0; i < 20; i++)
            one.InjectV4(Closed());
        Assert.Equal(9, one.Wire.V4Of(IpProtocol.Icmp).Count);
    }

    [Fact]
    public void Errors_ToMany_AreLimitedAltogether_AcrossRestore()
    {
        using var one = new OneHost(knowsPeer: false);
        int before = (int)one.Stack.Counters.IcmpSent;
        for (int i = 0; i < 200; i++)
        {
            if (i == 100)
                one.Host.SaveAndRestore();
            string from = $"10.0.0.{20 + i}";
            one.InjectV4(Frames.V4(from, OneHost.V4, IpProtocol.Udp, Frames.Udp(from, 9, OneHost.V4, 7, [1])));
        }

        Assert.InRange(one.Stack.Counters.IcmpSent - before, 10, 50);
    }

    [Theory]
    [InlineData(IcmpType.Unreachable, 3, Errno.ECONNREFUSED)]
    [InlineData(IcmpType.Unreachable, 2, Errno.ENOPROTOOPT)]
    [InlineData(IcmpType.Unreachable, 13, Errno.EHOSTUNREACH)]
    [InlineData(IcmpType.Unreachable, 9, Errno.ENETUNREACH)]
    [InlineData(IcmpType.Unreachable, 1, Errno.None)]
    [InlineData(IcmpType.TimeExceeded, 0, Errno.None)]
    [InlineData(IcmpType.ParameterProblem, 0, Errno.EPROTO)]
    public void ErrorForConnectedSocket_HardOnesAreTold(byte type, byte code, Errno error)
    {
        using var one = new OneHost();
        UdpEndpoint socket = one.Host.Udp();
        one.Host.Connect(socket, OneHost.PeerV4, 9);
        one.Host.Send(socket, "x");
        byte[] quoted = one.Wire.Log![^1][14..];
        one.InjectV4(Frames.V4("10.0.0.254", OneHost.V4, IpProtocol.Icmp, Frames.Icmp(type, code, 0, quoted)));
        Assert.Equal(error, socket.TakeError());
    }

    [Fact]
    public void ErrorForUnconnectedSocket_IsToldOnlyWithReceiveErrors()
    {
        using var one = new OneHost();
        UdpEndpoint plain = one.Host.Udp(), asking = one.Host.Udp(options: o => o.ReceiveErrors = true);
        foreach (UdpEndpoint socket in (UdpEndpoint[])[plain, asking])
        {
            one.Host.SendTo(socket, OneHost.PeerV4, 9, "what was sent");
            byte[] quoted = one.Wire.Log![^1][14..];
            one.InjectV4(Frames.V4("10.0.0.254", OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Unreachable, 3, 0, quoted)));
        }

        Assert.Equal(Errno.None, plain.PendingError);
        Assert.Equal(Errno.ECONNREFUSED, asking.TakeError());
        Datagram error = asking.ReceiveError(false)!;
        Assert.Equal("what was sent", System.Text.Encoding.ASCII.GetString(error.Data));
        Assert.Equal(("10.0.0.254", OneHost.PeerV4, (ushort)9), (error.Source.ToString(), error.Destination.ToString(), error.DestinationPort));
        Assert.Equal((uint)Errno.ECONNREFUSED, BitConverter.ToUInt32(error.ExtendedError!));
    }

    [Fact]
    public void ErrorAboutAForeignPacket_IsIgnored()
    {
        using var one = new OneHost();
        UdpEndpoint socket = one.Host.Udp();
        one.Host.Connect(socket, OneHost.PeerV4, 9);
        byte[] foreign = Frames.V4("10.0.0.77", OneHost.PeerV4, IpProtocol.Udp, Frames.Udp("10.0.0.77", socket.LocalPort, OneHost.PeerV4, 9, [1]));
        one.InjectV4(Frames.V4("10.0.0.254", OneHost.V4, IpProtocol.Icmp, Frames.Icmp(IcmpType.Unreachable, 3, 0, foreign)));
        Assert.Equal(Errno.None, socket.PendingError);
    }

    [Theory]
    [InlineData(Icmpv6Type.Unreachable, 4, Errno.ECONNREFUSED)]
    [InlineData(Icmpv6Type.Unreachable, 1, Errno.EACCES)]
    [InlineData(Icmpv6Type.Unreachable, 0, Errno.None)]
    [InlineData(Icmpv6Type.ParameterProblem, 1, Errno.EPROTO)]
    public void ErrorV6ForConnectedSocket_HardOnesAreTold(byte type, byte code, Errno error)
    {
        using var one = new OneHost();
        UdpEndpoint socket = one.Host.Udp(isV6: true);
        one.Host.Connect(socket, OneHost.PeerV6, 9);
        one.Host.Send(socket, "x");
        byte[] quoted = one.Wire.Log![^1][14..];
        one.InjectV6(Frames.V6("fd00::fe", OneHost.V6, IpProtocol.Icmpv6, Frames.Icmp(type, code, 0, quoted, "fd00::fe", OneHost.V6)));
        Assert.Equal(error, socket.TakeError());
    }
}
