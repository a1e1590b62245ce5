namespace Sentry.Kernel.Files;

/// <summary>Flags of open(2) and fcntl(F_GETFL) on x86-64.</summary>
[Flags]
public enum OpenFlags
{
    ReadOnly = 0,
    WriteOnly = 1,
    ReadWrite = 2,
    AccessMode = 3,
    Create = 0x40,
    Exclusive = 0x80,
    NoCtty = 0x100,
    Truncate = 0x200,
    Append = 0x400,
    NonBlock = 0x800,
    DSync = 0x1000,
    Async = 0x2000,
    Direct = 0x4000,
    LargeFile = 0x8000,
    Directory = 0x10000,
    NoFollow = 0x20000,
    NoAtime = 0x40000,
    CloseOnExec = 0x80000,
    Sync = 0x101000,
    Path = 0x200000,
    TmpFile = 0x410000,
}

/// <summary>A piece of a host file that backs a piece of a guest file, for mmap(2).</summary>
public readonly record struct HostExtent(ulong FileOffset, ulong Length, int HostDescriptor, long HostOffset);

/// <summary>An open file description: what descriptors refer to. Methods only try; they answer EAGAIN where they would wait, and whoever
/// called decides about waiting (<see cref="Task.WaitForFile"/>). Reference counted by descriptors, mappings and messages in flight.</summary>
[Savable("file")]
public abstract partial class FileObject
{
    [Saved(1)] private int _references;
    [Saved(2)] private OpenFlags _flags;
    [Saved(3)] private long _offset;
    [Saved(80)] private FileLocks? _locks;
    [Saved(81)] private AsyncOwner? _asyncOwner;
    [Saved(82)] private DirectoryNotify? _notify;
    [Saved(83)] private bool _wasCreated;
    [NotSaved("watchers register again after a restore")] private object? _watchers;

    protected FileObject(OpenFlags flags) => _flags = flags & ~(OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoCtty | OpenFlags.Truncate | OpenFlags.CloseOnExec);

    /// <summary>Access mode and status flags (F_GETFL, F_SETFL).</summary>
    public OpenFlags Flags
    {
        get => _flags;
        set => _flags = value;
    }

    /// <summary>The file offset of files that have one.</summary>
    public long Offset
    {
        get => _offset;
        set => _offset = value;
    }

    public bool CanRead => (_flags & OpenFlags.Path) == 0 && (_flags & OpenFlags.AccessMode) is OpenFlags.ReadOnly or OpenFlags.ReadWrite;

    public bool CanWrite => (_flags & OpenFlags.Path) == 0 && (_flags & OpenFlags.AccessMode) is OpenFlags.WriteOnly or OpenFlags.ReadWrite;

    public bool IsNonBlocking => (_flags & OpenFlags.NonBlock) != 0;

    /// <summary>How many hold it. 0 before the first <see cref="AddReference"/>.</summary>
    public int References => _references;

    public void AddReference() => _references++;

    /// <summary>Drops one reference; the last one calls <see cref="OnRelease"/>.</summary>
    public void Release()
    {
        if (--_references != 0)
            return;
        object? watchers = _watchers;
        _watchers = null;
        (watchers as IFileWatcher)?.OnFileReleased(this);
        foreach (IFileWatcher watcher in watchers as List<IFileWatcher> ?? [])
            watcher.OnFileReleased(this);

        if (HasLocks)
            Locks.ReleaseFlock(this);
        _asyncOwner?.Listen(false);
        StopNotify();
        OnRelease();
    }

    /// <summary>Has <paramref name="watcher"/> told when the last reference goes, without itself being a reference (epoll(7), question 6).</summary>
    internal void AddWatcher(IFileWatcher watcher)
    {
        // A list is made for the second one only: most sockets of a server have one watcher.
        if (_watchers is null)
            _watchers = watcher;
        else if (_watchers is List<IFileWatcher> several)
            several.Add(watcher);
        else
            _watchers = new List<IFileWatcher>(2) { (IFileWatcher)_watchers, watcher };
    }

