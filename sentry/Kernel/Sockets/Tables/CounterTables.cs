using System.Globalization;
using System.Text;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>/proc/net/snmp, snmp6, netstat, sockstat, sockstat6 and protocols.</summary>
internal static class CounterTables
{
    internal static string Snmp(NetworkNamespace network)
    {
        StackCounters c = network.Stack.Counters;
        StackSettings settings = network.Stack.Settings;
        var text = new StringBuilder();
        Append(text, "Ip",
        [
            ("Forwarding", settings.Forwarding ? 1 : 2), ("DefaultTTL", settings.DefaultTimeToLive), ("InReceives", c.IpReceived), ("InHdrErrors", c.IpHeaderErrors), ("InAddrErrors", c.IpAddressErrors),
            ("ForwDatagrams", c.IpForwarded), ("InUnknownProtos", c.IpUnknownProtocols), ("InDiscards", c.IpDiscardedIn), ("InDelivers", c.IpDelivered), ("OutRequests", c.IpSent),
            ("OutDiscards", c.IpDiscardedOut), ("OutNoRoutes", c.IpNoRoutes), ("ReasmTimeout", c.ReassemblyTimeouts), ("ReasmReqds", c.ReassemblyRequired), ("ReasmOKs", c.ReassemblyOk),
            ("ReasmFails", c.ReassemblyFailed), ("FragOKs", c.FragmentsOk), ("FragFails", c.FragmentsFailed), ("FragCreates", c.FragmentsCreated), ("OutTransmits", c.IpSent + c.IpForwarded),
        ]);
        AppendIcmp(text, c);
        Append(text, "Tcp",
        [
            ("RtoAlgorithm", 1), ("RtoMin", 200), ("RtoMax", 120000), ("MaxConn", -1), ("ActiveOpens", c.TcpActiveOpens), ("PassiveOpens", c.TcpPassiveOpens), ("AttemptFails", c.TcpAttemptFails),
            ("EstabResets", c.TcpEstablishedResets), ("CurrEstab", network.Stack.Tcp.Endpoints.Count(e => e.State is TcpState.Established or TcpState.CloseWait)),
            ("InSegs", c.TcpSegmentsReceived), ("OutSegs", c.TcpSegmentsSent), ("RetransSegs", c.TcpRetransmitted), ("InErrs", c.TcpReceiveErrors), ("OutRsts", c.TcpResetsSent), ("InCsumErrors", c.TcpChecksumErrors),
        ]);
        Append(text, "Udp",
        [
            ("InDatagrams", c.UdpReceived), ("NoPorts", c.UdpNoPorts), ("InErrors", c.UdpErrors), ("OutDatagrams", c.UdpSent), ("RcvbufErrors", c.UdpReceiveBufferErrors), ("SndbufErrors", 0),
            ("InCsumErrors", c.UdpChecksumErrors), ("IgnoredMulti", 0), ("MemErrors", 0),
        ]);
        Append(text, "UdpLite",
        [
            ("InDatagrams", Lite(UdpCounter.Received)), ("NoPorts", Lite(UdpCounter.NoPort)), ("InErrors", Lite(UdpCounter.Error)), ("OutDatagrams", Lite(UdpCounter.Sent)),
            ("RcvbufErrors", Lite(UdpCounter.BufferError)), ("SndbufErrors", 0), ("InCsumErrors", Lite(UdpCounter.ChecksumError)), ("IgnoredMulti", 0), ("MemErrors", 0),
        ]);
        return text.ToString();

        long Lite(UdpCounter counter) => network.Stack.UdpLite.CountOf(counter, isV4: true);
    }

    private static void AppendIcmp(StringBuilder text, StackCounters c)
    {
        (string Name, int Type)[] types =
        [
            ("DestUnreachs", 3), ("TimeExcds", 11), ("ParmProbs", 12), ("SrcQuenchs", 4), ("Redirects", 5), ("Echos", 8), ("EchoReps", 0), ("Timestamps", 13), ("TimestampReps", 14),
            ("AddrMasks", 17), ("AddrMaskReps", 18),
        ];
        Append(text, "Icmp",
        [
            ("InMsgs", c.IcmpReceived), ("InErrors", c.IcmpErrors), ("InCsumErrors", c.IcmpChecksumErrors),
            .. types.Select(t => ("In" + t.Name, c.IcmpReceivedTypes.GetValueOrDefault(t.Type))),
            ("OutMsgs", c.IcmpSent), ("OutErrors", 0L), ("OutRateLimitGlobal", c.IcmpRateLimited), ("OutRateLimitHost", 0L),
            .. types.Select(t => ("Out" + t.Name, c.IcmpSentTypes.GetValueOrDefault(t.Type))),
        ]);
        List<(string, long)> messages =
        [
            .. c.IcmpReceivedTypes.Where(t => t.Value != 0).Select(t => (string.Create(CultureInfo.InvariantCulture, $"InType{t.Key}"), t.Value)),
            .. c.IcmpSentTypes.Where(t => t.Value != 0).Select(t => (string.Create(CultureInfo.InvariantCulture, $"OutType{t.Key}"), t.Value)),
        ];
        if (messages.Count > 0)
            Append(text, "IcmpMsg", messages);
    }

