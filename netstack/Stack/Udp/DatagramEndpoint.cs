using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What is the same in sockets that move datagrams: a queue bounded by SO_RCVBUF, an error queue, a default destination, groups.</summary>
[Savable("datagram-endpoint")]
public abstract partial class DatagramEndpoint : Endpoint
{
    // What Linux charges for a small packet (skb truesize), so that the same number fits.
    private const int PacketCharge = 768;

    [Saved(1)] private Queue<Datagram> _queue = new();
    [Saved(2)] private Queue<Datagram> _errors = new();
    [Saved(3)] private int _queuedBytes;
    [Saved(4)] private int _dropped;
    [Saved(5)] private bool _isReceiveShut;
    [Saved(6)] private bool _isSendShut;
    [Saved(7)] private byte[]? _filter;
    [NotSaved("decoded from the program again")] private ClassicFilter? _decoded;

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

    /// <summary>shutdown(SHUT_RD): a read that finds nothing returns 0.</summary>
    public bool IsReceiveShut => _isReceiveShut;

    public bool IsSendShut => _isSendShut;

    public bool HasErrors => _errors.Count > 0;

    /// <summary>Bytes of the next datagram (FIONREAD); -1 when there is none.</summary>
    public int NextLength => _queue.TryPeek(out Datagram? first) ? first.Data.Length : -1;

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

    /// <summary>Looks at a later datagram (SO_PEEK_OFF); null when there are not so many.</summary>
    public Datagram? PeekAt(int index) => index < _queue.Count ? _queue.ElementAt(index) : null;

    /// <summary>The next entry of the error queue.</summary>
    public Datagram? ReceiveError(bool peek)
    {
        if (peek)
            return _errors.TryPeek(out Datagram? first) ? first : null;
        return _errors.TryDequeue(out Datagram? error) ? error : null;
    }

    /// <summary>shutdown(2): acts also where it says ENOTCONN, as in Linux.</summary>
    public Errno Shutdown(bool receive, bool send)
    {
        _isReceiveShut |= receive;
        _isSendShut |= send;
        Notify(Poll());
        return IsConnected ? Errno.None : Errno.ENOTCONN;
    }

    public override EndpointEvents Poll()
    {
        EndpointEvents events = EndpointEvents.Out;
        if (_queue.Count > 0)
            events |= EndpointEvents.In;
        if (PendingError != Errno.None || _errors.Count > 0)
            events |= EndpointEvents.Err;
        if (_isReceiveShut)
            events |= EndpointEvents.In | EndpointEvents.RdHup;
        if (_isReceiveShut && _isSendShut)
            events |= EndpointEvents.Hup;
        return events;
    }

    public bool HasFilter => _filter is not null;

    /// <summary>SO_ATTACH_FILTER: a classic BPF program of eight-byte instructions (struct sock_filter); null for none. EINVAL when it is not valid.</summary>
    public Errno SetFilter(byte[]? program)
    {
        ClassicFilter? decoded = null;
        if (program is not null && !ClassicFilter.TryDecode(program, out decoded))
            return Errno.EINVAL;
        _filter = program;
        _decoded = decoded;
        return Errno.None;
    }

    /// <summary>IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP: EINVAL, ENODEV (no such interface and none to choose), EADDRINUSE (joined already), ENOBUFS.</summary>
    /// <param name="interfaceIndex">0 to choose one by the routes.</param>
    /// <param name="filter">Which sources are wanted; null for all.</param>
    public Errno JoinGroup(InetAddress group, int interfaceIndex, GroupSourceFilter? filter = null)
    {
        if (!group.IsMulticast)
            return Errno.EINVAL;
        if (GroupLink(group, interfaceIndex) is not { } link)
            return Errno.ENODEV;
        var membership = new GroupMembership(group, link.Index);
        if (Options.Memberships.Contains(membership))
            return Errno.EADDRINUSE;
        if (group.IsV4 && Options.Memberships.Count(m => m.Group.IsV4) >= Stack.Settings.MaxMemberships)
            return Errno.ENOBUFS;
        Options.Memberships.Add(membership);
        Options.SetSourceFilter(membership, filter);
        link.Groups.Join(group, Options);
        return Errno.None;
    }

