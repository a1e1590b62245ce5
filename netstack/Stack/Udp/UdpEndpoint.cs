namespace Netstack.Stack;

/// <summary>One end of UDP. All calls are made between Enter and Leave of the stack.</summary>
[Savable("udp-endpoint")]
public sealed partial class UdpEndpoint : DatagramEndpoint
{
    private const int Headroom = EthernetHeader.Size + Ipv6Header.Size + UdpHeader.Size + 18;

    [Saved(1)] private bool _isV6;
    [Saved(2)] private InetAddress _local;
    [Saved(3)] private ushort _localPort;
    [Saved(4)] private InetAddress _remote;
    [Saved(5)] private ushort _remotePort;
    [Saved(6)] private bool _addressLocked;
    [Saved(7)] private bool _portLocked;
    [Saved(8)] private bool _isLite;
    [Saved(9)] private int _sendCoverage;
    [Saved(10)] private int? _leastCoverage;
    [NotSaved("looked up again")] private Route _route;

    internal UdpEndpoint(NetworkStack stack, bool isV6, EndpointOptions options, bool isLite)
        : base(stack, options)
    {
        _isLite = isLite;
        _isV6 = isV6;
        _local = _remote = Any;
    }

    public bool IsV6 => _isV6;

    /// <summary>It speaks UDP-Lite.</summary>
    public bool IsLite => _isLite;

    /// <summary>UDPLITE_SEND_CSCOV: how many bytes from the header on the checksum covers; 0 for all.</summary>
    public int SendCoverage
    {
        get => _sendCoverage;
        set => _sendCoverage = value;
    }

    /// <summary>UDPLITE_RECV_CSCOV: datagrams whose checksum covers less are not taken, with 0 those that it does not cover whole; null takes all.</summary>
    public int? LeastCoverage
    {
        get => _leastCoverage;
        set => _leastCoverage = value;
    }

    private UdpLayer Layer => _isLite ? Stack.UdpLite : Stack.Udp;

    private byte Number => _isLite ? IpProtocol.UdpLite : IpProtocol.Udp;

    public override InetAddress LocalAddress => _local;

    public override ushort LocalPort => _localPort;

    public override InetAddress RemoteAddress => _remote;

    public override ushort RemotePort => _remotePort;

    public override bool IsConnected => _remotePort != 0;

    private InetAddress Any => _isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;

    /// <summary>Port 0 chooses one; the address may be a group or broadcast address. EINVAL, EADDRINUSE, EADDRNOTAVAIL.</summary>
    /// <param name="scope">Interface of a link-local address; 0 for that of SO_BINDTODEVICE.</param>
    public Errno Bind(InetAddress address, ushort port, int scope = 0)
    {
        if (_localPort != 0)
            return Errno.EINVAL;
        Errno error = BindRules.Check(Stack, Options, _isV6, address, scope);
        if (error != Errno.None)
            return error;
        _local = address;
        if (port == 0)
        {
            _localPort = Layer.BindAny(this);
        }
        else if (Layer.TryBind(this, port))
        {
            _localPort = port;
            _portLocked = true;
        }

        if (_localPort == 0)
        {
            _local = Any;
            return Errno.EADDRINUSE;
        }

        _addressLocked = !address.IsAny;
        return Errno.None;
    }

    /// <summary>Sets the peer: EINVAL, EACCES (broadcast without SO_BROADCAST), EAFNOSUPPORT, ENETUNREACH, EADDRNOTAVAIL, EAGAIN (no port is free).</summary>
    /// <param name="scope">Interface of a link-local address.</param>
    public Errno Connect(InetAddress address, ushort port, int scope)
    {
        InetAddress source = _addressLocked ? _local : Any;
        address = IpLayer.EffectiveDestination(address, source);
        Errno error = CheckDestination(address, scope);
        if (error != Errno.None)
            return error;
        error = FindRoute(address, source, scope, default, out Route route);
        if (error != Errno.None)
            return error;
        if (route.Type == RouteType.Broadcast && !Options.Broadcast)
            return Errno.EACCES;
        if (address is { IsV6: true, IsLinkLocal: true } && scope != 0)
            Options.BoundInterface = scope;
        (InetAddress Local, InetAddress Remote, ushort Port) before = (_local, _remote, _remotePort);
        _remote = address;
        _remotePort = port;
        if (!_addressLocked)
            _local = route.Source;
        if (_localPort == 0 && !AutoBind())
        {
            (_local, _remote, _remotePort) = before;
            return Errno.EAGAIN;
        }

        _route = route;
        return Errno.None;
    }

