namespace Netstack.Stack;

/// <summary>What only a connection that has lost something needs: rate reduction, undo, probes, the scoreboard's hints (RFC 6937, 3522, 5682, 8985).
/// Made when it is first needed.</summary>
[Savable("tcp-loss-recovery")]
internal sealed partial class TcpLossRecovery
{
    /// <summary>Window and threshold when the reduction began; a threshold of 0 forbids to undo it.</summary>
    [Saved(1)] public uint PriorWindow;

    [Saved(2)] public uint PriorThreshold;

    /// <summary>Segments delivered and sent since then.</summary>
    [Saved(3)] public uint PrrDelivered;

    [Saved(4)] public uint PrrOut;

    /// <summary>Una when recovery began, valid when <see cref="CanUndo"/>.</summary>
    [Saved(5)] public uint UndoMarker;

    [Saved(6)] public bool CanUndo;

    /// <summary>Retransmissions not yet known to be needless; -1 for none yet.</summary>
    [Saved(7)] public int UndoRetrans;

    /// <summary>When the first retransmission since all was well left; 0 for none.</summary>
    [Saved(8)] public long RetransStamp;

    /// <summary>Nxt when the loss probe left, and whether the probe was a retransmission.</summary>
    [Saved(9)] public uint ProbeHighSeq;

    [Saved(10)] public bool ProbeRetransmits;

    /// <summary>F-RTO is deciding whether the timeout was spurious (RFC 5682).</summary>
    [Saved(11)] public bool IsTestingTimeout;

    /// <summary>The peer has dropped what it had acknowledged selectively.</summary>
    [Saved(12)] public bool IsReneging;

    /// <summary>Sequence after the highest selectively acknowledged segment, while there is one.</summary>
    [Saved(13)] public uint HighestSack;

    /// <summary>Where the search for lost segments goes on, when <see cref="HasHint"/>.</summary>
    [Saved(14)] public uint RetransmitHint;

    [Saved(15)] public bool HasHint;

    /// <summary>The largest block that was written into the scoreboard, whose segments need not be looked at again.</summary>
    [Saved(16)] public TcpSackCache Cache;

    /// <summary>When the present series of timeouts began; 0 for none.</summary>
    [Saved(17)] public long TimeoutSince;

    public TcpLossRecovery()
    {
    }
}
