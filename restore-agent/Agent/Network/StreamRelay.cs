using Sentry.Abi;

namespace RestoreAgent.Agent.Network;

/// <summary>One end of a byte stream: a socket of the host or a connection of a gateway's stack. Nothing waits.</summary>
public interface IStreamEnd
{
    /// <summary>Called when it may be ready for what was wanted, or has failed.</summary>
    Action? OnReady { get; set; }

    /// <summary>Bytes read; 0 at the end, EAGAIN when there is nothing yet.</summary>
    Result<int> Read(Span<byte> destination);

    /// <summary>Bytes written; EAGAIN when there is no room.</summary>
    Result<int> Write(ReadOnlySpan<byte> source);

    /// <summary>No more will be written.</summary>
    void ShutdownWrite();

    /// <summary>Says for what <see cref="OnReady"/> is to be called.</summary>
    void Want(bool read, bool write);

    /// <summary>Ends it; abruptly, so that its peer sees a reset, or after what was written.</summary>
    void Close(bool abort);
}

/// <summary>Carries bytes between two streams both ways, with the ends of each, until both are through or one has failed.</summary>
public sealed class StreamRelay
{
    private const int BufferSize = 64 << 10;

    private readonly IStreamEnd _first;
    private readonly IStreamEnd _second;
    private readonly Action<StreamRelay>? _ended;
    private readonly Direction _there = new(), _back = new();
    private bool _closed;

    /// <param name="ended">Called when it is over.</param>
    public StreamRelay(IStreamEnd first, IStreamEnd second, Action<StreamRelay>? ended) => (_first, _second, _ended) = (first, second, ended);

    /// <summary>Begins to carry.</summary>
    public void Start()
    {
        _first.OnReady = Run;
        _second.OnReady = Run;
        Run();
    }

    /// <summary>Ends both streams abruptly.</summary>
    public void Abort() => Close(abort: true);

    private void Run()
    {
        if (_closed)
            return;
        if (!Move(_there, _first, _second) || !Move(_back, _second, _first))
        {
            Close(abort: true);
            return;
        }

        if (_there.IsDone && _back.IsDone)
        {
            Close(abort: false);
            return;
        }

        _first.Want(read: _there.WantsRead, write: _back.WantsWrite);
        _second.Want(read: _back.WantsRead, write: _there.WantsWrite);
    }

    /// <summary>Moves what can be moved; false when a stream has failed.</summary>
    private static bool Move(Direction way, IStreamEnd from, IStreamEnd to)
    {
        // Bounded, so that one connection does not keep all others of the loop waiting.
        for (int turns = 0; turns < 16; turns++)
        {
            if (way.Start == way.End)
            {
                if (way.AtEnd || way.IsDone)
                    return Finish(way, to);
                Result<int> got = from.Read(way.Buffer);
                if (got.IsError)
                    return got.Error is Errno.EAGAIN or Errno.EINTR;
                if (got.Value == 0)
                {
                    way.AtEnd = true;
                    return Finish(way, to);
                }

                (way.Start, way.End) = (0, got.Value);
            }

            Result<int> put = to.Write(way.Buffer.AsSpan(way.Start, way.End - way.Start));
            if (put.IsError)
                return put.Error is Errno.EAGAIN or Errno.EINTR;
            way.Start += put.Value;
        }

        return true;
    }

    private static bool Finish(Direction way, IStreamEnd to)
    {
        if (!way.IsDone)
            to.ShutdownWrite();
        way.IsDone = true;
        return true;
    }

    private void Close(bool abort)
    {
        if (_closed)
            return;
        _closed = true;
        _first.OnReady = null;
        _second.OnReady = null;
        _first.Close(abort);
        _second.Close(abort);
        _ended?.Invoke(this);
    }

    private sealed class Direction
    {
        public byte[] Buffer { get; } = GC.AllocateUninitializedArray<byte>(BufferSize);

        public int Start { get; set; }

        public int End { get; set; }

        public bool AtEnd { get; set; }

        public bool IsDone { get; set; }

        public bool WantsRead => !AtEnd && Start == End;

        public bool WantsWrite => Start != End;
    }
}
