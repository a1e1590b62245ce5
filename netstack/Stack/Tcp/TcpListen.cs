namespace Netstack.Stack;

/// <summary>What only a listener has: half-open connections are in the layer's table, complete ones wait here.</summary>
[Savable("tcp-listener")]
internal sealed partial class TcpListener
{
    [Saved(1)] public int Backlog;
    [Saved(2)] public Queue<TcpEndpoint> Waiting = new();

    /// <summary>Half-open connections.</summary>
    [Saved(3)] public int Requests;

    /// <summary>When a cookie was last sent; 0 for never.</summary>
    [Saved(4)] public long CookieAt;

    public TcpListener()
    {
    }
}

/// <summary>Passive opens: SYNs, their answers, the queues, and completed handshakes (RFC 9293 section 3.10.7.2).</summary>
internal static class TcpListen
{
    public static bool IsAcceptQueueFull(TcpEndpoint listener) => listener.Listener!.Waiting.Count > listener.Listener.Backlog;

    /// <summary>A segment for a listener that belongs to no half-open connection. False: it is to be answered with a reset.</summary>
    /// <param name="listener">Whose it is.</param>
    /// <param name="segment">The segment.</param>
    /// <param name="info">Where it came from.</param>
    /// <param name="sequence">Where a connection in TIME-WAIT was taken over: the sequence number to begin with; else 0.</param>
    public static bool Receive(TcpEndpoint listener, ref TcpSegmentIn segment, in IpInfo info, uint sequence)
    {
        if (segment.Has(TcpFlags.Rst))
            return true;
        if (segment.Has(TcpFlags.Ack))
            return TcpSynCookies.Receive(listener, ref segment, in info);
        if (segment.Has(TcpFlags.Syn) && !segment.Has(TcpFlags.Fin) && !info.IsGroup)
            OnSyn(listener, in segment, in info, sequence);
        return true;
    }

    /// <summary>Sends SYN and ACK for a half-open connection.</summary>
    public static bool SendAnswer(TcpRequest request)
    {
        TcpEndpoint listener = request.Listener;
        NetworkStack stack = listener.Stack;
        TcpTuple tuple = request.Tuple;
        Result<Route> route = stack.Ip.FindRoute(tuple.Remote, tuple.Local, request.InterfaceIndex);
        if (route.IsError)
            return false;
        TcpHeaderOptions options = request.MakeOptions(true);
        var header = new TcpHeader
        {
            SourcePort = tuple.LocalPort,
            DestinationPort = tuple.RemotePort,
            Sequence = request.Sequence,
            Acknowledgment = request.PeerSequence + 1,
            Flags = TcpFlags.Syn | TcpFlags.Ack | (request.Ecn ? TcpFlags.Ece : TcpFlags.None),
            Window = (ushort)Math.Min(request.Window, 65535),
            Length = TcpHeader.MinLength + options.Length(true),
        };
        bool isV4 = tuple.Remote.IsV4;
        byte tos = (byte)((isV4 ? listener.Options.TypeOfService : listener.Options.TrafficClass) & ~3);
        Route found = route.Value;
        return TcpTransmit.Finish(stack, Packet.Create(), in header, in options, in found, tuple.Local, tuple.Remote, TcpTransmit.IpOptions(listener.Options, isV4, tos)) == Errno.None;
    }

