namespace Netstack.Stack;

/// <summary>The send side of an incoming segment: takes acknowledged data off the queue, measures round trips, and lets recovery and congestion
/// control see what happened (RFC 9293 section 3.10.7.4, fifth step).</summary>
internal static class TcpAck
{
    /// <summary>What became of an acknowledgment.</summary>
    public enum Verdict
    {
        Accepted,

        /// <summary>Older than what is acknowledged.</summary>
        Old,

        /// <summary>For data that was never sent, or absurdly old: the segment is dropped.</summary>
        Invalid,
    }

    public static Verdict Process(TcpEndpoint e, in TcpSegmentIn segment, AckFlags flags)
    {
        var ack = new TcpAckContext
        {
            Flags = flags,
            PriorUna = e.Snd.Una,
            PriorPacketsOut = e.Snd.PacketsOut,
            PriorDelivered = e.Cong.Delivered,
            PriorLost = e.Cong.Lost,
            RttUs = -1,
        };
        uint number = segment.Header.Acknowledgment;
        bool hasBlocks = segment.Options.BlockCount > 0 && e.Ext.Sack;
        if (TcpSequence.Before(number, e.Snd.Una))
        {
            // RFC 5961 section 5.2: blind injection guesses acknowledgments.
            uint oldest = (uint)Math.Min(e.Snd.MaxWindow, e.Stat.BytesAcked);
            if (TcpSequence.Before(number, e.Snd.Una - oldest))
            {
                if (!ack.Is(AckFlags.NoChallenge))
                    TcpReset.SendChallenge(e);
                return Verdict.Invalid;
            }

            if (hasBlocks)
            {
                TcpSack.Process(e, in segment.Options, number, ref ack);
                CountDelivered(e, ack.SackDelivered, false);
                TcpRecovery.OnAlert(e, 0, ref ack);
                Resend(e, ack.Resend);
            }

            return Verdict.Old;
        }

        if (TcpSequence.After(number, e.Snd.Nxt))
            return Verdict.Invalid;
        if (TcpSequence.After(number, e.Snd.Una))
        {
            ack.Flags |= AckFlags.UnaAdvanced;
            e.Retransmits = 0;
        }

        ack.PriorHighestSack = e.Ext.Sack ? TcpSack.HighestSequence(e) : e.Snd.Una;
        if (ack.Is(AckFlags.UpdateTimestamp))
            TcpInput.ReplaceRecent(e, segment.Header.Sequence);
        if (segment.End != segment.Header.Sequence)
            ack.Flags |= AckFlags.Data;
        UpdateWindow(e, in segment, number, ref ack);
        if (hasBlocks)
            TcpSack.Process(e, in segment.Options, number, ref ack);
        else
            ack.Reorder = e.Snd.Nxt;
        if (TcpEcn.IsEcho(e, in segment.Header))
            ack.Flags |= AckFlags.Echo;
        if (ack.SackDelivered > 0)
            CountDelivered(e, ack.SackDelivered, ack.Is(AckFlags.Echo));
        TcpEcn.AcceptReduced(e, in segment.Header, segment.End != segment.Header.Sequence);
        e.SoftError = Errno.None;
        e.ProbesOut = 0;
        e.Rcv.LastAck = e.Now;
        if (ack.PriorPacketsOut == 0)
        {
            if (ack.Is(AckFlags.DuplicateSack))
                TcpRecovery.OnAlert(e, 0, ref ack);
            TcpWindowProbe.OnAck(e);
            if (e.Cong.HasProbe)
                TcpTailProbe.OnAck(e, number, ack.Flags);
            return Verdict.Accepted;
        }

        RemoveAcked(e, ref ack);
        TcpRack.UpdateWindow(e, in ack);
        if (e.Cong.HasProbe)
            TcpTailProbe.OnAck(e, number, ack.Flags);
        if (!ack.Is(AckFlags.NotDuplicate) || ack.Is(AckFlags.Alert) || e.Cong.State != TcpLossState.Open)
        {
            int duplicates = ack.Is(AckFlags.UnaAdvanced | AckFlags.NotDuplicate | AckFlags.DuplicateSack) ? 0 : 1;
            TcpRecovery.OnAlert(e, duplicates, ref ack);
        }

        if (ack.Is(AckFlags.SetTimer))
            TcpTimers.SetSend(e);
        if (ack.Is(AckFlags.Progress) || !ack.Is(AckFlags.NotDuplicate))
            e.ConfirmReachability();
        uint delivered = e.Cong.Delivered - ack.PriorDelivered;
        TcpRate.Finish(e, delivered, in ack);
        TcpCongestionWindow.Update(e, (int)delivered, in ack);
        Resend(e, ack.Resend);
        return Verdict.Accepted;
    }

