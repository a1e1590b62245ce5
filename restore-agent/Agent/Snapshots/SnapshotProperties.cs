using System.Text.Json;
using RestoreAgent.Agent.Sandboxes;
using RestoreAgent.Api;
using Snapshot.Images;

namespace RestoreAgent.Agent.Snapshots;

/// <summary>What the agent keeps in a snapshot's own properties.</summary>
public static class SnapshotProperties
{
    private const string Program = "program", Volumes = "volumes";

    public static Dictionary<string, string> Of(SandboxIdentity sandbox)
    {
        Dictionary<string, string> properties = new() { [Program] = JsonSerializer.Serialize(sandbox.Program, ApiJson.Default.ProgramOptions) };
        if (sandbox.Volumes.Length > 0)
            properties[Volumes] = JsonSerializer.Serialize(sandbox.Volumes, ApiJson.Default.VolumeOptionsArray);
        return properties;
    }

    /// <summary>The volumes of a snapshot, in the order in which its state numbers them.</summary>
    public static VolumeOptions[] VolumesOf(SnapshotInfo info)
    {
        if (!info.Properties.TryGetValue(Volumes, out string? text))
            return [];
        try
        {
            return JsonSerializer.Deserialize(text, ApiJson.Default.VolumeOptionsArray) ?? [];
        }
        catch (JsonException)
        {
            throw new Snapshot.State.InvalidImageException("the snapshot's list of volumes cannot be read");
        }
    }

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
