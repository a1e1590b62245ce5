namespace Sentry.Kernel.Files;

/// <summary>System calls on paths: open, mkdir, link, unlink, rename, readlink, mknod, chdir, getcwd and their kin.</summary>
internal static class PathSyscalls
{
    private const uint ModeMask = S.PermissionMask;

    // ---- open ----------------------------------------------------------------------------------------------------

    internal static SyscallResult Open(Task task, in SyscallArgs args) => OpenAt(task, AT.FDCWD, args.A0, (OpenFlags)args.I1, (uint)args.A2, WalkFlags.None);

    internal static SyscallResult Openat(Task task, in SyscallArgs args) => OpenAt(task, args.I0, args.A1, (OpenFlags)args.I2, (uint)args.A3, WalkFlags.None);

    internal static SyscallResult Creat(Task task, in SyscallArgs args) =>
        OpenAt(task, AT.FDCWD, args.A0, OpenFlags.Create | OpenFlags.WriteOnly | OpenFlags.Truncate, (uint)args.A1, WalkFlags.None);

    internal static SyscallResult Openat2(Task task, in SyscallArgs args)
    {
        const ulong KnownFlags = 0x7FFFC3;
        const ulong HowSize = 24;
        if (args.A3 < HowSize)
            return Errno.EINVAL;
        if (args.A3 > 4096)
            return Errno.E2BIG;
        if (!task.TryRead(args.A2, out KernelOpenHow how))
            return Errno.EFAULT;
        if (args.A3 > HowSize)
        {
            var rest = new byte[args.A3 - HowSize];
            if (!task.Memory.TryReadAll(args.A2 + HowSize, rest))
                return Errno.EFAULT;
            if (rest.AsSpan().ContainsAnyExcept((byte)0))
                return Errno.E2BIG;
        }

        var flags = (OpenFlags)how.flags;
        bool creates = (flags & OpenFlags.Create) != 0 || (flags & OpenFlags.TmpFile) == OpenFlags.TmpFile;
        if ((how.flags & ~KnownFlags) != 0 || (how.resolve & ~0x3FUL) != 0 || (how.mode & ~(ulong)ModeMask) != 0 || (how.mode != 0 && !creates))
            return Errno.EINVAL;
        if ((flags & OpenFlags.Path) != 0 && (flags & ~(OpenFlags.Path | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.CloseOnExec)) != 0)
            return Errno.EINVAL;
        if ((how.resolve & 0x18) == 0x18)
            return Errno.EINVAL;
        if ((how.resolve & 0x20) != 0)
            return Errno.EAGAIN; // RESOLVE_CACHED: the caller tries again without.
        WalkFlags walk = WalkFlags.None;
        if ((how.resolve & 1) != 0)
            walk |= WalkFlags.NoCrossMounts;
        if ((how.resolve & 2) != 0)
            walk |= WalkFlags.NoMagicLinks;
        if ((how.resolve & 4) != 0)
            walk |= WalkFlags.NoSymlinks;
        if ((how.resolve & 8) != 0)
            walk |= WalkFlags.Beneath;
        if ((how.resolve & 16) != 0)
            walk |= WalkFlags.InRoot;
        return OpenAt(task, args.I0, args.A1, flags, (uint)how.mode, walk);
    }

