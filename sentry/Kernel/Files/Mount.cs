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
    NoSymlinkFollow = 256,
    NoAtime = 1024,
    NoDirAtime = 2048,
    RelAtime = 1 << 21,
    StrictAtime = 1 << 24,
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
    [Saved(8)] private MountNamespace? _namespace;
    [Saved(9)] private PeerGroup? _peers;
    [Saved(10)] private PeerGroup? _master;
    [Saved(11)] private bool _unbindable;
    [Saved(12)] private ulong _uniqueId;
    [Saved(13)] private bool _expiring;
    [Saved(14)] private bool _locked;

    internal Mount(MountRegistry registry, FileSystem fileSystem, Dentry root, MountFlags flags)
    {
        _id = registry.NewId();
        _uniqueId = registry.NewUniqueId();
        _fileSystem = fileSystem;
        _root = root;
        _flags = flags;
    }

    /// <summary>The first column of /proc/PID/mountinfo.</summary>
    public int Id => _id;

    /// <summary>A number that no other mount ever has (STATX_MNT_ID_UNIQUE, statmount(2)).</summary>
    public ulong UniqueId => _uniqueId;

    public FileSystem FileSystem => _fileSystem;

    public Dentry Root => _root;

    /// <summary>Null when not attached (the first root, internal mounts, after umount).</summary>
    public Mount? Parent => _parent;

    /// <summary>What it covers in its parent.</summary>
    public Dentry? MountPoint => _mountPoint;

    public List<Mount> Children => _children;

    /// <summary>Where it is part of the tree; null for internal mounts and those attached nowhere.</summary>
    public MountNamespace? Namespace => _namespace;

    /// <summary>Those between whom mounts propagate, when it is shared (mount_namespaces(7)).</summary>
    public PeerGroup? Peers => _peers;

    /// <summary>Those from whom mounts come, when it is a slave.</summary>
    public PeerGroup? Master => _master;

    public bool IsUnbindable => _unbindable;

    /// <summary>It came with a namespace of fewer rights than where it was made, which must not see what it covers (mount_namespaces(7), "Restrictions").</summary>
    internal bool IsLocked
    {
        get => _locked;
        set => _locked = value;
    }

    /// <summary>umount2(2) with MNT_EXPIRE asked for it once, and nobody has used it since.</summary>
    internal bool IsExpiring
    {
        get => _expiring;
        set => _expiring = value;
    }

    public MountFlags Flags
    {
        get => _flags;
        set => _flags = value;
    }

    /// <summary>The mount itself or the whole file system.</summary>
    public bool IsReadOnly => (_flags & MountFlags.ReadOnly) != 0 || _fileSystem.IsReadOnly;

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
        SetNamespace(parent._namespace);
    }

    internal void Detach()
    {
        _parent?._children.Remove(this);
        _mountPoint?.DropMount();
        _parent = null;
        _mountPoint = null;
        SetNamespace(null);
    }

    /// <summary>For it and all below.</summary>
    internal void SetNamespace(MountNamespace? owner)
    {
        foreach (Mount mount in Tree())
            mount._namespace = owner;
    }

    /// <summary>It and all below, parents before children.</summary>
    internal IEnumerable<Mount> Tree()
    {
        var left = new Stack<Mount>();
        left.Push(this);
        while (left.TryPop(out Mount? mount))
        {
            yield return mount;
            for (int i = mount._children.Count - 1; i >= 0; i--)
                left.Push(mount._children[i]);
        }
    }

    // ---- propagation ---------------------------------------------------------------------------------------------

    internal void JoinPeers(PeerGroup group)
    {
        LeavePeers();
        _peers = group;
        _unbindable = false;
        group.Members.Add(this);
    }

    internal void BecomeSlave(PeerGroup? master)
    {
        LeavePeers();
        LeaveMaster();
        _master = master;
        master?.Slaves.Add(this);
    }

    internal void MakeShared(MountRegistry registry)
    {
        if (_peers is null)
            JoinPeers(new PeerGroup(registry.NewPeerGroupId()));
    }

    /// <summary>MS_SLAVE: of its peers, or of whom it was a slave before.</summary>
    internal void MakeSlave()
    {
        if (_peers is not { } peers)
            return;
        if (peers.Members.Count > 1)
            BecomeSlave(peers);
        else
            LeavePeers();
    }

    internal void MakePrivate(bool unbindable)
    {
        LeavePeers();
        LeaveMaster();
        _unbindable = unbindable;
    }

    /// <summary>It ends: nothing propagates to it any more.</summary>
    internal void LeaveGroups()
    {
        LeavePeers();
        LeaveMaster();
    }

    private void LeavePeers()
    {
        if (_peers is not { } peers)
            return;
        _peers = null;
        peers.Members.Remove(this);
        if (peers.Members.Count > 0)
            return;

        // Slaves of a group that is gone belong to whom the group was a slave of.
        foreach (Mount slave in peers.Slaves.ToArray())
            slave.BecomeSlave(_master);
    }

    private void LeaveMaster()
    {
        _master?.Slaves.Remove(this);
        _master = null;
    }
}

/// <summary>Mounts between which mounting and unmounting propagates (mount_namespaces(7), "Shared subtrees").</summary>
[Savable("mount-peers")]
public sealed partial class PeerGroup
{
    [Saved(1)] private int _id;
    [Saved(2)] private List<Mount> _members = [];
    [Saved(3)] private List<Mount> _slaves = [];

    internal PeerGroup(int id) => _id = id;

    /// <summary>The number in <c>shared:N</c>.</summary>
    public int Id => _id;

    internal List<Mount> Members => _members;

    /// <summary>Mounts that follow the group.</summary>
    internal List<Mount> Slaves => _slaves;
}

/// <summary>What all mounts of the sandbox share: their numbers, and the home of files without a name.</summary>
[Savable("mount-registry")]
public sealed partial class MountRegistry
{
    [Saved(1)] private int _nextId = 20;
    [Saved(2)] private uint _nextDevice = 1;
    [Saved(3)] private int _nextPeerGroup = 1;
    [Saved(4)] private AnonymousFileSystem? _anonymous;
    [Saved(5)] private Mount? _anonymousMount;

    /// <summary>Above every <see cref="Mount.Id"/>, so that the two cannot be mistaken.</summary>
    [Saved(6)] private ulong _nextUniqueId = 1UL << 31;

    public MountRegistry()
    {
    }

    internal int NewId() => _nextId++;

    internal ulong NewUniqueId() => ++_nextUniqueId;

    internal int NewPeerGroupId() => _nextPeerGroup++;

    /// <summary>A device number for a file system without a device: major 0.</summary>
    public ulong NewAnonymousDevice() => DeviceNumber.Make(0, ++_nextDevice);

    /// <summary>A mount that is attached nowhere, for files of the kernel's own.</summary>
    internal Mount MakeInternal(FileSystem fileSystem, Dentry root) => new(this, fileSystem, root, MountFlags.None);

    /// <summary>The home of files without a name in the tree (memfd, shared anonymous memory).</summary>
    internal Mount GetAnonymousMount(GuestKernel kernel)
    {
        if (_anonymousMount is null)
        {
            _anonymous = new AnonymousFileSystem(kernel);
            _anonymousMount = MakeInternal(_anonymous, new Dentry(new MemoryDirectory(_anonymous, S.IFDIR | 0x1FF, 0, 0)));
        }

        return _anonymousMount;
    }
}