    public Errno Disconnect()
    {
        _remote = Any;
        _remotePort = 0;
        _route = default;
        if (!_addressLocked)
            _local = Any;
        if (!_portLocked && _localPort != 0)
        {
            Layer.Unbind(this, _localPort);
            _localPort = 0;
        }

        return Errno.None;
    }

    public override void Close()
    {
        if (_localPort != 0)
            Layer.Unbind(this, _localPort);
        _localPort = 0;
        LeaveAllGroups();
        ClearQueues();
    }

    /// <summary>Sends one datagram, or (UDP_SEGMENT, <paramref name="segmentSize"/> more than 0) several. The bytes are taken over.</summary>
    /// <param name="destination">Where to; port 0 with an unspecified address for the connected peer.</param>
    /// <param name="control">IP_PKTINFO, IP_TTL, IP_TOS of this datagram; default for none.</param>
    /// <returns>EDESTADDRREQ, EMSGSIZE, EACCES (broadcast without SO_BROADCAST), ENETUNREACH, EPIPE, …</returns>
    public Errno Send(byte[] data, InetAddress destination, ushort port, int scope, in DatagramControl control, int segmentSize = 0)
    {
        const int maxPayload = 65535 - UdpHeader.Size;
        if (PendingError != Errno.None)
            return TakeError();
        if (IsSendShut)
            return Errno.EPIPE;
        if (data.Length > maxPayload)
            return Errno.EMSGSIZE;

        bool toPeer = port == 0 && destination.IsAny;
        if (toPeer && _remotePort == 0)
            return Errno.EDESTADDRREQ;
        if (toPeer)
            (destination, port) = (_remote, _remotePort);
        if (port == 0)
            return Errno.EINVAL;
        Errno error = FindWay(ref destination, toPeer, scope, control, out Route route, out InetAddress source);
        if (error != Errno.None)
            return error;
        if (route.Type == RouteType.Broadcast && !Options.Broadcast)
            return Errno.EACCES;
        if (_localPort == 0 && !AutoBind())
            return Errno.EAGAIN;
        return Transmit(data, route, source, destination, port, control, segmentSize);
    }

    /// <summary>Whether two may not be bound to the same port (udp_lib_lport_inuse).</summary>
    internal bool ConflictsWith(UdpEndpoint other)
    {
        if (ReferenceEquals(this, other))
            return false;
        EndpointOptions a = Options, b = other.Options;
        if (a.BoundInterface != 0 && b.BoundInterface != 0 && a.BoundInterface != b.BoundInterface)
            return false;
        if ((a.ReuseAddress && b.ReuseAddress) || (a.ReusePort && b.ReusePort && a.OwnerUid == b.OwnerUid))
            return false;
        return BindRules.Overlap(_local, _isV6 && a.V6Only, other._local, other._isV6 && b.V6Only);
    }

    /// <summary>How well a datagram from a peer fits: 0 not at all.</summary>
    internal int Score(InetAddress local, InetAddress remote, ushort remotePort, int link)
    {
        if (!TakesFamily(local))
            return 0;
        int score = _isV6 ? 1 : 2;
        if (!_local.IsAny)
        {
            if (_local != local)
                return 0;
            score += 4;
        }

        if (_remotePort != 0)
        {
            if (_remotePort != remotePort || _remote != remote)
                return 0;
            score += 8;
        }

        if (Options.BoundInterface != 0)
        {
            if (Options.BoundInterface != link && link != 0)
                return 0;
            score += 4;
        }

        return score;
    }