    /// <summary>The handshake of a half-open connection is complete: makes the connection and gives it the segment that completed it.</summary>
    /// <param name="request">What was agreed; no longer in the table.</param>
    /// <param name="segment">The peer's acknowledgment, perhaps with data.</param>
    /// <param name="info">Where it came from.</param>
    /// <param name="roundTrip">Between answer and acknowledgment, ns; -1 when it cannot be told.</param>
    public static void Complete(TcpRequest request, ref TcpSegmentIn segment, in IpInfo info, long roundTrip)
    {
        TcpEndpoint listener = request.Listener, child = MakeChild(request, in segment, in info);
        NetworkStack stack = listener.Stack;
        if (!child.TryRoute(out _))
        {
            stack.Counters.ListenDrops++;
            return;
        }

        stack.Counters.TcpPassiveOpens++;
        listener.Layer.Add(child);
        TcpMss.Synchronize(child, TcpMss.PathMtu(child));
        TcpMss.InitializeReceive(child);
        child.State = TcpState.Established;
        child.Stat.SegmentsIn = 1;
        TcpInput.NoteTimestamp(child, in segment);
        TcpInput.ReplaceRecent(child, segment.Seq);
        child.Cong.Delivered++;
        if (roundTrip >= 0)
            SampleHandshake(child, roundTrip);
        child.Rcv.Copied = child.Rcv.Nxt;
        TcpReceiveWindow.InitializeBuffers(child);
        TcpCongestionWindow.Initialize(child);
        TcpMtuProbe.Initialize(child);
        child.Snd.LastSent = child.Ack.LastData = child.Rcv.LastAck = stack.Now;
        if (child.Options.KeepAlive)
            TcpTimers.ArmKeep(child, TcpKeepAlive.Idle(child));
        listener.Listener!.Waiting.Enqueue(child);

        // The segment may carry data, urgent data or a FIN.
        TcpUrgentInput.OnSegment(child, in segment);
        TcpDataInput.Queue(child, in segment);
        TcpInput.AfterSegment(child);
        listener.Notify(EndpointEvents.In);
    }

    /// <summary>Ends listening: what is half-open or waits is reset.</summary>
    public static void Stop(TcpEndpoint listener)
    {
        if (listener.Listener is not { } state)
            return;
        listener.Layer.DropRequests(listener);
        listener.Listener = null;
        while (state.Waiting.TryDequeue(out TcpEndpoint? child))
        {
            child.Observer = null;
            TcpClose.Abort(child);
            child.Release();
        }
    }

    /// <summary>What the peer's SYN and this side's settings agree on.</summary>
    public static TcpRequest MakeRequest(TcpEndpoint listener, in TcpTuple tuple, in TcpHeaderOptions options, in Route route, in IpInfo info)
    {
        StackSettings settings = listener.Stack.Settings;
        int mss = options.Mss != 0 ? options.Mss : TcpConstants.DefaultMss;
        int advertised = TcpMss.OfRoute(in route, tuple.Remote);
        if (listener.TcpOptions.MaxSegment > 0)
        {
            mss = Math.Min(mss, listener.TcpOptions.MaxSegment);
            advertised = Math.Min(advertised, listener.TcpOptions.MaxSegment);
        }

        var request = new TcpRequest(listener, tuple)
        {
            Mss = (ushort)Math.Max(mss, TcpConstants.MinSendMss),
            WindowScaling = options.HasWindowScale && settings.WindowScaling,
            SendScale = options.WindowScale,
            Timestamps = options.HasTimestamp && settings.Timestamps,
            Sack = options.SackPermitted && settings.Sack,
            Recent = options.TimestampValue,
            AdvertisedMss = advertised,
            InterfaceIndex = listener.BoundInterface != 0 || tuple.Remote.IsLinkLocal ? info.Interface.Index : 0,
        };
        request.Offset = request.Timestamps ? TcpHashes.TimestampOffset(listener.Stack, tuple.Local, tuple.Remote) : 0;
        uint clamp = (uint)Math.Max(0, listener.TcpOptions.WindowClamp);
        uint full = (uint)TcpReceiveWindow.FullSpace(listener);
        if (listener.Options.ReceiveBufferLocked && (clamp == 0 || clamp > full))
            clamp = full;
        request.Window = TcpReceiveWindow.Initial((int)full, advertised - (request.Timestamps ? TcpHeaderOptions.TimestampLength : 0), settings, request.WindowScaling, ref clamp, out request.ReceiveScale);
        request.Clamp = clamp;
        return request;
    }