    /// <summary>Two lines: the names, then the values.</summary>
    private static void Append(StringBuilder text, string group, IEnumerable<(string Name, long Value)> counters)
    {
        text.Append(group).Append(':');
        foreach ((string name, _) in counters)
            text.Append(' ').Append(name);
        text.Append('\n').Append(group).Append(':');
        foreach ((_, long value) in counters)
            text.Append(' ').Append(value.ToString(CultureInfo.InvariantCulture));
        text.Append('\n');
    }

    /// <param name="link">Null: of all interfaces together. The stack does not count by interface but for what the link itself does.</param>
    internal static string SnmpV6(NetworkNamespace network, NetworkInterface? link)
    {
        StackCounters c = link is null ? network.Stack.Counters : new StackCounters();
        List<(string Name, long Value)> counters =
        [
            ("Ip6InReceives", c.Ip6Received), ("Ip6InHdrErrors", c.Ip6HeaderErrors), ("Ip6InTooBigErrors", 0), ("Ip6InNoRoutes", 0), ("Ip6InAddrErrors", c.Ip6AddressErrors),
            ("Ip6InUnknownProtos", c.Ip6UnknownProtocols), ("Ip6InTruncatedPkts", c.Ip6Truncated), ("Ip6InDiscards", c.Ip6DiscardedIn), ("Ip6InDelivers", c.Ip6Delivered),
            ("Ip6OutForwDatagrams", c.Ip6Forwarded), ("Ip6OutRequests", c.Ip6Sent), ("Ip6OutDiscards", c.Ip6DiscardedOut), ("Ip6OutNoRoutes", c.Ip6NoRoutes), ("Ip6ReasmTimeout", c.ReassemblyTimeoutsV6),
            ("Ip6ReasmReqds", c.ReassemblyRequiredV6), ("Ip6ReasmOKs", c.ReassemblyOkV6), ("Ip6ReasmFails", c.ReassemblyFailedV6), ("Ip6FragOKs", c.FragmentsOkV6), ("Ip6FragFails", c.FragmentsFailedV6),
            ("Ip6FragCreates", c.FragmentsCreatedV6), ("Ip6InMcastPkts", c.Ip6MulticastIn), ("Ip6OutMcastPkts", c.Ip6MulticastOut), ("Ip6InOctets", 0), ("Ip6OutOctets", 0), ("Ip6InMcastOctets", 0),
            ("Ip6OutMcastOctets", 0), ("Ip6InBcastOctets", 0), ("Ip6OutBcastOctets", 0), ("Ip6InNoECTPkts", 0), ("Ip6InECT1Pkts", 0), ("Ip6InECT0Pkts", 0), ("Ip6InCEPkts", 0),
            ("Ip6OutTransmits", c.Ip6Sent + c.Ip6Forwarded),
            ("Icmp6InMsgs", c.Icmp6Received), ("Icmp6InErrors", c.Icmp6Errors), ("Icmp6OutMsgs", c.Icmp6Sent), ("Icmp6OutErrors", 0), ("Icmp6InCsumErrors", c.Icmp6ChecksumErrors),
        ];
        if (link is null)
            counters.Add(("Icmp6OutRateLimitHost", 0));
        (string Name, int Type)[] types =
        [
            ("DestUnreachs", 1), ("PktTooBigs", 2), ("TimeExcds", 3), ("ParmProblems", 4), ("Echos", 128), ("EchoReplies", 129), ("GroupMembQueries", 130), ("GroupMembResponses", 131),
            ("GroupMembReductions", 132), ("RouterSolicits", 133), ("RouterAdvertisements", 134), ("NeighborSolicits", 135), ("NeighborAdvertisements", 136), ("Redirects", 137), ("MLDv2Reports", 143),
        ];
        counters.AddRange(types.Select(t => ("Icmp6In" + t.Name, c.Icmp6ReceivedTypes.GetValueOrDefault(t.Type))));
        counters.AddRange(types.Select(t => ("Icmp6Out" + t.Name, c.Icmp6SentTypes.GetValueOrDefault(t.Type))));
        counters.AddRange(c.Icmp6ReceivedTypes.Where(t => t.Value != 0).Select(t => (string.Create(CultureInfo.InvariantCulture, $"Icmp6InType{t.Key}"), t.Value)));
        counters.AddRange(c.Icmp6SentTypes.Where(t => t.Value != 0).Select(t => (string.Create(CultureInfo.InvariantCulture, $"Icmp6OutType{t.Key}"), t.Value)));
        if (link is null)
        {
            counters.AddRange([("Udp6InDatagrams", c.Udp6Received), ("Udp6NoPorts", c.Udp6NoPorts), ("Udp6InErrors", c.Udp6Errors), ("Udp6OutDatagrams", c.Udp6Sent),
                ("Udp6RcvbufErrors", c.Udp6ReceiveBufferErrors), ("Udp6SndbufErrors", 0), ("Udp6InCsumErrors", c.Udp6ChecksumErrors), ("Udp6IgnoredMulti", 0), ("Udp6MemErrors", 0),
                ("UdpLite6InDatagrams", Lite(UdpCounter.Received)), ("UdpLite6NoPorts", Lite(UdpCounter.NoPort)), ("UdpLite6InErrors", Lite(UdpCounter.Error)),
                ("UdpLite6OutDatagrams", Lite(UdpCounter.Sent)), ("UdpLite6RcvbufErrors", Lite(UdpCounter.BufferError)), ("UdpLite6SndbufErrors", 0),
                ("UdpLite6InCsumErrors", Lite(UdpCounter.ChecksumError)), ("UdpLite6MemErrors", 0)]);
        }
        else
        {
            counters.Insert(0, ("ifIndex", link.Index));
        }

        var text = new StringBuilder();
        foreach ((string name, long value) in counters)
            text.Append(CultureInfo.InvariantCulture, $"{name,-32}\t{value}\n");
        return text.ToString();

        long Lite(UdpCounter counter) => network.Stack.UdpLite.CountOf(counter, isV4: false);
    }

