namespace Sentry.Kernel.Files;

/// <summary>Makes file systems for mount(2). Filled by the file systems when the sentry starts; no part of a sandbox's state.</summary>
public static class FileSystemTypes
{
    private static readonly SortedDictionary<string, Func<GuestKernel, string, string, Result<Dentry>>> Types = new(StringComparer.Ordinal);

    /// <summary>Names for /proc/filesystems.</summary>
    public static IEnumerable<string> Names => Types.Keys;

    /// <summary><paramref name="make"/> gets the kernel, the source and the options and gives the root.</summary>
    public static void Register(string name, Func<GuestKernel, string, string, Result<Dentry>> make) => Types[name] = make;

    internal static Result<Dentry> Make(GuestKernel kernel, string name, string source, string options) =>
        Types.TryGetValue(name, out Func<GuestKernel, string, string, Result<Dentry>>? make) ? make(kernel, source, options) : Errno.ENODEV;
}

/// <summary>System calls that tell about file systems as such: sysfs, ustat.</summary>
internal static class FileSystemSyscalls
{
    /// <summary>sysfs(2): names and indices of the known types.</summary>
    internal static SyscallResult Sysfs(Task task, in SyscallArgs args)
    {
        string[] names = [.. FileSystemTypes.Names];
        switch (args.I0)
        {
            case 1:
                if (!task.Memory.ReadPath(args.A1).TryGet(out string? wanted, out Errno error))
                    return error;
                int index = Array.IndexOf(names, wanted);
                return index < 0 ? Errno.EINVAL : index;
            case 2:
                if ((uint)args.A1 >= (uint)names.Length)
                    return Errno.EINVAL;
                return task.Memory.TryWriteAll(args.A2, System.Text.Encoding.Latin1.GetBytes(names[args.I1] + "\0")) ? SyscallResult.Ok : Errno.EFAULT;
            case 3:
                return names.Length;
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>ustat(2): free blocks and inodes of a mounted device.</summary>
    internal static SyscallResult Ustat(Task task, in SyscallArgs args)
    {
        const int size = 32;
        foreach (Mount mount in task.Kernel.Mounts.All())
        {
            if ((uint)mount.FileSystem.Device != (uint)args.A0)
                continue;
            FileSystemStatus status = mount.FileSystem.GetStatus();
            Span<byte> bytes = stackalloc byte[size];
            bytes.Clear();
            System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)Math.Min(int.MaxValue, status.FreeBlocks));
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], status.FreeFiles);
            return task.Memory.TryWriteAll(args.A1, bytes) ? SyscallResult.Ok : Errno.EFAULT;
        }

        return Errno.EINVAL;
    }
}

/// <summary>The bodies of mount, umount2 and pivot_root.</summary>
internal static class MountSyscalls
{
    private const ulong Remount = 32, Bind = 4096, Move = 8192, Recursive = 16384, Propagation = (1 << 17) | (1 << 18) | (1 << 19) | (1 << 20);
    private const MountFlags Kept = MountFlags.ReadOnly | MountFlags.NoSuid | MountFlags.NoDev | MountFlags.NoExec | MountFlags.NoAtime | MountFlags.NoDirAtime | MountFlags.RelAtime;

