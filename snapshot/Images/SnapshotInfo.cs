namespace Snapshot.Images;

/// <summary>What a snapshot says about itself; kept readable in its manifest.</summary>
public sealed record SnapshotInfo
{
    /// <summary>The user's name for it: <see cref="SnapshotNames"/>.</summary>
    public required string Name { get; init; }

    /// <summary>32 hexadecimal digits; unlike the name never used twice.</summary>
    public string Id { get; init; } = Guid.NewGuid().ToString("N");

    public DateTimeOffset Created { get; init; } = DateTimeOffset.UtcNow;

    /// <summary>The guest's host name.</summary>
    public string HostName { get; init; } = "";

    /// <summary>The platform that ran it, for instance "notify".</summary>
    public string Platform { get; init; } = "";

    /// <summary>The XSAVE features (XCR0) of the processor that ran it; a restoring one must have them all.</summary>
    public ulong CpuFeatures { get; init; }

    /// <summary>The folder that was the base tree; where to look when the restoring user names none.</summary>
    public string RootFolder { get; init; } = "";

    /// <summary>Files of the base tree that must be the same at restore.</summary>
    public BaseTreeFile[] BaseFiles { get; init; } = [];

    public SavedProcess[] Processes { get; init; } = [];

    /// <summary>Unimplemented calls made before the checkpoint, by name.</summary>
    public Dictionary<string, long> UnimplementedCalls { get; init; } = [];

    /// <summary>Whatever else the agent wants to find again.</summary>
    public Dictionary<string, string> Properties { get; init; } = [];
}

/// <summary>A file of the read-only base tree on which an image depends.</summary>
public sealed record BaseTreeFile
{
    /// <summary>As the guest names it, one char per byte (Latin-1).</summary>
    public required string Path { get; init; }

    public required long Size { get; init; }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public required string Sha256 { get; init; }
}

/// <summary>A process of a snapshot, for people to read.</summary>
public sealed record SavedProcess
{
    public required int Pid { get; init; }

    public int ParentPid { get; init; }

    public required string Name { get; init; }

    public int Threads { get; init; }

    public string State { get; init; } = "";

    public string[] Arguments { get; init; } = [];
}