    /// <summary>Whether a datagram to a group or broadcast address is for this endpoint.</summary>
    internal bool WantsGroup(in IpInfo info, ushort remotePort)
    {
        if (Score(info.Destination, info.Source, remotePort, info.Interface.Index) == 0)
            return false;
        if (info.IsBroadcast)
            return true;
        return Options.WantsGroup(info.Destination, info.Interface.Index, info.Source);
    }

    /// <param name="packet">From the UDP header on, trimmed to its length.</param>
    internal void Deliver(Packet packet, in UdpHeader header, in IpInfo info)
    {
        bool isV4 = info.Destination.IsV4;
        if (_leastCoverage is { } least && header.Length < packet.Length && (least == 0 || header.Length < least))
        {
            Layer.Count(UdpCounter.Error, isV4);
            return;
        }

        if (!PassesFilter(packet, packet.Start, out _))
            return;
        int payload = packet.Length - UdpHeader.Size;
        if (packet.SegmentSize > 0 && packet.SegmentSize < payload && !Options.UdpReceiveSegments)
        {
            for (int offset = 0; offset < payload; offset += packet.SegmentSize)
            {
                byte[] part = new byte[Math.Min(packet.SegmentSize, payload - offset)];
                packet.CopyTo(UdpHeader.Size + offset, part);
                Layer.CountReceived(isV4, Enqueue(ToDatagram(part, header, info)));
            }

            return;
        }

        Datagram datagram = ToDatagram(Payload(packet, payload), header, info);
        datagram.SegmentSize = packet.SegmentSize < payload ? packet.SegmentSize : 0;
        Layer.CountReceived(isV4, Enqueue(datagram));
    }

    /// <summary>An ICMP error about a datagram of this endpoint (__udp4_lib_err).</summary>
    internal void OnError(in TransportError error, ushort remotePort)
    {
        bool isV4 = error.Remote.IsV4;
        bool isHard = error.IsHard;
        PathMtuMode mode = isV4 ? Options.PathMtu : Options.PathMtuV6;
        if (error.Mtu > 0)
        {
            if (mode is PathMtuMode.Dont or PathMtuMode.Interface or PathMtuMode.Omit)
                return;
            Stack.Ip.UpdatePathMtu(error.Remote, error.Mtu);
            isHard = true;
        }

        bool queued = isV4 ? Options.ReceiveErrors : Options.ReceiveErrorsV6;
        if (queued)
        {
            byte[] payload = error.Transport.Length > UdpHeader.Size ? error.Transport[UdpHeader.Size..].ToArray() : [];
            EnqueueError(ToDatagram(error, remotePort, payload));
        }
        else if (!isHard || _remotePort == 0)
        {
            return;
        }

        SetError(error.Error);
    }

    private static byte[] Payload(Packet packet, int length)
    {
        // What another socket of this host sent in one piece is not copied.
        if (packet.PieceCount == 1 && packet.End - packet.Start == UdpHeader.Size
            && System.Runtime.InteropServices.MemoryMarshal.TryGetArray(packet.Piece(0), out ArraySegment<byte> whole)
            && whole.Offset == 0 && whole.Count == whole.Array!.Length)
            return whole.Array;
        byte[] data = GC.AllocateUninitializedArray<byte>(length);
        packet.CopyTo(UdpHeader.Size, data);
        return data;
    }

    private bool TakesFamily(InetAddress local)
    {
        if (!_isV6)
            return local.IsV4;
        if (!local.IsV4)
            return !_local.IsV4;

        // A dual-stack socket bound to :: takes IPv4 too.
        return _local.IsV4 || (_local.IsAny && !Options.V6Only);
    }

