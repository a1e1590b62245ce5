namespace Netstack.Stack;

/// <summary>The states of loss recovery: what an acknowledgment that is no plain progress does (RFC 6675, RFC 6582, RFC 5682).</summary>
internal static class TcpRecovery
{
    /// <summary>An acknowledgment that is a duplicate, carries news of losses, or comes during recovery.</summary>
    public static void OnAlert(TcpEndpoint e, int duplicates, ref TcpAckContext ack)
    {
        ref TcpCongestionState c = ref e.Cong;
        bool echo = ack.Is(AckFlags.Echo);
        if (e.Snd.PacketsOut == 0 && e.Snd.SackedOut > 0)
            e.Snd.SackedOut = 0;

        // A mark asks for a reduction, which is then not undone.
        if (echo)
            e.Loss.PriorThreshold = 0;
        if (CheckReneging(e, ref ack))
            return;
        if (c.State == TcpLossState.Open)
        {
            if (e.HasLost)
                e.Loss.RetransStamp = 0;
        }
        else if (!TcpSequence.Before(e.Snd.Una, c.HighSeq) && LeaveState(e))
            return;

        switch (c.State)
        {
            case TcpLossState.Recovery:
                if (!ack.Is(AckFlags.UnaAdvanced))
                {
                    if (!e.Ext.Sack)
                        TcpRenoSack.Add(e, duplicates, echo);
                }
                else if (TcpUndo.TryPartial(e, ack.PriorUna))
                {
                    return;
                }

                if (TcpUndo.TryDuplicates(e))
                    TryToOpen(e, ack.Flags);
                IdentifyLoss(e, ref ack);
                if (c.State != TcpLossState.Recovery)
                {
                    if (e.Snd.LostOut == 0)
                        return;
                    EnterRecovery(e, echo);
                }

                break;
            case TcpLossState.Loss:
                ProcessLoss(e, duplicates, ref ack);
                if (c.State != TcpLossState.Loss)
                    EndTimeoutEpisode(e);
                IdentifyLoss(e, ref ack);
                if (c.State != TcpLossState.Open && !ack.Is(AckFlags.LostRetransmit))
                    return;
                goto default;
            default:
                if (!e.Ext.Sack)
                {
                    if (ack.Is(AckFlags.UnaAdvanced))
                        e.Snd.SackedOut = 0;
                    TcpRenoSack.Add(e, duplicates, echo);
                }

                if (c.State <= TcpLossState.Disorder)
                    TcpUndo.TryDuplicates(e);
                IdentifyLoss(e, ref ack);
                if (e.Snd.LostOut == 0)
                {
                    TryToOpen(e, ack.Flags);
                    return;
                }

                if (c.State < TcpLossState.WindowReduction && e.Probing is { } probing && probing.IsLost(e))
                {
                    probing.OnFailed(e);
                    return;
                }

                EnterRecovery(e, echo);
                break;
        }

        ack.Resend = TcpResend.Lost;
    }

    public static void MarkLost(TcpEndpoint e, TcpSegment segment)
    {
        if (segment.Is(TcpMarks.Sacked))
            return;

        // The search for what to send again must not begin above it.
        if (e.Loss.HasHint ? TcpSequence.Before(segment.Seq, e.Loss.RetransmitHint) : e.Snd.RetransOut >= e.Snd.LostOut)
        {
            e.Loss.HasHint = true;
            e.Loss.RetransmitHint = segment.Seq;
        }

        if (segment.Is(TcpMarks.Retransmitted))
        {
            // The retransmission itself was lost.
            segment.Marks &= ~TcpMarks.Retransmitted;
            e.Snd.RetransOut -= segment.Count;
        }
        else if (segment.Is(TcpMarks.Lost))
        {
            return;
        }

        if (!segment.Is(TcpMarks.Lost))
        {
            segment.Marks |= TcpMarks.Lost;
            e.Snd.LostOut += segment.Count;
        }

        e.Cong.Lost += (uint)segment.Count;
    }

