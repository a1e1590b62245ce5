namespace Netstack.Stack;

/// <summary>A stretch of bytes that came before those in front of it.</summary>
[Savable("tcp-out-of-order-range")]
internal sealed partial class TcpRange
{
    [Saved(1)] public uint Seq;

    /// <summary>After the last byte; a FIN counts.</summary>
    [Saved(2)] public uint End;

    [Saved(3)] public bool HasFin;
    [Saved(4)] public List<ReadOnlyMemory<byte>> Pieces = new(2);

    public TcpRange()
    {
    }
}

/// <summary>What has come out of order, in disjoint ranges that do not touch, and the blocks that tell the peer (RFC 2018, RFC 2883). Made
/// when it is needed and dropped when the last hole is filled.</summary>
[Savable("tcp-reassembly")]
internal sealed partial class TcpReassembly
{
    /// <summary>Blocks told at most (three when there are timestamps).</summary>
    private const int MaxBlocks = 4;

    [Saved(1)] private List<TcpRange> _ranges = [];
    [Saved(2)] private List<(uint Start, uint End)> _blocks = new(MaxBlocks);
    [Saved(3)] private (uint Start, uint End) _duplicate;
    [Saved(4)] private bool _hasDuplicate;
    [Saved(5)] private int _length;

    public TcpReassembly()
    {
    }

    /// <summary>Bytes in it.</summary>
    public int Length => _length;

    public bool IsEmpty => _ranges.Count == 0;

    public bool HasDuplicate => _hasDuplicate;

    /// <summary>Blocks that an acknowledgment sent now would carry.</summary>
    public int BlockCount => _blocks.Count + (_hasDuplicate ? 1 : 0);

    /// <summary>End of the furthest block told, for the check of resets (RFC 5961 section 3).</summary>
    public bool IsEndOfBlocks(uint seq)
    {
        if (_blocks.Count == 0)
            return false;
        uint furthest = _blocks[0].End;
        foreach ((uint _, uint end) in _blocks)
            furthest = TcpSequence.Max(furthest, end);
        return seq == furthest;
    }

    /// <summary>Remembers a range that came twice, to be told once (D-SACK).</summary>
    public void SetDuplicate(uint start, uint end)
    {
        _duplicate = (start, end);
        _hasDuplicate = true;
    }

    /// <summary>As <see cref="SetDuplicate"/>, but widens a range that waits to be told.</summary>
    public void ExtendDuplicate(uint start, uint end)
    {
        if (!_hasDuplicate || TcpSequence.After(start, _duplicate.End) || TcpSequence.After(_duplicate.Start, end))
        {
            SetDuplicate(start, end);
            return;
        }

        _duplicate = (TcpSequence.Min(start, _duplicate.Start), TcpSequence.Max(end, _duplicate.End));
    }

    /// <summary>Takes the blocks for an acknowledgment: a duplicate first, then the ranges, the latest to change first.</summary>
    public void TakeBlocks(ref TcpHeaderOptions options, int room)
    {
        if (_hasDuplicate)
        {
            options.Blocks[options.BlockCount++] = new SackBlock(_duplicate.Start, _duplicate.End);
            _hasDuplicate = false;
        }

        for (int i = 0; i < _blocks.Count && options.BlockCount < room; i++)
            options.Blocks[options.BlockCount++] = new SackBlock(_blocks[i].Start, _blocks[i].End);
    }

    /// <summary>Queues a segment. What of it is there already is dropped, and remembered as duplicate when <paramref name="tellDuplicates"/>.</summary>
    public void Add(uint seq, uint end, bool fin, ReadOnlySpan<ReadOnlyMemory<byte>> pieces, bool tellDuplicates)
    {
        // Most segments go to the end of the last range.
        int first = _ranges.Count;
        while (first > 0 && !TcpSequence.Before(_ranges[first - 1].End, seq))
            first--;
        int after = first;
        while (after < _ranges.Count && !TcpSequence.After(_ranges[after].Seq, end))
            after++;
        TcpRange merged;
        if (first == after)
        {
            merged = new TcpRange { Seq = seq, End = end, HasFin = fin };
            AddPieces(merged.Pieces, seq, seq, end, pieces);
            _ranges.Insert(first, merged);
        }
        else
        {
            merged = Merge(first, after, seq, end, fin, pieces, tellDuplicates);
        }

        Tell(merged.Seq, merged.End);
    }

