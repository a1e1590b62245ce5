using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>A datagram as it is to be sent, taken apart.</summary>
internal readonly record struct OutgoingDatagram(byte[] Data, InetEndpointAddress Destination, DatagramControl Control, int SegmentSize);

/// <summary>A socket that moves datagrams (udp(7), raw(7), icmp(7)): receiving with what is told beside the bytes, sending with what is asked beside them.</summary>
[Savable("datagram-socket")]
internal abstract partial class DatagramSocket : InetSocket
{
    [Saved(1)] private long _lastStamp;

    protected DatagramSocket(Task owner, bool isV6, int type, int protocol, OpenFlags status)
        : base(owner, isV6, type, protocol, status)
    {
    }

    internal override Endpoint Endpoint => Datagrams;

    /// <summary>Which looks at MSG_OOB less than the others do, and needs ports.</summary>
    private bool IsUdp => Protocol is IPPROTO.UDP or IPPROTO.UDPLITE && Type == SocketType.Datagram;

    /// <summary>The endpoint.</summary>
    protected abstract DatagramEndpoint Datagrams { get; }

    internal override bool IsBound => Datagrams.LocalPort != 0 || !Datagrams.LocalAddress.IsAny;

    internal override InetAddress BoundAddress => Datagrams.LocalAddress;

    internal override InetAddress? ConnectedPeer => Datagrams.IsConnected ? Datagrams.RemoteAddress : null;

    internal override (int Receive, int Send, int Dropped) MemoryInUse => (Datagrams.QueuedBytes, 0, Datagrams.Dropped);

    internal override Errno SetFilter(byte[]? program) => program is null && !Datagrams.HasFilter ? Errno.ENOENT : Datagrams.SetFilter(program);

    internal override void ClearErrors()
    {
        while (Datagrams.ReceiveError(peek: false) is not null)
        {
        }
    }

    public override bool WritesInFull => false;

    // ---- names and connections -----------------------------------------------------------------------------------

    protected abstract Errno BindTo(InetEndpointAddress address);

    protected abstract Errno ConnectTo(InetEndpointAddress address);

    protected abstract Errno Disconnect();

    protected abstract Errno ShutDown(bool receive, bool send);

    protected abstract Errno Transmit(in OutgoingDatagram datagram);

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        Errno error = ReadBindAddress(task, address, out InetEndpointAddress place);
        if (error != Errno.None)
            return error;
        using StackCall call = Enter();
        if (place.Scope != 0 && place.Address is { IsV6: true, IsLinkLocal: true })
        {
            if (Ip.BoundInterface != 0 && Ip.BoundInterface != place.Scope)
                return Errno.EINVAL;
            Ip.BoundInterface = place.Scope;
        }

