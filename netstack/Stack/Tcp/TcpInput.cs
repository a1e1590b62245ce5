namespace Netstack.Stack;

/// <summary>Arrival of a segment at a connection (RFC 9293 section 3.10.7.4 with the checks of RFC 5961 and RFC 7323).</summary>
internal static class TcpInput
{
    /// <summary>A segment for an endpoint that is neither listening nor in TIME-WAIT. False: it is to be answered with a reset.</summary>
    public static bool Receive(TcpEndpoint e, ref TcpSegmentIn segment)
    {
        e.Stat.SegmentsIn += (uint)segment.Count;
        if (segment.Length > 0)
            e.Stat.DataSegmentsIn += (uint)segment.Count;
        if (e.State == TcpState.SynSent)
            return TcpSynSent.Receive(e, ref segment);
        if (!segment.Has(TcpFlags.Ack | TcpFlags.Rst | TcpFlags.Syn))
            return true;
        NoteTimestamp(e, in segment);
        if (!Validate(e, in segment))
            return true;
        if (e.State == TcpState.Established)
        {
            if (!segment.Has(TcpFlags.Ack) || TcpAck.Process(e, in segment, AckFlags.UpdateTimestamp) == TcpAck.Verdict.Invalid)
                return true;
            if (e.Ext.Saw && segment.Length > 0)
                TcpReceiveWindow.MeasureRttByEcho(e, in segment);
            TcpUrgentInput.OnSegment(e, in segment);
            TcpDataInput.Queue(e, in segment);
            AfterSegment(e);
            return true;
        }

        return ReceiveInState(e, in segment);
    }

    /// <summary>Sends what the segment made possible, then acknowledges it if nothing went out.</summary>
    public static void AfterSegment(TcpEndpoint e)
    {
        if (e.State == TcpState.Closed)
            return;
        TcpOutput.PushPending(e);
        TcpSendBuffer.CheckSpace(e);
        TcpDelayedAck.Check(e);
    }

    public static void NoteTimestamp(TcpEndpoint e, in TcpSegmentIn segment)
    {
        ref TcpExtensions ext = ref e.Ext;
        ext.Saw = segment.Options.HasTimestamp && ext.Timestamps;
        if (!ext.Saw)
            return;
        ext.Value = segment.Options.TimestampValue;
        ext.Echo = segment.Options.TimestampEcho != 0 ? segment.Options.TimestampEcho - ext.Offset : 0;
    }

    /// <summary>Takes a segment's timestamp to be echoed, if it is in order (RFC 7323 section 4.3).</summary>
    public static void ReplaceRecent(TcpEndpoint e, uint seq)
    {
        if (e.Ext.Saw && !TcpSequence.After(seq, e.Rcv.Wup) && IsTimestampFresh(e, 0))
            StoreRecent(e);
    }

    public static void StoreRecent(TcpEndpoint e)
    {
        e.Ext.Recent = e.Ext.Value;
        e.Ext.RecentAt = Math.Max(1, e.Now);
    }

    /// <summary>PAWS: not older than the last one taken, give or take.</summary>
    public static bool IsTimestampFresh(TcpEndpoint e, int slack) =>
        (int)(e.Ext.Recent - e.Ext.Value) <= slack || e.Now - e.Ext.RecentAt >= TcpConstants.PawsIdle || e.Ext.Recent == 0;

    /// <summary>The first four checks: timestamp, sequence, RST, SYN. False: the segment is done with.</summary>
    private static bool Validate(TcpEndpoint e, in TcpSegmentIn segment)
    {
        bool reset = segment.Has(TcpFlags.Rst), syn = segment.Has(TcpFlags.Syn);
        if (e.Ext.Saw && !IsTimestampFresh(e, 1) && !IsDisordered(e, in segment) && !reset)
        {
            // PAWS (RFC 7323 section 5): an old duplicate. Resets are taken all the same.
            e.Stack.Counters.PawsDropped++;
            if (syn)
                TcpReset.SendChallenge(e);
            else
                TcpReset.AnswerInvalid(e, in segment);
            return false;
        }

        if (TcpSequence.Before(segment.End, e.Rcv.Wup) || TcpSequence.After(segment.Seq, e.Rcv.Nxt + e.Rcv.Left))
        {
            if (!reset)
            {
                if (syn)
                    TcpReset.SendChallenge(e);
                else
                    TcpReset.AnswerInvalid(e, in segment);
            }
            else if (IsResetAfterFin(e, in segment))
            {
                TcpReset.OnReset(e);
            }

            return false;
        }

        if (reset)
        {
            // RFC 5961 section 3.2: exactly the next number, or the end of the furthest block told; all else draws a challenge.
            if (segment.Seq == e.Rcv.Nxt || IsResetAfterFin(e, in segment) || (e.Ext.Sack && e.Reassembly is { } reassembly && reassembly.IsEndOfBlocks(segment.Seq)))
                TcpReset.OnReset(e);
            else
                TcpReset.SendChallenge(e);
            return false;
        }

        if (syn)
        {
            // The second half of a simultaneous open is the one SYN that is welcome.
            if (e.State == TcpState.SynReceived && segment.Has(TcpFlags.Ack) && segment.Seq + 1 == segment.End && segment.End == e.Rcv.Nxt
                && segment.Header.Acknowledgment == e.Snd.Nxt)
                return true;
            TcpReset.SendChallenge(e);
            return false;
        }

        return true;
    }

