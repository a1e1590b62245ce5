namespace Sentry.Kernel.Files;

/// <summary>How much a file system in memory may hold (tmpfs(5): size, nr_blocks, nr_inodes). What a shared mapping makes of a hole counts, but is not refused.</summary>
[Savable("space-quota")]
public sealed partial class SpaceQuota
{
    [Saved(1)] private long _limit;
    [Saved(2)] private long _used;
    [Saved(3)] private long _inodeLimit;
    [Saved(4)] private long _inodes;

    internal SpaceQuota()
    {
    }

    public SpaceQuota(long limit, long inodeLimit)
    {
        _limit = limit;
        _inodeLimit = inodeLimit;
    }

    /// <summary>Bytes; 0 for no limit.</summary>
    public long Limit
    {
        get => _limit;
        set => _limit = value;
    }

    public long Used => _used;

    /// <summary>0 for no limit.</summary>
    public long InodeLimit
    {
        get => _inodeLimit;
        set => _inodeLimit = value;
    }

    public long Inodes => _inodes;

    internal long Free => _limit == 0 ? long.MaxValue : Math.Max(0, _limit - _used);

    internal void Charge(long bytes) => _used += bytes;

    /// <summary>One more inode; ENOSPC.</summary>
    internal Errno TakeInode()
    {
        if (_inodeLimit != 0 && _inodes >= _inodeLimit)
            return Errno.ENOSPC;
        _inodes++;
        return Errno.None;
    }

    internal void ReturnInode() => _inodes--;
}
