namespace Sentry.Kernel.Terminals;

/// <summary>Bytes on their way, first in, first out. Who adds minds the limit.</summary>
[Savable("byte-queue")]
internal sealed partial class ByteQueue : IAfterLoad
{
    [Saved(1)] private byte[] _bytes = [];
    [Saved(2)] private int _head;
    [Saved(3)] private int _count;

    internal ByteQueue()
    {
    }

    internal int Count => _count;

    internal void Add(byte value)
    {
        Reserve(1);
        _bytes[_head + _count++] = value;
    }

    internal void Add(ReadOnlySpan<byte> values)
    {
        Reserve(values.Length);
        values.CopyTo(_bytes.AsSpan(_head + _count));
        _count += values.Length;
    }

    /// <summary>What is there, the oldest first.</summary>
    internal ReadOnlySpan<byte> Peek() => _bytes.AsSpan(_head, _count);

    /// <summary>Removes the oldest.</summary>
    internal void Drop(int count)
    {
        _head += count;
        _count -= count;
        if (_count == 0)
            _head = 0;
    }

    /// <summary>Keeps the oldest and forgets the rest.</summary>
    internal void Truncate(int count) => _count = Math.Min(_count, count);

    internal void Clear() => _head = _count = 0;

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && (_head < 0 || _count < 0 || _head > _bytes.Length - _count))
            throw new InvalidImageException("the image holds a byte queue that is larger than its bytes");
    }

    private void Reserve(int more)
    {
        if (_head + _count + more <= _bytes.Length)
            return;
        byte[] target = _count + more <= _bytes.Length ? _bytes : new byte[Math.Max(256, Math.Max(_count + more, _bytes.Length * 2))];
        _bytes.AsSpan(_head, _count).CopyTo(target);
        _bytes = target;
        _head = 0;
    }
}