    private static SyscallResult OpenAt(Task task, int directory, ulong pathAddress, OpenFlags flags, uint mode, WalkFlags walk)
    {
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error))
            return error;
        if (task.CurrentCall?.State is FifoOpen waiting)
            return waiting.Continue(task, (flags & OpenFlags.CloseOnExec) != 0);
        if (!Vfs.Open(task, path, flags, mode & ModeMask, directory, walk).TryGet(out FileObject? file, out error))
        {
            return error != Errno.EAGAIN ? error : task.CurrentCall?.State switch
            {
                FifoOpen begun => begun.Continue(task, false),
                LeaseBreak held => held.Wait(task),
                _ => error,
            };
        }

        return task.AddFile(file, (flags & OpenFlags.CloseOnExec) != 0);
    }

    // ---- making and removing -------------------------------------------------------------------------------------

    private static Result<ParentAndName> WalkParent(Task task, int directory, ulong pathAddress)
    {
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error))
            return error;
        return PathWalker.WalkParent(task, directory, path);
    }

    internal static SyscallResult Mkdir(Task task, in SyscallArgs args) => MakeNode(task, AT.FDCWD, args.A0, S.IFDIR | ((uint)args.A1 & 0x3FF), 0);

    internal static SyscallResult Mkdirat(Task task, in SyscallArgs args) => MakeNode(task, args.I0, args.A1, S.IFDIR | ((uint)args.A2 & 0x3FF), 0);

    internal static SyscallResult Mknod(Task task, in SyscallArgs args) => MakeSpecial(task, AT.FDCWD, args.A0, (uint)args.A1, args.A2);

    internal static SyscallResult Mknodat(Task task, in SyscallArgs args) => MakeSpecial(task, args.I0, args.A1, (uint)args.A2, args.A3);

    private static SyscallResult MakeSpecial(Task task, int directory, ulong pathAddress, uint mode, ulong device)
    {
        uint type = mode & S.IFMT;
        if (type == 0)
            mode |= S.IFREG;
        else if (type is S.IFCHR or S.IFBLK && !Vfs.MayMakeDevices(task.Credentials))
            return Errno.EPERM;
        else if (type == S.IFDIR)
            return Errno.EPERM;
        else if (type is not (S.IFREG or S.IFCHR or S.IFBLK or S.IFIFO or S.IFSOCK))
            return Errno.EINVAL;
        return MakeNode(task, directory, pathAddress, mode & (S.IFMT | ModeMask), type is S.IFCHR or S.IFBLK ? device & 0xFFFF_FFFF : 0);
    }

    private static SyscallResult MakeNode(Task task, int directory, ulong pathAddress, uint mode, ulong device, string target = "")
    {
        if (!WalkParent(task, directory, pathAddress).TryGet(out ParentAndName last, out Errno error))
            return error;
        uint masked = S.IsSymlink(mode) ? mode : mode & ~task.Fs.Umask;
        Vfs.Create(task, last, new NewNode(masked, task.Credentials.FsUid, task.Credentials.FsGid, device, target)).TryGet(out _, out error);
        return error;
    }

    internal static SyscallResult Symlink(Task task, in SyscallArgs args) => MakeSymlink(task, args.A0, AT.FDCWD, args.A1);

    internal static SyscallResult Symlinkat(Task task, in SyscallArgs args) => MakeSymlink(task, args.A0, args.I1, args.A2);

    private static SyscallResult MakeSymlink(Task task, ulong targetAddress, int directory, ulong pathAddress)
    {
        if (!task.Memory.ReadPath(targetAddress).TryGet(out string? target, out Errno error))
            return error;
        return target.Length == 0 ? Errno.ENOENT : MakeNode(task, directory, pathAddress, S.IFLNK | 0x1FF, 0, target);
    }

    internal static SyscallResult Rmdir(Task task, in SyscallArgs args)
    {
        if (!WalkParent(task, AT.FDCWD, args.A0).TryGet(out ParentAndName last, out Errno error))
            return error;
        return Vfs.RemoveDirectory(task, last);
    }

    internal static SyscallResult Unlink(Task task, in SyscallArgs args)
    {
        if (!WalkParent(task, AT.FDCWD, args.A0).TryGet(out ParentAndName last, out Errno error))
            return error;
        return Vfs.Unlink(task, last);
    }

    internal static SyscallResult Unlinkat(Task task, in SyscallArgs args)
    {
        if ((args.I2 & ~AT.REMOVEDIR) != 0)
            return Errno.EINVAL;
        if (!WalkParent(task, args.I0, args.A1).TryGet(out ParentAndName last, out Errno error))
            return error;
        return (args.I2 & AT.REMOVEDIR) != 0 ? Vfs.RemoveDirectory(task, last) : Vfs.Unlink(task, last);
    }

    internal static SyscallResult Link(Task task, in SyscallArgs args) => LinkAt(task, AT.FDCWD, args.A0, AT.FDCWD, args.A1, 0);

    internal static SyscallResult Linkat(Task task, in SyscallArgs args) => LinkAt(task, args.I0, args.A1, args.I2, args.A3, args.I4);

    private static SyscallResult LinkAt(Task task, int oldDirectory, ulong oldAddress, int newDirectory, ulong newAddress, int flags)
    {
        if ((flags & ~(AT.SYMLINK_FOLLOW | AT.EMPTY_PATH)) != 0)
            return Errno.EINVAL;
        WalkFlags walk = (flags & AT.SYMLINK_FOLLOW) != 0 ? WalkFlags.None : WalkFlags.NoFollow;
        if ((flags & AT.EMPTY_PATH) != 0)
            walk |= WalkFlags.AllowEmpty;
        if (!task.Memory.ReadPath(oldAddress).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, oldDirectory, path, walk).TryGet(out VfsPath source, out error))
            return error;
        if (!WalkParent(task, newDirectory, newAddress).TryGet(out ParentAndName last, out error))
            return error;
        return Vfs.Link(task, source, last);
    }

    internal static SyscallResult Rename(Task task, in SyscallArgs args) => RenameAt(task, AT.FDCWD, args.A0, AT.FDCWD, args.A1, 0);

    internal static SyscallResult Renameat(Task task, in SyscallArgs args) => RenameAt(task, args.I0, args.A1, args.I2, args.A3, 0);

    internal static SyscallResult Renameat2(Task task, in SyscallArgs args) => RenameAt(task, args.I0, args.A1, args.I2, args.A3, args.I4);

    private static SyscallResult RenameAt(Task task, int oldDirectory, ulong oldAddress, int newDirectory, ulong newAddress, int flags)
    {
        const int NoReplace = 1, Exchange = 2;
        if ((flags & ~(NoReplace | Exchange)) != 0 || flags == (NoReplace | Exchange))
            return Errno.EINVAL;
        if (!WalkParent(task, oldDirectory, oldAddress).TryGet(out ParentAndName from, out Errno error) || !WalkParent(task, newDirectory, newAddress).TryGet(out ParentAndName to, out error))
            return error;
        return Vfs.Rename(task, from, to, (flags & NoReplace) != 0, (flags & Exchange) != 0);
    }

    internal static SyscallResult Readlink(Task task, in SyscallArgs args) => ReadLinkAt(task, AT.FDCWD, args.A0, args.A1, args.I2);

    internal static SyscallResult Readlinkat(Task task, in SyscallArgs args) => ReadLinkAt(task, args.I0, args.A1, args.A2, args.I3);

    private static SyscallResult ReadLinkAt(Task task, int directory, ulong pathAddress, ulong buffer, int size)
    {
        if (size <= 0)
            return Errno.EINVAL;
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error))
            return error;
        WalkFlags walk = WalkFlags.NoFollow | (directory == AT.FDCWD ? 0 : WalkFlags.AllowEmpty);
        if (!PathWalker.Walk(task, directory, path, walk).TryGet(out VfsPath place, out error))
            return error;
        if (!place.Inode.IsSymlink)
            return path.Length == 0 ? Errno.ENOENT : Errno.EINVAL;
        if (!place.Inode.ReadLink(task).TryGet(out string? target, out error))
            return error;
        int length = Math.Min(size, target.Length);
        return task.Memory.TryWriteAll(buffer, System.Text.Encoding.Latin1.GetBytes(target, 0, length)) ? length : Errno.EFAULT;
    }

    // ---- root, working directory ---------------------------------------------------------------------------------

    internal static SyscallResult Chdir(Task task, in SyscallArgs args)
    {
        if (!WalkDirectory(task, args.A0).TryGet(out VfsPath place, out Errno error))
            return error;
        task.Fs.WorkingDirectory = place;
        return SyscallResult.Ok;
    }

    internal static SyscallResult Fchdir(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not InodeFile { Inode.IsDirectory: true } opened)
            return Errno.ENOTDIR;
        Errno error = opened.Inode.CheckAccess(task.Credentials, FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        task.Fs.WorkingDirectory = opened.Path;
        return SyscallResult.Ok;
    }

    internal static SyscallResult Chroot(Task task, in SyscallArgs args)
    {
        if (!WalkDirectory(task, args.A0).TryGet(out VfsPath place, out Errno error))
            return error;
        if (!task.Credentials.HasOwn(Capability.CAP_SYS_CHROOT))
            return Errno.EPERM;
        task.Fs.Root = place;
        return SyscallResult.Ok;
    }

    private static Result<VfsPath> WalkDirectory(Task task, ulong pathAddress)
    {
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, path, WalkFlags.MustBeDirectory).TryGet(out VfsPath place, out error))
            return error;
        error = place.Inode.CheckAccess(task.Credentials, FileAccessMask.Execute);
        return error != Errno.None ? error : place;
    }

    internal static SyscallResult Getcwd(Task task, in SyscallArgs args)
    {
        VfsPath place = task.Fs.WorkingDirectory;
        if (place.Dentry.IsUnlinked)
            return Errno.ENOENT;
        string path = place.Format(task.Fs.Root, out bool reachable);
        if (!reachable)
            path = "(unreachable)" + path;
        if ((ulong)path.Length + 1 > args.A1)
            return Errno.ERANGE;
        var bytes = new byte[path.Length + 1];
        System.Text.Encoding.Latin1.GetBytes(path, bytes);
        return task.Memory.TryWriteAll(args.A0, bytes) ? bytes.Length : Errno.EFAULT;
    }

    internal static SyscallResult Umask(Task task, in SyscallArgs args)
    {
        uint old = task.Fs.Umask;
        task.Fs.Umask = (uint)args.A0;
        return (int)old;
    }

    // ---- elsewhere -----------------------------------------------------------------------------------------------

    internal static SyscallResult Chmod(Task task, in SyscallArgs args) => AttributeSyscalls.Chmod(task, AT.FDCWD, args.A0, (uint)args.A1, 0);

    internal static SyscallResult Fchmod(Task task, in SyscallArgs args) => AttributeSyscalls.Fchmod(task, args.I0, (uint)args.A1);

    internal static SyscallResult Fchmodat(Task task, in SyscallArgs args) => AttributeSyscalls.Chmod(task, args.I0, args.A1, (uint)args.A2, 0);

    internal static SyscallResult Fchmodat2(Task task, in SyscallArgs args) => AttributeSyscalls.Chmod(task, args.I0, args.A1, (uint)args.A2, args.I3);

    internal static SyscallResult Chown(Task task, in SyscallArgs args) => AttributeSyscalls.Chown(task, AT.FDCWD, args.A0, (uint)args.A1, (uint)args.A2, 0);

    internal static SyscallResult Lchown(Task task, in SyscallArgs args) => AttributeSyscalls.Chown(task, AT.FDCWD, args.A0, (uint)args.A1, (uint)args.A2, AT.SYMLINK_NOFOLLOW);

    internal static SyscallResult Fchownat(Task task, in SyscallArgs args) => AttributeSyscalls.Chown(task, args.I0, args.A1, (uint)args.A2, (uint)args.A3, args.I4);

    internal static SyscallResult Fchown(Task task, in SyscallArgs args) => AttributeSyscalls.Fchown(task, args.I0, (uint)args.A1, (uint)args.A2);

    internal static SyscallResult Utime(Task task, in SyscallArgs args) => AttributeSyscalls.Utime(task, args);

    internal static SyscallResult Utimes(Task task, in SyscallArgs args) => AttributeSyscalls.Utimes(task, AT.FDCWD, args.A0, args.A1);

    internal static SyscallResult Futimesat(Task task, in SyscallArgs args) => AttributeSyscalls.Utimes(task, args.I0, args.A1, args.A2);

    internal static SyscallResult Utimensat(Task task, in SyscallArgs args) => AttributeSyscalls.Utimensat(task, args);

    internal static SyscallResult Access(Task task, in SyscallArgs args) => AttributeSyscalls.Access(task, AT.FDCWD, args.A0, args.I1, 0);

    internal static SyscallResult Faccessat(Task task, in SyscallArgs args) => AttributeSyscalls.Access(task, args.I0, args.A1, args.I2, 0);

    internal static SyscallResult Faccessat2(Task task, in SyscallArgs args) => AttributeSyscalls.Access(task, args.I0, args.A1, args.I2, args.I3);

    internal static SyscallResult Mount(Task task, in SyscallArgs args) => MountSyscalls.Mount(task, args);

    internal static SyscallResult Umount2(Task task, in SyscallArgs args) => MountSyscalls.Umount2(task, args);

    internal static SyscallResult PivotRoot(Task task, in SyscallArgs args) => MountSyscalls.PivotRoot(task, args);

    internal static SyscallResult NameToHandleAt(Task task, in SyscallArgs args) => Errno.EOPNOTSUPP;

    internal static SyscallResult OpenByHandleAt(Task task, in SyscallArgs args) => Errno.EPERM;
}
