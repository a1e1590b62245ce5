namespace Netstack.Stack;

/// <summary>The options of tcp(7) that an endpoint acts on. Setting one that takes effect at once goes through the endpoint's Apply methods.</summary>
[Savable("tcp-options")]
public sealed partial class TcpOptions
{
    [Saved(1)] public bool NoDelay;
    [Saved(2)] public bool Cork;

    /// <summary>TCP_MAXSEG; 0 when not set.</summary>
    [Saved(3)] public int MaxSegment;

    /// <summary>Seconds; 0 for the setting of the stack.</summary>
    [Saved(4)] public int KeepIdle;

    [Saved(5)] public int KeepInterval;
    [Saved(6)] public int KeepCount;
    [Saved(7)] public int SynCount;

    /// <summary>TCP_LINGER2, seconds; 0 for the setting of the stack, negative for none.</summary>
    [Saved(8)] public int Linger2;

    /// <summary>TCP_DEFER_ACCEPT, seconds.</summary>
    [Saved(9)] public int DeferAccept;

    [Saved(10)] public int WindowClamp;

    /// <summary>TCP_USER_TIMEOUT, ms; 0 for none.</summary>
    [Saved(11)] public int UserTimeout;

    [Saved(12)] public bool QuickAck = true;

    /// <summary>TCP_CONGESTION; null for the setting of the stack.</summary>
    [Saved(13)] public string? Congestion;

    /// <summary>TCP_NOTSENT_LOWAT; 0 for none.</summary>
    [Saved(14)] public uint NotSentLowWater;

    public TcpOptions()
    {
    }

    public TcpOptions Copy() => (TcpOptions)MemberwiseClone();
}
