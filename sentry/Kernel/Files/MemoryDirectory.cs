namespace Sentry.Kernel.Files;

/// <summary>An entry of a <see cref="MemoryDirectory"/>.</summary>
[Savable("memory-entry")]
public sealed partial class MemoryEntry
{
    [Saved(1)] private string _name;
    [Saved(2)] private Inode? _inode;
    [Saved(3)] private long _position;
    [Saved(4)] private bool _removed;

    internal MemoryEntry(string name, Inode? inode, long position)
    {
        _name = name;
        _inode = inode;
        _position = position;
    }

    public string Name => _name;

    /// <summary>Null is a whiteout: the name hides one of the lower tree.</summary>
    public Inode? Inode
    {
        get => _inode;
        internal set => _inode = value;
    }

    /// <summary>Where readdir finds it; entries are in this order.</summary>
    public long Position => _position;

    internal bool IsRemoved
    {
        get => _removed;
        set => _removed = value;
    }
}

/// <summary>A directory whose entries are kernel state (tmpfs). The overlay's directories add a lower tree to it by the protected overrides.</summary>
[Savable("memory-directory")]
public partial class MemoryDirectory : Inode
{
    [Saved(1)] private List<MemoryEntry> _entries = [];
    [Saved(2)] private long _nextPosition = FirstPosition;
    [Saved(3)] private ExtendedAttributes? _extended;
    [NotSaved("built from _entries when asked for")] private Dictionary<string, MemoryEntry>? _index;
    [NotSaved("counted by whoever removes; only a hint for compaction")] private int _removed;

    /// <summary>Entries made here come behind those of a lower tree.</summary>
    protected const long FirstPosition = 1L << 40;

    public MemoryDirectory(FileSystem fileSystem, uint mode, uint uid, uint gid)
        : base(fileSystem, mode, uid, gid)
    {
        LinkCount = 2;
    }

    protected MemoryDirectory(FileSystem fileSystem, ulong number, uint mode, uint uid, uint gid)
        : base(fileSystem, number, mode, uid, gid)
    {
        LinkCount = 2;
    }

    public override long Size => 20L * (2 + Index.Count);

    public override long Blocks => 0;

    /// <summary>The entries made here, whiteouts included, by name.</summary>
    protected Dictionary<string, MemoryEntry> Index
    {
        get
        {
            if (_index is null)
            {
                _index = new Dictionary<string, MemoryEntry>(_entries.Count);
                foreach (MemoryEntry entry in _entries)
                {
                    if (!entry.IsRemoved)
                        _index[entry.Name] = entry;
                }
            }

            return _index;
        }
    }

    // ---- what the overlay adds -----------------------------------------------------------------------------------

    /// <summary>An entry that is not among those made here.</summary>
    protected virtual Result<Inode> LookupLower(string name) => Errno.ENOENT;

    /// <summary>Whether removing the name must leave a whiteout.</summary>
    protected virtual bool HasLower(string name) => false;

    /// <summary>Called before anything in or of the directory changes.</summary>
    protected internal virtual Errno PrepareChange() => Errno.None;

    public override ExtendedAttributes ExtendedAttributes => _extended ??= LoadExtendedAttributes();

    /// <summary>Those it has at first.</summary>
    protected virtual ExtendedAttributes LoadExtendedAttributes() => new();

    protected internal override Errno PrepareAttributeChange() => PrepareChange();

    /// <summary>No entries but "." and "..".</summary>
    protected virtual bool IsEmpty
    {
        get
        {
            foreach (MemoryEntry entry in Index.Values)
            {
                if (entry.Inode is not null)
                    return false;
            }

            return true;
        }
    }

    /// <summary>An inode that is to become (or becomes again) an entry here, however it came about.</summary>
    protected internal void Insert(string name, Inode inode)
    {
        if (Index.TryGetValue(name, out MemoryEntry? there))
        {
            there.Inode = inode;
            return;
        }

        var entry = new MemoryEntry(name, inode, _nextPosition++);
        _entries.Add(entry);
        Index.Add(name, entry);
    }

    private void Remove(string name)
    {
        bool whiteout = HasLower(name);
        if (!Index.TryGetValue(name, out MemoryEntry? entry))
        {
            if (whiteout)
            {
                entry = new MemoryEntry(name, null, _nextPosition++);
                _entries.Add(entry);
                Index.Add(name, entry);
            }

            return;
        }

        entry.Inode = null;
        if (whiteout)
            return;
        Index.Remove(name);
        entry.IsRemoved = true;
        if (++_removed > 32 && _removed > _entries.Count / 2)
        {
            _entries.RemoveAll(e => e.IsRemoved);
            _removed = 0;
        }
    }

    // ---- the operations ------------------------------------------------------------------------------------------

    public override Result<Inode> Lookup(string name)
    {
        if (Index.TryGetValue(name, out MemoryEntry? entry))
            return entry.Inode is { } inode ? inode : Errno.ENOENT;
        return LookupLower(name);
    }

