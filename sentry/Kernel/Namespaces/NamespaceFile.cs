namespace Sentry.Kernel.Namespaces;

/// <summary>The file system of /proc/PID/ns (nsfs): a file for each namespace that somebody has asked for.</summary>
[Savable("nsfs")]
public sealed partial class NamespaceFileSystem : FileSystem
{
    [Saved(1)] private Mount? _mount;
    [Saved(2)] private Dentry _root;

    internal NamespaceFileSystem(GuestKernel kernel)
        : base(kernel, "nsfs")
    {
        _root = new Dentry(new MemoryDirectory(this, S.IFDIR | 0x16D, 0, 0));
    }

    public override string TypeName => "nsfs";

    public override FileSystemStatus GetStatus() => new(0x6e736673, 4096, 0, 0, 0, 0, 255);

    /// <summary>Where a namespace is as a file; the same inode every time.</summary>
    public VfsPath GetPath(Namespace space)
    {
        _mount ??= Kernel.MountRegistry.MakeInternal(this, _root);
        var dentry = new Dentry(_root, $"{space.Name}:[{space.Number}]", space.File ??= new NamespaceInode(this, space));
        return new VfsPath(_mount, dentry);
    }
}

/// <summary>A namespace as a file.</summary>
[Savable("namespace-inode")]
public sealed partial class NamespaceInode : Inode
{
    [Saved(1)] private Namespace _space;

    internal NamespaceInode(NamespaceFileSystem fileSystem, Namespace space)
        : base(fileSystem, space.Number, S.IFREG | 0x124, 0, 0)
    {
        _space = space;
    }

    public Namespace Namespace => _space;

    public override long Blocks => 0;

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) =>
        (flags & OpenFlags.AccessMode) != OpenFlags.ReadOnly ? Errno.EPERM : new NamespaceFile(path, _space, flags);

    public override Errno SetAttributes(in AttributeChange change) => Errno.EPERM;
}

/// <summary>An open /proc/PID/ns/… (ioctl_ns(2)).</summary>
[Savable("namespace-file")]
public sealed partial class NamespaceFile : InodeFile
{
    private const uint GetUser = 0xb701, GetParent = 0xb702, GetKind = 0xb703, GetOwnerUid = 0xb704, GetMountId = 0x8008b705, GetPidFrom = 0x8004b706, GetTgidFrom = 0x8004b707,
        GetPidIn = 0x8004b708, GetTgidIn = 0x8004b709;

    [Saved(1)] private Namespace _space;

    internal NamespaceFile(in VfsPath path, Namespace space, OpenFlags flags)
        : base(path, flags)
    {
        _space = space;
    }

    public Namespace Namespace => _space;

    public override string Describe() => Path.Dentry.Name;

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        switch (request)
        {
            case GetUser:
                return Open(caller, _space is UserNamespace user ? user.Parent : _space.Owner);
            case GetParent:
                return _space switch
                {
                    PidNamespace pids => OpenParent(caller, pids),
                    UserNamespace nested => Open(caller, nested.Parent),
                    _ => Errno.EINVAL,
                };
            case GetKind:
                return (int)_space.Kind;
            case GetOwnerUid:
                if (_space is not UserNamespace owned)
                    return Errno.EINVAL;
                return caller.TryWrite(argument, caller.UserNamespace.ShowUid(owned.CreatorUid)) ? SyscallResult.Ok : Errno.EFAULT;
            case GetMountId:
                if (_space is not MountNamespace)
                    return Errno.EINVAL;
                return caller.TryWrite(argument, _space.Number) ? SyscallResult.Ok : Errno.EFAULT;
            case GetPidFrom or GetTgidFrom or GetPidIn or GetTgidIn:
                return Translate(caller, request, (int)argument);
            default:
                return Errno.ENOTTY;
        }
    }

    /// <summary>A process id of this namespace as the caller sees it, or the other way round.</summary>
    private SyscallResult Translate(Task caller, uint request, int number)
    {
        if (_space is not PidNamespace pids)
            return Errno.EINVAL;
        bool inward = request is GetPidIn or GetTgidIn;
        (PidNamespace from, PidNamespace to) = inward ? (caller.PidNamespace, pids) : (pids, caller.PidNamespace);
        if (!caller.Kernel.Tasks.TryGetValue(from.ToKernel(number), out Task? task))
            return Errno.ESRCH;
        int shown = to.ToLocal(request is GetPidFrom or GetPidIn ? task.Tid : task.Group.Pid);
        return shown == 0 ? Errno.ESRCH : shown;
    }

    private static SyscallResult OpenParent(Task caller, PidNamespace pids) =>
        pids.Parent is { } parent && parent.IsWithin(caller.PidNamespace) ? Open(caller, parent) : Errno.EPERM;

    private static SyscallResult Open(Task caller, Namespace? space)
    {
        // What is above the caller's own user namespace is not for it to see.
        if (space is null || (space is UserNamespace above && !above.IsWithin(caller.UserNamespace)))
            return Errno.EPERM;
        VfsPath path = caller.Kernel.NamespaceFiles.GetPath(space);
        return caller.AddFile(new NamespaceFile(path, space, OpenFlags.ReadOnly), true);
    }
}
