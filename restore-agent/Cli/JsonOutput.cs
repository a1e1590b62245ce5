using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace SnapshotRpc;

/// <summary>What --json prints: one document on one line, the fields as docs/json.md has them.</summary>
public static class JsonOutput
{
    /// <returns>The exit code of a command that has nothing else to do.</returns>
    public static int Print<T>(T value, JsonTypeInfo<T> type)
    {
        Console.Out.WriteLine(JsonSerializer.Serialize(value, type));
        return 0;
    }
}
