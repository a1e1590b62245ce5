namespace Netstack.Stack;

/// <summary>TCP (RFC 9293). All calls are made between Enter and Leave of the stack. The fields are the transmission control block; what is done with
/// them stands in the classes beside this one, by concern.</summary>
[Savable("tcp-endpoint")]
public sealed partial class TcpEndpoint : Endpoint, IStackTimerTarget, IAfterLoad
{
    [Saved(1)] private bool _isV6;
    [Saved(2)] private TcpOptions _tcpOptions;
    [Saved(3)] private TcpState _state = TcpState.Closed;
    [Saved(4)] private InetAddress _localAddress;
    [Saved(5)] private InetAddress _remoteAddress;
    [Saved(6)] private ushort _localPort;
    [Saved(7)] private ushort _remotePort;
    [Saved(8)] internal TcpSendState Snd;
    [Saved(9)] internal TcpReceiveState Rcv;
    [Saved(10)] internal TcpRtt Rtt;
    [Saved(11)] internal TcpCongestionState Cong;
    [Saved(12)] internal TcpRackState Rack;
    [Saved(13)] internal TcpDelayedAckState Ack = new();
    [Saved(14)] internal TcpExtensions Ext;
    [Saved(15)] internal TcpStatistics Stat;
    [Saved(16)] internal TcpRateState Rate;

    // Made when they are needed.
    [Saved(17)] private TcpLossRecovery? _loss;
    [Saved(18)] internal TcpSendQueue? SendQueue;
    [Saved(19)] internal TcpReceiveQueue? ReceiveQueue;
    [Saved(20)] internal TcpReassembly? Reassembly;
    [Saved(21)] internal TcpUrgent? UrgentIn;
    [Saved(22)] internal TcpCubic? Cubic;
    [Saved(23)] internal TcpMtuProbe? Probing;
    [Saved(24)] internal TcpListener? Listener;

    /// <summary>A claim on the local port by bind; null for ports that came with a connection.</summary>
    [Saved(25)] internal TcpPortBinding? Binding;

    [Saved(26)] internal TcpEndpoint? NextInTable;
    [Saved(27)] internal bool IsInTable;
    [Saved(28)] internal TcpShutdown Shut;

    /// <summary>The socket is closed.</summary>
    [Saved(29)] internal bool IsOrphan;

    /// <summary>The peer's FIN has come.</summary>
    [Saved(30)] internal bool IsDone;

    /// <summary>Somebody waits for room in the send buffer.</summary>
    [Saved(31)] internal bool NoSpace;

    [Saved(32)] internal TcpCongestionKind CongestionKind;
    [Saved(33)] internal bool IsCorked;
    [Saved(34)] internal TcpSendTimer SendTimer;
    [Saved(35)] internal byte Retransmits;
    [Saved(36)] internal byte Backoff;
    [Saved(37)] internal byte ProbesOut;
    [Saved(38)] internal long SendDeadline = TcpConstants.Never;
    [Saved(39)] internal long KeepDeadline = TcpConstants.Never;
    [Saved(40)] internal long ProbesSince;

    /// <summary>The last error that ends nothing by itself.</summary>
    [Saved(41)] internal Errno SoftError;

    /// <summary>Interface of a link-local peer.</summary>
    [Saved(42)] internal int ScopeInterface;

    /// <summary>TCP_QUICKACK as it was last acted on.</summary>
    [Saved(43)] private bool _quickAckSet = true;

    [NotSaved("looked up again")] private TcpRoute? _route;
    [NotSaved("within one call")] internal bool IsWriting;
    [NotSaved("armed again from the deadlines")] private StackTimer? _timer;

    internal TcpEndpoint(NetworkStack stack, bool isV6, EndpointOptions options, TcpOptions tcpOptions, TcpCongestionKind kind)
        : base(stack, options)
    {
        _isV6 = isV6;
        _tcpOptions = tcpOptions;
        _localAddress = _remoteAddress = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        CongestionKind = kind;
        Reset();
    }

    public bool IsV6 => _isV6;

    public TcpState State
    {
        get => _state;
        internal set => _state = value;
    }

    /// <summary>Unspecified until bound or connected.</summary>
    public InetAddress LocalAddress
    {
        get => _localAddress;
        internal set => _localAddress = value;
    }

    /// <summary>0 until bound.</summary>
    public ushort LocalPort
    {
        get => _localPort;
        internal set => _localPort = value;
    }

    public InetAddress RemoteAddress
    {
        get => _remoteAddress;
        internal set => _remoteAddress = value;
    }