    /// <summary>Counters of Linux's own (TcpExt, IpExt); those that this stack has no like of are 0.</summary>
    internal static string Extended(NetworkNamespace network)
    {
        StackCounters c = network.Stack.Counters;
        Dictionary<string, long> known = new()
        {
            ["SyncookiesSent"] = c.SynCookiesSent, ["SyncookiesRecv"] = c.SynCookiesReceived, ["SyncookiesFailed"] = c.SynCookiesFailed, ["TW"] = c.TimeWaited, ["PAWSEstab"] = c.PawsDropped,
            ["DelayedACKs"] = c.DelayedAcks, ["ListenOverflows"] = c.ListenOverflows, ["ListenDrops"] = c.ListenDrops, ["TCPFastRetrans"] = c.FastRetransmits, ["TCPTimeouts"] = c.Timeouts,
            ["TCPLossProbes"] = c.LossProbes, ["TCPAbortOnData"] = c.AbortsOnData, ["TCPAbortOnClose"] = c.AbortsOnClose, ["TCPAbortOnTimeout"] = c.AbortsOnTimeout,
            ["TCPOFOQueue"] = c.OutOfOrderQueued, ["TCPChallengeACK"] = c.ChallengeAcks, ["InTruncatedPkts"] = c.IpTruncated, ["InMcastPkts"] = c.IpMulticastIn, ["OutMcastPkts"] = c.IpMulticastOut,
            ["InBcastPkts"] = c.IpBroadcastIn, ["OutBcastPkts"] = c.IpBroadcastOut,
        };
        var text = new StringBuilder();
        Append(text, "TcpExt", ExtendedNames.Tcp.Select(n => (n, known.GetValueOrDefault(n))));
        Append(text, "IpExt", ExtendedNames.Ip.Select(n => (n, known.GetValueOrDefault(n))));
        return text.ToString();
    }

