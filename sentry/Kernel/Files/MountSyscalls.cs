namespace Sentry.Kernel.Files;

/// <summary>The bodies of mount, umount2 and pivot_root.</summary>
internal static class MountSyscalls
{
    private const ulong Remount = 32, Bind = 4096, Move = 8192, Recursive = 16384, Silent = 32768, Unbindable = 1 << 17, Private = 1 << 18, Slave = 1 << 19, Shared = 1 << 20,
        Propagation = Unbindable | Private | Slave | Shared;

    internal const MountFlags Kept = MountFlags.ReadOnly | MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec | MountFlags.NoAtime | MountFlags.NoDirAtime | MountFlags.RelAtime
        | MountFlags.StrictAtime | MountFlags.NoSymlinkFollow;

    /// <summary>Whether the caller may change its tree of mounts.</summary>
    internal static bool MayMount(Task task) => task.Credentials.HasIn(task.Mounts.Owner, Capability.CAP_SYS_ADMIN);

    internal static bool IsOwn(Task task, Mount mount) => ReferenceEquals(mount.Namespace, task.Mounts);

    internal static bool IsMountRoot(in VfsPath place) => ReferenceEquals(place.Dentry, place.Mount.Root);

    internal static SyscallResult Mount(Task task, in SyscallArgs args)
    {
        ulong flags = args.A3;
        if ((flags & 0xFFFF0000) == 0xC0ED0000)
            flags &= 0xFFFF;
        Errno error;
        string? source = "none", type = "", options = "";
        if ((args.A2 != 0 && !task.Memory.ReadPath(args.A2).TryGet(out type, out error)) || (args.A0 != 0 && !task.Memory.ReadPath(args.A0).TryGet(out source, out error))
            || (args.A4 != 0 && (flags & (Bind | Move | Propagation)) == 0 && !task.Memory.ReadPath(args.A4).TryGet(out options, out error))
            || !task.Memory.ReadPath(args.A1).TryGet(out string? path, out error) || !PathWalker.Walk(task, path).TryGet(out VfsPath place, out error))
            return error;
        if (!MayMount(task))
            return Errno.EPERM;
        MountFlags kept = Normalize((MountFlags)flags & Kept);
        if ((flags & (Remount | Bind)) == (Remount | Bind))
            return ChangeFlags(task, place, kept);
        if ((flags & Remount) != 0)
            return RemountFileSystem(task, place, kept, options);
        if ((flags & Bind) != 0)
            return BindMount(task, source, place, (flags & Recursive) != 0);
        if ((flags & Propagation) != 0)
            return SetPropagation(task, place, flags & Propagation, flags & ~(Propagation | Recursive | Silent), (flags & Recursive) != 0);
        if ((flags & Move) != 0)
            return PathWalker.Walk(task, source).TryGet(out VfsPath from, out error) ? MoveMount(task, from, place) : error;
        if (type.Length == 0 || args.A2 == 0)
            return Errno.EINVAL;
        if (!IsOwn(task, place.Mount))
            return Errno.EINVAL;
        if (!FileSystemTypes.Make(task, type, source, options).TryGet(out Dentry? root, out error))
            return error;
        if (!place.Inode.IsDirectory && root.Inode.IsDirectory)
            return Errno.ENOTDIR;
        return AttachNew(task, new Mount(task.Kernel.MountRegistry, root.Inode.FileSystem, root, kept), place);
    }

    /// <summary>relatime is what a mount has unless something else was asked for.</summary>
    internal static MountFlags Normalize(MountFlags flags)
    {
        if ((flags & MountFlags.StrictAtime) != 0)
            return flags & ~(MountFlags.RelAtime | MountFlags.NoAtime);
        return (flags & MountFlags.NoAtime) != 0 ? flags & ~MountFlags.RelAtime : flags | MountFlags.RelAtime;
    }

    /// <summary>Attaches a tree of mounts at the top of what is at a place.</summary>
    internal static Errno AttachNew(Task task, Mount tree, in VfsPath place)
    {
        if (!place.Inode.CanBeMountPoint || place.Dentry.IsUnlinked)
            return Errno.ENOENT;
        if (!IsOwn(task, place.Mount))
            return Errno.EINVAL;
        MountTrees.Attach(tree, place.Mount, place.Dentry, task.Kernel.MountRegistry);
        return Errno.None;
    }

    private static Errno ChangeFlags(Task task, in VfsPath place, MountFlags flags)
    {
        if (!IsMountRoot(place) || !IsOwn(task, place.Mount))
            return Errno.EINVAL;
        if (!MayChangeFlags(task, place.Mount, flags))
            return Errno.EPERM;
        place.Mount.Flags = flags;
        return Errno.None;
    }