    internal static SyscallResult Mount(Task task, in SyscallArgs args)
    {
        if (!task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        ulong flags = args.A3;
        if ((flags & 0xFFFF0000) == 0xC0ED0000)
            flags &= 0xFFFF;
        Errno error;
        if (!task.Memory.ReadPath(args.A1).TryGet(out string? path, out error) || !PathWalker.Walk(task, path).TryGet(out VfsPath place, out error))
            return error;
        string? source = "none", type = "", options = "";
        if ((args.A0 != 0 && !task.Memory.ReadPath(args.A0).TryGet(out source, out error))
            || (args.A2 != 0 && !task.Memory.ReadPath(args.A2).TryGet(out type, out error))
            || (args.A4 != 0 && (flags & (Bind | Move | Propagation)) == 0 && !task.Memory.ReadPath(args.A4).TryGet(out options, out error)))
            return error;
        var kept = (MountFlags)flags & Kept;
        if ((flags & Remount) != 0)
        {
            if (!ReferenceEquals(place.Dentry, place.Mount.Root))
                return Errno.EINVAL;
            place.Mount.Flags = kept;
            return SyscallResult.Ok;
        }

        if ((flags & Bind) != 0)
            return BindMount(task, source, place, (flags & Recursive) != 0);
        if ((flags & Propagation) != 0)
            return ReferenceEquals(place.Dentry, place.Mount.Root) ? SyscallResult.Ok : Errno.EINVAL;
        if ((flags & Move) != 0)
            return MoveMount(task, source, place);
        if (!FileSystemTypes.Make(task.Kernel, type, source, options).TryGet(out Dentry? root, out error))
            return error;
        if (!place.Inode.IsDirectory)
            return Errno.ENOTDIR;
        task.Kernel.Mounts.Attach(root.Inode.FileSystem, root, place, kept);
        return SyscallResult.Ok;
    }

    private static SyscallResult BindMount(Task task, string source, in VfsPath place, bool recursive)
    {
        if (!PathWalker.Walk(task, source).TryGet(out VfsPath from, out Errno error))
            return error;
        if (from.Inode.IsDirectory != place.Inode.IsDirectory)
            return Errno.ENOTDIR;
        Mount made = task.Kernel.Mounts.Attach(from.Mount.FileSystem, from.Dentry, place, from.Mount.Flags);
        if (recursive)
            CopyChildren(task.Kernel.Mounts, from.Mount, from.Dentry, made);
        return SyscallResult.Ok;
    }

    private static void CopyChildren(MountNamespace mounts, Mount from, Dentry below, Mount to)
    {
        foreach (Mount child in from.Children.ToArray())
        {
            if (ReferenceEquals(child, to) || !below.IsAncestorOf(child.MountPoint!))
                continue;
            Mount copy = mounts.Attach(child.FileSystem, child.Root, new VfsPath(to, child.MountPoint!), child.Flags);
            CopyChildren(mounts, child, child.Root, copy);
        }
    }

    private static SyscallResult MoveMount(Task task, string source, in VfsPath place)
    {
        if (!PathWalker.Walk(task, source).TryGet(out VfsPath from, out Errno error))
            return error;
        if (!ReferenceEquals(from.Dentry, from.Mount.Root) || from.Mount.Parent is null)
            return Errno.EINVAL;
        if (from.Inode.IsDirectory != place.Inode.IsDirectory)
            return Errno.ENOTDIR;
        for (Mount? above = place.Mount; above is not null; above = above.Parent)
        {
            if (ReferenceEquals(above, from.Mount))
                return Errno.ELOOP;
        }

        from.Mount.Detach();
        from.Mount.Attach(place.Mount, place.Dentry);
        return SyscallResult.Ok;
    }

    internal static SyscallResult Umount2(Task task, in SyscallArgs args)
    {
        const int Force = 1, Detach = 2, Expire = 4, NoFollow = 8;
        if ((args.I1 & ~(Force | Detach | Expire | NoFollow)) != 0)
            return Errno.EINVAL;
        if (!task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        WalkFlags walk = (args.I1 & NoFollow) != 0 ? WalkFlags.NoFollow : WalkFlags.None;
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, path, walk).TryGet(out VfsPath place, out error))
            return error;
        Mount mount = place.Mount;
        if (!ReferenceEquals(place.Dentry, mount.Root) || mount.Parent is null)
            return Errno.EINVAL;
        if ((args.I1 & Detach) == 0 && (mount.Children.Count > 0 || IsInUse(task.Kernel, mount)))
            return Errno.EBUSY;
        mount.Detach();
        return SyscallResult.Ok;
    }

    private static bool IsInUse(GuestKernel kernel, Mount mount)
    {
        foreach (Task task in kernel.Tasks.Values)
        {
            if (ReferenceEquals(task.Fs.Root.Mount, mount) || ReferenceEquals(task.Fs.WorkingDirectory.Mount, mount))
                return true;
            for (int fd = 0; fd < task.Files.Capacity; fd++)
            {
                if (task.Files.Get(fd) is InodeFile file && ReferenceEquals(file.Path.Mount, mount))
                    return true;
            }
        }

        return false;
    }

    internal static SyscallResult PivotRoot(Task task, in SyscallArgs args)
    {
        if (!task.Credentials.Has(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        Errno error;
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? newPath, out error) || !PathWalker.Walk(task, newPath, WalkFlags.MustBeDirectory).TryGet(out VfsPath newRoot, out error)
            || !task.Memory.ReadPath(args.A1).TryGet(out string? oldPath, out error) || !PathWalker.Walk(task, oldPath, WalkFlags.MustBeDirectory).TryGet(out VfsPath putOld, out error))
            return error;
        VfsPath root = task.Fs.Root;
        Mount old = root.Mount;
        if (!ReferenceEquals(root.Dentry, old.Root) || !ReferenceEquals(newRoot.Dentry, newRoot.Mount.Root) || newRoot.Mount.Parent is null)
            return Errno.EINVAL;
        if (ReferenceEquals(newRoot.Mount, old) || ReferenceEquals(putOld.Mount, old))
            return Errno.EBUSY;
        Mount? above = old.Parent;
        Dentry? point = old.MountPoint;
        newRoot.Mount.Detach();
        old.Detach();
        if (above is not null)
            newRoot.Mount.Attach(above, point!);
        else
            task.Kernel.Mounts.ReplaceRoot(newRoot.Mount);
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
}
