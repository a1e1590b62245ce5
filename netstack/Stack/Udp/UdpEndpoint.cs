namespace Netstack.Stack;

/// <summary>All UDP endpoints of a stack (RFC 768), by port.</summary>
[Savable("udp-layer")]
public sealed partial class UdpLayer
{
    [Saved(1)] private NetworkStack _stack;

    internal UdpLayer(NetworkStack stack) => _stack = stack;

    public UdpEndpoint CreateEndpoint(bool isV6, EndpointOptions options) => new(_stack, isV6, options);

    /// <summary>All bound endpoints (for /proc/net/udp and sock_diag).</summary>
    public IEnumerable<UdpEndpoint> Endpoints => throw new NotImplementedException();

    internal void Receive(Packet packet, in IpInfo info) => throw new NotImplementedException();

    internal void OnError(in TransportError error) => throw new NotImplementedException();
}

/// <summary>What came with a datagram, beside its bytes.</summary>
[Savable("datagram")]
public sealed partial class Datagram
{
    [Saved(1)] public InetAddress Source;
    [Saved(2)] public ushort SourcePort;
    [Saved(3)] public InetAddress Destination;
    [Saved(4)] public ushort DestinationPort;
    [Saved(5)] public int InterfaceIndex;
    [Saved(6)] public byte TimeToLive;
    [Saved(7)] public byte TypeOfService;
    [Saved(8)] public long Realtime;
    [Saved(9)] public byte[] Data = [];

    /// <summary>Of packet sockets: sll_pkttype, ETH_P_*, sender's link address; where the network header begins in <see cref="Data"/>.</summary>
    [Saved(10)] public PacketType PacketType;

    [Saved(11)] public ushort Protocol;
    [Saved(12)] public MacAddress LinkAddress;

    /// <summary>Of the error queue (MSG_ERRQUEUE): struct sock_extended_err without its offender, whose address is <see cref="Source"/>.</summary>
    [Saved(13)] public byte[]? ExtendedError;

    /// <summary>UDP_GRO: payload bytes of each datagram joined in this one; 0 when it is one.</summary>
    [Saved(14)] public int SegmentSize;

    public Datagram()
    {
    }
}

/// <summary>What is the same in sockets that move datagrams: a queue bounded by SO_RCVBUF, an error queue, a default destination.</summary>
[Savable("datagram-endpoint")]
public abstract partial class DatagramEndpoint : Endpoint
{
    [Saved(1)] private Queue<Datagram> _queue = new();
    [Saved(2)] private Queue<Datagram> _errors = new();
    [Saved(3)] private int _queuedBytes;
    [Saved(4)] private int _dropped;

    protected DatagramEndpoint(NetworkStack stack, EndpointOptions options)
        : base(stack, options)
    {
    }

    public abstract InetAddress LocalAddress { get; }

    public abstract ushort LocalPort { get; }

    public abstract InetAddress RemoteAddress { get; }

    public abstract ushort RemotePort { get; }

    public abstract bool IsConnected { get; }

    public int QueuedBytes => _queuedBytes;

    /// <summary>Datagrams that found no room (SO_RXQ_OVFL, /proc/net/udp).</summary>
    public int Dropped => _dropped;

    /// <summary>The next datagram, taken or (<paramref name="peek"/>) looked at; null when there is none.</summary>
    public Datagram? Receive(bool peek)
    {
        if (peek)
            return _queue.TryPeek(out Datagram? first) ? first : null;
        if (!_queue.TryDequeue(out Datagram? datagram))
            return null;
        _queuedBytes -= Charge(datagram);
        return datagram;
    }

    /// <summary>The next entry of the error queue.</summary>
    public Datagram? ReceiveError(bool peek)
    {
        if (peek)
            return _errors.TryPeek(out Datagram? first) ? first : null;
        return _errors.TryDequeue(out Datagram? error) ? error : null;
    }

