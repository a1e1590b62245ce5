using System.Globalization;
using System.Text.RegularExpressions;

namespace Tests.Netstack.Tcp.Packetdrill;

public enum ScriptEventKind
{
    Call,
    Inbound,
    Outbound,
    Command,
    Code,
}

/// <summary>A line of a script: when, and what.</summary>
/// <param name="Start">ns after the event before (or after the start when <paramref name="IsAbsolute"/>).</param>
/// <param name="End">Of a call that blocks: when it returns; of a packet: the latest time. Null for at once.</param>
public sealed record ScriptEvent(int Line, ScriptEventKind Kind, string Text, bool IsAbsolute, long Start, long? End)
{
    /// <summary>It may be outside any tolerance (time given as a range).</summary>
    public bool IsRange { get; init; }
}

/// <summary>A useful subset of packetdrill's language (github.com/google/packetdrill): calls, packets, tcp_info asserts and sysctls, run against a stack in
/// virtual time. What it does not know is an error.</summary>
public sealed partial class Script
{
    private readonly string _text;
    private int _at;

    private Script(string text) => _text = text;

    public List<ScriptEvent> Events { get; } = [];

    /// <summary>--name=value lines.</summary>
    public Dictionary<string, string> Options { get; } = [];

    public static Script Parse(string text)
    {
        var script = new Script(Comments().Replace(text, ""));
        script.ParseAll();
        return script;
    }

    [GeneratedRegex(@"(?<![:""])//[^\n]*")]
    private static partial Regex Comments();

    [GeneratedRegex(@"\G(?<rel>\+)?(?<start>\d*\.?\d+)(?:(?<sep>\.\.\.|~)(?<rel2>\+)?(?<end>\d*\.?\d+))?", RegexOptions.CultureInvariant)]
    private static partial Regex Time();

    private void ParseAll()
    {
        for (SkipSpace(); _at < _text.Length; SkipSpace())
        {
            int line = 1 + _text.AsSpan(0, _at).Count('\n');
            if (_text[_at] == '-' && _text[_at..].StartsWith("--", StringComparison.Ordinal))
            {
                string[] parts = TakeLine().Trim()[2..].Split('=', 2);
                Options[parts[0]] = parts.Length > 1 ? parts[1] : "";
                continue;
            }

            if (_text[_at] == '`')
            {
                Events.Add(new ScriptEvent(line, ScriptEventKind.Command, TakeUntil("`", "`"), false, 0, null));
                continue;
            }

            Match time = Time().Match(_text, _at);
            if (!time.Success || time.Length == 0)
                throw new FormatException($"line {line}: no time: {TakeLine()}");
            _at += time.Length;
            SkipSpace();
            if (_text[_at..].StartsWith("...", StringComparison.Ordinal))
            {
                // "+.002 ... 0.004"
                _at += 3;
                SkipSpace();
                Match end = Time().Match(_text, _at);
                _at += end.Length;
                Add(line, time, Seconds(end.Groups["start"].Value), "...");
                continue;
            }

            Add(line, time, time.Groups["end"].Success ? Seconds(time.Groups["end"].Value) : null, time.Groups["sep"].Value);
        }

    }

    private void Add(int line, Match time, long? end, string separator)
    {
        SkipSpace();
        ScriptEventKind kind;
        string text;
        if (_text[_at] == '`')
        {
            kind = ScriptEventKind.Command;
            text = TakeUntil("`", "`");
        }
        else if (_text[_at..].StartsWith("%{", StringComparison.Ordinal))
        {
            kind = ScriptEventKind.Code;
            text = TakeUntil("%{", "}%");
        }
        else if (_text[_at] is '<' or '>')
        {
            kind = _text[_at] == '<' ? ScriptEventKind.Inbound : ScriptEventKind.Outbound;
            _at++;
            text = TakeLine().Trim();
        }
        else
        {
            kind = ScriptEventKind.Call;
            text = TakeCall();
        }

        Events.Add(new ScriptEvent(line, kind, text, !time.Groups["rel"].Success, Seconds(time.Groups["start"].Value), end) { IsRange = separator == "~" });
    }

    private static long Seconds(string text) => (long)Math.Round(double.Parse(text, CultureInfo.InvariantCulture) * 1e9);

    private void SkipSpace()
    {
        while (_at < _text.Length && char.IsWhiteSpace(_text[_at]))
            _at++;
    }

    private string TakeLine()
    {
        int end = _text.IndexOf('\n', _at);
        if (end < 0)
            end = _text.Length;
        string line = _text[_at..end];
        _at = end;
        return line;
    }

    private string TakeUntil(string open, string close)
    {
        int end = _text.IndexOf(close, _at + open.Length, StringComparison.Ordinal);
        string text = _text[(_at + open.Length)..end];
        _at = end + close.Length;
        return text;
    }

    /// <summary>name(arguments) = result, the arguments perhaps over several lines.</summary>
    private string TakeCall()
    {
        int start = _at, depth = 0;
        for (; _at < _text.Length; _at++)
        {
            if (_text[_at] is '(' or '{' or '[')
                depth++;
            else if (_text[_at] is ')' or '}' or ']')
                depth--;
            else if (_text[_at] == '\n' && depth == 0)
                break;
        }

        return Regex.Replace(_text[start.._at], @"\s+", " ").Trim();
    }
}