    internal static string Sockets(NetworkNamespace network)
    {
        TcpLayer tcp = network.Stack.Tcp;
        int inUse = tcp.Endpoints.Count(e => !e.IsV6 && e.State is not (TcpState.TimeWait or TcpState.SynReceived or TcpState.NewSynReceived));
        int allocated = network.Sockets.Values.Count(s => s.Domain is AF.Inet or AF.Inet6 && s.Type == SocketType.Stream) + tcp.OrphanCount;
        int udp = network.Stack.Udp.Endpoints.Count(e => !e.IsV6), raw = network.Stack.Raw.RawEndpoints.Count(e => !e.IsV6 && !e.IsPing);
        return string.Create(CultureInfo.InvariantCulture,
            $"sockets: used {network.Sockets.Count}\nTCP: inuse {inUse} orphan {tcp.OrphanCount} tw {tcp.TimeWaitCount} alloc {allocated} mem 0\nUDP: inuse {udp} mem 0\nUDPLITE: inuse {network.Stack.UdpLite.Endpoints.Count(e => !e.IsV6)}\nRAW: inuse {raw}\nFRAG: inuse 0 memory 0\n");
    }

    internal static string SocketsV6(NetworkNamespace network)
    {
        int tcp = network.Stack.Tcp.Endpoints.Count(e => e.IsV6 && e.State is not (TcpState.TimeWait or TcpState.SynReceived or TcpState.NewSynReceived));
        int udp = network.Stack.Udp.Endpoints.Count(e => e.IsV6), raw = network.Stack.Raw.RawEndpoints.Count(e => e.IsV6 && !e.IsPing);
        return string.Create(CultureInfo.InvariantCulture, $"TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse {network.Stack.UdpLite.Endpoints.Count(e => e.IsV6)}\nRAW6: inuse {raw}\nFRAG6: inuse 0 memory 0\n");
    }

    internal static string Protocols(NetworkNamespace network)
    {
        int Of(int domain, int type) => network.Sockets.Values.Count(s => s.Domain == domain && s.Type == type);
        (string Name, int Size, int Sockets, int Memory, string Pressure, int MaxHeader, string Slab, string Calls)[] rows =
        [
            ("PACKET", 1600, Of(AF.Packet, SocketType.Raw) + Of(AF.Packet, SocketType.Datagram), -1, "NI", 0, "no", "n n n n n n n n n n n n n n n n n n"),
            ("PINGv6", 1344, 0, -1, "NI", 0, "yes", "y y y n n y n n y y y y y y n y y n"),
            ("RAWv6", 1344, Of(AF.Inet6, SocketType.Raw), -1, "NI", 0, "yes", "y y y n y y y n y y y y y y y y n n"),
            ("UDPv6", 1472, Of(AF.Inet6, SocketType.Datagram), 0, "NI", 0, "yes", "y y y n y y y n y y y y n n y y y n"),
            ("TCPv6", 2432, Of(AF.Inet6, SocketType.Stream), 0, "no", 192, "yes", "y y y y y y y y y y y y n y y y y y"),
            ("UNIX-STREAM", 1152, Of(AF.Unix, SocketType.Stream), -1, "NI", 0, "yes", "y n n n n n n n n n n n n n n n n n"),
            ("UNIX", 1152, Of(AF.Unix, SocketType.Datagram) + Of(AF.Unix, SocketType.SeqPacket), -1, "NI", 0, "yes", "y n n n n n n n n n n n n n n n n n"),
            ("PING", 1016, 0, -1, "NI", 0, "yes", "y y y n n y n n y y y y y y n y y n"),
            ("RAW", 1152, Of(AF.Inet, SocketType.Raw), -1, "NI", 0, "yes", "y y y n y y y n y y y y y y y y n n"),
            ("UDP", 1344, Of(AF.Inet, SocketType.Datagram), 0, "NI", 0, "yes", "y y y n y y y n y y y y n n y y y n"),
            ("TCP", 2304, Of(AF.Inet, SocketType.Stream), 0, "no", 192, "yes", "y y y y y y y y y y y y n y y y y y"),
            ("NETLINK", 1096, network.Netlink.Sockets.Count, -1, "NI", 0, "no", "n n n n n n n n n n n n n n n n n n"),
        ];
        var text = new StringBuilder("protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n");
        foreach ((string name, int size, int sockets, int memory, string pressure, int maxHeader, string slab, string calls) in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{name,-9} {size,4} {sockets,6}  {memory,6}   {pressure,-3} {maxHeader,6}   {slab,-3}  kernel      {calls.Replace(" ", "  ", StringComparison.Ordinal)}\n");
        }

        return text.ToString();
    }
}
