using Sentry.Abi;
using Sentry.Host;
using Sentry.Kernel;

namespace Sentry.Main;

/// <summary>The file arena: one sparse memory file, mapped whole. Free pieces are kept by size in powers of two so that files that grow find room.</summary>
internal sealed class MainArena : IFileArena, IDisposable
{
    private const long PageSize = 4096, Capacity = 1L << 40;
    private const int KeepSize = 1, PunchHole = 2;

    private readonly int _descriptor;
    private readonly nint _base;
    private readonly SortedDictionary<long, Stack<long>> _free = [];
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
        if (_free.TryGetValue(length, out Stack<long>? pieces) && pieces.TryPop(out long reused))
            return reused;
        if (length <= 0 || length % PageSize != 0 || length > Capacity - _end)
            return Errno.ENOSPC;
        long offset = _end;
        _end += length;
        return offset;
    }

    /// <inheritdoc/>
    public void Free(long offset, long length)
    {
        Errno error = HostFile.Allocate(_descriptor, PunchHole | KeepSize, offset, length);
        if (error != Errno.None)
            Require.Ok(error, $"free {length} bytes at {offset} of the file arena");
        if (!_free.TryGetValue(length, out Stack<long>? pieces))
            _free[length] = pieces = new Stack<long>();
        pieces.Push(offset);
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
}
