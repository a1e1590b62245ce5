using System.Globalization;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Netlink.Routing;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>/proc/net/dev, arp, if_inet6, igmp, igmp6, dev_mcast, ptype, softnet_stat.</summary>
internal static class InterfaceTables
{
    internal static string Devices(NetworkNamespace network)
    {
        var text = new StringBuilder(
            "Inter-|   Receive                                                |  Transmit\n" +
            " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n");
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            InterfaceCounters c = link.Counters;
            text.Append(CultureInfo.InvariantCulture, $"{link.Name,6}: {c.ReceivedBytes,7} {c.ReceivedPackets,7} {c.ReceiveErrors,4} {c.ReceiveDropped,4} {0,4} {0,5} {0,10} {c.Multicast,9} ");
            text.Append(CultureInfo.InvariantCulture, $"{c.SentBytes,8} {c.SentPackets,7} {c.SendErrors,4} {c.SendDropped,4} {0,4} {0,5} {0,7} {0,10}\n");
        }

        return text.ToString();
    }

    internal static string Arp(NetworkNamespace network)
    {
        const int complete = 2, permanent = 4;
        var text = new StringBuilder("IP address       HW type     Flags       HW address            Mask     Device\n");
        foreach (Neighbour neighbour in network.Stack.Ip.Neighbours.Entries)
        {
            if (neighbour.Address.IsV6 || neighbour.State is NeighbourState.NoArp or NeighbourState.None)
                continue;
            int flags = neighbour.State == NeighbourState.Permanent ? complete | permanent : neighbour.IsValid ? complete : 0;
            string kind = ((int)neighbour.Interface.Kind).ToString("x", CultureInfo.InvariantCulture), flagText = flags.ToString("x", CultureInfo.InvariantCulture);
            text.Append(CultureInfo.InvariantCulture, $"{neighbour.Address,-16} 0x{kind,-10}0x{flagText,-10}{(neighbour.IsValid ? neighbour.Mac : default),-17}     *        {neighbour.Interface.Name}\n");
        }

        return text.ToString();
    }

    internal static string AddressesV6(NetworkNamespace network)
    {
        var text = new StringBuilder();
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            foreach (InterfaceAddress address in link.AddressesInOrder(isV6: true))
            {
                int scope = address.Scope switch
                {
                    RouteScope.Host => 0x10,
                    RouteScope.Link => 0x20,
                    RouteScope.Site => 0x40,
                    _ => 0,
                };
                text.Append(CultureInfo.InvariantCulture, $"{Hex(address.Address)} {link.Index:x2} {address.Prefix:x2} {scope:x2} {address.Flags & 0xff:x2} {link.Name,8}\n");
            }
        }

        return text.ToString();
    }

    internal static string GroupsV4(NetworkNamespace network)
    {
        var text = new StringBuilder("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            List<InterfaceGroup> groups = Groups(link, isV6: false);
            if (groups.Count == 0 && !link.Addresses.Any(a => a.Address.IsV4))
                continue;
            text.Append(CultureInfo.InvariantCulture, $"{link.Index}\t{link.Name,-10}: {groups.Count,5} {"V" + link.Groups.IgmpVersion.ToString(CultureInfo.InvariantCulture),7}\n");
            foreach (InterfaceGroup group in groups)
            {
                uint shown = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(group.Group.V4);
                text.Append(CultureInfo.InvariantCulture, $"\t\t\t\t{shown:X8} {group.References,5} {(group.Deadline != 0 ? 1 : 0)}:{Left(link, group):X8}\t\t{(group.WasLastReporter ? 1 : 0)}\n");
            }
        }

        return text.ToString();
    }

    internal static string GroupsV6(NetworkNamespace network)
    {
        const uint timerRunning = 1, lastReporter = 2, loaded = 4, noReport = 8;
        var text = new StringBuilder();
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            foreach (InterfaceGroup group in Groups(link, isV6: true))
            {
                // ff02::1 and groups that do not leave the host are never reported; the latter are not loaded into a filter either.
                bool isHostOnly = group.Group.High >> 48 == 0xff01, isAllNodes = group.Group.High >> 48 == 0xff02 && group.Group.Low == 1;
                uint flags = (group.Deadline != 0 ? timerRunning : 0) | (group.WasLastReporter ? lastReporter : 0) | (isHostOnly ? 0 : loaded) | (isHostOnly || isAllNodes ? noReport : 0);
                text.Append(CultureInfo.InvariantCulture, $"{link.Index,-4} {link.Name,-15} {Hex(group.Group)} {group.References,5} {flags:X8} {Left(link, group)}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>Link addresses that the interface listens to.</summary>
    internal static string DeviceGroups(NetworkNamespace network)
    {
        var text = new StringBuilder();
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            if (link.IsLoopback || !link.IsUp)
                continue;
            foreach (IGrouping<MacAddress, InterfaceGroup> mac in link.Groups.List.Where(g => g.Group.IsV4 || g.Group.High >> 48 != 0xff01).GroupBy(g => MacAddress.OfMulticast(g.Group)))
                text.Append(CultureInfo.InvariantCulture, $"{link.Index,-4} {link.Name,-15} {mac.Count(),-5} {0,-5} {mac.Key.Value:x12}\n");
        }

        return text.ToString();
    }

    internal static string PacketTypes(NetworkNamespace network)
    {
        var text = new StringBuilder("Type Device      Function\n");
        foreach (PacketEndpoint endpoint in network.Stack.Raw.PacketEndpoints)
        {
            if (endpoint.Protocol == 0)
                continue;
            string type = endpoint.Protocol == 3 ? "ALL " : endpoint.Protocol.ToString("x4", CultureInfo.InvariantCulture);
            text.Append(CultureInfo.InvariantCulture, $"{type} {network.Stack.FindInterface(endpoint.InterfaceIndex)?.Name,-8} packet_rcv\n");
        }

        return text.Append("0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n").ToString();
    }

    /// <summary>softnet_stat: frames processed, and 14 columns that are 0 here; all on the first CPU.</summary>
    internal static string Processors(NetworkNamespace network)
    {
        var text = new StringBuilder();
        ulong processed = 0;
        foreach (NetworkInterface link in network.Stack.Interfaces)
            processed += link.Counters.ReceivedPackets;
        for (int cpu = 0; cpu < network.Kernel.CpuCount; cpu++)
        {
            text.Append(CultureInfo.InvariantCulture, $"{(cpu == 0 ? (uint)processed : 0):x8}");
            for (int column = 1; column < 15; column++)
                text.Append(CultureInfo.InvariantCulture, $" {(column == 12 ? cpu : 0):x8}");
            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>The newest first, as Linux keeps them.</summary>
    private static List<InterfaceGroup> Groups(NetworkInterface link, bool isV6) => [.. link.Groups.List.Where(g => g.Group.IsV6 == isV6).Reverse()];

    /// <summary>Hundredths of a second until the group is reported.</summary>
    private static long Left(NetworkInterface link, InterfaceGroup group) => group.Deadline == 0 ? 0 : Math.Max(0, (group.Deadline - link.Stack.Now) / 10_000_000);

    internal static string Hex(InetAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.WriteV6(bytes);
        return Convert.ToHexStringLower(bytes);
    }
}
