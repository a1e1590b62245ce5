namespace Tests.Kernel.Terminals;

/// <summary>Someone outside: what they type and what they see.</summary>
internal sealed class FakeStream : IHostStream
{
    private readonly Queue<byte> _typed = new();
    private IHostStreamWatcher? _watcher;

    public string Seen { get; private set; } = "";

    /// <summary>Bytes it takes before it is full.</summary>
    public int Room { get; set; } = int.MaxValue;

    public bool Closed { get; private set; }

    public bool PeerGone { get; set; }

    public void Type(string text)
    {
        foreach (char c in text)
            _typed.Enqueue((byte)c);
        Ready(PollEvents.In);
    }

    public void Ready(PollEvents events)
    {
        IHostStreamWatcher? watcher = _watcher;
        _watcher = null;
        watcher?.OnReady(events);
    }

    public Result<int> Read(Span<byte> destination)
    {
        if (_typed.Count == 0)
            return PeerGone ? 0 : Errno.EAGAIN;
        int count = 0;
        while (count < destination.Length && _typed.TryDequeue(out byte c))
            destination[count++] = c;
        return count;
    }

    public Result<int> Write(ReadOnlySpan<byte> source)
    {
        if (PeerGone)
            return Errno.EPIPE;
        int count = Math.Min(source.Length, Room);
        if (count == 0)
            return Errno.EAGAIN;
        Seen += System.Text.Encoding.Latin1.GetString(source[..count]);
        Room -= count;
        return count;
    }

    public PollEvents Poll() => PollEvents.None;

    public void Watch(IHostStreamWatcher waiter, PollEvents events) => _watcher = waiter;

    public void Close() => Closed = true;
}