    private Datagram ToDatagram(byte[] data, in UdpHeader header, in IpInfo info) => new()
    {
        Source = info.Source,
        SourcePort = header.SourcePort,
        Destination = info.Destination,
        DestinationPort = header.DestinationPort,
        InterfaceIndex = info.Interface.Index,
        TimeToLive = info.TimeToLive,
        TypeOfService = info.TypeOfService,
        Realtime = Stack.Realtime,
        Data = data,
    };

    private bool AutoBind()
    {
        _localPort = Layer.BindAny(this);
        return _localPort != 0;
    }

    private Errno CheckDestination(InetAddress address, int scope)
    {
        if (!_isV6 && address.IsV6)
            return Errno.EAFNOSUPPORT;
        if (_isV6 && address.IsV4 && (Options.V6Only || (!_local.IsAny && _local.IsV6)))
            return Errno.ENETUNREACH;
        if (_isV6 && address.IsV6 && !_local.IsAny && _local.IsV4)
            return Errno.EAFNOSUPPORT;
        return address is { IsV6: true, IsLinkLocal: true } && scope == 0 && Options.BoundInterface == 0 ? Errno.EINVAL : Errno.None;
    }

    private Errno FindWay(ref InetAddress destination, bool toPeer, int scope, in DatagramControl control, out Route route, out InetAddress source)
    {
        bool plain = control.InterfaceIndex == 0 && control.Source.IsAny;
        if (toPeer && plain && _route.Generation == Stack.Routes.Generation)
        {
            route = _route;
            source = _local;
            return Errno.None;
        }

        source = !control.Source.IsAny ? control.Source : _local.IsAny || _local.IsMulticast || Stack.Ip.IsBroadcast(_local) ? Any : _local;
        destination = IpLayer.EffectiveDestination(destination, source);
        Errno error = CheckDestination(destination, Math.Max(scope, control.InterfaceIndex));
        if (error == Errno.None)
            error = FindRoute(destination, source, scope, control, out route);
        else
            route = default;
        if (error != Errno.None)
            return error;
        if (source.IsAny)
            source = route.Source;
        if (toPeer && plain)
            _route = route;
        return Errno.None;
    }

    private Errno FindRoute(InetAddress destination, InetAddress source, int scope, in DatagramControl control, out Route route)
    {
        int bound = control.InterfaceIndex != 0 ? control.InterfaceIndex : Options.BoundInterface;
        if (bound == 0 && destination.IsV6 && (destination.IsLinkLocal || destination.IsLinkLocalMulticast))
            bound = scope;
        if (destination.IsMulticast)
        {
            if (bound == 0)
                bound = destination.IsV4 ? Options.MulticastInterface : Options.MulticastInterfaceV6;
            if (source.IsAny && destination.IsV4 && !Options.MulticastSource.IsAny)
                source = Options.MulticastSource;
        }

        // What the routing table does not ask of IPv6 (ip6_datagram_send_ctl does).
        if (control.Source.IsV6 && !control.Source.IsAny && !Options.FreeBind && !Options.Transparent && !Stack.Ip.IsLocal(control.Source))
        {
            route = default;
            return Errno.EINVAL;
        }

        if (!Stack.Ip.FindRoute(destination, source, bound, Options.Transparent).TryGet(out route, out Errno error))
            return error;

        // SO_DONTROUTE: only neighbours.
        return Options.DontRoute && route is { Type: RouteType.Unicast } && route.NextHop != destination ? Errno.ENETUNREACH : Errno.None;
    }

