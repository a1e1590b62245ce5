namespace Sentry.Kernel.Terminals;

/// <summary>What a terminal sends to its other end: output processing (termios(3), c_oflag) with the cursor's column, and the echo, which waits in
/// a small buffer of its own when there is no room.</summary>
[Savable("tty-output")]
internal sealed partial class TerminalOutput
{
    /// <summary>What Linux holds between a pseudoterminal's two ends: 4095 bytes read ahead for the master and 8 KiB on their way.</summary>
    internal const int Capacity = ReadAhead + 8192;

    private const int ReadAhead = 4095, EchoCapacity = 4096, TabWidth = 8;

    [Saved(1)] private ByteQueue _queue = new();
    [Saved(2)] private ByteQueue _echo = new();
    [Saved(3)] private int _column;
    [Saved(4)] private int _lineColumn;
    [Saved(5)] private bool _stopped;
    [NotSaved("a checkpoint is taken between two events, when all has settled")] private int _settled;

    internal TerminalOutput()
    {
    }

    /// <summary>What the other end can read.</summary>
    internal ByteQueue Queue => _queue;

    /// <summary>Output is held back (VSTOP, TCOOFF).</summary>
    internal bool IsStopped
    {
        get => _stopped;
        set => _stopped = value;
    }

    internal int Room => _stopped ? 0 : Math.Max(0, Capacity - _queue.Count);

    /// <summary>Where the line that is being typed begins; erasing a tab needs it.</summary>
    internal void MarkLine() => _lineColumn = _column;

    /// <summary>What is there now has reached the other end's line discipline, as far as there is room: a flush no longer gets it back.</summary>
    internal void Settle() => _settled = Math.Min(_queue.Count, ReadAhead);

    /// <summary>Takes what fits of a program's output; the number of its bytes taken.</summary>
    internal int Write(ReadOnlySpan<byte> bytes, Termios termios)
    {
        MoveEcho();
        if (_echo.Count > 0)
            return 0;
        if (!termios.HasOutput(Tio.OPOST))
        {
            int count = Math.Min(bytes.Length, Room);
            _queue.Add(bytes[..count]);
            return count;
        }

        Span<byte> processed = stackalloc byte[TabWidth];
        for (int i = 0; i < bytes.Length; i++)
        {
            (int column, int lineColumn) = (_column, _lineColumn);
            int length = Process(bytes[i], termios, processed);
            if (length > Room)
            {
                (_column, _lineColumn) = (column, lineColumn);
                return i;
            }

            _queue.Add(processed[..length]);
        }

        return bytes.Length;
    }

    // ---- echo ----------------------------------------------------------------------------------------------------

    /// <summary>Echoes a byte as typed; control characters as ^X with ECHOCTL.</summary>
    internal void Echo(byte c, Termios termios)
    {
        if (!termios.HasLocal(Tio.ECHOCTL) || !IsControl(c) || c == (byte)'\t')
        {
            EchoRaw(c, termios);
            return;
        }

        _column += 2;
        _echo.Add((byte)'^');
        _echo.Add((byte)(c ^ 0x40));
    }

    /// <summary>Echoes a byte with no more than output processing.</summary>
    internal void EchoRaw(byte c, Termios termios)
    {
        Span<byte> processed = stackalloc byte[TabWidth];
        int length = 1;
        processed[0] = c;
        if (c == 0xff)
            _column++;
        else if (termios.HasOutput(Tio.OPOST))
            length = Process(c, termios, processed);
        if (_echo.Count + length <= EchoCapacity)
            _echo.Add(processed[..length]);
    }

    /// <summary>Counts one column less.</summary>
    internal void MoveBack() => _column = Math.Max(0, _column - 1);

    /// <summary>Moves the cursor back over a tab of the line that is being typed.</summary>
    /// <param name="columns">Columns between it and the tab or the line's start before it.</param>
    /// <param name="afterTab">It follows another tab, so it began at a tab stop.</param>
    internal void EchoTabErased(int columns, bool afterTab)
    {
        int from = afterTab ? columns : columns + _lineColumn;
        for (int back = TabWidth - (from % TabWidth); back > 0; back--)
        {
            _echo.Add((byte)'\b');
            if (_column > 0)
                _column--;
        }
    }

    /// <summary>Moves echo that waits to where it can be read, as far as there is room.</summary>
    internal void MoveEcho()
    {
        int count = Math.Min(_echo.Count, Room);
        if (count == 0)
            return;
        _queue.Add(_echo.Peek()[..count]);
        _echo.Drop(count);
    }

    /// <summary>Moves echo before the end of what was typed when there is much of it, as Linux does.</summary>
    internal void MoveLongEcho()
    {
        const int Much = 256;
        if (_echo.Count >= Much)
            MoveEcho();
    }

    /// <summary>Sends a byte past everything, also while output is held back (tcflow(3)); lost when there is no room.</summary>
    internal void Send(byte c)
    {
        if (_queue.Count < Capacity)
            _queue.Add(c);
    }

    /// <summary>Forgets output that has not settled.</summary>
    internal void Flush()
    {
        _queue.Truncate(_settled);
        _echo.Clear();
    }

    /// <summary>Forgets everything.</summary>
    internal void Clear()
    {
        _queue.Clear();
        _echo.Clear();
    }

    internal static bool IsControl(byte c) => c < 0x20 || c == 0x7f;

    /// <summary>A capital letter; Linux's terminals know Latin-1.</summary>
    internal static bool IsUpper(byte c) => c is (>= 0x41 and <= 0x5a) or (>= 0xc0 and <= 0xde and not 0xd7);

    internal static bool IsLower(byte c) => c is (>= 0x61 and <= 0x7a) or (>= 0xdf and not 0xf7);

    /// <summary>Whether a byte of UTF-8 is not the first of its character; those take no column and are erased with it.</summary>
    internal static bool IsContinuation(byte c, Termios termios) => termios.HasInput(Tio.IUTF8) && (c & 0xc0) == 0x80;

    /// <summary>What a byte becomes on its way out; the count of bytes put into <paramref name="to"/>.</summary>
    private int Process(byte c, Termios termios, Span<byte> to)
    {
        to[0] = c;
        switch (c)
        {
            case (byte)'\n':
                if (termios.HasOutput(Tio.ONLRET))
                    _column = 0;
                if (!termios.HasOutput(Tio.ONLCR))
                {
                    _lineColumn = _column;
                    return 1;
                }

                _column = _lineColumn = 0;
                (to[0], to[1]) = ((byte)'\r', (byte)'\n');
                return 2;
            case (byte)'\r':
                if (termios.HasOutput(Tio.ONOCR) && _column == 0)
                    return 0;
                if (termios.HasOutput(Tio.OCRNL))
                {
                    to[0] = (byte)'\n';
                    if (termios.HasOutput(Tio.ONLRET))
                        _column = _lineColumn = 0;
                    return 1;
                }

                _column = _lineColumn = 0;
                return 1;
            case (byte)'\t':
                int spaces = TabWidth - (_column % TabWidth);
                _column += spaces;
                if ((termios.Output & Tio.TABDLY) != Tio.XTABS)
                    return 1;
                to[..spaces].Fill((byte)' ');
                return spaces;
            case (byte)'\b':
                if (_column > 0)
                    _column--;
                return 1;
            default:
                if (IsControl(c))
                    return 1;
                if (termios.HasOutput(Tio.OLCUC) && IsLower(c))
                    to[0] = (byte)(c - 0x20);
                if (!IsContinuation(c, termios))
                    _column++;
                return 1;
        }
    }
}
