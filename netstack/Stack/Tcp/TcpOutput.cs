namespace Netstack.Stack;

/// <summary>Decides what of the written data goes out now: peer's window, congestion window, Nagle, and the size of what is handed to the link.</summary>
internal static class TcpOutput
{
    /// <summary>How much may be sent although the usual rules forbid it.</summary>
    public enum Force
    {
        Nothing,

        /// <summary>Only the first segment is looked at.</summary>
        One,

        /// <summary>A loss probe: one segment beyond the congestion window.</summary>
        Probe,
    }

    /// <summary>Sends what may be sent; when nothing is in flight after it and something is left, sees that the peer's window is probed.</summary>
    public static void Push(TcpEndpoint e, int mss, TcpNagle nagle)
    {
        if (e.State == TcpState.Closed)
            return;
        if (Write(e, mss, nagle, Force.Nothing) && e.Snd.PacketsOut == 0 && e.SendTimer == TcpSendTimer.None)
            TcpTimers.ArmSend(e, TcpSendTimer.WindowProbe, TcpWindowProbe.Base(e));
    }

    /// <summary>Sends what waits, after an acknowledgment has made room.</summary>
    public static void PushPending(TcpEndpoint e)
    {
        if (e.SendQueue is { HasUnsent: true })
            Push(e, TcpMss.Current(e), e.Nagle);
    }

    /// <summary>True: there is data and nothing is in flight, so that only a probe can get it going.</summary>
    public static bool Write(TcpEndpoint e, int mss, TcpNagle nagle, Force force)
    {
        TcpSendQueue? queue = e.SendQueue;
        if (queue is null)
            return false;
        int sent = 0;
        if (force == Force.Nothing && e.Probing is not null && TcpMtuProbe.TrySend(e))
            sent = 1;
        int most = MostSegments(e, mss);
        bool windowLimited = false, congestionLimited = false;
        while (queue.SendHead is { } segment)
        {
            int quota = Quota(e);
            if (quota == 0)
            {
                if (force != Force.Probe)
                    break;
                quota = 1;
            }

            quota = Math.Min(quota, most);
            segment.SetCount(mss);
            if (!FitsWindow(e, segment, mss))
            {
                windowLimited = true;
                break;
            }

            bool isLast = queue.SentCount == queue.Count - 1;
            if (segment.Count == 1)
            {
                if (!PassesNagle(e, segment, mss, isLast ? nagle : TcpNagle.Push))
                    break;
            }
            else if (force == Force.Nothing && ShouldDefer(e, segment, isLast, most, ref congestionLimited, ref windowLimited))
            {
                break;
            }

            int limit = segment.Count > 1 && !e.Snd.IsUrgent ? SplitPoint(e, segment, isLast, mss, quota, nagle) : mss;
            if (segment.Length > limit)
                Split(e, queue, queue.SentCount, limit, mss);
            if (segment.Seq == segment.End || TcpTransmit.Send(e, segment) != Errno.None)
                break;
            OnNewDataSent(e, queue, segment);
            if (segment.Length < segment.Count * mss)
                e.Snd.SmallEnd = segment.End;
            sent += segment.Count;
            if (force != Force.Nothing)
                break;
        }

        TcpLimits.Set(e, TcpLimit.ReceiveWindow, windowLimited);
        congestionLimited |= e.Snd.InFlight >= e.Cong.Window;
        if (sent > 0 || congestionLimited)
            TcpCongestionWindow.Validate(e, congestionLimited);
        if (sent > 0)
        {
            if (e.Cong.InReduction)
                e.Loss.PrrOut += (uint)sent;
            if (force != Force.Probe)
                TcpTailProbe.Schedule(e, false);
            return false;
        }

        return e.Snd.PacketsOut == 0 && queue.HasUnsent;
    }

