namespace Sentry.Kernel.Files;

/// <summary>An open description of something in a file tree.</summary>
[Savable("inode-file")]
public abstract partial class InodeFile : FileObject
{
    [Saved(1)] private VfsPath _path;
    [Saved(2)] private Inode _inode;

    protected InodeFile(in VfsPath path, OpenFlags flags)
        : this(path, path.Inode, flags)
    {
    }

    protected InodeFile(in VfsPath path, Inode inode, OpenFlags flags)
        : base(flags)
    {
        _path = path;
        _inode = inode;
        inode.AddOpen(CanWrite);
        if ((flags & OpenFlags.Path) == 0)
            FileNotifier.OnFile(path.Dentry, FileEvent.Open);
    }

    /// <summary>Where it was opened.</summary>
    public VfsPath Path => _path;

    public Inode Inode => _inode;

    public override string Describe() => _path.Describe(_inode.FileSystem.Kernel.Mounts.HasRoot ? _inode.FileSystem.Kernel.Mounts.Root : default);

    public override Result<FileStatus> GetStatus() => _inode.GetStatus();

    public override Errno Sync() => Errno.None;

    public override HostSync? StartSync(bool dataOnly) => _inode.IsDirectory ? _inode.FileSystem.StartSync() : null;

    public override bool CanPoll => WaitQueue is not null;

    internal override FileLocks Locks => _inode.Locks;

    internal override bool HasLocks => _inode.HasLocks;

    protected override void OnRelease()
    {
        if (_inode.HasLeases)
            _inode.Leases.Release(this);
        FileNotifier.OnFile(this, CanWrite ? FileEvent.CloseWrite : FileEvent.CloseNoWrite);
        _inode.DropOpen(CanWrite);
    }

    /// <summary>Where a write from <paramref name="start"/> on must end (RLIMIT_FSIZE); EFBIG and SIGXFSZ when it may not even begin.</summary>
    protected static Result<long> FindWriteLimit(Task? caller, long start)
    {
        ulong soft = caller?.Group.Limits[ResourceLimits.FSize].Soft ?? ulong.MaxValue;
        if (soft >= FileData.MaxSize)
            return FileData.MaxSize;
        if (start < (long)soft)
            return (long)soft;
        SignalHooks.SendFileSizeExceeded(caller!);
        return Errno.EFBIG;
    }

    /// <summary>Marks atime after a read, unless O_NOATIME or a mount option forbids (relatime, as Linux has it by default).</summary>
    protected void TouchAccessed()
    {
        if ((Flags & OpenFlags.NoAtime) != 0 || (_path.Mount.Flags & (MountFlags.NoAtime | MountFlags.ReadOnly)) != 0)
            return;
        long now = _inode.FileSystem.Now;
        if (_inode.AccessTime <= _inode.ModifyTime || _inode.AccessTime <= _inode.ChangeTime || now - _inode.AccessTime > 86_400_000_000_000)
            _inode.AccessTime = now;
    }
}

/// <summary>A description that only names a place (O_PATH).</summary>
[Savable("path-file")]
public partial class PathFile : InodeFile
{
    public PathFile(in VfsPath path, OpenFlags flags)
        : base(path, flags)
    {
    }

    public override Errno Sync() => Errno.EBADF;
}

/// <summary>An open directory.</summary>
[Savable("directory-file")]
public sealed partial class DirectoryFile : InodeFile
{
    public DirectoryFile(in VfsPath path, OpenFlags flags)
        : base(path, flags)
    {
    }

    public override Result<long> Read(Task caller, in UserBuffer destination) => Errno.EISDIR;

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset) => Errno.EISDIR;

    /// <summary>Hands out entries from the file offset on, "." and ".." first; the caller moves <see cref="FileObject.Offset"/> to where it stopped.</summary>
    public Errno ReadEntries(Task? caller, IDirectoryReader reader)
    {
        if (Path.Dentry.IsUnlinked)
            return Errno.ENOENT;
        long position = Offset;
        if (position == 0)
        {
            if (!reader.Add(".", Inode.Number, S.IFDIR, 1))
                return Errno.None;
            position = 1;
        }

        if (position == 1)
        {
            VfsPath up = Path.Up(default);
            if (!reader.Add("..", up.Inode.Number, S.IFDIR, 2))
                return Errno.None;
            position = 2;
        }

        TouchAccessed();
        return Inode.ReadDirectory(caller, position, reader);
    }

    public override Result<long> Seek(long offset, int whence)
    {
        long target = whence switch
        {
            0 => offset,
            1 => Offset + offset,
            _ => -1,
        };
        if (target < 0)
            return Errno.EINVAL;
        return Offset = target;
    }
}
