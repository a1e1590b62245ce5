namespace Netstack.Stack;

/// <summary>IPv4 (RFC 791, RFC 1122 section 3.2): receiving, forwarding, sending. Has no state of its own.</summary>
internal sealed class Ipv4
{
    private const int MaxLength = 65535;
    private const byte ControlTraffic = 0xc0;

    private static readonly byte[] RouterAlert = [Ipv4Options.RouterAlert, 4, 0, 0];

    private readonly NetworkStack _stack;

    public Ipv4(NetworkStack stack) => _stack = stack;

    private StackCounters Counters => _stack.Counters;

    // ---- receiving -----------------------------------------------------------------------------------------------

    /// <param name="packet">From the IP header on.</param>
    /// <param name="looped">This host sent it; Type says to whom.</param>
    public void Receive(NetworkInterface link, Packet packet, bool looped)
    {
        Counters.IpReceived++;
        if (!Ipv4Header.TryParse(packet.Head, packet.Length, out Ipv4Header header) || (!looped && !Ipv4Header.IsChecksumRight(packet.Head, header.HeaderLength)))
        {
            Counters.IpHeaderErrors++;
            return;
        }

        packet.NetworkOffset = packet.Start;
        packet.Trim(header.TotalLength);
        if (looped)
        {
            // What is sent by the loopback interface comes in by it: only to groups that it is in.
            if (link.IsLoopback && header.Destination.IsMulticast && !link.Groups.Contains(header.Destination))
                return;
            Take(link, packet, header, packet.Type);
            return;
        }

        if (IsMartian(header))
        {
            Counters.IpAddressErrors++;
            return;
        }

        switch (Classify(header.Destination))
        {
            case PacketType.Host:
                Take(link, packet, header, PacketType.Host);
                break;
            case PacketType.Broadcast:
                Counters.IpBroadcastIn++;
                Take(link, packet, header, PacketType.Broadcast);
                break;
            case PacketType.Multicast:
                Counters.IpMulticastIn++;
                if (link.Groups.Contains(header.Destination))
                    Take(link, packet, header, PacketType.Multicast);
                break;
            default:
                Forward(link, packet, header);
                break;
        }
    }

    /// <summary>Of a paused sandbox: segments of its connections are answered, nothing changes.</summary>
    public void ReceiveHeld(NetworkInterface link, Packet packet)
    {
        if (!Ipv4Header.TryParse(packet.Head, packet.Length, out Ipv4Header header) || !Ipv4Header.IsChecksumRight(packet.Head, header.HeaderLength))
            return;
        if (header.Protocol != IpProtocol.Tcp || header.IsFragment || packet.Type != PacketType.Host || IsMartian(header)
            || Classify(header.Destination) != PacketType.Host)
            return;
        packet.NetworkOffset = packet.Start;
        packet.Trim(header.TotalLength);
        _stack.Tcp.ReceiveHeld(packet, ToTransport(link, packet, header, PacketType.Host));
    }

    private static IpInfo ToTransport(NetworkInterface link, Packet packet, in Ipv4Header header, PacketType type)
    {
        packet.Start += header.HeaderLength;
        packet.TransportOffset = packet.Start;
        packet.TransportProtocol = header.Protocol;
        return new IpInfo(header.Source, header.Destination, header.Protocol, header.TimeToLive, header.TypeOfService, link)
        {
            IsGroup = type != PacketType.Host || packet.Type is PacketType.Broadcast or PacketType.Multicast,
            IsBroadcast = type == PacketType.Broadcast,
        };
    }

    /// <summary>Sources and destinations that cannot be on a wire (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7).</summary>
    private bool IsMartian(in Ipv4Header header)
    {
        InetAddress source = header.Source, destination = header.Destination;
        if (source.IsMulticast || source.IsBroadcast || source.IsLoopback || destination.IsLoopback || destination.V4 >> 24 == 0)
            return true;
        if (source.V4 >> 24 == 0 && !(source.IsAny && (destination.IsBroadcast || destination.IsMulticast)))
            return true;

        // One's own address as source: a spoofed packet, or a second copy of this host.
        return !source.IsAny && _stack.Routes.LookupLocal(source) is { Type: RouteType.Local or RouteType.Broadcast };
    }

