namespace Netstack.Stack;

/// <summary>The routes that follow from an interface's addresses (fib_add_ifaddr and addrconf of Linux).</summary>
internal static class ConnectedRoutes
{
    /// <summary>What the tables are to have for an interface as it is now.</summary>
    public static List<RouteEntry> Of(NetworkInterface link)
    {
        var routes = new RouteSet();
        foreach (InterfaceAddress address in link.Addresses)
        {
            if (address.Address.IsV4)
                AddV4(routes, link, address);
            else
                AddV6(routes, link, address);
        }

        if (link is { IsUp: true, IsLoopback: false, HasIpv6: true, HasStartedIpv6: true })
        {
            routes.Put(new RouteEntry
            {
                Destination = new InetAddress(0xff00_0000_0000_0000, 0),
                Prefix = 8,
                Type = RouteType.Multicast,
                Metric = RouteEntry.KernelMetricV6,
                Table = RouteTable.Local,
                InterfaceIndex = link.Index,
            });
        }

        return routes.List;
    }

    private static void AddV4(RouteSet routes, NetworkInterface link, InterfaceAddress address)
    {
        InetAddress source = Primary(link, address).Address;
        if (!address.Address.IsAny)
            PutV4(routes, link, RouteType.Local, address.Address, 32, source);
        if (!link.IsUp)
        {
            // Routes of host scope stay when loopback goes down.
            if (link.IsLoopback && !address.IsSecondary && address.Prefix < 32 && (address.Flags & AddressFlags.NoPrefixRoute) == 0)
                PutV4(routes, link, RouteType.Local, address.Address.Network(address.Prefix), address.Prefix, source, address.RoutePriority);
            return;
        }

        if (!address.Broadcast.IsAny && !address.Broadcast.IsBroadcast)
            PutV4(routes, link, RouteType.Broadcast, address.Broadcast, 32, source);
        InetAddress network = (address.HasPeer ? address.Peer : address.Address).Network(address.Prefix);
        bool isZeroNet = network.V4 >> 24 == 0;
        if (isZeroNet || address.IsSecondary || (address.Prefix == 32 && network == address.Address))
            return;
        if ((address.Flags & AddressFlags.NoPrefixRoute) == 0)
            PutV4(routes, link, link.IsLoopback ? RouteType.Local : RouteType.Unicast, network, address.Prefix, source, address.RoutePriority);
        if (address.Prefix < 31)
            PutV4(routes, link, RouteType.Broadcast, InetAddress.FromV4(network.V4 | (uint)(0xffff_ffffUL >> address.Prefix)), 32, source);
    }

    private static void AddV6(RouteSet routes, NetworkInterface link, InterfaceAddress address)
    {
        if (!link.IsUp || !link.HasIpv6)
            return;
        if (address.IsUsable)
        {
            routes.Put(new RouteEntry
            {
                Destination = address.Address,
                Prefix = 128,
                Type = RouteType.Local,
                Table = RouteTable.Local,
                InterfaceIndex = link.Index,
            });
        }

        if ((address.Flags & AddressFlags.NoPrefixRoute) == 0 && !address.Address.IsLoopback)
        {
            routes.Put(new RouteEntry
            {
                Destination = (address.HasPeer ? address.Peer : address.Address).Network(address.Prefix),
                Prefix = address.Prefix,
                Metric = address.RoutePriority != 0 ? address.RoutePriority : RouteEntry.KernelMetricV6,
                InterfaceIndex = link.Index,
            });
        }
    }

    private static void PutV4(RouteSet routes, NetworkInterface link, byte type, InetAddress destination, int prefix, InetAddress source, uint metric = 0) => routes.Put(new RouteEntry
    {
        Destination = destination,
        Prefix = prefix,
        Type = type,
        Metric = metric,
        Scope = type == RouteType.Local ? RouteScope.Host : RouteScope.Link,
        Table = type == RouteType.Unicast ? RouteTable.Main : RouteTable.Local,
        InterfaceIndex = link.Index,
        Gateway = InetAddress.AnyV4,
        PreferredSource = source,
    });

    private static InterfaceAddress Primary(NetworkInterface link, InterfaceAddress address)
    {
        if (!address.IsSecondary)
            return address;
        foreach (InterfaceAddress other in link.Addresses)
        {
            if (other.Address.IsV4 && !other.IsSecondary && other.Prefix == address.Prefix && other.Covers(address.Address))
                return other;
        }

        return address;
    }

    /// <summary>Routes without repetition: several addresses may bring the same.</summary>
    private sealed class RouteSet
    {
        private readonly HashSet<(InetAddress, int, byte, uint, int, InetAddress, uint, byte)> _seen = [];

        public List<RouteEntry> List { get; } = [];

        public void Put(RouteEntry entry)
        {
            entry.Protocol = RouteProtocol.Kernel;
            if (_seen.Add(entry.Identity))
                List.Add(entry);
        }
    }
}
