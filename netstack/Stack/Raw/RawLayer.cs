namespace Netstack.Stack;

/// <summary>Raw IP sockets (raw(7)), ping sockets (icmp(7)) and packet sockets (packet(7)).</summary>
[Savable("raw-layer")]
public sealed partial class RawLayer
{
    [Saved(1)] private NetworkStack _stack;

    internal RawLayer(NetworkStack stack) => _stack = stack;

    /// <param name="protocol">IPPROTO_*; 255 sends only.</param>
    public RawEndpoint CreateRaw(bool isV6, byte protocol, EndpointOptions options) => new(_stack, isV6, protocol, false, options);

    /// <summary>SOCK_DGRAM with IPPROTO_ICMP or ICMPV6: echo requests of one identifier.</summary>
    public RawEndpoint CreatePing(bool isV6, EndpointOptions options) => new(_stack, isV6, isV6 ? IpProtocol.Icmpv6 : IpProtocol.Icmp, true, options);

    /// <param name="protocol">ETH_P_* in host order; 3 is all, 0 none until bound.</param>
    /// <param name="cooked">SOCK_DGRAM: without the link header.</param>
    public PacketEndpoint CreatePacket(ushort protocol, bool cooked, EndpointOptions options) => new(_stack, protocol, cooked, options);

    public IEnumerable<RawEndpoint> RawEndpoints => throw new NotImplementedException();

    public IEnumerable<PacketEndpoint> PacketEndpoints => throw new NotImplementedException();

    /// <summary>Whether any packet socket is there: frames need not be shown to them otherwise.</summary>
    internal bool HasTaps => throw new NotImplementedException();

    /// <summary>Shows a frame (link header at Start; cooked sockets get it without) to the packet sockets.</summary>
    internal void Tap(Packet frame, NetworkInterface from, bool outgoing) => throw new NotImplementedException();

    /// <summary>Gives a received IP packet (NetworkOffset and TransportOffset set) to raw sockets of its protocol; false when there is none.</summary>
    internal bool Receive(Packet packet, in IpInfo info) => throw new NotImplementedException();

    internal void OnError(byte protocol, in TransportError error) => throw new NotImplementedException();
}

/// <summary>A raw or ping socket. All calls are made between Enter and Leave of the stack.</summary>
[Savable("raw-endpoint")]
public sealed partial class RawEndpoint : DatagramEndpoint
{
    [Saved(1)] private bool _isV6;
    [Saved(2)] private byte _protocol;
    [Saved(3)] private bool _isPing;

    internal RawEndpoint(NetworkStack stack, bool isV6, byte protocol, bool isPing, EndpointOptions options)
        : base(stack, options)
    {
        _isV6 = isV6;
        _protocol = protocol;
        _isPing = isPing;
    }

    public bool IsV6 => _isV6;

    public byte Protocol => _protocol;

    public bool IsPing => _isPing;

    /// <summary>IP_HDRINCL: what is sent begins with an IPv4 header.</summary>
    [field: Saved(4)] public bool IncludesHeader { get; set; }

    /// <summary>ICMP_FILTER: bits of types that are not wanted; ICMP6_FILTER in eight words.</summary>
    [field: Saved(5)] public uint IcmpFilter { get; set; }

    [field: Saved(6)] public uint[] Icmpv6Filter { get; set; } = new uint[8];

    /// <summary>IPV6_CHECKSUM: where the checksum stands; -1 for none (always 2 for ICMPv6).</summary>
    [field: Saved(7)] public int ChecksumOffset { get; set; } = -1;

    public override InetAddress LocalAddress => throw new NotImplementedException();

    /// <summary>The echo identifier of a ping socket, else 0.</summary>
    public override ushort LocalPort => throw new NotImplementedException();

    public override InetAddress RemoteAddress => throw new NotImplementedException();

    public override ushort RemotePort => throw new NotImplementedException();

    public override bool IsConnected => throw new NotImplementedException();

    public Errno Bind(InetAddress address, ushort port) => throw new NotImplementedException();

    public Errno Connect(InetAddress address, ushort port, int scope) => throw new NotImplementedException();

    public Errno Disconnect() => throw new NotImplementedException();

    public Errno Shutdown(bool receive, bool send) => throw new NotImplementedException();

    public override void Close() => throw new NotImplementedException();

    public override EndpointEvents Poll() => throw new NotImplementedException();

    /// <summary>As <see cref="UdpEndpoint.Send"/>; received IPv4 datagrams of raw sockets begin with their IP header.</summary>
    public Errno Send(byte[] data, InetAddress destination, ushort port, int scope, in DatagramControl control) => throw new NotImplementedException();
}

/// <summary>A packet socket (packet(7)). All calls are made between Enter and Leave of the stack.</summary>
[Savable("packet-endpoint")]
public sealed partial class PacketEndpoint : DatagramEndpoint
{
    [Saved(1)] private ushort _protocol;
    [Saved(2)] private bool _cooked;
    [Saved(3)] private int _interface;

    internal PacketEndpoint(NetworkStack stack, ushort protocol, bool cooked, EndpointOptions options)
        : base(stack, options)
    {
        _protocol = protocol;
        _cooked = cooked;
    }

    public ushort Protocol => _protocol;

    public bool IsCooked => _cooked;

    /// <summary>The interface it is bound to; 0 for all.</summary>
    public int InterfaceIndex => _interface;

    /// <summary>SO_ATTACH_FILTER: a classic BPF program of eight-byte instructions (struct sock_filter); null for none. EINVAL when it is not valid.</summary>
    public Errno SetFilter(byte[]? program) => throw new NotImplementedException();

    public override InetAddress LocalAddress => default;

    public override ushort LocalPort => 0;

    public override InetAddress RemoteAddress => default;

    public override ushort RemotePort => 0;

    public override bool IsConnected => false;

    /// <summary>Packets received and dropped since last asked (PACKET_STATISTICS).</summary>
    public (uint Received, uint Dropped) TakeStatistics() => throw new NotImplementedException();

    public Errno Bind(ushort protocol, int interfaceIndex) => throw new NotImplementedException();

    public override void Close() => throw new NotImplementedException();

    public override EndpointEvents Poll() => throw new NotImplementedException();

    /// <summary>Sends a frame, whole or (cooked) to be given a link header.</summary>
    public Errno Send(byte[] data, ushort protocol, int interfaceIndex, MacAddress destination) => throw new NotImplementedException();
}
