using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>A socket that sees and sends whole frames (packet(7)).</summary>
[Savable("packet-socket")]
internal sealed partial class PacketSocket : EndpointSocket
{
    /// <summary>struct packet_mreq.</summary>
    private const int MembershipSize = 16;

    [Saved(1)] private PacketEndpoint _endpoint;
    [Saved(2)] private PacketRing? _ring;
    [Saved(3)] private int _version;
    [Saved(4)] private int _reserve;
    [Saved(5)] private bool _auxiliaryData;
    [Saved(6)] private bool _originalDevice;
    [Saved(7)] private long _lastStamp;
    [Saved(8)] private int _timestamp;

    internal PacketSocket(Task owner, int type, int protocol, PacketEndpoint endpoint, OpenFlags status)
        : base(owner, type, protocol, status)
    {
        _endpoint = endpoint;
        Attach();
    }

    public override int Domain => AF.Packet;

    internal override Endpoint Endpoint => _endpoint;

    internal PacketEndpoint Packets => _endpoint;

    internal override (int Receive, int Send, int Dropped) MemoryInUse => (_endpoint.QueuedBytes, 0, _endpoint.Dropped);

    internal override Errno SetFilter(byte[]? program) => program is null && !_endpoint.HasFilter ? Errno.ENOENT : _endpoint.SetFilter(program);

