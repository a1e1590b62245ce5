namespace Netstack.Stack;

/// <summary>A half-open connection: a SYN that was answered (RFC 9293 state SYN-RECEIVED), as little of it as an attacker's million would cost least.</summary>
[Savable("tcp-request")]
internal sealed partial class TcpRequest : IStackTimerTarget, IAfterLoad
{
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;

    [Saved(1)] private TcpEndpoint _listener;
    [Saved(2)] public TcpTuple Tuple;
    [Saved(3)] public uint PeerSequence;
    [Saved(4)] public uint Sequence;
    [Saved(5)] public ushort Mss;
    [Saved(6)] public byte SendScale;
    [Saved(7)] public byte ReceiveScale;
    [Saved(8)] public bool WindowScaling;
    [Saved(9)] public bool Timestamps;
    [Saved(10)] public bool Sack;
    [Saved(11)] public bool Ecn;
    [Saved(12)] public uint Recent;
    [Saved(13)] public uint Offset;
    [Saved(14)] public uint Window;
    [Saved(15)] public uint Clamp;
    [Saved(16)] public int AdvertisedMss;
    [Saved(17)] public int InterfaceIndex;

    /// <summary>When the answer was first sent.</summary>
    [Saved(18)] public long AnsweredAt;

    [Saved(19)] private long _deadline;
    [Saved(20)] private int _timeouts;
    [Saved(21)] private int _retransmits;

    /// <summary>The handshake is complete, but the listener defers or has no room.</summary>
    [Saved(22)] private bool _isAcknowledged;

    [Saved(23)] private long _lastInvalid = long.MinValue;

    public TcpRequest(TcpEndpoint listener, TcpTuple tuple)
    {
        _listener = listener;
        Tuple = tuple;
    }

    public TcpEndpoint Listener => _listener;

    public int Retransmits => _retransmits;

    public int Timeouts => _timeouts;

    public long Deadline => _deadline;

    private NetworkStack Stack => _listener.Stack;

    /// <summary>The answer has been sent for the first time.</summary>
    public void Begin()
    {
        AnsweredAt = Stack.Now;
        Arm();
    }

    /// <summary>A segment for it (RFC 9293 section 3.10.7.4, state SYN-RECEIVED).</summary>
    public void Receive(ref TcpSegmentIn segment, in IpInfo info)
    {
        bool saw = Timestamps && segment.Options.HasTimestamp;
        bool stale = saw && (int)(Recent - segment.Options.TimestampValue) > 0 && !segment.Has(TcpFlags.Rst);
        if (segment.Seq == PeerSequence && segment.Header.Flags is var flags && (flags & (TcpFlags.Syn | TcpFlags.Ack | TcpFlags.Rst | TcpFlags.Fin)) == TcpFlags.Syn && !stale)
        {
            // The peer did not hear: answer again.
            if (MayAnswer() && TcpListen.SendAnswer(this))
                Arm();
            return;
        }

        bool hasAck = segment.Has(TcpFlags.Ack);
        if (hasAck && segment.Header.Acknowledgment != Sequence + 1)
        {
            TcpReset.Reply(Stack, in segment, in info);
            return;
        }

        if (stale || !IsInWindow(in segment))
        {
            if (!segment.Has(TcpFlags.Rst) && MayAnswer())
                SendAck(in segment, in info);
            return;
        }

        if (saw && !TcpSequence.After(segment.Seq, PeerSequence + 1))
            Recent = segment.Options.TimestampValue;
        if (segment.Has(TcpFlags.Rst) || (segment.Has(TcpFlags.Syn) && segment.Seq != PeerSequence))
        {
            Stack.Counters.TcpAttemptFails++;
            if (!segment.Has(TcpFlags.Rst))
                TcpReset.Reply(Stack, in segment, in info);
            Drop();
            return;
        }

        if (!hasAck)
            return;
        if (_timeouts < _listener.DeferredTimeouts && segment.End == PeerSequence + 1)
        {
            _isAcknowledged = true;
            return;
        }

        if (TcpListen.IsAcceptQueueFull(_listener))
        {
            Stack.Counters.ListenOverflows++;
            Stack.Counters.ListenDrops++;
            _isAcknowledged = true;
            if (Stack.Settings.AbortOnOverflow)
            {
                TcpReset.Reply(Stack, in segment, in info);
                Drop();
            }

            return;
        }

        long roundTrip = _retransmits == 0 ? Stack.Now - AnsweredAt : -1;
        Drop();
        TcpListen.Complete(this, ref segment, in info, roundTrip);
    }

