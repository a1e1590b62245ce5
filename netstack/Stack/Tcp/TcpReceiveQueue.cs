namespace Netstack.Stack;

/// <summary>Bytes in order that the application has not read: pieces of the packets they came in. Connections without such bytes have none.</summary>
[Savable("tcp-receive-queue")]
internal sealed partial class TcpReceiveQueue
{
    // Above this many pieces short ones are copied together, so that a peer cannot make a byte cost a packet.
    private const int ManyPieces = 16, ShortPiece = 1024, GatherLength = 8192;

    [Saved(1)] private ReadOnlyMemory<byte>[] _ring = new ReadOnlyMemory<byte>[4];
    [Saved(2)] private int _first;
    [Saved(3)] private int _count;
    [Saved(4)] private int _length;
    [NotSaved("its bytes are in the last piece; a new one is begun")] private byte[]? _gather;
    [NotSaved("of _gather")] private int _gathered;

    public TcpReceiveQueue()
    {
    }

    /// <summary>Bytes in it.</summary>
    public int Length => _length;

    public bool IsLarge => _ring.Length > 64;

    public void Add(ReadOnlyMemory<byte> piece)
    {
        if (piece.Length == 0)
            return;
        if (_count >= ManyPieces && piece.Length < ShortPiece)
        {
            Gather(piece.Span);
            return;
        }

        Append(piece);
        _gather = null;
    }

    /// <summary>The contiguous bytes at <paramref name="offset"/>, which is below <see cref="Length"/>.</summary>
    public ReadOnlyMemory<byte> Peek(int offset)
    {
        for (int i = 0; i < _count; i++)
        {
            ReadOnlyMemory<byte> piece = _ring[(_first + i) & (_ring.Length - 1)];
            if (offset < piece.Length)
                return piece[offset..];
            offset -= piece.Length;
        }

        return default;
    }

    public void Consume(int count)
    {
        _length -= count;
        while (count > 0)
        {
            ref ReadOnlyMemory<byte> piece = ref _ring[_first];
            if (count < piece.Length)
            {
                piece = piece[count..];
                return;
            }

            count -= piece.Length;
            piece = default;
            _first = (_first + 1) & (_ring.Length - 1);
            _count--;
        }

        if (_count == 0)
            _gather = null;
    }

    private void Append(ReadOnlyMemory<byte> piece)
    {
        if (_count == _ring.Length)
            Grow();
        _ring[(_first + _count++) & (_ring.Length - 1)] = piece;
        _length += piece.Length;
    }

    private void Gather(ReadOnlySpan<byte> bytes)
    {
        if (_gather is null || _gather.Length - _gathered < bytes.Length)
        {
            _gather = new byte[GatherLength];
            _gathered = 0;
            Append(_gather.AsMemory(0, 0));
        }

        bytes.CopyTo(_gather.AsSpan(_gathered));
        ref ReadOnlyMemory<byte> last = ref _ring[(_first + _count - 1) & (_ring.Length - 1)];
        int start = _gathered - last.Length;
        _gathered += bytes.Length;
        _length += bytes.Length;
        last = _gather.AsMemory(start, _gathered - start);
    }

    private void Grow()
    {
        var larger = new ReadOnlyMemory<byte>[2 * _ring.Length];
        for (int i = 0; i < _count; i++)
            larger[i] = _ring[(_first + i) & (_ring.Length - 1)];
        _ring = larger;
        _first = 0;
    }
}
