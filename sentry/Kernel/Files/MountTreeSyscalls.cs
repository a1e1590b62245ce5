namespace Sentry.Kernel.Files;

/// <summary>A description that names a tree of mounts attached nowhere (open_tree(2), fsmount(2)); without move_mount(2) the tree goes with it.</summary>
[Savable("mount-tree-file")]
internal sealed partial class MountTreeFile : PathFile
{
    internal MountTreeFile(Mount tree, OpenFlags flags)
        : base(new VfsPath(tree, tree.Root), flags | OpenFlags.Path)
    {
    }

    protected override void OnRelease()
    {
        if (Path.Mount is { Parent: null, Namespace: null } tree)
            MountSyscalls.Abandon(tree);
        base.OnRelease();
    }
}

/// <summary>System calls: open_tree, open_tree_attr, move_mount, mount_setattr.</summary>
internal static class MountTreeSyscalls
{
    private const int Recursive = 0x8000;
    private const ulong AttributeReadOnly = 1, AttributeNoSuid = 2, AttributeNoDev = 4, AttributeNoExec = 8, AttributeAtime = 0x70, AttributeNoAtime = 0x10, AttributeStrictAtime = 0x20,
        AttributeNoDirAtime = 0x80, AttributeIdMap = 0x100000, AttributeNoSymlinkFollow = 0x200000;

    private const ulong KnownAttributes = AttributeReadOnly | AttributeNoSuid | AttributeNoDev | AttributeNoExec | AttributeAtime | AttributeNoDirAtime | AttributeNoSymlinkFollow;

    /// <summary>What mount_setattr(2) is to change; flags to set and to clear, a propagation to set (0 for none).</summary>
    private readonly record struct Change(MountFlags Set, MountFlags Clear, ulong Propagation);

    /// <summary>MOUNT_ATTR_* as mount flags; EINVAL for others.</summary>
    internal static Result<MountFlags> ToFlags(ulong attributes)
    {
        if ((attributes & ~KnownAttributes) != 0)
            return Errno.EINVAL;
        MountFlags flags = (MountFlags)(attributes & 0xF);
        flags |= (attributes & AttributeNoDirAtime) != 0 ? MountFlags.NoDirAtime : 0;
        flags |= (attributes & AttributeNoSymlinkFollow) != 0 ? MountFlags.NoSymlinkFollow : 0;
        return (attributes & AttributeAtime) switch
        {
            0 => flags | MountFlags.RelAtime,
            AttributeNoAtime => flags | MountFlags.NoAtime,
            AttributeStrictAtime => flags | MountFlags.StrictAtime,
            _ => Errno.EINVAL,
        };
    }

    /// <summary>Mount flags as MOUNT_ATTR_*, for statmount(2).</summary>
    internal static ulong ToAttributes(MountFlags flags)
    {
        ulong attributes = (ulong)flags & 0xF;
        attributes |= (flags & MountFlags.NoAtime) != 0 ? AttributeNoAtime : (flags & MountFlags.StrictAtime) != 0 ? AttributeStrictAtime : 0;
        attributes |= (flags & MountFlags.NoDirAtime) != 0 ? AttributeNoDirAtime : 0;
        return attributes | ((flags & MountFlags.NoSymlinkFollow) != 0 ? AttributeNoSymlinkFollow : 0);
    }

    internal static SyscallResult OpenTree(Task task, in SyscallArgs args) => Open(task, args.I0, args.A1, (uint)args.A2, null);

    internal static SyscallResult OpenTreeAttr(Task task, in SyscallArgs args)
    {
        Change? change = null;
        if (args.A4 != 0)
        {
            if (!ReadChange(task, args.A3, args.A4).TryGet(out Change read, out Errno error))
                return error;
            change = read;
        }

        return Open(task, args.I0, args.A1, (uint)args.A2, change);
    }

