namespace RestoreAgent.Api;

/// <summary>How far a transfer between this host and a store has come.</summary>
public sealed record TransferProgress
{
    /// <summary>waiting, saving, writing, reading, copying or verifying.</summary>
    public required string Phase { get; init; }

    /// <summary>Bytes of state and memory, uncompressed, that are dealt with.</summary>
    public long Done { get; init; }

    /// <summary>Those that there are; 0 while that is not known.</summary>
    public long Total { get; init; }

    /// <summary>Bytes that went to and from stores, those that were sent twice included.</summary>
    public long Moved { get; init; }

    /// <summary>Requests to the store that were made again.</summary>
    public int Retries { get; init; }

    /// <summary>One line: why nothing moves at the moment.</summary>
    public string? Trouble { get; init; }
}

/// <summary>A line of an answer that is told while it comes about (Accept: application/x-ndjson): progress at first, then the result or a problem.</summary>
public sealed record ProgressLine<T>
    where T : class
{
    public TransferProgress? Progress { get; init; }

    public T? Result { get; init; }

    public Problem? Problem { get; init; }
}