    public bool HasErrors => _errors.Count > 0;

    /// <summary>Bytes of the next datagram (FIONREAD); -1 when there is none.</summary>
    public int NextLength => _queue.TryPeek(out Datagram? first) ? first.Data.Length : -1;

    /// <summary>Takes a datagram in, or drops it when there is no room.</summary>
    protected internal bool Enqueue(Datagram datagram)
    {
        if (_queuedBytes + Charge(datagram) > Options.ReceiveBuffer && _queuedBytes > 0)
        {
            _dropped++;
            return false;
        }

        _queuedBytes += Charge(datagram);
        _queue.Enqueue(datagram);
        Notify(EndpointEvents.In);
        return true;
    }

    protected internal void EnqueueError(Datagram error)
    {
        const int MaxErrors = 64;
        if (_errors.Count < MaxErrors)
            _errors.Enqueue(error);
        Notify(EndpointEvents.Err);
    }

    protected void ClearQueues()
    {
        _queue.Clear();
        _errors.Clear();
        _queuedBytes = 0;
    }

    // What Linux charges for a small packet (skb truesize), so that the same number fits.
    private static int Charge(Datagram datagram) => datagram.Data.Length + 768;
}

/// <summary>One end of UDP. All calls are made between Enter and Leave of the stack.</summary>
[Savable("udp-endpoint")]
public sealed partial class UdpEndpoint : DatagramEndpoint
{
    [Saved(1)] private bool _isV6;

    internal UdpEndpoint(NetworkStack stack, bool isV6, EndpointOptions options)
        : base(stack, options) => _isV6 = isV6;

    public bool IsV6 => _isV6;

    public override InetAddress LocalAddress => throw new NotImplementedException();

    public override ushort LocalPort => throw new NotImplementedException();

    public override InetAddress RemoteAddress => throw new NotImplementedException();

    public override ushort RemotePort => throw new NotImplementedException();

    public override bool IsConnected => throw new NotImplementedException();

    /// <summary>Port 0 chooses one; the address may be a group or broadcast address. EINVAL, EADDRINUSE, EADDRNOTAVAIL.</summary>
    public Errno Bind(InetAddress address, ushort port) => throw new NotImplementedException();

    public Errno Connect(InetAddress address, ushort port, int scope) => throw new NotImplementedException();

    public Errno Disconnect() => throw new NotImplementedException();

    public Errno Shutdown(bool receive, bool send) => throw new NotImplementedException();

    public override void Close() => throw new NotImplementedException();

    public override EndpointEvents Poll() => throw new NotImplementedException();

    /// <summary>Sends one datagram, or (UDP_SEGMENT, <paramref name="segmentSize"/> more than 0) several. The bytes are taken over.</summary>
    /// <param name="destination">Where to; port 0 with an unspecified address for the connected peer.</param>
    /// <param name="control">IP_PKTINFO, IP_TTL, IP_TOS of this datagram; default for none.</param>
    /// <returns>EDESTADDRREQ, EMSGSIZE, EACCES (broadcast without SO_BROADCAST), ENETUNREACH, EPIPE, …</returns>
    public Errno Send(byte[] data, InetAddress destination, ushort port, int scope, in DatagramControl control, int segmentSize = 0) => throw new NotImplementedException();
}

/// <summary>What ancillary data says of one datagram to be sent (IP_PKTINFO, IPV6_PKTINFO, IP_TTL, IP_TOS).</summary>
public readonly record struct DatagramControl
{
    public DatagramControl()
    {
    }

    /// <summary>Source address; unspecified for the usual choice.</summary>
    public InetAddress Source { get; init; } = InetAddress.AnyV6;

    /// <summary>0 for the usual choice.</summary>
    public int InterfaceIndex { get; init; }

    /// <summary>-1 for the socket's.</summary>
    public int TimeToLive { get; init; } = -1;

    public int TypeOfService { get; init; } = -1;
}
