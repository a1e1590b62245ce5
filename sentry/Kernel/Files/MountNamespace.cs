namespace Sentry.Kernel.Files;

/// <summary>The tree of mounts that tasks see (mount_namespaces(7)).</summary>
[Savable("mount-namespace")]
public sealed partial class MountNamespace : Namespace
{
    [Saved(1)] private Mount? _root;

    internal MountNamespace(GuestKernel kernel, UserNamespace owner)
        : base(kernel, owner)
    {
    }

    public override NamespaceKinds Kind => NamespaceKinds.Mount;

    /// <summary>What is at "/"; set by <see cref="SetRoot"/>.</summary>
    public Mount RootMount => _root ?? throw new InvalidOperationException("nothing is mounted at /");

    public bool HasRoot => _root is not null;

    /// <summary>The place "/".</summary>
    public VfsPath Root => new(RootMount, RootMount.Root);

    /// <summary>Mounts the first file system.</summary>
    public Mount SetRoot(FileSystem fileSystem, Dentry root, MountFlags flags = MountFlags.None)
    {
        var mount = new Mount(Kernel.MountRegistry, fileSystem, root, flags);
        ReplaceRoot(mount);
        return mount;
    }

    /// <summary>pivot_root(2): another mount becomes "/".</summary>
    internal void ReplaceRoot(Mount root)
    {
        _root = root;
        root.SetNamespace(this);
    }

    /// <summary>Mounts a tree on a place, without propagation: for the kernel's own use.</summary>
    public Mount Attach(FileSystem fileSystem, Dentry root, in VfsPath at, MountFlags flags = MountFlags.None)
    {
        var mount = new Mount(Kernel.MountRegistry, fileSystem, root, flags);
        mount.Attach(at.Mount, at.Dentry);
        return mount;
    }

    /// <summary>All mounts, parents before children.</summary>
    public IEnumerable<Mount> All() => _root is null ? [] : _root.Tree();

    /// <summary>CLONE_NEWNS: the same tree of mounts of its own; tells which is whose copy. In a user namespace with fewer rights what was shared only follows.</summary>
    internal MountNamespace Copy(UserNamespace owner, out Dictionary<Mount, Mount> copies)
    {
        var copy = new MountNamespace(Kernel, owner);
        copies = [];
        if (_root is null)
            return copy;
        copy.ReplaceRoot(MountTrees.Copy(_root, _root.Root, Kernel.MountRegistry, recursive: true, copies, keepUnbindable: true)!);
        if (!ReferenceEquals(owner, Owner))
        {
            foreach (Mount mount in copies.Values)
            {
                mount.MakeSlave();
                mount.IsLocked = !ReferenceEquals(mount, copy.RootMount);
            }
        }

        return copy;
    }
}
