using System.Text.Json;
using System.Text.Json.Serialization;

namespace RestoreAgent.Api;

/// <summary>An error as RFC 9457 has it, with the one line that is for the user.</summary>
public sealed record Problem
{
    public string Type { get; set; } = "about:blank";

    public string Title { get; set; } = "";

    public int Status { get; init; }

    /// <summary>One line: what failed and what to do.</summary>
    public required string Error { get; init; }
}

/// <summary>Answer to GET /v1/version.</summary>
public sealed record VersionReport
{
    public required string Version { get; init; }

    public int ProcessId { get; init; }

    public int Sandboxes { get; init; }

    /// <summary>Sentries that wait for work.</summary>
    public int PooledSentries { get; init; }

    /// <summary>Where the agent keeps snapshots unless told otherwise.</summary>
    public string DefaultStore { get; set; } = "";
}

/// <summary>One line of GET /v1/doctor.</summary>
/// <param name="Name">What was looked at.</param>
/// <param name="State">ok, fallback or missing.</param>
/// <param name="Detail">What was found; for the other states what happens instead, or what to do.</param>
public sealed record DoctorLine(string Name, string State, string Detail);

/// <summary>First frame of a connection to the attach socket; exactly one of the requests is set. Descriptors: standard input, output, error,
/// one for strace output when <see cref="StraceDescriptor"/>, one for a terminal when <see cref="TerminalDescriptor"/>; to join a terminal
/// (<see cref="Join"/>) the last alone.</summary>
public sealed record AttachRequest
{
    public RunRequest? Run { get; init; }

    public RestoreSnapshotRequest? Restore { get; init; }

    /// <summary>The snapshot to restore, with <see cref="Restore"/>.</summary>
    public string? Snapshot { get; init; }

    public ExecProgramRequest? Exec { get; init; }

    /// <summary>The sandbox to run in, with <see cref="Exec"/>, or whose terminal to join, with <see cref="Join"/>.</summary>
    public string? Sandbox { get; init; }

    /// <summary>The process whose terminal is to be joined: 1 for the first program's.</summary>
    public int? Join { get; init; }

    /// <summary>What the client calls this request, 32 random hexadecimal digits: with it the client finds what became of it when the agent dies. The new
    /// sandbox's id, with <see cref="Run"/> and <see cref="Restore"/>.</summary>
    public string? Key { get; init; }

    /// <summary>The agent died before it answered this very request, which is made again: what it started under this <see cref="Key"/> is followed, and
    /// only when there is nothing of the kind it is started.</summary>
    public bool Again { get; init; }

    /// <summary>After the agent was started anew: the <see cref="Key"/> of an earlier request, whose program's end is waited for. No descriptors.</summary>
    public string? Follow { get; init; }

    /// <summary>What an HTTP request returned as <see cref="Started.AttachToken"/>.</summary>
    public string? Token { get; init; }

    /// <summary>What <see cref="ApiHeaders.Build"/> is over HTTP.</summary>
    public string? Build { get; init; }

    public bool StraceDescriptor { get; init; }

    /// <summary>A stream socket comes along that carries what is typed to a terminal and what it shows; used when the program has a terminal.</summary>
    public bool TerminalDescriptor { get; init; }

    /// <summary>The window that the terminal is shown in.</summary>
    public WindowSize? Window { get; init; }

    /// <summary>The client wants to be told how far a restore has come.</summary>
    public bool Progress { get; init; }
}

/// <summary>Frames from the client after the first. Closing the connection kills the program, unless it only joined a terminal or has detached.</summary>
public sealed record AttachInput
{
    /// <summary>A signal for the program; 0 for none.</summary>
    public int Signal { get; init; }

    /// <summary>The terminal's window has changed.</summary>
    public WindowSize? Window { get; init; }

    /// <summary>The program is to go on without this client, which leaves.</summary>
    public bool Detach { get; init; }
}

/// <summary>Frames from the agent: progress if it was asked for; started, then ended; or an error and the end.</summary>
public sealed record AttachReply
{
    public TransferProgress? Progress { get; init; }

    public Started? Started { get; init; }

    public ExitReport? Exit { get; init; }

    /// <summary>One line: what failed and what to do.</summary>
    public string? Error { get; init; }
}

/// <summary>The contract's JSON codec, shared by agent and clients.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(ProgramOptions))]
[JsonSerializable(typeof(RunRequest))]
[JsonSerializable(typeof(VolumeOptions[]))]
[JsonSerializable(typeof(RestoreSnapshotRequest))]
[JsonSerializable(typeof(ExecProgramRequest))]
[JsonSerializable(typeof(Started))]
[JsonSerializable(typeof(SandboxSummary[]))]
[JsonSerializable(typeof(SandboxDetails))]
[JsonSerializable(typeof(NetworkOptions))]
[JsonSerializable(typeof(NetworkDetails))]
[JsonSerializable(typeof(ExitReport))]
[JsonSerializable(typeof(SignalProgramRequest))]
[JsonSerializable(typeof(CheckpointSandboxRequest))]
[JsonSerializable(typeof(CheckpointReport))]
[JsonSerializable(typeof(ProgressLine<CheckpointReport>))]
[JsonSerializable(typeof(TransferProgress))]
[JsonSerializable(typeof(CopySnapshotRequest))]
[JsonSerializable(typeof(ProgressLine<CopyReport>))]
[JsonSerializable(typeof(VerifyReport[]))]
[JsonSerializable(typeof(ProgressLine<VerifyReport>))]
[JsonSerializable(typeof(CollectReport))]
[JsonSerializable(typeof(SnapshotSummary[]))]
[JsonSerializable(typeof(SnapshotDetails))]
[JsonSerializable(typeof(VersionReport))]
[JsonSerializable(typeof(DoctorLine[]))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(AttachRequest))]
[JsonSerializable(typeof(AttachInput))]
[JsonSerializable(typeof(AttachReply))]
public sealed partial class ApiJson : JsonSerializerContext;
