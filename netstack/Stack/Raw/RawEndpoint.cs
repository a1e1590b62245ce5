using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>A raw or ping socket. All calls are made between Enter and Leave of the stack.</summary>
[Savable("raw-endpoint")]
public sealed partial class RawEndpoint : DatagramEndpoint
{
    [Saved(1)] private bool _isV6;
    [Saved(2)] private byte _protocol;
    [Saved(3)] private bool _isPing;
    [Saved(8)] private InetAddress _local;
    [Saved(9)] private InetAddress _remote;
    [Saved(10)] private ushort _identifier;
    [Saved(11)] private bool _isConnected;
    [Saved(12)] private bool _addressLocked;
    [Saved(13)] private ushort _remotePort;

    internal RawEndpoint(NetworkStack stack, bool isV6, byte protocol, bool isPing, EndpointOptions options)
        : base(stack, options)
    {
        _isV6 = isV6;
        _protocol = protocol;
        _isPing = isPing;
        _local = _remote = Any;
        if (isV6 && protocol == IpProtocol.Icmpv6)
            ChecksumOffset = IcmpHeader.ChecksumOffset;
    }

    public bool IsV6 => _isV6;

    public byte Protocol => _protocol;

    public bool IsPing => _isPing;

    /// <summary>IP_HDRINCL: what is sent begins with an IP header.</summary>
    [field: Saved(4)] public bool IncludesHeader { get; set; }

    /// <summary>ICMP_FILTER: bits of types that are not wanted; ICMP6_FILTER in eight words.</summary>
    [field: Saved(5)] public uint IcmpFilter { get; set; }

    [field: Saved(6)] public uint[] Icmpv6Filter { get; set; } = new uint[8];

    /// <summary>IPV6_CHECKSUM: where the checksum stands; -1 for none (always 2 for ICMPv6).</summary>
    [field: Saved(7)] public int ChecksumOffset { get; set; } = -1;

    public override InetAddress LocalAddress => _local;

    /// <summary>The echo identifier of a ping socket, else the protocol, as Linux shows it.</summary>
    public override ushort LocalPort => _isPing ? _identifier : _protocol;

    public override InetAddress RemoteAddress => _remote;

    public override ushort RemotePort => _remotePort;

    public override bool IsConnected => _isConnected;

    private InetAddress Any => _isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;

    private bool IsChecksummed => ChecksumOffset >= 0;

    /// <param name="port">Of a ping socket: the identifier, 0 to choose one.</param>
    /// <param name="scope">Interface of a link-local address.</param>
    public Errno Bind(InetAddress address, ushort port, int scope = 0)
    {
        if (_isPing && _identifier != 0)
            return Errno.EINVAL;
        if (_isV6 != address.IsV6)
            return _isV6 ? Errno.EADDRNOTAVAIL : Errno.EAFNOSUPPORT;
        Errno error = BindRules.Check(Stack, Options, _isV6, address, scope);
        if (error == Errno.None && _isPing)
            error = Stack.Raw.BindPing(this, port, out _identifier);
        if (error != Errno.None)
            return error;
        _local = address;
        _addressLocked = !address.IsAny;
        return Errno.None;
    }

    public Errno Connect(InetAddress address, ushort port, int scope)
    {
        if (_isV6 != address.IsV6)
            return _isV6 ? Errno.EINVAL : Errno.EAFNOSUPPORT;
        address = IpLayer.EffectiveDestination(address, _local);
        if (address is { IsV6: true, IsLinkLocal: true } && scope == 0 && Options.BoundInterface == 0)
            return Errno.EINVAL;
        if (!FindRoute(address, scope, default).TryGet(out Route route, out Errno error))
            return error;
        if (route.Type == RouteType.Broadcast && !Options.Broadcast)
            return Errno.EACCES;
        if (address is { IsV6: true, IsLinkLocal: true } && scope != 0)
            Options.BoundInterface = scope;
        if (_isPing && _identifier == 0 && (error = Stack.Raw.BindPing(this, 0, out _identifier)) != Errno.None)
            return error;
        if (!_addressLocked)
            _local = route.Source;
        _remote = address;
        _remotePort = port;
        _isConnected = true;
        return Errno.None;
    }

    public Errno Disconnect()
    {
        _remote = Any;
        _remotePort = 0;
        _isConnected = false;
        if (!_addressLocked)
            _local = Any;
        return Errno.None;
    }

