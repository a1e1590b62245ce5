namespace Sentry.Kernel.Files;

/// <summary>What a caller wants to do with a file: the MAY_* bits, equal to those of access(2).</summary>
[Flags]
public enum FileAccessMask
{
    None = 0,
    Execute = 1,
    Write = 2,
    Read = 4,
}

/// <summary>What a directory's new entry is to be. <see cref="Mode"/> has the type and the permissions with the umask applied.</summary>
public readonly record struct NewNode(uint Mode, uint Uid, uint Gid, ulong Device = 0, string Target = "");

/// <summary>A change of attributes; what is null stays. Permission has been checked.</summary>
public record struct AttributeChange
{
    public uint? Permissions { get; set; }

    public uint? Uid { get; set; }

    public uint? Gid { get; set; }

    /// <summary>ns since 1970, as is the next.</summary>
    public long? AccessTime { get; set; }

    public long? ModifyTime { get; set; }
}

/// <summary>Where a followed link leads: a place in the tree, or an open file that has none (a pipe behind /proc/self/fd/3).</summary>
public readonly record struct LinkTarget(VfsPath Path, FileObject? File);

/// <summary>Takes the entries of a directory one by one.</summary>
public interface IDirectoryReader
{
    /// <summary>False: no more room; the entry has not been taken. <paramref name="next"/> is the position behind this entry.</summary>
    bool Add(string name, ulong inode, uint mode, long next);
}

/// <summary>A file as such, whatever its names (inode(7)). Holds the attributes; what a kind of file does is in the overrides. Callers (the
/// <see cref="Vfs"/>) have checked permissions, types and read-only mounts, and look after the dentries.</summary>
[Savable("inode")]
public abstract partial class Inode
{
    [Saved(1)] private FileSystem _fileSystem;
    [Saved(2)] private ulong _number;
    [Saved(3)] private uint _mode;
    [Saved(4)] private uint _uid;
    [Saved(5)] private uint _gid;
    [Saved(6)] private uint _linkCount = 1;
    [Saved(7)] private ulong _specialDevice;
    [Saved(8)] private long _accessTime;
    [Saved(9)] private long _modifyTime;
    [Saved(10)] private long _changeTime;
    [Saved(11)] private long _birthTime;
    [Saved(12)] private int _openCount;
    [Saved(13)] private FileLocks? _locks;
    [Saved(80)] private int _writeCount;
    [Saved(81)] private int _executeCount;
    [Saved(82)] private List<FileWatch>? _watches;
    [Saved(83)] private FileLeases? _leases;
    [Saved(84)] private bool _counted;

    protected Inode(FileSystem fileSystem, uint mode, uint uid, uint gid)
        : this(fileSystem, fileSystem.NewInodeNumber(), mode, uid, gid)
    {
    }

    protected Inode(FileSystem fileSystem, ulong number, uint mode, uint uid, uint gid)
    {
        _fileSystem = fileSystem;
        _number = number;
        _mode = mode;
        _uid = uid;
        _gid = gid;
        _accessTime = _modifyTime = _changeTime = _birthTime = fileSystem.Now;
    }

    public FileSystem FileSystem => _fileSystem;

    /// <summary>st_ino.</summary>
    public ulong Number => _number;

    /// <summary>S_IFMT type and permission bits.</summary>
    public uint Mode
    {
        get => _mode;
        protected set => _mode = value;
    }

    public uint Uid
    {
        get => _uid;
        protected set => _uid = value;
    }

    public uint Gid
    {
        get => _gid;
        protected set => _gid = value;
    }

    public virtual uint LinkCount
    {
        get => _linkCount;
        set => _linkCount = value;
    }

    /// <summary>st_rdev.</summary>
    public ulong SpecialDevice
    {
        get => _specialDevice;
        protected set => _specialDevice = value;
    }

    /// <summary>ns since 1970, as are the next three.</summary>
    public long AccessTime
    {
        get => _accessTime;
        set => _accessTime = value;
    }

    public long ModifyTime
    {
        get => _modifyTime;
        set => _modifyTime = value;
    }

    public long ChangeTime
    {
        get => _changeTime;
        set => _changeTime = value;
    }

    public long BirthTime
    {
        get => _birthTime;
        protected set => _birthTime = value;
    }

    public bool IsDirectory => (_mode & S.IFMT) == S.IFDIR;

    public bool IsSymlink => (_mode & S.IFMT) == S.IFLNK;