    private static void OnSyn(TcpEndpoint listener, in TcpSegmentIn segment, in IpInfo info, uint sequence)
    {
        NetworkStack stack = listener.Stack;
        TcpListener state = listener.Listener!;
        StackSettings settings = stack.Settings;
        bool cookie = false;
        if ((settings.SynCookies == 2 || state.Requests >= state.Backlog) && sequence == 0)
        {
            if (state.Requests >= state.Backlog && settings.SynCookies == 0)
            {
                stack.Counters.ListenDrops++;
                return;
            }

            cookie = true;
        }

        if (IsAcceptQueueFull(listener))
        {
            stack.Counters.ListenOverflows++;
            stack.Counters.ListenDrops++;
            return;
        }

        if (!cookie && settings.SynCookies == 0 && settings.MaxSynBacklog - state.Requests < settings.MaxSynBacklog >> 2)
        {
            // Without cookies the last quarter is for peers that are known to be there, of which this stack keeps no memory.
            stack.Counters.ListenDrops++;
            return;
        }

        var tuple = new TcpTuple(info.Destination, segment.Header.DestinationPort, info.Source, segment.Header.SourcePort);
        Result<Route> route = stack.Ip.FindRoute(tuple.Remote, tuple.Local, listener.BoundInterface != 0 || tuple.Remote.IsLinkLocal ? info.Interface.Index : 0);
        if (route.IsError)
        {
            stack.Counters.ListenDrops++;
            return;
        }

        TcpHeaderOptions options = segment.Options;
        Route found = route.Value;
        if (cookie && !options.HasTimestamp)
        {
            // Only a timestamp can carry what else was agreed.
            options = new TcpHeaderOptions { Mss = options.Mss };
        }

        TcpRequest request = MakeRequest(listener, in tuple, in options, in found, in info);
        request.PeerSequence = segment.Seq;
        request.Ecn = settings.Ecn != 0 && (segment.Header.Flags & (TcpFlags.Ece | TcpFlags.Cwr)) == (TcpFlags.Ece | TcpFlags.Cwr) && (!cookie || options.HasTimestamp);
        if (cookie)
        {
            TcpSynCookies.Send(request);
            return;
        }

        request.Sequence = sequence != 0 ? sequence : TcpHashes.InitialSequence(stack, tuple.Local, tuple.LocalPort, tuple.Remote, tuple.RemotePort);
        listener.Layer.Add(request);
        SendAnswer(request);
        request.Begin();
    }

    private static TcpEndpoint MakeChild(TcpRequest request, in TcpSegmentIn segment, in IpInfo info)
    {
        TcpEndpoint listener = request.Listener;
        var child = new TcpEndpoint(listener.Stack, listener.IsV6, listener.Options.Copy(), listener.TcpOptions, listener.CongestionKind)
        {
            LocalAddress = request.Tuple.Local,
            LocalPort = request.Tuple.LocalPort,
            RemoteAddress = request.Tuple.Remote,
            RemotePort = request.Tuple.RemotePort,
            ScopeInterface = info.Source.IsLinkLocal ? info.Interface.Index : 0,
            IsCorked = listener.IsCorked,
        };
        ref TcpSendState snd = ref child.Snd;
        snd.Una = snd.Nxt = snd.WriteSeq = snd.PushedSeq = snd.SmallEnd = snd.Urgent = request.Sequence + 1;
        snd.MssClamp = request.Mss;
        snd.AdvertisedMss = (ushort)(request.AdvertisedMss - (request.Timestamps ? TcpHeaderOptions.TimestampLength : 0));
        snd.Scale = request.WindowScaling ? request.SendScale : (byte)0;
        snd.Window = snd.MaxWindow = (uint)segment.Header.Window << snd.Scale;
        snd.Wl1 = segment.Seq;
        ref TcpReceiveState rcv = ref child.Rcv;
        rcv.Nxt = rcv.Wup = rcv.Copied = request.PeerSequence + 1;
        rcv.Window = rcv.SoftLimit = request.Window;
        rcv.Clamp = request.Clamp;
        rcv.Scale = request.ReceiveScale;
        child.Ext = new TcpExtensions
        {
            Timestamps = request.Timestamps,
            Sack = request.Sack,
            WindowScaling = request.WindowScaling,
            Recent = request.Recent,
            RecentAt = request.Timestamps ? Math.Max(1, listener.Stack.Now) : 0,
            Offset = request.Offset,
            Ecn = request.Ecn ? TcpEcnFlags.Ok : TcpEcnFlags.None,
        };
        child.Stat.Retransmits = (uint)request.Retransmits;
        return child;
    }

    private static void SampleHandshake(TcpEndpoint child, long roundTrip)
    {
        long us = Math.Max(1, roundTrip / TcpConstants.Microsecond);
        child.Rtt.SampleMinimum((uint)Math.Min(us, uint.MaxValue), child.Now, false);
        child.Rtt.Sample(us, child.Snd.Una, child.Snd.Nxt);
        child.Rtt.Recompute();
    }
}