    public override void Close()
    {
        Stack.Raw.Remove(this);
        LeaveAllGroups();
        ClearQueues();
    }

    /// <summary>As <see cref="UdpEndpoint.Send"/>; received IPv4 datagrams of raw sockets begin with their IP header.</summary>
    /// <param name="data">The payload, or with <see cref="IncludesHeader"/> a whole packet; taken over.</param>
    /// <param name="destination">Where to; <c>default</c> or another unspecified address for the connected peer.</param>
    /// <param name="port">Of no meaning.</param>
    /// <param name="scope">Interface of a link-local address.</param>
    /// <param name="control">As for UDP.</param>
    public Errno Send(byte[] data, InetAddress destination, ushort port, int scope, in DatagramControl control)
    {
        if (PendingError != Errno.None)
            return TakeError();
        if (IsSendShut)
            return Errno.EPIPE;
        if (data.Length > ushort.MaxValue)
            return Errno.EMSGSIZE;
        if (destination.IsAny && _isConnected)
            destination = _remote;
        else if (destination == default)
            return Errno.EDESTADDRREQ;
        if (_isV6 != destination.IsV6)
            return Errno.EAFNOSUPPORT;
        destination = IpLayer.EffectiveDestination(destination, _local);
        if (destination is { IsV6: true, IsLinkLocal: true } && Math.Max(scope, Math.Max(control.InterfaceIndex, Options.BoundInterface)) == 0)
            return Errno.EINVAL;
        if (!FindRoute(destination, scope, control).TryGet(out Route route, out Errno error))
            return error;
        if (route.Type == RouteType.Broadcast && !Options.Broadcast)
            return Errno.EACCES;
        InetAddress source = !control.Source.IsAny ? control.Source : _local.IsAny || _local.IsMulticast ? route.Source : _local;
        if (_isPing)
            return SendEcho(data, route, source, destination, control);
        return IncludesHeader ? SendWhole(data, route, source, destination) : SendPayload(data, route, source, destination, control);
    }

    /// <summary>A packet of any protocol; true when it is one for this socket.</summary>
    internal bool Receive(Packet packet, in IpInfo info)
    {
        if (info.Protocol != _protocol || _isV6 != info.Destination.IsV6 || IsReceiveShut || !Matches(info.Destination, info.Source, info.Interface.Index))
            return false;
        if (info.Destination.IsMulticast && !WantsGroup(info))
            return false;
        if (IsFiltered(packet) || !PassesFilter(packet, _isV6 ? packet.TransportOffset : packet.NetworkOffset, out int length))
            return true;
        int start = packet.Start;
        packet.Start = _isV6 ? packet.TransportOffset : packet.NetworkOffset;
        byte[] data = new byte[Math.Min(packet.Length, length)];
        packet.CopyTo(0, data);
        packet.Start = start;
        if (_isV6 && IsChecksummed && packet.Checksum == ChecksumState.Unknown && !IsChecksumRight(packet, info))
            return true;
        Enqueue(ToDatagram(data, info, 0));
        return true;
    }

    /// <summary>An echo reply; true when it is one for this ping socket.</summary>
    internal bool ReceiveReply(Packet packet, in IpInfo info, ushort identifier)
    {
        if (identifier != _identifier || _isV6 != info.Destination.IsV6 || !Matches(info.Destination, info.Source, info.Interface.Index))
            return false;
        if (PassesFilter(packet, packet.Start, out int length))
            Enqueue(ToDatagram(packet.ToArray()[..Math.Min(packet.Length, length)], info, _identifier));
        return true;
    }

    /// <summary>An ICMP error about a packet of this protocol (raw_err, ping_err).</summary>
    internal void OnError(byte protocol, in TransportError error)
    {
        if (protocol != _protocol || _isV6 != error.Remote.IsV6 || !Matches(error.Local, error.Remote, error.Interface?.Index ?? 0))
            return;
        if (_isPing && (error.Transport.Length < IcmpHeader.Size || BinaryPrimitives.ReadUInt16BigEndian(error.Transport.Span[4..]) != _identifier))
            return;
        bool queued = _isV6 ? Options.ReceiveErrorsV6 : Options.ReceiveErrors;
        if (error.Mtu > 0)
            Stack.Ip.UpdatePathMtu(error.Remote, error.Mtu);
        if (!queued && !_isConnected)
            return;
        if (queued)
            EnqueueError(ToDatagram(error, 0, error.Transport.ToArray()));
        if (queued || error.IsHard || error.Mtu > 0)
            SetError(error.Error);
    }