    // ---- names ---------------------------------------------------------------------------------------------------

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        if (!LinkAddress.TryRead(address, out LinkAddress place))
            return Errno.EINVAL;
        if (place.InterfaceIndex != 0 && Network.Stack.FindInterface(place.InterfaceIndex) is null)
            return Errno.ENODEV;
        using StackCall call = Enter();
        return _endpoint.Bind(place.Protocol != 0 ? place.Protocol : _endpoint.Protocol, place.InterfaceIndex);
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address) => Errno.EOPNOTSUPP;

    public override Result<byte[]> GetPeerName() => Errno.EOPNOTSUPP;

    public override Errno Shutdown(int how) => Errno.EOPNOTSUPP;

    public override Result<byte[]> GetName()
    {
        NetworkInterface? link = Network.Stack.FindInterface(_endpoint.InterfaceIndex);
        byte length = link is null ? (byte)0 : (byte)6;
        return new LinkAddress(_endpoint.Protocol, _endpoint.InterfaceIndex, (ushort)(link?.Kind ?? 0), 0, length, link?.Mac ?? default).Format()[..(LinkAddress.ShortSize + length)];
    }

    protected override void OnRelease()
    {
        using (Enter())
        {
            Endpoint.Observer = null;
            Endpoint.Close();
        }

        _ring?.Release();
        _ring = null;
        base.OnRelease();
    }

    // ---- frames --------------------------------------------------------------------------------------------------

    protected override void OnReady(EndpointEvents events)
    {
        // With a ring (PACKET_RX_RING) frames go there at once; the queue stays empty.
        if (_ring is { } ring && (events & EndpointEvents.In) != 0)
        {
            while (_endpoint.Receive(peek: false) is { } frame)
                ring.Put(frame, LinkAddress.Of(frame, Network.Stack), Type == SocketType.Datagram);
        }

        base.OnReady(events);
    }

    public override PollEvents Poll() => _ring is { HasFrames: true } ? base.Poll() | PollEvents.ReadMask : base.Poll();

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return Errno.EOPNOTSUPP;
        ushort protocol = _endpoint.Protocol;
        int index = _endpoint.InterfaceIndex;
        MacAddress destination = default;
        if (request.Address is { } address)
        {
            if (!LinkAddress.TryRead(address, out LinkAddress to))
                return Errno.EINVAL;
            (protocol, index, destination) = (to.Protocol, to.InterfaceIndex, to.Address);
        }

        if (source.Length > ushort.MaxValue + 1)
            return Errno.EMSGSIZE;
        byte[] data = GC.AllocateUninitializedArray<byte>((int)source.Length);
        if (source.CopyIn(data) < data.Length)
            return Errno.EFAULT;
        using StackCall call = Enter();
        Errno error = _endpoint.Send(data, protocol, index, destination);
        return error == Errno.None ? data.Length : error;
    }

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        const int allowed = MessageFlags.Peek | MessageFlags.DontWait | MessageFlags.Truncated | MessageFlags.CloseOnExec | MessageFlags.ErrorQueue | MessageFlags.WaitAll | MessageFlags.WaitForOne;
        if ((request.Flags & ~allowed) != 0)
            return Errno.EINVAL;
        if ((request.Flags & MessageFlags.ErrorQueue) != 0)
            return Errno.EAGAIN;
        Errno error = _endpoint.TakeError();
        if (error != Errno.None)
            return error;
        if (_endpoint.Receive((request.Flags & MessageFlags.Peek) != 0) is not { } frame)
            return Errno.EAGAIN;
        int wanted = (int)Math.Min(frame.Data.Length, destination.Length);
        if (destination.CopyOut(frame.Data.AsSpan(0, wanted)) < wanted)
            return Errno.EFAULT;
        if (wanted < frame.Data.Length)
            request.ResultFlags |= MessageFlags.Truncated;
        SocketStamps.Note(this, ref _lastStamp, frame.Realtime);
        request.Address = LinkAddress.Of(frame, Network.Stack).Format();
        if (request.WantsControl)
        {
            DatagramAncillary.DescribeTime(this, frame.Realtime, request);
            if (_auxiliaryData)
                request.Control.Add(new ControlMessage(SOL.PACKET, PACKET.AUXDATA, AuxiliaryData(frame)));
        }

        return (request.Flags & MessageFlags.Truncated) != 0 ? frame.Data.Length : wanted;
    }

    /// <summary>struct tpacket_auxdata of linux/if_packet.h.</summary>
    private byte[] AuxiliaryData(Datagram frame)
    {
        byte[] data = new byte[20];
        BinaryPrimitives.WriteUInt32LittleEndian(data, PacketRing.StatusOf(frame));
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(4), frame.Data.Length);
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(8), frame.Data.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(14), (ushort)(Type == SocketType.Datagram ? 0 : PacketRing.LinkHeaderSize));
        return data;
    }

    // ---- the ring ------------------------------------------------------------------------------------------------

    public override Errno GetHostExtents(ulong offset, ulong length, bool shared, bool writable, List<HostExtent> extents)
    {
        if (_ring is null || !shared || offset + length > (ulong)_ring.Length)
            return Errno.EINVAL;
        return _ring.File.GetHostExtents(offset, length, shared, writable, extents);
    }

    private Errno SetRing(Task task, ReadOnlySpan<byte> value)
    {
        if (value.Length < PacketRing.RequestSize)
            return Errno.EINVAL;
        if (!PacketRing.TryMake(task.Kernel, value, _reserve, out PacketRing? ring))
            return Errno.EINVAL;
        if (_ring is not null && ring is not null)
            return Errno.EBUSY;
        _ring?.Release();
        _ring = ring;
        return Errno.None;
    }

    // ---- options -------------------------------------------------------------------------------------------------

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value)
    {
        if (level != SOL.PACKET)
            return Errno.ENOPROTOOPT;
        if (name is PACKET.ADD_MEMBERSHIP or PACKET.DROP_MEMBERSHIP)
            return SetMembership(value, add: name == PACKET.ADD_MEMBERSHIP);
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        switch (name)
        {
            case PACKET.RX_RING:
                return _version == PacketRing.Version2 ? SetRing(task, value) : Errno.EINVAL;
            case PACKET.VERSION:
                if (_ring is not null)
                    return Errno.EBUSY;
                if (number is not (PacketRing.Version1 or PacketRing.Version2))
                    return Errno.EINVAL;
                _version = number;
                return Errno.None;
            case PACKET.RESERVE:
                if (_ring is not null)
                    return Errno.EBUSY;
                if (number is < 0 or > 65536)
                    return Errno.EINVAL;
                _reserve = number;
                return Errno.None;
            case PACKET.AUXDATA:
                _auxiliaryData = number != 0;
                return Errno.None;
            case PACKET.ORIGDEV:
                _originalDevice = number != 0;
                return Errno.None;
            case PACKET.TIMESTAMP:
                _timestamp = number;
                return Errno.None;
            case PACKET.IGNORE_OUTGOING:
                if (number is not (0 or 1))
                    return Errno.EINVAL;
                _endpoint.IgnoresOutgoing = number != 0;
                return Errno.None;
            case PACKET.COPY_THRESH or PACKET.LOSS or PACKET.QDISC_BYPASS:
                return Errno.None;
            case PACKET.TX_RING or PACKET.VNET_HDR or PACKET.FANOUT:
                return Errno.EINVAL;
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given)
    {
        if (level != SOL.PACKET)
            return Errno.ENOPROTOOPT;
        switch (name)
        {
            case PACKET.STATISTICS:
                (uint received, uint dropped) = _endpoint.TakeStatistics();
                uint lost = _ring?.TakeLost() ?? 0;
                return (byte[])[.. SocketOptions.Number((int)received), .. SocketOptions.Number((int)(dropped + lost))];
            case PACKET.HDRLEN:
                int version = given.Length >= sizeof(int) ? BinaryPrimitives.ReadInt32LittleEndian(given) : -1;
                return version == PacketRing.Version2 ? SocketOptions.Number(PacketRing.HeaderSize) : Errno.EINVAL;
            case PACKET.VERSION:
                return SocketOptions.Number(_version);
            case PACKET.RESERVE:
                return SocketOptions.Number(_reserve);
            case PACKET.AUXDATA:
                return SocketOptions.Number(_auxiliaryData ? 1 : 0);
            case PACKET.ORIGDEV:
                return SocketOptions.Number(_originalDevice ? 1 : 0);
            case PACKET.TIMESTAMP:
                return SocketOptions.Number(_timestamp);
            case PACKET.IGNORE_OUTGOING:
                return SocketOptions.Number(_endpoint.IgnoresOutgoing ? 1 : 0);
            case PACKET.LOSS or PACKET.QDISC_BYPASS or PACKET.VNET_HDR or PACKET.FANOUT:
                return SocketOptions.Number(0);
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    private Errno SetMembership(ReadOnlySpan<byte> value, bool add)
    {
        if (value.Length < MembershipSize)
            return Errno.EINVAL;
        int index = BinaryPrimitives.ReadInt32LittleEndian(value);
        var kind = (PacketMembershipType)BinaryPrimitives.ReadUInt16LittleEndian(value[4..]);
        if (kind > PacketMembershipType.Unicast)
            return Errno.EINVAL;
        using StackCall call = Enter();
        if (add)
            return _endpoint.AddMembership(index, kind);

        // To leave what was not joined is no error (packet_mc_drop).
        _endpoint.DropMembership(index, kind);
        return Errno.None;
    }

    // ---- requests ------------------------------------------------------------------------------------------------

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        switch (request)
        {
            case SIOC.FIONREAD:
                return caller.TryWrite(argument, Math.Max(0, _endpoint.NextLength)) ? SyscallResult.Ok : Errno.EFAULT;
            case SIOC.OUTQ:
                return caller.TryWrite(argument, 0) ? SyscallResult.Ok : Errno.EFAULT;
            case SIOC.GSTAMP_OLD or SIOC.GSTAMPNS_OLD or SIOC.GSTAMP_NEW or SIOC.GSTAMPNS_NEW:
                return SocketStamps.Answer(caller, ref _lastStamp, request, argument);
            default:
                return base.Ioctl(caller, request, argument);
        }
    }
}
