namespace Netstack.Stack;

/// <summary>When received data is acknowledged: at once at the start of a transfer, later every second segment, with outgoing data, or after
/// a while that follows the pace of the data (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2).</summary>
internal static class TcpDelayedAck
{
    public static void Schedule(TcpEndpoint e) => e.Ack.Pending |= TcpAckPending.Scheduled;

    /// <summary>The next segments are acknowledged at once.</summary>
    public static void EnterQuick(TcpEndpoint e, int most)
    {
        IncreaseQuick(e, most);
        e.Ack.IsPingPong = false;
        e.Ack.WaitUs = TcpConstants.MinDelayedAckUs;
    }

    /// <summary>TCP_QUICKACK.</summary>
    public static void SetQuick(TcpEndpoint e, bool quick)
    {
        if (!quick)
        {
            e.Ack.IsPingPong = true;
            return;
        }

        e.Ack.IsPingPong = false;
        if (e.State is TcpState.Established or TcpState.CloseWait && e.Ack.IsScheduled)
        {
            e.Ack.Pending |= TcpAckPending.Pushed;
            TcpReceiveWindow.OnRead(e, 1);
        }
    }

    /// <summary>Data has come in.</summary>
    public static void OnData(TcpEndpoint e, in TcpSegmentIn segment)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        Schedule(e);
        MeasureMss(e, in segment);
        TcpReceiveWindow.MeasureRtt(e);
        if (ack.WaitUs == 0)
        {
            IncreaseQuick(e, TcpConstants.MaxQuickAcks);
            ack.WaitUs = TcpConstants.MinDelayedAckUs;
        }
        else
        {
            long gapUs = (e.Now - ack.LastData) / TcpConstants.Microsecond;
            if (gapUs <= TcpConstants.MinDelayedAckUs / 2)
                ack.WaitUs = (ack.WaitUs >> 1) + (TcpConstants.MinDelayedAckUs / 2);
            else if (gapUs < ack.WaitUs)
                ack.WaitUs = Math.Min((ack.WaitUs >> 1) + (int)gapUs, e.Rtt.RtoUs);
            else if (gapUs > e.Rtt.RtoUs)
                IncreaseQuick(e, TcpConstants.MaxQuickAcks);
        }

