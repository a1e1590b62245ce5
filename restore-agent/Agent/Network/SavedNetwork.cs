using System.Text.Json;
using System.Text.Json.Serialization;
using RestoreAgent.Api;
using Snapshot.Images;

namespace RestoreAgent.Agent.Network;

/// <summary>What an image keeps of a sandbox's network beside the stack's own state, in the snapshot's properties. Fields are only ever added.</summary>
public sealed record SavedNetwork
{
    public required string Mode { get; init; }

    /// <summary>See <see cref="Netstack.Links.LinkIdentity"/>.</summary>
    public required string Lineage { get; init; }

    public int Generation { get; init; }

    public SavedLink[] Links { get; init; } = [];

    /// <summary>What was asked for: modes, ports, rights.</summary>
    public NetworkOptions Options { get; init; } = new();
}

/// <summary>An interface in an image.</summary>
public sealed record SavedLink
{
    public required string Name { get; init; }

    /// <summary>Null for a switch of the sandbox's own.</summary>
    public string? Net { get; init; }

    public required string Mac { get; init; }

    /// <summary>ADDRESS/PREFIX, first IPv4 if there is one.</summary>
    public string[] Addresses { get; init; } = [];

    public string[] Gateways { get; init; } = [];

    public int Mtu { get; init; } = 1500;

    /// <summary>Frames that came after the state was written, behind their virtio headers; for whoever goes on as the sandbox itself.</summary>
    public byte[][]? Kept { get; init; }
}

/// <summary>The codec of <see cref="SavedNetwork"/>.</summary>
[JsonSerializable(typeof(SavedNetwork))]
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
public sealed partial class SavedNetworkJson : JsonSerializerContext
{
    private const string Property = "network";

    public static void Write(SavedNetwork? network, Dictionary<string, string> properties)
    {
        if (network is not null)
            properties[Property] = JsonSerializer.Serialize(network, Default.SavedNetwork);
    }

    /// <summary>Null when the sandbox had no network, or one written by something else.</summary>
    public static SavedNetwork? Read(SnapshotInfo info)
    {
        try
        {
            return info.Properties.TryGetValue(Property, out string? text) ? JsonSerializer.Deserialize(text, Default.SavedNetwork) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
