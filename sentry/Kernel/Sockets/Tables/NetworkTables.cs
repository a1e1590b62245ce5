using System.Text;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>The text files of /proc/net (proc(5)), in the very columns of Linux.</summary>
public static class NetworkTables
{
    private static readonly (string Name, Func<NetworkNamespace, string> Text)[] Files =
    [
        ("anycast6", static _ => ""),
        ("arp", InterfaceTables.Arp),
        ("dev", InterfaceTables.Devices),
        ("dev_mcast", InterfaceTables.DeviceGroups),
        ("fib_trie", RouteTrie.Describe),
        ("fib_triestat", RouteTrie.DescribeStatistics),
        ("icmp", static n => SocketTables.Raw(n, isV6: false, pings: true)),
        ("icmp6", static n => SocketTables.Raw(n, isV6: true, pings: true)),
        ("if_inet6", InterfaceTables.AddressesV6),
        ("igmp", InterfaceTables.GroupsV4),
        ("igmp6", InterfaceTables.GroupsV6),
        ("ip6_flowlabel", static _ => "Label S Owner  Users  Linger Expires  Dst                              Opt\n"),
        ("ipv6_route", RouteTables.RoutesV6),
        ("mcfilter", static _ => "Idx Device        MCA        SRC    INC    EXC\n"),
        ("mcfilter6", static _ => "Idx Device                Multicast Address                   Source Address    INC    EXC\n"),
        ("netlink", SocketTables.Netlink),
        ("netstat", CounterTables.Extended),
        ("packet", SocketTables.Packet),
        ("protocols", CounterTables.Protocols),
        ("psched", static _ => "000003e8 00000040 000f4240 3b9aca00\n"),
        ("ptype", InterfaceTables.PacketTypes),
        ("raw", static n => SocketTables.Raw(n, isV6: false, pings: false)),
        ("raw6", static n => SocketTables.Raw(n, isV6: true, pings: false)),
        ("route", RouteTables.RoutesV4),
        ("rt6_stats", RouteTables.StatisticsV6),
        ("rt_cache", RouteTables.Cache),
        ("snmp", CounterTables.Snmp),
        ("snmp6", static n => CounterTables.SnmpV6(n, null)),
        ("sockstat", CounterTables.Sockets),
        ("sockstat6", CounterTables.SocketsV6),
        ("softnet_stat", InterfaceTables.Processors),
        ("tcp", static n => SocketTables.Tcp(n, isV6: false)),
        ("tcp6", static n => SocketTables.Tcp(n, isV6: true)),
        ("udp", static n => SocketTables.Udp(n.Stack.Udp, isV6: false)),
        ("udp6", static n => SocketTables.Udp(n.Stack.Udp, isV6: true)),
        ("udplite", static n => SocketTables.Udp(n.Stack.UdpLite, isV6: false)),
        ("udplite6", static n => SocketTables.Udp(n.Stack.UdpLite, isV6: true)),
        ("unix", SocketTables.Unix),
    ];

    /// <summary>The names of the files, in the order in which they are listed.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Files.Select(f => f.Name)];

    /// <summary>The text of a file; null when there is none of that name.</summary>
    public static string? Generate(NetworkNamespace network, string name)
    {
        foreach ((string each, Func<NetworkNamespace, string> text) in Files)
        {
            if (each != name)
                continue;
            using (network.Enter())
                return text(network);
        }

        return null;
    }

    /// <summary>dev_snmp6/NAME; null when there is no such interface.</summary>
    public static string? GenerateOfInterface(NetworkNamespace network, string name) =>
        network.Stack.FindInterface(name) is { } link ? CounterTables.SnmpV6(network, link) : null;

    /// <summary>Ends a line that is filled with blanks to a width (seq_setwidth, seq_pad).</summary>
    internal static StringBuilder EndPadded(this StringBuilder text, int lineStart, int width)
    {
        int missing = width - (text.Length - lineStart);
        return text.Append(' ', Math.Max(0, missing)).Append('\n');
    }
}