    /// <summary>A retransmission timeout: all that was sent long enough ago counts as lost.</summary>
    public static void EnterLoss(TcpEndpoint e)
    {
        ref TcpCongestionState c = ref e.Cong;
        bool isNew = c.State < TcpLossState.Recovery;
        MarkTimedOut(e);
        if (c.State <= TcpLossState.Disorder || !TcpSequence.After(c.HighSeq, e.Snd.Una) || (c.State == TcpLossState.Loss && e.Retransmits == 0))
        {
            e.Loss.PriorThreshold = c.CurrentThreshold;
            e.Loss.PriorWindow = c.Window;
            c.Threshold = TcpCongestionControl.ReducedThreshold(e);
            BeginUndo(e);
        }

        c.Window = (uint)e.Snd.InFlight + 1;
        c.Count = 0;
        c.Stamp = e.Now;
        if (c.State <= TcpLossState.Disorder && e.Snd.SackedOut >= e.Stack.Settings.Reordering)
            c.Reordering = Math.Min(c.Reordering, e.Stack.Settings.Reordering);
        TcpCongestionWindow.SetState(e, TcpLossState.Loss);
        c.HighSeq = e.Snd.Nxt;
        c.HasProbe = false;
        TcpEcn.QueueReduced(e);
        e.Loss.IsTestingTimeout = e.Stack.Settings.Frto && (isNew || e.Retransmits > 0) && e.Probing is not { IsOut: true };
    }

    public static void EnterRecovery(TcpEndpoint e, bool echo)
    {
        ref TcpCongestionState c = ref e.Cong;
        e.Loss.PriorThreshold = 0;
        BeginUndo(e);
        if (!c.InReduction)
        {
            if (!echo)
                e.Loss.PriorThreshold = c.CurrentThreshold;
            TcpCongestionWindow.BeginReduction(e);
        }

        TcpCongestionWindow.SetState(e, TcpLossState.Recovery);
    }

    public static void TryToOpen(TcpEndpoint e, AckFlags flags)
    {
        if (e.HasLost && !AnyRetransmitted(e))
            e.Loss.RetransStamp = 0;
        if ((flags & AckFlags.Echo) != 0)
            TcpCongestionWindow.EnterReduction(e);
        if (e.Cong.State != TcpLossState.WindowReduction)
            TryKeepOpen(e);
    }

    public static void TryKeepOpen(TcpEndpoint e)
    {
        TcpLossState state = e.Snd.LeftOut > 0 || AnyRetransmitted(e) ? TcpLossState.Disorder : TcpLossState.Open;
        if (e.Cong.State == state)
            return;
        TcpCongestionWindow.SetState(e, state);
        e.Cong.HighSeq = e.Snd.Nxt;
    }

    /// <summary>Whether the oldest segment was retransmitted, which a delayed original may yet acknowledge.</summary>
    public static bool AnyRetransmitted(TcpEndpoint e) =>
        e.Snd.RetransOut > 0 || (e.SendQueue?.SentHead is { } head && head.Is(TcpMarks.EverRetransmitted));

    /// <summary>Segments longer than the path now takes were dropped on the way: sends them again without taking it for congestion (RFC 8201).</summary>
    public static void RetransmitTooLong(TcpEndpoint e)
    {
        int mss = TcpMss.Current(e);
        TcpSendQueue? queue = e.SendQueue;
        for (int i = 0; queue is not null && i < queue.SentCount; i++)
        {
            if (queue[i].SegmentLength > mss)
                MarkLost(e, queue[i]);
        }

        e.Loss.HasHint = false;
        if (e.Snd.LostOut == 0)
            return;
        if (!e.Ext.Sack)
            TcpRenoSack.Limit(e);
        if (e.Cong.State != TcpLossState.Loss)
        {
            e.Cong.HighSeq = e.Snd.Nxt;
            e.Cong.Threshold = e.Cong.CurrentThreshold;
            e.Loss.PriorThreshold = 0;
            e.Loss.CanUndo = false;
            TcpCongestionWindow.SetState(e, TcpLossState.Loss);
        }

        TcpRetransmit.SendAllLost(e);
    }

