using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>A connect that waits: what it says when its time is over.</summary>
[Savable("connect-wait")]
internal sealed partial class ConnectWait : CallState
{
    [Saved(1)] public Errno WhenTimedOut;

    public ConnectWait()
    {
    }
}

/// <summary>A TCP socket (tcp(7)).</summary>
[Savable("tcp-socket")]
internal sealed partial class TcpSocket : InetSocket
{
    /// <summary>enum socket_state of linux/net.h, as far as TCP shows it.</summary>
    private enum Stage : byte
    {
        Unconnected,
        Connecting,
        Connected,
    }

    [Saved(1)] private TcpEndpoint _endpoint;
    [Saved(2)] private Stage _stage;
    [Saved(3)] private bool _tellsQueue;
    [Saved(4)] private int _fastOpenQueue;
    [Saved(5)] private ZeroCopyNotices _notices;

    internal TcpSocket(Task owner, bool isV6, TcpEndpoint endpoint, OpenFlags status)
        : base(owner, isV6, SocketType.Stream, IPPROTO.TCP, status)
    {
        _endpoint = endpoint;
        Attach();
    }

    internal override Endpoint Endpoint => _endpoint;

    internal TcpEndpoint Tcp => _endpoint;

    public override bool IsListening => _endpoint.State == TcpState.Listen;

    internal override bool IsBound => _endpoint.LocalPort != 0;

    internal override InetAddress BoundAddress => _endpoint.LocalAddress;

    internal override InetAddress? ConnectedPeer => HasPeer ? _endpoint.RemoteAddress : null;

    internal override (int Receive, int Send, int Dropped) MemoryInUse => IsListening ? (0, 0, 0) : (_endpoint.Available, _endpoint.SendQueueLength, 0);

    /// <summary>TCP_INQ: each recvmsg tells how much is left.</summary>
    internal bool TellsQueue
    {
        get => _tellsQueue;
        set => _tellsQueue = value;
    }

    /// <summary>TCP_FASTOPEN is kept and given back: fast open itself is left out, which a peer cannot tell from one that knows no cookie.</summary>
    internal int FastOpenQueue
    {
        get => _fastOpenQueue;
        set => _fastOpenQueue = value;
    }

    private bool HasPeer => _endpoint.State is not (TcpState.Closed or TcpState.SynSent or TcpState.Listen);

    internal override void OnOptionsChanged()
    {
        using StackCall call = Enter();
        _endpoint.OnOptionsChanged();
    }

    /// <summary>TCP_QUICKACK, which acts each time it is set.</summary>
    internal void SetQuickAck(bool quick)
    {
        using StackCall call = Enter();
        _endpoint.SetQuickAck(quick);
    }

