using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>A socket of AF_NETLINK (netlink(7)). Requests are answered while they are sent; answers, lists and notifications queue up here.</summary>
[Savable("netlink-socket")]
internal sealed partial class NetlinkSocket : SocketFile
{
    private const uint Fionread = 0x541B, Siocoutq = 0x5411;

    [Saved(1)] private NetworkNamespace _network;
    [Saved(2)] private Credentials _opener;
    [Saved(3)] private uint _port;
    [Saved(4)] private bool _bound;
    [Saved(5)] private uint _peer;
    [Saved(6)] private int _peerGroup;
    [Saved(7)] private ulong[] _groups = new ulong[1];
    [Saved(8)] private NetlinkOptions _options = new();
    [Saved(9)] private Queue<NetlinkDatagram> _queue = new();
    [Saved(10)] private int _queuedBytes;
    [Saved(11)] private NetlinkDump? _dump;
    [Saved(12)] private int _receiverSize;
    [Saved(13)] private bool _congested;
    [Saved(14)] private int _drops;
    [Saved(15)] private bool _connected;

    internal NetlinkSocket(Task owner, int type, NetlinkProtocol protocol, OpenFlags status)
        : base(owner, type, protocol.Number, status)
    {
        _network = owner.Network;
        _opener = owner.Credentials;
        Network.Netlink.Add(this);
    }

    public override int Domain => AF.Netlink;

    internal override NetworkNamespace Network => _network;

    /// <summary>The port id; 0 until bound.</summary>
    internal uint Port => _port;

    internal bool IsBound => _bound;

    internal bool IsConnected => _connected;

    internal uint PeerPort => _peer;

    internal int PeerGroup => _peerGroup;

    /// <summary>Who opened it: a privilege must be had then and when it is used.</summary>
    internal Credentials Opener => _opener;

    internal NetlinkOptions Settings => _options;

    internal bool ChecksStrictly => _options.Has(NetlinkOptions.StrictCheck);

    internal int QueuedBytes => _queuedBytes;

    internal int Drops => _drops;

    internal bool IsDumping => _dump is not null;

    /// <summary>Bit n of word m is group 64 m + n + 1.</summary>
    internal ReadOnlySpan<ulong> Groups => _groups;

    private NetlinkProtocol Handler => NetlinkProtocol.Find(Protocol)!;

    // ---- names and groups ----------------------------------------------------------------------------------------

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        Errno error = ParseAddress(address, out uint port, out uint groups);
        if (error != Errno.None)
            return error;
        if (groups != 0 && !MayListen(task))
            return Errno.EPERM;
        if (Handler.GroupCount < 32)
            groups &= (1u << Handler.GroupCount) - 1;
        if (_bound && port != _port)
            return Errno.EINVAL;
        if (!_bound)
        {
            if (port == 0)
                BindAutomatically(task);
            else if (!Network.Netlink.TryBind(this, port))
                return Errno.EADDRINUSE;
            else
                (_port, _bound) = (port, true);
        }

