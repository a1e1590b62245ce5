using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>A datagram that is put together from several sends (MSG_MORE, UDP_CORK): the first says where it goes.</summary>
[Savable("corked-datagram")]
internal sealed partial class CorkedDatagram
{
    [Saved(1)] public List<byte> Data = [];
    [Saved(2)] public InetAddress Destination;
    [Saved(3)] public ushort Port;
    [Saved(4)] public int Scope;
    [Saved(5)] public InetAddress Source;
    [Saved(6)] public int InterfaceIndex;
    [Saved(7)] public int TimeToLive;
    [Saved(8)] public int TypeOfService;
    [Saved(9)] public int SegmentSize;

    public CorkedDatagram()
    {
    }

    internal CorkedDatagram(in OutgoingDatagram first)
    {
        Destination = first.Destination.Address;
        Port = first.Destination.Port;
        Scope = first.Destination.Scope;
        Source = first.Control.Source;
        InterfaceIndex = first.Control.InterfaceIndex;
        TimeToLive = first.Control.TimeToLive;
        TypeOfService = first.Control.TypeOfService;
        SegmentSize = first.SegmentSize;
    }

    internal OutgoingDatagram Whole => new([.. Data], new InetEndpointAddress(Destination, Port, Scope),
        new DatagramControl { Source = Source, InterfaceIndex = InterfaceIndex, TimeToLive = TimeToLive, TypeOfService = TypeOfService }, SegmentSize);
}

/// <summary>A UDP socket (udp(7)), or one of UDP-Lite (udplite(7)).</summary>
[Savable("udp-socket")]
internal sealed partial class UdpSocket : DatagramSocket
{
    private const int MaxPayload = 65507, MaxSegments = 128;

    [Saved(1)] private UdpEndpoint _endpoint;
    [Saved(2)] private CorkedDatagram? _corked;
    [Saved(3)] private bool _cork;
    [Saved(4)] private int _segmentSize;
    [Saved(5)] private ZeroCopyNotices _notices;

    internal UdpSocket(Task owner, bool isV6, UdpEndpoint endpoint, OpenFlags status)
        : base(owner, isV6, SocketType.Datagram, endpoint.IsLite ? IPPROTO.UDPLITE : IPPROTO.UDP, status)
    {
        _endpoint = endpoint;
        Attach();
    }

    protected override DatagramEndpoint Datagrams => _endpoint;

    protected override Errno BindTo(InetEndpointAddress address) => _endpoint.Bind(address.Address, address.Port);

    protected override Errno ConnectTo(InetEndpointAddress address) => _endpoint.Connect(address.Address, address.Port, address.Scope);

    protected override Errno Disconnect() => _endpoint.Disconnect();

    protected override Errno ShutDown(bool receive, bool send) => _endpoint.Shutdown(receive, send);

    protected override Errno Transmit(in OutgoingDatagram datagram)
    {
        int segment = datagram.SegmentSize != 0 ? datagram.SegmentSize : _segmentSize;
        if (segment > 0 && datagram.Data.Length > segment * MaxSegments)
            return Errno.EINVAL;
        if (datagram.Data.Length > MaxPayload && segment == 0)
            return Errno.EMSGSIZE;
        return _endpoint.Send(datagram.Data, datagram.Destination.Address, datagram.Destination.Port, datagram.Destination.Scope, datagram.Control, datagram.Data.Length > segment ? segment : 0);
    }

    protected override Errno Submit(in OutgoingDatagram datagram, int flags)
    {
        bool more = _cork || (flags & MessageFlags.More) != 0;
        if (!more && _corked is null)
            return Transmit(datagram);
        _corked ??= new CorkedDatagram(datagram);
        if (_corked.Data.Count + datagram.Data.Length > MaxPayload)
        {
            _corked = null;
            return Errno.EMSGSIZE;
        }

        _corked.Data.AddRange(datagram.Data);
        return more ? Errno.None : Flush();
    }

    private Errno Flush()
    {
        if (_corked is not { } corked)
            return Errno.None;
        _corked = null;
        return Transmit(corked.Whole);
    }

    internal override void OnZeroCopySent()
    {
        if (!HasOption(SO.ZEROCOPY))
            return;
        _notices.Add();
        Waiters.Wake(PollEvents.Err);
    }

    public override PollEvents Poll() => _notices.IsEmpty ? base.Poll() : base.Poll() | PollEvents.Err;

    /// <summary>The error queue has what became of datagrams first, then whose memory is the sender's again.</summary>
    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        Result<long> received = base.Receive(task, destination, request);
        return (request.Flags & MessageFlags.ErrorQueue) != 0 && received.Error == Errno.EAGAIN && _notices.TryTake(IsV6, request) ? 0L : received;
    }

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value)
    {
        if (level != SOL.UDP && !(level == SOL.UDPLITE && _endpoint.IsLite))
            return base.SetOption(task, level, name, value);
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        switch (name)
        {
            case UDP.CORK:
                _cork = number != 0;
                if (_cork)
                    return Errno.None;
                using (Enter())
                    return Flush();
            case UDP.SEGMENT:
                if (number is < 0 or > ushort.MaxValue)
                    return Errno.EINVAL;
                _segmentSize = number;
                return Errno.None;
            case UDP.GRO:
                Ip.UdpReceiveSegments = number != 0;
                return Errno.None;
            case UDP.LITE_SEND_CSCOV when _endpoint.IsLite:
                _endpoint.SendCoverage = Coverage(number);
                return Errno.None;
            case UDP.LITE_RECV_CSCOV when _endpoint.IsLite:
                _endpoint.LeastCoverage = Coverage(number);
                return Errno.None;
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    /// <summary>At least the header, at most the longest datagram; 0 for all (udp_lib_setsockopt).</summary>
    private static int Coverage(int number) => number == 0 ? 0 : number < UdpHeader.Size ? UdpHeader.Size : Math.Min(number, ushort.MaxValue);

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given)
    {
        if (level != SOL.UDP && !(level == SOL.UDPLITE && _endpoint.IsLite))
            return base.GetOption(task, level, name, given);
        return name switch
        {
            UDP.CORK => SocketOptions.Number(_cork ? 1 : 0),
            UDP.SEGMENT => SocketOptions.Number(_segmentSize),
            UDP.LITE_SEND_CSCOV when _endpoint.IsLite => SocketOptions.Number(_endpoint.SendCoverage),
            UDP.LITE_RECV_CSCOV when _endpoint.IsLite => SocketOptions.Number(_endpoint.LeastCoverage ?? 0),
            UDP.GRO => SocketOptions.Number(Ip.UdpReceiveSegments ? 1 : 0),
            _ => Errno.ENOPROTOOPT,
        };
    }
}
