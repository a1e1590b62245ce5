using System.Numerics;

namespace Netstack.Stack;

/// <summary>Sending again: what is marked lost, and the oldest segment when its time is out (RFC 6298).</summary>
internal static class TcpRetransmit
{
    /// <summary>The retransmission timer has expired.</summary>
    public static void OnTimeout(TcpEndpoint e)
    {
        if (e.Snd.PacketsOut == 0 || e.SendQueue?.SentHead is not { } head)
            return;
        if (e.Snd.Window == 0 && !e.IsOrphan && e.State is not (TcpState.SynSent or TcpState.SynReceived))
        {
            // The peer has taken its window back: retransmissions are probes, and do not count against the connection while it answers.
            if (IsProbeTimedOut(e, head))
            {
                TcpClose.OnTimedOut(e);
                return;
            }

            TcpRecovery.EnterLoss(e);
            SendLost(e, head, 1);
            e.ForgetRoute();
            BackOff(e);
            return;
        }

        if (HasGivenUp(e))
            return;
        e.Stack.Counters.Timeouts++;
        TcpRecovery.EnterLoss(e);
        if (e.Retransmits < byte.MaxValue)
            e.Retransmits++;
        e.Stat.Timeouts++;
        if (e.Loss.TimeoutSince == 0)
        {
            e.Loss.TimeoutSince = e.Now;
            e.Stat.TimeoutRecoveries++;
        }

        if (SendLost(e, e.SendQueue.SentHead!, 1) == Errno.ENOBUFS)
        {
            TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, TcpConstants.ResourceProbeInterval);
            return;
        }

