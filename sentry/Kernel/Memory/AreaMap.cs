namespace Sentry.Kernel.Memory;

/// <summary>The areas of an address space in ascending order, never overlapping.</summary>
[Savable("area-map")]
public sealed partial class AreaMap
{
    [Saved(1)] private List<Area> _areas = [];

    public AreaMap()
    {
    }

    public int Count => _areas.Count;

    public Area this[int index] => _areas[index];

    public IReadOnlyList<Area> All => _areas;

    /// <summary>Index of the first area that ends after <paramref name="address"/>; Count when there is none.</summary>
    public int FirstEndingAfter(ulong address)
    {
        int low = 0, high = _areas.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_areas[middle].End <= address)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>The area that contains an address.</summary>
    public Area? Find(ulong address)
    {
        int i = FirstEndingAfter(address);
        return i < _areas.Count && _areas[i].Start <= address ? _areas[i] : null;
    }

    /// <summary>Whether every byte of the range is in some area.</summary>
    public bool Covers(ulong start, ulong end)
    {
        for (int i = FirstEndingAfter(start); start < end; i++)
        {
            if (i >= _areas.Count || _areas[i].Start > start)
                return false;
            start = _areas[i].End;
        }

        return true;
    }

    public bool Overlaps(ulong start, ulong end)
    {
        int i = FirstEndingAfter(start);
        return i < _areas.Count && _areas[i].Start < end;
    }

    /// <summary>Adds an area to a free range and joins it with like neighbours.</summary>
    public void Insert(Area area)
    {
        int i = FirstEndingAfter(area.Start);
        _areas.Insert(i, area);
        TryMerge(i);
        if (i > 0)
            TryMerge(i - 1);
    }

    /// <summary>Cuts areas so that none crosses the borders of the range; returns the index of the first and the number of areas within it.</summary>
    public (int Index, int Count) Isolate(ulong start, ulong end)
    {
        int i = FirstEndingAfter(start);
        if (i < _areas.Count && _areas[i].Start < start)
        {
            Split(i, start);
            i++;
        }

        int count = 0;
        while (i + count < _areas.Count && _areas[i + count].Start < end)
        {
            if (_areas[i + count].End > end)
                Split(i + count, end);
            count++;
        }

        return (i, count);
    }

    /// <summary>Takes the range out; the removed areas are the caller's (their file references too).</summary>
    public List<Area> Remove(ulong start, ulong end)
    {
        (int index, int count) = Isolate(start, end);
        List<Area> removed = _areas.GetRange(index, count);
        _areas.RemoveRange(index, count);
        return removed;
    }

    /// <summary>Joins like neighbours in and around a range after their protection was changed.</summary>
    public void MergeAround(ulong start, ulong end)
    {
        int i = Math.Max(0, FirstEndingAfter(start) - 1);
        while (i < _areas.Count - 1 && _areas[i].Start <= end)
        {
            if (!TryMerge(i))
                i++;
        }
    }

    /// <summary>The highest free range of <paramref name="length"/> bytes in [low, high) at an aligned address; 0 when there is none.</summary>
    public ulong FindFree(ulong length, ulong low, ulong high, ulong alignment)
    {
        ulong top = high;
        for (int i = FirstEndingAfter(high - 1); ; i--)
        {
            if (i < _areas.Count && i >= 0)
                top = Math.Min(top, _areas[i].Start);
            ulong bottom = i > 0 ? Math.Max(low, _areas[i - 1].End) : low;
            if (top > bottom && top - bottom >= length)
            {
                ulong address = (top - length) & ~(alignment - 1);
                if (address >= bottom)
                    return address;
            }

            if (i <= 0 || bottom <= low)
                return 0;
        }
    }

    private void Split(int i, ulong at)
    {
        Area area = _areas[i];
        Area upper = area.Slice(at, area.End);
        area.End = at;
        _areas.Insert(i + 1, upper);
    }

    private bool TryMerge(int i)
    {
        if (i < 0 || i + 1 >= _areas.Count || !_areas[i].CanMerge(_areas[i + 1]))
            return false;
        _areas[i].End = _areas[i + 1].End;
        _areas[i + 1].File?.Release();
        _areas.RemoveAt(i + 1);
        return true;
    }
}
