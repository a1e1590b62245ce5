namespace Netstack.Stack;

/// <summary>The ways a connection ends: in order, by error, by the application's close or abort.</summary>
internal static class TcpClose
{
    /// <summary>The application sends no more: queues a FIN where the state has one to send.</summary>
    public static void ShutdownSend(TcpEndpoint e)
    {
        e.Shut |= TcpShutdown.Send;
        if (NextState(e))
            SendFin(e);
    }

    /// <summary>The last reference is gone (close(2)).</summary>
    public static void Close(TcpEndpoint e)
    {
        e.Observer = null;
        e.Shut = TcpShutdown.Both;
        if (e.State == TcpState.Listen)
        {
            e.State = TcpState.Closed;
            TcpListen.Stop(e);
            e.Release();
            return;
        }

        bool unread = e.ReceiveQueue is { Length: > 0 };
        if (e.ReceiveQueue is not null)
        {
            e.Rcv.Copied = e.Rcv.Nxt;
            e.Layer.FreeReceiveQueue(e);
        }

        if (e.State == TcpState.Closed)
        {
            e.Release();
            return;
        }

        if (unread)
        {
            // RFC 2525 section 2.17: data was lost, and the peer must know.
            e.Stack.Counters.AbortsOnClose++;
            TcpReset.SendActive(e);
            Done(e);
        }
        else if (e.Options.Linger == 0)
        {
            e.Stack.Counters.AbortsOnData++;
            Abort(e);
        }
        else if (NextState(e))
        {
            SendFin(e);
        }

        Orphan(e);
    }

    /// <summary>Ends a connection at once, with a reset where the peer may still have one.</summary>
    public static void Abort(TcpEndpoint e)
    {
        if (e.State is TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.SynReceived
            || (e.State is TcpState.Closing or TcpState.LastAck && e.Snd.Nxt != e.Snd.WriteSeq))
            TcpReset.SendActive(e);
        Done(e);
    }

    /// <summary>Retransmissions or probes were in vain.</summary>
    public static void OnTimedOut(TcpEndpoint e)
    {
        e.Stack.Counters.AbortsOnTimeout++;
        if (e.State is TcpState.SynSent or TcpState.SynReceived)
            e.Stack.Counters.TcpAttemptFails++;
        Fail(e, e.SoftError != Errno.None ? e.SoftError : Errno.ETIMEDOUT);
    }

    public static void Fail(TcpEndpoint e, Errno error)
    {
        e.SetError(error);
        Done(e);
        e.Notify(EndpointEvents.Err | EndpointEvents.Hup | EndpointEvents.In | EndpointEvents.Out | EndpointEvents.RdHup);
    }

    /// <summary>The connection is no more: the endpoint leaves the tables. What was received can still be read.</summary>
    public static void Done(TcpEndpoint e)
    {
        bool told = e.State != TcpState.Closed;
        e.State = TcpState.Closed;
        e.Shut = TcpShutdown.Both;
        TcpTimers.ClearAll(e);
        TcpSendBuffer.Purge(e);
        e.Reassembly = null;
        e.Layer.Remove(e);
        if (e.IsOrphan)
            e.Layer.ForgetOrphan();

        // Also a closed one, whose close lingers.
        if (told)
            e.Notify(EndpointEvents.Hup | EndpointEvents.In | EndpointEvents.Out | EndpointEvents.RdHup);
    }