        BackOff(e);
    }

    /// <summary>Sends the lost segments that the window lets go, oldest first.</summary>
    public static void SendAllLost(TcpEndpoint e)
    {
        if (e.Snd.PacketsOut == 0)
            return;
        TcpSendQueue queue = e.SendQueue!;
        int index = e.Loss.HasHint && TcpSequence.After(e.Loss.RetransmitHint, e.Snd.Una) ? queue.Find(e.Loss.RetransmitHint) : 0;
        int most = TcpOutput.MostSegments(e, TcpMss.Current(e));
        bool rearm = false, hole = false;
        for (; index < queue.SentCount; index++)
        {
            TcpSegment segment = queue[index];
            if (!hole)
            {
                e.Loss.HasHint = true;
                e.Loss.RetransmitHint = segment.Seq;
            }

            int room = (int)e.Cong.Window - e.Snd.InFlight;
            if (room <= 0 || e.Snd.RetransOut >= e.Snd.LostOut)
                break;
            if (!segment.Is(TcpMarks.Lost))
            {
                hole |= !segment.Is(TcpMarks.Retransmitted | TcpMarks.Sacked);
                continue;
            }

            if (segment.Is(TcpMarks.Retransmitted | TcpMarks.Sacked))
                continue;
            if (SendLost(e, segment, Math.Min(room, most)) != Errno.None)
                break;
            if (e.Cong.State != TcpLossState.Loss)
                e.Stack.Counters.FastRetransmits++;
            if (e.Cong.InReduction)
                e.Loss.PrrOut += (uint)segment.Count;
            rearm |= index == 0 && e.SendTimer != TcpSendTimer.Reordering;
        }

        if (rearm)
            TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, e.Rtt.Rto);
    }

    /// <summary>Sends a segment again and counts it as retransmitted.</summary>
    public static Errno SendLost(TcpEndpoint e, TcpSegment segment, int segments)
    {
        Errno error = SendAgain(e, segment, segments);
        if (error == Errno.None)
        {
            segment.Marks |= TcpMarks.Retransmitted;
            e.Snd.RetransOut += segment.Count;
        }

        if (e.Loss.RetransStamp == 0)
            e.Loss.RetransStamp = error == Errno.None ? segment.SentAt : e.Now;
        e.Loss.UndoRetrans = Math.Max(e.Loss.UndoRetrans, 0) + segment.Count;
        return error;
    }

    /// <summary>Sends a segment of the queue again: at most <paramref name="segments"/> of it, and what the peer's window has room for.</summary>
    public static Errno SendAgain(TcpEndpoint e, TcpSegment segment, int segments)
    {
        TcpSendQueue queue = e.SendQueue!;
        e.Probing?.Cancel();
        if (TcpSequence.Before(segment.Seq, e.Snd.Una))
            Trim(e, segment);
        if (!e.TryRoute(out Errno noRoute))
            return noRoute;
        int mss = TcpMss.Current(e);
        int room = (int)(e.Snd.WindowEnd - segment.Seq);
        if (room <= 0)
        {
            // A window that closed behind it is probed with one segment.
            if (segment.Seq != e.Snd.Una)
                return Errno.EAGAIN;
            room = mss;
        }

        int length = mss * segments;
        if (length > room)
        {
            length = room / mss * mss;
            if (length == 0)
                length = room;
        }

        if (segment.Length > length)
        {
            TcpOutput.Split(e, queue, queue.Find(segment.Seq), length, mss);
        }
        else
        {
            int before = segment.Count;
            segment.SetCount(mss);
            TcpOutput.AdjustCounts(e, segment, before - segment.Count);
            if (segment.Length < Math.Min(room, mss) && !segment.Has(TcpFlags.Syn))
                JoinFollowing(e, queue, segment, Math.Min(room, mss));
        }

        if (segment.Has(TcpFlags.Syn) && e.State == TcpState.SynSent)
            e.Ext.Ecn &= ~TcpEcnFlags.Ok;
        e.Stat.Retransmits += (uint)segment.Count;
        e.Stat.BytesRetransmitted += (ulong)segment.Length;
        e.Stack.Counters.TcpRetransmitted += segment.Count;
        Errno error = TcpTransmit.Send(e, segment);

        // Marked even when it did not leave, so that no round trip is measured with it.
        segment.Marks |= TcpMarks.EverRetransmitted;
        return error;
    }

    /// <summary>How often an orphan (a closed socket's connection) is retransmitted.</summary>
    public static int OrphanRetries(TcpEndpoint e, bool alive)
    {
        int retries = e.Stack.Settings.OrphanRetries;
        if (e.SoftError != Errno.None && !alive)
            retries = 0;
        return retries == 0 && alive ? 8 : retries;
    }

    /// <summary>Whether retransmitting has gone on for as long as <paramref name="boundary"/> doubling timeouts take, or <paramref name="timeoutMs"/>.</summary>
    public static bool HasTimedOut(TcpEndpoint e, int boundary, int timeoutMs)
    {
        if (e.Retransmits == 0)
            return false;
        long timeout = timeoutMs * TcpConstants.Millisecond;
        if (timeoutMs == 0)
        {
            int first = e.State is TcpState.SynSent or TcpState.SynReceived ? TcpConstants.InitialRtoUs : TcpConstants.MinRtoUs;
            int doublings = BitOperations.Log2((uint)(TcpConstants.MaxRtoUs / first));
            long us = boundary <= doublings
                ? ((2L << boundary) - 1) * first
                : (((2L << doublings) - 1) * first) + ((long)(boundary - doublings) * TcpConstants.MaxRtoUs);
            timeout = us * TcpConstants.Microsecond;
        }

        return e.Now - e.Loss.RetransStamp >= timeout;
    }

    /// <summary>Takes acknowledged bytes off the front of a segment.</summary>
    public static void Trim(TcpEndpoint e, TcpSegment segment)
    {
        int acked = (int)(e.Snd.Una - segment.Seq);
        if (segment.Has(TcpFlags.Syn))
        {
            segment.Flags &= ~TcpFlags.Syn;
            segment.Seq++;
            acked--;
        }

        segment.TrimFront(acked);
        e.Snd.Queued -= acked;
    }

    /// <summary>Joins short segments behind one that is retransmitted, so that they share its packet.</summary>
    private static void JoinFollowing(TcpEndpoint e, TcpSendQueue queue, TcpSegment segment, int space)
    {
        if (segment.Count > 1 || segment.EndOfRecord || segment.Has(TcpFlags.Fin))
            return;
        int index = queue.Find(segment.Seq);
        while (index + 1 < queue.SentCount)
        {
            TcpSegment next = queue[index + 1];
            if (next.Count > 1 || next.Is(TcpMarks.Sacked) || next.Has(TcpFlags.Syn) || segment.Length + next.Length > space
                || TcpSequence.After(next.End, e.Snd.WindowEnd))
                return;
            segment.Append(next.First);
            foreach (ReadOnlyMemory<byte> piece in next.More ?? [])
                segment.Append(piece);
            segment.End = next.End;
            segment.Flags |= next.Flags & (TcpFlags.Fin | TcpFlags.Psh);
            segment.EndOfRecord = next.EndOfRecord;
            segment.Marks |= next.Marks & TcpMarks.EverRetransmitted;
            TcpOutput.AdjustCounts(e, next, next.Count);
            queue.RemoveAt(index + 1);
            e.Snd.Queued += next.Length;
            e.Layer.Free(e, next);
            if (segment.EndOfRecord || segment.Has(TcpFlags.Fin))
                return;
        }
    }

    private static void BackOff(TcpEndpoint e)
    {
        if (e.State != TcpState.SynSent || e.Stat.Timeouts > TcpConstants.SynLinearTimeouts)
        {
            if (e.Backoff < byte.MaxValue)
                e.Backoff++;
            e.Rtt.RtoUs = (int)Math.Min((long)e.Rtt.RtoUs << 1, TcpConstants.MaxRtoUs);
        }

        TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, ClampToUserTimeout(e));
        if (HasTimedOut(e, e.Stack.Settings.Retries1 + 1, 0))
            e.ForgetRoute();
    }

    private static long ClampToUserTimeout(TcpEndpoint e)
    {
        if (e.TcpOptions.UserTimeout <= 0)
            return e.Rtt.Rto;
        long left = (e.TcpOptions.UserTimeout * TcpConstants.Millisecond) - (e.Now - e.Loss.RetransStamp);
        return left <= 0 ? TcpConstants.Millisecond : Math.Min(e.Rtt.Rto, left);
    }

    private static bool IsProbeTimedOut(TcpEndpoint e, TcpSegment head)
    {
        long most = TcpConstants.MaxRtoUs * TcpConstants.Microsecond * 2;
        if (e.TcpOptions.UserTimeout > 0)
            most = Math.Min(most, e.TcpOptions.UserTimeout * TcpConstants.Millisecond);
        long since = e.Now - (e.Loss.RetransStamp != 0 ? e.Loss.RetransStamp : head.SentAt);
        return e.Now - e.Rcv.LastAck > most && since > most;
    }

    private static bool HasGivenUp(TcpEndpoint e)
    {
        bool expired = false;
        int until;
        StackSettings settings = e.Stack.Settings;
        if (e.State is TcpState.SynSent or TcpState.SynReceived)
        {
            if (e.Retransmits > 0)
                e.ForgetRoute();
            until = e.TcpOptions.SynCount > 0 ? e.TcpOptions.SynCount : settings.SynRetries;
            int most = until + (e.State == TcpState.SynSent ? TcpConstants.SynLinearTimeouts : 0);
            expired = e.Retransmits >= most;
        }
        else
        {
            if (HasTimedOut(e, settings.Retries1, 0))
            {
                TcpMtuProbe.OnBlackHole(e);
                e.ForgetRoute();
            }

            until = settings.Retries2;
            if (e.IsOrphan)
            {
                bool alive = e.Rtt.RtoUs < TcpConstants.MaxRtoUs;
                until = OrphanRetries(e, alive);
                if (TcpClose.IsOutOfOrphans(e, alive || !HasTimedOut(e, until, 0)))
                {
                    TcpClose.OnTimedOut(e);
                    return true;
                }
            }
        }

        if (!expired)
            expired = HasTimedOut(e, until, e.TcpOptions.UserTimeout);
        if (expired)
            TcpClose.OnTimedOut(e);
        return expired;
    }
}
