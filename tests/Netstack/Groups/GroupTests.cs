using Tests.Netstack.Simulation;

namespace Tests.Netstack.Groups;

public sealed class GroupTests
{
    private const string Group = "239.1.2.3", GroupV6 = "ff05::1234";

    private static UdpEndpoint Join(OneHost one, string group)
    {
        UdpEndpoint socket = one.Host.Udp(isV6: group.Contains(':', StringComparison.Ordinal));
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.JoinGroup(InetAddress.Parse(group), one.Link.Index)));
        return socket;
    }

    private static void Query(OneHost one, byte[] message)
    {
        InternetChecksum.Write(message.AsSpan(2), InternetChecksum.Finish(InternetChecksum.Add(0, message)));
        one.InjectV4(Frames.V4(OneHost.PeerV4, "224.0.0.1", IpProtocol.Igmp, message, ttl: 1, options: [0x94, 4, 0, 0]), MacAddress.OfMulticast(InetAddress.Parse("224.0.0.1")));
    }

    private static void QueryV6(OneHost one, int length, string group = "::", ushort delay = 1000)
    {
        byte[] message = new byte[length];
        message[0] = Icmpv6Type.ListenerQuery;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(4), delay);
        InetAddress.Parse(group).WriteV6(message.AsSpan(8));
        Frames.WriteChecksum(message, 2, "fe80::aa", "ff02::1", IpProtocol.Icmpv6);
        one.InjectV6(Frames.V6("fe80::aa", "ff02::1", IpProtocol.HopByHop, Frames.Join([58, 0, 5, 2, 0, 0, 1, 0], message), 1), MacAddress.OfMulticast(InetAddress.Parse("ff02::1")));
    }

    private static List<string> Igmp(OneHost one) => [.. one.Wire.V4Of(IpProtocol.Igmp).Select(p =>
    {
        Assert.Equal((1, 24, (byte)0xc0), (p.Header.TimeToLive, p.Header.HeaderLength, p.Header.TypeOfService));
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(0, p.Payload)));
        return $"{p.Header.Destination} {Convert.ToHexStringLower(p.Payload.AsSpan(0, 1))} {Convert.ToHexStringLower(p.Payload.AsSpan(4))}";
    })];

    private static List<string> Mld(OneHost one) => [.. one.Wire.V6Of(IpProtocol.HopByHop).Select(p =>
    {
        Assert.Equal((1, one.Mac.LinkLocal), (p.Header.HopLimit, p.Header.Source));
        Assert.Equal("3a00050200000100", Convert.ToHexStringLower(p.Payload.AsSpan(0, 8)));
        byte[] message = p.Payload[8..];
        ulong sum = InternetChecksum.PseudoHeader(p.Header.Source, p.Header.Destination, IpProtocol.Icmpv6, message.Length);
        Assert.Equal(0, InternetChecksum.Finish(InternetChecksum.Add(sum, message)));
        return $"{p.Header.Destination} {message[0]} {Convert.ToHexStringLower(message.AsSpan(4))}";
    })];

    [Fact]
    public void Join_TellsRoutersTwice_LeaveTellsThemOnce()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        string report = "224.0.0.22 22 0000000104000000ef010203";
        Assert.Equal([report, report], Igmp(one));

        Assert.Equal(Errno.None, one.Host.Do(_ => socket.LeaveGroup(InetAddress.Parse(Group), 0)));
        Assert.Equal("224.0.0.22 22 0000000103000000ef010203", Igmp(one)[^1]);
        Assert.False(one.Link.Groups.Contains(InetAddress.Parse(Group)));
    }

    [Fact]
    public void JoinV6_TellsRoutersTwice_LeaveTellsThemOnce()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, GroupV6);
        one.Network.RunFor(5 * SimNetwork.Second);
        string report = "ff02::16 143 0000000104000000ff050000000000000000000000001234";
        Assert.Equal([report, report], Mld(one));
        one.Host.Do(_ => socket.Close());
        Assert.Equal("ff02::16 143 0000000103000000ff050000000000000000000000001234", Mld(one)[^1]);
    }

    [Fact]
    public void Join_ByTwoSockets_IsLeftWithTheLast()
    {
        using var one = new OneHost();
        UdpEndpoint first = Join(one, Group), second = Join(one, Group);
        one.Host.Do(_ => first.Close());
        Assert.True(one.Link.Groups.Contains(InetAddress.Parse(Group)));
        one.Host.Do(_ => second.Close());
        Assert.False(one.Link.Groups.Contains(InetAddress.Parse(Group)));
    }

    [Theory]
    [InlineData("10.0.0.1", 2, Errno.EINVAL)]
    [InlineData("239.1.2.3", 99, Errno.ENODEV)]
    [InlineData("239.1.2.3", 0, Errno.ENODEV)]
    public void Join_Wrong_IsRefused(string group, int link, Errno error)
    {
        using var one = new OneHost();
        UdpEndpoint socket = one.Host.Udp();
        Assert.Equal(error, one.Host.Do(_ => socket.JoinGroup(InetAddress.Parse(group), link)));
        Assert.Equal(group == "10.0.0.1" ? Errno.EINVAL : Errno.EADDRNOTAVAIL, one.Host.Do(_ => socket.LeaveGroup(InetAddress.Parse(group), link)));
    }

    [Fact]
    public void Join_TwiceAndTooMany_IsRefused()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Group);
        Assert.Equal(Errno.EADDRINUSE, one.Host.Do(_ => socket.JoinGroup(InetAddress.Parse(Group), one.Link.Index)));
        for (int i = 1; i < 20; i++)
            Assert.Equal(Errno.None, one.Host.Do(_ => socket.JoinGroup(InetAddress.FromV4(0xef000000 + (uint)i), one.Link.Index)));
        Assert.Equal(Errno.ENOBUFS, one.Host.Do(_ => socket.JoinGroup(InetAddress.Parse("239.9.9.9"), one.Link.Index)));
    }

    [Fact]
    public void QueryV3_IsAnsweredInTime()
    {
        using var one = new OneHost();
        Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        Query(one, [IgmpType.Query, 20, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
        one.Network.RunFor(2 * SimNetwork.Second);
        Assert.Equal(["224.0.0.22 22 0000000102000000ef010203"], Igmp(one));
    }

    [Fact]
    public void QueryV2_IsAnsweredInItsVersion_AndLeaveToo()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        Query(one, [IgmpType.Query, 100, 0, 0, 0, 0, 0, 0]);
        one.Network.RunFor(10 * SimNetwork.Second);
        Assert.Equal(["239.1.2.3 16 ef010203"], Igmp(one));
        Assert.Equal(2, one.Link.Groups.IgmpVersion);
        one.Host.Do(_ => socket.Close());
        Assert.Equal("224.0.0.2 17 ef010203", Igmp(one)[^1]);
        one.Network.RunFor(261 * SimNetwork.Second);
        Assert.Equal(3, one.Host.Do(_ => one.Link.Groups.IgmpVersion));
    }

    [Fact]
    public void QueryV2_AnotherAnswersFirst_IsNotAnswered()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        Query(one, [IgmpType.Query, 100, 0, 0, 0, 0, 0, 0]);
        byte[] report = new byte[8];
        GroupReports.WriteIgmp(report, IgmpType.ReportV2, InetAddress.Parse(Group));
        one.InjectV4(Frames.V4(OneHost.PeerV4, Group, IpProtocol.Igmp, report, ttl: 1), MacAddress.OfMulticast(InetAddress.Parse(Group)));
        one.Network.RunFor(12 * SimNetwork.Second);
        one.Host.Do(_ => socket.Close());
        Assert.Empty(Igmp(one));
    }

    [Fact]
    public void QueryMldV2_IsAnswered_AlsoAcrossRestore()
    {
        using var one = new OneHost();
        Join(one, GroupV6);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        QueryV6(one, 28, GroupV6);
        one.Host.SaveAndRestore();
        one.Network.RunFor(SimNetwork.Second);
        Assert.Equal(["ff02::16 143 0000000102000000ff050000000000000000000000001234"], Mld(one));
    }

    [Fact]
    public void QueryMldV1_IsAnsweredInItsVersion()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, GroupV6);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        QueryV6(one, 24, GroupV6);
        one.Network.RunFor(SimNetwork.Second);
        one.Host.Do(_ => socket.Close());
        Assert.Equal(["ff05::1234 131 00000000ff050000000000000000000000001234", "ff02::2 132 00000000ff050000000000000000000000001234"], Mld(one));
    }

    [Fact]
    public void Announce_ReportsMemberships()
    {
        using var one = new OneHost();
        Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Wire.Log!.Clear();
        one.Host.SaveAndRestore(announce: true);
        Assert.Contains("224.0.0.22 22 0000000104000000ef010203", Igmp(one));
    }

    [Fact]
    public void DownAndUp_ReportsAgain()
    {
        using var one = new OneHost();
        Join(one, Group);
        one.Network.RunFor(5 * SimNetwork.Second);
        one.Host.Do(_ => one.Link.IsUp = false);
        one.Wire.Log!.Clear();
        Assert.True(one.Link.Groups.Contains(InetAddress.Parse(Group)));
        Assert.False(one.Link.Groups.Contains(InetAddress.Parse("224.0.0.1")));
        one.Host.Do(_ => one.Link.IsUp = true);
        Assert.Contains("224.0.0.22 22 0000000104000000ef010203", Igmp(one));
        Assert.True(one.Link.Groups.Contains(InetAddress.Parse("224.0.0.1")));
    }
}