    public static void EndTimeoutEpisode(TcpEndpoint e)
    {
        if (!e.HasLost || e.Loss.TimeoutSince == 0)
            return;
        e.Stat.TimeoutMs += (uint)((e.Now - e.Loss.TimeoutSince) / TcpConstants.Millisecond);
        e.Loss.TimeoutSince = 0;
    }

    private static void BeginUndo(TcpEndpoint e)
    {
        ref TcpCongestionState c = ref e.Cong;
        e.Loss.UndoMarker = e.Snd.Una;
        e.Loss.CanUndo = true;
        e.Loss.UndoRetrans = e.Snd.RetransOut;
        if (c.HasProbe && e.Loss.ProbeRetransmits)
            e.Loss.UndoRetrans++;
        if (e.Loss.UndoRetrans == 0)
            e.Loss.UndoRetrans = -1;
    }

    private static void MarkTimedOut(TcpEndpoint e)
    {
        TcpSendQueue queue = e.SendQueue!;
        TcpSegment? head = queue.SentHead;
        bool reneging = head is not null && head.Is(TcpMarks.Sacked);
        if (reneging)
        {
            e.Snd.SackedOut = 0;
            e.Loss.IsReneging = true;
            e.Loss.Cache.IsValid = false;
        }
        else if (!e.Ext.Sack)
        {
            e.Snd.SackedOut = 0;
        }

        for (int i = 0; i < queue.SentCount; i++)
        {
            TcpSegment segment = queue[i];
            if (reneging)
                segment.Marks &= ~TcpMarks.Sacked;
            else if (i > 0 && e.Ext.Sack && TcpRack.Remaining(e, segment, 0) > 0)
                continue;
            MarkLost(e, segment);
        }

        e.Loss.HasHint = false;
    }

    /// <summary>What was to be acknowledged for the state to end has been; true when nothing more is to be done.</summary>
    private static bool LeaveState(TcpEndpoint e)
    {
        switch (e.Cong.State)
        {
            case TcpLossState.WindowReduction:
                // Held until something above is acknowledged, so that the peer has seen the mark.
                if (e.Snd.Una != e.Cong.HighSeq)
                {
                    TcpCongestionWindow.EndReduction(e);
                    TcpCongestionWindow.SetState(e, TcpLossState.Open);
                }

                break;
            case TcpLossState.Recovery:
                if (!e.Ext.Sack)
                    e.Snd.SackedOut = 0;
                if (TcpUndo.TryRecovery(e))
                    return true;
                TcpCongestionWindow.EndReduction(e);
                break;
        }

        return false;
    }

    /// <summary>Finds losses: by RACK, or without SACK by duplicates.</summary>
    private static void IdentifyLoss(TcpEndpoint e, ref TcpAckContext ack)
    {
        if (e.SendQueue is not { SentCount: > 0 })
            return;
        if (!e.Ext.Sack)
        {
            TcpRack.MarkFirstLost(e, ack.Is(AckFlags.UnaAdvanced));
            return;
        }

        int before = e.Snd.RetransOut;
        if (TcpRack.MarkLost(e))
            ack.Flags &= ~AckFlags.SetTimer;
        if (before > e.Snd.RetransOut)
            ack.Flags |= AckFlags.LostRetransmit;
    }

