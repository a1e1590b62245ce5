namespace Sentry.Host;

/// <summary>How <see cref="ProcessSpawner"/> makes a process.</summary>
public sealed record SpawnOptions
{
    /// <summary>The program: an absolute path as a byte string.</summary>
    public required string Path { get; init; }

    /// <summary>The arguments, with the program's name as the first.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>NAME=value strings; nothing is inherited.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Descriptors of this process that become 0, 1, 2, … of the new one; -1 leaves a number closed. All others are closed.</summary>
    public IReadOnlyList<int> Descriptors { get; init; } = [];

    /// <summary>New namespaces to begin in.</summary>
    public NamespaceFlags Namespaces { get; init; }

    /// <summary>With <see cref="NamespaceFlags.User"/>: become root (0:0) of the new user namespace, mapped to the caller's own ids.</summary>
    public bool MapToRoot { get; init; } = true;

    /// <summary>Lead a session of its own (setsid).</summary>
    public bool NewSession { get; init; }

    /// <summary>Be killed when this process dies (PDEATHSIG).</summary>
    public bool DieWithParent { get; init; }

    /// <summary>The directory to start in, or null for this process's own.</summary>
    public string? WorkingDirectory { get; init; }
}

/// <summary>A process that was spawned: its id in this pid namespace and a pidfd, which the caller closes.</summary>
public readonly record struct SpawnedProcess(int ProcessId, int PidFd);
