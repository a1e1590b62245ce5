namespace Netstack.Stack;

/// <summary>Protocol numbers of IP (IANA).</summary>
public static class IpProtocol
{
    public const byte HopByHop = 0, Icmp = 1, Igmp = 2, Tcp = 6, Udp = 17, Routing = 43, Fragment = 44, Icmpv6 = 58, UdpLite = 136, NoNext = 59, DestinationOptions = 60, Raw = 255;
}

/// <summary>What the IP layer tells a transport of a received packet.</summary>
public readonly record struct IpInfo(InetAddress Source, InetAddress Destination, byte Protocol, byte TimeToLive, byte TypeOfService, NetworkInterface Interface)
{
    /// <summary>The destination is a broadcast or multicast address, of IP or of the link: no reset and no error is sent in answer.</summary>
    public bool IsGroup { get; init; }

    /// <summary>The destination is a broadcast address of IPv4.</summary>
    public bool IsBroadcast { get; init; }
}

/// <summary>An ICMP error, or one of our own making (no neighbour), about a packet that this host sent.</summary>
/// <param name="Error">What SO_ERROR would say (EHOSTUNREACH, ECONNREFUSED, EMSGSIZE, …).</param>
/// <param name="IsHard">A hard error by RFC 1122 (protocol or port unreachable, …): ends a connection attempt.</param>
/// <param name="Origin">SO_EE_ORIGIN_*: LOCAL 1, ICMP 2, ICMP6 3.</param>
/// <param name="Mtu">Of "fragmentation needed" and "packet too big", else 0. The IP layer believes it only once a transport has found the quoted packet to be one of
/// its own and has called <see cref="IpLayer.UpdatePathMtu"/>.</param>
/// <param name="Local">Source of the packet the error is about.</param>
/// <param name="Remote">Its destination.</param>
/// <param name="Offender">Who reports.</param>
/// <param name="Transport">The beginning of its transport header and payload, at least 8 bytes.</param>
public readonly record struct TransportError(Errno Error, bool IsHard, byte Origin, byte Type, byte Code, int Mtu, InetAddress Local, InetAddress Remote, InetAddress Offender, ReadOnlyMemory<byte> Transport)
{
    public const byte OriginLocal = 1, OriginIcmp = 2, OriginIcmp6 = 3;

    /// <summary>The interface the error came in by; null for one of our own making.</summary>
    public NetworkInterface? Interface { get; init; }
}

/// <summary>A way to a destination, as a lookup gives it. Held by endpoints as long as <see cref="Generation"/> is the table's.</summary>
/// <param name="Interface">Where packets leave; loopback for addresses of this host.</param>
/// <param name="NextHop">The neighbour on the link: the destination itself or a gateway.</param>
/// <param name="Source">The source address to use where none is bound.</param>
/// <param name="Mtu">Path MTU as far as it is known: bytes of an IP packet.</param>
/// <param name="Type">RTN_*: unicast 1, local 2, broadcast 3, multicast 5.</param>
public readonly record struct Route(NetworkInterface Interface, InetAddress NextHop, InetAddress Source, int Mtu, byte Type, int Generation)
{
    public bool IsLocal => Type == RouteType.Local;
}

/// <summary>How a packet is to be sent.</summary>
public readonly record struct IpSendOptions(byte Protocol, int TimeToLive, byte TypeOfService)
{
    /// <summary>Sets DF (IPv4) and is not fragmented here (EMSGSIZE).</summary>
    public bool DontFragment { get; init; }

    /// <summary>Sets DF (IPv4) where the packet fits, and fragments where it does not; also beyond the path MTU up to that of the interface (IP_PMTUDISC_PROBE).</summary>
    public bool IgnorePathMtu { get; init; }

    /// <summary>IPv6 flow label.</summary>
    public uint FlowLabel { get; init; }

    /// <summary>IP options (IPv4), padded to four bytes; null for none.</summary>
    public byte[]? Options { get; init; }

    /// <summary>Multicast: not delivered to this host (IP_MULTICAST_LOOP off).</summary>
    public bool SkipMulticastLoop { get; init; }
}