    /// <summary>An old pure acknowledgment that was overtaken, which is harmless.</summary>
    private static bool IsDisordered(TcpEndpoint e, in TcpSegmentIn segment)
    {
        uint number = segment.Header.Acknowledgment, window = (uint)segment.Header.Window << e.Snd.Scale;
        return segment.Has(TcpFlags.Ack) && segment.Seq == segment.End && segment.Seq == e.Rcv.Nxt && number == e.Snd.Una
            && !(TcpSequence.After(segment.Seq, e.Snd.Wl1) || (segment.Seq == e.Snd.Wl1 && window > e.Snd.Window))
            && (int)(e.Ext.Recent - e.Ext.Value) <= e.Rtt.RtoUs / 1000;
    }

    private static bool IsResetAfterFin(TcpEndpoint e, in TcpSegmentIn segment) =>
        segment.Seq == e.Rcv.Nxt - 1 && e.State is TcpState.CloseWait or TcpState.LastAck or TcpState.Closing;

    /// <summary>From the fifth step on in the states other than ESTABLISHED.</summary>
    private static bool ReceiveInState(TcpEndpoint e, in TcpSegmentIn segment)
    {
        if (!segment.Has(TcpFlags.Ack))
            return true;
        TcpAck.Verdict verdict = TcpAck.Process(e, in segment, AckFlags.UpdateTimestamp | AckFlags.NoChallenge);
        if (verdict != TcpAck.Verdict.Accepted)
        {
            if (e.State == TcpState.SynReceived)
                return false;
            if (verdict == TcpAck.Verdict.Invalid)
            {
                TcpReset.SendChallenge(e);
                return true;
            }
        }

        switch (e.State)
        {
            case TcpState.SynReceived:
                TcpSynSent.OnCrossedAcknowledged(e, in segment);
                break;
            case TcpState.FinWait1 when e.Snd.Una == e.Snd.WriteSeq:
                if (!TcpClose.OnFinAcknowledged(e, in segment, out bool goesOn))
                    return false;
                if (!goesOn)
                    return true;
                break;
            case TcpState.Closing when e.Snd.Una == e.Snd.WriteSeq:
                TcpTimeWait.Enter(e, TcpState.TimeWait, TcpConstants.TimeWaitLength);
                return true;
            case TcpState.LastAck when e.Snd.Una == e.Snd.WriteSeq:
                TcpClose.Done(e);
                return true;
        }

        TcpUrgentInput.OnSegment(e, in segment);
        switch (e.State)
        {
            case TcpState.CloseWait or TcpState.Closing or TcpState.LastAck when !TcpSequence.Before(segment.Seq, e.Rcv.Nxt):
                break;
            case TcpState.CloseWait or TcpState.Closing or TcpState.LastAck or TcpState.FinWait1 or TcpState.FinWait2:
                // RFC 1122 section 4.2.2.13: data that nobody will read is answered with a reset.
                if ((e.Shut & TcpShutdown.Receive) != 0 && segment.Length > 0 && TcpSequence.After(segment.End - (segment.Has(TcpFlags.Fin) ? 1u : 0), e.Rcv.Nxt))
                {
                    e.Stack.Counters.AbortsOnData++;
                    TcpReset.OnReset(e);
                    return false;
                }

                TcpDataInput.Queue(e, in segment);
                break;
            case TcpState.Established:
                TcpDataInput.Queue(e, in segment);
                break;
        }

        AfterSegment(e);
        return true;
    }
}
