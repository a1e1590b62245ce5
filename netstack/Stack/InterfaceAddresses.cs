namespace Netstack.Stack;

/// <summary>Changes of an interface's addresses and what follows from them: routes, groups, duplicate address detection, events.</summary>
internal static class InterfaceAddresses
{
    private const int MaxAddresses = 4096;

    public static Errno Add(NetworkInterface link, InterfaceAddress address)
    {
        if (address.Prefix < 0 || address.Prefix > address.Address.Bits || address.Address.IsMulticast || address.Address.IsBroadcast)
            return Errno.EINVAL;
        if (address.Address.IsAny && (address.Address.IsV6 || address.Prefix != 0))
            return Errno.EINVAL;
        if (link.Addresses.Count >= MaxAddresses)
            return Errno.ENOBUFS;
        if (address.Label.Length == 0 && address.Address.IsV4)
            address.Label = link.Name;
        address.BelongTo(link);
        address.Created = address.Updated = link.Stack.Now;
        if (address.ValidUntil == 0)
            address.Flags |= AddressFlags.Permanent;
        else
            address.Flags &= ~AddressFlags.Permanent;
        return address.Address.IsV4 ? AddV4(link, address) : AddV6(link, address);
    }

    public static Errno Remove(NetworkInterface link, InetAddress address, int prefix)
    {
        InterfaceAddress? found = link.AddressList.Find(a => a.Address == address && (prefix < 0 || a.Prefix == prefix));
        if (found is null)
            return Errno.EADDRNOTAVAIL;

        List<InterfaceAddress> gone = [];
        if (address.IsV4 && !found.IsSecondary)
        {
            // Secondary addresses go with their primary one, and before it (promote_secondaries is off).
            gone.AddRange(link.AddressList.FindAll(a => a.IsSecondary && a.Prefix == found.Prefix && found.Covers(a.Address)));
        }

        gone.Add(found);
        foreach (InterfaceAddress lost in gone)
        {
            List<RouteEntry> before = ConnectedRoutes.Of(link);
            Drop(link, lost);
            link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        }

        return Errno.None;
    }

