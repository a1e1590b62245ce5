namespace RestoreAgent.Api;

/// <summary>A program to run; texts are UTF-8 as people write them.</summary>
public sealed record ProgramOptions
{
    public required string[] Arguments { get; init; }

    /// <summary>NAME=value, added to the default environment.</summary>
    public string[] Environment { get; set; } = [];

    public string? WorkingDirectory { get; init; }

    /// <summary>UID, UID:GID or a name of the root file system's /etc/passwd; null for 0:0.</summary>
    public string? User { get; init; }

    /// <summary>Run it on a terminal of its own: standard input, output and error are that terminal.</summary>
    public bool Terminal { get; init; }
}

/// <summary>The size of a terminal's window in characters.</summary>
public sealed record WindowSize(ushort Rows, ushort Columns);

/// <summary>What a new sandbox is made of, whether from a program or a snapshot.</summary>
public abstract record NewSandbox
{
    /// <summary>1 to 64 letters, digits, '.', '_' or '-'; made up when null.</summary>
    public string? Name { get; init; }

    /// <summary>Output goes to the log and the sandbox stays in the list when it ends; otherwise streams come over the attach socket.</summary>
    public bool Detach { get; init; }

    /// <summary>Print each system call as strace does: to the descriptor that comes along, else to standard error (or the log).</summary>
    public bool Strace { get; init; }

    /// <summary>Test aid: the guest call number that means "checkpoint, destroy and restore this sandbox here"; -1 for none.</summary>
    public int SaveAtCall { get; set; } = -1;

    /// <summary>Test aid: the guest call number at which the sentry fails; -1 for none.</summary>
    public int CrashAtCall { get; set; } = -1;

    /// <summary>How system calls are intercepted; null for the default, notify.</summary>
    public string? Platform { get; init; }

    /// <summary>Folders of the host's in the sandbox; in a restore those of the snapshot that are elsewhere now.</summary>
    public VolumeOptions[] Volumes { get; set; } = [];

    /// <summary>Null: none, or those of a snapshot.</summary>
    public LimitOptions? Limits { get; init; }

    /// <summary>Null: loopback only, or what a snapshot's network was.</summary>
    public NetworkOptions? Network { get; init; }
}

/// <summary>Body of POST /v1/sandboxes.</summary>
public sealed record RunRequest : NewSandbox
{
    /// <summary>Absolute path of the folder that is the root file system.</summary>
    public required string RootFolder { get; init; }

    public required ProgramOptions Program { get; init; }

    public string? HostName { get; init; }

    /// <summary>Empty file systems in memory.</summary>
    public TmpfsOptions[] Tmpfs { get; set; } = [];
}

/// <summary>A folder of the host's that is shared with a sandbox: each sees the other's changes at once.</summary>
public sealed record VolumeOptions
{
    /// <summary>Absolute path on the host.</summary>
    public required string Source { get; init; }

    /// <summary>Absolute path in the sandbox.</summary>
    public required string Place { get; init; }

    public bool ReadOnly { get; init; }
}

/// <summary>What a sandbox may use; 0 for no bound, or in a restore for what the snapshot says.</summary>
public sealed record LimitOptions
{
    /// <summary>Bytes of private and shared memory and of files in memory.</summary>
    public long Memory { get; init; }

    /// <summary>Processes and threads.</summary>
    public int Pids { get; init; }

    /// <summary>Processors.</summary>
    public int Cpus { get; init; }
}

/// <summary>An empty file system in memory, which travels in snapshots.</summary>
public sealed record TmpfsOptions
{
    /// <summary>Absolute path in the sandbox.</summary>
    public required string Place { get; init; }

    /// <summary>Bytes; 0 for no bound of its own.</summary>
    public long Size { get; init; }

    /// <summary>Permissions of its root.</summary>
    public uint Mode { get; set; } = 0x3FF;
}

/// <summary>Body of POST /v1/snapshots/{name}/restore.</summary>
public sealed record RestoreSnapshotRequest : NewSandbox
{
    /// <summary>The store's URL; null for the user's own folder.</summary>
    public string? Store { get; init; }

    /// <summary>Wait so long for the snapshot to be written, with everything else made ready; 0 when it must be there. A restore that waits gets a sandbox
    /// that this very agent saves at once, before its image is in the store.</summary>
    public int WaitSeconds { get; init; }

    /// <summary>Where the base tree is now; null for where it was.</summary>
    public string? RootFolder { get; init; }

