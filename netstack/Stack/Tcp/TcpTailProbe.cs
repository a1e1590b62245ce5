namespace Netstack.Stack;

/// <summary>Tail loss probes (RFC 8985 section 7): when no acknowledgment comes for two round trips, one segment is sent to draw one out.</summary>
internal static class TcpTailProbe
{
    /// <summary>Arms the probe timer where a probe makes sense; false when the retransmission timer is to be armed instead.</summary>
    /// <param name="e">The connection.</param>
    /// <param name="advancing">The retransmission timeout starts anew now.</param>
    public static bool Schedule(TcpEndpoint e, bool advancing)
    {
        if (e.Stack.Settings.EarlyRetransmit is not (3 or 4) || e.Snd.PacketsOut == 0 || !e.Ext.Sack || e.Cong.State is not (TcpLossState.Open or TcpLossState.WindowReduction))
            return false;
        long timeout = TcpConstants.InitialRtoUs * TcpConstants.Microsecond;
        if (e.Rtt.HasSample)
        {
            long us = e.Rtt.Smoothed8 >> 2;

            // A single segment may be acknowledged late.
            us += e.Snd.PacketsOut == 1 ? TcpConstants.MinRtoUs : TcpConstants.MinTimeoutUs;
            timeout = us * TcpConstants.Microsecond;
        }

        long rto = advancing ? e.Rtt.Rto : TcpTimers.UntilTimeout(e);
        if (rto > 0)
            timeout = Math.Min(timeout, rto);
        TcpTimers.ArmSend(e, TcpSendTimer.LossProbe, timeout);
        return true;
    }

    /// <summary>The timer has expired: sends new data if the window has room, else the last segment again.</summary>
    public static void Send(TcpEndpoint e)
    {
        if (!e.Cong.HasProbe && TrySend(e))
        {
            e.Cong.HasProbe = true;
            e.Loss.ProbeHighSeq = e.Snd.Nxt;
            e.Stack.Counters.LossProbes++;
            e.SendTimer = TcpSendTimer.None;
        }

        TcpTimers.RearmRetransmit(e);
    }

    /// <summary>An acknowledgment while a probe is out: tells whether the probe repaired a loss, which then counts as congestion.</summary>
    public static void OnAck(TcpEndpoint e, uint ack, AckFlags flags)
    {
        ref TcpCongestionState c = ref e.Cong;
        if (TcpSequence.Before(ack, e.Loss.ProbeHighSeq))
            return;
        if (!e.Loss.ProbeRetransmits || (flags & AckFlags.ProbeDuplicate) != 0)
        {
            c.HasProbe = false;
        }
        else if (TcpSequence.After(ack, e.Loss.ProbeHighSeq))
        {
            TcpCongestionWindow.BeginReduction(e);
            TcpCongestionWindow.SetState(e, TcpLossState.WindowReduction);
            TcpCongestionWindow.EndReduction(e);
            TcpRecovery.TryKeepOpen(e);
        }
        else if ((flags & (AckFlags.UnaAdvanced | AckFlags.NotDuplicate | AckFlags.DataSacked)) == 0)
        {
            c.HasProbe = false;
        }
    }

    private static bool TrySend(TcpEndpoint e)
    {
        TcpSendQueue queue = e.SendQueue!;
        int mss = TcpMss.Current(e);
        e.Loss.ProbeRetransmits = false;
        if (queue.SendHead is { } head && TcpOutput.FitsWindow(e, head, mss))
        {
            int before = e.Snd.PacketsOut;
            TcpOutput.Write(e, mss, TcpNagle.Off, TcpOutput.Force.Probe);
            return e.Snd.PacketsOut > before;
        }

        int last = queue.SentCount - 1;
        if (last < 0)
            return false;
        TcpSegment segment = queue[last];
        if (segment.Count > 1 && segment.Length > (segment.Count - 1) * mss)
            segment = TcpOutput.Split(e, queue, last, (segment.Count - 1) * mss, mss);
        if (TcpRetransmit.SendAgain(e, segment, 1) != Errno.None)
            return false;
        e.Loss.ProbeRetransmits = true;
        return true;
    }
}
