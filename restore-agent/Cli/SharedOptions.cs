using System.CommandLine;

namespace SnapshotRpc;

/// <summary>Options that mean the same wherever they stand.</summary>
public static class SharedOptions
{
    public static Option<string?> Store { get; } = new("--store")
    {
        Description = "file:///folder, s3://bucket/prefix?endpoint=URL or azblob://container/prefix; default: a folder of yours",
        HelpName = "URL",
    };

    /// <summary>How much may go to or come from a store.</summary>
    public static Option<string?> Rate { get; } = new("--rate") { Description = "Bytes per second to or from a store at most: 500k, 10M", HelpName = "BYTES/s" };

    /// <summary>For machines: the result as JSON on standard output, progress as lines of JSON on standard error.</summary>
    public static Option<bool> Json { get; } = new("--json") { Description = "Print JSON, whose fields docs/json.md explains" };

    /// <summary>The URL of a store, with a relative folder made absolute: the agent has another working directory.</summary>
    public static string? StoreOf(ParseResult result) => result.GetValue(Store) is { } url ? Absolute(url) : null;

    public static string Absolute(string url) => url.Contains("://", StringComparison.Ordinal) ? url : Path.GetFullPath(url);

    public static bool JsonOf(ParseResult result) => result.GetValue(Json);

    /// <summary>The value of --rate.</summary>
    public static long? RateOf(ParseResult result) => result.GetValue(Rate) is not { } text ? null
        : VolumeArguments.TryParseSize(text.EndsWith("/s", StringComparison.Ordinal) ? text[..^2] : text) is { } rate ? rate
        : throw new CliException($"'{text}' is no rate: write bytes per second, for instance 500k or 10M");

    /// <summary>A query string of what is not null.</summary>
    public static string Query(params (string Name, string? Value)[] parameters)
    {
        string query = string.Join('&', parameters.Where(p => p.Value is not null).Select(p => $"{p.Name}={Uri.EscapeDataString(p.Value!)}"));
        return query.Length > 0 ? "?" + query : "";
    }
}
