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

    public string HostName { get; set; } = "";

    public string Platform { get; set; } = "";

    public string RootFolder { get; set; } = "";

    public long StateBytes { get; init; }

    /// <summary>The length of the memory image with its holes.</summary>
    public long MemoryLength { get; init; }

    public ProcessDetails[] Processes { get; set; } = [];

    public BaseFileDetails[] BaseFiles { get; set; } = [];

    public Dictionary<string, long> UnimplementedCalls { get; set; } = [];
}

/// <summary>A file of the base tree that a snapshot depends on.</summary>
public sealed record BaseFileDetails(string Path, long Size, string Sha256);

/// <summary>Body of POST /v1/snapshots/{name}/copy.</summary>
public sealed record CopySnapshotRequest
{
    /// <summary>The URL of the store it is in; null for the user's own folder.</summary>
    public string? Store { get; init; }

    /// <summary>The URL of the store it goes to; null for the user's own folder.</summary>
    public string? To { get; init; }

    /// <summary>Its name there; null for the same.</summary>
    public string? Name { get; init; }

    /// <summary>Take the place of a snapshot of that name.</summary>
    public bool Replace { get; init; }

    /// <summary>Bytes per second, each way; null for as many as there are.</summary>
    public long? Rate { get; init; }
}

/// <summary>Answer to a copy.</summary>
public sealed record CopyReport
{
    /// <summary>The name of the copy.</summary>
    public required string Snapshot { get; init; }

    /// <summary>Where it is.</summary>
    public required string Store { get; init; }

    /// <summary>Bytes of kernel state and non-zero memory, all of them checked where they were not there already.</summary>
    public long Size { get; init; }

    /// <summary>What was new in the store.</summary>
    public long StoredBytes { get; init; }
}

/// <summary>Answer to POST /v1/snapshots/{name}/verify.</summary>
public sealed record VerifyReport
{
    public required string Snapshot { get; init; }

    public required string Store { get; init; }

    /// <summary>Bytes that were read and are what they should be.</summary>
    public long Size { get; init; }

    /// <summary>One line about what is wrong with it; null for nothing.</summary>
    public string? Problem { get; init; }
}

/// <summary>Answer to POST /v1/stores/collect.</summary>
public sealed record CollectReport
{
    public required string Store { get; init; }

    /// <summary>Bytes of objects that were deleted.</summary>
    public long FreedBytes { get; init; }
}