    internal void RemoveWatcher(IFileWatcher watcher)
    {
        if (ReferenceEquals(_watchers, watcher))
            _watchers = null;
        else
            (_watchers as List<IFileWatcher>)?.Remove(watcher);
    }

    /// <summary>The last reference is gone.</summary>
    protected virtual void OnRelease()
    {
    }

    /// <summary>One descriptor of <paramref name="group"/> was closed (flush of POSIX locks and the like).</summary>
    public virtual void OnDescriptorClosed(ThreadGroup group)
    {
        if (HasLocks)
            Locks.ReleasePosix(group);
    }

    /// <summary>Whether O_ASYNC does anything: terminals, sockets, pipes, FIFOs and inotify (open(2), BUGS); a signalfd that raised signals would raise them without end.</summary>
    internal virtual bool RaisesSignals => false;

    /// <summary>Who is signalled about it; null when nobody was ever named.</summary>
    internal AsyncOwner? AsyncOwner => _asyncOwner;

    internal AsyncOwner GetAsyncOwner(Task caller) => _asyncOwner ??= new AsyncOwner(this, caller);

    /// <summary>Whether the open made the file (F_CREATED_QUERY).</summary>
    internal bool WasCreated
    {
        get => _wasCreated;
        set => _wasCreated = value;
    }

    /// <summary>F_NOTIFY.</summary>
    internal DirectoryNotify? Notify
    {
        get => _notify;
        set => _notify = value;
    }

    internal void StopNotify()
    {
        _notify?.Detach();
        _notify = null;
    }

    /// <summary>The advisory locks on what it is a description of, made when first asked for.</summary>
    internal virtual FileLocks Locks => _locks ??= new FileLocks();

    internal virtual bool HasLocks => _locks is not null;

    /// <summary>open(2) of a magic link to it (/proc/self/fd/N) when it has no place in the tree: a new description of the same thing.</summary>
    public virtual Result<FileObject> Reopen(Task caller, OpenFlags flags) => Errno.ENXIO;

    /// <summary>What <c>readlink /proc/self/fd/N</c> shows, e.g. <c>pipe:[17]</c> or a path.</summary>
    public abstract string Describe();

    /// <summary>Lines of /proc/PID/fdinfo that only this kind of file has.</summary>
    public virtual string DescribeDetails() => "";

    /// <summary>Where it can be waited for; null when it is always ready.</summary>
    public virtual WaitQueue? WaitQueue => null;

    /// <summary>How long a call may wait for these events, ns (SO_RCVTIMEO, SO_SNDTIMEO); negative for any time.</summary>
    public virtual long WaitTimeout(PollEvents events) => -1;

    /// <summary>What it is ready for now (without the caller's mask).</summary>
    public virtual PollEvents Poll() => PollEvents.In | PollEvents.Out | PollEvents.RdNorm | PollEvents.WrNorm;

    /// <summary>Whether epoll_ctl takes it (EPERM for regular files and directories).</summary>
    public virtual bool CanPoll => WaitQueue is not null;

    /// <summary>Whether a blocking write goes on until everything has been taken (pipes, stream sockets), however often it must wait.</summary>
    public virtual bool WritesInFull => false;

    /// <summary>Asked before each try at a read or a write: how it ends when the caller may not go on now (a terminal's job control); null when it may.</summary>
    public virtual SyscallResult? CheckUse(Task caller, bool write) => null;

    /// <summary>A read met EAGAIN: waits, or says EAGAIN where it must not (O_NONBLOCK, <paramref name="dontWait"/>).</summary>
    public virtual SyscallResult WaitToRead(Task task, bool dontWait) => task.WaitForFile(this, PollEvents.ReadMask, dontWait);

