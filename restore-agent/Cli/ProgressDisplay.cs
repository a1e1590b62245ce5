using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using RestoreAgent.Api;
using Sentry.Host;

namespace SnapshotRpc;

/// <summary>Shows on standard error how far a transfer is: a bar on a terminal, a line now and then elsewhere, JSON for machines.</summary>
public sealed class ProgressDisplay : IDisposable
{
    private const int StandardError = 2, DefaultColumns = 80, BarWidth = 24, MinColumns = 40;
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(10), SpeedOver = TimeSpan.FromSeconds(5);

    private readonly bool _json;
    private readonly bool _terminal = HostTerminal.IsTerminal(StandardError);
    private readonly Queue<(TimeSpan When, TransferProgress Progress)> _recent = [];
    private readonly Stopwatch _time = Stopwatch.StartNew();
    private TimeSpan _lastLine;
    private string? _trouble;
    private bool _shown;

    public ProgressDisplay(bool json) => _json = json;

    public void Show(TransferProgress progress)
    {
        if (_json)
        {
            Console.Error.WriteLine(JsonSerializer.Serialize(progress, ApiJson.Default.TransferProgress));
            return;
        }

        TimeSpan now = _time.Elapsed;
        _recent.Enqueue((now, progress));
        while (_recent.Count > 2 && (now - _recent.Peek().When > SpeedOver || _recent.Peek().Progress.Phase != progress.Phase))
            _recent.Dequeue();
        if (_terminal)
        {
            int columns = HostTerminal.GetWindow(StandardError).Columns is > 0 and { } width ? width : DefaultColumns;
            string text = Describe(progress, bar: true);
            Console.Error.Write("\r\e[K" + (text.Length < columns || columns < MinColumns ? text : text[..(columns - 1)]));
            _shown = true;
        }
        else if (now - _lastLine >= LineEvery || (progress.Trouble is not null && progress.Trouble != _trouble))
        {
            _lastLine = now;
            Console.Error.WriteLine("snapshot-rpc: " + Describe(progress, bar: false));
        }

        _trouble = progress.Trouble;
    }

    /// <summary>Leaves a clean line.</summary>
    public void Dispose()
    {
        if (_shown)
            Console.Error.Write("\r\e[K");
        _shown = false;
    }

    private string Describe(TransferProgress progress, bool bar)
    {
        StringBuilder text = new(progress.Phase);
        if (progress.Total > 0)
        {
            double share = (double)progress.Done / progress.Total;
            int filled = (int)(share * BarWidth);
            if (bar)
                text.Append(" [").Append('#', filled).Append('-', BarWidth - filled).Append(']');
            text.Append(CultureInfo.InvariantCulture, $" {(int)(share * 100)}%{(bar ? " of" : ",")} {(bar ? "" : Table.Bytes(progress.Done) + " of ")}{Table.Bytes(progress.Total)}");
        }

        if (progress.Trouble is { } trouble)
            return text.Append(" - trying again: ").Append(Table.Visible(trouble)).ToString();
        (TimeSpan since, TransferProgress before) = _recent.Peek();
        double seconds = (_time.Elapsed - since).TotalSeconds;
        if (seconds > 0.5 && progress.Moved > before.Moved)
            text.Append(CultureInfo.InvariantCulture, $", {Table.Bytes((long)((progress.Moved - before.Moved) / seconds))}/s");
        if (seconds > 0.5 && progress.Done > before.Done && progress.Total > progress.Done)
            text.Append(", ").Append(Duration((progress.Total - progress.Done) * seconds / (progress.Done - before.Done))).Append(" left");
        return text.ToString();
    }

    private static string Duration(double seconds) => seconds switch
    {
        >= 5400 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:0.0} h"),
        >= 90 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:0} min"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(1, seconds):0} s"),
    };
}