    public ushort RemotePort
    {
        get => _remotePort;
        internal set => _remotePort = value;
    }

    /// <summary>TCP_*: what the options of tcp(7) set.</summary>
    public TcpOptions TcpOptions => _tcpOptions;

    /// <summary>Other options of tcp(7); what takes effect at once does so with <see cref="OnOptionsChanged"/>.</summary>
    public void SetOptions(TcpOptions options) => _tcpOptions = Layer.OptionsCache.Share(options);

    /// <summary>TCP_MAXSEG as getsockopt shows it: that of the connection, also when it has ended, or the one that was set.</summary>
    public int MaxSegment => _state is TcpState.Closed or TcpState.Listen && _tcpOptions.MaxSegment > 0 ? _tcpOptions.MaxSegment : Snd.Mss;

    /// <summary>The largest window that may be offered: 0 before there is a connection.</summary>
    public int WindowClamp => _state is TcpState.Closed or TcpState.Listen ? 0 : (int)Rcv.Clamp;

    /// <summary>TCP_QUICKACK as getsockopt shows it.</summary>
    public bool IsQuickAck => !Ack.IsPingPong;

    /// <summary>TCP_CONGESTION as getsockopt shows it.</summary>
    public string CongestionControl => TcpCongestionControl.NameOf(CongestionKind);

    /// <summary>State of loss recovery, made when there is none: who only looks asks <see cref="HasLost"/> first.</summary>
    internal TcpLossRecovery Loss => _loss ??= new TcpLossRecovery();

    internal bool HasLost => _loss is not null;

    internal TcpLayer Layer => Stack.Tcp;

    internal long Now => Stack.Now;

    /// <summary>The way to the peer; only after <see cref="TryRoute"/>.</summary>
    internal ref readonly Route Route => ref _route!.Value;

    internal TcpTuple Tuple => new(_localAddress, _localPort, _remoteAddress, _remotePort);

    internal int BoundInterface => Options.BoundInterface != 0 ? Options.BoundInterface : ScopeInterface;

    /// <summary>The address that bind gave, or the unspecified one.</summary>
    internal InetAddress BoundAddress => Binding?.Address ?? (_isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4);

    internal TcpNagle Nagle => (_tcpOptions.NoDelay ? TcpNagle.Off : TcpNagle.On) | (_tcpOptions.Cork ? TcpNagle.Cork : TcpNagle.On);

    /// <summary>Timeouts of a half-open connection for which TCP_DEFER_ACCEPT waits for data.</summary>
    internal int DeferredTimeouts
    {
        get
        {
            int count = 0;
            for (long passed = 0, step = 1; passed < _tcpOptions.DeferAccept && count < byte.MaxValue; passed += step, step = Math.Min(step << 1, TcpConstants.MaxRtoUs / 1_000_000))
                count++;
            return count;
        }
    }

    /// <summary>An option of <see cref="TcpOptions"/> or <see cref="Endpoint.Options"/> was changed: acts on what takes effect at once (NoDelay and Cork send what waits,
    /// KeepAlive and the keepalive times arm or disarm the timer, QuickAck acknowledges, buffers change the window, congestion control is exchanged).</summary>
    public void OnOptionsChanged()
    {
        if (_tcpOptions.Congestion is { } name && TcpCongestionControl.TryParse(name, out TcpCongestionKind kind) && kind != CongestionKind)
        {
            CongestionKind = kind;
            TcpCongestionControl.Initialize(this);
        }

        if (_state is TcpState.Closed or TcpState.Listen)
            return;
        if (_tcpOptions.QuickAck != _quickAckSet)
            SetQuickAck(_tcpOptions.QuickAck);
        if (_tcpOptions.WindowClamp > 0)
        {
            Rcv.Clamp = (uint)_tcpOptions.WindowClamp;
            Rcv.SoftLimit = Math.Min(Rcv.SoftLimit, Rcv.Clamp);
        }

        if (_tcpOptions.NoDelay || (IsCorked && !_tcpOptions.Cork))
        {
            if (SendQueue is { HasUnsent: true })
                TcpOutput.Push(this, TcpMss.Current(this), _tcpOptions.NoDelay ? TcpNagle.Push : Nagle);
        }

        IsCorked = _tcpOptions.Cork;
        TcpKeepAlive.Update(this);
        TcpSendBuffer.CheckSpace(this);
    }

    /// <summary>TCP_QUICKACK: acknowledges what waits at once, or goes back to delaying.</summary>
    public void SetQuickAck(bool quick)
    {
        _quickAckSet = quick;
        if (_tcpOptions.QuickAck != quick)
            SetOptions(_tcpOptions with { QuickAck = quick });
        TcpDelayedAck.SetQuick(this, quick);
    }

