namespace Netstack.Stack;

/// <summary>IPv4 and IPv6 between the interfaces and the transports: receiving, reassembly, ICMP, neighbours; sending, fragmentation.</summary>
[Savable("ip-layer")]
public sealed partial class IpLayer : IAfterLoad
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private NeighbourTable _neighbours;
    [Saved(3)] private ArpProtocol _arp;
    [Saved(4)] private NeighbourDiscovery _ndp;
    [Saved(5)] private PathMtuCache _pathMtus;
    [Saved(6)] private Reassembler _reassembler;
    [Saved(7)] private IpIdentifications _identifications;
    [Saved(8)] private IcmpLimiter _limiter;
    [NotSaved("holds a cache only")] private RouteLookup _lookup = null!;
    [NotSaved("has no state")] private Ipv4 _v4 = null!;
    [NotSaved("has no state")] private Ipv6 _v6 = null!;
    [NotSaved("has no state")] private IcmpV4 _icmpV4 = null!;
    [NotSaved("has no state")] private IcmpV6 _icmpV6 = null!;

    internal IpLayer(NetworkStack stack)
    {
        _stack = stack;
        _neighbours = new NeighbourTable(stack);
        _arp = new ArpProtocol(stack);
        _ndp = new NeighbourDiscovery(stack);
        _pathMtus = new PathMtuCache(stack);
        _reassembler = new Reassembler(stack);
        _identifications = new IpIdentifications(stack);
        _limiter = new IcmpLimiter(stack);
        MakeParts();
    }

    public NeighbourTable Neighbours => _neighbours;

    public PathMtuCache PathMtus => _pathMtus;

    /// <summary>Fragments that wait for the others of their packets.</summary>
    public Reassembler Reassembler => _reassembler;

    internal ArpProtocol Arp => _arp;

    internal NeighbourDiscovery Ndp => _ndp;

    internal IpIdentifications Identifications => _identifications;

    internal IcmpLimiter Limiter => _limiter;

    internal Ipv4 V4 => _v4;

    internal Ipv6 V6 => _v6;

    internal IcmpV4 IcmpV4 => _icmpV4;

    internal IcmpV6 IcmpV6 => _icmpV6;

    /// <summary>The way to <paramref name="destination"/>: ENETUNREACH, EHOSTUNREACH, EACCES (prohibit), EINVAL (blackhole, a source that is not ours) where there is
    /// none; IPv6 also EADDRNOTAVAIL when no source address fits. An unspecified destination must have gone through <see cref="EffectiveDestination"/>.</summary>
    /// <param name="source">A bound source address, or an unspecified one of either family.</param>
    /// <param name="boundInterface">SO_BINDTODEVICE or a scope id; 0 for any.</param>
    /// <param name="anySource">The source need not be one of this host (IP_TRANSPARENT, IP_HDRINCL).</param>
    public Result<Route> FindRoute(InetAddress destination, InetAddress source, int boundInterface = 0, bool anySource = false)
    {
        if (source.IsAny)
            source = destination.IsV4 ? InetAddress.AnyV4 : InetAddress.AnyV6;
        return _lookup.Find(destination, source, boundInterface, anySource);
    }

    /// <summary>Where packets to an address go: an unspecified destination means this host, by its bound source address or the loopback one.</summary>
    public static InetAddress EffectiveDestination(InetAddress destination, InetAddress source)
    {
        if (!destination.IsAny)
            return destination;
        if (!source.IsAny && source.IsV4 == destination.IsV4)
            return source;
        return destination.IsV4 ? InetAddress.LoopbackV4 : InetAddress.LoopbackV6;
    }

    /// <summary>Sends a packet whose head begins at the transport header, checksum done or <see cref="ChecksumState.Partial"/>. Adds the IP header; cuts it into
    /// fragments when it is longer than the route's MTU (unless SegmentSize is set or DontFragment). EMSGSIZE, ENETDOWN, ENOBUFS, EPERM.</summary>
    public Errno Send(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options)
    {
        if (!route.Interface.IsUp)
            return Errno.ENETDOWN;
        packet.TransportOffset = packet.Start;
        packet.TransportProtocol = options.Protocol;
        return destination.IsV4 ? _v4.Send(packet, route, source, destination, options) : _v6.Send(packet, route, source, destination, options);
    }

    /// <summary>The path MTU to a destination, at most the route's.</summary>
    public int PathMtu(in Route route, InetAddress destination) => _pathMtus.Limit(destination, route.Mtu);

    /// <summary>A transport believes an ICMP error: it is about a packet of its own. Routes are looked up again (their generation changes) and have the new MTU.</summary>
    public void UpdatePathMtu(InetAddress destination, int mtu) => _pathMtus.Update(destination, mtu);

    /// <summary>A transport confirms that packets by this route arrive (RFC 4861 section 7.3.1).</summary>
    public void ConfirmReachability(in Route route)
    {
        if (route.Type == RouteType.Unicast && !route.Interface.IsLoopback && !_stack.IsHeld)
            _neighbours.Find(route.Interface, route.NextHop)?.Confirm();
    }

    /// <summary>Whether an address belongs to this host (is assigned to an interface, or is within 127.0.0.0/8).</summary>
    public bool IsLocal(InetAddress address) => _stack.Routes.LookupLocal(address) is { Type: RouteType.Local };

    /// <summary>Whether it is a broadcast address of an interface, or 255.255.255.255.</summary>
    public bool IsBroadcast(InetAddress address) => address.IsBroadcast || (address.IsV4 && _stack.Routes.LookupLocal(address) is { Type: RouteType.Broadcast });

    /// <summary>The IPv4 address of an interface to speak to a neighbour from; unspecified when it has none.</summary>
    public InetAddress SelectSourceV4(NetworkInterface link, InetAddress neighbour, byte scope = RouteScope.Universe) => _lookup.SelectV4(link, neighbour, scope);

    /// <summary>The IPv6 source address for a destination (RFC 6724); unspecified when there is none.</summary>
    public InetAddress SelectSourceV6(NetworkInterface link, InetAddress destination) => _lookup.SelectV6(link, destination);

    /// <summary>Answers a packet with "port unreachable".</summary>
    internal void RejectPort(Packet packet, in IpInfo info)
    {
        if (info.Destination.IsV4)
            _icmpV4.SendError(packet, IcmpType.Unreachable, IcmpType.PortUnreachable, 0);
        else
            _icmpV6.SendError(packet, Icmpv6Type.Unreachable, Icmpv6Type.PortUnreachable, 0);
    }

    internal void ReceiveFrame(NetworkInterface from, Packet frame) => LinkInput.Receive(_stack, from, frame);

    /// <summary>A packet that this host sent to itself; its Interface and Type are set.</summary>
    internal void ReceiveLooped(Packet packet)
    {
        if (_stack.IsHeld)
            return;
        if (packet.LinkOffset >= 0)
        {
            // A frame that a packet socket put on the loopback interface.
            LinkInput.Receive(_stack, packet.Interface!, packet);
            return;
        }

        packet.ArrivalTime = _stack.Now;
        if (packet.Checksum == ChecksumState.Unknown)
            packet.Checksum = ChecksumState.Verified;
        if (packet.Protocol == EtherType.Ipv4)
            _v4.Receive(packet.Interface!, packet, looped: true);
        else
            _v6.Receive(packet.Interface!, packet, looped: true);
    }

    /// <summary>Gives a packet to the transports; TransportOffset and TransportProtocol are set, Start is at the transport header.</summary>
    /// <returns>False when nobody knows the protocol.</returns>
    internal bool Deliver(Packet packet, in IpInfo info)
    {
        bool taken = _stack.Raw.Receive(packet, info);
        switch (info.Protocol)
        {
            case IpProtocol.Tcp:
                _stack.Tcp.Receive(packet, info);
                return true;
            case IpProtocol.Udp:
                _stack.Udp.Receive(packet, info);
                return true;
            case IpProtocol.UdpLite:
                _stack.UdpLite.Receive(packet, info);
                return true;
            case IpProtocol.Icmp when info.Destination.IsV4:
                _icmpV4.Receive(packet, info);
                return true;
            case IpProtocol.Icmpv6 when info.Destination.IsV6:
                _icmpV6.Receive(packet, info);
                return true;
            case IpProtocol.Igmp when info.Destination.IsV4:
                packet.Flatten();
                info.Interface.Groups.ReceiveIgmp(packet.Head);
                return true;
            default:
                return taken;
        }
    }

    /// <summary>Tells the transports of an error about a packet of this host.</summary>
    internal void TellError(byte protocol, in TransportError error)
    {
        _stack.Raw.OnError(protocol, error);
        if (protocol == IpProtocol.Tcp)
            _stack.Tcp.OnError(error);
        else if (protocol == IpProtocol.Udp)
            _stack.Udp.OnError(error);
        else if (protocol == IpProtocol.UdpLite)
            _stack.UdpLite.OnError(error);
    }

    /// <summary>No neighbour answers for the next hop of a packet: its sender, here or elsewhere, is told "host unreachable".</summary>
    /// <param name="packet">From the IP header on.</param>
    internal void OnUnreachable(Packet packet)
    {
        packet.NetworkOffset = packet.Start;
        if (packet.Protocol == EtherType.Ipv4)
            _icmpV4.OnUnreachable(packet);
        else if (packet.Protocol == EtherType.Ipv6)
            _icmpV6.OnUnreachable(packet);
    }

    /// <summary>Sends an IGMP or MLD message: TTL 1 and a router alert (RFC 3376 section 4, RFC 3810 section 5).</summary>
    internal void SendGroupMessage(NetworkInterface link, Packet packet, InetAddress destination)
    {
        if (destination.IsV4)
            _v4.SendGroupMessage(link, packet, destination);
        else
            _v6.SendGroupMessage(link, packet, destination);
    }

    /// <summary>Sends a message of neighbour discovery: hop limit 255.</summary>
    /// <param name="mac">To whom on the link, where that is known from what is answered.</param>
    internal void SendNeighbourMessage(NetworkInterface link, Packet packet, InetAddress source, InetAddress destination, MacAddress? mac = null) =>
        _v6.SendNeighbourMessage(link, packet, source, destination, mac);

    internal void Announce(NetworkInterface link)
    {
        if (!link.IsUp || link.IsLoopback)
            return;
        foreach (InterfaceAddress address in link.Addresses)
        {
            if (address.Address.IsV4)
                _arp.Announce(link, address.Address);
            else if (address.IsUsable)
                _ndp.Announce(link, address.Address);
        }

        link.Groups.ReportAll();
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            MakeParts();
    }

    private void MakeParts()
    {
        _lookup = new RouteLookup(_stack);
        _v4 = new Ipv4(_stack);
        _v6 = new Ipv6(_stack);
        _icmpV4 = new IcmpV4(_stack);
        _icmpV6 = new IcmpV6(_stack);
    }
}
