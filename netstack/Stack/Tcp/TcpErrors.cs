using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What ICMP says of segments that this host sent (RFC 9293 section 3.9.2.2, RFC 5927: only if the quoted sequence number is in flight).</summary>
internal static class TcpErrors
{
    private const byte Unreachable = 3, NetUnreachable = 0, HostUnreachable = 1;

    public static void OnError(TcpLayer layer, in TransportError error)
    {
        ReadOnlySpan<byte> quoted = error.Transport.Span;
        if (quoted.Length < 8)
            return;
        ushort localPort = BinaryPrimitives.ReadUInt16BigEndian(quoted), remotePort = BinaryPrimitives.ReadUInt16BigEndian(quoted[2..]);
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(quoted[4..]);
        var tuple = new TcpTuple(error.Local, localPort, error.Remote, remotePort);
        if (layer.Find(in tuple) is { } e)
        {
            if (TcpSequence.Between(sequence, e.Snd.Una, e.Snd.Nxt))
                OnError(e, in error, sequence);
            return;
        }

        // An answer to a SYN that cannot be delivered: the peer is not there.
        if (layer.FindRequest(in tuple) is { } request && sequence == request.Sequence && error.Mtu == 0)
            request.OnError(error.IsHard);
    }

    private static void OnError(TcpEndpoint e, in TransportError error, uint sequence)
    {
        if (error.Mtu > 0)
        {
            OnPathMtu(e, error.Mtu);
            return;
        }

        if (error.Origin == TransportError.OriginIcmp && error.Type == Unreachable && error.Code is NetUnreachable or HostUnreachable)
            RevertBackOff(e, sequence);
        if (e.State is TcpState.SynSent or TcpState.SynReceived)
        {
            e.Stack.Counters.TcpAttemptFails++;
            TcpClose.Fail(e, error.Error);
            return;
        }

        // Once established a connection goes on trying; who asked for errors is told.
        if (e.RemoteAddress.IsV4 ? e.Options.ReceiveErrors : e.Options.ReceiveErrorsV6)
        {
            e.SetError(error.Error);
            e.Notify(EndpointEvents.Err);
        }
        else
        {
            e.SoftError = error.Error;
        }
    }

    /// <summary>Packets were too big for the path.</summary>
    private static void OnPathMtu(TcpEndpoint e, int mtu)
    {
        PathMtuMode mode = e.RemoteAddress.IsV4 ? e.Options.PathMtu : e.Options.PathMtuV6;
        if (mode is PathMtuMode.Interface or PathMtuMode.Omit)
            return;
        e.Stack.Ip.UpdatePathMtu(e.RemoteAddress, mtu);
        if (!e.TryRoute(out _))
            return;
        int now = TcpMss.PathMtu(e);
        if (mtu < now)
            e.SoftError = Errno.EMSGSIZE;
        if (mode == PathMtuMode.Dont || e.Snd.PathMtu <= now)
            return;
        TcpMss.Synchronize(e, now);
        TcpRecovery.RetransmitTooLong(e);
    }

    /// <summary>The network, not congestion, lost the retransmission: its doubling of the timeout is taken back (RFC 6069).</summary>
    private static void RevertBackOff(TcpEndpoint e, uint sequence)
    {
        if (sequence != e.Snd.Una || e.Retransmits == 0 || e.Backoff == 0 || e.SendQueue?.SentHead is not { } head)
            return;
        e.Backoff--;
        long rto = e.Rtt.HasSample ? (e.Rtt.Smoothed8 >> 3) + e.Rtt.Variance : TcpConstants.InitialRtoUs;
        e.Rtt.RtoUs = (int)Math.Min(rto << e.Backoff, TcpConstants.MaxRtoUs);
        long left = e.Rtt.Rto - (e.Now - head.SentAt);
        TcpTimers.ArmSend(e, TcpSendTimer.Retransmit, Math.Max(left, TcpConstants.Millisecond));
    }
}
