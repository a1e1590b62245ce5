using System.Globalization;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Settings;

/// <summary>A file below /proc/sys/net: one or several numbers, or a word.</summary>
internal sealed class NetworkSetting
{
    private readonly Func<NetworkNamespace, string> _get;
    private readonly Func<NetworkNamespace, string, Errno>? _set;

    private NetworkSetting(string path, Func<NetworkNamespace, string> get, Func<NetworkNamespace, string, Errno>? set)
    {
        Path = path;
        _get = get;
        _set = set;
    }

    /// <summary>Below /proc/sys/net.</summary>
    internal string Path { get; }

    internal bool IsWritable => _set is not null;

    internal bool IsReadable { get; private init; } = true;

    /// <summary>Only root may look (tcp_fastopen_key).</summary>
    internal bool IsPrivate { get; private init; }

    internal string Get(NetworkNamespace network) => _get(network);

    internal Errno Set(NetworkNamespace network, string text) => _set is null ? Errno.EACCES : _set(network, text);

    /// <summary>A number that the stack acts on. EINVAL outside its range.</summary>
    internal static NetworkSetting Number(string path, Func<StackSettings, long> get, Action<StackSettings, long> set, long min = int.MinValue, long max = int.MaxValue) =>
        Numbers(path, 1, s => [get(s)], (s, v) => set(s, v[0]), min, max);

    internal static NetworkSetting Switch(string path, Func<StackSettings, bool> get, Action<StackSettings, bool> set, long max = 255) =>
        Number(path, s => get(s) ? 1 : 0, (s, v) => set(s, v != 0), 0, max);

    /// <summary>Several numbers; fewer may be written, those behind them stay.</summary>
    internal static NetworkSetting Numbers(string path, int count, Func<StackSettings, long[]> get, Action<StackSettings, long[]> set, long min, long max, Func<StackSettings, long[], bool>? check = null) => new(
        path,
        network => string.Join('\t', get(network.Stack.Settings).Select(v => v.ToString(CultureInfo.InvariantCulture))),
        (network, text) =>
        {
            StackSettings settings = network.Stack.Settings;
            Errno error = Merge(text, get(settings), count, min, max, out long[] values);
            if (error == Errno.None && check is not null && !check(settings, values))
                error = Errno.EINVAL;
            if (error == Errno.None)
                set(settings, values);
            return error;
        });

    /// <summary>A number that nothing acts on: kept, and shown again.</summary>
    internal static NetworkSetting Kept(string path, long value, long min = int.MinValue, long max = int.MaxValue) => KeptNumbers(path, [value], min, max);

    internal static NetworkSetting KeptNumbers(string path, long[] value, long min = int.MinValue, long max = int.MaxValue)
    {
        string initial = string.Join('\t', value.Select(v => v.ToString(CultureInfo.InvariantCulture)));
        return new NetworkSetting(path, network => network.KeptSettings.GetValueOrDefault(path, initial), (network, text) =>
        {
            long[] now = [.. network.KeptSettings.GetValueOrDefault(path, initial).Split('\t').Select(v => long.Parse(v, CultureInfo.InvariantCulture))];
            Errno error = Merge(text, now, value.Length, min, max, out long[] values);
            if (error == Errno.None)
                network.KeptSettings[path] = string.Join('\t', values.Select(v => v.ToString(CultureInfo.InvariantCulture)));
            return error;
        });
    }

    internal static NetworkSetting KeptText(string path, string value, bool isPrivate = false) => new(path, network => network.KeptSettings.GetValueOrDefault(path, value), (network, text) =>
    {
        network.KeptSettings[path] = text.Trim();
        return Errno.None;
    })
    { IsPrivate = isPrivate };

    internal static NetworkSetting Text(string path, Func<NetworkNamespace, string> get, Func<NetworkNamespace, string, Errno>? set = null) => new(path, get, set);

    /// <summary>What only takes an order (route/flush).</summary>
    internal static NetworkSetting Order(string path, Action<NetworkNamespace> act) => new(path, static _ => "", (network, _) =>
    {
        act(network);
        return Errno.None;
    })
    { IsReadable = false };

    /// <summary>Numbers as proc_dointvec reads them: separated by white space, decimal, octal or hexadecimal.</summary>
    private static Errno Merge(string text, long[] now, int count, long min, long max, out long[] values)
    {
        values = (long[])now.Clone();
        string[] words = text.Split([' ', '\t', '\n', '\0'], StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < Math.Min(count, words.Length); i++)
        {
            if (!TryParse(words[i], out long value) || value < min || value > max)
                return Errno.EINVAL;
            values[i] = value;
        }

        return Errno.None;
    }

    internal static bool TryParse(string word, out long value)
    {
        bool negative = word.StartsWith('-');
        string digits = negative ? word[1..] : word;
        bool parsed;
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            parsed = long.TryParse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
        }
        else if (digits.Length > 1 && digits[0] == '0')
        {
            value = 0;
            parsed = digits.Length < 20 && digits.All(c => c is >= '0' and <= '7');
            foreach (char digit in parsed ? digits : "")
                value = (value << 3) | (uint)(digit - '0');
        }
        else
        {
            parsed = long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        }

        if (negative)
            value = -value;
        return parsed;
    }
}