    private static SyscallResult Open(Task task, int directory, ulong pathAddress, uint flags, Change? change)
    {
        const uint clone = 1, closeOnExec = 0x80000;
        if ((flags & ~(clone | closeOnExec | AT.EMPTY_PATH | AT.NO_AUTOMOUNT | AT.SYMLINK_NOFOLLOW | Recursive)) != 0 || ((flags & Recursive) != 0 && (flags & clone) == 0))
            return Errno.EINVAL;
        if ((flags & clone) != 0 && !MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if (!Walk(task, directory, pathAddress, (int)flags).TryGet(out VfsPath place, out Errno error))
            return error;
        if ((flags & clone) == 0)
            return task.AddFile(new PathFile(place, OpenFlags.Path), (flags & closeOnExec) != 0);
        if (!MountSyscalls.CloneTree(task, place, (flags & Recursive) != 0).TryGet(out Mount? tree, out error))
            return error;
        if (change is { } wanted)
        {
            error = Apply(task, tree, wanted, (flags & Recursive) != 0);
            if (error != Errno.None)
            {
                MountSyscalls.Abandon(tree);
                return error;
            }
        }

        return task.AddFile(new MountTreeFile(tree, OpenFlags.Path), (flags & closeOnExec) != 0);
    }

    private static Result<VfsPath> Walk(Task task, int directory, ulong pathAddress, int flags)
    {
        WalkFlags walk = ((flags & AT.SYMLINK_NOFOLLOW) != 0 ? WalkFlags.NoFollow : 0) | ((flags & AT.EMPTY_PATH) != 0 ? WalkFlags.AllowEmpty : 0);
        return task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error) ? PathWalker.Walk(task, directory, path, walk) : error;
    }

