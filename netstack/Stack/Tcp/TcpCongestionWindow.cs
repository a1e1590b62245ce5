namespace Netstack.Stack;

/// <summary>The congestion window: growth, reduction in proportion (RFC 6937), validation (RFC 7661 in the manner of Linux), restart after idle.</summary>
internal static class TcpCongestionWindow
{
    public static void Initialize(TcpEndpoint e)
    {
        // RFC 6298 section 5.7 lets the first retransmitted SYN pass; after a second the network is taken to be congested (RFC 5681).
        e.Cong.Window = e.Stat.Retransmits > 1 && e.HasLost && e.Loss.CanUndo ? 1 : (uint)TcpConstants.InitialWindow;

        // What the handshake's losses made of it tells nothing of the path's capacity.
        e.Cong.Threshold = TcpConstants.InfiniteThreshold;
        e.Cong.Stamp = e.Now;
        TcpCongestionControl.Initialize(e);
    }

    /// <summary>After an acknowledgment: reduces or raises the window.</summary>
    public static void Update(TcpEndpoint e, int delivered, in TcpAckContext ack)
    {
        if (e.Cong.InReduction)
            Reduce(e, delivered, (int)(e.Cong.Lost - ack.PriorLost), ack.Flags);
        else if (MayRaise(e, ack.Flags))
            TcpCongestionControl.Avoid(e, (uint)delivered);
    }

    /// <summary>Proportional rate reduction (RFC 6937): what may be sent for what was delivered, so that the window ends at the threshold.</summary>
    public static void Reduce(TcpEndpoint e, int delivered, int newlyLost, AckFlags flags)
    {
        ref TcpCongestionState c = ref e.Cong;
        int delta = (int)c.Threshold - e.Snd.InFlight;
        if (delivered <= 0 || e.Loss.PriorWindow == 0)
            return;
        e.Loss.PrrDelivered += (uint)delivered;
        int count;
        if (delta < 0)
        {
            count = (int)((((ulong)c.Threshold * e.Loss.PrrDelivered) + e.Loss.PriorWindow - 1) / e.Loss.PriorWindow) - (int)e.Loss.PrrOut;
        }
        else
        {
            count = Math.Max((int)(e.Loss.PrrDelivered - e.Loss.PrrOut), delivered);
            if ((flags & AckFlags.UnaAdvanced) != 0 && newlyLost == 0)
                count++;
            count = Math.Min(delta, count);
        }

        // On entering, one segment goes in any case.
        count = Math.Max(count, e.Loss.PrrOut != 0 ? 0 : 1);
        c.Window = (uint)Math.Max(0, e.Snd.InFlight + count);
    }

    public static void BeginReduction(TcpEndpoint e)
    {
        ref TcpCongestionState c = ref e.Cong;
        c.HighSeq = e.Snd.Nxt;
        c.HasProbe = false;
        c.Count = 0;
        e.Loss.PriorWindow = c.Window;
        e.Loss.PrrDelivered = e.Loss.PrrOut = 0;
        c.Threshold = TcpCongestionControl.ReducedThreshold(e);
        TcpEcn.QueueReduced(e);
    }

    public static void EndReduction(TcpEndpoint e)
    {
        ref TcpCongestionState c = ref e.Cong;
        if (c.Threshold < TcpConstants.InfiniteThreshold && (c.State == TcpLossState.WindowReduction || e.Loss.CanUndo))
        {
            c.Window = c.Threshold;
            c.Stamp = e.Now;
        }
    }

    /// <summary>Congestion without loss: an ECN mark, or the host's own queue is full.</summary>
    public static void EnterReduction(TcpEndpoint e)
    {
        e.Loss.PriorThreshold = 0;
        if (e.Cong.State >= TcpLossState.WindowReduction)
            return;
        e.Loss.CanUndo = false;
        BeginReduction(e);
        SetState(e, TcpLossState.WindowReduction);
    }

    public static void SetState(TcpEndpoint e, TcpLossState state)
    {
        TcpCongestionControl.OnState(e, state);
        e.Cong.State = state;
    }

    /// <summary>After sending: notes whether the window or something else limits.</summary>
    public static void Validate(TcpEndpoint e, bool limited)
    {
        ref TcpCongestionState c = ref e.Cong;
        if (!TcpSequence.Before(e.Snd.Una, c.UsageEnd) || limited || (!c.IsLimited && e.Snd.PacketsOut > c.MaxPacketsOut))
        {
            c.IsLimited = limited;
            c.MaxPacketsOut = (uint)e.Snd.PacketsOut;
            c.UsageEnd = e.Snd.Nxt;
        }

        if (IsLimited(e))
        {
            c.Used = 0;
            c.Stamp = e.Now;
            return;
        }

        if (e.Snd.PacketsOut > c.Used)
            c.Used = (uint)e.Snd.PacketsOut;
        if (e.Stack.Settings.SlowStartAfterIdle && e.Now - c.Stamp >= e.Rtt.Rto)
            ApplicationLimited(e);
        if (e.SendQueue is not { HasUnsent: true } && e.NoSpace && e.State is TcpState.Established or TcpState.CloseWait)
            TcpLimits.Start(e, TcpLimit.SendBuffer);
    }

    /// <summary>Whether the window is what limits sending; in slow start also when half of it was used.</summary>
    public static bool IsLimited(TcpEndpoint e) => e.Cong.IsLimited || (e.Cong.InSlowStart && e.Cong.Window < 2 * e.Cong.MaxPacketsOut);

    /// <summary>New data after a pause: the window of before is no longer known to be right (RFC 5681 section 4.1).</summary>
    public static void CheckIdle(TcpEndpoint e)
    {
        if (!e.Stack.Settings.SlowStartAfterIdle || e.Snd.PacketsOut > 0)
            return;
        long idle = e.Now - e.Snd.LastSent;
        if (idle <= e.Rtt.Rto)
            return;
        ref TcpCongestionState c = ref e.Cong;
        c.Threshold = c.CurrentThreshold;
        uint window = c.Window, restart = Math.Min(TcpConstants.InitialWindow, window);
        while ((idle -= e.Rtt.Rto) > 0 && window > restart)
            window >>= 1;
        c.Window = Math.Max(window, restart);
        c.Stamp = e.Now;
        c.Used = 0;
    }

    private static bool MayRaise(TcpEndpoint e, AckFlags flags)
    {
        AckFlags wanted = e.Cong.Reordering > TcpConstants.DuplicateThreshold ? AckFlags.Progress : AckFlags.DataAcked;
        return (flags & wanted) != 0;
    }

    private static void ApplicationLimited(TcpEndpoint e)
    {
        ref TcpCongestionState c = ref e.Cong;
        if (c.State == TcpLossState.Open && !e.IsOrphan && !e.NoSpace)
        {
            uint used = Math.Max(c.Used, TcpConstants.InitialWindow);
            if (used < c.Window)
            {
                c.Threshold = c.CurrentThreshold;
                c.Window = (c.Window + used) >> 1;
            }

            c.Used = 0;
        }

        c.Stamp = e.Now;
    }
}
