using System.Diagnostics.CodeAnalysis;
using Gofer.Protocol;

namespace Sentry.FileSystems.GoferFs;

/// <summary>A file, directory or link of the gofer's tree. Saved by its path; after a restore it is found again when first needed.</summary>
[Savable("gofer-node")]
public sealed partial class GoferNode : LowerFile
{
    private const int MaxMissing = 4096;

    [Saved(1)] private GoferTree _tree;
    [Saved(2)] private GoferNode? _parent;
    [Saved(3)] private string _name;
    [Saved(4)] private uint _mode;
    [Saved(5)] private long _size;
    [Saved(6)] private long _modifyTime;
    [NotSaved("asked for again")] private NodeAttributes? _attributes;
    [NotSaved("asked for again")] private string _link = "";
    [NotSaved("of the gofer that is gone")] private uint _handle;
    [NotSaved("opened again")] private OpenGoferFile? _open;
    [NotSaved("place of _open in the tree's list")] private LinkedListNode<GoferNode>? _place;
    [NotSaved("looked up again")] private Dictionary<string, GoferNode>? _children;
    [NotSaved("looked up again")] private HashSet<string>? _missing;
    [NotSaved("read again")] private GoferNode[]? _listing;
    [NotSaved("computed from the path")] private ulong _pathHash;

    /// <summary>The root.</summary>
    internal GoferNode(GoferTree tree)
    {
        _tree = tree;
        _name = "";
        _mode = S.IFDIR;
    }

    private GoferNode(GoferNode parent, string name, in NodeAttributes attributes, string link)
    {
        _tree = parent._tree;
        _parent = parent;
        _name = name;
        Learn(attributes, link);
    }

    public string Name => _name;

    /// <summary>S_IFMT type and permission bits as last known.</summary>
    public uint Mode => _mode;

    public long Size => _size;

    /// <summary>ns since 1970.</summary>
    public long ModifyTime => _modifyTime;

    /// <summary>Absolute, within the tree.</summary>
    public string Path => _parent is null ? "/" : _parent._parent is null ? "/" + _name : _parent.Path + "/" + _name;

    /// <summary>A number that is the same wherever the same tree is served: of the path, or, where one file has several names, of its identity on the host.</summary>
    public ulong InodeNumber
    {
        get
        {
            ulong hash = PathHash;
            if (_attributes is { LinkCount: > 1 } attributes && !S.IsDirectory(attributes.Mode))
                hash = Mix(Mix(Basis, attributes.Device), attributes.Inode);

            // 47 bits: numbers of files made in the sandbox lie above.
            return _parent is null ? 1 : (hash ^ (hash >> 47)) & 0x7FFF_FFFF_FFFF | 2;
        }
    }

    private const ulong Basis = 0xCBF29CE484222325, Prime = 0x100000001B3;

    private ulong PathHash
    {
        get
        {
            if (_pathHash != 0)
                return _pathHash;
            ulong hash = _parent is null ? Basis : _parent.PathHash;
            foreach (char letter in _name)
                hash = (hash ^ letter) * Prime;
            return _pathHash = (hash ^ '/') * Prime | 1;
        }
    }

    private static ulong Mix(ulong hash, ulong value)
    {
        for (int i = 0; i < 8; i++, value >>= 8)
            hash = (hash ^ (value & 0xFF)) * Prime;
        return hash;
    }

    /// <summary>What the gofer says of it.</summary>
    public Result<NodeAttributes> GetAttributes()
    {
        if (_attributes is { } known)
            return known;
        Errno error = LookUp();
        return error != Errno.None ? error : _attributes!.Value;
    }

    /// <summary>The extended attributes of a file or directory; none when the gofer cannot tell.</summary>
    public ExtendedAttributes GetExtendedAttributes()
    {
        for (int attempt = 0; ; attempt++)
        {
            uint handle = GoferLimits.RootHandle;
            Errno error = Errno.None;
            if (_parent is not null)
                _parent.GetHandle().TryGet(out handle, out error);
            if (error == Errno.None && _tree.Client.ListExtendedAttributes(handle, _name).TryGet(out List<KeyValuePair<string, byte[]>>? values, out error))
                return new ExtendedAttributes(values);
            if (_parent is null || !_parent.Retry(error, attempt))
                return new ExtendedAttributes();
        }
    }

    /// <summary>The text of a symbolic link.</summary>
    public Result<string> GetLink()
    {
        Errno error = _attributes is null ? LookUp() : Errno.None;
        return error != Errno.None ? error : _link;
    }

    /// <summary>An entry of this directory, or ENOENT.</summary>
    public Result<GoferNode> Find(string name)
    {
        if (TryFindKnown(name, out GoferNode? known))
            return known;
        if (_listing is not null || (_missing?.Contains(name) ?? false))
            return Errno.ENOENT;
        for (int attempt = 0; ; attempt++)
        {
            if (!GetHandle().TryGet(out uint handle, out Errno error))
                return error;
            if (_tree.Client.Lookup(handle, name).TryGet(out FoundNode found, out error))
            {
                var child = new GoferNode(this, name, found.Attributes, found.Link);
                child.TakeHandle(found.Handle);
                (_children ??= [])[name] = child;
                return child;
            }

            if (!Retry(error, attempt))
            {
                if (error == Errno.ENOENT)
                    RememberMissing(name);
                return error;
            }
        }
    }

