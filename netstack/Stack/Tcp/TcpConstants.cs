namespace Netstack.Stack;

/// <summary>Times and limits of TCP, those of Linux where the RFCs leave a choice. Times are nanoseconds of stack time unless the name says otherwise.</summary>
internal static class TcpConstants
{
    public const long Microsecond = 1_000, Millisecond = 1_000_000, Second = 1_000_000_000;

    /// <summary>No deadline.</summary>
    public const long Never = long.MaxValue;

    /// <summary>Bounds of the retransmission timeout and its value before a sample, in µs (RFC 6298; the lower bound is Linux's).</summary>
    public const int MinRtoUs = 200_000, MaxRtoUs = 120_000_000, InitialRtoUs = 1_000_000;

    /// <summary>Shortest timer of loss probes and reordering, in µs (two ticks of a kernel with HZ=1000).</summary>
    public const int MinTimeoutUs = 2_000;

    /// <summary>Bounds of a delayed acknowledgment, in µs (RFC 9293 section 3.8.6.3 allows 500 ms).</summary>
    public const int MinDelayedAckUs = 40_000, MaxDelayedAckUs = 200_000;

    /// <summary>Probing again after the host itself had no room for a packet.</summary>
    public const long ResourceProbeInterval = 500 * Millisecond;

    public const long TimeWaitLength = 60 * Second;

    /// <summary>Segments of the initial window (RFC 6928).</summary>
    public const int InitialWindow = 10;

    /// <summary>Duplicate acknowledgments that mean a loss (RFC 5681).</summary>
    public const int DuplicateThreshold = 3;

    public const uint InfiniteThreshold = 0x7fffffff;

    /// <summary>Segments that are acknowledged at once at the start of a transfer.</summary>
    public const int MaxQuickAcks = 16;

    public const int DefaultMss = 536, MinMss = 88, MinSendMss = 48;

    /// <summary>SYNs sent at steady intervals before the interval doubles.</summary>
    public const int SynLinearTimeouts = 4;

    /// <summary>What is charged against buffers for a segment besides its bytes (size of a socket buffer with its head).</summary>
    public const int SegmentOverhead = 1280;

    /// <summary>The longest packet handed to a link that cuts it into segments, less room for headers.</summary>
    public const int MaxSegmentedPayload = 65535 - 320;

    /// <summary>Replies to what is out of window are at least so far apart (RFC 5961 section 7).</summary>
    public const long InvalidReplyInterval = 500 * Millisecond;

    /// <summary>RFC 7323 section 5.5: a timestamp is not compared after 24 days.</summary>
    public const long PawsIdle = 24L * 24 * 3600 * Second;

    /// <summary>Rounds for which a widened reordering window stays (RFC 8985 section 6.2, step 4).</summary>
    public const int RackPersistRounds = 16;

    public const int MaxReordering = 300;
}

/// <summary>States of loss recovery (tcp_info's tcpi_ca_state).</summary>
internal enum TcpLossState : byte
{
    Open,
    Disorder,

    /// <summary>The window is being reduced for a congestion mark.</summary>
    WindowReduction,

    /// <summary>Fast retransmit and recovery.</summary>
    Recovery,

    /// <summary>After a retransmission timeout.</summary>
    Loss,
}

/// <summary>What the one timer that drives sending is armed for.</summary>
internal enum TcpSendTimer : byte
{
    None,
    Retransmit,
    WindowProbe,
    LossProbe,
    Reordering,
}

/// <summary>How short segments are held back.</summary>
[Flags]
internal enum TcpNagle : byte
{
    /// <summary>Nagle's algorithm in Minshall's variant.</summary>
    On = 0,
    Off = 1,
    Cork = 2,

    /// <summary>Whatever there is goes out.</summary>
    Push = 4,
}

/// <summary>What is known of an acknowledgment on its way through the send side.</summary>
[Flags]
internal enum AckFlags
{
    None = 0,

    /// <summary>The segment carried data.</summary>
    Data = 0x01,
    WindowUpdate = 0x02,
    DataAcked = 0x04,
    RetransmittedAcked = 0x08,
    SynAcked = 0x10,
    DataSacked = 0x20,
    Echo = 0x40,
    LostRetransmit = 0x80,

    /// <summary>Never retransmitted data below the recovery point was (s)acked: a timeout was spurious.</summary>
    OriginalAcked = 0x200,
    UnaAdvanced = 0x400,
    DuplicateSack = 0x800,
    SetTimer = 0x1000,
    Reneging = 0x2000,
    UpdateTimestamp = 0x4000,
    NoChallenge = 0x8000,
    MaybeDelayed = 0x10000,
    ProbeDuplicate = 0x20000,

    Acked = DataAcked | SynAcked,
    NotDuplicate = Data | WindowUpdate | Acked,
    Alert = DataSacked | Echo | DuplicateSack,
    Progress = Acked | DataSacked,
}

/// <summary>What an acknowledgment asks to be sent.</summary>
internal enum TcpResend : byte
{
    Nothing,
    Lost,
    NewData,
}
