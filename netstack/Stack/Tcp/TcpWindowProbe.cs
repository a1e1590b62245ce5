namespace Netstack.Stack;

/// <summary>Probes of a closed or too small window (RFC 9293 section 3.8.6.1).</summary>
internal static class TcpWindowProbe
{
    public static long Base(TcpEndpoint e) => Math.Max(e.Rtt.RtoUs, TcpConstants.MinRtoUs) * TcpConstants.Microsecond;

    public static void OnTimer(TcpEndpoint e)
    {
        if (e.Snd.PacketsOut > 0 || e.SendQueue is not { HasUnsent: true })
        {
            e.ProbesOut = 0;
            e.ProbesSince = 0;
            return;
        }

        // The peer may keep its window closed as long as it answers, unless the application set a limit or is gone.
        if (e.ProbesSince == 0)
        {
            e.ProbesSince = e.Now;
        }
        else if (e.TcpOptions.UserTimeout > 0 && e.Now - e.ProbesSince >= e.TcpOptions.UserTimeout * TcpConstants.Millisecond)
        {
            TcpClose.OnTimedOut(e);
            return;
        }

        int most = e.Stack.Settings.Retries2;
        if (e.IsOrphan)
        {
            bool alive = When(e) < TcpConstants.MaxRtoUs * TcpConstants.Microsecond;
            most = TcpRetransmit.OrphanRetries(e, alive);
            if ((!alive && e.Backoff >= most) || TcpClose.IsOutOfOrphans(e, true))
            {
                TcpClose.OnTimedOut(e);
                return;
            }
        }

        if (e.ProbesOut >= most)
            TcpClose.OnTimedOut(e);
        else
            Send(e);
    }

    /// <summary>Sends a probe: data that fits the window, or an old sequence number that must be answered.</summary>
    public static Errno WakeUp(TcpEndpoint e)
    {
        if (e.State == TcpState.Closed)
            return Errno.EPIPE;
        if (e.SendQueue?.SendHead is { } segment && TcpSequence.Before(segment.Seq, e.Snd.WindowEnd))
        {
            int mss = TcpMss.Current(e);
            int room = (int)(e.Snd.WindowEnd - segment.Seq);
            e.Snd.PushedSeq = TcpSequence.Max(e.Snd.PushedSeq, segment.End);
            if (room < (int)(segment.End - segment.Seq) || segment.Length > mss)
                TcpOutput.Split(e, e.SendQueue, e.SendQueue.SentCount, Math.Min(Math.Min(room, mss), segment.Length), mss);
            else
                segment.SetCount(mss);
            segment.Flags |= TcpFlags.Psh;
            Errno error = TcpTransmit.Send(e, segment);
            if (error == Errno.None)
                TcpOutput.OnNewDataSent(e, e.SendQueue, segment);
            return error;
        }

        if (TcpSequence.Between(e.Snd.Urgent, e.Snd.Una + 1, e.Snd.Una + 0xffff))
            TcpTransmit.SendEmpty(e, e.Snd.Una, TcpFlags.Ack);
        return TcpTransmit.SendEmpty(e, e.Snd.Una - 1, TcpFlags.Ack);
    }

    /// <summary>A window has come while nothing was in flight: probing ends when it has room.</summary>
    public static void OnAck(TcpEndpoint e)
    {
        if (e.SendQueue?.SendHead is not { } head)
            return;
        if (!TcpSequence.After(head.End, e.Snd.WindowEnd))
        {
            e.Backoff = 0;
            e.ProbesSince = 0;
            TcpTimers.ClearSend(e);
        }
        else
        {
            TcpTimers.ArmSend(e, TcpSendTimer.WindowProbe, ClampToUserTimeout(e, When(e)));
        }
    }

    private static void Send(TcpEndpoint e)
    {
        Errno error = WakeUp(e);
        if (e.Snd.PacketsOut > 0 || e.SendQueue is not { HasUnsent: true })
        {
            e.ProbesOut = 0;
            e.Backoff = 0;
            e.ProbesSince = 0;
            return;
        }

        e.ProbesOut++;
        long timeout = TcpConstants.ResourceProbeInterval;
        if (error != Errno.ENOBUFS)
        {
            if (e.Backoff < e.Stack.Settings.Retries2)
                e.Backoff++;
            timeout = When(e);
        }

        TcpTimers.ArmSend(e, TcpSendTimer.WindowProbe, ClampToUserTimeout(e, timeout));
    }

    private static long When(TcpEndpoint e) => Math.Min(Base(e) << Math.Min((int)e.Backoff, 20), TcpConstants.MaxRtoUs * TcpConstants.Microsecond);

    private static long ClampToUserTimeout(TcpEndpoint e, long when)
    {
        if (e.TcpOptions.UserTimeout <= 0 || e.ProbesSince == 0)
            return when;
        long left = (e.TcpOptions.UserTimeout * TcpConstants.Millisecond) - (e.Now - e.ProbesSince);
        return Math.Min(Math.Max(left, TcpConstants.MinTimeoutUs * TcpConstants.Microsecond), when);
    }
}
