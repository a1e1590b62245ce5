using System.Runtime.InteropServices;

namespace Netstack.Stack;

/// <summary>The send sequence space of a connection (RFC 9293 section 3.3.1) and what of it is in the network.</summary>
[Savable("tcp-send-state")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpSendState
{
    /// <summary>Oldest unacknowledged, next to send, and end of what the application wrote.</summary>
    [Saved(1)] public uint Una;

    [Saved(2)] public uint Nxt;
    [Saved(3)] public uint WriteSeq;

    /// <summary>The peer's window in bytes, the segment it came by, and the largest ever seen.</summary>
    [Saved(4)] public uint Window;

    [Saved(5)] public uint Wl1;
    [Saved(6)] public uint MaxWindow;

    /// <summary>Up to where the application's data was marked to be pushed.</summary>
    [Saved(7)] public uint PushedSeq;

    /// <summary>End of the last short segment sent (Minshall).</summary>
    [Saved(8)] public uint SmallEnd;

    /// <summary>The urgent pointer: just after the urgent byte; equal to Una when there is none.</summary>
    [Saved(9)] public uint Urgent;

    /// <summary>Payload of a full segment with the usual options.</summary>
    [Saved(10)] public int Mss;

    /// <summary>What the peer said it takes (MSS option), or less by TCP_MAXSEG.</summary>
    [Saved(11)] public ushort MssClamp;

    /// <summary>What this side announces; less the timestamp option once that is agreed.</summary>
    [Saved(12)] public ushort AdvertisedMss;

    /// <summary>Path MTU that <see cref="Mss"/> was computed from.</summary>
    [Saved(13)] public int PathMtu;

    /// <summary>Shift of the windows that the peer sends.</summary>
    [Saved(14)] public byte Scale;

    /// <summary>Segments of the wire in flight or lost, retransmitted and in flight, marked lost, selectively acknowledged.</summary>
    [Saved(15)] public int PacketsOut;

    [Saved(16)] public int RetransOut;
    [Saved(17)] public int LostOut;
    [Saved(18)] public int SackedOut;

    /// <summary>When data was last sent.</summary>
    [Saved(19)] public long LastSent;

    /// <summary>When any segment of data last left (for deferring).</summary>
    [Saved(20)] public int Queued;

    public readonly int InFlight => PacketsOut - SackedOut - LostOut + RetransOut;

    public readonly int LeftOut => SackedOut + LostOut;

    public readonly uint WindowEnd => Una + Window;

    /// <summary>Whether urgent data is still to be acknowledged.</summary>
    public readonly bool IsUrgent => Urgent != Una;
}

/// <summary>The round-trip estimator (RFC 6298 with the refinements of Linux: variance over one round trip, floor of 200 ms). In µs.</summary>
[Savable("tcp-rtt")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpRtt
{
    /// <summary>Eight times the smoothed time; 0 before the first sample.</summary>
    [Saved(1)] public uint Smoothed8;

    /// <summary>Four times the mean deviation, its largest in this round trip, and the one that counts.</summary>
    [Saved(2)] public uint Deviation4;

    [Saved(3)] public uint MaxDeviation;
    [Saved(4)] public uint Variance;

    /// <summary>End of the round trip that <see cref="MaxDeviation"/> is for.</summary>
    [Saved(5)] public uint RoundEnd;

    /// <summary>The retransmission timeout, doubled by back-off.</summary>
    [Saved(6)] public int RtoUs;

    /// <summary>The shortest sample of the last five minutes, and when it was; 0 for none.</summary>
    [Saved(7)] public uint MinUs;

    [Saved(8)] public long MinAt;

    public readonly bool HasSample => Smoothed8 != 0;

    public readonly int SmoothedUs => (int)(Smoothed8 >> 3);

    public readonly long Rto => RtoUs * TcpConstants.Microsecond;

    /// <summary>The shortest sample; far away when there is none.</summary>
    public readonly uint ShortestUs => MinUs != 0 ? MinUs : uint.MaxValue;

    public void Sample(long microseconds, uint una, uint nxt)
    {
        long error = microseconds;
        if (Smoothed8 == 0)
        {
            Smoothed8 = (uint)(error << 3);
            Deviation4 = (uint)(error << 1);
            Variance = Math.Max(Deviation4, TcpConstants.MinRtoUs);
            MaxDeviation = Variance;
            RoundEnd = nxt;
        }
        else
        {
            error -= Smoothed8 >> 3;
            Smoothed8 = (uint)(Smoothed8 + error);
            if (error < 0)
            {
                // A round trip that got shorter must not inflate the timeout (Eifel), so it moves the deviation an eighth as much.
                error = -error - (Deviation4 >> 2);
                if (error > 0)
                    error >>= 3;
            }
            else
            {
                error -= Deviation4 >> 2;
            }

            Deviation4 = (uint)(Deviation4 + error);
            if (Deviation4 > MaxDeviation)
            {
                MaxDeviation = Deviation4;
                if (MaxDeviation > Variance)
                    Variance = MaxDeviation;
            }

            if (TcpSequence.After(una, RoundEnd))
            {
                if (MaxDeviation < Variance)
                    Variance -= (Variance - MaxDeviation) >> 2;
                RoundEnd = nxt;
                MaxDeviation = TcpConstants.MinRtoUs;
            }
        }

        Smoothed8 = Math.Max(1, Smoothed8);
    }

    /// <summary>The timeout without back-off.</summary>
    public void Recompute() => RtoUs = (int)Math.Min((Smoothed8 >> 3) + Variance, TcpConstants.MaxRtoUs);

    public void SampleMinimum(uint microseconds, long now, bool maybeDelayed)
    {
        const long Window = 300 * TcpConstants.Second;
        uint sample = Math.Max(1, microseconds);
        bool expired = now - MinAt > Window;
        if (maybeDelayed && MinUs != 0 && sample > MinUs)
            return;
        if (MinUs != 0 && sample > MinUs && !expired)
            return;
        MinUs = sample;
        MinAt = now;
    }
}

/// <summary>Congestion window and state of loss recovery of a connection (RFC 5681).</summary>
[Savable("tcp-congestion-state")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpCongestionState
{
    /// <summary>Congestion window and slow-start threshold in segments.</summary>
    [Saved(1)] public uint Window;

    [Saved(2)] public uint Threshold;

    /// <summary>Acknowledged segments towards the next growth.</summary>
    [Saved(3)] public uint Count;

    /// <summary>Most of the window that was used since <see cref="Stamp"/>.</summary>
    [Saved(4)] public uint Used;

    [Saved(5)] public long Stamp;
    [Saved(6)] public TcpLossState State;
    [Saved(7)] public bool IsLimited;
    [Saved(8)] public uint UsageEnd;
    [Saved(9)] public uint MaxPacketsOut;

    /// <summary>Where the present recovery ends.</summary>
    [Saved(10)] public uint HighSeq;

    /// <summary>Degree of reordering in segments, and how often it was seen.</summary>
    [Saved(11)] public int Reordering;

    [Saved(12)] public uint ReorderSeen;

    /// <summary>A loss probe is out and nothing has told yet what became of it.</summary>
    [Saved(13)] public bool HasProbe;

    /// <summary>Segments delivered, marked by ECN, and lost, over the connection's life.</summary>
    [Saved(14)] public uint Delivered;

    [Saved(15)] public uint DeliveredMarked;
    [Saved(16)] public uint Lost;

    public readonly bool InSlowStart => Window < Threshold;

    public readonly bool InReduction => State is TcpLossState.WindowReduction or TcpLossState.Recovery;

    /// <summary>The threshold that a window worth keeping suggests.</summary>
    public readonly uint CurrentThreshold => InReduction ? Threshold : Math.Max(Threshold, (Window >> 1) + (Window >> 2));
}

/// <summary>RACK (RFC 8985 section 5.2).</summary>
[Savable("tcp-rack")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpRackState
{
    /// <summary>When the most recently sent segment that was delivered left, and its end.</summary>
    [Saved(1)] public long SentAt;

    [Saved(2)] public uint End;
    [Saved(3)] public int RttUs;

    /// <summary>Delivered when the reordering window was last widened.</summary>
    [Saved(4)] public uint LastDelivered;

    [Saved(5)] public byte Steps;
    [Saved(6)] public byte Persist;
    [Saved(7)] public bool DuplicateSeen;

    /// <summary>Something was delivered since losses were last looked for.</summary>
    [Saved(8)] public bool Advanced;
}