    /// <summary>Our FIN was acknowledged in FIN-WAIT-1. False: the segment is to be answered with a reset.</summary>
    /// <param name="e">The connection.</param>
    /// <param name="segment">What acknowledged it.</param>
    /// <param name="goesOn">Whether the rest of the segment is to be processed.</param>
    public static bool OnFinAcknowledged(TcpEndpoint e, in TcpSegmentIn segment, out bool goesOn)
    {
        goesOn = true;
        e.State = TcpState.FinWait2;
        e.Shut |= TcpShutdown.Send;

        // Wakes a close that lingers.
        e.Notify(EndpointEvents.Out);
        if (!e.IsOrphan)
            return true;

        if (e.TcpOptions.Linger2 < 0 || (segment.Length > 0 && TcpSequence.After(segment.End - (segment.Has(TcpFlags.Fin) ? 1u : 0), e.Rcv.Nxt)))
        {
            e.Stack.Counters.AbortsOnData++;
            Done(e);
            return false;
        }

        long wait = FinWaitTime(e);
        if (wait > TcpConstants.TimeWaitLength)
        {
            TcpTimers.ArmKeep(e, wait - TcpConstants.TimeWaitLength);
        }
        else if (segment.Has(TcpFlags.Fin))
        {
            TcpTimers.ArmKeep(e, wait);
        }
        else
        {
            TcpTimeWait.Enter(e, TcpState.FinWait2, wait);
            goesOn = false;
        }

        return true;
    }

    /// <summary>How long a closed socket's connection waits for the peer's FIN.</summary>
    public static long FinWaitTime(TcpEndpoint e)
    {
        long time = (e.TcpOptions.Linger2 > 0 ? e.TcpOptions.Linger2 : e.Stack.Settings.FinTimeout) * TcpConstants.Second;
        long rto = e.Rtt.Rto;
        return Math.Max(time, (rto << 2) - (rto >> 1));
    }

    /// <summary>Too many connections without a socket: this one is given up, with a reset when the peer seems to be there.</summary>
    public static bool IsOutOfOrphans(TcpEndpoint e, bool reset)
    {
        if (e.Layer.OrphanCount <= e.Stack.Settings.MaxOrphans)
            return false;
        if (reset)
            TcpReset.SendActive(e);
        return true;
    }

    private static void Orphan(TcpEndpoint e)
    {
        if (e.State == TcpState.Closed)
        {
            e.Release();
            return;
        }

        e.IsOrphan = true;
        e.Layer.AddOrphan();
        if (e.State == TcpState.FinWait2)
        {
            if (e.TcpOptions.Linger2 < 0)
            {
                TcpReset.SendActive(e);
                Done(e);
                return;
            }

            long wait = FinWaitTime(e);
            if (wait > TcpConstants.TimeWaitLength)
                TcpTimers.ArmKeep(e, wait - TcpConstants.TimeWaitLength);
            else
                TcpTimeWait.Enter(e, TcpState.FinWait2, wait);
            return;
        }

        if (e.Layer.OrphanCount > e.Stack.Settings.MaxOrphans)
        {
            TcpReset.SendActive(e);
            Done(e);
        }
    }

    /// <summary>Moves to the state that follows a close; true when a FIN is to be sent.</summary>
    private static bool NextState(TcpEndpoint e)
    {
        switch (e.State)
        {
            case TcpState.SynSent:
                Done(e);
                return false;
            case TcpState.SynReceived or TcpState.Established:
                e.State = TcpState.FinWait1;
                return true;
            case TcpState.CloseWait:
                e.State = TcpState.LastAck;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Puts a FIN behind the last byte: on the last segment when that was not sent yet.</summary>
    private static void SendFin(TcpEndpoint e)
    {
        TcpSegment? tail = e.SendQueue?.UnsentTail;
        if (tail is not null)
        {
            tail.Flags |= TcpFlags.Fin;
            tail.End++;
            e.Snd.WriteSeq++;
        }
        else
        {
            TcpSegment fin = e.Layer.NewSegment();
            fin.Seq = e.Snd.WriteSeq;
            fin.End = fin.Seq + 1;
            fin.Flags = TcpFlags.Fin;
            e.Snd.WriteSeq++;
            TcpSendBuffer.Queue(e, fin);
        }

        TcpOutput.Push(e, TcpMss.Current(e), TcpNagle.Off);
    }
}
