using System.Text;

namespace Sentry.Kernel.Files;

/// <summary>The MS_* flags of mount(2) that stay with a mount.</summary>
[Flags]
public enum MountFlags
{
    None = 0,
    ReadOnly = 1,
    NoSuid = 2,
    NoDev = 4,
    NoExec = 8,
    NoAtime = 1024,
    NoDirAtime = 2048,
    RelAtime = 1 << 21,
}

/// <summary>A file system's tree, or a part of it (bind), as attached to a place.</summary>
[Savable("mount")]
public sealed partial class Mount
{
    [Saved(1)] private int _id;
    [Saved(2)] private FileSystem _fileSystem;
    [Saved(3)] private Dentry _root;
    [Saved(4)] private Mount? _parent;
    [Saved(5)] private Dentry? _mountPoint;
    [Saved(6)] private MountFlags _flags;
    [Saved(7)] private List<Mount> _children = [];

    internal Mount(int id, FileSystem fileSystem, Dentry root, MountFlags flags)
    {
        _id = id;
        _fileSystem = fileSystem;
        _root = root;
        _flags = flags;
    }

    public int Id => _id;

    public FileSystem FileSystem => _fileSystem;

    public Dentry Root => _root;

    /// <summary>Null when not attached (the first root, internal mounts, after umount).</summary>
    public Mount? Parent => _parent;

    /// <summary>What it covers in its parent.</summary>
    public Dentry? MountPoint => _mountPoint;

    public List<Mount> Children => _children;

    public MountFlags Flags
    {
        get => _flags;
        set => _flags = value;
    }

    public bool IsReadOnly => (_flags & MountFlags.ReadOnly) != 0;

    /// <summary>The mount that covers a dentry of this mount, if any; the latest one.</summary>
    internal Mount? FindChild(Dentry mountPoint)
    {
        for (int i = _children.Count - 1; i >= 0; i--)
        {
            if (ReferenceEquals(_children[i]._mountPoint, mountPoint))
                return _children[i];
        }

        return null;
    }

    internal void Attach(Mount parent, Dentry mountPoint)
    {
        _parent = parent;
        _mountPoint = mountPoint;
        parent._children.Add(this);
        mountPoint.AddMount();
    }

    internal void Detach()
    {
        _parent?._children.Remove(this);
        _mountPoint?.DropMount();
        _parent = null;
        _mountPoint = null;
    }
}

/// <summary>A place: a dentry as seen through a mount (struct path).</summary>
[Savable("path")]
public partial struct VfsPath : IEquatable<VfsPath>
{
    [Saved(1)] private Mount? _mount;
    [Saved(2)] private Dentry? _dentry;

    public VfsPath(Mount mount, Dentry dentry)
    {
        _mount = mount;
        _dentry = dentry;
    }

    public readonly Mount Mount => _mount!;

    public readonly Dentry Dentry => _dentry!;

    public readonly Inode Inode => _dentry!.Inode;

    /// <summary>False in a default value: there is no place.</summary>
    public readonly bool IsSet => _dentry is not null;

    /// <summary>The top of what is mounted here, when something is.</summary>
    public readonly VfsPath CrossMounts()
    {
        VfsPath at = this;
        while (at.Dentry.IsMountPoint && at.Mount.FindChild(at.Dentry) is { } covering)
            at = new VfsPath(covering, covering.Root);
        return at;
    }

    /// <summary>The directory above, across mounts, never above <paramref name="root"/>.</summary>
    public readonly VfsPath Up(in VfsPath root)
    {
        VfsPath at = this;
        for (; ; )
        {
            if (at.Equals(root))
                return at;
            if (!ReferenceEquals(at.Dentry, at.Mount.Root))
            {
                return at.Dentry.Parent is { } parent ? new VfsPath(at.Mount, parent).CrossMounts() : at;
            }

            if (at.Mount.Parent is null)
                return at;
            at = new VfsPath(at.Mount.Parent, at.Mount.MountPoint!);
        }
    }

