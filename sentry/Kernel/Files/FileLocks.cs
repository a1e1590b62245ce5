namespace Sentry.Kernel.Files;

/// <summary>A held lock: of a process (fcntl), of an open description (OFD) on a byte range, or of the whole file (flock).</summary>
[Savable("file-lock")]
public sealed partial class FileLock
{
    [Saved(1)] public ThreadGroup? Process;
    [Saved(2)] public FileObject? Description;
    [Saved(3)] public bool Exclusive;
    [Saved(4)] public long Start;

    /// <summary>First byte behind the range; long.MaxValue to the end of the file, however it grows.</summary>
    [Saved(5)] public long End;

    public FileLock()
    {
    }

    internal bool SameOwner(ThreadGroup? process, FileObject? description) =>
        ReferenceEquals(Process, process) && ReferenceEquals(Description, description);

    internal bool Overlaps(long start, long end) => Start < end && start < End;
}

/// <summary>The advisory locks on one inode (fcntl(2), flock(2)).</summary>
[Savable("file-locks")]
public sealed partial class FileLocks
{
    [Saved(1)] private List<FileLock> _ranges = [];
    [Saved(2)] private List<FileLock> _whole = [];
    [NotSaved("waiters come back when their call is tried again")] private readonly WaitQueue _waiters = new();

    public FileLocks()
    {
    }

    internal WaitQueue Waiters => _waiters;

    /// <summary>All byte-range locks, for /proc/locks.</summary>
    public IReadOnlyList<FileLock> Ranges => _ranges;

    /// <summary>A lock of another owner that would be in the way.</summary>
    internal FileLock? FindConflict(ThreadGroup? process, FileObject? description, bool exclusive, long start, long end)
    {
        foreach (FileLock held in _ranges)
        {
            if (held.Overlaps(start, end) && !held.SameOwner(process, description) && (exclusive || held.Exclusive))
                return held;
        }

        return null;
    }

    /// <summary>Sets or (with <paramref name="exclusive"/> null) clears a range of an owner; there is no conflict.</summary>
    internal void SetRange(ThreadGroup? process, FileObject? description, bool? exclusive, long start, long end)
    {
        List<FileLock> replaced = _ranges.FindAll(held => held.SameOwner(process, description) && held.Overlaps(start, end));
        _ranges.RemoveAll(replaced.Contains);
        foreach (FileLock held in replaced)
        {
            if (held.Start < start)
                Insert(new FileLock { Process = process, Description = description, Exclusive = held.Exclusive, Start = held.Start, End = start });
            if (held.End > end)
                Insert(new FileLock { Process = process, Description = description, Exclusive = held.Exclusive, Start = end, End = held.End });
        }

        if (exclusive is { } kind)
            Insert(new FileLock { Process = process, Description = description, Exclusive = kind, Start = start, End = end });
        _waiters.Wake();
    }

    /// <summary>Puts a range among those of its owner, which are kept together and ascending and joined where they touch: F_GETLK tells the first in the way.</summary>
    private void Insert(FileLock made)
    {
        int place = _ranges.Count;
        for (int i = 0; i < _ranges.Count; i++)
        {
            if (!_ranges[i].SameOwner(made.Process, made.Description))
                continue;
            if (_ranges[i].Start > made.Start)
            {
                place = i;
                break;
            }

            place = i + 1;
        }

        _ranges.Insert(place, made);
        Join(place);
        if (place > 0)
            Join(place - 1);
    }

    private void Join(int first)
    {
        if (first + 1 >= _ranges.Count)
            return;
        FileLock low = _ranges[first], high = _ranges[first + 1];
        if (!low.SameOwner(high.Process, high.Description) || low.Exclusive != high.Exclusive || low.End != high.Start)
            return;
        low.End = high.End;
        _ranges.RemoveAt(first + 1);
    }

    /// <summary>flock(2): false when another description is in the way. Null unlocks.</summary>
    internal bool TryFlock(FileObject description, bool? exclusive)
    {
        int own = _whole.FindIndex(held => ReferenceEquals(held.Description, description));
        if (exclusive is { } kind)
        {
            foreach (FileLock held in _whole)
            {
                if (!ReferenceEquals(held.Description, description) && (kind || held.Exclusive))
                    return false;
            }
        }

        if (own >= 0)
            _whole.RemoveAt(own);
        if (exclusive is { } wanted)
            _whole.Add(new FileLock { Description = description, Exclusive = wanted, End = long.MaxValue });
        if (own >= 0)
            _waiters.Wake();
        return true;
    }

    /// <summary>A process closed a descriptor of the file: all its POSIX locks go.</summary>
    internal void ReleasePosix(ThreadGroup group)
    {
        if (_ranges.RemoveAll(held => ReferenceEquals(held.Process, group)) > 0)
            _waiters.Wake();
    }

    /// <summary>A description is gone, and its locks with it.</summary>
    internal void ReleaseFlock(FileObject description)
    {
        int gone = _ranges.RemoveAll(held => ReferenceEquals(held.Description, description)) + _whole.RemoveAll(held => ReferenceEquals(held.Description, description));
        if (gone > 0)
            _waiters.Wake();
    }
}
