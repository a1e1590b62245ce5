using Tests.Netstack.Simulation;

namespace Tests.Netstack.Ip;

public sealed class FragmentTests
{
    private static readonly byte[] Data = Sockets.Pattern(40);

    private static byte[] Whole => Frames.Udp(OneHost.PeerV4, 9, OneHost.V4, 7, Data);

    private static void Inject(OneHost one, int from, int to, ushort id = 5, byte tos = 0)
    {
        byte[] whole = Whole;
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, whole[from..to], id: id, offset: from, more: to < whole.Length, tos: tos));
    }

    private static void InjectV6(OneHost one, int from, int to, bool? more = null, uint id = 5)
    {
        byte[] whole = Frames.Udp(OneHost.PeerV6, 9, OneHost.V6, 7, Data);
        byte[] header = new byte[8];
        new Ipv6Fragment(IpProtocol.Udp, from, more ?? to < whole.Length, id).WriteTo(header);
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Fragment, Frames.Join(header, whole[from..to])));
    }

    private static List<IcmpHeader> Errors(OneHost one) => [.. one.Wire.V4Of(IpProtocol.Icmp).Select(p =>
    {
        Assert.True(IcmpHeader.TryParse(p.Payload, out IcmpHeader header));
        return header;
    })];

    private static List<IcmpHeader> ErrorsV6(OneHost one) => [.. one.Wire.V6Of(IpProtocol.Icmpv6).Where(p => p.Payload[0] < 128).Select(p =>
    {
        Assert.True(IcmpHeader.TryParse(p.Payload, out IcmpHeader header));
        return header;
    })];

    [Theory]
    [InlineData("0-16 16-32 32-48")]
    [InlineData("32-48 16-32 0-16")]
    [InlineData("16-32 0-16 16-32 0-16 32-48")]
    [InlineData("0-8 40-48 8-40")]
    public void Receive_AnyOrderAndDuplicates_JoinsToTheWhole(string parts)
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7), serverV6 = one.Host.Udp("fd00::1", 7, isV6: true);
        foreach (string[] part in parts.Split(' ').Select(p => p.Split('-')))
        {
            Inject(one, int.Parse(part[0], null), int.Parse(part[1], null));
            InjectV6(one, int.Parse(part[0], null), int.Parse(part[1], null));
        }

        Assert.Equal(Data, server.Receive(false)!.Data);
        Assert.Equal(Data, serverV6.Receive(false)!.Data);
        Assert.Empty(one.Stack.Ip.Reassembler.Queues);
        Assert.Equal(0, one.Stack.Ip.Reassembler.Memory);
        Assert.Equal((1, 1), (one.Stack.Counters.ReassemblyOk, one.Stack.Counters.ReassemblyOkV6));
    }

    [Theory]
    [InlineData("0-24 16-48")]
    [InlineData("16-48 0-24")]
    [InlineData("0-16 32-48 8-40")]
    public void Receive_Overlapping_DropsTheWhole(string parts)
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7), serverV6 = one.Host.Udp("fd00::1", 7, isV6: true);
        foreach (string[] part in parts.Split(' ').Select(p => p.Split('-')))
        {
            Inject(one, int.Parse(part[0], null), int.Parse(part[1], null));
            InjectV6(one, int.Parse(part[0], null), int.Parse(part[1], null));
        }

        Assert.Null(server.Receive(false));
        Assert.Null(serverV6.Receive(false));
        Assert.Empty(one.Stack.Ip.Reassembler.Queues);
    }

    [Fact]
    public void Receive_OtherIdentification_IsNotMixed()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        Inject(one, 0, 16, id: 1);
        Inject(one, 16, 48, id: 2);
        Assert.Null(server.Receive(false));
        Assert.Equal(2, one.Stack.Ip.Reassembler.Queues.Count);
        Inject(one, 16, 48, id: 1);
        Assert.NotNull(server.Receive(false));
    }

    [Fact]
    public void Timeout_WithFirstFragment_TellsTheSender()
    {
        using var one = new OneHost();
        Inject(one, 0, 16);
        one.Network.RunFor(29 * SimNetwork.Second);
        Assert.Empty(Errors(one));
        one.Network.RunFor(2 * SimNetwork.Second);
        Assert.Equal(new IcmpHeader(IcmpType.TimeExceeded, 1, 0), Assert.Single(Errors(one)));
        Assert.Equal(0, one.Stack.Ip.Reassembler.Memory);
    }

    [Fact]
    public void Timeout_WithoutFirstFragment_IsSilent()
    {
        using var one = new OneHost();
        Inject(one, 16, 32);
        one.Network.RunFor(31 * SimNetwork.Second);
        Assert.Empty(one.Wire.Log!);
        Assert.Equal(1, one.Stack.Counters.ReassemblyTimeouts);
    }

    [Fact]
    public void TimeoutV6_WithFirstFragment_TellsTheSender()
    {
        using var one = new OneHost();
        InjectV6(one, 0, 16);
        one.Network.RunFor(61 * SimNetwork.Second);
        Assert.Equal(new IcmpHeader(Icmpv6Type.TimeExceeded, 1, 0), Assert.Single(ErrorsV6(one)));
    }

    [Fact]
    public void Restore_BetweenFragments_Completes()
    {
        using var one = new OneHost();
        one.Host.Udp("0.0.0.0", 7);
        Inject(one, 16, 48);
        one.Host.SaveAndRestore();
        Inject(one, 0, 16);
        Assert.Equal(Data, one.Host.UdpAt(7).Receive(false)!.Data);
    }

    [Fact]
    public void Restore_TimesOutAfterwards()
    {
        using var one = new OneHost();
        Inject(one, 0, 16);
        one.Network.RunFor(20 * SimNetwork.Second);
        one.Host.SaveAndRestore();
        one.Network.RunFor(11 * SimNetwork.Second);
        Assert.Equal(1, one.Stack.Counters.ReassemblyTimeouts);
    }

    [Fact]
    public void Memory_OverTheLimit_DropsTheOldest()
    {
        using var one = new OneHost();
        one.Stack.Settings.FragmentMemory = 40_000;
        for (ushort id = 1; id <= 500; id++)
        {
            Inject(one, 0, 16, id);
            one.Network.RunFor(SimNetwork.Microsecond);
        }

        Assert.InRange(one.Stack.Ip.Reassembler.Memory, 20_000, 41_000);
        Assert.DoesNotContain(one.Stack.Ip.Reassembler.Queues, q => q.Key.Identification < 300);
        Assert.Contains(one.Stack.Ip.Reassembler.Queues, q => q.Key.Identification == 500);
    }

    [Fact]
    public void Receive_FragmentBeyond64KiB_IsDropped()
    {
        using var one = new OneHost();
        one.InjectV4(Frames.V4(OneHost.PeerV4, OneHost.V4, IpProtocol.Udp, new byte[100], offset: 65528));
        Assert.Empty(one.Stack.Ip.Reassembler.Queues);
        byte[] header = new byte[8];
        new Ipv6Fragment(IpProtocol.Udp, 65528, false, 1).WriteTo(header);
        one.InjectV6(Frames.V6(OneHost.PeerV6, OneHost.V6, IpProtocol.Fragment, Frames.Join(header, new byte[100])));
        Assert.Equal(new IcmpHeader(Icmpv6Type.ParameterProblem, 0, 42), Assert.Single(ErrorsV6(one)));
    }

    [Fact]
    public void ReceiveV6_NotAMultipleOf8_IsParameterProblem()
    {
        using var one = new OneHost();
        InjectV6(one, 0, 15, more: true);
        Assert.Equal(new IcmpHeader(Icmpv6Type.ParameterProblem, 0, 4), Assert.Single(ErrorsV6(one)));
    }

    [Fact]
    public void ReceiveV6_Atomic_IsDeliveredByItself()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("fd00::1", 7, isV6: true);
        InjectV6(one, 0, 16);
        InjectV6(one, 0, 48);
        Assert.Equal(Data, server.Receive(false)!.Data);
        Assert.Single(one.Stack.Ip.Reassembler.Queues);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(2, 3, 3)]
    [InlineData(1, 2, 2)]
    public void Receive_CongestionMarks_AreJoined(byte first, byte second, byte joined)
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        Inject(one, 0, 16, tos: first);
        Inject(one, 16, 48, tos: second);
        if (joined == 2)
            Assert.NotNull(server.Receive(false));
        else
            Assert.Equal(joined, server.Receive(false)!.TypeOfService);
    }

    [Fact]
    public void Receive_MarkedAndNotCapableMixed_IsDropped()
    {
        using var one = new OneHost();
        UdpEndpoint server = one.Host.Udp("0.0.0.0", 7);
        Inject(one, 0, 16, tos: 0);
        Inject(one, 16, 48, tos: 3);
        Assert.Null(server.Receive(false));
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.2", false, 1480, 2)]
    [InlineData("fd00::1", "fd00::2", true, 1448, 2)]
    public void Send_LongDatagram_IsCutAndArrives(string from, string to, bool isV6, int step, int count)
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        wire.Log = [];
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, from + (isV6 ? "/64" : "/24"));
        b.Attach(wire, to + (isV6 ? "/64" : "/24"));
        UdpEndpoint server = b.Udp(isV6 ? "::" : "0.0.0.0", 7, isV6), client = a.Udp(isV6: isV6);
        byte[] data = Sockets.Pattern(2000);
        Assert.Equal(Errno.None, a.SendTo(client, to, 7, data));
        net.RunFor(SimNetwork.Second);

        Assert.Equal(data, server.Receive(false)!.Data);
        List<int> offsets = isV6 ? [.. wire.V6Of(IpProtocol.Fragment).Select(p => Ipv6Fragment.TryParse(p.Payload, out Ipv6Fragment f) ? f.Offset : -1)] : [.. wire.V4Of(IpProtocol.Udp).Select(p => p.Header.FragmentOffset)];
        Assert.Equal([0, step], offsets);
        Assert.Equal(count, isV6 ? a.Stack.Counters.FragmentsCreatedV6 : a.Stack.Counters.FragmentsCreated);
        if (!isV6)
            Assert.All(wire.V4Of(IpProtocol.Udp), p => Assert.False(p.Header.DontFragment));
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.2", false, 65507)]
    [InlineData("fd00::1", "fd00::2", true, 65527)]
    public void Send_LongestDatagram_Arrives_OneMoreIsTooLong(string from, string to, bool isV6, int longest)
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, from + (isV6 ? "/64" : "/24"));
        b.Attach(wire, to + (isV6 ? "/64" : "/24"));
        UdpEndpoint server = b.Udp(isV6 ? "::" : "0.0.0.0", 7, isV6), client = a.Udp(isV6: isV6);
        byte[] data = Sockets.Pattern(longest);
        Assert.Equal(Errno.None, a.SendTo(client, to, 7, data));
        net.RunFor(SimNetwork.Second);
        Assert.Equal(data, server.Receive(false)!.Data);
        Assert.Equal(Errno.EMSGSIZE, a.SendTo(client, to, 7, new byte[longest + 1]));
    }

    [Fact]
    public void Send_Options_OnlyCopiedOnesInLaterFragments()
    {
        using var one = new OneHost();
        UdpEndpoint client = one.Host.Udp(options: o => o.IpOptions = [7, 3, 4, 0x94, 4, 0, 0, 1]);
        one.Host.SendTo(client, OneHost.PeerV4, 9, new byte[2000]);
        List<byte[]> frames = [.. one.Wire.Log!.Where(f => Frames.AsV4(f, IpProtocol.Udp) is not null)];
        Assert.Equal([7, 3, 4, 0x94, 4, 0, 0, 1], frames[0][34..42]);
        Assert.Equal([1, 1, 1, 0x94, 4, 0, 0, 1], frames[1][34..42]);
    }

    [Fact]
    public void Identifications_AreNeitherEqualNorConsecutiveAcrossDestinations()
    {
        using var one = new OneHost();
        UdpEndpoint client = one.Host.Udp(options: o => o.PathMtu = PathMtuMode.Dont);
        for (int i = 0; i < 20; i++)
            one.Host.SendTo(client, OneHost.PeerV4, (ushort)(100 + i), "x");
        List<ushort> ids = [.. one.Wire.V4Of(IpProtocol.Udp).Select(p => p.Header.Identification)];
        Assert.Equal(20, ids.Distinct().Count());
        Assert.NotEqual(1, ids[0]);
    }
}
