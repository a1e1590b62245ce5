using System.CommandLine;
using System.Globalization;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>The options --volume and --tmpfs.</summary>
public sealed class VolumeArguments(bool restores)
{
    private readonly Option<string[]> _volumes = new("--volume", "-v")
    {
        Description = restores ? "Where a volume of the snapshot is now; repeatable" : "A folder of the host's in the sandbox, shared with the host; repeatable",
        HelpName = "DIR:PLACE[:ro]",
        DefaultValueFactory = _ => [],
    };

    private readonly Option<string[]> _tmpfs = new("--tmpfs")
    {
        Description = "An empty file system in memory; repeatable",
        HelpName = "PLACE[:size=64m,mode=1777]",
        DefaultValueFactory = _ => [],
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_volumes);
        if (!restores)
            command.Options.Add(_tmpfs);
    }

    public VolumeOptions[] ReadVolumes(ParseResult result) => [.. result.GetValue(_volumes)!.Select(ParseVolume)];

    public TmpfsOptions[] ReadTmpfs(ParseResult result) => [.. result.GetValue(_tmpfs)!.Select(ParseTmpfs)];

    /// <summary>DIR:PLACE with :ro or :rw; a relative folder is one of this working directory.</summary>
    public static VolumeOptions ParseVolume(string text)
    {
        string[] parts = text.Split(':');
        if (parts.Length is not (2 or 3) || parts[0].Length == 0 || parts[1].Length == 0 || (parts.Length == 3 && parts[2] is not ("ro" or "rw")))
            throw new CliException($"'{text}' is no volume: write DIR:PLACE or DIR:PLACE:ro");
        return new VolumeOptions { Source = Path.GetFullPath(parts[0]), Place = parts[1], ReadOnly = parts.Length == 3 && parts[2] == "ro" };
    }

    /// <summary>PLACE with options of tmpfs(5): size and mode.</summary>
    public static TmpfsOptions ParseTmpfs(string text)
    {
        string[] parts = text.Split(':', 2);
        TmpfsOptions options = new() { Place = parts[0] };
        foreach (string option in parts.Length == 2 ? parts[1].Split(',', StringSplitOptions.RemoveEmptyEntries) : [])
        {
            (string name, string value) = option.Split('=', 2) is [var first, var second] ? (first, second) : (option, "");
            options = name switch
            {
                "size" => options with { Size = ParseSize(value) },
                "mode" when value.Length is > 0 and <= 4 && value.All(static c => c is >= '0' and <= '7') => options with { Mode = Convert.ToUInt32(value, 8) },
                _ => throw new CliException($"'{option}' is no option of --tmpfs: write size=64m or mode=1777"),
            };
        }

        return options;
    }

    /// <summary>Bytes, with k, m, g or t for powers of 1024.</summary>
    public static long ParseSize(string text) => TryParseSize(text) ?? throw new CliException($"'{text}' is no size: write bytes, or a number with k, m, g or t");

    /// <summary>Null for what is no size.</summary>
    public static long? TryParseSize(string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch { 'k' => 10, 'm' => 20, 'g' => 30, 't' => 40, _ => 0 };
        string digits = shift == 0 ? text : text[..^1];
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number > 0 && number <= (1L << 50) >> shift ? number << shift : null;
    }
}