    private bool Matches(InetAddress local, InetAddress remote, int link)
    {
        if (Options.BoundInterface != 0 && link != 0 && Options.BoundInterface != link)
            return false;
        return (_local.IsAny || _local == local) && (!_isConnected || _remote == remote);
    }

    private bool WantsGroup(in IpInfo info) => Options.WantsGroup(info.Destination, info.Interface.Index, info.Source);

    private bool IsFiltered(Packet packet)
    {
        if (packet.TransportOffset >= packet.End)
            return false;
        byte type = packet.Buffer[packet.TransportOffset];
        if (_protocol == IpProtocol.Icmp && !_isV6)
            return type < 32 && (IcmpFilter >> type & 1) != 0;
        return _protocol == IpProtocol.Icmpv6 && _isV6 && (Icmpv6Filter[type / 32] >> (type % 32) & 1) != 0;
    }

    private bool IsChecksumRight(Packet packet, in IpInfo info)
    {
        ulong sum = InternetChecksum.PseudoHeader(info.Source, info.Destination, _protocol, packet.Length);
        return InternetChecksum.Finish(InternetChecksum.Combine(sum, packet.Sum(0))) == 0;
    }

    private Datagram ToDatagram(byte[] data, in IpInfo info, ushort port) => new()
    {
        Source = info.Source,
        Destination = info.Destination,
        DestinationPort = port,
        InterfaceIndex = info.Interface.Index,
        TimeToLive = info.TimeToLive,
        TypeOfService = info.TypeOfService,
        Realtime = Stack.Realtime,
        Data = data,
    };

    private Result<Route> FindRoute(InetAddress destination, int scope, in DatagramControl control)
    {
        int bound = control.InterfaceIndex != 0 ? control.InterfaceIndex : Options.BoundInterface;
        if (bound == 0 && destination.IsV6 && (destination.IsLinkLocal || destination.IsLinkLocalMulticast))
            bound = scope;
        InetAddress source = !control.Source.IsAny ? control.Source : _local.IsMulticast || Stack.Ip.IsBroadcast(_local) ? Any : _local;
        if (destination.IsMulticast)
        {
            if (bound == 0)
                bound = destination.IsV4 ? Options.MulticastInterface : Options.MulticastInterfaceV6;
            if (source.IsAny && destination.IsV4 && !Options.MulticastSource.IsAny)
                source = Options.MulticastSource;
        }

        if (control.Source.IsV6 && !control.Source.IsAny && !Options.FreeBind && !Options.Transparent && !Stack.Ip.IsLocal(control.Source))
            return Errno.EINVAL;
        Result<Route> found = Stack.Ip.FindRoute(destination, source, bound, IncludesHeader || Options.Transparent);
        if (found.IsOk && Options.DontRoute && found.Value.Type == RouteType.Unicast && found.Value.NextHop != destination)
            return Errno.ENETUNREACH;
        return found;
    }

    private IpSendOptions SendOptions(InetAddress destination, in Route route, int length, in DatagramControl control)
    {
        bool isV4 = !_isV6;
        int hops = destination.IsMulticast ? (isV4 ? Options.MulticastTimeToLive : Options.MulticastHopLimit) : isV4 ? Options.TimeToLive : Options.HopLimit;
        if (control.TimeToLive >= 0)
            hops = control.TimeToLive;
        else if (hops < 0)
            hops = isV4 ? Stack.Settings.DefaultTimeToLive : Stack.Settings.DefaultHopLimit;
        PathMtuMode mode = isV4 ? Options.PathMtu : Options.PathMtuV6;
        int header = isV4 ? Ipv4Header.Size + (Options.IpOptions?.Length ?? 0) : Ipv6Header.Size;
        return new IpSendOptions(_protocol, hops, control.TypeOfService >= 0 ? (byte)control.TypeOfService : isV4 ? Options.TypeOfService : Options.TrafficClass)
        {
            DontFragment = mode is PathMtuMode.Do or PathMtuMode.Probe || (mode == PathMtuMode.Want && isV4 && header + length <= route.Mtu),
            IgnorePathMtu = mode is PathMtuMode.Probe or PathMtuMode.Interface or PathMtuMode.Omit,
            Options = isV4 ? Options.IpOptions : null,
            SkipMulticastLoop = isV4 ? !Options.MulticastLoop : !Options.MulticastLoopV6,
        };
    }

