namespace Netstack.Stack;

/// <summary>What is gathered from one acknowledgment while it passes the send side.</summary>
internal struct TcpAckContext
{
    public AckFlags Flags;
    public TcpResend Resend;

    /// <summary>State before it was looked at.</summary>
    public uint PriorUna;

    public uint PriorHighestSack;
    public int PriorPacketsOut;
    public uint PriorDelivered;
    public uint PriorLost;

    /// <summary>The lowest sequence that was delivered behind higher ones.</summary>
    public uint Reorder;

    /// <summary>When the first and the last of the newly sacked segments that were sent once had left; 0 for none.</summary>
    public long FirstSacked;

    public long LastSacked;
    public int SackDelivered;

    /// <summary>The delivery rate sample (draft-cheng-iccrg-delivery-rate-estimation).</summary>
    public uint SamplePriorDelivered;

    public long SamplePriorAt;
    public long SampleSendPhase;
    public uint SampleEnd;
    public bool SampleAppLimited;

    /// <summary>Round trip of the last segment that was (s)acked, µs; -1 for none.</summary>
    public long RttUs;

    public readonly bool Is(AckFlags flags) => (Flags & flags) != 0;
}
