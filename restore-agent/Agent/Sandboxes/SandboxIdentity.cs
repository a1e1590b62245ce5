using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>What a sandbox is, apart from what it does.</summary>
public sealed record SandboxIdentity
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    public required string RootFolder { get; init; }

    /// <summary>The first program, as the user gave it.</summary>
    public required ProgramOptions Program { get; init; }

    public required string HostName { get; init; }

    /// <summary>In the order in which the gofer has them.</summary>
    public VolumeOptions[] Volumes { get; init; } = [];

    /// <summary>What was asked for; a restored sandbox has the rest from its snapshot.</summary>
    public LimitsSpec? Limits { get; init; }

    /// <summary>What a new sandbox begins with; a restored one has its own.</summary>
    public TmpfsSpec[] Tmpfs { get; init; } = [];

    public string? RestoredFrom { get; init; }

    /// <summary>Its output goes to <see cref="Log"/> and it stays listed when it has ended.</summary>
    public bool Detached { get; init; }

    public string? Log { get; init; }

    public bool Strace { get; init; }

    public int SaveAtCall { get; init; } = -1;

    public int CrashAtCall { get; init; } = -1;

    public DateTimeOffset Created { get; init; }
}
