using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>The file arena: one sparse memory file, mapped whole. Free pieces are kept by size in powers of two so that files that grow find room.</summary>
internal sealed class MainArena : IFileArena, IDisposable
{
    private const long PageSize = 4096, Capacity = 1L << 40;
    private const int KeepSize = 1, PunchHole = 2;

    // A guest's thread unmaps before it goes on, which is when the host lets it: milliseconds, on a host without a free processor perhaps a second. Rest is in ms.
    private const int Rest = 5000, RestedAtOnce = 8;

    private readonly int _descriptor;
    private readonly nint _base;
    private readonly SortedDictionary<long, Stack<long>> _free = [];
    private readonly Queue<(long Offset, long Length, long Until)> _resting = [];
    private long _end;

    public MainArena()
    {
        _descriptor = Require.Ok(HostFile.CreateMemory("arena", 1), "create the file arena");
        Require.Ok(HostFile.Truncate(_descriptor, Capacity), "size the file arena");
        _base = Require.Ok(HostMemory.Map(0, Capacity, HostMemory.ProtectionRead | HostMemory.ProtectionWrite, HostMemory.MapShared | HostMemory.MapNoReserve, _descriptor, 0), "map the file arena");
    }

    public int HostDescriptor => _descriptor;

    /// <inheritdoc/>
    public Result<long> Allocate(long length)
    {
        TakeRested();
        if (_free.TryGetValue(length, out Stack<long>? pieces) && pieces.TryPop(out long reused))
            return reused;
        if (length <= 0 || length % PageSize != 0 || length > Capacity - _end)
            return Errno.ENOSPC;
        long offset = _end;
        _end += length;
        return offset;
    }

    /// <inheritdoc/>
    public void Free(long offset, long length, bool wasMapped)
    {
        Empty(offset, length);
        if (wasMapped)
            _resting.Enqueue((offset, length, Environment.TickCount64 + Rest));
        else
            Keep(offset, length);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + length, Capacity);
        return HostMemory.Span(_base + (nint)offset, length);
    }

    public void Dispose()
    {
        HostMemory.Unmap(_base, Capacity);
        HostFile.Close(_descriptor);
    }

    // What a late thread has written since the piece was freed goes now.
    private void TakeRested()
    {
        for (int i = 0; i < RestedAtOnce && _resting.TryPeek(out var piece) && Environment.TickCount64 >= piece.Until; i++)
        {
            _resting.Dequeue();
            Empty(piece.Offset, piece.Length);
            Keep(piece.Offset, piece.Length);
        }
    }

    private void Empty(long offset, long length)
    {
        Errno error = HostFile.Allocate(_descriptor, PunchHole | KeepSize, offset, length);
        if (error != Errno.None)
            Require.Ok(error, $"free {length} bytes at {offset} of the file arena");
    }

    private void Keep(long offset, long length)
    {
        if (!_free.TryGetValue(length, out Stack<long>? pieces))
            _free[length] = pieces = new Stack<long>();
        pieces.Push(offset);
    }
}