    // ---- connections ---------------------------------------------------------------------------------------------

    /// <summary>Port 0 chooses one. EINVAL when bound already, EADDRINUSE, EADDRNOTAVAIL.</summary>
    public Errno Bind(InetAddress address, ushort port) => TcpOpen.Bind(this, address, port);

    /// <summary>Also changes the backlog of a listener.</summary>
    public Errno Listen(int backlog) => TcpOpen.Listen(this, backlog);

    /// <summary>The oldest established connection that has not been accepted; null when there is none. It has no observer yet.</summary>
    public TcpEndpoint? Accept() => Listener is { } listener && listener.Waiting.TryDequeue(out TcpEndpoint? accepted) ? accepted : null;

    /// <summary>Begins to connect: EINPROGRESS when the SYN is on its way; the end is told by <see cref="EndpointEvents.Out"/> and the pending error.
    /// EISCONN, EALREADY, EADDRINUSE, EADDRNOTAVAIL (no port left), ENETUNREACH; ECONNREFUSED at once on loopback is told by the pending error too.</summary>
    /// <param name="scope">Interface of a link-local address; 0 for that of SO_BINDTODEVICE.</param>
    public Errno Connect(InetAddress address, ushort port, int scope = 0) => TcpOpen.Connect(this, address, port, scope);

    /// <summary>connect(2) with AF_UNSPEC: aborts a connection and makes the endpoint new.</summary>
    public Errno Disconnect() => TcpOpen.Disconnect(this);

    /// <summary>Ends the connection with a reset and leaves an error to be told (SOCK_DESTROY of sock_diag(7)).</summary>
    public void Abort(Errno error)
    {
        if (_state == TcpState.Closed)
            return;
        if (_state == TcpState.Listen)
        {
            TcpOpen.Disconnect(this);
            return;
        }

        SetError(error);
        TcpClose.Abort(this);
    }

    /// <summary>ENOTCONN where there is no connection. Shutting a listener for reading ends listening.</summary>
    public Errno Shutdown(bool receive, bool send) => TcpOpen.ShutDown(this, receive, send);

    public override void Close() => TcpClose.Close(this);

    public override EndpointEvents Poll()
    {
        if (_state == TcpState.Listen)
            return Listener!.Waiting.Count > 0 ? EndpointEvents.In : EndpointEvents.None;
        EndpointEvents events = PendingError != Errno.None ? EndpointEvents.Err : EndpointEvents.None;
        if (Shut == TcpShutdown.Both || _state == TcpState.Closed)
            events |= EndpointEvents.Hup;
        if ((Shut & TcpShutdown.Receive) != 0)
            events |= EndpointEvents.In | EndpointEvents.RdHup;
        if (_state is TcpState.SynSent or TcpState.SynReceived)
            return events;
        if (IsReadable)
            events |= EndpointEvents.In;
        if ((Shut & TcpShutdown.Send) != 0 || TcpSendBuffer.IsWriteable(this))
            events |= EndpointEvents.Out;
        else
            NoSpace = true;
        if (UrgentIn is { State: TcpUrgentState.Valid })
            events |= EndpointEvents.Pri;
        return events;
    }

    // ---- sending -------------------------------------------------------------------------------------------------

    /// <summary>Whether bytes may be sent at all: EPIPE after shutdown, reset, and without a connection, EAGAIN while connecting; takes the pending error.</summary>
    public Errno CanSend()
    {
        if (PendingError != Errno.None && (_state is not (TcpState.Established or TcpState.CloseWait) || (Shut & TcpShutdown.Send) == 0))
            return TakeError();
        if (_state is TcpState.SynSent or TcpState.SynReceived)
            return (Shut & TcpShutdown.Send) != 0 ? Errno.EPIPE : Errno.EAGAIN;
        return _state is TcpState.Established or TcpState.CloseWait && (Shut & TcpShutdown.Send) == 0 ? Errno.None : Errno.EPIPE;
    }

    /// <summary>Bytes that the send buffer has room for before the next segment is begun: call it again after each commit.</summary>
    public int SendRoom => TcpSendBuffer.Room(this);

    /// <summary>Room for up to <paramref name="length"/> bytes at the end of the send queue, perhaps less; the caller fills it from the front and commits.</summary>
    public Span<byte> PrepareSend(int length) => Layer.Pools.Prepare(length);

    /// <summary>The first <paramref name="count"/> bytes of the prepared room are to be sent.</summary>
    public void CommitSend(int count, TcpSendFlags flags) => TcpSendBuffer.Take(this, Layer.Pools.Take(count), flags);