    /// <summary>All entries of this directory in the order of their names.</summary>
    public Result<GoferNode[]> List()
    {
        if (_listing is not null)
            return _listing;
        for (int attempt = 0; ; attempt++)
        {
            if (!GetHandle().TryGet(out uint handle, out Errno error))
                return error;
            var entries = new List<NodeEntry>();
            ulong cursor = 0;
            bool end = false;
            while (error == Errno.None && !end)
                _tree.Client.ReadDirectory(handle, ref cursor, entries).TryGet(out end, out error);
            if (error == Errno.None)
                return _listing = Adopt(entries);
            if (!Retry(error, attempt))
                return error;
        }
    }

    public override Result<IHostFile> Open()
    {
        if (_open is { } open)
        {
            _tree.Used(_place!);
            return open;
        }

        for (int attempt = 0; ; attempt++)
        {
            if (!_parent!.GetHandle().TryGet(out uint handle, out Errno error))
                return error;
            if (_tree.Client.Open(handle, _name).TryGet(out DonatedFile? file, out error))
            {
                if (file.Attributes.Size != _size)
                {
                    // Not the file that the sandbox has seen: its pages would not fit what was read before.
                    file.Dispose();
                    return Errno.EIO;
                }

                _open = new OpenGoferFile(file);
                _place = _tree.Opened(this);
                return _open;
            }

            if (!_parent.Retry(error, attempt))
                return error == Errno.ENOENT ? Errno.EIO : error;
        }
    }

    internal void CloseFile()
    {
        _open?.Dispose();
        _open = null;
        _place = null;
    }

    internal uint DropHandle()
    {
        uint handle = _handle;
        _handle = 0;
        return handle;
    }

    private bool TryFindKnown(string name, [NotNullWhen(true)] out GoferNode? child)
    {
        child = null;
        return _children is not null && _children.TryGetValue(name, out child);
    }

    private GoferNode[] Adopt(List<NodeEntry> entries)
    {
        _children ??= new Dictionary<string, GoferNode>(entries.Count);
        foreach (NodeEntry entry in entries)
        {
            if (!_children.ContainsKey(entry.Name))
                _children.Add(entry.Name, new GoferNode(this, entry.Name, entry.Attributes, entry.Link));
        }

        _missing = null;
        var listing = new GoferNode[_children.Count];
        _children.Values.CopyTo(listing, 0);
        Array.Sort(listing, static (a, b) => string.CompareOrdinal(a._name, b._name));
        return listing;
    }

    private void RememberMissing(string name)
    {
        _missing ??= [];
        if (_missing.Count >= MaxMissing)
            _missing.Clear();
        _missing.Add(name);
    }

    private void Learn(in NodeAttributes attributes, string link)
    {
        _attributes = attributes;
        _link = link;
        _mode = attributes.Mode;
        _size = attributes.Size;
        _modifyTime = attributes.ModifyTime;
    }

    private void TakeHandle(uint handle)
    {
        if (handle == 0)
            return;
        _handle = handle;
        _tree.HandleTaken(this);
    }

    private Result<uint> GetHandle()
    {
        if (_parent is null)
            return GoferLimits.RootHandle;
        if (_handle != 0)
            return _handle;
        Errno error = LookUp();
        if (error != Errno.None)
            return error;
        return _handle != 0 ? _handle : Errno.ENOTDIR;
    }

    private Errno LookUp()
    {
        for (int attempt = 0; ; attempt++)
        {
            uint handle = GoferLimits.RootHandle;
            Errno error = Errno.None;
            if (_parent is not null)
                _parent.GetHandle().TryGet(out handle, out error);
            if (error != Errno.None)
                return error;
            if (_tree.Client.Lookup(handle, _name).TryGet(out FoundNode found, out error))
            {
                if (_attributes is null && _parent is not null && (_mode & S.IFMT) != (found.Attributes.Mode & S.IFMT))
                    return Errno.EIO; // saved as something of another type
                if (_attributes is null)
                    Learn(found.Attributes, found.Link);
                if (_parent is not null)
                    TakeHandle(found.Handle);
                else if (found.Handle != 0)
                    _tree.Client.Forget([found.Handle]);
                return Errno.None;
            }

            if (_parent is null || !_parent.Retry(error, attempt))
                return error;
        }
    }

    /// <summary>Whether a request about this directory is worth another try: the gofer had no room or has forgotten the handle.</summary>
    private bool Retry(Errno error, int attempt)
    {
        if (attempt >= 2)
            return false;
        if (error == Errno.ENFILE)
        {
            _tree.ForgetHandles();
            return true;
        }

        if (error != Errno.ESTALE)
            return false;
        _handle = 0;
        return true;
    }
}

/// <summary>A donated file as the kernel sees it.</summary>
internal sealed class OpenGoferFile(DonatedFile file) : IHostFile
{
    public int Descriptor => file.Descriptor;

    public Result<int> ReadAt(Span<byte> destination, long offset) => file.ReadAt(destination, offset);

    internal void Dispose() => file.Dispose();
}
