using Gofer.Protocol;
using Sentry.FileSystems.GoferFs;

namespace Sentry.FileSystems.Overlay;

/// <summary>A regular file of the base tree. Opening it for writing puts it into the upper tree at once; its pages are copied when they are written.</summary>
[Savable("overlay-file")]
public sealed partial class OverlayFile : MemoryFile, IAfterLoad
{
    [Saved(1)] private GoferNode _lower;
    [Saved(2)] private OverlayOrigin _origin;
    [NotSaved("asked for again; only shown")] private long _lowerBlocks;

    internal OverlayFile(OverlayFileSystem fileSystem, GoferNode lower, in NodeAttributes attributes, OverlayOrigin origin)
        : base(fileSystem, lower.InodeNumber, attributes.Mode, attributes.Uid, attributes.Gid)
    {
        _lower = lower;
        _origin = origin;
        _lowerBlocks = attributes.Blocks;
        LinkCount = attributes.LinkCount;
        AccessTime = attributes.AccessTime;
        ModifyTime = attributes.ModifyTime;
        ChangeTime = attributes.ChangeTime;
        BirthTime = attributes.BirthTime;
    }

    internal GoferNode Lower => _lower;

    /// <summary>Whether a restored sandbox would find other bytes if the base file changed.</summary>
    internal bool DependsOnBase => (OpenCount > 0 || (_origin.IsCopiedUp && LinkCount > 0)) && (HasData ? Data.UsesLower : _lower.Size > 0);

    public override long Size => HasData ? base.Size : _lower.Size;

    public override long Blocks => HasData && _origin.IsCopiedUp ? base.Blocks : _lowerBlocks;

    protected override ExtendedAttributes LoadExtendedAttributes() => _lower.GetExtendedAttributes();

    protected override FileData MakeData() => new(FileSystem.Kernel.FileData, _lower, _lower.Size);

    protected override Errno PrepareChange()
    {
        if (_origin.IsCopiedUp)
            return Errno.None;
        ((OverlayFileSystem)FileSystem).AddDependent(this);

        // Other names of the base file stay what they are: from here on this is a file of its own (as with overlayfs without an index).
        LinkCount = 1;
        return _origin.CopyUp(this);
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags)
    {
        Result<FileObject> file = base.Open(caller, path, flags);
        if (file.IsOk)
            ((OverlayFileSystem)FileSystem).AddDependent(this);
        return file;
    }

    protected override void OnAllClosed()
    {
        if (!_origin.IsCopiedUp)
            ((OverlayFileSystem)FileSystem).RemoveDependent(this);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links)
            ((OverlayFileSystem)FileSystem).AddDependent(this);
    }
}

/// <summary>A symbolic link of the base tree.</summary>
[Savable("overlay-symlink")]
public sealed partial class OverlaySymlink : MemorySymlink
{
    [Saved(1)] private OverlayOrigin _origin;

    internal OverlaySymlink(OverlayFileSystem fileSystem, GoferNode lower, in NodeAttributes attributes, string target, OverlayOrigin origin)
        : base(fileSystem, lower.InodeNumber, target, attributes.Uid, attributes.Gid)
    {
        _origin = origin;
        LinkCount = attributes.LinkCount;
        AccessTime = attributes.AccessTime;
        ModifyTime = attributes.ModifyTime;
        ChangeTime = attributes.ChangeTime;
        BirthTime = attributes.BirthTime;
    }

    protected override Errno PrepareChange()
    {
        if (!_origin.IsCopiedUp)
            LinkCount = 1;
        return _origin.CopyUp(this);
    }
}

/// <summary>A device node, FIFO or socket of the base tree: the name is the base's, what is behind it is the sandbox's own.</summary>
[Savable("overlay-special")]
public sealed partial class OverlaySpecial : MemorySpecial
{
    [Saved(1)] private OverlayOrigin _origin;

    internal OverlaySpecial(OverlayFileSystem fileSystem, GoferNode lower, in NodeAttributes attributes, OverlayOrigin origin)
        : base(fileSystem, lower.InodeNumber, attributes.Mode, attributes.Uid, attributes.Gid, attributes.SpecialDevice)
    {
        _origin = origin;
        LinkCount = 1;
        AccessTime = attributes.AccessTime;
        ModifyTime = attributes.ModifyTime;
        ChangeTime = attributes.ChangeTime;
        BirthTime = attributes.BirthTime;
    }

    protected override Errno PrepareAttributeChange() => _origin.CopyUp(this);

    public override Errno SetAttributes(in AttributeChange change)
    {
        Errno error = _origin.CopyUp(this);
        return error != Errno.None ? error : base.SetAttributes(change);
    }
}