    private Errno Transmit(byte[] data, in Route route, InetAddress source, InetAddress destination, ushort port, in DatagramControl control, int segmentSize)
    {
        const int maxSegments = 128;
        bool isV4 = destination.IsV4;
        int headers = (isV4 ? Ipv4Header.Size + (Options.IpOptions?.Length ?? 0) : Ipv6Header.Size) + UdpHeader.Size;
        bool segments = segmentSize > 0 && segmentSize < data.Length;
        if (segments && (segmentSize + headers > route.Mtu || (data.Length + segmentSize - 1) / segmentSize > maxSegments))
            return Errno.EINVAL;
        if (segments && Options.NoChecksum && isV4)
            return Errno.EIO;

        Packet packet = Packet.Create(0, Headroom + (Options.IpOptions?.Length ?? 0));
        int length = UdpHeader.Size + data.Length;
        Span<byte> header = packet.Prepend(UdpHeader.Size);
        UdpHeader.Write(header, _localPort, port, length);
        packet.Append(data);
        packet.SegmentSize = segments ? segmentSize : 0;
        if (_isLite)
        {
            CoverPart(header, data, InternetChecksum.PseudoHeader(source, destination, Number, length));
        }
        else if (!(isV4 && Options.NoChecksum))
        {
            InternetChecksum.Write(header[UdpHeader.ChecksumOffset..], InternetChecksum.Fold(InternetChecksum.PseudoHeader(source, destination, IpProtocol.Udp, length)));
            packet.Checksum = ChecksumState.Partial;
        }

        PathMtuMode mode = isV4 ? Options.PathMtu : Options.PathMtuV6;
        bool fits = headers + data.Length <= route.Mtu;
        var options = new IpSendOptions(Number, TimeToLive(control, destination), Service(control, isV4))
        {
            DontFragment = mode is PathMtuMode.Do or PathMtuMode.Probe || (mode == PathMtuMode.Want && isV4 && (fits || segments)),
            IgnorePathMtu = mode is PathMtuMode.Probe or PathMtuMode.Interface or PathMtuMode.Omit,
            Options = isV4 ? Options.IpOptions : null,
            SkipMulticastLoop = isV4 ? !Options.MulticastLoop : !Options.MulticastLoopV6,
        };
        Errno error = Stack.Ip.Send(packet, route, source, destination, options);
        if (error == Errno.None)
            CountSent(isV4);
        else if (error == Errno.EMSGSIZE && (isV4 ? Options.ReceiveErrors : Options.ReceiveErrorsV6))
            EnqueueError(ToDatagram(new TransportError(error, true, TransportError.OriginLocal, 0, 0, route.Mtu, source, destination, isV4 ? InetAddress.AnyV4 : InetAddress.AnyV6, default), port, []));
        return error;
    }

    /// <summary>The checksum of UDP-Lite, over as much as was asked for, which the header says.</summary>
    private void CoverPart(Span<byte> header, ReadOnlySpan<byte> data, ulong pseudo)
    {
        int length = UdpHeader.Size + data.Length;
        bool whole = _sendCoverage == 0 || _sendCoverage >= length;
        int covered = whole ? length : _sendCoverage;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)covered);
        ulong sum = InternetChecksum.Combine(pseudo, InternetChecksum.Add(0, header));
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Combine(sum, InternetChecksum.Add(0, data[..(covered - UdpHeader.Size)])));
        InternetChecksum.Write(header[UdpHeader.ChecksumOffset..], checksum == 0 ? ushort.MaxValue : checksum);
    }

    private void CountSent(bool isV4) => Layer.Count(UdpCounter.Sent, isV4);

    private int TimeToLive(in DatagramControl control, InetAddress destination)
    {
        if (control.TimeToLive >= 0)
            return control.TimeToLive;
        if (destination.IsV4)
            return destination.IsMulticast ? Options.MulticastTimeToLive : Options.TimeToLive >= 0 ? Options.TimeToLive : Stack.Settings.DefaultTimeToLive;
        return destination.IsMulticast ? Options.MulticastHopLimit : Options.HopLimit >= 0 ? Options.HopLimit : Stack.Settings.DefaultHopLimit;
    }

    private byte Service(in DatagramControl control, bool isV4) =>
        control.TypeOfService >= 0 ? (byte)control.TypeOfService : isV4 ? Options.TypeOfService : Options.TrafficClass;
}
