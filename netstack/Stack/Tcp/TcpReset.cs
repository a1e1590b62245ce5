namespace Netstack.Stack;

/// <summary>Resets sent and received, and the careful answers to what may be an attack (RFC 5961).</summary>
internal static class TcpReset
{
    /// <summary>A valid reset has come.</summary>
    public static void OnReset(TcpEndpoint e)
    {
        Errno error = e.State switch
        {
            TcpState.SynSent => Errno.ECONNREFUSED,
            TcpState.CloseWait => Errno.EPIPE,
            _ => Errno.ECONNRESET,
        };
        if (e.State == TcpState.Closed)
            return;
        if (e.State == TcpState.SynSent)
            e.Stack.Counters.TcpAttemptFails++;
        else
            e.Stack.Counters.TcpEstablishedResets++;
        TcpClose.Fail(e, error);
    }

    /// <summary>Tells the peer that the connection is gone.</summary>
    public static void SendActive(TcpEndpoint e)
    {
        e.Stack.Counters.TcpResetsSent++;
        TcpTransmit.SendEmpty(e, TcpTransmit.AcceptableSequence(e), TcpFlags.Ack | TcpFlags.Rst);
    }

    /// <summary>Acknowledges what looks like a forged or badly delayed segment, so that a true peer may prove itself; seldom, and seldom for the whole host.</summary>
    public static void SendChallenge(TcpEndpoint e)
    {
        if (!e.MayAnswerInvalid() || !e.Layer.TakeChallenge())
            return;
        e.Stack.Counters.ChallengeAcks++;
        TcpTransmit.SendAck(e);
    }

    /// <summary>Acknowledges a segment that is out of window, with what of it is a duplicate.</summary>
    public static void AnswerInvalid(TcpEndpoint e, in TcpSegmentIn segment)
    {
        // Data is no part of a loop of acknowledgments, so it is always answered.
        if ((segment.Length == 0 || segment.Has(TcpFlags.Syn)) && !e.MayAnswerInvalid())
            return;
        if (segment.End != segment.Seq && TcpSequence.Before(segment.Seq, e.Rcv.Nxt))
        {
            TcpDelayedAck.EnterQuick(e, TcpConstants.MaxQuickAcks);
            TcpDataInput.SetDuplicate(e, segment.Seq, TcpSequence.Min(segment.End, e.Rcv.Nxt));
        }

        TcpTransmit.SendAck(e);
    }

    /// <summary>Answers a segment that belongs to no connection (RFC 9293 section 3.10.7.1).</summary>
    public static void Reply(NetworkStack stack, in TcpSegmentIn segment, in IpInfo info)
    {
        if (segment.Has(TcpFlags.Rst) || info.IsGroup)
            return;
        var header = new TcpHeader { Flags = TcpFlags.Rst };
        if (segment.Has(TcpFlags.Ack))
        {
            header.Sequence = segment.Header.Acknowledgment;
        }
        else
        {
            header.Flags |= TcpFlags.Ack;
            header.Acknowledgment = segment.End;
        }

        stack.Counters.TcpResetsSent++;
        Reply(stack, in segment, in info, header, default);
    }

    /// <summary>Sends a segment without data back to where one came from.</summary>
    public static void Reply(NetworkStack stack, in TcpSegmentIn segment, in IpInfo info, TcpHeader header, in TcpHeaderOptions options, byte tos = 0)
    {
        Result<Route> route = stack.Ip.FindRoute(info.Source, info.Destination, info.Source.IsLinkLocal ? info.Interface.Index : 0);
        if (route.IsError)
            return;
        header.SourcePort = segment.Header.DestinationPort;
        header.DestinationPort = segment.Header.SourcePort;
        header.Length = TcpHeader.MinLength + options.Length(header.Has(TcpFlags.Syn));
        Route found = route.Value;
        TcpTransmit.Finish(stack, Packet.Create(), in header, in options, in found, info.Destination, info.Source,
            new IpSendOptions(IpProtocol.Tcp, -1, tos) { DontFragment = info.Source.IsV4 });
    }
}