    /// <summary>In a user namespace that does not own the file system, restrictions stay (mount_namespaces(7), "Restrictions on mount namespaces").</summary>
    internal static bool MayChangeFlags(Task task, Mount mount, MountFlags flags)
    {
        const MountFlags locked = MountFlags.ReadOnly | MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec;
        return task.Credentials.Has(Capability.CAP_SYS_ADMIN) || ReferenceEquals(mount.FileSystem.Owner, task.Mounts.Owner) || (mount.Flags & locked & ~flags) == 0;
    }

    private static Errno RemountFileSystem(Task task, in VfsPath place, MountFlags flags, string options)
    {
        if (!IsMountRoot(place) || !IsOwn(task, place.Mount))
            return Errno.EINVAL;
        FileSystem fileSystem = place.Mount.FileSystem;
        if (!task.Credentials.HasIn(fileSystem.Owner, Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        bool readOnly = (flags & MountFlags.ReadOnly) != 0;
        if (readOnly && !fileSystem.IsReadOnly && HasWriters(task.Kernel, fileSystem))
            return Errno.EBUSY;
        Errno error = fileSystem.Reconfigure(task, options);
        if (error != Errno.None)
            return error;
        fileSystem.IsReadOnly = readOnly;
        place.Mount.Flags = flags;
        return Errno.None;
    }

    internal static bool HasWriters(GuestKernel kernel, FileSystem fileSystem) => AnyFile(kernel, file => file.CanWrite && ReferenceEquals(file.Inode.FileSystem, fileSystem));

    private static Errno BindMount(Task task, string source, in VfsPath place, bool recursive)
    {
        if (source.Length == 0)
            return Errno.EINVAL;
        if (!PathWalker.Walk(task, source).TryGet(out VfsPath from, out Errno error))
            return error;
        if (!CloneTree(task, from, recursive).TryGet(out Mount? tree, out error))
            return error;
        if (from.Inode.IsDirectory != place.Inode.IsDirectory)
        {
            Abandon(tree);
            return Errno.ENOTDIR;
        }

        error = AttachNew(task, tree, place);
        if (error != Errno.None)
            Abandon(tree);
        return error;
    }

    /// <summary>A detached copy of what is at a place, as a bind mount or open_tree(2) makes it.</summary>
    internal static Result<Mount> CloneTree(Task task, in VfsPath from, bool recursive)
    {
        bool mayCopy = IsOwn(task, from.Mount) || from.Mount.Namespace is null || from.Mount.FileSystem is NamespaceFileSystem;
        if (!mayCopy || (!recursive && MountTrees.HasLocked(from.Mount, from.Dentry)) || MountTrees.Copy(from.Mount, from.Dentry, task.Kernel.MountRegistry, recursive) is not { } tree)
            return Errno.EINVAL;
        return tree;
    }

    /// <summary>A detached tree ends.</summary>
    internal static void Abandon(Mount tree)
    {
        foreach (Mount mount in tree.Tree())
            mount.LeaveGroups();
    }

    private static Errno SetPropagation(Task task, in VfsPath place, ulong kind, ulong rest, bool recursive)
    {
        if (!IsMountRoot(place) || rest != 0 || System.Numerics.BitOperations.PopCount(kind) != 1)
            return Errno.EINVAL;
        if (!IsOwn(task, place.Mount))
            return Errno.EINVAL;
        foreach (Mount mount in recursive ? place.Mount.Tree().ToArray() : [place.Mount])
            ChangePropagation(mount, kind, task.Kernel.MountRegistry);
        return Errno.None;
    }

    /// <summary>One of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE.</summary>
    internal static void ChangePropagation(Mount mount, ulong kind, MountRegistry registry)
    {
        switch (kind)
        {
            case Shared:
                mount.MakeShared(registry);
                break;
            case Slave:
                mount.MakeSlave();
                break;
            default:
                mount.MakePrivate(kind == Unbindable);
                break;
        }
    }

    internal static bool IsPropagation(ulong kind) => kind is Shared or Slave or Private or Unbindable;

    /// <summary>MS_MOVE, and move_mount(2) of an attached mount.</summary>
    internal static Errno MoveMount(Task task, in VfsPath from, in VfsPath place)
    {
        if (!IsMountRoot(from) || from.Mount.Parent is not { } parent || !IsOwn(task, from.Mount) || !IsOwn(task, place.Mount) || parent.Peers is not null || from.Mount.IsLocked)
            return Errno.EINVAL;
        if (from.Inode.IsDirectory != place.Inode.IsDirectory)
            return Errno.EINVAL;
        if (place.Mount.Peers is not null && MountTrees.HasUnbindable(from.Mount))
            return Errno.EINVAL;
        for (Mount? above = place.Mount; above is not null; above = above.Parent)
        {
            if (ReferenceEquals(above, from.Mount))
                return Errno.ELOOP;
        }

        if (!place.Inode.CanBeMountPoint)
            return Errno.ENOENT;
        from.Mount.Detach();
        MountTrees.Attach(from.Mount, place.Mount, place.Dentry, task.Kernel.MountRegistry);
        return Errno.None;
    }

    internal static SyscallResult Umount2(Task task, in SyscallArgs args)
    {
        const int Force = 1, Detach = 2, Expire = 4, NoFollow = 8;
        int flags = args.I1;
        if ((flags & ~(Force | Detach | Expire | NoFollow)) != 0)
            return Errno.EINVAL;
        WalkFlags walk = (flags & NoFollow) != 0 ? WalkFlags.NoFollow : WalkFlags.None;
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, path, walk).TryGet(out VfsPath place, out error))
            return error;
        if (!MayMount(task))
            return Errno.EPERM;
        Mount mount = place.Mount;
        if (!IsMountRoot(place) || !IsOwn(task, mount) || mount.IsLocked)
            return Errno.EINVAL;
        if ((flags & Expire) != 0)
        {
            if ((flags & (Force | Detach)) != 0)
                return Errno.EINVAL;
            if (mount.Children.Count > 0 || IsInUse(task.Kernel, mount))
                return Errno.EBUSY;
            if (!mount.IsExpiring)
            {
                mount.IsExpiring = true;
                return Errno.EAGAIN;
            }
        }

        if (mount.Parent is null)
            return Errno.EINVAL;
        if ((flags & Detach) == 0 && (mount.Children.Count > 0 || IsInUse(task.Kernel, mount)))
            return Errno.EBUSY;
        MountTrees.Detach(mount, task.Kernel);
        return SyscallResult.Ok;
    }

