namespace Netstack.Stack;

/// <summary>Explicit congestion notification (RFC 3168 section 6.1).</summary>
internal static class TcpEcn
{
    private const byte Mask = 3, CongestionExperienced = 3;

    public static void QueueReduced(TcpEndpoint e)
    {
        if ((e.Ext.Ecn & TcpEcnFlags.Ok) != 0)
            e.Ext.Ecn |= TcpEcnFlags.QueueReduced;
    }

    /// <summary>The reduction that the peer was to be told of is taken back.</summary>
    public static void WithdrawReduced(TcpEndpoint e) => e.Ext.Ecn &= ~TcpEcnFlags.QueueReduced;

    /// <summary>Looks at the mark of a data packet.</summary>
    public static void OnData(TcpEndpoint e, byte tos)
    {
        if ((e.Ext.Ecn & TcpEcnFlags.Ok) == 0)
            return;
        switch (tos & Mask)
        {
            case 0:
                // Probably a retransmission, since the peer does mark new data: it waits for an answer.
                if ((e.Ext.Ecn & TcpEcnFlags.Seen) != 0)
                    TcpDelayedAck.EnterQuick(e, 2);
                break;
            case CongestionExperienced:
                if ((e.Ext.Ecn & TcpEcnFlags.DemandReduced) == 0)
                {
                    TcpDelayedAck.EnterQuick(e, 2);
                    e.Ext.Ecn |= TcpEcnFlags.DemandReduced;
                }

                e.Ext.Ecn |= TcpEcnFlags.Seen;
                break;
            default:
                e.Ext.Ecn |= TcpEcnFlags.Seen;
                break;
        }
    }

    /// <summary>The peer says that it has reduced its window.</summary>
    public static void AcceptReduced(TcpEndpoint e, in TcpHeader header, bool hasData)
    {
        if (!header.Has(TcpFlags.Cwr))
            return;
        e.Ext.Ecn &= ~TcpEcnFlags.DemandReduced;

        // Its window may be one segment now: do not make it wait.
        if (hasData)
            e.Ack.Pending |= TcpAckPending.Now;
    }

    /// <summary>Whether the acknowledgment echoes congestion.</summary>
    public static bool IsEcho(TcpEndpoint e, in TcpHeader header) => header.Has(TcpFlags.Ece) && !header.Has(TcpFlags.Syn) && (e.Ext.Ecn & TcpEcnFlags.Ok) != 0;
}