    /// <summary>An ICMP error about the answer.</summary>
    public void OnError(bool ends)
    {
        if (ends)
            Drop();
    }

    /// <summary>Forgets it.</summary>
    public void Drop()
    {
        if (_timer is not null)
            Stack.Timers.Cancel(_timer);
        _listener.Layer.Remove(this);
    }

    void IStackTimerTarget.OnTimer(StackTimer timer)
    {
        int most = _listener.TcpOptions.SynCount > 0 ? _listener.TcpOptions.SynCount : Stack.Settings.SynAckRetries;
        int deferred = _listener.DeferredTimeouts;
        bool expired = _timeouts >= most && (deferred == 0 || !_isAcknowledged || _timeouts >= deferred);

        // While it waits for data nothing is sent, but once at the end, to give the peer a last chance.
        bool resend = deferred == 0 || !_isAcknowledged || _timeouts >= deferred - 1;
        if (expired)
        {
            Drop();
            return;
        }

        if (resend && TcpListen.SendAnswer(this))
        {
            _retransmits++;
            Stack.Counters.TcpRetransmitted++;
        }

        _timeouts++;
        Arm();
    }

    void IAfterLoad.AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            Stack.Timers.Arm(_timer ??= new StackTimer(this), _deadline);
    }

    private void Arm()
    {
        long timeout = Math.Min(TcpConstants.InitialRtoUs * TcpConstants.Microsecond << Math.Min(_timeouts, 10), TcpConstants.MaxRtoUs * TcpConstants.Microsecond);
        _deadline = Stack.Now + timeout;
        Stack.Timers.Arm(_timer ??= new StackTimer(this), _deadline);
    }

    private bool MayAnswer()
    {
        if (_lastInvalid != long.MinValue && Stack.Now - _lastInvalid < TcpConstants.InvalidReplyInterval)
            return false;
        _lastInvalid = Stack.Now;
        return true;
    }

    private bool IsInWindow(in TcpSegmentIn segment)
    {
        uint first = PeerSequence + 1, end = first + Window;
        if (segment.Seq == first || (TcpSequence.After(segment.End, first) && TcpSequence.Before(segment.Seq, end)))
            return true;
        return segment.Seq == end && segment.Seq == segment.End;
    }

    private void SendAck(in TcpSegmentIn segment, in IpInfo info)
    {
        var header = new TcpHeader { Sequence = Sequence + 1, Acknowledgment = PeerSequence + 1, Flags = TcpFlags.Ack, Window = (ushort)Math.Min(Window >> ReceiveScale, 65535) };
        TcpReset.Reply(Stack, in segment, in info, header, MakeOptions(false));
    }

    /// <summary>Options of a segment sent for it.</summary>
    public TcpHeaderOptions MakeOptions(bool isSyn)
    {
        var options = new TcpHeaderOptions
        {
            HasTimestamp = Timestamps,
            TimestampValue = (uint)(Stack.Now / TcpConstants.Millisecond) + Offset,
            TimestampEcho = Recent,
        };
        if (!isSyn)
            return options;
        options.Mss = (ushort)AdvertisedMss;
        options.SackPermitted = Sack;
        options.HasWindowScale = WindowScaling;
        options.WindowScale = ReceiveScale;
        return options;
    }
}
