namespace Netstack.Stack;

/// <summary>RACK (RFC 8985 section 6): a segment is lost when one that was sent later has been delivered and a reordering window has passed.</summary>
internal static class TcpRack
{
    /// <summary>A segment was delivered (RACK_update).</summary>
    public static void Advance(TcpEndpoint e, TcpMarks marks, uint end, long sentAt)
    {
        long rttUs = (e.Now - sentAt) / TcpConstants.Microsecond;

        // The acknowledgment of a retransmission that came too soon was of the original.
        if (rttUs < e.Rtt.ShortestUs && (marks & TcpMarks.AnyRetransmit) != 0)
            return;
        ref TcpRackState rack = ref e.Rack;
        rack.Advanced = true;
        rack.RttUs = (int)Math.Min(rttUs, int.MaxValue);
        if (SentAfter(sentAt, end, rack.SentAt, rack.End))
        {
            rack.SentAt = sentAt;
            rack.End = end;
        }
    }

    /// <summary>Marks what is lost and waits for what may yet come; true when it does wait.</summary>
    public static bool MarkLost(TcpEndpoint e)
    {
        if (!e.Rack.Advanced)
            return false;
        e.Rack.Advanced = false;
        long wait = DetectLoss(e);
        if (wait == 0)
            return false;
        TcpTimers.ArmSend(e, TcpSendTimer.Reordering, wait + (TcpConstants.MinTimeoutUs * TcpConstants.Microsecond));
        return true;
    }

    /// <summary>The reordering timer has expired.</summary>
    public static void OnTimer(TcpEndpoint e)
    {
        uint lost = e.Cong.Lost;
        int before = e.Snd.InFlight;
        long wait = DetectLoss(e);
        if (before != e.Snd.InFlight)
        {
            if (e.Cong.State != TcpLossState.Recovery)
            {
                TcpRecovery.EnterRecovery(e, false);
                TcpCongestionWindow.Reduce(e, 1, (int)(e.Cong.Lost - lost), AckFlags.None);
            }

            TcpRetransmit.SendAllLost(e);
        }

        if (wait > 0)
            TcpTimers.ArmSend(e, TcpSendTimer.Reordering, wait + (TcpConstants.MinTimeoutUs * TcpConstants.Microsecond));
        else if (e.SendTimer != TcpSendTimer.Retransmit)
            TcpTimers.RearmRetransmit(e);
    }

    /// <summary>Time after which a segment counts as lost; 0 or less when it does.</summary>
    public static long Remaining(TcpEndpoint e, TcpSegment segment, long windowUs) =>
        ((e.Rack.RttUs + windowUs) * TcpConstants.Microsecond) - (e.Now - segment.SentAt);

    /// <summary>Widens the window when duplicates show that losses were found too soon (RFC 8985 section 6.2, step 4).</summary>
    public static void UpdateWindow(TcpEndpoint e, in TcpAckContext ack)
    {
        if (ack.SamplePriorAt == 0)
            return;
        ref TcpRackState rack = ref e.Rack;
        if (TcpSequence.Before(ack.SamplePriorDelivered, rack.LastDelivered))
            rack.DuplicateSeen = false;
        if (rack.DuplicateSeen)
        {
            rack.Steps = (byte)Math.Min(255, rack.Steps + 1);
            rack.DuplicateSeen = false;
            rack.LastDelivered = e.Cong.Delivered;
            rack.Persist = TcpConstants.RackPersistRounds;
        }
        else if (rack.Persist == 0)
        {
            rack.Steps = 1;
        }
    }

    /// <summary>Without SACK (RFC 6582): the first segment is lost after three duplicates, and at each partial acknowledgment.</summary>
    public static void MarkFirstLost(TcpEndpoint e, bool advanced)
    {
        TcpLossState state = e.Cong.State;
        if (!(state < TcpLossState.Recovery && e.Snd.SackedOut >= e.Cong.Reordering) && !(state == TcpLossState.Recovery && advanced))
            return;
        TcpSegment head = e.SendQueue!.SentHead!;
        if (head.Is(TcpMarks.Lost))
            return;
        int mss = head.SegmentLength;
        if (head.Count > 1 && head.Length > mss)
            TcpOutput.Split(e, e.SendQueue, 0, mss, mss);
        TcpRecovery.MarkLost(e, head);
    }

    private static bool SentAfter(long at, uint end, long otherAt, uint otherEnd) => at > otherAt || (at == otherAt && TcpSequence.After(end, otherEnd));

    private static long WindowUs(TcpEndpoint e)
    {
        if (e.Cong.ReorderSeen == 0)
        {
            if (e.Cong.State >= TcpLossState.Recovery || e.Snd.SackedOut >= e.Cong.Reordering)
                return 0;
        }

        return Math.Min((long)(e.Rtt.ShortestUs >> 2) * Math.Max(e.Rack.Steps, (byte)1), e.Rtt.SmoothedUs);
    }

    private static long DetectLoss(TcpEndpoint e)
    {
        long wait = 0, window = WindowUs(e);
        TcpSendQueue queue = e.SendQueue!;
        for (TcpSegment? segment = queue.Earliest; segment is not null;)
        {
            TcpSegment? next = segment.SentAfter;
            if (segment.Is(TcpMarks.Lost) && !segment.Is(TcpMarks.Retransmitted))
            {
                segment = next;
                continue;
            }

            if (!SentAfter(e.Rack.SentAt, e.Rack.End, segment.SentAt, segment.End))
                break;
            long remaining = Remaining(e, segment, window);
            if (remaining <= 0)
            {
                TcpRecovery.MarkLost(e, segment);
                queue.Unlink(segment);
            }
            else
            {
                wait = Math.Max(wait, remaining);
            }

            segment = next;
        }

        return wait;
    }
}