        _groups[0] = (_groups[0] & ~(ulong)uint.MaxValue) | groups;
        return Errno.None;
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address)
    {
        if (address.Length < sizeof(ushort))
            return Errno.EINVAL;
        if (BinaryPrimitives.ReadUInt16LittleEndian(address) == AF.Unspec)
        {
            (_peer, _peerGroup, _connected) = (0, 0, false);
            return SyscallResult.Ok;
        }

        Errno error = ParseAddress(address, out uint port, out uint groups);
        if (error != Errno.None)
            return error;
        if ((port != 0 || groups != 0) && !MaySend(task))
            return Errno.EPERM;
        if (!_bound)
            BindAutomatically(task);
        (_peer, _peerGroup, _connected) = (port, FirstGroup(groups), true);
        return SyscallResult.Ok;
    }

    public override Result<byte[]> GetName() => FormatAddress(_port, (uint)_groups[0]);

    public override Result<byte[]> GetPeerName() => FormatAddress(_peer, MaskOf(_peerGroup));

    public override Errno Shutdown(int how) => Errno.EOPNOTSUPP;

    internal bool ListensTo(int group) => group > 0 && (group - 1) / 64 < _groups.Length && (_groups[(group - 1) / 64] >> ((group - 1) % 64) & 1) != 0;

    internal Errno SetMembership(Task task, int group, bool member)
    {
        if (!MayListen(task))
            return Errno.EPERM;
        if (group < 1 || group > Handler.GroupCount)
            return Errno.EINVAL;
        Errno error = member ? Handler.CheckGroup(task, group) : Errno.None;
        if (error != Errno.None)
            return error;
        int word = (group - 1) / 64;
        if (word >= _groups.Length)
            Array.Resize(ref _groups, word + 1);
        ulong bit = 1UL << ((group - 1) % 64);
        _groups[word] = member ? _groups[word] | bit : _groups[word] & ~bit;
        return Errno.None;
    }

    private void BindAutomatically(Task task)
    {
        _port = Network.Netlink.BindAutomatically(this, task.Group.Pid);
        _bound = true;
    }

    private bool MayListen(Task task) => Handler.AnyoneMayListen || task.Credentials.HasIn(_network.Owner, Capability.CAP_NET_ADMIN);

    private bool MaySend(Task task) => Handler.AnyoneMaySend || task.Credentials.HasIn(_network.Owner, Capability.CAP_NET_ADMIN);

    private static Errno ParseAddress(ReadOnlySpan<byte> address, out uint port, out uint groups)
    {
        port = groups = 0;
        if (address.Length < NetlinkLayout.Address || BinaryPrimitives.ReadUInt16LittleEndian(address) != AF.Netlink)
            return Errno.EINVAL;
        port = BinaryPrimitives.ReadUInt32LittleEndian(address[4..]);
        groups = BinaryPrimitives.ReadUInt32LittleEndian(address[8..]);
        return Errno.None;
    }

    private static byte[] FormatAddress(uint port, uint groups)
    {
        var address = new byte[NetlinkLayout.Address];
        address[0] = AF.Netlink;
        BinaryPrimitives.WriteUInt32LittleEndian(address.AsSpan(4), port);
        BinaryPrimitives.WriteUInt32LittleEndian(address.AsSpan(8), groups);
        return address;
    }

    private static int FirstGroup(uint mask) => mask == 0 ? 0 : System.Numerics.BitOperations.TrailingZeroCount(mask) + 1;

    private static uint MaskOf(int group) => group is > 0 and <= 32 ? 1u << (group - 1) : 0;

    protected override void OnRelease()
    {
        Network.Netlink.Remove(this);
        _queue.Clear();
        _queuedBytes = 0;
        _dump = null;
        base.OnRelease();
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return Errno.EOPNOTSUPP;
        if (source.Length == 0)
            return Errno.ENODATA;
        (uint port, int group) = (_peer, _peerGroup);
        if (request.Address is { } address)
        {
            Errno error = ParseAddress(address, out port, out uint groups);
            if (error != Errno.None)
                return error;
            group = FirstGroup(groups);
            if ((port != 0 || group != 0) && !MaySend(task))
                return Errno.EPERM;
        }

        if (!_bound)
            BindAutomatically(task);
        if (source.Length > Options.SendBuffer - 32)
            return Errno.EMSGSIZE;
        var bytes = new byte[source.Length];
        if (source.CopyIn(bytes) < bytes.Length)
            return Errno.EFAULT;
        var datagram = new NetlinkDatagram(bytes, _port, group, request.Credentials ?? UnixSocket.CredentialsOf(task));
        if (group != 0)
            Network.Netlink.Broadcast(Protocol, group, datagram, _port);
        return port == 0 ? SendToKernel(task, bytes) : SendTo(port, datagram, request);
    }

    private Result<long> SendTo(uint port, NetlinkDatagram datagram, SendRequest request)
    {
        NetlinkSocket? target = Network.Netlink.Find(Protocol, port);
        if (target is null || (target._connected && target._peer != _port))
            return Errno.ECONNREFUSED;
        if (target._queuedBytes > target.Options.ReceiveBuffer || target._congested)
        {
            request.WaitFor = target.Waiters;
            return Errno.EAGAIN;
        }

        target.Enqueue(datagram);
        return datagram.Bytes.Length;
    }

    private Result<long> SendToKernel(Task task, byte[] bytes)
    {
        if (!Handler.HasKernel)
            return Errno.ECONNREFUSED;
        ReadOnlySpan<byte> rest = bytes;
        while (rest.Length >= NetlinkLayout.Header)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(rest);
            if (length < NetlinkLayout.Header || length > rest.Length)
                break;
            var request = new NetlinkRequest(task, this, rest[..length].ToArray());
            Errno error = Errno.None;
            if (request.Has(NetlinkFlags.Request) && request.Type >= MessageType.Min)
                error = Handler.Handle(request);
            if (!request.StartedDump && (error != Errno.None || request.Has(NetlinkFlags.Ack)))
                Acknowledge(request, error);
            rest = rest[Math.Min(rest.Length, NetlinkLayout.Align(length))..];
        }

        return bytes.Length;
    }

    /// <summary>NLMSG_ERROR: the errno, 0 for success, and the request it is about (netlink(7)).</summary>
    private void Acknowledge(NetlinkRequest request, Errno error)
    {
        bool whole = error != Errno.None && !_options.Has(NetlinkOptions.CapAck);
        bool says = _options.Has(NetlinkOptions.ExtendedAck) && (request.Message is not null || (error != Errno.None && (request.BadOffset >= 0 || request.MissingType != 0)));
        int flags = (whole ? 0 : NetlinkFlags.Capped) | (says ? NetlinkFlags.AckAttributes : 0);
        NetlinkWriter writer = request.Answer(MessageType.Error, (ushort)flags);
        BinaryPrimitives.WriteInt32LittleEndian(writer.Reserve(sizeof(int)), -(int)error);
        ReadOnlySpan<byte> shown = whole ? request.Bytes : request.Bytes.AsSpan(0, NetlinkLayout.Header);
        shown.CopyTo(writer.Reserve(shown.Length));
        if (says)
        {
            if (request.Message is { } message)
                writer.PutString(AckAttribute.Message, message);
            if (error != Errno.None && request.BadOffset >= 0)
                writer.PutInt32(AckAttribute.Offset, request.BadOffset);
            if (error != Errno.None && request.MissingType != 0)
                writer.PutInt32(AckAttribute.MissingType, request.MissingType);
        }

        DeliverFromKernel(writer.ToArray());
    }

    // ---- receiving -----------------------------------------------------------------------------------------------

    /// <summary>Messages of the kernel for this socket alone.</summary>
    internal void DeliverFromKernel(byte[] messages) => Deliver(new NetlinkDatagram(messages, 0, 0, default));

    /// <summary>Queues what has come, or drops it when there is no room: the reader is told once with ENOBUFS (netlink(7)).</summary>
    internal bool Deliver(NetlinkDatagram datagram)
    {
        if (_queuedBytes <= Options.ReceiveBuffer && !_congested)
        {
            Enqueue(datagram);
            return true;
        }

        _drops++;
        if (!_options.Has(NetlinkOptions.NoEnobufs) && !_congested)
        {
            _congested = true;
            Options.PendingError = Errno.ENOBUFS;
            Waiters.Wake(PollEvents.Err | PollEvents.ReadMask);
        }

        return false;
    }

    private void Enqueue(NetlinkDatagram datagram)
    {
        _queue.Enqueue(datagram);
        _queuedBytes += datagram.Charge;
        Waiters.Wake(PollEvents.ReadMask);
    }

    /// <summary>Begins to hand out a list; there is none in progress.</summary>
    internal void StartDump(NetlinkDump dump)
    {
        _dump = dump;
        ContinueDump();
    }

    /// <summary>Queues the next piece of the list when half of the buffer is free.</summary>
    private void ContinueDump()
    {
        if (_dump is null || _queuedBytes > Options.ReceiveBuffer / 2)
            return;
        byte[] piece = _dump.Next(_receiverSize, out bool last);
        if (last)
            _dump = null;
        Enqueue(new NetlinkDatagram(piece, 0, 0, default));
    }

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return Errno.EOPNOTSUPP;
        Errno error = Options.TakeError();
        if (error != Errno.None)
            return error;
        if (!_queue.TryPeek(out NetlinkDatagram? datagram))
            return Errno.EAGAIN;
        _receiverSize = (int)Math.Min(Math.Max(_receiverSize, destination.Length), NetlinkDump.MaxSize);
        int length = datagram.Bytes.Length, wanted = (int)Math.Min(length, destination.Length);
        if (destination.CopyOut(datagram.Bytes.AsSpan(0, wanted)) < wanted)
            return Errno.EFAULT;
        if (wanted < length)
            request.ResultFlags |= MessageFlags.Truncated;
        request.Address = FormatAddress(datagram.Port, MaskOf(datagram.Group));
        if (Options.PassCredentials)
            request.Credentials = datagram.Credentials;
        if (request.WantsControl && _options.Has(NetlinkOptions.PacketInfo))
            request.Control.Add(new ControlMessage(NetlinkOptions.Level, NetlinkOptions.PacketInfo, BitConverter.GetBytes(datagram.Group)));
        if ((request.Flags & MessageFlags.Peek) == 0)
        {
            _queue.Dequeue();
            _queuedBytes -= datagram.Charge;
            if (_queue.Count == 0)
                _congested = false;
            ContinueDump();
            if (!_congested)
                Waiters.Wake(PollEvents.WriteMask);
        }

        return (request.Flags & MessageFlags.Truncated) != 0 ? length : wanted;
    }

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.WriteMask | PollEvents.WrBand;
        if (Options.PendingError != Errno.None)
            events |= PollEvents.Err;
        if (_queue.Count > 0)
            events |= PollEvents.ReadMask;
        return events;
    }

    // ---- options -------------------------------------------------------------------------------------------------

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value) =>
        level == NetlinkOptions.Level ? _options.Set(task, this, name, value) : Errno.ENOPROTOOPT;

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given) => level == NetlinkOptions.Level ? _options.Get(this, name) : Errno.ENOPROTOOPT;

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        int value;
        switch (request)
        {
            case Fionread:
                value = _queue.TryPeek(out NetlinkDatagram? first) ? first.Bytes.Length : 0;
                break;
            case Siocoutq:
                value = 0;
                break;
            default:
                return base.Ioctl(caller, request, argument);
        }

        return caller.TryWrite(argument, value) ? SyscallResult.Ok : Errno.EFAULT;
    }
}
