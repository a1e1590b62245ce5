namespace Netstack.Stack;

/// <summary>From a destination to a way: the table, then the source address as Linux chooses it for IPv4 and RFC 6724 for IPv6.</summary>
internal sealed class RouteLookup
{
    private const int MaxCached = 1024;

    private readonly NetworkStack _stack;
    private readonly Dictionary<(InetAddress Destination, InetAddress Source, int Interface), Route> _cache = [];
    private int _generation;

    public RouteLookup(NetworkStack stack) => _stack = stack;

    public Result<Route> Find(InetAddress destination, InetAddress source, int boundInterface, bool anySource)
    {
        if (anySource)
            return Search(destination, source, boundInterface, true);
        int generation = _stack.Routes.Generation;
        if (_generation != generation || _cache.Count >= MaxCached)
        {
            _cache.Clear();
            _generation = generation;
        }

        var key = (destination, source, boundInterface);
        if (_cache.TryGetValue(key, out Route cached))
            return cached;
        Result<Route> found = Search(destination, source, boundInterface, false);
        if (found.IsOk)
            _cache.Add(key, found.Value);
        return found;
    }

    /// <summary>The address of an interface to speak to a neighbour from (inet_select_addr): in its subnet, else the first, else one of another interface.</summary>
    public InetAddress SelectV4(NetworkInterface link, InetAddress neighbour, byte scope)
    {
        InetAddress first = InetAddress.AnyV4;
        foreach (InterfaceAddress address in link.Addresses)
        {
            if (!address.Address.IsV4 || address.IsSecondary || address.Scope > scope)
                continue;
            if (address.Covers(neighbour))
                return address.Address;
            if (first.IsAny)
                first = address.Address;
        }

        if (!first.IsAny)
            return first;
        foreach (NetworkInterface other in _stack.Interfaces)
        {
            foreach (InterfaceAddress address in other.Addresses)
            {
                if (address.Address.IsV4 && !address.IsSecondary && address.Scope != RouteScope.Link && address.Scope <= scope)
                    return address.Address;
            }
        }

        return InetAddress.AnyV4;
    }

    /// <summary>RFC 6724 section 5; unspecified when there is no address to use.</summary>
    public InetAddress SelectV6(NetworkInterface link, InetAddress destination)
    {
        // Destinations of link scope need an address of the link (RFC 4007); for others all interfaces' addresses are candidates (weak host model).
        bool ownOnly = destination.IsLinkLocal || destination.IsMulticast;
        InterfaceAddress? best = null;
        bool bestIsOwn = false;
        foreach (NetworkInterface candidateLink in _stack.Interfaces)
        {
            bool own = ReferenceEquals(candidateLink, link);
            if ((ownOnly && !own) || !candidateLink.IsUp)
                continue;
            foreach (InterfaceAddress candidate in candidateLink.Addresses)
            {
                if (candidate.Address.IsV4 || !candidate.IsUsable)
                    continue;
                if (best is null || IsBetter(candidate, own, best, bestIsOwn, destination))
                {
                    best = candidate;
                    bestIsOwn = own;
                }
            }
        }

        return best?.Address ?? InetAddress.AnyV6;
    }

    private static bool IsBetter(InterfaceAddress a, bool aIsOwn, InterfaceAddress b, bool bIsOwn, InetAddress destination)
    {
        // Rule 1: the destination itself.
        if (a.Address == destination || b.Address == destination)
            return a.Address == destination;

        // Rule 2: the appropriate scope.
        int scopeA = Scope(a.Address), scopeB = Scope(b.Address), wanted = Scope(destination);
        if (scopeA != scopeB)
            return scopeA < scopeB ? scopeA >= wanted : scopeB < wanted;

        // Rule 3: not deprecated. Rule 5: of the outgoing interface. Rule 6: of the same label.
        if (a.IsDeprecated != b.IsDeprecated)
            return b.IsDeprecated;
        if (aIsOwn != bIsOwn)
            return aIsOwn;
        int label = Label(destination);
        bool labelA = Label(a.Address) == label, labelB = Label(b.Address) == label;
        if (labelA != labelB)
            return labelA;

        // Rule 8: the longest matching prefix, at most that of the source's subnet.
        return Math.Min(a.Address.CommonPrefix(destination), a.Prefix) > Math.Min(b.Address.CommonPrefix(destination), b.Prefix);
    }

    // RFC 6724 section 3.1: scopes as multicast addresses have them.
    private static int Scope(InetAddress address)
    {
        const int linkLocal = 2, siteLocal = 5, global = 14;
        if (address.IsMulticast)
            return (int)(address.High >> 48 & 0xf);
        if (address.IsLinkLocal || address.IsLoopback)
            return linkLocal;
        return address.High >> 54 == 0x3fb ? siteLocal : global;
    }

    // RFC 6724 section 2.1: the default policy table.
    private static int Label(InetAddress address)
    {
        if (address == InetAddress.LoopbackV6)
            return 0;
        if (address.IsV4)
            return 4;
        return (address.High >> 48) switch
        {
            0x2002 => 2,
            0x2001 when (address.High >> 32 & 0xffff) == 0 => 5,
            0x3ffe => 12,
            0 when address.High == 0 && address.Low >> 32 == 0 => 3,
            ulong top when top >> 9 == 0x7e => 13,
            ulong top when top >> 6 == 0x3fb => 11,
            _ => 1,
        };
    }

