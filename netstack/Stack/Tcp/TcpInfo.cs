using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What is told of a connection: struct tcp_info (linux/tcp.h as of 6.11) and the timer of /proc/net/tcp.</summary>
internal static class TcpInfo
{
    private const int Length = 248;
    private const byte TimestampsOption = 1, SackOption = 2, ScalingOption = 4, EcnOption = 8, EcnSeenOption = 16;

    public static byte[] Write(TcpEndpoint e)
    {
        byte[] bytes = new byte[Length];
        var info = new Writer(bytes);
        info.U8((byte)e.State);
        info.U8((byte)e.Cong.State);
        info.U8(e.Retransmits);
        info.U8(e.ProbesOut);
        info.U8(e.Backoff);
        info.U8(Options(e));
        info.U8((byte)(e.Snd.Scale | e.Rcv.Scale << 4));
        info.U8((byte)(e.Rate.AppLimited ? 1 : 0));
        info.U32((uint)e.Rtt.RtoUs);
        info.U32((uint)e.Ack.WaitUs);
        info.U32((uint)e.Snd.Mss);
        info.U32(e.Ack.Mss);
        (int waiting, int backlog) = e.AcceptQueue;
        info.U32((uint)(e.State == TcpState.Listen ? waiting : e.Snd.PacketsOut));
        info.U32((uint)(e.State == TcpState.Listen ? backlog : e.Snd.SackedOut));
        info.U32((uint)e.Snd.LostOut);
        info.U32((uint)e.Snd.RetransOut);
        info.U32(0);
        info.U32(Since(e, e.Snd.LastSent));
        info.U32(0);
        info.U32(Since(e, e.Ack.LastData));
        info.U32(Since(e, e.Rcv.LastAck));
        info.U32((uint)e.Snd.PathMtu);
        info.U32(e.Rcv.SoftLimit);
        info.U32(e.Rtt.Smoothed8 >> 3);
        info.U32(e.Rtt.Deviation4 >> 2);
        info.U32(e.Cong.Threshold);
        info.U32(e.Cong.Window);
        info.U32(e.Snd.AdvertisedMss);
        info.U32((uint)e.Cong.Reordering);
        info.U32(e.Rcv.RttUs >> 3);
        info.U32(e.Rcv.TuneSpace);
        info.U32(e.Stat.Retransmits);
        info.U64(e.Rtt.HasSample ? TcpOutput.PacingRate(e) : ulong.MaxValue);
        info.U64(ulong.MaxValue);
        info.U64(e.Stat.BytesAcked);
        info.U64(e.Stat.BytesReceived);
        info.U32(e.Stat.SegmentsOut);
        info.U32(e.Stat.SegmentsIn);
        info.U32((uint)Math.Max(0, e.UnsentLength));
        info.U32(e.Rtt.ShortestUs);
        info.U32(e.Stat.DataSegmentsIn);
        info.U32(e.Stat.DataSegmentsOut);
        info.U64(DeliveryRate(e));
        WriteLimits(e, ref info);
        info.U32(e.Cong.Delivered);
        info.U32(e.Cong.DeliveredMarked);
        info.U64(e.Stat.BytesSent);
        info.U64(e.Stat.BytesRetransmitted);
        info.U32(e.Stat.DuplicateSacks);
        info.U32(e.Cong.ReorderSeen);
        info.U32(e.Stat.OutOfOrder);
        info.U32(e.Snd.Window);
        info.U32(e.Rcv.Window);
        info.U32(0);
        info.U16(e.Stat.Timeouts);
        info.U16(e.Stat.TimeoutRecoveries);
        info.U32(e.Stat.TimeoutMs + (e.HasLost && e.Loss.TimeoutSince != 0 ? Since(e, e.Loss.TimeoutSince) : 0));
        return bytes;
    }

    public static (byte Kind, long Remaining, int Retries) Timer(TcpEndpoint e)
    {
        long now = e.Now;
        if (e.State == TcpState.TimeWait || (e.State == TcpState.FinWait2 && e.IsOrphan))
            return (3, Math.Max(0, e.KeepDeadline - now), 0);
        return e.SendTimer switch
        {
            TcpSendTimer.WindowProbe => (4, Math.Max(0, e.SendDeadline - now), e.ProbesOut),
            TcpSendTimer.None when e.KeepDeadline != TcpConstants.Never => (2, Math.Max(0, e.KeepDeadline - now), e.ProbesOut),
            TcpSendTimer.None => (0, 0, e.ProbesOut),
            _ => (1, Math.Max(0, e.SendDeadline - now), e.Retransmits),
        };
    }

    private static byte Options(TcpEndpoint e)
    {
        int options = (e.Ext.Timestamps ? TimestampsOption : 0) | (e.Ext.Sack ? SackOption : 0) | (e.Ext.WindowScaling ? ScalingOption : 0);
        if ((e.Ext.Ecn & TcpEcnFlags.Ok) != 0)
            options |= EcnOption;
        if ((e.Ext.Ecn & TcpEcnFlags.Seen) != 0)
            options |= EcnSeenOption;
        return (byte)options;
    }

    private static uint Since(TcpEndpoint e, long time) => (uint)((e.Now - time) / TcpConstants.Millisecond);

    private static ulong DeliveryRate(TcpEndpoint e) =>
        e.Rate.IntervalUs == 0 ? 0 : (ulong)e.Rate.Delivered * (ulong)e.Snd.Mss * 1_000_000 / e.Rate.IntervalUs;

    private static void WriteLimits(TcpEndpoint e, ref Writer info)
    {
        long busy = e.Stat.Busy, window = e.Stat.WindowLimited, buffer = e.Stat.BufferLimited, passed = e.Now - e.Stat.LimitSince;
        switch (e.Stat.Limit)
        {
            case TcpLimit.Busy:
                busy += passed;
                break;
            case TcpLimit.ReceiveWindow:
                window += passed;
                break;
            case TcpLimit.SendBuffer:
                buffer += passed;
                break;
        }

        info.U64((ulong)((busy + window + buffer) / TcpConstants.Microsecond));
        info.U64((ulong)(window / TcpConstants.Microsecond));
        info.U64((ulong)(buffer / TcpConstants.Microsecond));
    }

    private ref struct Writer(Span<byte> bytes)
    {
        private Span<byte> _left = bytes;

        public void U8(byte value)
        {
            _left[0] = value;
            _left = _left[1..];
        }

        public void U16(ushort value)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(_left, value);
            _left = _left[2..];
        }

        public void U32(uint value)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(_left, value);
            _left = _left[4..];
        }

        public void U64(ulong value)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(_left, value);
            _left = _left[8..];
        }
    }
}
