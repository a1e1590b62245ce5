namespace Netstack.Stack;

/// <summary>IPv6 (RFC 8200): receiving, forwarding, sending. Has no state of its own.</summary>
internal sealed class Ipv6
{
    private const int MaxPayload = 65535, NextHeaderField = 6;
    private const byte NeighbourHopLimit = 255;

    /// <summary>A hop-by-hop header with a router alert for MLD (RFC 2711) and padding; the next header goes first.</summary>
    private static readonly byte[] RouterAlert = [IpProtocol.Icmpv6, 0, 5, 2, 0, 0, 1, 0];

    private readonly NetworkStack _stack;

    public Ipv6(NetworkStack stack) => _stack = stack;

    private StackCounters Counters => _stack.Counters;

    // ---- receiving -----------------------------------------------------------------------------------------------

    /// <param name="packet">From the IP header on.</param>
    /// <param name="looped">This host sent it; Type says to whom.</param>
    public void Receive(NetworkInterface link, Packet packet, bool looped)
    {
        Counters.Ip6Received++;
        if (!Ipv6Header.TryParse(packet.Head, packet.Length, out Ipv6Header header))
        {
            Counters.Ip6HeaderErrors++;
            return;
        }

        packet.NetworkOffset = packet.Start;
        packet.Trim(Ipv6Header.Size + header.PayloadLength);
        if (looped)
        {
            Walk(link, packet, header, packet.Type, header.NextHeader, Ipv6Header.Size, NextHeaderField);
            return;
        }

        if (IsMartian(header) || IsFromTwin(link, packet, header))
        {
            Counters.Ip6AddressErrors++;
            return;
        }

        if (header.Destination.IsMulticast)
        {
            Counters.Ip6MulticastIn++;
            if (link.Groups.Contains(header.Destination))
                Walk(link, packet, header, PacketType.Multicast, header.NextHeader, Ipv6Header.Size, NextHeaderField);
        }
        else if (IsOurs(link, header))
        {
            Walk(link, packet, header, PacketType.Host, header.NextHeader, Ipv6Header.Size, NextHeaderField);
        }
        else
        {
            Forward(packet, header);
        }
    }

    /// <summary>Of a paused sandbox: solicitations and segments of its connections are answered, nothing changes.</summary>
    public void ReceiveHeld(NetworkInterface link, Packet packet)
    {
        if (!Ipv6Header.TryParse(packet.Head, packet.Length, out Ipv6Header header) || IsMartian(header) || IsFromTwin(link, packet, header))
            return;
        bool isGroup = header.Destination.IsMulticast;
        if (isGroup ? !link.Groups.Contains(header.Destination) : !IsOurs(link, header))
            return;
        packet.NetworkOffset = packet.Start;
        packet.Trim(Ipv6Header.Size + header.PayloadLength);
        IpInfo info = ToTransport(link, packet, header, isGroup ? PacketType.Multicast : PacketType.Host, header.NextHeader, Ipv6Header.Size);
        if (header.NextHeader == IpProtocol.Tcp && !info.IsGroup)
            _stack.Tcp.ReceiveHeld(packet, info);
        else if (header.NextHeader == IpProtocol.Icmpv6)
            _stack.Ip.IcmpV6.ReceiveHeld(packet, info);
    }

    private static IpInfo ToTransport(NetworkInterface link, Packet packet, in Ipv6Header header, PacketType type, byte protocol, int offset)
    {
        packet.Start = packet.NetworkOffset + offset;
        packet.TransportOffset = packet.Start;
        packet.TransportProtocol = protocol;
        return new IpInfo(header.Source, header.Destination, protocol, header.HopLimit, header.TrafficClass, link)
        {
            IsGroup = type == PacketType.Multicast || packet.Type is PacketType.Broadcast or PacketType.Multicast,
        };
    }

    /// <summary>RFC 4291 sections 2.5.2, 2.5.3 and 2.7; IPv4-mapped addresses must not be on a wire (they would pass for IPv4 here).</summary>
    private static bool IsMartian(in Ipv6Header header)
    {
        InetAddress source = header.Source, destination = header.Destination;
        if (source.IsMulticast || source.IsLoopback || source.IsV4 || destination.IsAny || destination.IsLoopback || destination.IsV4)
            return true;
        if (destination.IsMulticast)
            return (destination.High >> 48 & 0xf) is 0 or 1;
        return source.IsAny && header.NextHeader != IpProtocol.Icmpv6;
    }

    /// <summary>One's own address as source: a spoofed packet, or, when it comes from the link itself, another station with the same address.</summary>
    private bool IsFromTwin(NetworkInterface link, Packet packet, in Ipv6Header header)
    {
        if (header.Source.IsAny || !(link.FindAddress(header.Source) is { IsUsable: true } || (!header.Source.IsLinkLocal && _stack.Ip.IsLocal(header.Source))))
            return false;
        if (header.HopLimit == NeighbourHopLimit && packet.EthernetSource is { } mac && mac != link.Mac)
            _stack.Host.OnAddressConflict(link, header.Source, mac);
        return true;
    }

