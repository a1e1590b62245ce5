namespace Netstack.Stack;

/// <summary>RTN_* of rtnetlink(7).</summary>
public static class RouteType
{
    public const byte Unspecified = 0, Unicast = 1, Local = 2, Broadcast = 3, Anycast = 4, Multicast = 5, Blackhole = 6, Unreachable = 7, Prohibit = 8, Throw = 9;
}

/// <summary>RT_SCOPE_* of rtnetlink(7).</summary>
public static class RouteScope
{
    public const byte Universe = 0, Site = 200, Link = 253, Host = 254, Nowhere = 255;
}

/// <summary>RTPROT_* of rtnetlink(7): who made a route.</summary>
public static class RouteProtocol
{
    public const byte Unspecified = 0, Redirect = 1, Kernel = 2, Boot = 3, Static = 4, RouterAdvertisement = 9;
}

/// <summary>RT_TABLE_* of rtnetlink(7).</summary>
public static class RouteTable
{
    public const uint Unspecified = 0, Default = 253, Main = 254, Local = 255;
}

/// <summary>One of several ways of a route (struct rtnexthop).</summary>
[Savable("route-next-hop")]
public partial struct RouteNextHop : IEquatable<RouteNextHop>
{
    [Saved(1)] public int InterfaceIndex;

    /// <summary>Unspecified for none.</summary>
    [Saved(2)] public InetAddress Gateway;

    /// <summary>1 to 256.</summary>
    [Saved(3)] public int Weight;

    /// <summary>RTNH_F_*.</summary>
    [Saved(4)] public uint Flags;

    public readonly bool Equals(RouteNextHop other) => InterfaceIndex == other.InterfaceIndex && Gateway == other.Gateway && Weight == other.Weight;

    public override readonly bool Equals(object? obj) => obj is RouteNextHop other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(InterfaceIndex, Gateway, Weight);
}

/// <summary>A route (struct rtmsg, rtnetlink(7)). Once in a table it is not changed.</summary>
[Savable("route-entry")]
public sealed partial class RouteEntry
{
    /// <summary>RTNH_F_ONLINK: the gateway is taken to be a neighbour, whatever the table says.</summary>
    public const uint OnLinkFlag = 4;

    /// <summary>Metric of IPv6 routes for which none is given (IP6_RT_PRIO_USER), and of those that the kernel makes (IP6_RT_PRIO_ADDRCONF).</summary>
    public const uint UserMetricV6 = 1024, KernelMetricV6 = 256;

    /// <summary>The network, other bits cleared; the unspecified address of the family for a default route.</summary>
    [Saved(1)] public InetAddress Destination;

    /// <summary>0 to 32 or 128.</summary>
    [Saved(2)] public int Prefix;

    /// <summary>RTN_*.</summary>
    [Saved(3)] public byte Type = RouteType.Unicast;

    /// <summary>RT_SCOPE_*; IPv6 has universe alone.</summary>
    [Saved(4)] public byte Scope;

    /// <summary>RTPROT_*.</summary>
    [Saved(5)] public byte Protocol = RouteProtocol.Boot;

    /// <summary>RTA_PRIORITY: the smaller wins.</summary>
    [Saved(6)] public uint Metric;

    /// <summary>RTA_OIF; 0 for routes that refuse.</summary>
    [Saved(7)] public int InterfaceIndex;

    /// <summary>RTA_GATEWAY; unspecified for none.</summary>
    [Saved(8)] public InetAddress Gateway;

    /// <summary>RTA_PREFSRC; unspecified for none.</summary>
    [Saved(9)] public InetAddress PreferredSource;

    /// <summary>RT_TABLE_*.</summary>
    [Saved(10)] public uint Table = RouteTable.Main;

    /// <summary>RTNH_F_*.</summary>
    [Saved(11)] public uint Flags;

    /// <summary>RTAX_MTU; 0 for that of the interface.</summary>
    [Saved(12)] public int Mtu;

    /// <summary>Stack time at which it is taken out (routes of router advertisements); 0 for never.</summary>
    [Saved(13)] public long Expires;

    /// <summary>Type of service it is for; 0 for any.</summary>
    [Saved(14)] public byte TypeOfService;

    /// <summary>RTA_METRICS by their numbers (RTAX_*), as they were given; null for none. <see cref="Mtu"/> alone is acted on.</summary>
    [Saved(20)] public uint[]? Metrics;

    /// <summary>ICMPV6_ROUTER_PREF_*: medium 0, high 1, low 3 (RFC 4191).</summary>
    [Saved(21)] public byte Preference;

    /// <summary>RTA_MULTIPATH: several ways, of which each pair of ends takes one; null when there is one, <see cref="InterfaceIndex"/> and <see cref="Gateway"/>.</summary>
    [Saved(22)] public RouteNextHop[]? NextHops;

    public RouteEntry()
    {
    }

    public bool IsV6 => Destination.IsV6;

    public bool HasGateway => !Gateway.IsAny;

    /// <summary>Whether packets by it may leave by an interface.</summary>
    internal bool LeavesBy(int interfaceIndex) => NextHops is null ? InterfaceIndex == interfaceIndex : Array.Exists(NextHops, h => h.InterfaceIndex == interfaceIndex);

    /// <summary>The way of packets between two ends: always the same for the same two (fib_multipath_hash_policy 0).</summary>
    /// <param name="boundInterface">Only by this interface; 0 for any.</param>
    internal RouteNextHop HopFor(InetAddress destination, InetAddress source, int boundInterface = 0)
    {
        if (NextHops is null)
            return new RouteNextHop { InterfaceIndex = InterfaceIndex, Gateway = Gateway };
        int total = 0;
        foreach (RouteNextHop hop in NextHops)
            total += boundInterface == 0 || hop.InterfaceIndex == boundInterface ? hop.Weight : 0;
        ulong hash = ((destination.Low ^ (source.Low << 7) ^ destination.High ^ source.High) * 0x9e37_79b9_7f4a_7c15) >> 33;
        int left = (int)(hash % (ulong)Math.Max(1, total));
        foreach (RouteNextHop hop in NextHops)
        {
            if (boundInterface != 0 && hop.InterfaceIndex != boundInterface)
                continue;
            left -= hop.Weight;
            if (left < 0)
                return hop;
        }

        return NextHops[0];
    }

    /// <summary>The same route with other ways.</summary>
    internal RouteEntry WithNextHops(RouteNextHop[] hops)
    {
        var copy = (RouteEntry)MemberwiseClone();
        copy.NextHops = hops;
        copy.InterfaceIndex = hops[0].InterfaceIndex;
        return copy;
    }

    /// <summary>Whether packets by it are refused with an error.</summary>
    public bool Refuses => Type is RouteType.Blackhole or RouteType.Unreachable or RouteType.Prohibit;

    /// <summary>What tells routes that follow from addresses from each other.</summary>
    internal (InetAddress Destination, int Prefix, byte Type, uint Metric, int InterfaceIndex, InetAddress Source, uint Table, byte Protocol) Identity =>
        (Destination, Prefix, Type, Metric, InterfaceIndex, PreferredSource, Table, Protocol);
}
