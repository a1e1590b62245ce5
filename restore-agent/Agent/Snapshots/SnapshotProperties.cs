using System.Text.Json;
using RestoreAgent.Api;
using Snapshot.Images;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>What the agent keeps in a snapshot's own properties.</summary>
public static class SnapshotProperties
{
    private const string Program = "program";

    public static Dictionary<string, string> Of(ProgramOptions program) => new() { [Program] = JsonSerializer.Serialize(program, ApiJson.Default.ProgramOptions) };

    /// <summary>The first program of a snapshot, as far as it can be told.</summary>
    public static ProgramOptions ProgramOf(SnapshotInfo info)
    {
        try
        {
            if (info.Properties.TryGetValue(Program, out string? text) && JsonSerializer.Deserialize(text, ApiJson.Default.ProgramOptions) is { } program)
                return program;
        }
        catch (JsonException)
        {
            // written by something else: its processes still tell
        }

        return new ProgramOptions { Arguments = info.Processes.FirstOrDefault()?.Arguments ?? [info.Name] };
    }
}