    private bool IsOurs(NetworkInterface link, in Ipv6Header header)
    {
        // Link-local addresses are those of the link a packet came by; others may be of any (weak host model).
        if (header.Destination.IsLinkLocal)
            return link.FindAddress(header.Destination) is { } own && (own.IsUsable || header.NextHeader == IpProtocol.Icmpv6);
        return _stack.Ip.IsLocal(header.Destination);
    }

    /// <summary>From the header named <paramref name="next"/> on, past extension headers, to the transport.</summary>
    private void Walk(NetworkInterface link, Packet packet, in Ipv6Header header, PacketType type, byte next, int offset, int nextField)
    {
        Ipv6Walk walk = Ipv6Extensions.Walk(packet.Head, next, offset, nextField);
        switch (walk.End)
        {
            case Ipv6WalkEnd.Drop:
                Counters.Ip6HeaderErrors++;
                return;
            case Ipv6WalkEnd.ParameterProblem:
                Counters.Ip6HeaderErrors++;
                if (!(walk.NotIfGroup && type != PacketType.Host))
                    _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.ParameterProblem, walk.Code, (uint)walk.Pointer);
                return;
            case Ipv6WalkEnd.Fragment:
                TakeFragment(link, packet, header, type, walk);
                return;
        }

        if (walk.Protocol == Ipv6Extensions.NoNext)
            return;
        IpInfo info = ToTransport(link, packet, header, type, walk.Protocol, walk.Offset);
        if (_stack.Ip.Deliver(packet, info))
        {
            Counters.Ip6Delivered++;
            return;
        }

