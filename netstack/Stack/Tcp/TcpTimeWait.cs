namespace Netstack.Stack;

/// <summary>What remains of a connection in TIME-WAIT, or in FIN-WAIT-2 once its socket is closed: enough to answer old segments and to judge new
/// SYNs (RFC 9293 section 3.10.7.4, RFC 6191).</summary>
[Savable("tcp-time-wait")]
internal sealed partial class TcpTimeWait : IStackTimerTarget, IAfterLoad
{
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;

    [Saved(1)] private TcpLayer _layer;
    [Saved(2)] private TcpTuple _tuple;
    [Saved(6)] private TcpState _state;
    [Saved(7)] private uint _sndNxt;
    [Saved(8)] private uint _rcvNxt;
    [Saved(9)] private uint _window;
    [Saved(10)] private byte _scale;
    [Saved(11)] private bool _timestamps;
    [Saved(12)] private uint _recent;
    [Saved(13)] private long _recentAt;
    [Saved(14)] private uint _offset;
    [Saved(15)] private long _deadline;
    [Saved(16)] private long _lastInvalid = long.MinValue;
    [Saved(17)] private byte _tos;
    [Saved(18)] private bool _isV6;
    [Saved(20)] private TcpPortUser _user;

    private TcpTimeWait(TcpEndpoint e, TcpState state)
    {
        _layer = e.Layer;
        _tuple = e.Tuple;
        _state = state;
        _sndNxt = e.Snd.Nxt;
        _rcvNxt = e.Rcv.Nxt;
        _window = e.Rcv.Left;
        _scale = e.Rcv.Scale;
        _timestamps = e.Ext.Timestamps;
        _recent = e.Ext.Recent;
        _recentAt = e.Ext.RecentAt;
        _offset = e.Ext.Offset;
        _tos = TcpTransmit.TypeOfService(e);
        _isV6 = e.IsV6;
        _user = TcpPortUser.Of(e, e.LocalAddress) with { IsWaiting = true };
    }

    public NetworkStack Stack => _layer.Stack;

    public TcpTuple Tuple => _tuple;

    public ushort LocalPort => _tuple.LocalPort;

    public TcpState State => _state;

    public bool IsV6 => _isV6;

    /// <summary>Its claim on the local port.</summary>
    public ref readonly TcpPortUser User => ref _user;

    public long Deadline => _deadline;

    /// <summary>Puts one in the place of a connection, which is then closed.</summary>
    public static void Enter(TcpEndpoint e, TcpState state, long time)
    {
        TcpLayer layer = e.Layer;
        if (layer.TimeWaitCount < e.Stack.Settings.MaxTimeWait)
        {
            var waiting = new TcpTimeWait(e, state);
            e.Stack.Counters.TimeWaited++;
            long least = (e.Rtt.Rto << 2) - (e.Rtt.Rto >> 1);
            waiting.Arm(state == TcpState.TimeWait ? TcpConstants.TimeWaitLength : Math.Max(time, least));
            TcpClose.Done(e);
            layer.Add(waiting);
            return;
        }

        TcpClose.Done(e);
    }

    /// <summary>A segment for it. True: it is a new connection's SYN, <paramref name="sequence"/> is to be the initial sequence number.</summary>
    public bool Receive(in TcpSegmentIn segment, in IpInfo info, out uint sequence)
    {
        sequence = 0;
        bool saw = _timestamps && segment.Options.HasTimestamp && _recentAt != 0;
        uint value = segment.Options.TimestampValue;
        bool stale = saw && (int)(_recent - value) > 0 && Now - _recentAt < TcpConstants.PawsIdle
            && !(segment.Has(TcpFlags.Rst) && Now - _recentAt >= TcpConstants.TimeWaitLength);
        if (_state == TcpState.FinWait2)
        {
            ReceiveInFinWait2(in segment, in info, stale, saw, value);
            return false;
        }

        if (!stale && segment.Seq == _rcvNxt && (segment.Seq == segment.End || segment.Has(TcpFlags.Rst)))
        {
            if (segment.Has(TcpFlags.Rst))
            {
                // Assassination of TIME-WAIT (RFC 1337).
                if (!_layer.Stack.Settings.Rfc1337)
                {
                    Kill();
                    return false;
                }
            }
            else
            {
                Arm(TcpConstants.TimeWaitLength);
            }

            Note(saw, value);
            return false;
        }

        if (segment.Has(TcpFlags.Syn) && !segment.Has(TcpFlags.Rst | TcpFlags.Ack) && !stale
            && (TcpSequence.After(segment.Seq, _rcvNxt) || (saw && (int)(_recent - value) < 0)))
        {
            sequence = _sndNxt + 65535 + 2;
            if (sequence == 0)
                sequence++;
            return true;
        }

        if (stale)
            _layer.Stack.Counters.PawsDropped++;
        if (segment.Has(TcpFlags.Rst))
            return false;
        if (stale || segment.Has(TcpFlags.Ack))
            Arm(TcpConstants.TimeWaitLength);
        Acknowledge(in segment, in info);
        return false;
    }