    private Errno SendPayload(byte[] data, in Route route, InetAddress source, InetAddress destination, in DatagramControl control)
    {
        if (_isV6 && IsChecksummed)
        {
            if (ChecksumOffset + 2 > data.Length)
                return Errno.EINVAL;
            data.AsSpan(ChecksumOffset, 2).Clear();
            ulong sum = InternetChecksum.Add(InternetChecksum.PseudoHeader(source, destination, _protocol, data.Length), data);
            ushort checksum = InternetChecksum.Finish(sum);
            InternetChecksum.Write(data.AsSpan(ChecksumOffset), checksum == 0 ? (ushort)0xffff : checksum);
        }

        return Transmit(data, route, source, destination, control);
    }

    private Errno Transmit(byte[] data, in Route route, InetAddress source, InetAddress destination, in DatagramControl control)
    {
        // In the head, since others look into it: an ICMP type, the transport's ports.
        Packet packet = Packet.Create(data.Length);
        data.CopyTo(packet.Append(data.Length));
        Errno error = Stack.Ip.Send(packet, route, source, destination, SendOptions(destination, route, data.Length, control));
        if (error == Errno.EMSGSIZE && (_isV6 ? Options.ReceiveErrorsV6 : Options.ReceiveErrors))
            EnqueueError(ToDatagram(new TransportError(error, true, TransportError.OriginLocal, 0, 0, route.Mtu, source, destination, Any, default), 0, []));
        return error;
    }

    private Errno SendEcho(byte[] data, in Route route, InetAddress source, InetAddress destination, in DatagramControl control)
    {
        if (data.Length < IcmpHeader.Size || data[0] != (_isV6 ? Icmpv6Type.Echo : IcmpType.Echo) || data[1] != 0)
            return Errno.EINVAL;
        if (_identifier == 0 && Stack.Raw.BindPing(this, 0, out _identifier) is var error and not Errno.None)
            return error;
        BinaryPrimitives.WriteUInt16BigEndian(data.AsSpan(4), _identifier);
        data.AsSpan(IcmpHeader.ChecksumOffset, 2).Clear();
        ulong sum = _isV6 ? InternetChecksum.PseudoHeader(source, destination, IpProtocol.Icmpv6, data.Length) : 0;
        InternetChecksum.Write(data.AsSpan(IcmpHeader.ChecksumOffset), InternetChecksum.Finish(InternetChecksum.Add(sum, data)));
        return Transmit(data, route, source, destination, control);
    }

    /// <summary>A packet with its own header: length and checksum are filled in, an identification and a source where they are 0 (raw(7)).</summary>
    private Errno SendWhole(byte[] data, in Route route, InetAddress source, InetAddress destination)
    {
        if (data.Length > route.Interface.Mtu)
            return Errno.EMSGSIZE;
        Packet packet = Packet.Create(data.Length);
        data.CopyTo(packet.Append(data.Length));
        Span<byte> head = packet.Head;
        if (_isV6)
        {
            if (!Ipv6Header.TryParseQuoted(head, out _))
                return Errno.EINVAL;
            packet.TransportOffset = packet.Start + Ipv6Header.Size;
            packet.TransportProtocol = head[6];
            return Stack.Ip.V6.SendWhole(packet, route, destination, !Options.MulticastLoopV6);
        }

        if (!Ipv4Header.TryParseQuoted(head, out Ipv4Header header))
            return Errno.EINVAL;
        BinaryPrimitives.WriteUInt16BigEndian(head[2..], (ushort)data.Length);
        if (header.Source.IsAny)
            source.WriteTo(head[12..]);
        if (header.Identification == 0)
            BinaryPrimitives.WriteUInt16BigEndian(head[4..], (ushort)Stack.Ip.Identifications.Next(source, destination, header.Protocol));
        Ipv4Header.WriteChecksum(head[..header.HeaderLength]);
        packet.TransportOffset = packet.Start + header.HeaderLength;
        packet.TransportProtocol = header.Protocol;
        return Stack.Ip.V4.SendWhole(packet, route, destination, !Options.MulticastLoop);
    }
}