    private PacketType Classify(InetAddress destination)
    {
        if (destination.IsMulticast)
            return PacketType.Multicast;
        if (destination.IsBroadcast)
            return PacketType.Broadcast;
        return _stack.Routes.LookupLocal(destination) switch
        {
            { Type: RouteType.Local } => PacketType.Host,
            { Type: RouteType.Broadcast } => PacketType.Broadcast,
            _ => PacketType.OtherHost,
        };
    }

    private void Take(NetworkInterface link, Packet packet, in Ipv4Header header, PacketType type)
    {
        if (header.HeaderLength > Ipv4Header.Size)
        {
            switch (Ipv4Options.Check(packet.Head[Ipv4Header.Size..header.HeaderLength], out int wrong))
            {
                case Ipv4OptionsVerdict.Malformed:
                    Counters.IpHeaderErrors++;
                    _stack.Ip.IcmpV4.SendError(packet, IcmpType.ParameterProblem, 0, (uint)wrong << 24);
                    return;
                case Ipv4OptionsVerdict.SourceRouted:
                    Counters.IpDiscardedIn++;
                    return;
            }
        }

        if (header.IsFragment)
        {
            Packet? whole = _stack.Ip.Reassembler.AddV4(link, packet, header);
            if (whole is null || !Ipv4Header.TryParse(whole.Head, whole.Length, out Ipv4Header joined))
                return;
            Deliver(link, whole, joined, type);
            return;
        }

        Deliver(link, packet, header, type);
    }

    private void Deliver(NetworkInterface link, Packet packet, in Ipv4Header header, PacketType type)
    {
        IpInfo info = ToTransport(link, packet, header, type);
        if (_stack.Ip.Deliver(packet, info))
        {
            Counters.IpDelivered++;
            return;
        }

        Counters.IpUnknownProtocols++;
        _stack.Ip.IcmpV4.SendError(packet, IcmpType.Unreachable, IcmpType.ProtocolUnreachable, 0);
    }

    // ---- forwarding ----------------------------------------------------------------------------------------------

