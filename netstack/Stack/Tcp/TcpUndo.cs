namespace Netstack.Stack;

/// <summary>Takes a reduction of the window back when all retransmissions turn out to have been needless: by timestamps (Eifel, RFC 3522) or D-SACK.</summary>
internal static class TcpUndo
{
    /// <summary>All that was outstanding when recovery began is acknowledged; true when the state is to be held a little longer.</summary>
    public static bool TryRecovery(TcpEndpoint e)
    {
        if (MayUndo(e))
            Undo(e, false);
        else if (e.Rack.Persist > 0)
            e.Rack.Persist--;
        if (IsHeld(e))
            return true;
        TcpCongestionWindow.SetState(e, TcpLossState.Open);
        e.Loss.IsReneging = false;
        return false;
    }

    /// <summary>Every retransmission was reported as a duplicate.</summary>
    public static bool TryDuplicates(TcpEndpoint e)
    {
        if (!e.HasLost || !e.Loss.CanUndo || e.Loss.UndoRetrans != 0)
            return false;
        e.Rack.Persist = (byte)Math.Min(TcpConstants.RackPersistRounds, e.Rack.Persist + 1);
        Undo(e, false);
        return true;
    }

    /// <summary>During the recovery from a timeout.</summary>
    public static bool TryLoss(TcpEndpoint e, bool spurious)
    {
        if (!spurious && !MayUndo(e))
            return false;
        Undo(e, true);
        e.Retransmits = 0;
        if (IsHeld(e))
            return true;
        if (spurious || e.Ext.Sack)
        {
            TcpCongestionWindow.SetState(e, TcpLossState.Open);
            e.Loss.IsReneging = false;
        }

        return true;
    }

    /// <summary>A partial acknowledgment that was of an original; true when nothing is to be marked lost for now.</summary>
    public static bool TryPartial(TcpEndpoint e, uint priorUna)
    {
        if (!e.Loss.CanUndo || !WasDelayed(e))
            return false;
        TcpSack.CheckReordering(e, priorUna);
        if (e.Snd.RetransOut > 0)
            return true;
        if (!TcpRecovery.AnyRetransmitted(e))
            e.Loss.RetransStamp = 0;
        Undo(e, true);
        TcpRecovery.TryKeepOpen(e);
        return false;
    }

    /// <summary>The SYN was retransmitted and its original was answered.</summary>
    public static void TrySpuriousSyn(TcpEndpoint e)
    {
        if (e.HasLost && e.Loss.CanUndo && e.Loss.RetransStamp != 0 && e.Ext.Saw && e.Ext.Echo != 0 && (int)(e.Ext.Echo - ToClock(e.Loss.RetransStamp)) < 0)
            e.Loss.CanUndo = false;
    }

    public static uint ToClock(long time) => (uint)(time / TcpConstants.Millisecond);

    private static bool MayUndo(TcpEndpoint e) => e.Loss.CanUndo && (e.Loss.UndoRetrans == 0 || WasDelayed(e));

    /// <summary>What was just acknowledged left before the first retransmission did.</summary>
    private static bool WasDelayed(TcpEndpoint e) =>
        e.Loss.RetransStamp != 0 && e.Ext.Saw && e.Ext.Echo != 0 && (int)(e.Ext.Echo - ToClock(e.Loss.RetransStamp)) < 0;

    /// <summary>Without SACK the state is held until something above is acknowledged, so that late duplicates do not begin it again (RFC 6582).</summary>
    private static bool IsHeld(TcpEndpoint e)
    {
        if (e.Snd.Una != e.Cong.HighSeq || e.Ext.Sack)
            return false;
        if (!TcpRecovery.AnyRetransmitted(e))
            e.Loss.RetransStamp = 0;
        return true;
    }

    private static void Undo(TcpEndpoint e, bool unmark)
    {
        ref TcpCongestionState c = ref e.Cong;
        if (unmark)
        {
            TcpSendQueue? queue = e.SendQueue;
            for (int i = 0; queue is not null && i < queue.SentCount; i++)
                queue[i].Marks &= ~TcpMarks.Lost;
            queue?.RebuildOrder();
            e.Snd.LostOut = 0;
            e.Loss.HasHint = false;
        }

        if (e.Loss.PriorThreshold != 0)
        {
            c.Window = TcpCongestionControl.UndoneWindow(e);
            if (e.Loss.PriorThreshold > c.Threshold)
            {
                c.Threshold = e.Loss.PriorThreshold;
                TcpEcn.WithdrawReduced(e);
            }
        }

        c.Stamp = e.Now;
        e.Loss.CanUndo = false;
        e.Rack.Advanced = true;
    }
}
