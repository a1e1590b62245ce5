using System.Runtime.InteropServices;

namespace Netstack.Stack;

/// <summary>The receive sequence space of a connection (RFC 9293 section 3.3.1) and the sizing of its window.</summary>
[Savable("tcp-receive-state")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpReceiveState
{
    [Saved(1)] public uint Nxt;

    /// <summary>Nxt and window of the last acknowledgment sent: the right edge that was promised.</summary>
    [Saved(2)] public uint Wup;

    [Saved(3)] public uint Window;

    /// <summary>Up to where the application has read.</summary>
    [Saved(4)] public uint Copied;

    /// <summary>The largest window that may be offered at all, and at present (it grows as data comes in full segments).</summary>
    [Saved(5)] public uint Clamp;

    [Saved(6)] public uint SoftLimit;

    /// <summary>Shift of the windows that this side sends.</summary>
    [Saved(7)] public byte Scale;

    /// <summary>When a segment with a valid acknowledgment last came.</summary>
    [Saved(8)] public long LastAck;

    /// <summary>Dynamic right-sizing: bytes read in the last round trip, and where and when the measurement began.</summary>
    [Saved(9)] public uint TuneSpace;

    [Saved(10)] public uint TuneSeq;
    [Saved(11)] public long TuneAt;

    /// <summary>The receiver's own estimate of the round trip, in µs times eight when from data alone.</summary>
    [Saved(12)] public uint RttUs;

    [Saved(13)] public uint RttSeq;
    [Saved(14)] public long RttAt;
    [Saved(15)] public uint RttEcho;

    /// <summary>What is left of the promised window.</summary>
    public readonly uint Left
    {
        get
        {
            int left = (int)(Wup + Window - Nxt);
            return left < 0 ? 0 : (uint)left;
        }
    }
}

/// <summary>Delayed acknowledgments (RFC 9293 section 3.8.6.3): when they are due and how long they may wait.</summary>
[Savable("tcp-delayed-ack")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpDelayedAckState
{
    [Saved(1)] public TcpAckPending Pending;

    /// <summary>Segments that will still be acknowledged at once.</summary>
    [Saved(2)] public byte Quick;

    /// <summary>Data flows in both directions in turn: acknowledgments can ride on it.</summary>
    [Saved(3)] public bool IsPingPong;

    /// <summary>How long the next may wait, in µs; 0 before the first data.</summary>
    [Saved(4)] public int WaitUs;

    /// <summary>When data last came.</summary>
    [Saved(5)] public long LastData;

    /// <summary>Estimate of the peer's segment size, and size of the last segment.</summary>
    [Saved(6)] public ushort Mss;

    [Saved(7)] public ushort LastSize;
    [Saved(8)] public long Deadline = TcpConstants.Never;

    /// <summary>When something out of window was last answered.</summary>
    [Saved(9)] public long LastInvalid = long.MinValue;

    public TcpDelayedAckState()
    {
    }

    public readonly bool IsScheduled => (Pending & TcpAckPending.Scheduled) != 0;

    public readonly bool IsQuick => Quick > 0 && !IsPingPong;
}

/// <summary>Why an acknowledgment is to be sent.</summary>
[Flags]
internal enum TcpAckPending : byte
{
    None = 0,
    Scheduled = 1,
    Timer = 2,

    /// <summary>A short segment came, which may be the end of what the peer had to say; and a second one.</summary>
    Pushed = 4,
    PushedAgain = 8,
    Now = 16,

    /// <summary>Data had to be dropped for want of room.</summary>
    NoRoom = 32,
}

/// <summary>Timestamps and explicit congestion notification (RFC 7323, RFC 3168).</summary>
[Savable("tcp-extensions")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpExtensions
{
    [Saved(1)] public bool Timestamps;
    [Saved(2)] public bool Sack;

    /// <summary>The peer has shown that it reports duplicates.</summary>
    [Saved(3)] public bool DuplicateSackSeen;

    [Saved(4)] public bool WindowScaling;

    /// <summary>The peer's latest timestamp, and when it came; 0 for none.</summary>
    [Saved(5)] public uint Recent;

    [Saved(6)] public long RecentAt;

    /// <summary>Added to the clock in milliseconds to make this connection's timestamps.</summary>
    [Saved(7)] public uint Offset;

    [Saved(8)] public TcpEcnFlags Ecn;

    /// <summary>Of the segment at hand: whether it has a timestamp, its value, and the echo less <see cref="Offset"/>.</summary>
    [Saved(9)] public bool Saw;

    [Saved(10)] public uint Value;
    [Saved(11)] public uint Echo;
}

[Flags]
internal enum TcpEcnFlags : byte
{
    None = 0,
    Ok = 1,

    /// <summary>The next new data says that the window was reduced.</summary>
    QueueReduced = 2,

    /// <summary>Congestion is echoed until the peer says that it has reduced.</summary>
    DemandReduced = 4,

    /// <summary>The peer's packets are marked as capable.</summary>
    Seen = 8,
}

/// <summary>Counters shown by TCP_INFO.</summary>
[Savable("tcp-statistics")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpStatistics
{
    [Saved(1)] public ulong BytesAcked;
    [Saved(2)] public ulong BytesReceived;
    [Saved(3)] public ulong BytesSent;
    [Saved(4)] public ulong BytesRetransmitted;
    [Saved(5)] public uint SegmentsIn;
    [Saved(6)] public uint SegmentsOut;
    [Saved(7)] public uint DataSegmentsIn;
    [Saved(8)] public uint DataSegmentsOut;
    [Saved(9)] public uint Retransmits;
    [Saved(10)] public uint DuplicateSacks;
    [Saved(11)] public uint OutOfOrder;

    /// <summary>What limits sending at present, since when, and for how long each did so before (ns).</summary>
    [Saved(12)] public TcpLimit Limit;

    [Saved(13)] public long LimitSince;
    [Saved(14)] public long Busy;
    [Saved(15)] public long WindowLimited;
    [Saved(16)] public long BufferLimited;

    [Saved(17)] public ushort Timeouts;
    [Saved(18)] public ushort TimeoutRecoveries;
    [Saved(19)] public uint TimeoutMs;
}

/// <summary>What limits sending; a later one hides an earlier one.</summary>
internal enum TcpLimit : byte
{
    None,
    Busy,
    ReceiveWindow,
    SendBuffer,
}
