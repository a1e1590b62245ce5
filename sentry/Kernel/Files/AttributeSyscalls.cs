namespace Sentry.Kernel.Files;

/// <summary>The bodies of chmod, chown, utimensat, access and their kin.</summary>
internal static class AttributeSyscalls
{
    private const long UtimeNow = 0x3FFFFFFF, UtimeOmit = 0x3FFFFFFE;

    internal static SyscallResult Chmod(Task task, int directory, ulong pathAddress, uint mode, int flags)
    {
        if (!Find(task, directory, pathAddress, flags, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH).TryGet(out VfsPath place, out Errno error))
            return error;
        return Vfs.ChangeMode(task, place, mode & S.PermissionMask);
    }

    internal static SyscallResult Fchmod(Task task, int descriptor, uint mode)
    {
        if (!task.TryGetFile(descriptor, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        return file is InodeFile opened ? Vfs.ChangeMode(task, opened.Path, mode & S.PermissionMask) : SyscallResult.Ok;
    }

    internal static SyscallResult Chown(Task task, int directory, ulong pathAddress, uint uid, uint gid, int flags)
    {
        if (!Find(task, directory, pathAddress, flags, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH).TryGet(out VfsPath place, out Errno error))
            return error;
        return MakeOwner(task, ref uid, ref gid) ? Vfs.ChangeOwner(task, place, uid, gid) : Errno.EINVAL;
    }

    internal static SyscallResult Fchown(Task task, int descriptor, uint uid, uint gid)
    {
        if (!task.TryGetFile(descriptor, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (!MakeOwner(task, ref uid, ref gid))
            return Errno.EINVAL;
        return file is InodeFile opened ? Vfs.ChangeOwner(task, opened.Path, uid, gid) : SyscallResult.Ok;
    }

    /// <summary>The caller's ids to the kernel's; -1, for no change, stays. False for one that its user namespace has not.</summary>
    private static bool MakeOwner(Task task, ref uint uid, ref uint gid) =>
        (uid == uint.MaxValue || task.UserNamespace.TryMakeUid(uid, out uid)) && (gid == uint.MaxValue || task.UserNamespace.TryMakeGid(gid, out gid));

    private static Result<VfsPath> Find(Task task, int directory, ulong pathAddress, int flags, int allowed)
    {
        if (!StatSyscalls.TryWalkFlags(flags, allowed, out WalkFlags walk))
            return Errno.EINVAL;
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error))
            return error;
        return PathWalker.Walk(task, directory, path, walk);
    }

    internal static SyscallResult Access(Task task, int directory, ulong pathAddress, int mode, int flags)
    {
        if ((mode & ~7) != 0 || !StatSyscalls.TryWalkFlags(flags & ~AT.EACCESS, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH, out WalkFlags walk))
            return Errno.EINVAL;
        if (!task.Memory.ReadPath(pathAddress).TryGet(out string? path, out Errno error))
            return error;
        Credentials credentials = (flags & AT.EACCESS) != 0 ? task.Credentials : RealIdentity(task.Credentials);
        if (!PathWalker.WalkTo(task, directory, path, walk, credentials).TryGet(out LinkTarget target, out error))
            return error;
        if (!target.Path.IsSet)
            return SyscallResult.Ok;
        var wanted = (FileAccessMask)mode;
        Inode inode = target.Path.Inode;
        if ((wanted & FileAccessMask.Execute) != 0 && inode.IsRegular && (target.Path.Mount.Flags & MountFlags.NoExec) != 0)
            return Errno.EACCES;
        error = inode.CheckAccess(credentials, wanted);
        if (error == Errno.None && (wanted & FileAccessMask.Write) != 0 && target.Path.Mount.IsReadOnly && (inode.IsRegular || inode.IsDirectory || inode.IsSymlink))
            error = Errno.EROFS;
        return error;
    }

    /// <summary>The task as its real user, with the capabilities that user would have (access(2)).</summary>
    private static Credentials RealIdentity(Credentials own)
    {
        ulong effective = own.Uid == 0 ? own.Permitted : 0;
        if (own.FsUid == own.Uid && own.FsGid == own.Gid && own.Effective == effective)
            return own;
        return new Credentials { FsUid = own.Uid, FsGid = own.Gid, Groups = own.Groups, Effective = effective };
    }

    // ---- times ---------------------------------------------------------------------------------------------------

    internal static SyscallResult Utimensat(Task task, in SyscallArgs args)
    {
        KernelTimespec access = default, modify = default;
        bool now = args.A2 == 0;
        if (!now && (!task.TryRead(args.A2, out access) || !task.TryRead(args.A2 + 16, out modify)))
            return Errno.EFAULT;
        if (!now && (!IsValid(access) || !IsValid(modify)))
            return Errno.EINVAL;
        if (!now && access.tv_nsec == UtimeOmit && modify.tv_nsec == UtimeOmit)
            return SyscallResult.Ok;
        if (!FindForTimes(task, args.I0, args.A1, args.I3).TryGet(out VfsPath place, out Errno error))
            return error;
        return SetTimes(task, place, now, access, modify);
    }

    private static Result<VfsPath> FindForTimes(Task task, int directory, ulong pathAddress, int flags)
    {
        if (pathAddress != 0 || directory == AT.FDCWD)
            return Find(task, directory, pathAddress, flags, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH);
        if (flags != 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(directory, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        return file is InodeFile opened ? opened.Path : Errno.EPERM;
    }

    /// <summary>utimes(2), futimesat(2): struct timeval.</summary>
    internal static SyscallResult Utimes(Task task, int directory, ulong pathAddress, ulong timesAddress)
    {
        KernelTimespec access = default, modify = default;
        if (timesAddress != 0)
        {
            if (!task.TryRead(timesAddress, out access) || !task.TryRead(timesAddress + 16, out modify))
                return Errno.EFAULT;
            if (access.tv_nsec is < 0 or >= 1_000_000 || modify.tv_nsec is < 0 or >= 1_000_000)
                return Errno.EINVAL;
            access.tv_nsec *= 1000;
            modify.tv_nsec *= 1000;
        }

        if (!FindForTimes(task, directory, pathAddress, 0).TryGet(out VfsPath place, out Errno error))
            return error;
        return SetTimes(task, place, timesAddress == 0, access, modify);
    }

    /// <summary>utime(2): struct utimbuf, seconds.</summary>
    internal static SyscallResult Utime(Task task, in SyscallArgs args)
    {
        KernelTimespec access = default, modify = default;
        if (args.A1 != 0 && (!task.TryRead(args.A1, out access.tv_sec) || !task.TryRead(args.A1 + 8, out modify.tv_sec)))
            return Errno.EFAULT;
        if (!Find(task, AT.FDCWD, args.A0, 0, 0).TryGet(out VfsPath place, out Errno error))
            return error;
        return SetTimes(task, place, args.A1 == 0, access, modify);
    }

    private static bool IsValid(in KernelTimespec time) => time.tv_nsec is (>= 0 and < 1_000_000_000) or UtimeNow or UtimeOmit;

    private static SyscallResult SetTimes(Task task, in VfsPath place, bool bothNow, in KernelTimespec access, in KernelTimespec modify)
    {
        Inode inode = place.Inode;
        if (place.Mount.IsReadOnly)
            return Errno.EROFS;
        bothNow |= access.tv_nsec == UtimeNow && modify.tv_nsec == UtimeNow;
        if (!inode.IsOwner(task.Credentials))
        {
            if (!bothNow)
                return Errno.EPERM;
            Errno error = inode.CheckAccess(task.Credentials, FileAccessMask.Write);
            if (error != Errno.None)
                return error;
        }

        long now = inode.FileSystem.Now;
        return Vfs.NotifyAttribute(place, inode.SetAttributes(new AttributeChange { AccessTime = bothNow ? now : Time(access, now), ModifyTime = bothNow ? now : Time(modify, now) }));
    }

    private static long? Time(in KernelTimespec time, long now) => time.tv_nsec switch
    {
        UtimeNow => now,
        UtimeOmit => null,
        _ => (Math.Clamp(time.tv_sec, -9_000_000_000, 9_000_000_000) * 1_000_000_000) + time.tv_nsec,
    };
}
