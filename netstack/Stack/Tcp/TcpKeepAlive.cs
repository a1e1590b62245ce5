namespace Netstack.Stack;

/// <summary>Keepalive (RFC 9293 section 3.8.4), and the end of FIN-WAIT-2 of connections whose socket is closed.</summary>
internal static class TcpKeepAlive
{
    public static long Idle(TcpEndpoint e) => (e.TcpOptions.KeepIdle > 0 ? e.TcpOptions.KeepIdle : e.Stack.Settings.KeepAliveTime) * TcpConstants.Second;

    public static long Interval(TcpEndpoint e) => (e.TcpOptions.KeepInterval > 0 ? e.TcpOptions.KeepInterval : e.Stack.Settings.KeepAliveInterval) * TcpConstants.Second;

    public static int Count(TcpEndpoint e) => e.TcpOptions.KeepCount > 0 ? e.TcpOptions.KeepCount : e.Stack.Settings.KeepAliveProbes;

    /// <summary>SO_KEEPALIVE or its times have changed, or the connection is established.</summary>
    public static void Update(TcpEndpoint e)
    {
        if (e.State is TcpState.Closed or TcpState.Listen or TcpState.SynSent || (e.IsOrphan && e.State == TcpState.FinWait2))
            return;
        if (!e.Options.KeepAlive)
            TcpTimers.ClearKeep(e);
        else
            TcpTimers.ArmKeep(e, Math.Max(Idle(e) - Elapsed(e), 0));
    }

    public static void OnTimer(TcpEndpoint e)
    {
        if (e.State is TcpState.Closed or TcpState.Listen)
            return;
        if (e.State == TcpState.FinWait2 && e.IsOrphan)
        {
            long wait = TcpClose.FinWaitTime(e) - TcpConstants.TimeWaitLength;
            if (e.TcpOptions.Linger2 >= 0 && wait > 0)
            {
                TcpTimeWait.Enter(e, TcpState.FinWait2, wait);
                return;
            }

            TcpReset.SendActive(e);
            TcpClose.Done(e);
            return;
        }

        if (!e.Options.KeepAlive || e.State == TcpState.SynSent)
            return;
        long idle = Idle(e);
        if (e.Snd.PacketsOut > 0 || e.SendQueue is { HasUnsent: true })
        {
            TcpTimers.ArmKeep(e, idle);
            return;
        }

        long elapsed = Elapsed(e);
        if (elapsed < idle)
        {
            TcpTimers.ArmKeep(e, idle - elapsed);
            return;
        }

        int limit = e.TcpOptions.UserTimeout;
        if (limit > 0 ? elapsed >= limit * TcpConstants.Millisecond && e.ProbesOut > 0 : e.ProbesOut >= Count(e))
        {
            TcpReset.SendActive(e);
            TcpClose.OnTimedOut(e);
            return;
        }

        if (TcpWindowProbe.WakeUp(e) == Errno.ENOBUFS)
        {
            TcpTimers.ArmKeep(e, TcpConstants.ResourceProbeInterval);
            return;
        }

        e.ProbesOut++;
        TcpTimers.ArmKeep(e, Interval(e));
    }

    private static long Elapsed(TcpEndpoint e) => Math.Min(e.Now - e.Ack.LastData, e.Now - e.Rcv.LastAck);
}