    /// <summary>Splits a segment so that <paramref name="keep"/> bytes stay in it; counts follow when it was sent.</summary>
    public static TcpSegment Split(TcpEndpoint e, TcpSendQueue queue, int index, int keep, int mss)
    {
        TcpSegment segment = queue[index];
        bool sent = index < queue.SentCount;
        int before = segment.Count;
        TcpSegment rest = e.Layer.NewSegment();
        segment.SplitTo(rest, keep);
        segment.SetCount(mss);
        rest.SetCount(mss);
        e.Snd.Queued += TcpConstants.SegmentOverhead;
        queue.Insert(index + 1, rest, sent);
        if (sent)
        {
            AdjustCounts(e, segment, before - segment.Count - rest.Count);
            queue.LinkAfter(rest, segment);
        }

        return rest;
    }

    /// <summary>A sent segment stands for fewer segments of the wire than before (or more, when negative).</summary>
    public static void AdjustCounts(TcpEndpoint e, TcpSegment segment, int fewer)
    {
        if (fewer == 0)
            return;
        e.Snd.PacketsOut -= fewer;
        if (segment.Is(TcpMarks.Sacked))
            e.Snd.SackedOut -= fewer;
        if (segment.Is(TcpMarks.Retransmitted))
            e.Snd.RetransOut -= fewer;
        if (segment.Is(TcpMarks.Lost))
            e.Snd.LostOut -= fewer;
        if (!e.Ext.Sack && fewer > 0)
            e.Snd.SackedOut -= Math.Min(e.Snd.SackedOut, fewer);
    }

    /// <summary>The head of the unsent data has left.</summary>
    public static void OnNewDataSent(TcpEndpoint e, TcpSendQueue queue, TcpSegment segment)
    {
        int before = e.Snd.PacketsOut;
        queue.Advance();
        e.Snd.Nxt = segment.End;
        e.Snd.PacketsOut += segment.Count;
        if (before == 0 || e.SendTimer == TcpSendTimer.LossProbe)
            TcpTimers.RearmRetransmit(e);
    }

    /// <summary>Whether the first segment of the wire in it ends within the peer's window.</summary>
    public static bool FitsWindow(TcpEndpoint e, TcpSegment segment, int mss)
    {
        uint end = segment.Length > mss ? segment.Seq + (uint)mss : segment.End;
        return !TcpSequence.After(end, e.Snd.WindowEnd);
    }

    /// <summary>Segments handed to the link at once: about a millisecond's worth at the present rate, all when the round trip is short.</summary>
    public static int MostSegments(TcpEndpoint e, int mss)
    {
        ulong bytes = PacingRate(e) >> 10;
        int shift = e.Rtt.MinUs != 0 ? (int)Math.Min(e.Rtt.MinUs >> 9, 32) : 32;
        if (shift < 32)
            bytes += (ulong)TcpConstants.MaxSegmentedPayload >> shift;
        bytes = Math.Min(bytes, TcpConstants.MaxSegmentedPayload);
        return Math.Max((int)bytes / mss, e.Stack.Settings.MinTsoSegments);
    }

    /// <summary>Bytes in a second that the window allows, with room to grow. This stack does not pace; batches and HyStart are sized by it.</summary>
    public static ulong PacingRate(TcpEndpoint e)
    {
        ulong rate = (ulong)e.Snd.Mss * 8 * 10_000;
        rate *= (ulong)(e.Cong.Window < e.Cong.Threshold / 2 ? e.Stack.Settings.PacingSlowStartRatio : e.Stack.Settings.PacingRatio);
        rate *= Math.Max(e.Cong.Window, (uint)e.Snd.PacketsOut);
        return e.Rtt.HasSample ? rate / e.Rtt.Smoothed8 : rate;
    }

    private static int Quota(TcpEndpoint e)
    {
        int inFlight = e.Snd.InFlight, window = (int)e.Cong.Window;
        if (inFlight >= window)
            return 0;

        // At least two batches to a window, so that acknowledgments keep coming.
        return Math.Min(Math.Max(window >> 1, 1), window - inFlight);
    }

    private static bool PassesNagle(TcpEndpoint e, TcpSegment segment, int mss, TcpNagle nagle)
    {
        if ((nagle & TcpNagle.Push) != 0 || e.Snd.IsUrgent || segment.Has(TcpFlags.Fin))
            return true;
        return !IsHeldBack(e, segment.Length < mss, nagle);
    }

