namespace Storage;

/// <summary>
/// One long way of bytes to or from a store, over many requests at the same time: counts them, keeps them to a rate, and says how far it has
/// come. Work is measured in plain bytes, which are known before any is compressed; what goes over the wire is counted apart.
/// </summary>
public sealed class Transfer
{
    private readonly RateLimit? _limit;
    private long _moved, _settled, _total, _done, _openWork, _openBytes;
    private volatile string? _trouble;

    /// <param name="bytesPerSecond">What all requests together may move; null for as much as there is.</param>
    public Transfer(long? bytesPerSecond = null)
    {
        if (bytesPerSecond is <= 0)
            throw new StoreException(StoreError.Invalid, "a rate is a positive number of bytes per second, for instance 10M");
        _limit = bytesPerSecond is { } rate ? new RateLimit(rate) : null;
    }

    /// <summary>Bytes that went over the wire, those that were sent twice included.</summary>
    public long Moved => Interlocked.Read(ref _moved);

    /// <summary>The plain bytes to be dealt with; 0 while that is not known.</summary>
    public long Total
    {
        get => Interlocked.Read(ref _total);
        set => Interlocked.Exchange(ref _total, value);
    }

    /// <summary>The plain bytes dealt with; those of parts under way by how much of each has moved.</summary>
    public long Done
    {
        get
        {
            long openBytes = Interlocked.Read(ref _openBytes);
            double share = openBytes > 0 ? Math.Clamp((double)(Moved - Interlocked.Read(ref _settled)) / openBytes, 0, 1) : 0;
            return Math.Min(Total, Interlocked.Read(ref _done) + (long)(Interlocked.Read(ref _openWork) * share));
        }
    }

    /// <summary>Why nothing moves at the moment, in one line; null while the store answers.</summary>
    public string? Trouble => _trouble;

    /// <summary>Requests that were made once more.</summary>
    public int Retries { get; private set; }

    /// <summary>The most that may be moved in one go, so that many requests share a rate evenly.</summary>
    internal int PieceSize => _limit?.PieceSize ?? int.MaxValue;

    /// <summary>Plain bytes that needed no transfer.</summary>
    public void Add(long work) => Interlocked.Add(ref _done, work);

    /// <summary>A part of the work goes under way.</summary>
    /// <param name="work">Its plain bytes.</param>
    /// <param name="bytes">What it takes on the wire.</param>
    public void Begin(long work, long bytes)
    {
        Interlocked.Add(ref _openWork, work);
        Interlocked.Add(ref _openBytes, bytes);
    }

    /// <summary>A part that was begun has ended.</summary>
    /// <param name="succeeded">Whether its work is done.</param>
    public void End(long work, long bytes, bool succeeded)
    {
        Interlocked.Add(ref _openWork, -work);
        Interlocked.Add(ref _openBytes, -bytes);
        Interlocked.Add(ref _settled, bytes);
        if (succeeded)
            Interlocked.Add(ref _done, work);
    }

    /// <summary>Counts bytes that are about to move, after a wait that keeps to the rate.</summary>
    internal async ValueTask PassAsync(int count, CancellationToken cancellationToken)
    {
        if (_limit?.Take(count) is { } wait && wait > TimeSpan.Zero)
            await Task.Delay(wait, cancellationToken).ConfigureAwait(false);
        Interlocked.Add(ref _moved, count);
    }

    internal void Stumbled(string why)
    {
        Retries++;
        _trouble = why;
    }

    internal void Recovered() => _trouble = null;
}

/// <summary>Spreads bytes evenly over time: each piece has its place on a time line that all takers share.</summary>
internal sealed class RateLimit(long bytesPerSecond)
{
    private const int PiecesPerSecond = 20, MaxPiece = 64 << 10;
    private readonly Lock _lock = new();
    private long _next = Environment.TickCount64;

    internal int PieceSize => (int)Math.Clamp(bytesPerSecond / PiecesPerSecond, 1, MaxPiece);

    /// <summary>How long to wait before that many bytes.</summary>
    internal TimeSpan Take(int count)
    {
        lock (_lock)
        {
            long now = Environment.TickCount64;
            _next = Math.Max(_next, now);
            TimeSpan wait = TimeSpan.FromMilliseconds(_next - now);
            _remainder += count * 1000.0 / bytesPerSecond;
            long whole = (long)_remainder;
            _remainder -= whole;
            _next += whole;
            return wait;
        }
    }

    private double _remainder;
}