    private Result<Route> Search(InetAddress destination, InetAddress source, int boundInterface, bool anySource)
    {
        if (!source.IsAny)
        {
            if (source.IsMulticast || source.IsBroadcast || source.IsV4 != destination.IsV4)
                return Errno.EINVAL;
            if (!anySource && !_stack.Ip.IsLocal(source))
                return destination.IsV4 ? Errno.EINVAL : Errno.EADDRNOTAVAIL;
        }

        NetworkInterface? link = null;
        if (boundInterface != 0)
        {
            link = _stack.FindInterface(boundInterface);
            if (link is null)
                return Errno.ENODEV;
            if (!link.IsUp)
                return Errno.ENETUNREACH;
        }

        return destination.IsV4 ? SearchV4(destination, source, link) : SearchV6(destination, source, link);
    }

    private Result<Route> SearchV4(InetAddress destination, InetAddress source, NetworkInterface? link)
    {
        bool isGroup = destination.IsMulticast || destination.IsBroadcast;
        if (isGroup)
        {
            // Without a word on the interface, that of the source address is meant.
            if (link is null && !source.IsAny)
                link = LinkOf(source);
            if (link is not null)
                return ToGroup(link, destination, source);
        }

        RouteEntry? entry = _stack.Routes.Lookup(destination, link?.Index ?? 0, source);
        if (entry is null)
        {
            // A socket bound to an interface takes what no route is known for to be a neighbour there, as Linux does.
            if (link is null)
                return Errno.ENETUNREACH;
            return Make(link, destination, source.IsAny ? SelectV4(link, destination, RouteScope.Link) : source, link.Mtu, RouteType.Unicast, destination);
        }

        switch (entry.Type)
        {
            case RouteType.Blackhole:
                return Errno.EINVAL;
            case RouteType.Unreachable:
                return Errno.EHOSTUNREACH;
            case RouteType.Prohibit:
                return Errno.EACCES;
            case RouteType.Throw:
                return Errno.ENETUNREACH;
            case RouteType.Local:
                InetAddress own = entry.PreferredSource.IsAny ? destination : entry.PreferredSource;
                return Make(_stack.Loopback, destination, source.IsAny ? own : source, _stack.Loopback.Mtu, RouteType.Local, destination);
        }

        RouteNextHop next = entry.HopFor(destination, source, link?.Index ?? 0);
        NetworkInterface? way = _stack.FindInterface(next.InterfaceIndex);
        if (way is not { IsUp: true })
            return Errno.ENETUNREACH;
        if (isGroup)
            return ToGroup(way, destination, source);
        bool viaGateway = !next.Gateway.IsAny;
        InetAddress hop = viaGateway ? next.Gateway : destination;
        InetAddress chosen = !source.IsAny ? source : !entry.PreferredSource.IsAny ? entry.PreferredSource
            : SelectV4(way, hop, viaGateway ? RouteScope.Universe : RouteScope.Link);
        return Make(way, hop, chosen, entry.Mtu, entry.Type, destination);
    }

    private Result<Route> SearchV6(InetAddress destination, InetAddress source, NetworkInterface? link)
    {
        if (destination.IsMulticast && link is null && !source.IsAny)
            link = LinkOf(source);
        RouteEntry? entry = _stack.Routes.Lookup(destination, link?.Index ?? 0, source);
        if (entry is null)
            return Errno.ENETUNREACH;
        switch (entry.Type)
        {
            case RouteType.Blackhole:
                return Errno.EINVAL;
            case RouteType.Unreachable:
                return Errno.EHOSTUNREACH;
            case RouteType.Prohibit:
                return Errno.EACCES;
            case RouteType.Throw:
                return Errno.ENETUNREACH;
            case RouteType.Local:
                return Make(_stack.Loopback, destination, source.IsAny ? destination : source, _stack.Loopback.Mtu, RouteType.Local, destination);
        }

        RouteNextHop next = entry.HopFor(destination, source, link?.Index ?? 0);
        NetworkInterface? way = _stack.FindInterface(next.InterfaceIndex);
        if (way is not { IsUp: true })
            return Errno.ENETUNREACH;
        InetAddress chosen = !source.IsAny ? source : !entry.PreferredSource.IsAny ? entry.PreferredSource : SelectV6(way, destination);
        if (chosen.IsAny)
            return Errno.EADDRNOTAVAIL;
        byte type = destination.IsMulticast ? RouteType.Multicast : RouteType.Unicast;
        return Make(way, next.Gateway.IsAny ? destination : next.Gateway, chosen, entry.Mtu, type, destination);
    }

    private Route ToGroup(NetworkInterface link, InetAddress destination, InetAddress source)
    {
        byte scope = destination.IsLinkLocalMulticast || destination.IsBroadcast ? RouteScope.Link : RouteScope.Universe;
        InetAddress chosen = source.IsAny ? SelectV4(link, InetAddress.AnyV4, scope) : source;
        return Make(link, destination, chosen, 0, destination.IsMulticast ? RouteType.Multicast : RouteType.Broadcast, destination);
    }

    private Route Make(NetworkInterface link, InetAddress hop, InetAddress source, int mtu, byte type, InetAddress destination)
    {
        if (mtu == 0 || mtu > link.Mtu)
            mtu = link.Mtu;
        return new Route(link, hop, source, _stack.Ip.PathMtus.Limit(destination, mtu), type, _stack.Routes.Generation);
    }

    private NetworkInterface? LinkOf(InetAddress source)
    {
        foreach (NetworkInterface link in _stack.Interfaces)
        {
            if (link.IsUp && link.FindAddress(source) is not null)
                return link;
        }

        return null;
    }
}