    public override Result<Inode> Create(string name, in NewNode node)
    {
        Errno error = PrepareChange();
        if (error != Errno.None)
            return error;
        uint mode = node.Mode;
        uint gid = node.Gid;
        if ((Mode & S.ISGID) != 0)
        {
            gid = Gid;
            if (S.IsDirectory(mode))
                mode |= S.ISGID;
        }

        Inode inode = (mode & S.IFMT) switch
        {
            S.IFDIR => new MemoryDirectory(FileSystem, mode, node.Uid, gid),
            S.IFREG => new MemoryFile(FileSystem, mode, node.Uid, gid),
            S.IFLNK => new MemorySymlink(FileSystem, node.Target, node.Uid, gid),
            _ => new MemorySpecial(FileSystem, mode, node.Uid, gid, node.Device),
        };
        error = inode.Enlist();
        if (error != Errno.None)
            return error;
        Insert(name, inode);
        if (inode.IsDirectory)
            LinkCount++;
        TouchModified();
        return inode;
    }

    public override Errno Link(string name, Inode target)
    {
        Errno error = PrepareChange();
        if (error == Errno.None)
            error = PrepareChild(target);
        if (error != Errno.None)
            return error;
        Insert(name, target);
        target.LinkCount++;
        target.TouchChanged();
        TouchModified();
        return Errno.None;
    }

    public override Errno Unlink(string name, Inode child)
    {
        Errno error = PrepareChange();
        if (error != Errno.None)
            return error;
        Remove(name);
        DropLink(child);
        TouchModified();
        return Errno.None;
    }

    public override Errno RemoveDirectory(string name, Inode child)
    {
        if (child is MemoryDirectory { IsEmpty: false })
            return Errno.ENOTEMPTY;
        Errno error = PrepareChange();
        if (error != Errno.None)
            return error;
        Remove(name);
        DropDirectory(child);
        TouchModified();
        return Errno.None;
    }

    public override Errno Rename(string oldName, Inode child, Inode newParent, string newName, Inode? replaced, bool exchange)
    {
        if (newParent is not MemoryDirectory target)
            return Errno.EXDEV;
        if (!exchange && replaced is MemoryDirectory { IsEmpty: false })
            return Errno.ENOTEMPTY;
        Errno error = PrepareChange();
        if (error == Errno.None)
            error = target.PrepareChange();
        if (error == Errno.None)
            error = PrepareChild(child);
        if (error == Errno.None && exchange)
            error = PrepareChild(replaced!);
        if (error != Errno.None)
            return error;
        if (exchange)
        {
            Insert(oldName, replaced!);
            MoveLink(replaced!, target, this);
            replaced!.TouchChanged();
        }
        else
        {
            Remove(oldName);
            if (replaced is not null)
            {
                if (replaced.IsDirectory)
                    target.DropDirectory(replaced);
                else
                    DropLink(replaced);
            }
        }

        target.Insert(newName, child);
        MoveLink(child, this, target);
        child.TouchChanged();
        TouchModified();
        target.TouchModified();
        return Errno.None;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        int low = 0;
        int high = _entries.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_entries[middle].Position < position)
                low = middle + 1;
            else
                high = middle;
        }

        for (int i = low; i < _entries.Count; i++)
        {
            MemoryEntry entry = _entries[i];
            if (entry.Inode is { } inode && !HasLower(entry.Name) && !reader.Add(entry.Name, inode.Number, inode.Mode, entry.Position + 1))
                break;
        }

        return Errno.None;
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => new DirectoryFile(path, flags);

    public override Errno SetAttributes(in AttributeChange change)
    {
        Errno error = PrepareChange();
        return error != Errno.None ? error : base.SetAttributes(change);
    }

    private static Errno PrepareChild(Inode child) => child switch
    {
        MemoryDirectory directory => directory.PrepareChange(),
        MemoryFile file => file.PrepareChange(),
        MemorySymlink link => link.PrepareChange(),
        _ => Errno.None,
    };

    /// <summary>Counts it and all below it for the file system's quota.</summary>
    public void ChargeAll()
    {
        Enlist();
        foreach (MemoryEntry entry in Index.Values)
        {
            entry.Inode?.Enlist();
            (entry.Inode as MemoryFile)?.Settle();
            (entry.Inode as MemoryDirectory)?.ChargeAll();
        }
    }

    private static void MoveLink(Inode child, MemoryDirectory from, MemoryDirectory to)
    {
        if (!child.IsDirectory || ReferenceEquals(from, to))
            return;
        from.LinkCount--;
        to.LinkCount++;
    }

    private static void DropLink(Inode child)
    {
        child.LinkCount--;
        child.TouchChanged();
    }

    private void DropDirectory(Inode child)
    {
        child.LinkCount = 0;
        child.TouchChanged();
        LinkCount--;
    }
}
