using System.Runtime.InteropServices;

namespace Netstack.Stack;

/// <summary>State of the delivery rate estimate, shown by TCP_INFO.</summary>
[Savable("tcp-rate")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpRateState
{
    /// <summary>When data was last delivered, and when the first of the present flight left.</summary>
    [Saved(1)] public long DeliveredAt;

    [Saved(2)] public long FirstSentAt;

    /// <summary>The last rate that was not limited by the application: segments in µs.</summary>
    [Saved(3)] public uint Delivered;

    [Saved(4)] public uint IntervalUs;
    [Saved(5)] public bool AppLimited;

    /// <summary>Delivered at which what the application left unused is past; 0 when it is not limiting.</summary>
    [Saved(6)] public uint AppLimitedUntil;
}

/// <summary>Estimates the delivery rate from acknowledgments (draft-cheng-iccrg-delivery-rate-estimation).</summary>
internal static class TcpRate
{
    public static void OnSent(TcpEndpoint e, TcpSegment segment)
    {
        if (e.Snd.PacketsOut == 0)
            e.Rate.FirstSentAt = e.Rate.DeliveredAt = segment.SentAt;
        segment.FirstSentAt = e.Rate.FirstSentAt;
        segment.PriorDeliveredAt = e.Rate.DeliveredAt;
        segment.PriorDelivered = e.Cong.Delivered;
        segment.AppLimited = e.Rate.AppLimitedUntil != 0;
    }

    public static void OnDelivered(TcpEndpoint e, TcpSegment segment, ref TcpAckContext ack)
    {
        if (segment.PriorDeliveredAt == 0)
            return;
        if (ack.SamplePriorAt == 0 || segment.SentAt > e.Rate.FirstSentAt
            || (segment.SentAt == e.Rate.FirstSentAt && TcpSequence.After(segment.End, ack.SampleEnd)))
        {
            ack.SamplePriorDelivered = segment.PriorDelivered;
            ack.SamplePriorAt = segment.PriorDeliveredAt;
            ack.SampleAppLimited = segment.AppLimited;
            ack.SampleEnd = segment.End;
            e.Rate.FirstSentAt = segment.SentAt;
            ack.SampleSendPhase = segment.SentAt - segment.FirstSentAt;
        }

        // A sacked segment must not count again when it is acknowledged cumulatively.
        if (segment.Is(TcpMarks.Sacked))
            segment.PriorDeliveredAt = 0;
    }

    public static void Finish(TcpEndpoint e, uint delivered, in TcpAckContext ack)
    {
        ref TcpRateState rate = ref e.Rate;
        if (rate.AppLimitedUntil != 0 && TcpSequence.After(e.Cong.Delivered, rate.AppLimitedUntil))
            rate.AppLimitedUntil = 0;
        if (delivered > 0)
            rate.DeliveredAt = e.Now;
        if (ack.SamplePriorAt == 0 || (e.HasLost && e.Loss.IsReneging))
            return;
        uint count = e.Cong.Delivered - ack.SamplePriorDelivered;
        long interval = Math.Max(ack.SampleSendPhase, e.Now - ack.SamplePriorAt) / TcpConstants.Microsecond;

        // Shorter than the shortest round trip: the acknowledgment was of several things at once.
        if (interval < e.Rtt.ShortestUs)
            return;
        if (!ack.SampleAppLimited || (ulong)count * rate.IntervalUs >= (ulong)rate.Delivered * (ulong)interval)
        {
            rate.Delivered = count;
            rate.IntervalUs = (uint)Math.Min(interval, uint.MaxValue);
            rate.AppLimited = ack.SampleAppLimited;
        }
    }

    /// <summary>The application begins to write: remembers whether it had let the connection run dry.</summary>
    public static void CheckAppLimited(TcpEndpoint e)
    {
        if (e.Snd.WriteSeq - e.Snd.Nxt < e.Snd.Mss && e.Snd.InFlight < e.Cong.Window && e.Snd.LostOut <= e.Snd.RetransOut)
        {
            uint until = e.Cong.Delivered + (uint)e.Snd.InFlight;
            e.Rate.AppLimitedUntil = until != 0 ? until : 1;
        }
    }
}
