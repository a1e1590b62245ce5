namespace RestoreAgent.Api;

/// <summary>A snapshot as listings show it.</summary>
public sealed record SnapshotSummary
{
    public required string Name { get; init; }

    public DateTimeOffset Created { get; init; }

    /// <summary>Bytes of kernel state and non-zero memory.</summary>
    public long Size { get; init; }

    /// <summary>One line about what is wrong with it; null for nothing.</summary>
    public string? Problem { get; init; }
}

/// <summary>Answer to GET /v1/snapshots/{name}.</summary>
public sealed record SnapshotDetails
{
    public required string Name { get; init; }

    public required string Id { get; init; }

    /// <summary>SHA-256 of the manifest.</summary>
    public required string ManifestId { get; init; }

    public required string Store { get; init; }

    public DateTimeOffset Created { get; init; }

    public string HostName { get; init; } = "";

    public string Platform { get; init; } = "";

    public string RootFolder { get; init; } = "";

    public long StateBytes { get; init; }

    /// <summary>The length of the memory image with its holes.</summary>
    public long MemoryLength { get; init; }

    public ProcessDetails[] Processes { get; init; } = [];

    public BaseFileDetails[] BaseFiles { get; init; } = [];

    public Dictionary<string, long> UnimplementedCalls { get; init; } = [];
}

/// <summary>A file of the base tree that a snapshot depends on.</summary>
public sealed record BaseFileDetails(string Path, long Size, string Sha256);