    /// <summary>read(2) at the file offset, moving it. Access mode has been checked. Bytes read, 0 at the end; EAGAIN instead of waiting.</summary>
    public virtual Result<long> Read(Task caller, in UserBuffer destination) => Errno.EINVAL;

    /// <summary>Whether EPIPE of a write comes with SIGPIPE: not of datagrams (write(2), socket(7)).</summary>
    public virtual bool RaisesPipeSignal => true;

    /// <summary>write(2) at the file offset, moving it. EPIPE makes the caller raise SIGPIPE.</summary>
    public virtual Result<long> Write(Task caller, in UserBuffer source) => Errno.EINVAL;

    /// <summary>pread(2); ESPIPE where there is no offset.</summary>
    public virtual Result<long> ReadAt(Task caller, in UserBuffer destination, long offset) => Errno.ESPIPE;

    public virtual Result<long> WriteAt(Task caller, in UserBuffer source, long offset) => Errno.ESPIPE;

    /// <summary>lseek(2).</summary>
    public virtual Result<long> Seek(long offset, int whence) => Errno.ESPIPE;

    /// <summary>ioctl(2); FIOCLEX, FIONBIO and the like have been handled.</summary>
    public virtual SyscallResult Ioctl(Task caller, uint request, ulong argument) => Errno.ENOTTY;

    /// <summary>The commands of fcntl(2) that only some files know (F_SETPIPE_SZ, …).</summary>
    public virtual SyscallResult Fcntl(Task caller, int command, ulong argument) => Errno.EINVAL;

    /// <summary>Whether it is a regular file with bytes at offsets, which calls for such files take.</summary>
    public virtual bool IsRegularFile => false;

    /// <summary>fallocate(2) with a checked mode, offset and length; the size limit has been looked at.</summary>
    public virtual Errno Allocate(int mode, long offset, long length) => Errno.ENODEV;

    /// <summary>fstat(2).</summary>
    public abstract Result<FileStatus> GetStatus();

    public virtual Errno Truncate(long length) => Errno.EINVAL;

    /// <summary>fsync(2) of what has nothing to wait for.</summary>
    public virtual Errno Sync() => Errno.EINVAL;

    /// <summary>fsync(2), or fdatasync(2), of what the host's disk must be waited for; null of what <see cref="Sync"/> answers.</summary>
    public virtual HostSync? StartSync(bool dataOnly) => null;

    /// <summary>Each write is to reach the disk before it returns (O_SYNC, O_DSYNC), and that has to be waited for by <see cref="StartSync"/>.</summary>
    public virtual bool SyncsWrites => false;

    /// <summary>The host file pieces that back [offset, offset+length) for mmap(2), page-aligned; what lies beyond the end of the file is left out.
    /// A shared mapping sees and makes changes of the file; a private one may be backed by pages that never change. ENODEV: not mappable.</summary>
    public virtual Errno GetHostExtents(ulong offset, ulong length, bool shared, bool writable, List<HostExtent> extents) => Errno.ENODEV;
}

/// <summary>Told when an open file description ends.</summary>
internal interface IFileWatcher
{
    void OnFileReleased(FileObject file);
}

/// <summary>What stat(2) tells, before it is put into the shape of one call.</summary>
public record struct FileStatus
{
    public ulong Device { get; set; }

    public ulong Inode { get; set; }

    /// <summary>S_IFMT type and permission bits.</summary>
    public uint Mode { get; set; }

    public uint LinkCount { get; set; }

    public uint Uid { get; set; }

    public uint Gid { get; set; }

    public ulong SpecialDevice { get; set; }

    public long Size { get; set; }

    public int BlockSize { get; set; }

    /// <summary>Units of 512 bytes.</summary>
    public long Blocks { get; set; }

    /// <summary>ns since 1970, as are the next three.</summary>
    public long AccessTime { get; set; }

    public long ModifyTime { get; set; }

    public long ChangeTime { get; set; }

    public long BirthTime { get; set; }
}