    /// <summary>A short segment waits under cork, or while another short one is unacknowledged (Minshall's variant of RFC 896).</summary>
    private static bool IsHeldBack(TcpEndpoint e, bool isShort, TcpNagle nagle) => isShort
        && ((nagle & TcpNagle.Cork) != 0
            || ((nagle & TcpNagle.Off) == 0 && e.Snd.PacketsOut > 0 && TcpSequence.After(e.Snd.SmallEnd, e.Snd.Una) && !TcpSequence.After(e.Snd.SmallEnd, e.Snd.Nxt)));

    private static int SplitPoint(TcpEndpoint e, TcpSegment segment, bool isLast, int mss, int quota, TcpNagle nagle)
    {
        int window = (int)(e.Snd.WindowEnd - segment.Seq), most = mss * quota;
        if (most <= window && !isLast)
            return most;
        int needed = Math.Min(segment.Length, window);
        if (most <= needed)
            return most;
        int partial = needed % mss;
        return IsHeldBack(e, partial != 0, nagle) ? needed - partial : needed;
    }

    /// <summary>Whether to wait a little because an acknowledgment will soon let a fuller batch go.</summary>
    private static bool ShouldDefer(TcpEndpoint e, TcpSegment segment, bool isLast, int most, ref bool congestionLimited, ref bool windowLimited)
    {
        if (e.Cong.State >= TcpLossState.Recovery || e.Now - e.Snd.LastSent > TcpConstants.Millisecond)
            return false;
        uint window = e.Snd.WindowEnd - segment.Seq;
        uint congestion = (uint)Math.Max(0, (int)e.Cong.Window - e.Snd.InFlight) * (uint)e.Snd.Mss;
        uint limit = Math.Min(window, congestion);
        if (limit >= (uint)(most * e.Snd.Mss) || (!isLast && limit >= segment.Length))
            return false;
        int divisor = e.Stack.Settings.TsoWindowDivisor;
        if (divisor > 0)
        {
            if (limit >= Math.Min(e.Snd.Window, e.Cong.Window * (uint)e.Snd.Mss) / divisor)
                return false;
        }
        else if (limit > 3 * e.Snd.Mss)
        {
            return false;
        }

        // The next acknowledgment is not to be expected within half a round trip.
        if (e.SendQueue!.SentHead is not { } head || e.Now - head.SentAt < (e.Rtt.Smoothed8 >> 4) * TcpConstants.Microsecond)
            return false;
        if (congestion < window)
        {
            if (congestion <= segment.Length)
                return congestionLimited = true;
        }
        else if (window <= segment.Length)
        {
            return windowLimited = true;
        }

        return !segment.Has(TcpFlags.Fin) && !segment.EndOfRecord;
    }
}

/// <summary>Keeps account of what limits sending (tcp_info's busy, rwnd-limited and sndbuf-limited times).</summary>
internal static class TcpLimits
{
    public static void Start(TcpEndpoint e, TcpLimit limit)
    {
        if (limit > e.Stat.Limit)
            Change(e, limit);
    }

    public static void Stop(TcpEndpoint e, TcpLimit limit)
    {
        // All data is acknowledged: nothing limits. Otherwise the connection is still busy.
        if (e.SendQueue is null || e.SendQueue.Count == 0)
            Change(e, TcpLimit.None);
        else if (limit == e.Stat.Limit)
            Change(e, TcpLimit.Busy);
    }

    public static void Set(TcpEndpoint e, TcpLimit limit, bool isLimited)
    {
        if (isLimited)
            Start(e, limit);
        else
            Stop(e, limit);
    }

    private static void Change(TcpEndpoint e, TcpLimit limit)
    {
        if (limit == e.Stat.Limit)
            return;
        long passed = e.Now - e.Stat.LimitSince;
        switch (e.Stat.Limit)
        {
            case TcpLimit.Busy:
                e.Stat.Busy += passed;
                break;
            case TcpLimit.ReceiveWindow:
                e.Stat.WindowLimited += passed;
                break;
            case TcpLimit.SendBuffer:
                e.Stat.BufferLimited += passed;
                break;
        }

        e.Stat.LimitSince = e.Now;
        e.Stat.Limit = limit;
    }
}
