namespace Netstack.Stack;

/// <summary>All TCP endpoints of a stack and the way from a segment to its endpoint.</summary>
[Savable("tcp-layer")]
public sealed partial class TcpLayer
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private TcpPorts _ports;
    [Saved(3)] private TcpTable _connections;
    [Saved(4)] private Dictionary<TcpTuple, TcpTimeWait> _waiting = [];
    [Saved(5)] private Dictionary<TcpTuple, TcpRequest> _requests = [];
    [Saved(6)] private int _orphans;
    [NotSaved("counts within a second")] private long _challengeSecond;
    [NotSaved("counts within a second")] private int _challenges;
    [NotSaved("empty ones only")] private readonly TcpPools _pools = new();
    [NotSaved("a cache")] private readonly TcpOptionsCache _optionsCache = new();
    [NotSaved("a cache")] private readonly Dictionary<(InetAddress Remote, InetAddress Local, int Interface), TcpRoute> _routes = [];
    [NotSaved("of the cache")] private int _routeGeneration;
    [NotSaved("told when the stack goes on")] private readonly HashSet<TcpEndpoint> _held = [];

    internal TcpLayer(NetworkStack stack)
    {
        _stack = stack;
        _ports = new TcpPorts(this);
        _connections = new TcpTable(stack);
    }

    internal NetworkStack Stack => _stack;

    internal TcpPorts Ports => _ports;

    internal TcpPools Pools => _pools;

    internal TcpOptionsCache OptionsCache => _optionsCache;

    /// <summary>Connections whose socket is closed.</summary>
    public int OrphanCount => _orphans;

    public int TimeWaitCount => _waiting.Count;

    /// <summary>Names that TCP_CONGESTION takes.</summary>
    public static IReadOnlyList<string> CongestionControls => TcpCongestionControl.Available;

    /// <summary>A new endpoint, closed and unbound. Its buffers are those of tcp_rmem and tcp_wmem, unless they were set already.</summary>
    /// <param name="isV6">AF_INET6; takes IPv4 as well unless V6Only.</param>
    /// <param name="options">Its options, from now on its own.</param>
    public TcpEndpoint CreateEndpoint(bool isV6, EndpointOptions options)
    {
        if (!options.ReceiveBufferLocked)
            options.ReceiveBuffer = _stack.Settings.ReceiveBuffer[1];
        if (!options.SendBufferLocked)
            options.SendBuffer = _stack.Settings.SendBuffer[1];
        TcpCongestionControl.TryParse(_stack.Settings.CongestionControl, out TcpCongestionKind kind);
        return new TcpEndpoint(_stack, isV6, options, _optionsCache.Default, kind);
    }

    /// <summary>All endpoints, in no order: listeners, connections, half-open ones and TIME-WAIT (for /proc/net/tcp and sock_diag). The last two are made to be
    /// looked at; nothing can be done with them.</summary>
    public IEnumerable<TcpEndpoint> Endpoints
    {
        get
        {
            foreach (TcpEndpoint listener in _ports.Bound())
            {
                if (listener.State == TcpState.Listen)
                    yield return listener;
            }

            foreach (TcpEndpoint connection in _connections.ToList())
                yield return connection;
            foreach (TcpRequest request in _requests.Values)
                yield return TcpViews.Of(request);
            foreach (TcpTimeWait waiting in _waiting.Values)
                yield return TcpViews.Of(waiting);
        }
    }

    /// <summary>Ends the connections whose own address this stack has no more, as if their peers had reset them. The peers are told nothing: the address may be
    /// another's now, and with it the connections. Listeners stay.</summary>
    public void ResetForeign()
    {
        foreach (TcpRequest request in _requests.Values.ToList())
        {
            if (!_stack.Ip.IsLocal(request.Tuple.Local))
                request.Drop();
        }

        foreach (TcpTimeWait waiting in _waiting.Values.ToList())
        {
            if (!_stack.Ip.IsLocal(waiting.Tuple.Local))
                waiting.Kill();
        }

        foreach (TcpEndpoint connection in _connections.ToList())
        {
            if (!_stack.Ip.IsLocal(connection.LocalAddress))
                TcpClose.Fail(connection, Errno.ECONNRESET);
        }
    }

    /// <summary>Tells the peers of all connections where they stand, after a restore: a peer that was held by a zero window goes on at once.</summary>
    public void Announce()
    {
        foreach (TcpEndpoint connection in _connections.ToList())
        {
            if (connection.State is TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.CloseWait)
                TcpTransmit.SendAck(connection);
        }
    }

    internal void Receive(Packet packet, in IpInfo info)
    {
        StackCounters counters = _stack.Counters;
        counters.TcpSegmentsReceived += packet.SegmentCount;
        if (info.IsGroup || !TryRead(packet, in info, out TcpSegmentIn segment))
            return;
        var tuple = new TcpTuple(info.Destination, segment.Header.DestinationPort, info.Source, segment.Header.SourcePort);
        TcpEndpoint? connection = _connections.Find(in tuple);
        if (connection is not null && connection.Accepts(info.Interface))
        {
            if (!TcpInput.Receive(connection, ref segment))
                TcpReset.Reply(_stack, in segment, in info);
            return;
        }

        uint sequence = 0;
        if (_waiting.Count > 0 && _waiting.TryGetValue(tuple, out TcpTimeWait? waiting))
        {
            if (!waiting.Receive(in segment, in info, out sequence))
                return;
            if (FindListener(in tuple, info.Interface) is null)
            {
                waiting.Acknowledge(in segment, in info);
                return;
            }

            waiting.Kill();
        }

        if (_requests.Count > 0 && _requests.TryGetValue(tuple, out TcpRequest? request))
        {
            request.Receive(ref segment, in info);
            return;
        }

        if (FindListener(in tuple, info.Interface) is not { } listener || !TcpListen.Receive(listener, ref segment, in info, sequence))
            TcpReset.Reply(_stack, in segment, in info);
    }

    /// <summary>A segment for a paused sandbox (<see cref="NetworkStack.IsHeld"/>): one of an established connection is answered with a zero window; nothing that is
    /// saved may change.</summary>
    internal void ReceiveHeld(Packet packet, in IpInfo info)
    {
        if (info.IsGroup || !TryRead(packet, in info, out TcpSegmentIn segment))
            return;
        var tuple = new TcpTuple(info.Destination, segment.Header.DestinationPort, info.Source, segment.Header.SourcePort);
        if (_connections.Find(in tuple) is not { } e || segment.Has(TcpFlags.Rst | TcpFlags.Syn) || e.State is TcpState.SynSent or TcpState.SynReceived)
            return;

        // Only what asks for an answer: data, FIN, and probes of old numbers. Acknowledgments would be answered for ever.
        if (segment.End == segment.Seq && !TcpSequence.Before(segment.Seq, e.Rcv.Nxt))
            return;
        _held.Add(e);
        var options = new TcpHeaderOptions
        {
            HasTimestamp = e.Ext.Timestamps,
            TimestampValue = TcpTransmit.TimestampClock(e) + e.Ext.Offset,
            TimestampEcho = e.Ext.Recent,
        };
        TcpReset.Reply(_stack, in segment, in info, new TcpHeader { Sequence = e.Snd.Nxt, Acknowledgment = e.Rcv.Nxt, Flags = TcpFlags.Ack }, in options);
    }

    /// <summary>The stack is no longer held: peers that were told a zero window are told the true one.</summary>
    internal void OnResumed()
    {
        foreach (TcpEndpoint connection in _held)
            TcpTransmit.SendAck(connection);
        _held.Clear();
    }

    internal void OnError(in TransportError error) => TcpErrors.OnError(this, in error);

    /// <summary>The way between two addresses; connections between the same two share one.</summary>
    internal Result<TcpRoute> FindRoute(InetAddress remote, InetAddress local, int boundInterface)
    {
        const int MaxRoutes = 4096;
        if (_routeGeneration != _stack.Routes.Generation || _routes.Count >= MaxRoutes)
        {
            _routeGeneration = _stack.Routes.Generation;
            _routes.Clear();
        }

        if (_routes.TryGetValue((remote, local, boundInterface), out TcpRoute? known))
            return known;
        Result<Route> found = _stack.Ip.FindRoute(remote, local, boundInterface);
        if (found.IsError)
            return found.Error;
        return _routes[(remote, local, boundInterface)] = new TcpRoute(found.Value);
    }

    internal TcpEndpoint? Find(in TcpTuple tuple) => _connections.Find(in tuple);

    internal TcpRequest? FindRequest(in TcpTuple tuple) => _requests.GetValueOrDefault(tuple);

    internal TcpTimeWait? FindWaiting(in TcpTuple tuple) => _waiting.GetValueOrDefault(tuple);

    internal void Add(TcpEndpoint connection)
    {
        _connections.Add(connection);
        connection.IsInTable = true;
        _ports.Use(connection.LocalPort);
    }

    internal void Remove(TcpEndpoint connection)
    {
        if (!connection.IsInTable)
            return;
        _connections.Remove(connection);
        connection.IsInTable = false;
        _ports.Unuse(connection.LocalPort);
    }

    internal void Add(TcpTimeWait waiting)
    {
        _waiting[waiting.Tuple] = waiting;
        _ports.Use(waiting.LocalPort);
    }

    internal void Remove(TcpTimeWait waiting)
    {
        if (_waiting.Remove(waiting.Tuple))
            _ports.Unuse(waiting.LocalPort);
    }

    internal void Add(TcpRequest request)
    {
        _requests[request.Tuple] = request;
        request.Listener.Listener!.Requests++;
    }

    internal void Remove(TcpRequest request)
    {
        if (_requests.Remove(request.Tuple) && request.Listener.Listener is { } listener)
            listener.Requests--;
    }

    internal void DropRequests(TcpEndpoint listener)
    {
        foreach (TcpRequest request in _requests.Values.Where(r => ReferenceEquals(r.Listener, listener)).ToList())
            request.Drop();
    }

    internal void AddOrphan() => _orphans++;

    internal void ForgetOrphan() => _orphans--;

    internal TcpSegment NewSegment() => _pools.NewSegment();

    /// <summary>A segment has left a connection's queue.</summary>
    internal void Free(TcpEndpoint e, TcpSegment segment)
    {
        e.Snd.Queued -= segment.Length + TcpConstants.SegmentOverhead;
        _pools.Free(segment);
    }

    internal void FreeQueue(TcpEndpoint e)
    {
        if (e.SendQueue is not { } queue)
            return;
        e.SendQueue = null;
        _pools.Free(queue);
    }

    internal void FreeReceiveQueue(TcpEndpoint e)
    {
        if (e.ReceiveQueue is not { } queue)
            return;
        e.ReceiveQueue = null;
        queue.Consume(queue.Length);
        _pools.Free(queue);
    }

    /// <summary>Whether a connection or what is in TIME-WAIT forbids binding to a port. Those bound themselves have been looked at.</summary>
    internal bool HasPortConflict(in TcpPortUser user, ushort port)
    {
        foreach (TcpEndpoint other in _connections.ToList())
        {
            if (other.LocalPort == port && other.Binding is null && user.ConflictsWith(TcpPortUser.Of(other, other.LocalAddress)))
                return true;
        }

        foreach (TcpTimeWait other in _waiting.Values)
        {
            if (other.LocalPort == port && user.ConflictsWith(in other.User))
                return true;
        }

        return false;
    }

    /// <summary>Counts a challenge against the host's limit (RFC 5961 section 7); false when it is used up.</summary>
    internal bool TakeChallenge()
    {
        int limit = _stack.Settings.ChallengeAckLimit;
        if (limit == int.MaxValue)
            return true;
        long second = _stack.Now / TcpConstants.Second;
        if (second != _challengeSecond)
        {
            _challengeSecond = second;

            // Not to be counted from outside (CVE-2016-5696).
            _challenges = (limit / 2) + (int)(_stack.NextRandom() % (uint)Math.Max(1, limit));
        }

        return _challenges-- > 0;
    }

    /// <summary>Reads header and options, and verifies the checksum where nobody has.</summary>
    private bool TryRead(Packet packet, in IpInfo info, out TcpSegmentIn segment)
    {
        segment = default;
        StackCounters counters = _stack.Counters;
        if (!TcpHeader.TryRead(packet.Head, out segment.Header))
        {
            // A header that was cut by fragmentation is in several pieces.
            packet.Flatten();
            if (!TcpHeader.TryRead(packet.Head, out segment.Header))
            {
                counters.TcpReceiveErrors++;
                return false;
            }
        }

        if (packet.Checksum == ChecksumState.Unknown
            && InternetChecksum.Finish(InternetChecksum.Combine(InternetChecksum.PseudoHeader(info.Source, info.Destination, IpProtocol.Tcp, packet.Length), packet.Sum(0))) != 0)
        {
            counters.TcpReceiveErrors++;
            counters.TcpChecksumErrors++;
            return false;
        }

        int length = segment.Header.Length;
        if (length > TcpHeader.MinLength)
            TcpHeaderOptions.Read(packet.Head[TcpHeader.MinLength..length], segment.Has(TcpFlags.Syn), out segment.Options);

        // Nobody here has agreed on signatures (RFC 2385): who sends one is not whom it seems.
        if (segment.Options.HasSignature)
            return false;
        segment.Packet = packet;
        packet.TransportOffset = packet.Start;
        segment.Length = packet.Length - length;
        segment.Tos = info.TypeOfService;
        segment.End = segment.Header.Sequence + (uint)segment.Length + (segment.Has(TcpFlags.Syn) ? 1u : 0) + (segment.Has(TcpFlags.Fin) ? 1u : 0);
        return true;
    }

    /// <summary>The listener that suits best: bound to the address, to the interface, of the family; among equals with SO_REUSEPORT by a hash of the connection.</summary>
    private TcpEndpoint? FindListener(in TcpTuple tuple, NetworkInterface from)
    {
        TcpEndpoint? best = null;
        int bestScore = 0, equals = 0;
        for (TcpPortBinding? binding = _ports.First(tuple.LocalPort); binding is not null; binding = binding.Next)
        {
            int score = Score(binding, in tuple, from);
            if (score > bestScore)
            {
                best = binding.Endpoint;
                bestScore = score;
                equals = 1;
            }
            else if (score == bestScore && score > 0)
            {
                equals++;
            }
        }

        if (equals <= 1 || !best!.Options.ReusePort)
            return best;
        uint chosen = TcpHashes.Table(_stack, tuple.Remote, tuple.RemotePort, tuple.Local, tuple.LocalPort) % (uint)equals;
        for (TcpPortBinding? binding = _ports.First(tuple.LocalPort); binding is not null; binding = binding.Next)
        {
            if (Score(binding, in tuple, from) == bestScore && chosen-- == 0)
                return binding.Endpoint;
        }

        return best;
    }

    private static int Score(TcpPortBinding binding, in TcpTuple tuple, NetworkInterface from)
    {
        TcpEndpoint e = binding.Endpoint;
        if (e.State != TcpState.Listen || !e.Accepts(from))
            return 0;
        int score = 1;
        if (!binding.Address.IsAny)
        {
            if (binding.Address != tuple.Local)
                return 0;
            score += 8;
        }
        else if (tuple.Local.IsV4 ? e.IsV6 && e.Options.V6Only && binding.Address.IsV6 : binding.Address.IsV4)
        {
            return 0;
        }

        score += e.Options.BoundInterface != 0 ? 2 : 0;
        return score + (e.IsV6 == tuple.Local.IsV6 ? 1 : 0);
    }
}