    public bool IsRegular => (_mode & S.IFMT) == S.IFREG;

    /// <summary>Open descriptions of it.</summary>
    public int OpenCount => _openCount;

    /// <summary>Open for writing: it cannot be executed (ETXTBSY).</summary>
    internal bool IsWritten => _writeCount > 0;

    /// <summary>Being executed: it cannot be opened for writing (ETXTBSY).</summary>
    internal bool IsExecuted => _executeCount > 0;

    internal void AddExecution() => _executeCount++;

    internal void DropExecution() => _executeCount--;

    /// <summary>Who is told of what happens to it; made when first asked for.</summary>
    internal List<FileWatch> Watches => _watches ??= [];

    internal bool HasWatches => _watches is { Count: > 0 };

    /// <summary>The leases on it; made when first asked for.</summary>
    internal FileLeases Leases => _leases ??= new FileLeases();

    internal bool HasLeases => _leases is { IsEmpty: false };

    /// <summary>The advisory locks on it, made when first asked for.</summary>
    internal FileLocks Locks => _locks ??= new FileLocks();

    internal bool HasLocks => _locks is not null;

    // ---- directories ---------------------------------------------------------------------------------------------

    /// <summary>Whether names once found may be kept as dentries; false where entries come and go by themselves (/proc).</summary>
    public virtual bool CachesNames => true;

    /// <summary>Whether something can be mounted on it; not on what comes and goes with a process (/proc/PID/fd).</summary>
    public virtual bool CanBeMountPoint => true;

    /// <summary>Whether a name once found stays what it is until this kernel changes it; false where others change the tree too (volumes): each walk looks anew.</summary>
    public virtual bool HoldsNames => true;

    /// <summary>The entry of that name, or ENOENT. Never "." or "..".</summary>
    public virtual Result<Inode> Lookup(string name) => Errno.ENOTDIR;

    /// <summary>Makes a file of any type (the mode's S_IFMT) under a name that does not exist.</summary>
    public virtual Result<Inode> Create(string name, in NewNode node) => Errno.EPERM;

    /// <summary>link(2): another name for a file of the same file system.</summary>
    public virtual Errno Link(string name, Inode target) => Errno.EPERM;

    /// <summary>unlink(2) of something that is no directory.</summary>
    public virtual Errno Unlink(string name, Inode child) => Errno.EPERM;

    /// <summary>rmdir(2); ENOTEMPTY is found here.</summary>
    public virtual Errno RemoveDirectory(string name, Inode child) => Errno.EPERM;

    /// <summary>renameat2(2) within the file system. <paramref name="replaced"/> is what is there now and goes (or changes places when
    /// <paramref name="exchange"/>); types fit; ENOTEMPTY is found here.</summary>
    public virtual Errno Rename(string oldName, Inode child, Inode newParent, string newName, Inode? replaced, bool exchange) => Errno.EXDEV;

