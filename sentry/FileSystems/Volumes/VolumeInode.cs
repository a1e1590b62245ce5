using Gofer.Protocol;

namespace Sentry.FileSystems.Volumes;

/// <summary>A file of a volume, by the name under which it was last found.</summary>
[Savable("volume-inode")]
public abstract partial class VolumeInode : Inode, IAfterLoad
{
    // What was asked this short a time ago, usually by the walk of the same call, is not asked again.
    private const long Fresh = 20_000;

    [Saved(1)] private VolumeDirectory? _parent;
    [Saved(2)] private string _name;
    [Saved(3)] private bool _gone;
    [Saved(4)] private long _size;
    [Saved(5)] private long _blocks;
    [NotSaved("asked for again")] private NodeAttributes? _attributes;
    [NotSaved("asked for again")] private long _learnedAt;

    internal VolumeInode(VolumeFileSystem volume, VolumeDirectory? parent, string name, in NodeAttributes attributes)
        : base(volume, attributes.Inode, attributes.Mode, attributes.Uid, attributes.Gid)
    {
        _parent = parent;
        _name = name;
        SpecialDevice = attributes.SpecialDevice;
        Learn(attributes);
    }

    internal VolumeFileSystem Volume => (VolumeFileSystem)FileSystem;

    internal VolumeDirectory? ParentDirectory => _parent;

    internal string Name => _name;

    /// <summary>The file has no name any more, or was not found again: it cannot be asked about by name.</summary>
    internal bool IsGone => _gone;

    /// <summary>What was last said of it.</summary>
    internal NodeAttributes? Known => _attributes;

    public override long Size => _size;

    public override long Blocks => _blocks;

    internal bool IsSame(in NodeAttributes attributes) => _attributes is { } own && own.Device == attributes.Device && own.Inode == attributes.Inode
        && own.BirthTime == attributes.BirthTime && (own.Mode & S.IFMT) == (attributes.Mode & S.IFMT);

    internal void Learn(in NodeAttributes attributes)
    {
        _attributes = attributes;
        _learnedAt = FileSystem.Kernel.Clock.Monotonic;
        _size = attributes.Size;
        _blocks = attributes.Blocks;
        Mode = attributes.Mode;
        Uid = attributes.Uid;
        Gid = attributes.Gid;
        LinkCount = attributes.LinkCount;
        AccessTime = attributes.AccessTime;
        ModifyTime = attributes.ModifyTime;
        ChangeTime = attributes.ChangeTime;
        BirthTime = attributes.BirthTime;
    }

    /// <summary>What was said of it need not hold any more.</summary>
    internal void Doubt() => _learnedAt = 0;

    internal void FoundAt(VolumeDirectory? parent, string name)
    {
        (_parent, _name) = (parent, name);
        _gone = false;
    }

    /// <summary>One of its names is gone.</summary>
    internal void LostName()
    {
        if (IsDirectory || LinkCount <= 1)
        {
            LinkCount = 0;
            _gone = true;
            Volume.ForgetForSync(this);
            if (_attributes is { } attributes)
                Volume.Forget(attributes);
        }
        else
        {
            LinkCount--;
        }

        Doubt();
    }

    /// <summary>How to name it to the gofer.</summary>
    internal virtual Result<(uint Directory, string Name)> GetPlace()
    {
        if (_gone)
            return Errno.ESTALE;
        if (_parent is null)
            return (Volume.RootHandle, "");
        return _parent.GetHandle().TryGet(out uint handle, out Errno error) ? (handle, _name) : error;
    }

    /// <summary>Asks for the attributes; ESTALE when the name leads to another file now.</summary>
    internal Errno Refresh()
    {
        if (!GetPlace().TryGet(out (uint Directory, string Name) place, out Errno error)
            || !Volume.Client.Look(place.Directory, place.Name).TryGet(out (NodeAttributes Attributes, string Link) found, out error))
            return error;
        if (!IsSame(found.Attributes))
            return Errno.ESTALE;
        Learn(found.Attributes);
        return Errno.None;
    }