    private void Forward(NetworkInterface link, Packet packet, Ipv4Header header)
    {
        if (!_stack.Settings.Forwarding || packet.Type != PacketType.Host)
        {
            Counters.IpAddressErrors++;
            return;
        }

        if (header.HeaderLength > Ipv4Header.Size && Ipv4Options.Check(packet.Head[Ipv4Header.Size..header.HeaderLength], out _) != Ipv4OptionsVerdict.Fine)
        {
            Counters.IpDiscardedIn++;
            return;
        }

        if (header.TimeToLive <= 1)
        {
            Counters.IpHeaderErrors++;
            _stack.Ip.IcmpV4.SendError(packet, IcmpType.TimeExceeded, 0, 0);
            return;
        }

        Result<Route> found = _stack.Ip.FindRoute(header.Destination, InetAddress.AnyV4);
        if (!found.TryGet(out Route route, out Errno error))
        {
            Counters.IpNoRoutes++;
            byte code = error switch
            {
                Errno.EHOSTUNREACH => IcmpType.HostUnreachable,
                Errno.EACCES => IcmpType.Prohibited,
                _ => IcmpType.NetUnreachable,
            };
            if (error != Errno.EINVAL)
                _stack.Ip.IcmpV4.SendError(packet, IcmpType.Unreachable, code, 0);
            return;
        }

        if (route.Type != RouteType.Unicast)
        {
            Counters.IpAddressErrors++;
            return;
        }

        bool tooLong = packet.SegmentSize == 0 && packet.Length > route.Mtu;
        if (tooLong && header.DontFragment)
        {
            Counters.FragmentsFailed++;
            _stack.Ip.IcmpV4.SendError(packet, IcmpType.Unreachable, IcmpType.FragmentationNeeded, (uint)route.Mtu);
            return;
        }

        Span<byte> head = packet.Head;
        head[8]--;
        Ipv4Header.WriteChecksum(head[..header.HeaderLength]);
        packet.TransportOffset = packet.Start + header.HeaderLength;
        packet.TransportProtocol = header.Protocol;
        Counters.IpForwarded++;
        if (tooLong)
            SendFragments(packet, route);
        else
            LinkOutput.Send(route.Interface, packet, route.NextHop, route.Type);
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    /// <param name="packet">From the transport header on.</param>
    public Errno Send(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options)
    {
        int headerLength = Ipv4Header.Size + (options.Options?.Length ?? 0);
        int total = packet.Length + headerLength;
        if (total > MaxLength)
            return Errno.EMSGSIZE;
        int mtu = options.IgnorePathMtu ? route.Interface.Mtu : route.Mtu;
        bool tooLong = packet.SegmentSize == 0 && total > mtu;
        if (tooLong && options.DontFragment)
        {
            Counters.FragmentsFailed++;
            return Errno.EMSGSIZE;
        }

        // A packet that is never cut needs no identification (RFC 6864 section 4.1).
        bool isAtomic = options.DontFragment || (route.IsLocal && !tooLong);
        var header = new Ipv4Header
        {
            TypeOfService = options.TypeOfService,
            TotalLength = total,
            Identification = isAtomic ? (ushort)0 : (ushort)_stack.Ip.Identifications.Next(source, destination, options.Protocol),
            DontFragment = options.DontFragment,
            TimeToLive = (byte)options.TimeToLive,
            Protocol = options.Protocol,
            Source = source,
            Destination = destination,
        };
        header.WriteTo(packet.Prepend(headerLength), options.Options);
        return Emit(packet, route, destination, options.SkipMulticastLoop, tooLong);
    }

    /// <summary>Sends a packet that brings its own header (IP_HDRINCL); it is checked, completed and fits the MTU.</summary>
    public Errno SendWhole(Packet packet, in Route route, InetAddress destination, bool skipMulticastLoop) =>
        Emit(packet, route, destination, skipMulticastLoop, tooLong: false);

    public void SendGroupMessage(NetworkInterface link, Packet packet, InetAddress destination)
    {
        InetAddress source = _stack.Ip.SelectSourceV4(link, InetAddress.AnyV4, RouteScope.Link);
        var route = new Route(link, destination, source, link.Mtu, RouteType.Multicast, 0);
        packet.TransportOffset = packet.Start;
        packet.TransportProtocol = IpProtocol.Igmp;
        Send(packet, route, source, destination,
            new IpSendOptions(IpProtocol.Igmp, 1, ControlTraffic) { DontFragment = true, Options = RouterAlert, SkipMulticastLoop = true });
    }

    private Errno Emit(Packet packet, in Route route, InetAddress destination, bool skipMulticastLoop, bool tooLong)
    {
        NetworkInterface link = route.Interface;
        packet.NetworkOffset = packet.Start;
        packet.Protocol = EtherType.Ipv4;
        packet.Interface = link;
        if (!_stack.IsHeld)
            Counters.IpSent++;
        if (route.Type is RouteType.Multicast or RouteType.Broadcast && !link.IsLoopback)
        {
            bool multicast = route.Type == RouteType.Multicast;
            if (multicast)
                Counters.IpMulticastOut++;
            else
                Counters.IpBroadcastOut++;
            if (!multicast || (!skipMulticastLoop && link.Groups.Contains(destination)))
            {
                Packet copy = packet.Clone();
                copy.Type = multicast ? PacketType.Multicast : PacketType.Broadcast;
                _stack.Loop(copy);
            }

            // TTL 0 stays on this host (RFC 1112 section 6.1).
            if (packet.Buffer[packet.Start + 8] == 0)
                return Errno.None;
        }

        return tooLong ? SendFragments(packet, route) : LinkOutput.Send(link, packet, route.NextHop, route.Type);
    }

    private Errno SendFragments(Packet packet, in Route route)
    {
        if (packet.Checksum == ChecksumState.Partial)
            Segmentation.CompleteChecksum(packet);
        List<Packet> fragments = Fragmentation.SplitV4(packet, route.Mtu);
        Counters.FragmentsOk++;
        Counters.FragmentsCreated += fragments.Count;
        foreach (Packet fragment in fragments)
        {
            Errno error = LinkOutput.Send(route.Interface, fragment, route.NextHop, route.Type);
            if (error != Errno.None)
                return error;
        }

        return Errno.None;
    }
}
