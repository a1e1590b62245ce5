using System.Diagnostics.CodeAnalysis;

namespace Sentry.Kernel.Files;

/// <summary>A name in a directory with what it names (dentry). Those found are kept in their parent, so a walk over known names asks no
/// file system. Only those in use (open files, working directories, mount points) are saved; the rest is found again.</summary>
[Savable("dentry")]
public sealed partial class Dentry : IAfterLoad
{
    [Saved(1)] private Dentry? _parent;
    [Saved(2)] private string _name;
    [Saved(3)] private Inode _inode;
    [Saved(4)] private bool _unlinked;
    [Saved(5)] private int _mountCount;
    [NotSaved("children in use put themselves back, others are looked up again")] private Dictionary<string, Dentry>? _children;

    internal Dentry(Dentry? parent, string name, Inode inode)
    {
        _parent = parent;
        _name = name;
        _inode = inode;
    }

    /// <summary>The root of a file system.</summary>
    public Dentry(Inode root)
        : this(null, "/", root)
    {
    }

    /// <summary>Null at the root of a file system.</summary>
    public Dentry? Parent => _parent;

    public string Name => _name;

    public Inode Inode => _inode;

    /// <summary>The name is gone from its directory (unlink, rmdir, replaced by rename).</summary>
    public bool IsUnlinked => _unlinked;

    /// <summary>Whether some mount is on it.</summary>
    public bool IsMountPoint => _mountCount > 0;

    internal void AddMount()
    {
        // In directories whose entries are made anew at each look-up this one is to be found again.
        _mountCount++;
        if (_parent is not null)
            (_parent._children ??= [])[_name] = this;
    }

    internal void DropMount() => _mountCount--;

    /// <summary>The child, from memory or from the file system.</summary>
    public Result<Dentry> Lookup(ReadOnlySpan<char> name)
    {
        Dentry? known = null;
        _children?.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name, out known);
        if (known is not null && (_inode.HoldsNames || known.IsMountPoint))
            return known;
        string text = name.ToString();
        Result<Inode> found = _inode.Lookup(text);
        if (known is not null)
        {
            if (found.IsOk && ReferenceEquals(found.Value, known._inode))
                return known;

            // Somebody else has removed or replaced it.
            known.Unhash();
        }

        return found.IsOk ? AddChild(text, found.Value) : found.Error;
    }

    /// <summary>Only from memory.</summary>
    internal bool TryGetCached(string name, [NotNullWhen(true)] out Dentry? child)
    {
        child = null;
        return _children is not null && _children.TryGetValue(name, out child);
    }

    /// <summary>A child that has just been found or made.</summary>
    internal Dentry AddChild(string name, Inode inode)
    {
        var child = new Dentry(this, name, inode);
        if (_inode.CachesNames)
            (_children ??= [])[name] = child;
        return child;
    }

    /// <summary>The name is no more.</summary>
    internal void Unhash()
    {
        _unlinked = true;
        if (_parent?._children is { } siblings && siblings.TryGetValue(_name, out Dentry? there) && ReferenceEquals(there, this))
            siblings.Remove(_name);
    }

    /// <summary>The name has been renamed.</summary>
    internal void Move(Dentry newParent, string newName)
    {
        _parent?._children?.Remove(_name);
        _parent = newParent;
        _name = newName;
        (newParent._children ??= [])[newName] = this;
    }

    /// <summary>Two names have changed places.</summary>
    internal static void Exchange(Dentry a, Dentry b)
    {
        (a._parent, b._parent) = (b._parent, a._parent);
        (a._name, b._name) = (b._name, a._name);
        (a._parent!._children ??= [])[a._name] = a;
        (b._parent!._children ??= [])[b._name] = b;
    }

    /// <summary>Whether this is <paramref name="other"/> or above it in the same file system.</summary>
    internal bool IsAncestorOf(Dentry other)
    {
        for (Dentry? d = other; d is not null; d = d._parent)
        {
            if (ReferenceEquals(d, this))
                return true;
        }

        return false;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && _parent is not null && !_unlinked && (_parent._inode.CachesNames || _mountCount > 0))
            (_parent._children ??= [])[_name] = this;
    }
}