    /// <summary>Adds a piece that nobody will change (sendfile, splice) without copying it; the whole piece is taken.</summary>
    public void SendShared(ReadOnlyMemory<byte> piece, TcpSendFlags flags) => TcpSendBuffer.Take(this, piece, flags);

    /// <summary>Bytes not yet acknowledged, sent or not (SIOCOUTQ), and bytes not yet sent (SIOCOUTQNSD).</summary>
    public int SendQueueLength => _state is TcpState.SynSent or TcpState.SynReceived or TcpState.Closed ? 0 : (int)(Snd.WriteSeq - Snd.Una);

    public int UnsentLength => _state is TcpState.SynSent or TcpState.SynReceived or TcpState.Closed ? 0 : (int)(Snd.WriteSeq - Snd.Nxt);

    // ---- receiving -----------------------------------------------------------------------------------------------

    /// <summary>Bytes that can be read now, up to the urgent mark when there is one ahead.</summary>
    public int Available => UrgentIn is null ? ReceiveQueue?.Length ?? 0 : TcpUrgentInput.Available(this);

    /// <summary>The peer has sent its FIN and all bytes before it have been read, or receiving was shut down: read returns 0.</summary>
    public bool IsAtEnd => (Shut & TcpShutdown.Receive) != 0 && Available == 0;

    /// <summary>What a read that finds no bytes says: 0 bytes at the end is None, EAGAIN, ENOTCONN, or the pending error, which it takes.</summary>
    public Errno CanReceive()
    {
        if (Available > 0 || IsDone)
            return Errno.None;
        if (PendingError != Errno.None)
            return TakeError();
        if ((Shut & TcpShutdown.Receive) != 0)
            return Errno.None;
        return _state is TcpState.Closed or TcpState.Listen ? Errno.ENOTCONN : Errno.EAGAIN;
    }

    /// <summary>The contiguous bytes at <paramref name="offset"/> (below <see cref="Available"/>) of what can be read.</summary>
    public ReadOnlyMemory<byte> Peek(int offset)
    {
        if (ReceiveQueue is null)
            return default;
        if (UrgentIn is null)
            return ReceiveQueue.Peek(offset);
        int available = Available;
        ReadOnlyMemory<byte> piece = ReceiveQueue.Peek(offset + TcpUrgentInput.Skip(this));
        return piece.Length > available - offset ? piece[..(available - offset)] : piece;
    }

    /// <summary>Takes bytes off the front; the window opens.</summary>
    public void Consume(int count)
    {
        if (ReceiveQueue is null)
            return;
        int taken = count + (UrgentIn is null ? 0 : TcpUrgentInput.Skip(this));
        ReceiveQueue.Consume(taken);
        Rcv.Copied += (uint)taken;
        if (UrgentIn is { } urgent && TcpSequence.After(Rcv.Copied, urgent.Seq))
            UrgentIn = null;
        if (ReceiveQueue.Length == 0)
            Layer.FreeReceiveQueue(this);
        TcpReceiveWindow.Tune(this);
        if (_state != TcpState.Closed)
            TcpReceiveWindow.OnRead(this, taken);
    }

    /// <summary>recv with MSG_OOB: the urgent byte; EINVAL when there is none or it is inline, EAGAIN when it has not come yet.</summary>
    public Errno ReceiveUrgent(bool peek, out byte value) => TcpUrgentInput.Read(this, peek, out value);

    /// <summary>SIOCATMARK.</summary>
    public bool IsAtMark => TcpUrgentInput.IsAtMark(this);

    /// <summary>The urgent byte has come and is next: nothing is read past it by calls that do not skip it.</summary>
    public bool IsUrgentNext => TcpUrgentInput.Skip(this) > 0;

    // ---- telling -------------------------------------------------------------------------------------------------

    /// <summary>struct tcp_info in its full present length.</summary>
    public byte[] GetInfo() => TcpInfo.Write(this);

    /// <summary>Timer for /proc/net/tcp: 0 none, 1 retransmit, 2 keepalive, 3 TIME-WAIT, 4 zero-window probe; when it expires (ns from now) and retries.</summary>
    public (byte Kind, long Remaining, int Retries) ShownTimer => TcpInfo.Timer(this);

    /// <summary>Of a listener: connections that wait to be accepted, and the backlog.</summary>
    public (int Waiting, int Backlog) AcceptQueue => Listener is { } listener ? (listener.Waiting.Count, listener.Backlog) : (0, 0);

