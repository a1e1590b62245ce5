namespace Netstack.Stack;

/// <summary>Objects of the queues that are used again, and the buffer that small writes share.</summary>
internal sealed class TcpPools
{
    private const int MaxSegments = 512, MaxQueues = 128, ShareLength = 16384, ShareLimit = 2048, MaxPiece = 65536;

    private readonly Stack<TcpSegment> _segments = new();
    private readonly Stack<TcpSendQueue> _sendQueues = new();
    private readonly Stack<TcpReceiveQueue> _receiveQueues = new();
    private byte[] _shared = [];
    private int _sharedUsed;
    private Memory<byte> _prepared;

    public TcpSegment NewSegment() => _segments.TryPop(out TcpSegment? segment) ? segment : new TcpSegment();

    public void Free(TcpSegment segment)
    {
        segment.Reset();
        if (_segments.Count < MaxSegments)
            _segments.Push(segment);
    }

    public TcpSendQueue NewSendQueue() => _sendQueues.TryPop(out TcpSendQueue? queue) ? queue : new TcpSendQueue();

    public void Free(TcpSendQueue queue)
    {
        if (!queue.IsLarge && _sendQueues.Count < MaxQueues)
            _sendQueues.Push(queue);
    }

    public TcpReceiveQueue NewReceiveQueue() => _receiveQueues.TryPop(out TcpReceiveQueue? queue) ? queue : new TcpReceiveQueue();

    public void Free(TcpReceiveQueue queue)
    {
        if (!queue.IsLarge && _receiveQueues.Count < MaxQueues)
            _receiveQueues.Push(queue);
    }

    /// <summary>Room for up to <paramref name="length"/> bytes to be written. Small writes of all connections share a buffer, so that an idle connection holds none.</summary>
    public Span<byte> Prepare(int length)
    {
        length = Math.Min(length, MaxPiece);
        if (length > ShareLimit)
        {
            _prepared = GC.AllocateUninitializedArray<byte>(length);
        }
        else
        {
            if (_shared.Length - _sharedUsed < length)
            {
                _shared = GC.AllocateUninitializedArray<byte>(ShareLength);
                _sharedUsed = 0;
            }

            _prepared = _shared.AsMemory(_sharedUsed, length);
        }

        return _prepared.Span;
    }

    /// <summary>The first <paramref name="count"/> bytes of what was prepared.</summary>
    public ReadOnlyMemory<byte> Take(int count)
    {
        Memory<byte> taken = _prepared[..count];
        if (_prepared.Length <= ShareLimit && System.Runtime.InteropServices.MemoryMarshal.TryGetArray<byte>(_prepared, out ArraySegment<byte> segment) && ReferenceEquals(segment.Array, _shared))
            _sharedUsed += count;
        _prepared = default;
        return taken;
    }
}
