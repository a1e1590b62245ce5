namespace Netstack.Stack;

/// <summary>The timers of a connection: one for sending (retransmission, probes), one for delayed acknowledgments, one for keepalive and
/// FIN-WAIT-2. They share one <see cref="StackTimer"/>, which is moved only when a deadline comes earlier.</summary>
internal static class TcpTimers
{
    public static void ArmSend(TcpEndpoint e, TcpSendTimer kind, long delay)
    {
        e.SendTimer = kind;
        e.SendDeadline = e.Now + Math.Min(delay, TcpConstants.MaxRtoUs * TcpConstants.Microsecond);
        e.WakeAt(e.SendDeadline);
    }

    public static void ClearSend(TcpEndpoint e)
    {
        e.SendTimer = TcpSendTimer.None;
        e.SendDeadline = TcpConstants.Never;
    }

    public static void ArmKeep(TcpEndpoint e, long delay)
    {
        e.KeepDeadline = e.Now + delay;
        e.WakeAt(e.KeepDeadline);
    }

    public static void ClearKeep(TcpEndpoint e) => e.KeepDeadline = TcpConstants.Never;

    public static void ClearAll(TcpEndpoint e)
    {
        ClearSend(e);
        ClearKeep(e);
        e.Ack.Deadline = TcpConstants.Never;
        e.Ack.Pending = TcpAckPending.None;
        e.CancelTimer();
    }

    /// <summary>After progress: arms the loss probe or the retransmission timer.</summary>
    public static void SetSend(TcpEndpoint e)
    {
        if (!TcpTailProbe.Schedule(e, true))
            RearmRetransmit(e);
    }

    /// <summary>Restarts the retransmission timer (RFC 6298 section 5); a probe's timer in between does not lengthen it.</summary>
    public static void RearmRetransmit(TcpEndpoint e)
    {
        if (e.Snd.PacketsOut == 0)
        {
            ClearSend(e);
            return;
        }

        long rto = e.Rtt.Rto;
        if (e.SendTimer is TcpSendTimer.Reordering or TcpSendTimer.LossProbe)
            rto = Math.Max(UntilTimeout(e), TcpConstants.Microsecond);
        ArmSend(e, TcpSendTimer.Retransmit, rto);
    }

    /// <summary>Time until the oldest segment would time out.</summary>
    public static long UntilTimeout(TcpEndpoint e) => e.SendQueue!.SentHead is { } head ? head.SentAt + e.Rtt.Rto - e.Now : e.Rtt.Rto;

    /// <summary>Runs what is due and arms what comes next.</summary>
    public static void OnTimer(TcpEndpoint e)
    {
        long now = e.Now;
        if (e.Ack.Deadline <= now)
        {
            e.Ack.Deadline = TcpConstants.Never;
            TcpDelayedAck.OnTimer(e);
        }

        if (e.SendDeadline <= now)
            OnSendTimer(e);
        if (e.KeepDeadline <= now)
        {
            e.KeepDeadline = TcpConstants.Never;
            TcpKeepAlive.OnTimer(e);
        }

        e.Rearm();
    }

    private static void OnSendTimer(TcpEndpoint e)
    {
        TcpSendTimer kind = e.SendTimer;
        e.SendDeadline = TcpConstants.Never;
        if (e.State is TcpState.Closed or TcpState.Listen)
        {
            e.SendTimer = TcpSendTimer.None;
            return;
        }

        switch (kind)
        {
            case TcpSendTimer.Reordering:
                TcpRack.OnTimer(e);
                break;
            case TcpSendTimer.LossProbe:
                TcpTailProbe.Send(e);
                break;
            case TcpSendTimer.Retransmit:
                e.SendTimer = TcpSendTimer.None;
                TcpRetransmit.OnTimeout(e);
                break;
            case TcpSendTimer.WindowProbe:
                e.SendTimer = TcpSendTimer.None;
                TcpWindowProbe.OnTimer(e);
                break;
        }
    }
}
