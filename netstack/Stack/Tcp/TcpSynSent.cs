namespace Netstack.Stack;

/// <summary>Active opens: the SYN, its answer, and crossed SYNs (RFC 9293 section 3.10.7.3).</summary>
internal static class TcpSynSent
{
    /// <summary>Sends the SYN. Addresses and ports are set, the way is known, and the endpoint is in the table.</summary>
    public static Errno Start(TcpEndpoint e)
    {
        StackSettings settings = e.Stack.Settings;
        ref TcpSendState snd = ref e.Snd;
        snd.MssClamp = 0xffff;
        int mss = TcpMss.OfRoute(in e.Route, e.RemoteAddress);
        if (e.TcpOptions.MaxSegment > 0)
            snd.MssClamp = (ushort)Math.Min(e.TcpOptions.MaxSegment, 0xffff);
        snd.MaxWindow = 0;
        snd.AdvertisedMss = (ushort)mss;
        TcpMss.Synchronize(e, TcpMss.PathMtu(e));
        if (e.TcpOptions.MaxSegment > 0)
            snd.AdvertisedMss = (ushort)Math.Min(mss, e.TcpOptions.MaxSegment);
        e.Ext = new TcpExtensions { Offset = e.Ext.Offset, Recent = e.Ext.Recent, RecentAt = e.Ext.RecentAt };
        TcpMss.InitializeReceive(e);
        uint clamp = (uint)Math.Max(0, e.TcpOptions.WindowClamp);
        int space = TcpReceiveWindow.FullSpace(e);
        e.Rcv.Window = TcpReceiveWindow.Initial(space, snd.AdvertisedMss - (e.Ext.RecentAt != 0 ? TcpHeaderOptions.TimestampLength : 0), settings, settings.WindowScaling, ref clamp, out e.Rcv.Scale);
        e.Rcv.Clamp = clamp;
        e.Rcv.SoftLimit = e.Rcv.Window;
        snd.Window = 0;
        snd.Wl1 = 0;
        snd.Una = snd.Nxt = snd.SmallEnd = snd.Urgent = snd.PushedSeq = snd.WriteSeq;
        e.Rcv.Nxt = e.Rcv.Wup = e.Rcv.Copied = 0;
        e.Rtt = new TcpRtt { RtoUs = TcpConstants.InitialRtoUs };
        e.Retransmits = 0;
        if (settings.Ecn == 1)
            e.Ext.Ecn = TcpEcnFlags.Ok;
        e.Stack.Counters.TcpActiveOpens++;
        TcpSegment syn = e.Layer.NewSegment();
        syn.Seq = snd.WriteSeq++;
        syn.End = snd.WriteSeq;
        syn.Flags = TcpFlags.Syn;
        syn.Count = 1;
        TcpSendBuffer.Queue(e, syn);
        snd.PushedSeq = snd.WriteSeq;

        // When it does not leave now it is sent again like any other that is lost.
        TcpTransmit.Send(e, syn);
        e.SendQueue!.Advance();
        snd.PacketsOut = 1;
        snd.Nxt = snd.WriteSeq;
        e.Loss.RetransStamp = e.Now;
        TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, e.Rtt.Rto);
        return Errno.EINPROGRESS;
    }

    /// <summary>A segment in SYN-SENT. False: it is to be answered with a reset.</summary>
    public static bool Receive(TcpEndpoint e, ref TcpSegmentIn segment)
    {
        TcpHeaderOptions options = segment.Options;
        e.Ext.Saw = options.HasTimestamp && e.Stack.Settings.Timestamps;
        e.Ext.Value = options.TimestampValue;
        e.Ext.Echo = options.TimestampEcho != 0 ? options.TimestampEcho - e.Ext.Offset : 0;
        if (segment.Has(TcpFlags.Ack))
        {
            uint number = segment.Header.Acknowledgment;
            if (!TcpSequence.After(number, e.Snd.Una) || TcpSequence.After(number, e.Snd.Nxt))
            {
                // An old connection of the peer's: reset it, and try again soon.
                if (e.Retransmits == 0)
                    TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, TcpConstants.MinTimeoutUs * TcpConstants.Microsecond);
                return false;
            }

            if (e.Ext.Saw && e.Ext.Echo != 0 && !TcpSequence.Between(e.Ext.Echo, TcpUndo.ToClock(e.Loss.RetransStamp), TcpTransmit.TimestampClock(e)))
                return false;
            if (segment.Has(TcpFlags.Rst))
                TcpReset.OnReset(e);
            else if (segment.Has(TcpFlags.Syn))
                OnAnswer(e, in segment);
            return true;
        }

        if (segment.Has(TcpFlags.Syn) && !segment.Has(TcpFlags.Rst))
        {
            if (e.Ext.RecentAt != 0 && e.Ext.Saw && !TcpInput.IsTimestampFresh(e, 0))
                return true;
            OnCrossed(e, in segment);
        }

        return true;
    }

    /// <summary>In SYN-RECEIVED after crossed SYNs, ours has been acknowledged.</summary>
    public static void OnCrossedAcknowledged(TcpEndpoint e, in TcpSegmentIn segment)
    {
        e.Cong.Delivered++;
        e.Loss.RetransStamp = 0;
        e.Rcv.Copied = e.Rcv.Nxt;
        e.Snd.Una = segment.Header.Acknowledgment;
        e.Snd.Window = (uint)segment.Header.Window << e.Snd.Scale;
        e.Snd.Wl1 = segment.Seq;
        e.Snd.MaxWindow = Math.Max(e.Snd.MaxWindow, e.Snd.Window);
        if (e.Ext.Timestamps)
            e.Snd.AdvertisedMss -= TcpHeaderOptions.TimestampLength;
        TcpMss.InitializeReceive(e);
        Establish(e);
    }

    /// <summary>Takes over what the peer's SYN offers of the options.</summary>
    public static void TakeOptions(TcpEndpoint e, in TcpSegmentIn segment)
    {
        TcpHeaderOptions options = segment.Options;
        StackSettings settings = e.Stack.Settings;
        int mss = options.Mss != 0 ? options.Mss : TcpConstants.DefaultMss;
        if (e.TcpOptions.MaxSegment > 0)
            mss = Math.Min(mss, e.TcpOptions.MaxSegment);
        e.Snd.MssClamp = (ushort)Math.Max(mss, TcpConstants.MinSendMss);
        e.Ext.WindowScaling = options.HasWindowScale && settings.WindowScaling;
        e.Snd.Scale = e.Ext.WindowScaling ? options.WindowScale : (byte)0;
        if (!e.Ext.WindowScaling)
        {
            e.Rcv.Scale = 0;
            e.Rcv.Clamp = Math.Min(e.Rcv.Clamp, 65535);
        }

        e.Ext.Sack = options.SackPermitted && settings.Sack;
        e.Ext.Timestamps = e.Ext.Saw;
        if (e.Ext.Saw)
            TcpInput.StoreRecent(e);
    }

    private static void OnAnswer(TcpEndpoint e, in TcpSegmentIn segment)
    {
        if (!(segment.Has(TcpFlags.Ece) && !segment.Has(TcpFlags.Cwr)))
            e.Ext.Ecn &= ~TcpEcnFlags.Ok;
        TcpUndo.TrySpuriousSyn(e);
        TakeOptions(e, in segment);
        e.Snd.Wl1 = segment.Seq;
        TcpAck.Process(e, in segment, AckFlags.None);
        ref TcpReceiveState rcv = ref e.Rcv;
        rcv.Nxt = rcv.Wup = rcv.Copied = segment.Seq + 1;
        e.Snd.Window = segment.Header.Window;
        if (e.Ext.Timestamps)
            e.Snd.AdvertisedMss -= TcpHeaderOptions.TimestampLength;
        TcpMss.Synchronize(e, e.Snd.PathMtu);
        TcpMss.InitializeReceive(e);
        Establish(e);
        if (e.TcpOptions.DeferAccept > 0 || e.Ack.IsPingPong)
        {
            // Data follows soon and will carry the acknowledgment.
            TcpDelayedAck.Schedule(e);
            TcpDelayedAck.EnterQuick(e, TcpConstants.MaxQuickAcks);
            TcpDelayedAck.Arm(e, e.Now + (TcpConstants.MaxDelayedAckUs * TcpConstants.Microsecond));
        }
        else
        {
            TcpTransmit.SendAck(e);
        }

        TcpUrgentInput.OnSegment(e, in segment);
        TcpOutput.PushPending(e);
    }

    private static void OnCrossed(TcpEndpoint e, in TcpSegmentIn segment)
    {
        e.State = TcpState.SynReceived;
        TakeOptions(e, in segment);
        ref TcpReceiveState rcv = ref e.Rcv;
        rcv.Nxt = rcv.Wup = rcv.Copied = segment.Seq + 1;
        e.Snd.Window = segment.Header.Window;
        e.Snd.Wl1 = segment.Seq;
        e.Snd.MaxWindow = e.Snd.Window;
        if (!(segment.Has(TcpFlags.Ece) && segment.Has(TcpFlags.Cwr)))
            e.Ext.Ecn &= ~TcpEcnFlags.Ok;
        TcpMss.Synchronize(e, e.Snd.PathMtu);
        TcpMss.InitializeReceive(e);
        if (e.SendQueue?.SentHead is { } syn && syn.Has(TcpFlags.Syn))
            TcpTransmit.Send(e, syn);
    }

    private static void Establish(TcpEndpoint e)
    {
        e.State = TcpState.Established;
        e.Rcv.LastAck = e.Now;
        TcpReceiveWindow.InitializeBuffers(e);
        TcpCongestionWindow.Initialize(e);
        e.ForgetLosses();
        TcpMtuProbe.Initialize(e);
        e.Snd.LastSent = e.Now;
        e.Ack.LastData = e.Now;
        if (e.Options.KeepAlive)
            TcpTimers.ArmKeep(e, TcpKeepAlive.Idle(e));
        if ((e.Shut & TcpShutdown.Send) != 0)
            TcpClose.ShutdownSend(e);
        e.Notify(EndpointEvents.Out);
    }
}