    /// <summary>The peer has dropped what it had said it holds: waits half a round trip for it to say otherwise, then goes by timeout.</summary>
    private static bool CheckReneging(TcpEndpoint e, ref TcpAckContext ack)
    {
        if (!ack.Is(AckFlags.Reneging) || !ack.Is(AckFlags.UnaAdvanced))
            return false;
        long delay = Math.Max(e.Rtt.Smoothed8 >> 4, 10_000) * TcpConstants.Microsecond;
        TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, delay);
        ack.Flags &= ~AckFlags.SetTimer;
        return true;
    }

    /// <summary>An acknowledgment after a timeout: F-RTO decides whether the timeout was spurious (RFC 5682 section 3).</summary>
    private static void ProcessLoss(TcpEndpoint e, int duplicates, ref TcpAckContext ack)
    {
        ref TcpCongestionState c = ref e.Cong;
        bool recovered = !TcpSequence.Before(e.Snd.Una, c.HighSeq);
        if (ack.Is(AckFlags.UnaAdvanced) && TcpUndo.TryLoss(e, false))
            return;
        if (e.Loss.IsTestingTimeout)
        {
            if (ack.Is(AckFlags.OriginalAcked) && TcpUndo.TryLoss(e, true))
                return;
            if (TcpSequence.After(e.Snd.Nxt, c.HighSeq))
            {
                if (ack.Is(AckFlags.DataSacked) || duplicates > 0)
                    e.Loss.IsTestingTimeout = false;
            }
            else if (ack.Is(AckFlags.UnaAdvanced) && !recovered)
            {
                c.HighSeq = e.Snd.Nxt;
                if (e.SendQueue is { HasUnsent: true } && TcpSequence.After(e.Snd.WindowEnd, e.Snd.Nxt))
                {
                    ack.Resend = TcpResend.NewData;
                    return;
                }

                e.Loss.IsTestingTimeout = false;
            }
        }

        if (recovered)
        {
            TcpUndo.TryRecovery(e);
            return;
        }

        if (!e.Ext.Sack)
        {
            if (TcpSequence.After(e.Snd.Nxt, c.HighSeq) && duplicates > 0)
                TcpRenoSack.Add(e, duplicates, ack.Is(AckFlags.Echo));
            else if (ack.Is(AckFlags.UnaAdvanced))
                e.Snd.SackedOut = 0;
        }

        ack.Resend = TcpResend.Lost;
    }
}

/// <summary>Without SACK duplicates are counted as if each told of a segment that has left the network (RFC 5681 section 3.2).</summary>
internal static class TcpRenoSack
{
    public static void Add(TcpEndpoint e, int duplicates, bool echo)
    {
        if (duplicates == 0)
            return;
        int before = e.Snd.SackedOut;
        e.Snd.SackedOut += duplicates;
        CheckReordering(e, 0);
        int delivered = e.Snd.SackedOut - before;
        if (delivered > 0)
            TcpAck.CountDelivered(e, delivered, echo);
    }

    /// <summary>Segments were acknowledged: one filled the hole, the others had been counted as duplicates.</summary>
    public static void Remove(TcpEndpoint e, int acked, bool echo)
    {
        if (acked > 0)
        {
            TcpAck.CountDelivered(e, Math.Max(acked - e.Snd.SackedOut, 1), echo);
            e.Snd.SackedOut = acked - 1 >= e.Snd.SackedOut ? 0 : e.Snd.SackedOut - (acked - 1);
        }

        CheckReordering(e, acked);
    }

    /// <summary>No more can have left the network than is out, less the hole; true when it was so.</summary>
    public static bool Limit(TcpEndpoint e)
    {
        int holes = Math.Min(Math.Max(e.Snd.LostOut, 1), e.Snd.PacketsOut);
        if (e.Snd.SackedOut + holes <= e.Snd.PacketsOut)
            return false;
        e.Snd.SackedOut = e.Snd.PacketsOut - holes;
        return true;
    }

    private static void CheckReordering(TcpEndpoint e, int addend)
    {
        if (!Limit(e))
            return;
        e.Cong.Reordering = Math.Min(e.Snd.PacketsOut + addend, TcpConstants.MaxReordering);
        e.Cong.ReorderSeen++;
    }
}
