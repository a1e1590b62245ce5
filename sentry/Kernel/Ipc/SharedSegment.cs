namespace Sentry.Kernel.Ipc;

/// <summary>A System V shared memory segment (shmget(2)): a nameless file that shmat(2) maps.</summary>
[Savable("shm-segment")]
internal sealed partial class SharedSegment : IpcObject
{
    /// <summary>SHM_DEST: goes with its last attachment. SHM_LOCKED.</summary>
    internal const uint Destroyed = 0x200, Locked = 0x400;

    [Saved(1)] private IpcNamespace _owner;
    [Saved(2)] private SegmentFile _file;
    [Saved(3)] private long _size;
    [Saved(4)] private long _attachTime;
    [Saved(5)] private long _detachTime;
    [Saved(6)] private int _creatorPid;
    [Saved(7)] private int _lastPid;
    [Saved(8)] private VfsPath _place;

    private SharedSegment(Task creator, int key, int flags, IpcNamespace owner, long size)
        : base(creator, key, flags)
    {
        _owner = owner;
        _size = size;
        _creatorPid = creator.Group.Pid;
        Mount mount = creator.Kernel.MountRegistry.GetAnonymousMount(creator.Kernel);
        _file = new SegmentFile(mount.FileSystem, this, Uid, Gid);
        var dentry = new Dentry(mount.Root, "SYSV" + key.ToString("x8", System.Globalization.CultureInfo.InvariantCulture), _file);
        dentry.Unhash();
        _place = new VfsPath(mount, dentry);
    }

    /// <summary>Makes a segment of zeros; its id is still to be given.</summary>
    internal static Result<SharedSegment> Make(Task creator, int key, int flags, IpcNamespace owner, ulong size)
    {
        if (size > (ulong)FileData.MaxSize)
            return Errno.ENOMEM;
        var segment = new SharedSegment(creator, key, flags, owner, (long)size);
        Errno error = segment._file.Truncate((long)Mappings.RoundUp(size));
        return error == Errno.None ? segment : error;
    }

    /// <summary>As asked for; what is mapped are whole pages.</summary>
    internal long Size => _size;

    internal long Pages => (_size + (long)Mappings.PageSize - 1) / (long)Mappings.PageSize;

    internal long AttachTime => _attachTime;

    internal long DetachTime => _detachTime;

    internal int CreatorPid => _creatorPid;

    internal int LastPid => _lastPid;

    /// <summary>A description to be mapped; without reference.</summary>
    internal Result<FileObject> Open(bool writable) => _file.Open(null, _place, writable ? OpenFlags.ReadWrite : OpenFlags.ReadOnly);

    internal void OnAttached(Task task)
    {
        _attachTime = Now(task);
        _lastPid = task.Group.Pid;
    }

    internal void OnDetached(Task task)
    {
        _detachTime = Now(task);
        _lastPid = task.Group.Pid;
    }

    /// <summary>shm_nattch: the mappings of it in all processes.</summary>
    internal int CountAttachments(GuestKernel kernel)
    {
        if (_file.OpenCount == 0)
            return 0;
        int count = 0;
        var seen = new HashSet<MemoryManager>();
        foreach (Task task in kernel.Tasks.Values)
        {
            if (!seen.Add(task.Memory))
                continue;
            foreach (Area area in task.Memory.Areas.All)
            {
                if (area.File is InodeFile file && ReferenceEquals(file.Inode, _file))
                    count++;
            }
        }

        return count;
    }

    /// <summary>IPC_RMID: gone at once when nobody has it attached, else found by id alone until the last detaches.</summary>
    internal void Destroy()
    {
        Key = Private;
        Mode |= Destroyed;
        _file.LinkCount = 0;
        if (_file.OpenCount == 0)
            Discard();
    }

    /// <summary>The last attachment is gone.</summary>
    internal void OnUnused()
    {
        if ((Mode & Destroyed) != 0)
            Discard();
    }

    private void Discard()
    {
        if (IsRemoved)
            return;
        _owner.Segments.Remove(this);
        _file.EvictIfUnused();
    }
}

/// <summary>The pages of a segment.</summary>
[Savable("shm-file")]
internal sealed partial class SegmentFile : MemoryFile
{
    [Saved(1)] private SharedSegment _segment;

    internal SegmentFile(FileSystem fileSystem, SharedSegment segment, uint uid, uint gid)
        : base(fileSystem, S.IFREG | 0x1FF, uid, gid)
    {
        _segment = segment;
    }

    internal SharedSegment Segment => _segment;

    protected override void OnAllClosed() => _segment.OnUnused();
}