        Counters.Ip6UnknownProtocols++;
        _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.ParameterProblem, 1, (uint)walk.NextHeaderField);
    }

    private void TakeFragment(NetworkInterface link, Packet packet, in Ipv6Header header, PacketType type, in Ipv6Walk walk)
    {
        // Fragments this host sent to itself may have payload that is not in the head.
        packet.Flatten();
        byte next = packet.Head[walk.Offset];
        Packet? whole = _stack.Ip.Reassembler.AddV6(link, packet, header, walk, out int problem);
        if (problem != 0)
            _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.ParameterProblem, 0, (uint)problem);
        if (whole is null || !Ipv6Header.TryParse(whole.Head, whole.Length, out Ipv6Header joined))
            return;
        next = walk.NextHeaderField == NextHeaderField ? joined.NextHeader : whole.Head[walk.NextHeaderField];
        Walk(link, whole, joined, type, next, walk.Offset, walk.NextHeaderField);
    }

    // ---- forwarding ----------------------------------------------------------------------------------------------

    private void Forward(Packet packet, in Ipv6Header header)
    {
        if (!_stack.Settings.ForwardingV6 || packet.Type != PacketType.Host)
        {
            Counters.Ip6AddressErrors++;
            return;
        }

        if (header.Source.IsAny || header.Source.IsLinkLocal || header.Destination.IsLinkLocal)
        {
            Counters.Ip6AddressErrors++;
            return;
        }

        if (header.HopLimit <= 1)
        {
            Counters.Ip6HeaderErrors++;
            _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.TimeExceeded, 0, 0);
            return;
        }

        RouteEntry? entry = _stack.Routes.Lookup(header.Destination, 0, header.Source);
        RouteNextHop next = entry?.HopFor(header.Destination, header.Source) ?? default;
        if (entry is not { Type: RouteType.Unicast } || _stack.FindInterface(next.InterfaceIndex) is not { IsUp: true } way)
        {
            Counters.Ip6NoRoutes++;
            _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.Unreachable, Icmpv6Type.NoRoute, 0);
            return;
        }

        int mtu = _stack.Ip.PathMtus.Limit(header.Destination, entry.Mtu == 0 ? way.Mtu : Math.Min(entry.Mtu, way.Mtu));
        if (packet.SegmentSize == 0 && packet.Length > mtu)
        {
            Counters.FragmentsFailedV6++;
            _stack.Ip.IcmpV6.SendError(packet, Icmpv6Type.PacketTooBig, 0, (uint)mtu);
            return;
        }

        packet.Head[7]--;
        if (Ipv6Extensions.TryFindUpperLayer(packet.Head, header.NextHeader, out byte protocol, out int offset))
        {
            packet.TransportOffset = packet.Start + offset;
            packet.TransportProtocol = protocol;
        }

        Counters.Ip6Forwarded++;
        LinkOutput.Send(way, packet, next.Gateway.IsAny ? header.Destination : next.Gateway, RouteType.Unicast);
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    /// <param name="packet">From the transport header on.</param>
    public Errno Send(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options)
    {
        if (packet.Length > MaxPayload)
            return Errno.EMSGSIZE;
        int mtu = options.IgnorePathMtu ? route.Interface.Mtu : route.Mtu;
        bool tooLong = packet.SegmentSize == 0 && packet.Length + Ipv6Header.Size > mtu;
        if (tooLong && options.DontFragment)
        {
            Counters.FragmentsFailedV6++;
            return Errno.EMSGSIZE;
        }

        return SendHeaders(packet, route, source, destination, options, options.Protocol, tooLong);
    }

    /// <summary>Sends a packet that brings its own header (IPV6_HDRINCL) and fits the MTU.</summary>
    public Errno SendWhole(Packet packet, in Route route, InetAddress destination, bool skipMulticastLoop)
    {
        packet.NetworkOffset = packet.Start;
        packet.Protocol = EtherType.Ipv6;
        var options = new IpSendOptions(packet.TransportProtocol, packet.Head[7], 0) { SkipMulticastLoop = skipMulticastLoop };
        return Emit(packet, route, route.Source, destination, options, tooLong: false);
    }

    public void SendGroupMessage(NetworkInterface link, Packet packet, InetAddress destination)
    {
        InetAddress source = link.LinkLocal?.Address ?? InetAddress.AnyV6;
        FinishIcmp(packet, source, destination);
        RouterAlert.CopyTo(packet.Prepend(RouterAlert.Length));
        var route = new Route(link, destination, source, link.Mtu, RouteType.Multicast, 0);
        SendHeaders(packet, route, source, destination, new IpSendOptions(IpProtocol.Icmpv6, 1, 0) { SkipMulticastLoop = true }, Ipv6Extensions.HopByHop, false);
    }

    public void SendNeighbourMessage(NetworkInterface link, Packet packet, InetAddress source, InetAddress destination, MacAddress? mac)
    {
        FinishIcmp(packet, source, destination);
        if (mac is { } to)
        {
            WriteHeader(packet, source, destination, new IpSendOptions(IpProtocol.Icmpv6, NeighbourHopLimit, 0), IpProtocol.Icmpv6);
            packet.Interface = link;
            link.TransmitTo(packet, to);
            return;
        }

        byte type = destination.IsMulticast ? RouteType.Multicast : RouteType.Unicast;
        var route = new Route(link, destination, source, link.Mtu, type, 0);
        SendHeaders(packet, route, source, destination, new IpSendOptions(IpProtocol.Icmpv6, NeighbourHopLimit, 0) { SkipMulticastLoop = true }, IpProtocol.Icmpv6, false);
    }

    private static void WriteHeader(Packet packet, InetAddress source, InetAddress destination, in IpSendOptions options, byte next)
    {
        int payload = packet.Length;
        new Ipv6Header
        {
            TrafficClass = options.TypeOfService,
            FlowLabel = options.FlowLabel,
            PayloadLength = payload,
            NextHeader = next,
            HopLimit = (byte)options.TimeToLive,
            Source = source,
            Destination = destination,
        }.WriteTo(packet.Prepend(Ipv6Header.Size));
        packet.NetworkOffset = packet.Start;
        packet.Protocol = EtherType.Ipv6;
    }

    private void FinishIcmp(Packet packet, InetAddress source, InetAddress destination)
    {
        packet.TransportOffset = packet.Start;
        packet.TransportProtocol = IpProtocol.Icmpv6;
        ulong sum = InternetChecksum.PseudoHeader(source, destination, IpProtocol.Icmpv6, packet.Length);
        InternetChecksum.Write(packet.Head[IcmpHeader.ChecksumOffset..], InternetChecksum.Finish(InternetChecksum.Add(sum, packet.Head)));
        if (!_stack.IsHeld)
            _stack.Ip.IcmpV6.CountSent(packet.Head[0]);
    }

    private Errno SendHeaders(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options, byte next, bool tooLong)
    {
        WriteHeader(packet, source, destination, options, next);
        return Emit(packet, route, source, destination, options, tooLong);
    }

    private Errno Emit(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options, bool tooLong)
    {
        NetworkInterface link = route.Interface;
        packet.Interface = link;
        if (!_stack.IsHeld)
            Counters.Ip6Sent++;
        if (route.Type == RouteType.Multicast && !link.IsLoopback && !_stack.IsHeld)
        {
            Counters.Ip6MulticastOut++;
            if (!options.SkipMulticastLoop && link.Groups.Contains(destination))
            {
                Packet copy = packet.Clone();
                copy.Type = PacketType.Multicast;
                _stack.Loop(copy);
            }

            // Hop limit 0 and interface-local scope stay on this host (RFC 4291 section 2.7).
            if (options.TimeToLive == 0 || (destination.High >> 48 & 0xf) == 1)
                return Errno.None;
        }

        if (!tooLong)
            return LinkOutput.Send(link, packet, route.NextHop, route.Type);
        if (packet.Checksum == ChecksumState.Partial)
            Segmentation.CompleteChecksum(packet);
        uint identification = _stack.Ip.Identifications.Next(source, destination, options.Protocol);
        List<Packet> fragments = Fragmentation.SplitV6(packet, route.Mtu, Ipv6Header.Size, NextHeaderField, identification);
        Counters.FragmentsOkV6++;
        Counters.FragmentsCreatedV6 += fragments.Count;
        foreach (Packet fragment in fragments)
        {
            Errno error = LinkOutput.Send(link, fragment, route.NextHop, route.Type);
            if (error != Errno.None)
                return error;
        }

        return Errno.None;
    }
}
