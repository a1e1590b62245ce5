namespace SnapshotRpc.Terminals;

/// <summary>Finds the keys that leave a terminal among what is typed. Keys that only begin the sequence are held back until it is clear that it
/// does not go on.</summary>
public sealed class DetachKeys(byte[] keys)
{
    private int _matched;

    /// <summary>What is used when nothing else is asked for.</summary>
    public const string Default = "ctrl-p,ctrl-q";

    /// <summary>Keys separated by commas, each a character or ctrl- and one of a-z, @, [, \, ], ^ and _; an empty text for none.</summary>
    public static DetachKeys Parse(string text) => new([.. text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(ParseKey)]);

    /// <summary>Takes typed bytes; <paramref name="passed"/> gets those that are for the program. True: leave.</summary>
    public bool Take(ReadOnlySpan<byte> typed, List<byte> passed)
    {
        foreach (byte key in typed)
        {
            if (keys.Length > 0 && key == keys[_matched])
            {
                if (++_matched == keys.Length)
                    return true;
                continue;
            }

            passed.AddRange(keys.AsSpan(0, _matched));
            _matched = 0;
            if (keys.Length > 0 && key == keys[0])
                _matched = 1;
            else
                passed.Add(key);
        }

        return false;
    }

    private static byte ParseKey(string key)
    {
        const string Control = "ctrl-";
        if (key.Length == 1 && key[0] is > ' ' and < (char)0x7f)
            return (byte)key[0];
        if (key.Length == Control.Length + 1 && key.StartsWith(Control, StringComparison.OrdinalIgnoreCase) && char.ToUpperInvariant(key[^1]) is >= '@' and <= '_' and char letter)
            return (byte)(letter & 0x1f);
        throw new CliException($"'{key}' is no key: write a character or ctrl- and a letter, as in {Default}");
    }
}