    /// <summary>Bytes per second that may come from the store; null for as many as do.</summary>
    public long? Rate { get; init; }
}

/// <summary>Body of POST /v1/sandboxes/{name}/exec.</summary>
public sealed record ExecProgramRequest
{
    public required ProgramOptions Program { get; init; }

    /// <summary>Output goes to the sandbox's log; otherwise streams come over the attach socket.</summary>
    public bool Detach { get; init; }
}

/// <summary>Answer to run, restore and exec.</summary>
public sealed record Started
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    /// <summary>The guest process id of the program; 0 while its streams have not been attached.</summary>
    public int Pid { get; init; }

    /// <summary>Send this with the streams over the attach socket within 30 seconds; null when detached.</summary>
    public string? AttachToken { get; init; }

    /// <summary>The program has a terminal, joined with the descriptor that came for it.</summary>
    public bool Terminal { get; init; }

    /// <summary>How long a restore took in the sentry, ns.</summary>
    public long RestoreNanoseconds { get; init; }
}

/// <summary>A sandbox as listings show it.</summary>
public sealed record SandboxSummary
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    /// <summary>starting, running, exited, or unreachable when it was started by an agent of another build.</summary>
    public required string State { get; init; }

    public required string[] Arguments { get; init; }

    public required string RootFolder { get; init; }

    public string Platform { get; set; } = "";

    public DateTimeOffset Created { get; init; }

    /// <summary>The host's process id of the sentry; 0 when it has ended.</summary>
    public int SentryPid { get; init; }

    /// <summary>none, host, or the addresses of its links with the nets they are on.</summary>
    public string[] Networks { get; set; } = [];

    /// <summary>The snapshot that it was restored from.</summary>
    public string? RestoredFrom { get; init; }

    public ExitReport? Exit { get; init; }
}

/// <summary>How a program ended.</summary>
public sealed record ExitReport
{
    /// <summary>The program's own code; 128+n when signal n killed it; 125 when the sandbox failed.</summary>
    public int ExitCode { get; init; }

    /// <summary>One line when the program did not simply end: what happened.</summary>
    public string? Reason { get; init; }
}

/// <summary>Body of POST /v1/sandboxes/{name}/signal.</summary>
public sealed record SignalProgramRequest
{
    public int Signal { get; set; } = 15;

    /// <summary>The guest process; 0 for all.</summary>
    public int Pid { get; set; } = 1;
}

/// <summary>Body of POST /v1/sandboxes/{name}/checkpoint.</summary>
public sealed record CheckpointSandboxRequest
{
    public required string Snapshot { get; init; }

    public bool LeaveRunning { get; init; }

    /// <summary>Take the place of a snapshot of that name.</summary>
    public bool Replace { get; init; }

    /// <summary>The store's URL; null for the user's own folder.</summary>
    public string? Store { get; init; }

    /// <summary>Bytes per second that may go to the store; null for as many as do.</summary>
    public long? Rate { get; init; }
}

/// <summary>Answer to a checkpoint.</summary>
public sealed record CheckpointReport
{
    public required string Snapshot { get; init; }

    public required string Store { get; init; }

    /// <summary>How long the guest stood still, ns.</summary>
    public long PauseNanoseconds { get; init; }

    public long StateBytes { get; init; }

    /// <summary>Memory that is not zero.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>What was new in the store.</summary>
    public long StoredBytes { get; init; }

    /// <summary>A line for each connection or listener of the host's network that the snapshot does not hold.</summary>
    public string[] Lost { get; set; } = [];
}

/// <summary>Answer to GET /v1/sandboxes/{name}/inspect.</summary>
public sealed record SandboxDetails
{
    public required SandboxSummary Summary { get; init; }

    public ProcessDetails[] Processes { get; set; } = [];

    /// <summary>Unimplemented calls that its programs made, by name.</summary>
    public Dictionary<string, long> UnimplementedCalls { get; set; } = [];

    /// <summary>What the sentry's log says of its failure: the guest call it served, the error, the stack trace.</summary>
    public string? CrashReport { get; init; }

    public long SystemCalls { get; init; }

    public int SentryThreads { get; init; }

    public NetworkDetails? Network { get; init; }
}

/// <summary>A guest process.</summary>
public sealed record ProcessDetails
{
    public int Pid { get; init; }

    public int ParentPid { get; init; }

    public required string Name { get; init; }

    public int Threads { get; init; }

    public string State { get; set; } = "";

    public string[] Arguments { get; set; } = [];
}