    void IStackTimerTarget.OnTimer(StackTimer timer) => TcpTimers.OnTimer(this);

    void IAfterLoad.AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            Rearm();
    }

    private bool IsReadable
    {
        get
        {
            int queued = ReceiveQueue?.Length ?? 0;
            if (queued == 0)
                return false;
            int target = Math.Max(1, Options.ReceiveLowWater) + (TcpUrgentInput.IsAtMark(this) && !Options.OutOfBandInline ? 1 : 0);
            return queued >= target || Rcv.Left < Ack.Mss || TcpReceiveWindow.Space(this) < Ack.Mss;
        }
    }

    // ---- inside the stack ----------------------------------------------------------------------------------------

    /// <summary>All is well again, or begins: nothing of earlier losses counts.</summary>
    internal void ForgetLosses() => _loss = null;

    internal void SetError(Errno error) => PendingError = error;

    /// <summary>Tells the socket of data, once there is as much as it wants.</summary>
    internal void NotifyData()
    {
        if (Observer is not null && (IsReadable || IsDone))
            Notify(EndpointEvents.In);
    }

    /// <summary>Whether packets by an interface are for this endpoint.</summary>
    internal bool Accepts(NetworkInterface from) => BoundInterface == 0 || BoundInterface == from.Index;

    internal void ConfirmReachability()
    {
        if (_route is not null)
            Stack.Ip.ConfirmReachability(in _route.Value);
    }

    /// <summary>Finds the way to the peer, anew when routes have changed; false, and why, when there is none.</summary>
    internal bool TryRoute(out Errno error)
    {
        error = Errno.None;
        if (_route is not null && _route.Value.Generation == Stack.Routes.Generation)
            return true;
        Result<TcpRoute> found = Layer.FindRoute(_remoteAddress, _localAddress, BoundInterface);
        error = found.Error;
        if (found.IsOk)
            _route = found.Value;
        return found.IsOk;
    }

    /// <summary>The next packet looks for another way.</summary>
    internal void ForgetRoute() => _route = null;

    /// <summary>What is out of window is answered only so often (RFC 5961 section 7).</summary>
    internal bool MayAnswerInvalid()
    {
        if (Ack.LastInvalid != long.MinValue && Now - Ack.LastInvalid < TcpConstants.InvalidReplyInterval)
            return false;
        Ack.LastInvalid = Now;
        return true;
    }

    internal void DropEmptyReassembly()
    {
        if (Reassembly is { IsEmpty: true, HasDuplicate: false })
            Reassembly = null;
    }

    internal void WakeAt(long deadline)
    {
        _timer ??= new StackTimer(this);
        if (!_timer.IsArmed || deadline < _timer.Deadline)
            Stack.Timers.Arm(_timer, deadline);
    }

    /// <summary>Arms the timer for what is due first; an idle connection has none.</summary>
    internal void Rearm()
    {
        if (_state is TcpState.Closed or TcpState.Listen)
        {
            CancelTimer();
            return;
        }

        long deadline = Math.Min(Math.Min(SendDeadline, KeepDeadline), Ack.Deadline);
        if (deadline == TcpConstants.Never)
            CancelTimer();
        else
            WakeAt(deadline);
    }

    internal void CancelTimer()
    {
        if (_timer is null)
            return;
        Stack.Timers.Cancel(_timer);
        _timer = null;
    }

    /// <summary>Nobody refers to it any more.</summary>
    internal void Release()
    {
        Layer.Remove(this);
        Layer.Ports.Release(this);
        TcpTimers.ClearAll(this);
    }

    /// <summary>The state of an endpoint that has never been connected.</summary>
    internal void Reset()
    {
        Snd = new TcpSendState { WriteSeq = 0, MssClamp = TcpConstants.DefaultMss, Mss = TcpConstants.DefaultMss };
        Rcv = default;
        Rtt = new TcpRtt { RtoUs = TcpConstants.InitialRtoUs };
        Cong = new TcpCongestionState { Window = TcpConstants.InitialWindow, Threshold = TcpConstants.InfiniteThreshold, Reordering = Stack.Settings.Reordering };
        Rack = new TcpRackState { Steps = 1 };
        Ack = new TcpDelayedAckState();
        Ext = default;
        Stat = default;
        Rate = default;
        _loss = null;
        UrgentIn = null;
        Cubic = null;
        Probing = null;
        Reassembly = null;
        Shut = TcpShutdown.None;
        IsDone = NoSpace = false;
        Retransmits = Backoff = ProbesOut = 0;
        ProbesSince = 0;
        SoftError = Errno.None;
    }
}