    public static void GoUp(NetworkInterface link)
    {
        List<RouteEntry> before = ConnectedRoutes.Of(link);
        link.SetUpFlag(true);
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));

        // Linux gives a loopback interface that comes up without an address its own (inetdev_event).
        if (link.IsLoopback && !link.AddressList.Exists(static a => a.Address.IsV4))
            Add(link, new InterfaceAddress { Address = InetAddress.LoopbackV4, Prefix = 8, Scope = RouteScope.Host });
        link.Groups.OnUp();
        StartIpv6(link);
    }

    /// <summary>Down: routes by the interface go, also those users made, and IPv6 addresses (keep_addr_on_down is off).</summary>
    public static void GoDown(NetworkInterface link)
    {
        List<RouteEntry> before = ConnectedRoutes.Of(link);
        foreach (InterfaceAddress address in link.AddressList.FindAll(a => a.Address.IsV6))
            Drop(link, address);
        link.Groups.OnDown();
        link.SetUpFlag(false);
        link.HasStartedIpv6 = false;
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        link.Stack.Routes.RemoveOf(link.Index);
        link.Stack.Ip.Neighbours.Flush(link);
    }

    public static void OnIpv6Switched(NetworkInterface link)
    {
        RoutingTable routes = link.Stack.Routes;
        if (link.HasIpv6)
        {
            routes.Apply([], ConnectedRoutes.Of(link));
            link.Groups.OnUp();
            StartIpv6(link);
            return;
        }

        foreach (InterfaceAddress address in link.AddressList.FindAll(a => a.Address.IsV6))
            Drop(link, address);
        foreach (RouteEntry entry in routes.Entries.Where(e => e.IsV6 && e.InterfaceIndex == link.Index).ToList())
            routes.Remove(entry);
        routes.Touch();
    }

    public static void OnDetectionDone(NetworkInterface link, InterfaceAddress address)
    {
        List<RouteEntry> before = ConnectedRoutes.Of(link);
        address.Flags &= ~AddressFlags.Tentative;
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        link.Stack.TellAddress(link, address, StackChange.Changed);

        // Reports sent meanwhile had no source, and snooping switches may not have believed them (RFC 3590 section 4).
        if (address.Address.IsLinkLocal)
            link.Groups.ReportAll(v6Only: true);
    }

    private static Errno AddV4(NetworkInterface link, InterfaceAddress address)
    {
        address.Flags &= ~AddressFlags.Secondary;
        foreach (InterfaceAddress other in link.Addresses)
        {
            if (!other.Address.IsV4 || other.Prefix != address.Prefix || !other.Covers(address.Address))
                continue;
            if (other.Address == address.Address)
                return Errno.EEXIST;
            if (other.Scope != address.Scope)
                return Errno.EINVAL;
            address.Flags |= AddressFlags.Secondary;
        }

        List<RouteEntry> before = ConnectedRoutes.Of(link);
        link.AddressList.Add(address);
        address.ArmLifetime();

        // Who listens hears of the address first, then of its routes (with IPv6 it is the other way round).
        link.Stack.TellAddress(link, address, StackChange.Added);
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        return Errno.None;
    }

    private static Errno AddV6(NetworkInterface link, InterfaceAddress address)
    {
        if (!link.HasIpv6)
            return Errno.EACCES;
        if (link.FindAddress(address.Address) is not null)
            return Errno.EEXIST;
        address.Scope = address.Address.IsLinkLocal ? RouteScope.Link : address.Address.IsLoopback ? RouteScope.Host : RouteScope.Universe;
        address.Flags &= ~(AddressFlags.Tentative | AddressFlags.DadFailed | AddressFlags.Secondary);
        bool detects = !link.IsLoopback && (address.Flags & AddressFlags.NoDad) == 0;
        if (detects)
            address.Flags |= AddressFlags.Tentative;

        List<RouteEntry> before = ConnectedRoutes.Of(link);
        link.AddressList.Add(address);
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        if (!link.IsLoopback)
            link.Groups.JoinOwn(address.Address.SolicitedNode);
        if (detects && link.IsUp)
            address.StartDetection(link);
        else
            address.ArmLifetime();
        link.Stack.TellAddress(link, address, StackChange.Added);
        return Errno.None;
    }

    private static void Drop(NetworkInterface link, InterfaceAddress address)
    {
        address.Stop();
        link.AddressList.Remove(address);
        if (address.Address.IsV6 && !link.IsLoopback)
            link.Groups.LeaveOwn(address.Address.SolicitedNode);
        link.Stack.TellAddress(link, address, StackChange.Removed);
    }

    /// <summary>A link has got its carrier: IPv6 begins on it.</summary>
    public static void OnCarrier(NetworkInterface link)
    {
        if (!link.HasStartedIpv6)
            StartIpv6(link);
    }

    /// <summary>The interface's own link-local address, and detection for addresses that were added while it was down. As in Linux not before there is a carrier.</summary>
    private static void StartIpv6(NetworkInterface link)
    {
        if (!link.IsUp || !link.HasIpv6)
            return;
        if (link.IsLoopback)
        {
            Add(link, new InterfaceAddress { Address = InetAddress.LoopbackV6, Prefix = 128, Protocol = 1 });
            return;
        }

        if (!link.HasCarrier)
            return;
        List<RouteEntry> before = ConnectedRoutes.Of(link);
        link.HasStartedIpv6 = true;
        link.Stack.Routes.Apply(before, ConnectedRoutes.Of(link));
        foreach (InterfaceAddress address in link.Addresses)
        {
            if (address.IsTentative)
                address.StartDetection(link);
        }

        if (!link.AddressList.Exists(a => a.Address is { IsV6: true, IsLinkLocal: true }))
            Add(link, new InterfaceAddress { Address = link.Mac.LinkLocal, Prefix = 64, Protocol = 3 });
        link.Stack.Ip.Ndp.StartRouterDiscovery(link);
    }
}
