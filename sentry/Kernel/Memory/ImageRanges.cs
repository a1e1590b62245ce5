namespace Sentry.Kernel.Memory;

/// <summary>A range of guest memory whose first content is in an image's memory file.</summary>
[Savable("image-range")]
public partial struct ImageRange
{
    [Saved(1)] public ulong Start;
    [Saved(2)] public ulong End;
    [Saved(3)] public long Offset;

    public ImageRange(ulong start, ulong end, long offset)
    {
        Start = start;
        End = end;
        Offset = offset;
    }
}

/// <summary>Which private memory is mapped from the restored image, ascending. Pages of these ranges hold data even where no private page is present.</summary>
public sealed class ImageRanges
{
    private readonly List<ImageRange> _ranges = [];

    public int Count => _ranges.Count;

    public ImageRange this[int index] => _ranges[index];

    /// <summary>Appends; ranges come in ascending order.</summary>
    public void Append(ImageRange range) => _ranges.Add(range);

    public bool Overlaps(ulong start, ulong end)
    {
        int i = FirstEndingAfter(start);
        return i < _ranges.Count && _ranges[i].Start < end;
    }

    /// <summary>The parts of ranges that lie within [start, end).</summary>
    public List<ImageRange> Within(ulong start, ulong end)
    {
        List<ImageRange> found = [];
        for (int i = FirstEndingAfter(start); i < _ranges.Count && _ranges[i].Start < end; i++)
            found.Add(Cut(_ranges[i], start, end));
        return found;
    }

    /// <summary>Forgets [start, end): unmapped, replaced or discarded.</summary>
    public void Remove(ulong start, ulong end)
    {
        int i = FirstEndingAfter(start);
        while (i < _ranges.Count && _ranges[i].Start < end)
        {
            ImageRange range = _ranges[i];
            _ranges.RemoveAt(i);
            if (range.Start < start)
                _ranges.Insert(i++, Cut(range, range.Start, start));
            if (range.End > end)
                _ranges.Insert(i++, Cut(range, end, range.End));
        }
    }

    /// <summary>Follows pages that moved (mremap).</summary>
    public void Move(ulong start, ulong length, ulong newStart)
    {
        List<ImageRange> moved = Within(start, start + length);
        Remove(start, start + length);
        Remove(newStart, newStart + length);
        int i = FirstEndingAfter(newStart);
        foreach (ImageRange range in moved)
            _ranges.Insert(i++, new ImageRange(range.Start - start + newStart, range.End - start + newStart, range.Offset));
    }

    public ImageRanges Copy()
    {
        var copy = new ImageRanges();
        copy._ranges.AddRange(_ranges);
        return copy;
    }

    private static ImageRange Cut(ImageRange range, ulong start, ulong end)
    {
        ulong from = Math.Max(range.Start, start);
        return new ImageRange(from, Math.Min(range.End, end), range.Offset + (long)(from - range.Start));
    }

    private int FirstEndingAfter(ulong address)
    {
        int low = 0, high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End <= address)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }
}
