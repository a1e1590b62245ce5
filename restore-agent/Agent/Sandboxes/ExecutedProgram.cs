using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>A program that was started in a running sandbox.</summary>
public sealed class ExecutedProgram(int pid, Streams streams)
{
    private readonly TaskCompletionSource<ExitReport> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public int Pid { get; } = pid;

    public Streams Streams { get; } = streams;

    public bool HasTerminal { get; init; }

    /// <summary>What its client calls it; null for none.</summary>
    public string? Key { get; init; }

    /// <summary>Its client has its streams, and takes it along when it goes.</summary>
    public bool HasClient { get; set; }

    /// <summary>Its client is one of this agent's: it was started by this agent, or its client has come back.</summary>
    public bool IsFollowed { get; set; }

    public Task<ExitReport> Exit => _exit.Task;

    /// <summary>It has ended: its streams are closed here, then those who wait are told.</summary>
    public void End(ExitReport report)
    {
        Streams.Dispose();
        _exit.TrySetResult(report);
    }
}