    /// <summary>The absolute path as seen from <paramref name="root"/> (d_path). <paramref name="reachable"/> is false when it is not below it.</summary>
    public readonly string Format(in VfsPath root, out bool reachable)
    {
        var names = new List<string>();
        VfsPath at = this;
        reachable = true;
        while (!at.Equals(root))
        {
            if (ReferenceEquals(at.Dentry, at.Mount.Root))
            {
                if (at.Mount.Parent is null)
                {
                    reachable = false;
                    break;
                }

                at = new VfsPath(at.Mount.Parent, at.Mount.MountPoint!);
                continue;
            }

            names.Add(at.Dentry.Name);
            if (at.Dentry.Parent is null)
            {
                // The root of a file system that is mounted nowhere shows its own name (memfd:x).
                reachable = false;
                break;
            }

            at = new VfsPath(at.Mount, at.Dentry.Parent);
        }

        if (names.Count == 0)
            return "/";
        var text = new StringBuilder();
        for (int i = names.Count - 1; i >= 0; i--)
            text.Append('/').Append(names[i]);
        return text.ToString();
    }

    /// <summary>As <c>/proc/PID/fd</c> shows it: with " (deleted)" when the name is gone.</summary>
    public readonly string Describe(in VfsPath root)
    {
        string text = Format(root, out _);
        return Dentry.IsUnlinked ? text + " (deleted)" : text;
    }

    public readonly bool Equals(VfsPath other) => ReferenceEquals(_dentry, other._dentry) && ReferenceEquals(_mount, other._mount);

    public override readonly bool Equals(object? obj) => obj is VfsPath other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(_mount, _dentry);
}

/// <summary>All mounts of the sandbox (mount_namespaces(7); there is one).</summary>
[Savable("mount-namespace")]
public sealed partial class MountNamespace
{
    [Saved(1)] private Mount? _root;
    [Saved(2)] private int _nextId = 20;
    [Saved(3)] private uint _nextDevice = 1;
    [Saved(4)] private AnonymousFileSystem? _anonymous;
    [Saved(5)] private Mount? _anonymousMount;

    public MountNamespace()
    {
    }

    /// <summary>What is at "/"; set by <see cref="SetRoot"/>.</summary>
    public Mount RootMount => _root ?? throw new InvalidOperationException("nothing is mounted at /");

    public bool HasRoot => _root is not null;

    /// <summary>The place "/".</summary>
    public VfsPath Root => new(RootMount, RootMount.Root);

    /// <summary>A device number for a file system without a device: major 0.</summary>
    public ulong NewAnonymousDevice() => DeviceNumber.Make(0, ++_nextDevice);

    /// <summary>Mounts the first file system.</summary>
    public Mount SetRoot(FileSystem fileSystem, Dentry root, MountFlags flags = MountFlags.None) =>
        _root = new Mount(_nextId++, fileSystem, root, flags);

    /// <summary>pivot_root(2): another mount becomes "/".</summary>
    internal void ReplaceRoot(Mount root) => _root = root;

    /// <summary>Mounts a tree on a place.</summary>
    public Mount Attach(FileSystem fileSystem, Dentry root, in VfsPath at, MountFlags flags = MountFlags.None)
    {
        var mount = new Mount(_nextId++, fileSystem, root, flags);
        mount.Attach(at.Mount, at.Dentry);
        return mount;
    }

    /// <summary>All mounts, parents before children.</summary>
    public IEnumerable<Mount> All()
    {
        if (_root is null)
            yield break;
        var left = new Stack<Mount>();
        left.Push(_root);
        while (left.TryPop(out Mount? mount))
        {
            yield return mount;
            for (int i = mount.Children.Count - 1; i >= 0; i--)
                left.Push(mount.Children[i]);
        }
    }

    /// <summary>A mount that is attached nowhere, for files of the kernel's own.</summary>
    internal Mount MakeInternal(FileSystem fileSystem, Dentry root) => new(_nextId++, fileSystem, root, MountFlags.None);

    /// <summary>The home of files without a name in the tree (memfd, shared anonymous memory).</summary>
    internal Mount GetAnonymousMount(GuestKernel kernel)
    {
        if (_anonymousMount is null)
        {
            _anonymous = new AnonymousFileSystem(kernel);
            _anonymousMount = new Mount(_nextId++, _anonymous, new Dentry(new MemoryDirectory(_anonymous, S.IFDIR | 0x1FF, 0, 0)), MountFlags.None);
        }

        return _anonymousMount;
    }
}