        ack.LastData = e.Now;
        TcpEcn.OnData(e, segment.Tos);
        if (segment.Length >= 128)
            TcpReceiveWindow.Grow(e, segment.Length);
    }

    /// <summary>After a segment has been taken in: acknowledges now or later.</summary>
    public static void Check(TcpEndpoint e)
    {
        if (!e.Ack.IsScheduled)
            return;
        bool window = e.Rcv.Nxt - e.Rcv.Wup > e.Ack.Mss
            && ((int)(e.Rcv.Nxt - e.Rcv.Copied) < e.Options.ReceiveLowWater || TcpReceiveWindow.Compute(e) >= e.Rcv.Window);
        if (window || e.Ack.IsQuick || (e.Ack.Pending & TcpAckPending.Now) != 0 || e.Reassembly is { IsEmpty: false })
            TcpTransmit.SendAck(e);
        else
            Delay(e);
    }

    /// <summary>An acknowledgment has left, alone or with data.</summary>
    public static void OnAckSent(TcpEndpoint e)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        if (ack.Quick > 0 && ack.IsScheduled)
        {
            if (--ack.Quick == 0)
                ack.WaitUs = TcpConstants.MinDelayedAckUs;
        }

        ack.Pending = TcpAckPending.None;
        ack.Deadline = TcpConstants.Never;
    }

    /// <summary>Data has left: soon after some came, it is an answer.</summary>
    public static void OnDataSent(TcpEndpoint e)
    {
        if (e.Snd.InFlight == 0)
            TcpCongestionControl.OnTransmitStart(e);
        e.Snd.LastSent = e.Now;
        if (e.Now - e.Ack.LastData < e.Ack.WaitUs * TcpConstants.Microsecond)
            e.Ack.IsPingPong = true;
    }

    public static void OnTimer(TcpEndpoint e)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        if ((ack.Pending & TcpAckPending.Timer) == 0)
            return;
        ack.Pending &= ~TcpAckPending.Timer;
        if (!ack.IsScheduled || e.State is TcpState.Closed or TcpState.Listen)
            return;
        if (!ack.IsPingPong)
        {
            // Nothing came to ride on: wait longer the next time.
            ack.WaitUs = Math.Min(ack.WaitUs << 1, e.Rtt.RtoUs);
        }
        else
        {
            ack.IsPingPong = false;
            ack.WaitUs = TcpConstants.MinDelayedAckUs;
        }

        TcpTransmit.SendAck(e);
        e.Stack.Counters.DelayedAcks++;
    }

    /// <summary>Acknowledges after the usual wait at the latest.</summary>
    public static void Delay(TcpEndpoint e)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        int wait = ack.WaitUs;
        if (wait > TcpConstants.MinDelayedAckUs)
        {
            int most = 500_000;
            if (ack.IsPingPong || (ack.Pending & TcpAckPending.Pushed) != 0)
                most = TcpConstants.MaxDelayedAckUs;
            if (e.Rtt.HasSample)
                most = Math.Min(most, Math.Max(e.Rtt.SmoothedUs, TcpConstants.MinDelayedAckUs));
            wait = Math.Min(wait, most);
        }

        wait = Math.Min(wait, TcpConstants.MaxDelayedAckUs);
        long deadline = e.Now + (wait * TcpConstants.Microsecond);
        if ((ack.Pending & TcpAckPending.Timer) != 0)
        {
            if (ack.Deadline <= e.Now + ((wait >> 2) * TcpConstants.Microsecond))
            {
                TcpTransmit.SendAck(e);
                return;
            }

            deadline = Math.Min(deadline, ack.Deadline);
        }

        Arm(e, deadline);
    }

    /// <summary>Acknowledges at <paramref name="deadline"/> at the latest.</summary>
    public static void Arm(TcpEndpoint e, long deadline)
    {
        e.Ack.Pending |= TcpAckPending.Scheduled | TcpAckPending.Timer;
        e.Ack.Deadline = deadline;
        e.WakeAt(deadline);
    }

    private static void IncreaseQuick(TcpEndpoint e, int most)
    {
        uint quick = e.Rcv.Window / (2u * Math.Max(e.Ack.Mss, (ushort)1));
        if (quick == 0)
            quick = 2;
        quick = Math.Min(quick, (uint)most);
        if (quick > e.Ack.Quick)
            e.Ack.Quick = (byte)quick;
    }

    /// <summary>Estimates the peer's segment size, which is often less than this side announced.</summary>
    private static void MeasureMss(TcpEndpoint e, in TcpSegmentIn segment)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        int last = ack.LastSize;
        ack.LastSize = 0;
        int length = segment.SegmentLength;
        if (length >= ack.Mss)
        {
            // A joined packet may be larger than what was announced, its segments are not.
            ack.Mss = (ushort)Math.Min(length, e.Snd.AdvertisedMss);
            if (segment.Length > ack.Mss && segment.Packet.SegmentSize == 0)
                ack.Pending |= TcpAckPending.Pushed;
            return;
        }

        int whole = length + segment.Header.Length;
        if (whole >= TcpConstants.DefaultMss + TcpHeader.MinLength
            || (whole >= TcpConstants.MinMss + TcpHeader.MinLength && !segment.Has(TcpFlags.Psh | TcpFlags.Urg | TcpFlags.Syn | TcpFlags.Fin)))
        {
            int size = whole - (e.Ext.Timestamps ? TcpHeader.MinLength + TcpHeaderOptions.TimestampLength : TcpHeader.MinLength);
            ack.LastSize = (ushort)Math.Clamp(size, 0, ushort.MaxValue);
            if (size == last)
            {
                ack.Mss = (ushort)Math.Max(size, 1);
                return;
            }
        }

        if ((ack.Pending & TcpAckPending.Pushed) != 0)
            ack.Pending |= TcpAckPending.PushedAgain;
        ack.Pending |= TcpAckPending.Pushed;
    }
}