    public override FileStatus GetStatus()
    {
        // What is not to be found has the attributes that it was last seen with.
        if (FileSystem.Kernel.Clock.Monotonic - _learnedAt > Fresh)
            Refresh();
        return base.GetStatus();
    }

    /// <summary>With attributes that were just asked for.</summary>
    internal FileStatus GetStatus(in NodeAttributes attributes)
    {
        Learn(attributes);
        return base.GetStatus();
    }

    public override Errno SetAttributes(in AttributeChange change)
    {
        uint fields = (change.Permissions is null ? 0 : NodeChange.HasPermissions) | (change.Uid is null ? 0 : NodeChange.HasUid) | (change.Gid is null ? 0 : NodeChange.HasGid)
            | (change.AccessTime is null ? 0 : NodeChange.HasAccessTime) | (change.ModifyTime is null ? 0 : NodeChange.HasModifyTime);
        return Change(new NodeChange(fields, change.Permissions ?? 0, change.Uid ?? 0, change.Gid ?? 0, 0, change.AccessTime ?? 0, change.ModifyTime ?? 0));
    }

    protected Errno Change(in NodeChange change)
    {
        if (!GetPlace().TryGet(out (uint Directory, string Name) place, out Errno error)
            || !Volume.Client.SetAttributes(place.Directory, place.Name, change).TryGet(out NodeAttributes attributes, out error))
            return error;
        Learn(attributes);
        return Errno.None;
    }

    /// <summary>After a restore: looks for it under its name.</summary>
    internal Errno FindAgain()
    {
        if (_attributes is not null)
            return Errno.None;
        if (_gone)
            return Errno.ESTALE;
        Errno error = _parent?.FindAgain() ?? Errno.None;
        (uint Directory, string Name) place = (Volume.RootHandle, "");
        if (error == Errno.None && _parent is not null)
        {
            if (_parent.GetHandle().TryGet(out uint handle, out error))
                place = (handle, _name);
        }

        (NodeAttributes Attributes, string Link) found = default;
        if (error == Errno.None)
            Volume.Client.Look(place.Directory, place.Name).TryGet(out found, out error);
        if (error == Errno.None && (found.Attributes.Mode & S.IFMT) != (Mode & S.IFMT))
            error = Errno.ESTALE;
        if (error != Errno.None)
        {
            _gone = true;
            return error;
        }

        OnFoundAgain(found.Attributes);
        Learn(found.Attributes);
        Volume.Remember(HostIdentity.Of(found.Attributes), this);
        return Errno.None;
    }

    /// <summary>It is there again; its size and times are still those it was saved with.</summary>
    protected virtual void OnFoundAgain(in NodeAttributes attributes)
    {
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links)
            Volume.Loaded(this);
    }
}

/// <summary>A symbolic link of a volume. Its text never changes.</summary>
[Savable("volume-symlink")]
public sealed partial class VolumeSymlink : VolumeInode
{
    [Saved(1)] private string _target;

    internal VolumeSymlink(VolumeFileSystem volume, VolumeDirectory? parent, string name, in NodeAttributes attributes, string target)
        : base(volume, parent, name, attributes) => _target = target;

    public override Result<string> ReadLink(Task? caller) => _target;
}

/// <summary>A FIFO or socket of a volume: the name is shared with the host, what is behind it is the sandbox's own.</summary>
[Savable("volume-special")]
public sealed partial class VolumeSpecial : VolumeInode
{
    [Saved(1)] private MemorySpecial _inner;

    internal VolumeSpecial(VolumeFileSystem volume, VolumeDirectory? parent, string name, in NodeAttributes attributes)
        : base(volume, parent, name, attributes) => _inner = new MemorySpecial(volume, attributes.Mode, attributes.Uid, attributes.Gid, attributes.SpecialDevice);

    public override FileObject? BoundSocket
    {
        get => _inner.BoundSocket;
        set => _inner.BoundSocket = value;
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => (Mode & S.IFMT) == S.IFIFO ? _inner.Open(caller, path, flags) : Errno.ENXIO;
}
