using System.Buffers.Binary;

namespace Tests.Kernel.Fakes;

/// <summary>Guest memory as a table of pages; what is not mapped faults.</summary>
internal sealed class FakeAddressSpace : IAddressSpace
{
    private const int PageSize = 4096;
    private readonly Dictionary<ulong, (byte[] Bytes, bool Writable)> _pages = [];

    /// <summary>What the host says is there.</summary>
    public long ResidentBytes { get; set; }

    public void Map(ulong address, ulong length, bool writable = true)
    {
        for (ulong page = address / PageSize; page < (address + length + PageSize - 1) / PageSize; page++)
            _pages[page] = (new byte[PageSize], writable);
    }

    public void Unmap(ulong address, ulong length)
    {
        for (ulong page = address / PageSize; page < (address + length + PageSize - 1) / PageSize; page++)
            _pages.Remove(page);
    }

    public void Protect(ulong address, ulong length, bool writable)
    {
        for (ulong page = address / PageSize; page < (address + length + PageSize - 1) / PageSize; page++)
        {
            if (_pages.TryGetValue(page, out (byte[] Bytes, bool Writable) entry))
                _pages[page] = (entry.Bytes, writable);
        }
    }

    public int Read(ulong address, Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            if (!_pages.TryGetValue((address + (ulong)done) / PageSize, out (byte[] Bytes, bool Writable) page))
                break;
            int offset = (int)((address + (ulong)done) % PageSize);
            int count = Math.Min(PageSize - offset, destination.Length - done);
            page.Bytes.AsSpan(offset, count).CopyTo(destination[done..]);
            done += count;
        }

        return done;
    }

    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        int done = 0;
        while (done < source.Length)
        {
            if (!_pages.TryGetValue((address + (ulong)done) / PageSize, out (byte[] Bytes, bool Writable) page) || !page.Writable)
                break;
            int offset = (int)((address + (ulong)done) % PageSize);
            int count = Math.Min(PageSize - offset, source.Length - done);
            source.Slice(done, count).CopyTo(page.Bytes.AsSpan(offset));
            done += count;
        }

        return done;
    }

    public bool TryRead32(ulong address, out uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        bool ok = Read(address, bytes) == 4;
        value = ok ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;
        return ok;
    }

    public bool TryWrite32(ulong address, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return Write(address, bytes) == 4;
    }

    public bool TryCompareExchange32(IGuestThread runner, ulong address, uint expected, uint desired, out uint found)
    {
        if (!TryRead32(address, out found))
            return false;
        return found != expected || TryWrite32(address, desired);
    }

    public void FindPrivatePages(ulong start, ulong end, List<PageRun> runs)
    {
        foreach (ulong page in _pages.Keys.Order())
        {
            if (page * PageSize >= start && page * PageSize < end)
                runs.Add(new PageRun(page * PageSize, (page + 1) * PageSize));
        }
    }

    public void Dump(int hostDescriptor, ReadOnlySpan<DumpRun> runs) => throw new NotSupportedException();

    public Result<IFrozenMemory> Freeze(IGuestThread stopped) => Errno.ENOMEM;
}
