namespace Sentry.Kernel.Terminals;

/// <summary>What a terminal has received and nobody has read yet (the read buffer of n_tty): 4096 bytes, some of which end a line. An end of file
/// typed in canonical mode is a line end of its own that is not handed out.</summary>
[Savable("tty-input")]
internal sealed partial class TerminalInput : IAfterLoad
{
    /// <summary>Bytes of a line at most, with its end (termios(3), "Canonical and noncanonical mode").</summary>
    internal const int Capacity = 4096;

    private const byte EndOfFile = 0;

    [Saved(1)] private byte[] _bytes = new byte[Capacity];
    [Saved(2)] private ulong[] _lineEnds = new ulong[Capacity / 64];
    [Saved(3)] private long _head;
    [Saved(4)] private long _tail;
    [Saved(5)] private long _lineStart;

    internal TerminalInput()
    {
    }

    internal int Count => (int)(_head - _tail);

    /// <summary>Whether a line, or an end of file, can be read.</summary>
    internal bool HasLine => _lineStart != _tail;

    /// <summary>Bytes that can be read as lines.</summary>
    internal int LineBytes
    {
        get
        {
            int count = 0;
            for (long at = _tail; at < _lineStart; at++)
            {
                if (!IsLineEnd(at) || _bytes[at % Capacity] != EndOfFile)
                    count++;
            }

            return count;
        }
    }

    /// <summary>Bytes of the line that is being typed.</summary>
    internal int Pending => (int)(_head - _lineStart);

    /// <summary>A byte of the line that is being typed, counted from its start.</summary>
    internal byte this[int pending] => _bytes[(_lineStart + pending) % Capacity];

    /// <summary>Adds a byte; when there is no room it is lost.</summary>
    internal void Add(byte c)
    {
        if (Count >= Capacity)
            return;
        SetLineEnd(_head, false);
        _bytes[_head++ % Capacity] = c;
    }

    /// <summary>Gives up the byte added last, so that an end of line finds room in a full buffer.</summary>
    internal void DropLast() => _head--;

    /// <summary>Adds the byte that ends a line.</summary>
    internal void AddLineEnd(byte c)
    {
        if (Count >= Capacity)
            DropLast();
        _bytes[_head % Capacity] = c;
        SetLineEnd(_head++, true);
        _lineStart = _head;
    }

    /// <summary>Ends the line without a byte of its own: VEOF.</summary>
    internal void AddEndOfFile() => AddLineEnd(EndOfFile);

    /// <summary>Forgets the last bytes of the line that is being typed.</summary>
    internal void Erase(int count) => _head -= count;

    internal void Clear() => _tail = _lineStart = _head;

    /// <summary>Between canonical and other modes: what is there becomes one line that can be read, or one that is only read as bytes.</summary>
    internal void ChangeMode(bool canonical)
    {
        Array.Clear(_lineEnds);
        if (canonical && Count > 0)
        {
            SetLineEnd(_head - 1, true);
            _lineStart = _head;
        }
        else
        {
            _lineStart = _tail;
        }
    }

    /// <summary>Copies the oldest bytes out, whatever lines there are; the count, or -1 when the buffer can't be written.</summary>
    internal int Read(in UserBuffer destination, long offset, int limit) => Take(destination, offset, (int)Math.Min(limit, Count));

    /// <summary>Copies one line out, or as much as is wanted of it; the count, or -1 when the buffer can't be written. 0 for an end of file.</summary>
    internal int ReadLine(in UserBuffer destination, int limit)
    {
        // One further byte is looked at: an end of file behind exactly what fits belongs to it.
        int wanted = (int)Math.Min(limit, _lineStart - _tail), found = -1;
        for (int i = 0; i <= wanted && _tail + i < _lineStart; i++)
        {
            if (!IsLineEnd(_tail + i))
                continue;
            found = i;
            break;
        }

        bool end = found >= 0 && _bytes[(_tail + found) % Capacity] == EndOfFile;
        int count = end ? found : found >= 0 && found < wanted ? found + 1 : wanted;
        int moved = Take(destination, 0, count);
        if (moved == count && end)
            _tail++;
        return moved;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && (_bytes.Length != Capacity || _lineEnds.Length != Capacity / 64 || _tail < 0 || _lineStart < _tail || _head < _lineStart || _head - _tail > Capacity))
            throw new InvalidImageException("the image holds a terminal whose input is not in order");
    }

    private int Take(in UserBuffer destination, long offset, int count)
    {
        for (int done = 0; done < count;)
        {
            int at = (int)((_tail + done) % Capacity), part = Math.Min(count - done, Capacity - at);
            if (destination.CopyOut(_bytes.AsSpan(at, part), offset + done) < part)
                return -1;
            done += part;
        }

        _tail += count;
        _lineStart = Math.Max(_lineStart, _tail);
        return count;
    }

    private bool IsLineEnd(long at) => (_lineEnds[at % Capacity / 64] >> (int)(at % 64) & 1) != 0;

    private void SetLineEnd(long at, bool value)
    {
        ulong bit = 1UL << (int)(at % 64);
        if (value)
            _lineEnds[at % Capacity / 64] |= bit;
        else
            _lineEnds[at % Capacity / 64] &= ~bit;
    }
}