    public static void CountDelivered(TcpEndpoint e, int segments, bool marked)
    {
        e.Cong.Delivered += (uint)segments;
        if (marked)
            e.Cong.DeliveredMarked += (uint)segments;
    }

    private static void Resend(TcpEndpoint e, TcpResend resend)
    {
        if (resend == TcpResend.Nothing || e.State == TcpState.SynSent)
            return;
        if (resend == TcpResend.NewData)
        {
            TcpOutput.Push(e, TcpMss.Current(e), TcpNagle.Off);
            if (TcpSequence.After(e.Snd.Nxt, e.Cong.HighSeq))
                return;
            e.Loss.IsTestingTimeout = false;
        }

        TcpRetransmit.SendAllLost(e);
    }

    private static void UpdateWindow(TcpEndpoint e, in TcpSegmentIn segment, uint number, ref TcpAckContext ack)
    {
        ref TcpSendState snd = ref e.Snd;
        uint window = segment.Header.Window, sequence = segment.Header.Sequence;
        if (!segment.Header.Has(TcpFlags.Syn))
            window <<= snd.Scale;
        if (TcpSequence.After(number, snd.Una) || TcpSequence.After(sequence, snd.Wl1) || (sequence == snd.Wl1 && (window > snd.Window || window == 0)))
        {
            ack.Flags |= AckFlags.WindowUpdate;
            snd.Wl1 = sequence;
            if (snd.Window != window)
            {
                snd.Window = window;
                if (e.SendQueue is { HasUnsent: true })
                    TcpCongestionWindow.CheckIdle(e);
                if (window > snd.MaxWindow)
                {
                    snd.MaxWindow = window;
                    TcpMss.Synchronize(e, snd.PathMtu);
                }
            }
        }

        e.Stat.BytesAcked += number - snd.Una;
        snd.Una = number;
    }

    /// <summary>Takes what is acknowledged off the queue and samples the round trip.</summary>
    private static void RemoveAcked(TcpEndpoint e, ref TcpAckContext ack)
    {
        ref TcpSendState snd = ref e.Snd;
        TcpSendQueue queue = e.SendQueue!;
        int acked = 0, sackedBefore = snd.SackedOut;
        uint reorder = snd.Nxt;
        bool fully = true, echo = ack.Is(AckFlags.Echo);
        long first = 0, last = 0;
        while (queue.SentHead is { } segment)
        {
            int count = segment.Count;
            uint start = segment.Seq;
            if (TcpSequence.After(segment.End, snd.Una))
            {
                if (count == 1 || !TcpSequence.After(snd.Una, start))
                    break;
                count = TrimAcked(e, segment);
                if (count == 0)
                    break;
                fully = false;
            }

            TcpMarks marks = segment.Marks;
            if ((marks & TcpMarks.AnyRetransmit) != 0)
            {
                if ((marks & TcpMarks.Retransmitted) != 0)
                    snd.RetransOut -= count;
                ack.Flags |= AckFlags.RetransmittedAcked;
            }
            else if ((marks & TcpMarks.Sacked) == 0)
            {
                last = segment.SentAt;
                if (first == 0)
                    first = last;
                if (TcpSequence.Before(start, reorder))
                    reorder = start;
                if (!TcpSequence.After(segment.End, e.Cong.HighSeq))
                    ack.Flags |= AckFlags.OriginalAcked;
            }

            if ((marks & TcpMarks.Sacked) != 0)
            {
                snd.SackedOut -= count;
            }
            else if (e.Ext.Sack)
            {
                CountDelivered(e, count, echo);
                if (!IsNeedless(e, segment))
                    TcpRack.Advance(e, marks, segment.End, segment.SentAt);
            }

            if ((marks & TcpMarks.Lost) != 0)
                snd.LostOut -= count;
            snd.PacketsOut -= count;
            acked += count;
            TcpRate.OnDelivered(e, segment, ref ack);
            if (segment.Has(TcpFlags.Syn))
            {
                ack.Flags |= AckFlags.SynAcked;
                if (e.HasLost)
                    e.Loss.RetransStamp = 0;
            }
            else
            {
                ack.Flags |= AckFlags.DataAcked;
            }

            if (!fully)
                break;
            queue.RemoveAt(0);
            e.Layer.Free(e, segment);
        }

        TcpSegment? head = queue.SentHead;
        if (head is null)
            TcpLimits.Stop(e, TcpLimit.Busy);
        else if (head.Is(TcpMarks.Sacked))
            ack.Flags |= AckFlags.Reneging;
        if (TcpSequence.Between(snd.Urgent, ack.PriorUna, snd.Una))
            snd.Urgent = snd.Una;
        Measure(e, ref ack, first, last, acked == 1 && fully && sackedBefore == 0, head);
        if (ack.Is(AckFlags.Acked))
        {
            ack.Flags |= AckFlags.SetTimer;
            if (e.Probing is { IsOut: true } probing)
                probing.OnAcked(e);
            if (!e.Ext.Sack)
            {
                TcpRenoSack.Remove(e, acked, echo);

                // Without SACK the acknowledgment of a retransmission proves nothing about originals.
                if (ack.Is(AckFlags.RetransmittedAcked))
                    ack.Flags &= ~AckFlags.OriginalAcked;
            }
            else if (TcpSequence.Before(reorder, ack.PriorHighestSack))
            {
                TcpSack.CheckReordering(e, reorder);
            }
        }

        TcpCongestionControl.OnAcked(e, ack.RttUs);
        if (queue.Count == 0)
            e.Layer.FreeQueue(e);
    }

