using System.CommandLine;
using System.Globalization;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>The options --memory, --pids and --cpus.</summary>
public sealed class LimitArguments
{
    private readonly Option<string?> _memory = new("--memory", "-m") { Description = "Memory at most, private, shared and of files in memory: 512m, 2g", HelpName = "SIZE" };
    private readonly Option<string?> _pids = new("--pids") { Description = "Processes and threads at most", HelpName = "N" };
    private readonly Option<string?> _cpus = new("--cpus") { Description = "Processors at most", HelpName = "N" };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_memory, _pids, _cpus])
            command.Options.Add(option);
    }

    /// <summary>Null when none is given.</summary>
    public LimitOptions? Read(ParseResult result)
    {
        (string? memory, string? pids, string? cpus) = (result.GetValue(_memory), result.GetValue(_pids), result.GetValue(_cpus));
        if (memory is null && pids is null && cpus is null)
            return null;
        return new LimitOptions
        {
            Memory = memory is null ? 0 : VolumeArguments.ParseSize(memory),
            Pids = pids is null ? 0 : ParseCount("--pids", pids),
            Cpus = cpus is null ? 0 : ParseCount("--cpus", cpus),
        };
    }

    private static int ParseCount(string option, string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0
        ? number
        : throw new CliException($"'{text}' is no number for {option}: write a whole number from 1 on");
}