    private static bool IsInUse(GuestKernel kernel, Mount mount)
    {
        foreach (Task task in kernel.Tasks.Values)
        {
            if (ReferenceEquals(task.Fs.Root.Mount, mount) || ReferenceEquals(task.Fs.WorkingDirectory.Mount, mount) || ReferenceEquals(task.Memory.Program?.Path.Mount, mount))
                return true;
        }

        return AnyFile(kernel, file => ReferenceEquals(file.Path.Mount, mount));
    }

    private static bool AnyFile(GuestKernel kernel, Func<InodeFile, bool> predicate)
    {
        var seen = new HashSet<FileTable>();
        foreach (Task task in kernel.Tasks.Values)
        {
            if (!seen.Add(task.Files))
                continue;
            for (int fd = 0; fd < task.Files.Capacity; fd++)
            {
                if (task.Files.Get(fd) is InodeFile file && predicate(file))
                    return true;
            }
        }

        return false;
    }

    internal static SyscallResult PivotRoot(Task task, in SyscallArgs args)
    {
        Errno error;
        if (!MayMount(task))
            return Errno.EPERM;
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? newPath, out error) || !PathWalker.Walk(task, newPath, WalkFlags.MustBeDirectory).TryGet(out VfsPath newRoot, out error)
            || !task.Memory.ReadPath(args.A1).TryGet(out string? oldPath, out error) || !PathWalker.Walk(task, oldPath, WalkFlags.MustBeDirectory).TryGet(out VfsPath putOld, out error))
            return error;
        VfsPath root = task.Fs.Root;
        Mount old = root.Mount;
        if (newRoot.Mount.Parent?.Peers is not null || old.Parent?.Peers is not null || putOld.Mount.Peers is not null)
            return Errno.EINVAL;
        if (!IsOwn(task, old) || !IsOwn(task, newRoot.Mount))
            return Errno.EINVAL;
        if (newRoot.Dentry.IsUnlinked)
            return Errno.ENOENT;
        if (ReferenceEquals(newRoot.Mount, old) || ReferenceEquals(putOld.Mount, old))
            return Errno.EBUSY;
        if (!IsMountRoot(root) || !IsMountRoot(newRoot) || newRoot.Mount.Parent is null || newRoot.Mount.IsLocked || !IsBelow(putOld, newRoot))
            return Errno.EINVAL;
        Mount? above = old.Parent;
        Dentry? point = old.MountPoint;
        (newRoot.Mount.IsLocked, old.IsLocked) = (old.IsLocked, false);
        newRoot.Mount.Detach();
        old.Detach();
        if (above is not null)
            newRoot.Mount.Attach(above, point!);
        else
            task.Mounts.ReplaceRoot(newRoot.Mount);
        old.Attach(putOld.Mount, putOld.Dentry);
        foreach (Task other in task.Kernel.Tasks.Values)
        {
            if (other.Fs.Root.Equals(root))
                other.Fs.Root = newRoot;
            if (other.Fs.WorkingDirectory.Equals(root))
                other.Fs.WorkingDirectory = newRoot;
        }

        return SyscallResult.Ok;
    }

    /// <summary>Whether a place is another or below it.</summary>
    private static bool IsBelow(in VfsPath place, in VfsPath top)
    {
        place.Format(top, out bool reachable);
        return reachable;
    }
}