    /// <summary>Which sources of a group that was joined are wanted (RFC 3678); null for all. Routers are told.</summary>
    public void SetSourceFilter(GroupMembership membership, GroupSourceFilter? filter)
    {
        Options.SetSourceFilter(membership, filter);
        Stack.FindInterface(membership.InterfaceIndex)?.Groups.OnFilterChanged(membership.Group);
    }

    /// <summary>IP_DROP_MEMBERSHIP, IPV6_LEAVE_GROUP: EADDRNOTAVAIL when it was not joined.</summary>
    /// <param name="interfaceIndex">0 for that of the first membership.</param>
    public Errno LeaveGroup(InetAddress group, int interfaceIndex)
    {
        if (!group.IsMulticast)
            return Errno.EINVAL;
        int index = Options.Memberships.FindIndex(m => m.Group == group && (interfaceIndex == 0 || m.InterfaceIndex == interfaceIndex));
        if (index < 0)
            return Errno.EADDRNOTAVAIL;
        GroupMembership left = Options.Memberships[index];
        Options.Memberships.RemoveAt(index);
        Options.SetSourceFilter(left, null);
        Stack.FindInterface(left.InterfaceIndex)?.Groups.Leave(group, Options);
        return Errno.None;
    }

    /// <summary>Takes a datagram in, or drops it when there is no room.</summary>
    protected internal bool Enqueue(Datagram datagram)
    {
        int charge = Charge(datagram);
        if (_queuedBytes + charge > Options.ReceiveBuffer && _queuedBytes > 0)
        {
            _dropped++;
            return false;
        }

        _queuedBytes += charge;
        _queue.Enqueue(datagram);
        Notify(EndpointEvents.In);
        return true;
    }

    /// <summary>Whether a filter lets a packet through.</summary>
    /// <param name="start">Where the filter begins to look, in the packet's buffer.</param>
    /// <param name="length">How many bytes of it are wanted.</param>
    protected bool PassesFilter(Packet packet, int start, out int length)
    {
        length = int.MaxValue;
        if (_filter is null)
            return true;
        if (_decoded is null && !ClassicFilter.TryDecode(_filter, out _decoded))
            return false;
        length = (int)Math.Min(int.MaxValue, _decoded.Run(packet, start, Stack));
        return length > 0;
    }

    /// <summary>An error for SO_ERROR and whoever waits.</summary>
    protected internal void SetError(Errno error)
    {
        PendingError = error;
        Notify(EndpointEvents.Err);
    }

    protected internal void EnqueueError(Datagram error)
    {
        const int maxErrors = 64;
        if (_errors.Count < maxErrors)
            _errors.Enqueue(error);
        Notify(EndpointEvents.Err);
    }

    /// <summary>An entry for the error queue (struct sock_extended_err of ip(7)).</summary>
    /// <param name="error">What happened.</param>
    /// <param name="port">Of the destination the failed datagram went to.</param>
    /// <param name="payload">The beginning of what was sent.</param>
    internal static Datagram ToDatagram(in TransportError error, ushort port, byte[] payload)
    {
        byte[] extended = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(extended, (uint)error.Error);
        extended[4] = error.Origin;
        extended[5] = error.Type;
        extended[6] = error.Code;
        BinaryPrimitives.WriteInt32LittleEndian(extended.AsSpan(8), error.Mtu);
        return new Datagram
        {
            Source = error.Offender,
            Destination = error.Remote,
            DestinationPort = port,
            InterfaceIndex = error.Interface?.Index ?? 0,
            Data = payload,
            ExtendedError = extended,
        };
    }

    protected void ClearQueues()
    {
        _queue.Clear();
        _errors.Clear();
        _queuedBytes = 0;
    }

    protected void LeaveAllGroups()
    {
        List<GroupMembership> memberships = Options.Memberships;
        while (memberships.Count > 0)
            LeaveGroup(memberships[^1].Group, memberships[^1].InterfaceIndex);
    }

    private static int Charge(Datagram datagram) => datagram.Data.Length + PacketCharge;

    private NetworkInterface? GroupLink(InetAddress group, int interfaceIndex)
    {
        if (interfaceIndex != 0)
            return Stack.FindInterface(interfaceIndex);
        int bound = Options.BoundInterface != 0 ? Options.BoundInterface : group.IsV4 ? Options.MulticastInterface : Options.MulticastInterfaceV6;
        return Stack.Ip.FindRoute(group, default, bound).TryGet(out Route route, out _) ? route.Interface : null;
    }
}