    internal static SyscallResult MoveMount(Task task, in SyscallArgs args)
    {
        const uint fromSymlinks = 1, fromEmpty = 4, toSymlinks = 0x10, toEmpty = 0x40, setGroup = 0x100, beneath = 0x200, known = 0x377;
        uint flags = (uint)args.A4;
        if (!MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if ((flags & ~known) != 0 || (flags & (setGroup | beneath)) == (setGroup | beneath))
            return Errno.EINVAL;
        int from = ((flags & fromSymlinks) != 0 ? 0 : AT.SYMLINK_NOFOLLOW) | ((flags & fromEmpty) != 0 ? AT.EMPTY_PATH : 0);
        int to = ((flags & toSymlinks) != 0 ? 0 : AT.SYMLINK_NOFOLLOW) | ((flags & toEmpty) != 0 ? AT.EMPTY_PATH : 0);
        if (!Walk(task, args.I0, args.A1, from).TryGet(out VfsPath source, out Errno error) || !Walk(task, args.I2, args.A3, to).TryGet(out VfsPath target, out error))
            return error;
        if ((flags & setGroup) != 0)
            return JoinGroup(task, source, target);
        if (!MountSyscalls.IsMountRoot(source))
            return Errno.EINVAL;
        if ((flags & beneath) != 0)
            return MoveBeneath(task, source, target);
        if (source.Mount.Parent is not null)
            return MountSyscalls.MoveMount(task, source, target);

        // A tree that is attached nowhere yet; the caller's own root cannot be moved.
        if (source.Mount.Namespace is not null)
            return Errno.EINVAL;
        if (source.Inode.IsDirectory != target.Inode.IsDirectory)
            return Errno.ENOTDIR;
        return MountSyscalls.AttachNew(task, source.Mount, target);
    }

    /// <summary>MOVE_MOUNT_SET_GROUP: the target joins the peers, or the masters, of the source.</summary>
    private static Errno JoinGroup(Task task, in VfsPath source, in VfsPath target)
    {
        if (!MountSyscalls.IsMountRoot(source) || !MountSyscalls.IsMountRoot(target) || !MountSyscalls.IsOwn(task, source.Mount) || !MountSyscalls.IsOwn(task, target.Mount)
            || target.Mount.Peers is not null || target.Mount.Master is not null || (source.Mount.Peers is null && source.Mount.Master is null)
            || !ReferenceEquals(source.Mount.FileSystem, target.Mount.FileSystem) || !source.Mount.Root.IsAncestorOf(target.Mount.Root))
            return Errno.EINVAL;
        if (source.Mount.Master is { } master)
            target.Mount.BecomeSlave(master);
        if (source.Mount.Peers is { } peers)
            target.Mount.JoinPeers(peers);
        return Errno.None;
    }

    /// <summary>MOVE_MOUNT_BENEATH: between the top mount of a place and what that covers.</summary>
    private static Errno MoveBeneath(Task task, in VfsPath source, in VfsPath target)
    {
        Mount top = target.Mount;
        if (!MountSyscalls.IsMountRoot(target) || top.Parent is not { } parent || !MountSyscalls.IsOwn(task, top) || parent.Peers is not null || source.Mount.Peers is not null)
            return Errno.EINVAL;
        if (source.Inode.IsDirectory != target.Inode.IsDirectory || (source.Mount.Namespace is not null && (source.Mount.Parent is null || !MountSyscalls.IsOwn(task, source.Mount))))
            return Errno.EINVAL;
        for (Mount? above = top; above is not null; above = above.Parent)
        {
            if (ReferenceEquals(above, source.Mount))
                return Errno.EINVAL;
        }

        Dentry point = top.MountPoint!;
        source.Mount.Detach();
        top.Detach();
        source.Mount.Attach(parent, point);
        top.Attach(source.Mount, source.Mount.Root);
        return Errno.None;
    }

    internal static SyscallResult MountSetattr(Task task, in SyscallArgs args)
    {
        int flags = args.I2;
        if ((flags & ~(AT.EMPTY_PATH | Recursive | AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT)) != 0)
            return Errno.EINVAL;
        if (!ReadChange(task, args.A3, args.A4).TryGet(out Change change, out Errno error))
            return error;
        if (!MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if (change == default)
            return SyscallResult.Ok;
        if (!Walk(task, args.I0, args.A1, flags).TryGet(out VfsPath place, out error))
            return error;
        Mount mount = place.Mount;
        if (!MountSyscalls.IsMountRoot(place) || (mount.Namespace is not null && !MountSyscalls.IsOwn(task, mount)))
            return Errno.EINVAL;
        return Apply(task, mount, change, (flags & Recursive) != 0);
    }

    private static Errno Apply(Task task, Mount mount, in Change change, bool recursive)
    {
        Mount[] mounts = recursive ? [.. mount.Tree()] : [mount];
        foreach (Mount each in mounts)
        {
            if (!MountSyscalls.MayChangeFlags(task, each, (each.Flags & ~change.Clear) | change.Set))
                return Errno.EPERM;
        }

        foreach (Mount each in mounts)
        {
            each.Flags = MountSyscalls.Normalize((each.Flags & ~change.Clear) | change.Set);
            if (change.Propagation != 0)
                MountSyscalls.ChangePropagation(each, change.Propagation, task.Kernel.MountRegistry);
        }

        return Errno.None;
    }

    /// <summary>struct mount_attr: E2BIG for what a later version would know.</summary>
    private static Result<Change> ReadChange(Task task, ulong address, ulong size)
    {
        const ulong first = 32, atimeAsked = AttributeAtime;
        if (size > 4096)
            return Errno.E2BIG;
        if (size < first)
            return Errno.EINVAL;
        byte[] rest = new byte[size - first];
        if (!task.TryRead(address, out ulong set) || !task.TryRead(address + 8, out ulong clear) || !task.TryRead(address + 16, out ulong propagation)
            || !task.TryRead(address + 24, out ulong _) || !task.Memory.TryReadAll(address + first, rest))
            return Errno.EFAULT;
        if (rest.AsSpan().ContainsAnyExcept((byte)0))
            return Errno.E2BIG;

        // Ids are mapped by file systems that can; none of ours can.
        if (((set | clear) & AttributeIdMap) != 0)
            return Errno.EINVAL;
        if (((set | clear) & ~KnownAttributes) != 0 || (propagation != 0 && !MountSyscalls.IsPropagation(propagation)))
            return Errno.EINVAL;

        // An access-time mode is set only in place of the whole field.
        if ((set & atimeAsked) != 0 ? (clear & atimeAsked) != atimeAsked : (clear & atimeAsked) is not (0 or atimeAsked))
            return Errno.EINVAL;
        if (!ToFlags(set).TryGet(out MountFlags wanted, out Errno error))
            return error;
        MountFlags cleared = (MountFlags)(clear & 0xF) | ((clear & AttributeNoDirAtime) != 0 ? MountFlags.NoDirAtime : 0) | ((clear & AttributeNoSymlinkFollow) != 0 ? MountFlags.NoSymlinkFollow : 0);
        if ((clear & atimeAsked) != 0)
            cleared |= MountFlags.NoAtime | MountFlags.StrictAtime | MountFlags.RelAtime;
        else
            wanted &= ~MountFlags.RelAtime;
        return new Change(wanted, cleared, propagation);
    }
}