    /// <summary>Whether an active open may take its addresses and ports over (RFC 6191), and the sequence number and timestamp to go on with.</summary>
    /// <param name="isBound">The port was chosen by bind and not here: then timestamps suffice, as no other port could be taken (tcp_twsk_unique of Linux).</param>
    public bool MayReuse(bool isBound, out uint sequence, out uint recent, out long recentAt)
    {
        sequence = _sndNxt + 65535 + 2;
        recent = _recent;
        recentAt = _recentAt;
        int reuse = _layer.Stack.Settings.TimeWaitReuse;
        if (reuse == 2)
            reuse = _tuple.Local.IsLoopback || _tuple.Remote.IsLoopback ? 1 : 0;
        return _recentAt != 0 && (isBound || (reuse != 0 && Now - _recentAt >= TcpConstants.Second));
    }

    public void Kill()
    {
        if (_timer is not null)
            _layer.Stack.Timers.Cancel(_timer);
        _layer.Remove(this);
    }

    void IStackTimerTarget.OnTimer(StackTimer timer)
    {
        if (_deadline > Now)
            _layer.Stack.Timers.Arm(timer, _deadline);
        else
            Kill();
    }

    void IAfterLoad.AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            _layer.Stack.Timers.Arm(_timer ??= new StackTimer(this), _deadline);
    }

    private long Now => _layer.Stack.Now;

    private void ReceiveInFinWait2(in TcpSegmentIn segment, in IpInfo info, bool stale, bool saw, uint value)
    {
        if (stale || !IsInWindow(in segment))
        {
            if (!segment.Has(TcpFlags.Rst))
                Acknowledge(in segment, in info);
            return;
        }

        if (segment.Has(TcpFlags.Rst))
        {
            Kill();
            return;
        }

        if (segment.Has(TcpFlags.Syn) && !TcpSequence.Before(segment.Seq, _rcvNxt))
        {
            TcpReset.Reply(_layer.Stack, in segment, in info);
            Kill();
            return;
        }

        if (!segment.Has(TcpFlags.Ack) || !TcpSequence.After(segment.End, _rcvNxt) || segment.End == segment.Seq)
            return;

        // New data after the socket was closed.
        if (!segment.Has(TcpFlags.Fin) || segment.End != _rcvNxt + 1)
        {
            TcpReset.Reply(_layer.Stack, in segment, in info);
            Kill();
            return;
        }

        _state = TcpState.TimeWait;
        _rcvNxt = segment.End;
        Note(saw, value);
        Arm(TcpConstants.TimeWaitLength);
        Acknowledge(in segment, in info, always: true);
    }

    private bool IsInWindow(in TcpSegmentIn segment)
    {
        uint end = _rcvNxt + _window;
        if (segment.Seq == _rcvNxt || (TcpSequence.After(segment.End, _rcvNxt) && TcpSequence.Before(segment.Seq, end)))
            return true;
        return segment.Seq == end && segment.Seq == segment.End;
    }

    private void Note(bool saw, uint value)
    {
        if (!saw)
            return;
        _recent = value;
        _recentAt = Math.Max(1, Now);
    }

    /// <summary>Answers an old segment with the last acknowledgment.</summary>
    public void Acknowledge(in TcpSegmentIn segment, in IpInfo info, bool always = false)
    {
        if (!always && (segment.Length == 0 || segment.Has(TcpFlags.Syn)))
        {
            if (_lastInvalid != long.MinValue && Now - _lastInvalid < TcpConstants.InvalidReplyInterval)
                return;
            _lastInvalid = Now;
        }

        var header = new TcpHeader { Sequence = _sndNxt, Acknowledgment = _rcvNxt, Flags = TcpFlags.Ack, Window = (ushort)Math.Min(_window >> _scale, 65535) };
        var options = default(TcpHeaderOptions);
        if (_timestamps)
        {
            options.HasTimestamp = true;
            options.TimestampValue = (uint)(Now / TcpConstants.Millisecond) + _offset;
            options.TimestampEcho = _recent;
        }

        TcpReset.Reply(_layer.Stack, in segment, in info, header, in options, _tos);
    }

    private void Arm(long time)
    {
        _deadline = Now + time;
        _timer ??= new StackTimer(this);
        if (!_timer.IsArmed || _deadline < _timer.Deadline)
            _layer.Stack.Timers.Arm(_timer, _deadline);
    }
}
