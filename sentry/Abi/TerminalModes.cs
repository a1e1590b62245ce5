using System.Text;

namespace Sentry.Abi;

/// <summary>Follows what a program has switched in the terminal it writes to (ECMA-48, DEC private modes as xterm has them), so that another
/// terminal can be put into the same state and the first one back into its own.</summary>
public sealed class TerminalModes
{
    private const int MaxParameters = 16, MaxModes = 64, KeypadMode = 100_000;
    private static readonly int[] AlternateScreens = [47, 1047, 1049];

    // The modes that are on in a fresh terminal; all others are off.
    private static readonly int[] DefaultOn = [7, 25];

    private readonly SortedDictionary<int, bool> _modes = [];
    private readonly List<int> _parameters = [];
    private State _state;

    private enum State
    {
        Text,
        Escape,
        Bracket,
        Private,
    }

    /// <summary>The program draws on a screen of its own rather than writing lines.</summary>
    public bool UsesAlternateScreen => AlternateScreens.Any(mode => _modes.GetValueOrDefault(mode));

    /// <summary>The modes that are not as in a fresh terminal: negative numbers for those that are off.</summary>
    public int[] Changed
    {
        get => [.. _modes.Select(m => m.Value ? m.Key : -m.Key)];
        set
        {
            _modes.Clear();
            foreach (int mode in value.Take(MaxModes))
                _modes[mode == int.MinValue ? 0 : Math.Abs(mode)] = mode > 0;
        }
    }

    /// <summary>Looks at what the program writes; sequences may be cut anywhere.</summary>
    public void Follow(ReadOnlySpan<byte> output)
    {
        while (output.Length > 0)
        {
            if (_state == State.Text)
            {
                int escape = output.IndexOf((byte)0x1b);
                if (escape < 0)
                    return;
                output = output[(escape + 1)..];
                _state = State.Escape;
                continue;
            }

            Take(output[0]);
            output = output[1..];
        }
    }

    /// <summary>What puts a fresh terminal into the state that has been followed.</summary>
    public byte[] Apply() => Switch(on => on);

    /// <summary>What puts a terminal that has followed along back into a fresh state.</summary>
    public byte[] Undo() => Switch(on => !on);

    private byte[] Switch(Func<bool, bool> to)
    {
        StringBuilder text = new();
        foreach ((int mode, bool on) in _modes)
            text.Append(mode == KeypadMode ? to(on) ? "\x1b=" : "\x1b>" : $"\x1b[?{mode}{(to(on) ? 'h' : 'l')}");
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    private void Take(byte c)
    {
        switch (_state)
        {
            case State.Escape:
                _state = c == '[' ? State.Bracket : c == 0x1b ? State.Escape : State.Text;
                if (c is (byte)'=' or (byte)'>')
                    Set(KeypadMode, c == '=');
                else if (c == 'c')
                    _modes.Clear();
                break;
            case State.Bracket:
                _state = c == '?' ? State.Private : State.Text;
                _parameters.Clear();
                _parameters.Add(0);
                break;
            case State.Private when char.IsAsciiDigit((char)c):
                _parameters[^1] = Math.Min(KeypadMode - 1, (_parameters[^1] * 10) + (c - '0'));
                break;
            case State.Private when c == ';' && _parameters.Count < MaxParameters:
                _parameters.Add(0);
                break;
            default:
                if (c is (byte)'h' or (byte)'l')
                    _parameters.ForEach(mode => Set(mode, c == 'h'));
                _state = State.Text;
                break;
        }
    }

    private void Set(int mode, bool on)
    {
        if (on == DefaultOn.Contains(mode))
            _modes.Remove(mode);
        else if (mode > 0 && _modes.Count < MaxModes)
            _modes[mode] = on;
    }
}