    // ---- connections ---------------------------------------------------------------------------------------------

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        Errno error = ReadBindAddress(task, address, out InetEndpointAddress place);
        if (error != Errno.None)
            return error;
        if (_endpoint.State != TcpState.Closed || IsBound)
            return Errno.EINVAL;
        using StackCall call = Enter();
        if (place.Scope != 0 && place.Address is { IsV6: true, IsLinkLocal: true })
            Ip.BoundInterface = place.Scope;
        return _endpoint.Bind(place.Address, place.Port);
    }

    public override Errno Listen(Task task, int backlog)
    {
        if (_stage != Stage.Unconnected || _endpoint.State is not (TcpState.Closed or TcpState.Listen))
            return Errno.EINVAL;
        using StackCall call = Enter();
        return _endpoint.Listen((int)Math.Min((uint)backlog, (uint)Network.Stack.Settings.MaxBacklog));
    }

    public override Result<SocketFile> Accept(Task task, OpenFlags status)
    {
        if (!IsListening)
            return Errno.EINVAL;
        using StackCall call = Enter();
        if (_endpoint.Accept() is not { } connection)
            return Errno.EAGAIN;
        var accepted = new TcpSocket(task, IsV6, connection, status)
        {
            _stage = Stage.Connected,
            _tellsQueue = _tellsQueue,
            Ancillary = Ancillary,
        };
        CopyOptionsTo(accepted);
        return accepted;
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address)
    {
        if (address.Length < 2)
            return Errno.EINVAL;
        if (InetEndpointAddress.FamilyOf(address) == AF.Unspec)
            return Disconnect();

        Errno pending = Errno.EALREADY;
        switch (_stage)
        {
            case Stage.Connected:
                return Errno.EISCONN;
            case Stage.Unconnected:
                if (_endpoint.State != TcpState.Closed)
                    return Errno.EISCONN;
                Errno error = ReadPeerAddress(address, takesV4: false, out InetEndpointAddress peer);
                if (error != Errno.None)
                    return error;
                error = Begin(peer);
                if (error is not (Errno.None or Errno.EINPROGRESS))
                    return error;
                _stage = Stage.Connecting;
                pending = Errno.EINPROGRESS;

                // Over loopback the peer has answered by now; as in Linux that is seen by the next call.
                if (IsNonBlocking)
                    return pending;
                break;
            default:
                if (task.Call.State is ConnectWait wait)
                    pending = wait.WhenTimedOut;
                break;
        }

        return Finish(task, pending);
    }

    private SyscallResult Disconnect()
    {
        using StackCall call = Enter();
        Errno error = _endpoint.Disconnect();
        _stage = Stage.Unconnected;
        Waiters.Wake();
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    /// <summary>Sends the SYN. Packets to this host itself are delivered when the call of the stack ends: a connection over loopback is made by then, and
    /// what comes of it must not be missed by a wait that begins later.</summary>
    private Errno Begin(InetEndpointAddress peer)
    {
        InetAddress to = peer.Address;
        if (to.IsAny)
            to = to.IsV4 || BoundAddress is { IsV4: true, IsAny: false } ? InetAddress.LoopbackV4 : InetAddress.LoopbackV6;
        if (peer.Scope != 0 && to is { IsV6: true, IsLinkLocal: true })
        {
            if (Ip.BoundInterface != 0 && Ip.BoundInterface != peer.Scope)
                return Errno.EINVAL;
            Ip.BoundInterface = peer.Scope;
        }

        using StackCall call = Enter();
        return _endpoint.Connect(to, peer.Port);
    }

    /// <summary>The end of connect(2), or its wait for the peer (__inet_stream_connect of Linux).</summary>
    private SyscallResult Finish(Task task, Errno pending)
    {
        if (_endpoint.State is TcpState.SynSent or TcpState.SynReceived)
        {
            if (IsNonBlocking || task.Call.TimedOut)
                return pending;
            task.Call.State ??= new ConnectWait { WhenTimedOut = pending };
            task.WaitOn(Waiters, PollEvents.WriteMask);
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, SendTimeout);
            return task.Block(SendTimeout >= 0 ? InterruptMode.Interrupt : InterruptMode.Restart);
        }

        if (_endpoint.State == TcpState.Closed)
        {
            _stage = Stage.Unconnected;
            Errno error = _endpoint.TakeError();

            // Once connect(2) has told of the failure the socket is as new (inet_stream_connect of Linux).
            using (Enter())
                _endpoint.Disconnect();
            return error == Errno.None ? Errno.ECONNABORTED : error;
        }

        _stage = Stage.Connected;
        return SyscallResult.Ok;
    }

    public override Result<byte[]> GetName() => FormatName(_endpoint.LocalAddress, _endpoint.LocalPort);

    public override Result<byte[]> GetPeerName() => HasPeer ? FormatName(_endpoint.RemoteAddress, _endpoint.RemotePort) : Errno.ENOTCONN;

    /// <summary>Also of a connection that was reset while it waited: accept(2) gives it, and reading it says what happened (inet_getname of Linux).</summary>
    internal override Result<byte[]> GetAcceptedPeerName() => _endpoint.RemotePort != 0 ? FormatName(_endpoint.RemoteAddress, _endpoint.RemotePort) : Errno.ENOTCONN;

    public override Errno Shutdown(int how)
    {
        if (how is < 0 or > 2)
            return Errno.EINVAL;
        using StackCall call = Enter();
        if (_stage == Stage.Connecting && _endpoint.State is not (TcpState.SynSent or TcpState.SynReceived or TcpState.Closed))
            _stage = Stage.Connected;
        Errno error = _endpoint.Shutdown(how != 1, how != 0);
        if (error == Errno.None && _endpoint.State == TcpState.Closed)
            _stage = Stage.Unconnected;

        // Whoever polls or accepts looks again (inet_shutdown wakes everybody).
        Waiters.Wake();
        return error;
    }

    protected override void OnRelease()
    {
        using (Enter())
        {
            // A closed endpoint wakes nobody, but for a close that lingers.
            _endpoint.Close();
            if (LingersOnClose)
                _endpoint.Observer = this;
        }

        base.OnRelease();
    }

    // ---- a close that lingers --------------------------------------------------------------------------------------

    /// <summary>Whether close(2) waits for what has not been acknowledged (SO_LINGER, socket(7)).</summary>
    internal bool LingersOnClose => Ip.Linger > 0 && !IsListening;

    /// <summary>Closed, with bytes or the FIN itself still to be acknowledged (sk_stream_wait_close).</summary>
    internal bool IsLingering => LingersOnClose && _endpoint.State is TcpState.FinWait1 or TcpState.Closing or TcpState.LastAck;

    /// <summary>Nobody waits any more.</summary>
    internal void EndLinger() => _endpoint.Observer = null;

    // ---- bytes ---------------------------------------------------------------------------------------------------

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        const int fastOpen = 0x20000000;
        if ((request.Flags & fastOpen) != 0)
            return Errno.EOPNOTSUPP;
        if (request.Control is { } control)
        {
            Errno wrong = DatagramAncillary.Parse(task, this, control.FindAll(static m => m.Level == SOL.SOCKET), out _, out _);
            if (wrong != Errno.None)
                return wrong;
        }

        using StackCall call = Enter();
        Errno error = _endpoint.CanSend();
        return error == Errno.None ? TcpTransfer.Send(_endpoint, source, request.Flags) : error;
    }

    internal override void OnZeroCopySent()
    {
        if (!HasOption(SO.ZEROCOPY))
            return;
        _notices.Add();
        Waiters.Wake(PollEvents.Err);
    }

    public override PollEvents Poll() => _notices.IsEmpty ? base.Poll() : base.Poll() | PollEvents.Err;

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        if ((request.Flags & MessageFlags.ErrorQueue) != 0)
            return _notices.TryTake(IsV6, request) ? 0L : Errno.EAGAIN;
        using StackCall call = Enter();
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return TcpTransfer.ReceiveUrgent(_endpoint, destination, request);
        bool peek = (request.Flags & MessageFlags.Peek) != 0;
        int skip = peek && HasPeekOffset ? Options.PeekOffset : 0;
        int available = _endpoint.Available - skip;
        if (available <= 0)
        {
            Errno error = _endpoint.CanReceive();
            return error == Errno.None ? 0L : error;
        }

        if (available < LeastToTake(task, destination.Length, request.Flags) && (_endpoint.Poll() & (EndpointEvents.RdHup | EndpointEvents.Err | EndpointEvents.Pri)) == 0)
            return Errno.EAGAIN;
        Result<long> received = TcpTransfer.Receive(_endpoint, destination, request.Flags, skip, available);
        if (received.IsOk && HasPeekOffset)
            Options.PeekOffset = peek ? skip + (int)received.Value : Math.Max(0, Options.PeekOffset - (int)received.Value);
        if (_tellsQueue && request.WantsControl)
            request.Control.Add(new ControlMessage(SOL.TCP, TCP.INQ, SocketOptions.Number(_endpoint.Available)));
        return received;
    }

    // ---- bytes that are not copied -------------------------------------------------------------------------------------

    /// <summary>Sends bytes of a file, read into what the send queue then keeps; 0 at its end. EAGAIN without room.</summary>
    internal Result<long> SendFile(Task task, FileObject source, long position, long most, long size)
    {
        const int largest = 256 * 1024;
        using StackCall call = Enter();
        Errno error = _endpoint.CanSend();
        if (error != Errno.None)
            return error;
        int room = (int)Math.Min(Math.Min(_endpoint.SendRoom, largest), most);
        if (room <= 0)
            return Errno.EAGAIN;
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)Math.Clamp(size - position, 1, room));
        Result<long> got = source.ReadAt(task, new UserBuffer(bytes), position);
        if (got.IsOk && got.Value > 0)
            _endpoint.SendShared(bytes.AsMemory(0, (int)got.Value), TcpTransfer.SendFlags(0, isLast: got.Value == most || position + got.Value >= size));
        return got;
    }

    /// <summary>Sends what is in a pipe, which is not empty; EAGAIN without room.</summary>
    internal Result<long> SendPages(Pipe pipe, long most, bool more)
    {
        using StackCall call = Enter();
        Errno error = _endpoint.CanSend();
        if (error != Errno.None)
            return error;
        long done = 0;
        while (done < most && !pipe.IsEmpty && _endpoint.SendRoom is > 0 and int room)
        {
            ReadOnlyMemory<byte> page = pipe.TakePage((int)Math.Min(room, most - done));
            done += page.Length;
            _endpoint.SendShared(page, TcpTransfer.SendFlags(more ? MessageFlags.More : 0, isLast: done == most || pipe.IsEmpty));
        }

        return done > 0 ? done : Errno.EAGAIN;
    }

    /// <summary>Gives what has come to a pipe that is not full; 0 at the end, EAGAIN when there is nothing.</summary>
    internal Result<long> ReceivePages(Pipe pipe, long most)
    {
        using StackCall call = Enter();
        int available = (int)Math.Min(_endpoint.Available, most);
        if (available == 0)
        {
            // What is there is the urgent byte alone: it ends the call, where a wait would not end (tcp_splice_read).
            Errno error = _endpoint.CanReceive();
            return error == Errno.None || (error == Errno.EAGAIN && !IsNonBlocking && _endpoint.IsUrgentNext) ? 0L : error;
        }

        int done = 0;
        while (done < available && !pipe.IsFull)
        {
            ReadOnlyMemory<byte> piece = _endpoint.Peek(done);
            done += pipe.AddShared(piece[..Math.Min(piece.Length, available - done)]);
        }

        _endpoint.Consume(done);
        return done;
    }

    /// <summary>How many bytes must be there before a read that may wait takes any: SO_RCVLOWAT, and all that a peek with MSG_WAITALL asks for.</summary>
    private long LeastToTake(Task task, long wanted, int flags)
    {
        const int peekAll = MessageFlags.Peek | MessageFlags.WaitAll;
        if (IsNonBlocking || (flags & MessageFlags.DontWait) != 0 || task.CurrentCall is not { TimedOut: false })
            return 1;
        long least = (flags & peekAll) == peekAll ? wanted : Math.Min(wanted, Ip.ReceiveLowWater);

        // More than the buffer holds would never come.
        return Math.Min(least, Ip.ReceiveBuffer / 2);
    }

    // ---- options and requests ------------------------------------------------------------------------------------

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value) =>
        level == SOL.TCP ? TcpSocketOptions.Set(task, this, name, value) : base.SetOption(task, level, name, value);

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given) =>
        level == SOL.TCP ? TcpSocketOptions.Get(this, name) : base.GetOption(task, level, name, given);

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        int value;
        switch (request)
        {
            case SIOC.FIONREAD or SIOC.OUTQ or SIOC.OUTQNSD when IsListening:
                return Errno.EINVAL;
            case SIOC.FIONREAD:
                value = _endpoint.Available;
                break;
            case SIOC.OUTQ:
                value = _endpoint.SendQueueLength;
                break;
            case SIOC.OUTQNSD:
                value = _endpoint.UnsentLength;
                break;
            case SIOC.ATMARK:
                value = _endpoint.IsAtMark ? 1 : 0;
                break;
            case SIOC.GSTAMP_OLD or SIOC.GSTAMPNS_OLD or SIOC.GSTAMP_NEW or SIOC.GSTAMPNS_NEW:
                return Errno.ENOENT;
            default:
                return base.Ioctl(caller, request, argument);
        }

        return caller.TryWrite(argument, value) ? SyscallResult.Ok : Errno.EFAULT;
    }
}
