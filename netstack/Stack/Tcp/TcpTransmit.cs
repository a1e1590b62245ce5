namespace Netstack.Stack;

/// <summary>Makes packets of segments and gives them to the IP layer.</summary>
internal static class TcpTransmit
{
    // Payload up to this is copied behind the header: cheaper than a list of pieces.
    private const int CopyLimit = 1024;

    // Ethernet, IPv6 and TCP with all options.
    private const int Headroom = 14 + 40 + TcpHeader.MaxLength + 14;

    /// <summary>Sends a segment of the queue, the first time or again. ENOBUFS: the host itself had no room.</summary>
    public static Errno Send(TcpEndpoint e, TcpSegment segment)
    {
        TcpFlags flags = segment.Flags | (segment.Has(TcpFlags.Syn) && e.State == TcpState.SynSent ? TcpFlags.None : TcpFlags.Ack);

        // A batch is worth delivering at once.
        if (segment.Count > 1)
            flags |= TcpFlags.Psh;
        TcpHeader header = MakeHeader(e, segment.Seq, flags);
        TcpHeaderOptions options = MakeOptions(e, segment.Has(TcpFlags.Syn));
        byte tos = Mark(e, segment, ref header);
        Errno error = SendPacket(e, ref header, in options, segment, tos);
        if (header.Has(TcpFlags.Ack))
            TcpDelayedAck.OnAckSent(e);
        if (error == Errno.ENOBUFS)
            TcpCongestionWindow.EnterReduction(e);
        e.Stat.SegmentsOut += (uint)segment.Count;
        if (segment.Length > 0)
        {
            TcpDelayedAck.OnDataSent(e);
            e.Stat.DataSegmentsOut += (uint)segment.Count;
            e.Stat.BytesSent += (ulong)segment.Length;
        }

        if (error != Errno.None)
            return error;
        segment.SentAt = e.Now;
        e.SendQueue!.MoveToLatest(segment);
        TcpRate.OnSent(e, segment);
        return Errno.None;
    }

    /// <summary>Sends a segment that occupies no sequence space: an acknowledgment or a probe.</summary>
    /// <param name="e">The connection.</param>
    /// <param name="seq">Its sequence number: below what is acknowledged, it makes the peer answer.</param>
    /// <param name="flags">Control bits.</param>
    public static Errno SendEmpty(TcpEndpoint e, uint seq, TcpFlags flags)
    {
        TcpHeader header = MakeHeader(e, seq, flags);
        TcpHeaderOptions options = MakeOptions(e, (flags & TcpFlags.Syn) != 0);
        if (e.Ext.Ecn.HasFlag(TcpEcnFlags.Ok | TcpEcnFlags.DemandReduced))
            header.Flags |= TcpFlags.Ece;
        Errno error = SendPacket(e, ref header, in options, null, TypeOfService(e));
        if (header.Has(TcpFlags.Ack))
            TcpDelayedAck.OnAckSent(e);
        e.Stat.SegmentsOut++;
        return error;
    }

    /// <summary>Acknowledges at once.</summary>
    public static void SendAck(TcpEndpoint e)
    {
        if (e.State != TcpState.Closed)
            SendEmpty(e, AcceptableSequence(e), TcpFlags.Ack);
    }

    /// <summary>Bytes of the header of a data segment sent now.</summary>
    public static int HeaderLength(TcpEndpoint e)
    {
        int length = TcpHeader.MinLength + (e.Ext.Timestamps ? TcpHeaderOptions.TimestampLength : 0);
        if (e.Reassembly is { BlockCount: > 0 } reassembly && e.Ext.Sack)
            length += 4 + (8 * Math.Min(reassembly.BlockCount, e.Ext.Timestamps ? 3 : 4));
        return length;
    }

    /// <summary>The clock of this connection's timestamps (RFC 7323 section 5.4): milliseconds.</summary>
    public static uint TimestampClock(TcpEndpoint e) => (uint)(e.Now / TcpConstants.Millisecond);

    public static byte TypeOfService(TcpEndpoint e) => (byte)((e.RemoteAddress.IsV4 ? e.Options.TypeOfService : e.Options.TrafficClass) & ~3);

    public static IpSendOptions IpOptions(EndpointOptions options, bool isV4, byte tos) => new(IpProtocol.Tcp, isV4 ? options.TimeToLive : options.HopLimit, tos)
    {
        DontFragment = isV4 && options.PathMtu is not (PathMtuMode.Dont or PathMtuMode.Interface or PathMtuMode.Omit),
    };

    /// <summary>Writes header and options in front of the payload and sends. The checksum, and cutting what is longer than a segment, is left to the link.</summary>
    public static Errno Finish(NetworkStack stack, Packet packet, in TcpHeader header, in TcpHeaderOptions options, in Route route, InetAddress local, InetAddress remote, in IpSendOptions how)
    {
        int payload = packet.Length;
        Span<byte> bytes = packet.Prepend(header.Length);
        header.Write(bytes);
        if (header.Length > TcpHeader.MinLength)
            options.Write(bytes[TcpHeader.MinLength..], header.Has(TcpFlags.Syn));
        packet.Checksum = ChecksumState.Partial;
        InternetChecksum.Write(bytes[TcpHeader.ChecksumOffset..], InternetChecksum.Fold(InternetChecksum.PseudoHeader(local, remote, IpProtocol.Tcp, header.Length + payload)));
        if (!stack.IsHeld)
            stack.Counters.TcpSegmentsSent += packet.SegmentSize > 0 ? (payload + packet.SegmentSize - 1) / packet.SegmentSize : 1;
        return stack.Ip.Send(packet, in route, local, remote, in how);
    }

