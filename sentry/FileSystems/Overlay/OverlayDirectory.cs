using Gofer.Protocol;
using Sentry.FileSystems.GoferFs;

namespace Sentry.FileSystems.Overlay;

/// <summary>Where an object of the base tree belongs in the upper one once it changes.</summary>
[Savable("overlay-origin")]
public sealed partial class OverlayOrigin
{
    [Saved(1)] private OverlayDirectory _parent;
    [Saved(2)] private string _name;
    [Saved(3)] private bool _copiedUp;

    internal OverlayOrigin(OverlayDirectory parent, string name)
    {
        _parent = parent;
        _name = name;
    }

    internal bool IsCopiedUp => _copiedUp;

    /// <summary>Puts the object into the upper tree, and the directories above it.</summary>
    internal Errno CopyUp(Inode inode)
    {
        if (_copiedUp)
            return Errno.None;
        Errno error = _parent.Adopt(_name, inode);
        _copiedUp = error == Errno.None;
        return error;
    }
}

/// <summary>A directory of the base tree, with what the sandbox made of it.</summary>
[Savable("overlay-directory")]
public sealed partial class OverlayDirectory : MemoryDirectory
{
    [Saved(1)] private GoferNode _lower;
    [Saved(2)] private OverlayOrigin? _origin;

    internal OverlayDirectory(OverlayFileSystem fileSystem, GoferNode lower, in NodeAttributes attributes, OverlayOrigin? origin)
        : base(fileSystem, lower.InodeNumber, attributes.Mode, attributes.Uid, attributes.Gid)
    {
        _lower = lower;
        _origin = origin;
        LinkCount = attributes.LinkCount;
        AccessTime = attributes.AccessTime;
        ModifyTime = attributes.ModifyTime;
        ChangeTime = attributes.ChangeTime;
        BirthTime = attributes.BirthTime;
    }

    public override long Size => 4096;

    public override long Blocks => 8;

    protected override ExtendedAttributes LoadExtendedAttributes() => _lower.GetExtendedAttributes();

    protected override Errno PrepareChange() => _origin?.CopyUp(this) ?? Errno.None;

    internal Errno Adopt(string name, Inode inode)
    {
        Errno error = PrepareChange();
        if (error == Errno.None)
            Insert(name, inode);
        return error;
    }

    protected override bool HasLower(string name) => _lower.Find(name).IsOk;

    protected override Result<Inode> LookupLower(string name)
    {
        if (!_lower.Find(name).TryGet(out GoferNode? node, out Errno error) || !node.GetAttributes().TryGet(out NodeAttributes attributes, out error))
            return error;
        var fileSystem = (OverlayFileSystem)FileSystem;
        var origin = new OverlayOrigin(this, name);
        switch (attributes.Mode & S.IFMT)
        {
            case S.IFDIR:
                return new OverlayDirectory(fileSystem, node, attributes, origin);
            case S.IFREG:
                return new OverlayFile(fileSystem, node, attributes, origin);
            case S.IFLNK:
                if (!node.GetLink().TryGet(out string? target, out error))
                    return error;
                return new OverlaySymlink(fileSystem, node, attributes, target, origin);
            default:
                return new OverlaySpecial(fileSystem, node, attributes, origin);
        }
    }

    protected override bool IsEmpty
    {
        get
        {
            if (!base.IsEmpty)
                return false;
            if (!_lower.List().TryGet(out GoferNode[]? entries, out _))
                return false;
            foreach (GoferNode entry in entries)
            {
                if (!Index.ContainsKey(entry.Name))
                    return false;
            }

            return true;
        }
    }

    /// <summary>First the names of the base tree in their order, whatever has become of them since, then those that only the upper one has.</summary>
    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (!_lower.List().TryGet(out GoferNode[]? entries, out Errno error))
            return error;
        if (position < FirstPosition)
        {
            for (long i = Math.Max(0, position - 2); i < entries.Length; i++)
            {
                GoferNode entry = entries[i];
                ulong number = entry.InodeNumber;
                uint mode = entry.Mode;
                if (Index.TryGetValue(entry.Name, out MemoryEntry? upper))
                {
                    if (upper.Inode is null)
                        continue;
                    number = upper.Inode.Number;
                    mode = upper.Inode.Mode;
                }

                if (!reader.Add(entry.Name, number, mode, i + 3))
                    return Errno.None;
            }
        }

        return base.ReadDirectory(caller, Math.Max(position, FirstPosition), reader);
    }
}