    /// <summary>Gives the range that begins at or before <paramref name="next"/>, if there is one, and takes it out.</summary>
    public TcpRange? TakeReady(uint next)
    {
        if (_ranges.Count == 0 || TcpSequence.After(_ranges[0].Seq, next))
            return null;
        TcpRange ready = _ranges[0];
        _ranges.RemoveAt(0);
        foreach (ReadOnlyMemory<byte> piece in ready.Pieces)
            _length -= piece.Length;
        return ready;
    }

    /// <summary>Forgets blocks that are below what is acknowledged.</summary>
    public void DropBlocksBefore(uint next) => _blocks.RemoveAll(b => !TcpSequence.Before(next, b.End));

    /// <summary>Drops the furthest range to make room (the peer sends it again: SACK is advisory). False when there is none.</summary>
    public bool DropLast()
    {
        if (_ranges.Count == 0)
            return false;
        TcpRange last = _ranges[^1];
        _ranges.RemoveAt(_ranges.Count - 1);
        foreach (ReadOnlyMemory<byte> piece in last.Pieces)
            _length -= piece.Length;
        _blocks.RemoveAll(b => !TcpSequence.Before(b.Start, last.Seq));
        return true;
    }

    /// <summary>Joins a segment with the ranges it touches; bytes that are there already win.</summary>
    private TcpRange Merge(int first, int after, uint seq, uint end, bool fin, ReadOnlySpan<ReadOnlyMemory<byte>> pieces, bool tellDuplicates)
    {
        TcpRange head = _ranges[first];
        NoteOverlap(head, seq, end, tellDuplicates);
        if (TcpSequence.Before(seq, head.Seq))
        {
            var joined = new List<ReadOnlyMemory<byte>>(pieces.Length + head.Pieces.Count);
            AddPieces(joined, seq, seq, head.Seq, pieces);
            joined.AddRange(head.Pieces);
            head.Pieces = joined;
            head.Seq = seq;
        }

        for (int i = first + 1; i < after; i++)
        {
            TcpRange next = _ranges[i];
            NoteOverlap(next, seq, end, tellDuplicates);
            AddPieces(head.Pieces, seq, head.End, next.Seq, pieces);
            head.Pieces.AddRange(next.Pieces);
            head.End = next.End;
            head.HasFin |= next.HasFin;
        }

        if (TcpSequence.After(end, head.End))
        {
            AddPieces(head.Pieces, seq, head.End, end, pieces);
            head.End = end;
            head.HasFin |= fin;
        }

        _ranges.RemoveRange(first + 1, after - first - 1);
        return head;
    }

    private void NoteOverlap(TcpRange range, uint seq, uint end, bool tell)
    {
        uint from = TcpSequence.Max(seq, range.Seq), to = TcpSequence.Min(end, range.End);
        if (tell && TcpSequence.Before(from, to))
            ExtendDuplicate(from, to);
    }

    /// <summary>Adds what a segment that begins at <paramref name="seq"/> has from <paramref name="from"/> up to <paramref name="to"/>.</summary>
    private void AddPieces(List<ReadOnlyMemory<byte>> list, uint seq, uint from, uint to, ReadOnlySpan<ReadOnlyMemory<byte>> pieces)
    {
        int skip = (int)(from - seq), left = (int)(to - from);
        foreach (ReadOnlyMemory<byte> piece in pieces)
        {
            if (left <= 0)
                return;
            if (skip >= piece.Length)
            {
                skip -= piece.Length;
                continue;
            }

            ReadOnlyMemory<byte> part = piece.Slice(skip, Math.Min(left, piece.Length - skip));
            list.Add(part);
            _length += part.Length;
            left -= part.Length;
            skip = 0;
        }
    }

    /// <summary>Puts the block of a range that has changed first.</summary>
    private void Tell(uint start, uint end)
    {
        _blocks.RemoveAll(b => !TcpSequence.Before(b.Start, start) && !TcpSequence.After(b.End, end));
        if (_blocks.Count == MaxBlocks)
            _blocks.RemoveAt(MaxBlocks - 1);
        _blocks.Insert(0, (start, end));
    }
}
