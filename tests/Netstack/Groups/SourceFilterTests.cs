using Tests.Netstack.Simulation;

namespace Tests.Netstack.Groups;

/// <summary>Filters on the sources of groups: what sockets receive and what routers are told (RFC 3376, RFC 3810).</summary>
public sealed class SourceFilterTests
{
    private const string Group = "232.1.2.3", GroupV6 = "ff35::1234";

    private static GroupSourceFilter Only(params string[] sources) => new() { IsInclude = true, Sources = [.. sources.Select(InetAddress.Parse)] };

    private static GroupSourceFilter AllBut(params string[] sources) => new() { Sources = [.. sources.Select(InetAddress.Parse)] };

    private static UdpEndpoint Join(OneHost one, GroupSourceFilter? filter, string group = Group)
    {
        UdpEndpoint socket = one.Host.Udp(group.Contains(':', StringComparison.Ordinal) ? "::" : "0.0.0.0", 5000, group.Contains(':', StringComparison.Ordinal), o => o.ReuseAddress = true);
        Assert.Equal(Errno.None, one.Host.Do(_ => socket.JoinGroup(InetAddress.Parse(group), one.Link.Index, filter)));
        return socket;
    }

    private static void Change(OneHost one, UdpEndpoint socket, GroupSourceFilter? filter) => one.Host.Do(_ => socket.SetSourceFilter(socket.Options.Memberships[0], filter));

    /// <summary>Kinds and sources of the records of all reports since it was last asked.</summary>
    private static List<string> Reports(OneHost one)
    {
        List<string> found = [];
        List<byte[]> messages = [.. one.Wire.V4Of(IpProtocol.Igmp).Select(p => p.Payload), .. one.Wire.V6Of(IpProtocol.HopByHop).Select(p => p.Payload[8..])];
        foreach (byte[] message in messages.Where(m => m[0] is IgmpType.ReportV3 or Icmpv6Type.ListenerReportV2))
        {
            int size = message[0] == IgmpType.ReportV3 ? 4 : 16, offset = 8;
            for (int i = message[7]; i > 0; i--)
            {
                int count = message[offset + 3];
                IEnumerable<string> sources = Enumerable.Range(1, count).Select(s => InetAddress.FromBytes(message.AsSpan(offset + 4 + (s * size), size)).ToString());
                found.Add($"{(GroupRecordType)message[offset]} {string.Join(' ', sources)}".TrimEnd());
                offset += 4 + ((1 + count) * size);
            }
        }

        one.Wire.Log!.Clear();
        return found;
    }

    private static bool Takes(OneHost one, UdpEndpoint socket, string from)
    {
        one.InjectV4(Frames.V4(from, Group, IpProtocol.Udp, Frames.Udp(from, 9, Group, 5000, [1])), MacAddress.OfMulticast(InetAddress.Parse(Group)));
        return socket.Receive(false) is not null;
    }

    [Fact]
    public void Only_TakesThoseSources()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Only("10.0.0.9"));
        Assert.True(Takes(one, socket, "10.0.0.9"));
        Assert.False(Takes(one, socket, "10.0.0.8"));
    }

    [Fact]
    public void AllBut_TakesTheOthers()
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, AllBut("10.0.0.9"));
        Assert.False(Takes(one, socket, "10.0.0.9"));
        Assert.True(Takes(one, socket, "10.0.0.8"));
    }

    [Theory]
    [InlineData(Group, "10.0.0.9", "10.0.0.8")]
    [InlineData(GroupV6, "fd00::9", "fd00::8")]
    public void Only_IsTold_AndChangesAreDifferences(string group, string first, string second)
    {
        using var one = new OneHost();
        UdpEndpoint socket = Join(one, Only(first), group);
        Assert.Equal([$"AllowNew {first}"], Reports(one));
        Change(one, socket, Only(first, second));
        Assert.Equal([$"AllowNew {second}"], Reports(one));
        Change(one, socket, Only(second));
        Assert.Equal([$"BlockOld {first}"], Reports(one));
        one.Network.RunFor(3 * SimNetwork.Second);
        Assert.Equal([$"ToInclude {second}"], Reports(one));
        Change(one, socket, null);
        Assert.Equal(["ToExclude"], Reports(one));
        Change(one, socket, AllBut(first));
        Assert.Equal([$"BlockOld {first}"], Reports(one));
        Change(one, socket, Only(first));
        Assert.Equal([$"ToInclude {first}"], Reports(one));
        one.Host.Do(_ => socket.Close());
        Assert.Equal([$"BlockOld {first}"], Reports(one));
    }

    [Fact]
    public void SeveralSockets_AreMerged()
    {
        using var one = new OneHost();
        UdpEndpoint first = Join(one, Only("10.0.0.1", "10.0.0.2")), second = Join(one, Only("10.0.0.3"));
        Assert.Equal(["AllowNew 10.0.0.1 10.0.0.2", "AllowNew 10.0.0.3"], Reports(one));
        UdpEndpoint third = Join(one, AllBut("10.0.0.3", "10.0.0.4", "10.0.0.5")), fourth = Join(one, AllBut("10.0.0.4", "10.0.0.6", "10.0.0.3"));

        // All but those that all of them exclude, less what others ask for.
        Assert.Equal(["ToExclude 10.0.0.4 10.0.0.5", "AllowNew 10.0.0.5"], Reports(one));
        one.Host.Do(_ => third.Close());
        Assert.Equal(["BlockOld 10.0.0.6"], Reports(one));
        one.Host.Do(_ => fourth.Close());
        Assert.Equal(["ToInclude 10.0.0.1 10.0.0.2 10.0.0.3"], Reports(one));
        one.Host.Do(_ => second.Close());
        one.Host.Do(_ => first.Close());
        Assert.Equal(["BlockOld 10.0.0.3", "BlockOld 10.0.0.1 10.0.0.2"], Reports(one));
        Assert.False(one.Link.Groups.Contains(InetAddress.Parse(Group)));
    }

    [Fact]
    public void Query_IsAnsweredWithTheSources_AlsoAcrossRestore()
    {
        using var one = new OneHost();
        Join(one, Only("10.0.0.9"));
        one.Network.RunFor(3 * SimNetwork.Second);
        Reports(one);
        one.Host.SaveAndRestore();
        byte[] query = [IgmpType.Query, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
        InternetChecksum.Write(query.AsSpan(2), InternetChecksum.Finish(InternetChecksum.Add(0, query)));
        one.InjectV4(Frames.V4(OneHost.PeerV4, "224.0.0.1", IpProtocol.Igmp, query, ttl: 1), MacAddress.OfMulticast(InetAddress.Parse("224.0.0.1")));
        one.Network.RunFor(SimNetwork.Second);
        Assert.Equal(["IsInclude 10.0.0.9"], Reports(one));

        // The restored socket is still the member whose filter counts.
        UdpEndpoint socket = one.Host.UdpAt(5000);
        Change(one, socket, Only("10.0.0.8"));
        Assert.Equal(["AllowNew 10.0.0.8", "BlockOld 10.0.0.9"], Reports(one));
        one.Host.Do(_ => socket.Close());
        Assert.False(one.Link.Groups.Contains(InetAddress.Parse(Group)));
    }

    [Fact]
    public void Announce_TellsTheSources()
    {
        using var one = new OneHost();
        Join(one, Only("10.0.0.9"));
        one.Network.RunFor(3 * SimNetwork.Second);
        Reports(one);
        one.Host.Do(s => s.Announce(one.Link));
        Assert.Contains("ToInclude 10.0.0.9", Reports(one));
    }
}