        return BindTo(place);
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address)
    {
        if (address.Length < 2)
            return Errno.EINVAL;
        using StackCall call = Enter();
        Errno error;
        if (InetEndpointAddress.FamilyOf(address) == AF.Unspec)
        {
            error = Disconnect();
        }
        else
        {
            error = ReadPeerAddress(address, takesV4: true, out InetEndpointAddress peer);
            if (error == Errno.ENETUNREACH)
                error = Errno.EAFNOSUPPORT;
            if (error == Errno.None)
                error = ConnectTo(peer);
        }

        return error == Errno.None ? SyscallResult.Ok : error;
    }

    public override Result<byte[]> GetName() => FormatName(Datagrams.LocalAddress, Datagrams.LocalPort);

    public override Result<byte[]> GetPeerName() => Datagrams.IsConnected ? FormatName(Datagrams.RemoteAddress, Datagrams.RemotePort) : Errno.ENOTCONN;

    public override Errno Shutdown(int how)
    {
        if (how is < 0 or > 2)
            return Errno.EINVAL;
        using StackCall call = Enter();
        Errno error = ShutDown(how != 1, how != 0);
        Waiters.Wake();
        return error;
    }

    protected override void OnRelease()
    {
        using (Enter())
        {
            Endpoint.Observer = null;
            Endpoint.Close();
        }

        base.OnRelease();
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    /// <summary>The longest datagram.</summary>
    private const int MaxLength = 65535;

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0 && !(IsUdp && IsV6))
            return Errno.EOPNOTSUPP;
        if (source.Length > MaxLength)
            return Errno.EMSGSIZE;
        InetEndpointAddress destination = default;
        if (request.Address is { } address)
        {
            Errno named = ReadDestination(address, out destination);
            if (named != Errno.None)
                return named;
        }
        else if (!Datagrams.IsConnected)
        {
            return Errno.EDESTADDRREQ;
        }

        DatagramControl control = default;
        int segmentSize = 0;
        Errno error = request.Control is null ? Errno.None : DatagramAncillary.Parse(task, this, request.Control, out control, out segmentSize);
        if (request.Control is null)
            control = new DatagramControl();
        if (error != Errno.None)
            return error;
        if (control.InterfaceIndex == 0 && UnicastInterface != 0 && Ip.BoundInterface == 0)
            control = control with { InterfaceIndex = UnicastInterface };
        byte[] data = GC.AllocateUninitializedArray<byte>((int)source.Length);
        if (source.CopyIn(data) < data.Length)
            return Errno.EFAULT;
        error = Datagrams.TakeError();
        if (error != Errno.None)
            return error;
        using StackCall call = Enter();
        error = Submit(new OutgoingDatagram(data, destination, control, segmentSize), request.Flags);
        return error == Errno.None ? data.Length : error;
    }

    /// <summary>Sends a datagram, or keeps it for more to come (MSG_MORE).</summary>
    protected virtual Errno Submit(in OutgoingDatagram datagram, int flags) => Transmit(datagram);

    /// <summary>The address of a send: a socket of AF_INET6 takes sockaddr_in as well, and sends AF_UNSPEC to its peer.</summary>
    private Errno ReadDestination(ReadOnlySpan<byte> address, out InetEndpointAddress destination)
    {
        destination = default;
        if (InetEndpointAddress.FamilyOf(address) == AF.Unspec && IsV6)
            return Datagrams.IsConnected ? Errno.None : Errno.EDESTADDRREQ;
        Errno error = ReadPeerAddress(address, takesV4: true, out destination);
        if (error != Errno.None)
            return error;
        if (destination.Port == 0 && IsUdp)
            return Errno.EINVAL;

        // An unspecified destination is this host (ip(7)).
        if (destination.Address.IsAny)
            destination = destination with { Address = destination.Address.IsV4 ? InetAddress.LoopbackV4 : InetAddress.LoopbackV6 };
        return Errno.None;
    }

    // ---- receiving -----------------------------------------------------------------------------------------------

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0 && !IsUdp)
            return Errno.EOPNOTSUPP;
        if ((request.Flags & MessageFlags.ErrorQueue) != 0)
            return ReceiveError(destination, request);
        Errno error = Datagrams.TakeError();
        if (error != Errno.None)
            return error;
        bool peek = (request.Flags & MessageFlags.Peek) != 0;
        int skip = PeekOffset(peek);
        Datagram? datagram = Datagrams.Receive(peek: true);
        if (datagram is null)
            return (Poll() & PollEvents.RdHup) != 0 ? 0L : Errno.EAGAIN;
        ReadOnlySpan<byte> bytes = datagram.Data.AsSpan(Math.Min(skip, datagram.Data.Length));
        int wanted = (int)Math.Min(bytes.Length, destination.Length);
        int copied = destination.CopyOut(bytes[..wanted]);
        if (!peek)
            Datagrams.Receive(peek: false);
        if (copied < wanted)
            return Errno.EFAULT;
        MovePeekOffset(peek, copied, datagram.Data.Length);
        SocketStamps.Note(this, ref _lastStamp, datagram.Realtime);
        Describe(datagram, request);
        if (wanted < bytes.Length)
            request.ResultFlags |= MessageFlags.Truncated;
        return (request.Flags & MessageFlags.Truncated) != 0 ? bytes.Length : wanted;
    }

    /// <summary>What is told of a datagram beside its bytes.</summary>
    protected virtual void Describe(Datagram datagram, ReceiveRequest request)
    {
        request.Address = FormatName(datagram.Source, datagram.SourcePort, datagram.InterfaceIndex);
        if (request.WantsControl)
            DatagramAncillary.Describe(this, datagram, Datagrams.Dropped, request);
    }

    /// <summary>recvmsg with MSG_ERRQUEUE: what was sent, where to, and what became of it (ip(7), IP_RECVERR).</summary>
    private Result<long> ReceiveError(in UserBuffer destination, ReceiveRequest request)
    {
        Datagram? entry = Datagrams.ReceiveError(peek: false);
        if (entry is null)
            return Errno.EAGAIN;

        // The pending error was this one (sock_dequeue_err_skb).
        if (!Datagrams.HasErrors)
            Datagrams.TakeError();
        int wanted = (int)Math.Min(entry.Data.Length, destination.Length);
        if (destination.CopyOut(entry.Data.AsSpan(0, wanted)) < wanted)
            return Errno.EFAULT;
        request.Address = FormatName(entry.Destination, entry.DestinationPort, entry.InterfaceIndex);
        request.ResultFlags |= MessageFlags.ErrorQueue;
        if (wanted < entry.Data.Length)
            request.ResultFlags |= MessageFlags.Truncated;
        if (request.WantsControl)
            DatagramAncillary.DescribeError(this, entry, request);
        return wanted;
    }

    private int PeekOffset(bool peek) => peek && HasPeekOffset ? Options.PeekOffset : 0;

    /// <summary>SO_PEEK_OFF: a peek moves it forward, a read back by what it took; a datagram is taken whole.</summary>
    private void MovePeekOffset(bool peek, int copied, int length)
    {
        if (!HasPeekOffset)
            return;
        Options.PeekOffset = peek ? Options.PeekOffset + copied : Math.Max(0, Options.PeekOffset - length);
    }

    // ---- ioctl ---------------------------------------------------------------------------------------------------

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        switch (request)
        {
            case SIOC.FIONREAD:
                return caller.TryWrite(argument, Math.Max(0, Datagrams.NextLength)) ? SyscallResult.Ok : Errno.EFAULT;
            case SIOC.OUTQ:
                return caller.TryWrite(argument, 0) ? SyscallResult.Ok : Errno.EFAULT;
            case SIOC.GSTAMP_OLD or SIOC.GSTAMPNS_OLD or SIOC.GSTAMP_NEW or SIOC.GSTAMPNS_NEW:
                return SocketStamps.Answer(caller, ref _lastStamp, request, argument);
            default:
                return base.Ioctl(caller, request, argument);
        }
    }
}