    /// <summary>A segment is acknowledged in part: returns how many segments of the wire that was.</summary>
    private static int TrimAcked(TcpEndpoint e, TcpSegment segment)
    {
        int before = segment.Count, mss = segment.SegmentLength;
        TcpRetransmit.Trim(e, segment);
        segment.SetCount(mss);
        return before - segment.Count;
    }

    /// <summary>It was the original that arrived: the echo is older than the retransmission.</summary>
    private static bool IsNeedless(TcpEndpoint e, TcpSegment segment) =>
        segment.Is(TcpMarks.AnyRetransmit) && e.Ext.Saw && e.Ext.Echo != 0 && (int)(e.Ext.Echo - TcpUndo.ToClock(segment.SentAt)) < 0;

    private static void Measure(TcpEndpoint e, ref TcpAckContext ack, long first, long last, bool isSingle, TcpSegment? head)
    {
        long now = e.Now, sequenceRtt = -1, sackRtt = -1, rtt = -1;
        if (first != 0 && !ack.Is(AckFlags.RetransmittedAcked))
        {
            sequenceRtt = (now - first) / TcpConstants.Microsecond;
            rtt = (now - last) / TcpConstants.Microsecond;
            if (isSingle && e.Snd.Una - ack.PriorUna < e.Snd.Mss && ack.SamplePriorDelivered + 1 == e.Cong.Delivered && !ack.Is(AckFlags.Alert | AckFlags.SynAcked))
                ack.Flags |= AckFlags.MaybeDelayed;
        }

        if (ack.FirstSacked != 0)
        {
            sackRtt = (now - ack.FirstSacked) / TcpConstants.Microsecond;
            rtt = (now - ack.LastSacked) / TcpConstants.Microsecond;
        }

        bool sampled = Sample(e, ref ack, sequenceRtt, sackRtt, rtt);
        if (!ack.Is(AckFlags.Acked) && head is not null && sampled && sackRtt >= 0 && sackRtt > (now - head.SentAt) / TcpConstants.Microsecond)
        {
            // The sack was of something sent before the oldest segment was sent again: its timer starts anew.
            ack.Flags |= AckFlags.SetTimer;
        }
    }

    /// <summary>Takes a sample: from sending times, or with timestamps where those are ambiguous (RFC 6298 section 3, RFC 7323 section 4).</summary>
    private static bool Sample(TcpEndpoint e, ref TcpAckContext ack, long sequenceRtt, long sackRtt, long rtt)
    {
        if (sequenceRtt < 0)
            sequenceRtt = sackRtt;
        if (sequenceRtt < 0 && e.Ext.Saw && e.Ext.Echo != 0 && ack.Is(AckFlags.Acked))
        {
            uint ticks = TcpTransmit.TimestampClock(e) - e.Ext.Echo;
            if (ticks < int.MaxValue / 1000)
                sequenceRtt = rtt = Math.Max(1, ticks) * 1000L;
        }

        ack.RttUs = rtt;
        if (sequenceRtt < 0)
            return false;
        e.Rtt.SampleMinimum((uint)Math.Min(rtt, uint.MaxValue), e.Now, ack.Is(AckFlags.MaybeDelayed));
        e.Rtt.Sample(sequenceRtt, e.Snd.Una, e.Snd.Nxt);
        e.Rtt.Recompute();
        e.Backoff = 0;
        return true;
    }
}
