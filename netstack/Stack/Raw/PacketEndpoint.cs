namespace Netstack.Stack;

/// <summary>PACKET_MR_* of packet(7): frames that a packet socket asks its interface for.</summary>
public enum PacketMembershipType
{
    Multicast = 0,
    Promiscuous = 1,
    AllMulticast = 2,
    Unicast = 3,
}

/// <summary>A packet socket (packet(7)). All calls are made between Enter and Leave of the stack.</summary>
[Savable("packet-endpoint")]
public sealed partial class PacketEndpoint : DatagramEndpoint
{
    [Saved(1)] private ushort _protocol;
    [Saved(2)] private bool _cooked;
    [Saved(3)] private int _interface;
    [Saved(4)] private uint _received;
    [Saved(5)] private uint _lost;
    [Saved(6)] private List<(int Interface, int Type)> _memberships = [];

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

    /// <summary>PACKET_IGNORE_OUTGOING.</summary>
    [field: Saved(7)] public bool IgnoresOutgoing { get; set; }

    public override InetAddress LocalAddress => default;

    public override ushort LocalPort => 0;

    public override InetAddress RemoteAddress => default;

    public override ushort RemotePort => 0;

    public override bool IsConnected => false;

    /// <summary>Packets received and dropped since last asked (PACKET_STATISTICS).</summary>
    public (uint Received, uint Dropped) TakeStatistics()
    {
        (uint, uint) counts = (_received, _lost);
        _received = _lost = 0;
        return counts;
    }

    /// <summary>ENODEV when there is no such interface; ENETDOWN, told as a pending error too, when it is down.</summary>
    /// <param name="protocol">0 keeps the protocol.</param>
    public Errno Bind(ushort protocol, int interfaceIndex)
    {
        NetworkInterface? link = interfaceIndex == 0 ? null : Stack.FindInterface(interfaceIndex);
        if (interfaceIndex != 0 && link is null)
            return Errno.ENODEV;
        if (protocol != 0)
            _protocol = protocol;
        _interface = interfaceIndex;
        if (link is { IsUp: false })
            SetError(Errno.ENETDOWN);
        return Errno.None;
    }

    /// <summary>PACKET_ADD_MEMBERSHIP: ENODEV.</summary>
    public Errno AddMembership(int interfaceIndex, PacketMembershipType type)
    {
        if (Stack.FindInterface(interfaceIndex) is not { } link)
            return Errno.ENODEV;
        _memberships.Add((interfaceIndex, (int)type));
        Count(link, type, 1);
        return Errno.None;
    }

    /// <summary>PACKET_DROP_MEMBERSHIP: EADDRNOTAVAIL when it was not added.</summary>
    public Errno DropMembership(int interfaceIndex, PacketMembershipType type)
    {
        if (!_memberships.Remove((interfaceIndex, (int)type)))
            return Errno.EADDRNOTAVAIL;
        if (Stack.FindInterface(interfaceIndex) is { } link)
            Count(link, type, -1);
        return Errno.None;
    }

    public override void Close()
    {
        while (_memberships.Count > 0)
            DropMembership(_memberships[0].Interface, (PacketMembershipType)_memberships[0].Type);
        Stack.Raw.Remove(this);
        ClearQueues();
    }

    /// <summary>Sends a frame, whole or (cooked) to be given a link header: ENXIO (no interface), ENETDOWN, EMSGSIZE, EINVAL (shorter than a link header).</summary>
    /// <param name="protocol">ETH_P_* of a cooked frame; 0 for that of the socket.</param>
    /// <param name="interfaceIndex">0 for that which it is bound to.</param>
    public Errno Send(byte[] data, ushort protocol, int interfaceIndex, MacAddress destination)
    {
        if (Stack.FindInterface(interfaceIndex == 0 ? _interface : interfaceIndex) is not { } link)
            return Errno.ENXIO;
        if (!link.IsUp)
            return Errno.ENETDOWN;
        int header = _cooked ? 0 : EthernetHeader.Size;
        if (data.Length < header)
            return Errno.EINVAL;
        if (data.Length > link.Mtu + header + (_cooked ? 0 : EthernetHeader.TagSize))
            return Errno.EMSGSIZE;
        Packet frame = Packet.Create(data.Length);
        data.CopyTo(frame.Append(data.Length));
        if (_cooked)
            EthernetHeader.Write(frame.Prepend(EthernetHeader.Size), destination, link.Mac, protocol != 0 ? protocol : _protocol);
        LinkOutput.SendFrame(link, frame, this);
        return Errno.None;
    }

    /// <summary>A frame comes in or goes out.</summary>
    internal void Tap(Packet frame, NetworkInterface from, bool outgoing)
    {
        if (_interface != 0 && _interface != from.Index)
            return;
        if (_protocol == 0 || (_protocol != EtherType.All && (outgoing || _protocol != frame.Protocol)) || (outgoing && IgnoresOutgoing))
            return;
        PacketType type = frame.Type;
        int network = frame.NetworkOffset;
        if (outgoing)
            frame.Type = PacketType.Outgoing;
        if (network < 0 && EthernetHeader.TryParse(frame.Head, out EthernetHeader ethernet))
            frame.NetworkOffset = frame.Start + ethernet.Length;
        int start = _cooked ? frame.NetworkOffset : frame.LinkOffset;
        if (PassesFilter(frame, start, out int length))
            Take(frame, from, start, length);
        frame.Type = type;
        frame.NetworkOffset = network;
    }

    private static void Count(NetworkInterface link, PacketMembershipType type, int change)
    {
        if (type == PacketMembershipType.Promiscuous)
            link.Promiscuity += change;
        else if (type == PacketMembershipType.AllMulticast)
            link.AllMulticast += change;
    }

    private void Take(Packet frame, NetworkInterface from, int start, int length)
    {
        int available = frame.End - start + frame.MoreLength;
        byte[] data = GC.AllocateUninitializedArray<byte>(Math.Min(available, length));
        frame.CopyTo(start - frame.Start, data);
        bool taken = Enqueue(new Datagram
        {
            Data = data,
            OriginalLength = available,
            PacketType = frame.Type,
            Protocol = frame.Protocol,
            InterfaceIndex = from.Index,
            LinkAddress = MacAddress.FromBytes(frame.Buffer.AsSpan(frame.LinkOffset + 6)),
            NetworkOffset = frame.NetworkOffset - start,
            Checksum = frame.Checksum,
            SegmentSize = frame.SegmentSize,
            Realtime = Stack.Realtime,
        });
        _received++;
        if (!taken)
            _lost++;
    }
}