    /// <summary>Hands out entries from <paramref name="position"/> (at first 2; 0 and 1 are the caller's for "." and ".."), in an order and
    /// with positions that stay put while other entries come and go.</summary>
    public virtual Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader) => Errno.ENOTDIR;

    // ---- symbolic links ------------------------------------------------------------------------------------------

    /// <summary>readlink(2).</summary>
    public virtual Result<string> ReadLink(Task? caller) => Errno.EINVAL;

    /// <summary>Whether following it jumps (<see cref="Follow"/>) instead of walking the text of <see cref="ReadLink"/>.</summary>
    public virtual bool IsMagicLink => false;

    /// <summary>Where a magic link leads.</summary>
    public virtual Result<LinkTarget> Follow(Task caller) => Errno.EINVAL;

    // ---- files ---------------------------------------------------------------------------------------------------

    /// <summary>Opens it; the description has no reference yet. O_TRUNC has been done, O_CREAT is past.</summary>
    public virtual Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => Errno.ENXIO;

    /// <summary>st_size.</summary>
    public virtual long Size => 0;

    /// <summary>st_blocks.</summary>
    public virtual long Blocks => (Size + 511) / 512;

    /// <summary>truncate(2).</summary>
    public virtual Errno Truncate(long length) => Errno.EINVAL;

    /// <summary>The object behind a socket's or FIFO's name; null when nobody is there.</summary>
    public virtual FileObject? BoundSocket
    {
        get => null;
        set => throw new InvalidOperationException("not a socket inode");
    }

    public virtual FileStatus GetStatus() => new()
    {
        Device = _fileSystem.Device,
        Inode = _number,
        Mode = _mode,
        LinkCount = LinkCount,
        Uid = _uid,
        Gid = _gid,
        SpecialDevice = _specialDevice,
        Size = Size,
        BlockSize = 4096,
        Blocks = Blocks,
        AccessTime = _accessTime,
        ModifyTime = _modifyTime,
        ChangeTime = _changeTime,
        BirthTime = _birthTime,
    };

    /// <summary>chmod, chown, utimensat. ctime is set.</summary>
    public virtual Errno SetAttributes(in AttributeChange change)
    {
        if (change.Permissions is { } permissions)
            _mode = (_mode & S.IFMT) | (permissions & S.PermissionMask);
        _uid = change.Uid ?? _uid;
        _gid = change.Gid ?? _gid;
        _accessTime = change.AccessTime ?? _accessTime;
        _modifyTime = change.ModifyTime ?? _modifyTime;
        _changeTime = _fileSystem.Now;
        return Errno.None;
    }

    /// <summary>The extended attributes; null where the file system has none.</summary>
    public virtual ExtendedAttributes? ExtendedAttributes => null;

    /// <summary>Called before they change (copy-up).</summary>
    protected internal virtual Errno PrepareAttributeChange() => Errno.None;

    /// <summary>Content changed: mtime and ctime.</summary>
    public void TouchModified() => _modifyTime = _changeTime = _fileSystem.Now;

    /// <summary>Metadata changed: ctime.</summary>
    public void TouchChanged() => _changeTime = _fileSystem.Now;

    // ---- life ----------------------------------------------------------------------------------------------------

    /// <summary>A description of it was opened.</summary>
    internal void AddOpen(bool writes = false)
    {
        _openCount++;
        if (writes)
            _writeCount++;
    }

    /// <summary>A description of it is gone.</summary>
    internal void DropOpen(bool writes = false)
    {
        _openCount--;
        if (writes)
            _writeCount--;
        EvictIfUnused();
        if (_openCount == 0)
            OnAllClosed();
    }

    /// <summary>To be called when a link has gone.</summary>
    internal void EvictIfUnused()
    {
        if (_openCount != 0 || LinkCount != 0)
            return;
        if (HasWatches)
            FileNotifier.OnGone(this, FileEvent.DeleteSelf);
        OnEvicted();
        if (_counted)
            _fileSystem.Quota?.ReturnInode();
        _counted = false;
    }

    /// <summary>Counts it among the inodes that its file system may have; ENOSPC.</summary>
    internal Errno Enlist()
    {
        Errno error = _counted || _fileSystem.Quota is not { } quota ? Errno.None : quota.TakeInode();
        _counted = error == Errno.None && _fileSystem.Quota is not null;
        return error;
    }

    /// <summary>No open description is left.</summary>
    protected virtual void OnAllClosed()
    {
    }

    /// <summary>Neither a name nor an open description is left: storage can be given back.</summary>
    protected virtual void OnEvicted()
    {
    }

    // ---- permission ----------------------------------------------------------------------------------------------

    private const int CapDacOverride = 1, CapDacReadSearch = 2, CapFowner = 3;

    /// <summary>The check of path_resolution(7) with CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.</summary>
    public Errno CheckAccess(Credentials credentials, FileAccessMask wanted)
    {
        uint bits = _mode;
        if (credentials.FsUid == _uid)
            bits >>= 6;
        else if (credentials.InGroup(_gid))
            bits >>= 3;
        if (((uint)wanted & ~bits) == 0)
            return Errno.None;
        bool onlyReads = (wanted & FileAccessMask.Write) == 0;
        if (IsDirectory)
        {
            return credentials.HasOver(_uid, _gid, CapDacOverride) || (onlyReads && credentials.HasOver(_uid, _gid, CapDacReadSearch)) ? Errno.None : Errno.EACCES;
        }

        if (wanted == FileAccessMask.Read && credentials.HasOver(_uid, _gid, CapDacReadSearch))
            return Errno.None;
        if (((wanted & FileAccessMask.Execute) == 0 || (_mode & 0x49) != 0) && credentials.HasOver(_uid, _gid, CapDacOverride))
            return Errno.None;
        return Errno.EACCES;
    }

    /// <summary>Whether the caller owns the file or may act as if (CAP_FOWNER).</summary>
    public bool IsOwner(Credentials credentials) => credentials.FsUid == _uid || credentials.HasOver(_uid, _gid, CapFowner);
}