    /// <summary>Sequence number of a segment without data: the next, unless the peer has taken its window back below it.</summary>
    public static uint AcceptableSequence(TcpEndpoint e)
    {
        uint end = e.Snd.WindowEnd;
        if (!TcpSequence.Before(end, e.Snd.Nxt) || (e.Ext.WindowScaling && e.Snd.Nxt - end < 1u << e.Rcv.Scale))
            return e.Snd.Nxt;
        return end;
    }

    private static TcpHeader MakeHeader(TcpEndpoint e, uint seq, TcpFlags flags)
    {
        var header = new TcpHeader
        {
            SourcePort = e.LocalPort,
            DestinationPort = e.RemotePort,
            Sequence = seq,
            Acknowledgment = (flags & TcpFlags.Ack) != 0 ? e.Rcv.Nxt : 0,
            Flags = flags,
        };
        header.Window = (flags & TcpFlags.Syn) != 0 ? (ushort)Math.Min(e.Rcv.Window, 65535) : TcpReceiveWindow.Select(e);
        if (e.Snd.IsUrgent && TcpSequence.Before(seq, e.Snd.Urgent))
        {
            uint ahead = e.Snd.Urgent - seq;
            if (ahead < 0x10000)
            {
                header.UrgentPointer = (ushort)ahead;
                header.Flags |= TcpFlags.Urg;
            }
            else if (TcpSequence.After(seq + 0xffff, e.Snd.Nxt))
            {
                header.UrgentPointer = 0xffff;
                header.Flags |= TcpFlags.Urg;
            }
        }

        return header;
    }

    private static TcpHeaderOptions MakeOptions(TcpEndpoint e, bool isSyn)
    {
        var options = default(TcpHeaderOptions);
        if (isSyn)
        {
            options.Mss = (ushort)TcpMss.Advertised(e);
            options.HasTimestamp = e.State == TcpState.SynSent ? e.Stack.Settings.Timestamps : e.Ext.Timestamps;
            options.SackPermitted = e.State == TcpState.SynSent ? e.Stack.Settings.Sack : e.Ext.Sack;
            options.HasWindowScale = e.State == TcpState.SynSent ? e.Stack.Settings.WindowScaling : e.Ext.WindowScaling;
            options.WindowScale = e.Rcv.Scale;
        }
        else
        {
            options.HasTimestamp = e.Ext.Timestamps;
            if (e.Reassembly is { BlockCount: > 0 } && e.Ext.Sack)
            {
                e.Reassembly.TakeBlocks(ref options, options.HasTimestamp ? 3 : 4);
                e.DropEmptyReassembly();
            }
        }

        if (options.HasTimestamp)
        {
            options.TimestampValue = TimestampClock(e) + e.Ext.Offset;
            options.TimestampEcho = e.Ext.Recent;
        }

        return options;
    }

    /// <summary>ECN of a segment with data (RFC 3168 section 6.1): new data is marked capable, retransmissions are not.</summary>
    private static byte Mark(TcpEndpoint e, TcpSegment segment, ref TcpHeader header)
    {
        byte tos = TypeOfService(e);
        if (segment.Has(TcpFlags.Syn))
        {
            if (e.State == TcpState.SynSent && (e.Ext.Ecn & TcpEcnFlags.Ok) != 0)
                header.Flags |= TcpFlags.Ece | TcpFlags.Cwr;
            else if ((e.Ext.Ecn & TcpEcnFlags.Ok) != 0)
                header.Flags |= TcpFlags.Ece;
            return tos;
        }

        if ((e.Ext.Ecn & TcpEcnFlags.Ok) == 0)
            return tos;
        if (segment.Length > 0 && !TcpSequence.Before(segment.Seq, e.Snd.Nxt))
        {
            const byte Capable0 = 2;
            tos |= Capable0;
            if ((e.Ext.Ecn & TcpEcnFlags.QueueReduced) != 0)
            {
                e.Ext.Ecn &= ~TcpEcnFlags.QueueReduced;
                header.Flags |= TcpFlags.Cwr;
            }
        }

        if ((e.Ext.Ecn & TcpEcnFlags.DemandReduced) != 0)
            header.Flags |= TcpFlags.Ece;
        return tos;
    }

    private static Errno SendPacket(TcpEndpoint e, ref TcpHeader header, in TcpHeaderOptions options, TcpSegment? segment, byte tos)
    {
        if (!e.TryRoute(out Errno error))
            return error;
        header.Length = TcpHeader.MinLength + options.Length(header.Has(TcpFlags.Syn));
        int length = segment?.Length ?? 0;
        bool copy = length <= CopyLimit;
        Packet packet = Packet.Create(copy ? length : 0, Headroom);
        if (length > 0)
            segment!.AddTo(packet, copy);
        packet.SegmentSize = segment is { Count: > 1 } ? segment.Size : 0;
        return Finish(e.Stack, packet, in header, in options, in e.Route, e.LocalAddress, e.RemoteAddress, IpOptions(e.Options, e.RemoteAddress.IsV4, tos));
    }
}
