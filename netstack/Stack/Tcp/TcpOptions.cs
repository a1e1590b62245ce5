namespace Netstack.Stack;

/// <summary>The options of tcp(7) that an endpoint acts on. They never change, so that connections with the same options have them in common; an endpoint is given others
/// by <see cref="TcpEndpoint.SetOptions"/>.</summary>
[Savable("tcp-options")]
public sealed partial record class TcpOptions
{
    [Saved(1)] public bool NoDelay { get; init; }

    [Saved(2)] public bool Cork { get; init; }

    /// <summary>TCP_MAXSEG; 0 when not set.</summary>
    [Saved(3)] public int MaxSegment { get; init; }

    /// <summary>Seconds; 0 for the setting of the stack.</summary>
    [Saved(4)] public int KeepIdle { get; init; }

    [Saved(5)] public int KeepInterval { get; init; }

    [Saved(6)] public int KeepCount { get; init; }

    [Saved(7)] public int SynCount { get; init; }

    /// <summary>TCP_LINGER2, seconds; 0 for the setting of the stack, negative for none.</summary>
    [Saved(8)] public int Linger2 { get; init; }

    /// <summary>TCP_DEFER_ACCEPT, seconds.</summary>
    [Saved(9)] public int DeferAccept { get; init; }

    [Saved(10)] public int WindowClamp { get; init; }

    /// <summary>TCP_USER_TIMEOUT, ms; 0 for none.</summary>
    [Saved(11)] public int UserTimeout { get; init; }

    [Saved(12)] public bool QuickAck { get; init; } = true;

    /// <summary>TCP_CONGESTION; null for the setting of the stack.</summary>
    [Saved(13)] public string? Congestion { get; init; }

    /// <summary>TCP_NOTSENT_LOWAT; 0 for none.</summary>
    [Saved(14)] public uint NotSentLowWater { get; init; }

    public TcpOptions()
    {
    }
}

/// <summary>Options that connections of a stack were given of late: servers set the same few on all of theirs, which then have one object in common.</summary>
internal sealed class TcpOptionsCache
{
    private const int Size = 8;
    private readonly TcpOptions[] _known = new TcpOptions[Size];
    private int _next;

    public TcpOptionsCache() => Array.Fill(_known, Default);

    /// <summary>Nothing is set.</summary>
    public TcpOptions Default { get; } = new();

    /// <summary>Options equal to these.</summary>
    public TcpOptions Share(TcpOptions options)
    {
        if (options == Default)
            return Default;
        foreach (TcpOptions known in _known)
        {
            if (known == options)
                return known;
        }

        _known[_next] = options;
        _next = (_next + 1) % Size;
        return options;
    }
}
