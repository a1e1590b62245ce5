namespace Netstack.Stack;

/// <summary>The segments of a connection from the oldest unacknowledged to the last written: a ring in sequence order, of which the first
/// <see cref="SentCount"/> were sent, and a list of those in the order of sending. Connections without such data have none.</summary>
[Savable("tcp-send-queue")]
internal sealed partial class TcpSendQueue
{
    [Saved(1)] private TcpSegment?[] _ring = new TcpSegment?[4];
    [Saved(2)] private int _first;
    [Saved(3)] private int _count;
    [Saved(4)] private int _sent;
    [Saved(5)] private TcpSegment? _earliest;
    [Saved(6)] private TcpSegment? _latest;

    public TcpSendQueue()
    {
    }

    public int Count => _count;

    public int SentCount => _sent;

    public bool HasUnsent => _count > _sent;

    public TcpSegment this[int index] => _ring[(_first + index) & (_ring.Length - 1)]!;

    /// <summary>The oldest unacknowledged segment.</summary>
    public TcpSegment? SentHead => _sent > 0 ? this[0] : null;

    /// <summary>The last segment that was sent.</summary>
    public TcpSegment? SentTail => _sent > 0 ? this[_sent - 1] : null;

    /// <summary>The next segment to send.</summary>
    public TcpSegment? SendHead => _count > _sent ? this[_sent] : null;

    /// <summary>The last segment, if it was not sent.</summary>
    public TcpSegment? UnsentTail => _count > _sent ? this[_count - 1] : null;

    /// <summary>The earliest sent of those that are neither acknowledged nor found lost.</summary>
    public TcpSegment? Earliest => _earliest;

    public void Add(TcpSegment segment)
    {
        if (_count == _ring.Length)
            Grow();
        _ring[(_first + _count++) & (_ring.Length - 1)] = segment;
    }

    /// <param name="index">Where it will stand.</param>
    /// <param name="segment">What is put in.</param>
    /// <param name="sent">Whether it is one of the sent ones.</param>
    public void Insert(int index, TcpSegment segment, bool sent)
    {
        if (_count == _ring.Length)
            Grow();
        int mask = _ring.Length - 1;
        if (index < _count / 2)
        {
            _first = (_first - 1) & mask;
            for (int i = 0; i < index; i++)
                _ring[(_first + i) & mask] = _ring[(_first + i + 1) & mask];
        }
        else
        {
            for (int i = _count; i > index; i--)
                _ring[(_first + i) & mask] = _ring[(_first + i - 1) & mask];
        }

        _ring[(_first + index) & mask] = segment;
        _count++;
        if (sent)
            _sent++;
    }

    public void RemoveAt(int index)
    {
        int mask = _ring.Length - 1;
        Unlink(this[index]);
        if (index == 0)
        {
            _ring[_first] = null;
            _first = (_first + 1) & mask;
        }
        else
        {
            for (int i = index; i < _count - 1; i++)
                _ring[(_first + i) & mask] = _ring[(_first + i + 1) & mask];
            _ring[(_first + _count - 1) & mask] = null;
        }

        _count--;
        if (index < _sent)
            _sent--;
    }

    /// <summary>The send head was sent.</summary>
    public void Advance() => _sent++;

    /// <summary>Index of the first segment that ends after <paramref name="seq"/>; <see cref="Count"/> when none does.</summary>
    public int Find(uint seq)
    {
        int low = 0, high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (TcpSequence.After(this[middle].End, seq))
                high = middle;
            else
                low = middle + 1;
        }

        return low;
    }

    /// <summary>Puts a segment last in the order of sending.</summary>
    public void MoveToLatest(TcpSegment segment)
    {
        Unlink(segment);
        segment.IsInSentOrder = true;
        segment.SentBefore = _latest;
        if (_latest is null)
            _earliest = segment;
        else
            _latest.SentAfter = segment;
        _latest = segment;
    }

    /// <summary>Puts the second half of a split segment behind the first in the order of sending.</summary>
    public void LinkAfter(TcpSegment segment, TcpSegment before)
    {
        if (!before.IsInSentOrder)
            return;
        segment.IsInSentOrder = true;
        segment.SentBefore = before;
        segment.SentAfter = before.SentAfter;
        if (before.SentAfter is null)
            _latest = segment;
        else
            before.SentAfter.SentBefore = segment;
        before.SentAfter = segment;
    }

    /// <summary>Takes a segment out of the order of sending.</summary>
    public void Unlink(TcpSegment segment)
    {
        if (!segment.IsInSentOrder)
            return;
        segment.IsInSentOrder = false;
        if (segment.SentBefore is null)
            _earliest = segment.SentAfter;
        else
            segment.SentBefore.SentAfter = segment.SentAfter;
        if (segment.SentAfter is null)
            _latest = segment.SentBefore;
        else
            segment.SentAfter.SentBefore = segment.SentBefore;
        segment.SentBefore = segment.SentAfter = null;
    }

    /// <summary>Puts all sent segments that are not selectively acknowledged back into the order of sending.</summary>
    public void RebuildOrder()
    {
        var segments = new List<TcpSegment>(_sent);
        for (int i = 0; i < _sent; i++)
        {
            Unlink(this[i]);
            if (!this[i].Is(TcpMarks.Sacked))
                segments.Add(this[i]);
        }

        segments.Sort(static (a, b) => a.SentAt != b.SentAt ? a.SentAt.CompareTo(b.SentAt) : (int)(a.Seq - b.Seq));
        foreach (TcpSegment segment in segments)
            MoveToLatest(segment);
    }

    /// <summary>Whether its ring has grown beyond what is worth keeping in a pool.</summary>
    public bool IsLarge => _ring.Length > 64;

    private void Grow()
    {
        var larger = new TcpSegment?[2 * _ring.Length];
        for (int i = 0; i < _count; i++)
            larger[i] = this[i];
        _ring = larger;
        _first = 0;
    }
}
