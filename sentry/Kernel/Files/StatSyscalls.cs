using System.Buffers.Binary;

namespace Sentry.Kernel.Files;

/// <summary>System calls: stat and its kin, statfs, getdents.</summary>
internal static class StatSyscalls
{
    internal static SyscallResult Stat(Task task, in SyscallArgs args) => StatPath(task, AT.FDCWD, args.A0, args.A1, WalkFlags.None);

    internal static SyscallResult Lstat(Task task, in SyscallArgs args) => StatPath(task, AT.FDCWD, args.A0, args.A1, WalkFlags.NoFollow);

    internal static SyscallResult Fstat(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (!file.GetStatus().TryGet(out FileStatus status, out Errno error))
            return error;
        return Put(task, args.A1, status);
    }

    internal static SyscallResult Newfstatat(Task task, in SyscallArgs args)
    {
        if (!TryWalkFlags(args.I3, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH | AT.NO_AUTOMOUNT, out WalkFlags flags))
            return Errno.EINVAL;
        return StatPath(task, args.I0, args.A1, args.A2, flags);
    }

    /// <summary>AT_* flags as walk flags; false when there are others than <paramref name="allowed"/>.</summary>
    internal static bool TryWalkFlags(int flags, int allowed, out WalkFlags walk)
    {
        walk = WalkFlags.None;
        if ((flags & AT.SYMLINK_NOFOLLOW) != 0)
            walk |= WalkFlags.NoFollow;
        if ((flags & AT.EMPTY_PATH) != 0)
            walk |= WalkFlags.AllowEmpty;
        return (flags & ~allowed) == 0;
    }

    private static SyscallResult StatPath(Task task, int directory, ulong pathAddress, ulong destination, WalkFlags flags)
    {
        if (!GetStatus(task, directory, pathAddress, flags, out _).TryGet(out FileStatus status, out Errno error))
            return error;
        return Put(task, destination, status);
    }

    private static Result<FileStatus> GetStatus(Task task, int directory, ulong pathAddress, WalkFlags flags, out VfsPath place)
    {
        place = default;
        string? path = "";
        // Linux takes a null pointer for the empty path when AT_EMPTY_PATH is given (since 6.11).
        if ((pathAddress != 0 || (flags & WalkFlags.AllowEmpty) == 0) && !task.Memory.ReadPath(pathAddress).TryGet(out path, out Errno error))
            return error;
        if (!PathWalker.WalkTo(task, directory, path, flags).TryGet(out LinkTarget target, out error))
            return error;
        place = target.Path;
        return target.Path.IsSet ? target.Path.Inode.GetStatus() : target.File!.GetStatus();
    }

    private static SyscallResult Put(Task task, ulong destination, in FileStatus status)
    {
        var stat = new KernelStat
        {
            st_dev = status.Device,
            st_ino = status.Inode,
            st_nlink = status.LinkCount,
            st_mode = status.Mode,
            st_uid = task.UserNamespace.ShowUid(status.Uid),
            st_gid = task.UserNamespace.ShowGid(status.Gid),
            st_rdev = status.SpecialDevice,
            st_size = status.Size,
            st_blksize = status.BlockSize,
            st_blocks = status.Blocks,
            st_atim = ToTimespec(status.AccessTime),
            st_mtim = ToTimespec(status.ModifyTime),
            st_ctim = ToTimespec(status.ChangeTime),
        };
        return task.TryWrite(destination, stat) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static KernelTimespec ToTimespec(long nanoseconds)
    {
        long seconds = Math.DivRem(nanoseconds, 1_000_000_000, out long rest);
        return rest < 0 ? new KernelTimespec { tv_sec = seconds - 1, tv_nsec = rest + 1_000_000_000 } : new KernelTimespec { tv_sec = seconds, tv_nsec = rest };
    }

    internal static SyscallResult Statx(Task task, in SyscallArgs args)
    {
        const uint BasicStats = 0x7FF, BirthTime = 0x800, MountId = 0x1000, UniqueMountId = 0x4000;
        const ulong AttributeMountRoot = 0x2000;
        if (!TryWalkFlags(args.I2, AT.SYMLINK_NOFOLLOW | AT.EMPTY_PATH | AT.NO_AUTOMOUNT | AT.STATX_SYNC_TYPE, out WalkFlags flags)
            || (args.I2 & AT.STATX_SYNC_TYPE) == AT.STATX_SYNC_TYPE || (args.I3 & int.MinValue) != 0)
            return Errno.EINVAL;
        if (!GetStatus(task, args.I0, args.A1, flags, out VfsPath place).TryGet(out FileStatus status, out Errno error))
            return error;
        bool unique = ((uint)args.I3 & UniqueMountId) != 0;
        var statx = new KernelStatx
        {
            stx_mask = BasicStats | BirthTime | (!place.IsSet ? 0 : unique ? UniqueMountId : MountId),
            stx_blksize = (uint)status.BlockSize,
            stx_attributes_mask = AttributeMountRoot,
            stx_attributes = place.IsSet && ReferenceEquals(place.Dentry, place.Mount.Root) ? AttributeMountRoot : 0,
            stx_nlink = status.LinkCount,
            stx_uid = task.UserNamespace.ShowUid(status.Uid),
            stx_gid = task.UserNamespace.ShowGid(status.Gid),
            stx_mode = (ushort)status.Mode,
            stx_ino = status.Inode,
            stx_size = (ulong)status.Size,
            stx_blocks = (ulong)status.Blocks,
            stx_atime = ToStatx(status.AccessTime),
            stx_btime = ToStatx(status.BirthTime),
            stx_ctime = ToStatx(status.ChangeTime),
            stx_mtime = ToStatx(status.ModifyTime),
            stx_rdev_major = DeviceNumber.Major(status.SpecialDevice),
            stx_rdev_minor = DeviceNumber.Minor(status.SpecialDevice),
            stx_dev_major = DeviceNumber.Major(status.Device),
            stx_dev_minor = DeviceNumber.Minor(status.Device),
            stx_mnt_id = !place.IsSet ? 0 : unique ? place.Mount.UniqueId : (ulong)place.Mount.Id,
        };
        return task.TryWrite(args.A4, statx) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static StatxTimestamp ToStatx(long nanoseconds)
    {
        KernelTimespec time = ToTimespec(nanoseconds);
        return new StatxTimestamp { tv_sec = time.tv_sec, tv_nsec = (uint)time.tv_nsec };
    }

    internal static SyscallResult Statfs(Task task, in SyscallArgs args)
    {
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? path, out Errno error) || !PathWalker.WalkTo(task, AT.FDCWD, path, WalkFlags.None).TryGet(out LinkTarget target, out error))
            return error;
        return target.Path.IsSet ? PutStatfs(task, args.A1, target.Path.Inode.FileSystem.GetStatus(), target.Path.Mount.Flags, target.Path.Inode.FileSystem.Device) : PutStatfs(task, args.A1, PipeFs, 0, 0);
    }

    internal static SyscallResult Fstatfs(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        return file is InodeFile opened
            ? PutStatfs(task, args.A1, opened.Inode.FileSystem.GetStatus(), opened.Path.Mount.Flags, opened.Inode.FileSystem.Device)
            : PutStatfs(task, args.A1, PipeFs, 0, 0);
    }

    private static FileSystemStatus PipeFs => new(0x50495045, 4096, 0, 0, 0, 0, 255);

    private static SyscallResult PutStatfs(Task task, ulong destination, FileSystemStatus status, MountFlags flags, ulong device)
    {
        const long Valid = 0x20;
        var statfs = new KernelStatfs
        {
            f_type = status.Type,
            f_bsize = status.BlockSize,
            f_blocks = status.Blocks,
            f_bfree = status.FreeBlocks,
            f_bavail = status.FreeBlocks,
            f_files = status.Files,
            f_ffree = status.FreeFiles,
            f_fsid = device,
            f_namelen = status.NameLength,
            f_frsize = status.BlockSize,
            f_flags = Valid | (uint)((int)flags & 0x40F) | ((flags & MountFlags.RelAtime) != 0 ? 4096L : 0L),
        };
        return task.TryWrite(destination, statfs) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Getdents(Task task, in SyscallArgs args) => ReadEntries(task, args, false);

    internal static SyscallResult Getdents64(Task task, in SyscallArgs args) => ReadEntries(task, args, true);

    private static SyscallResult ReadEntries(Task task, in SyscallArgs args, bool wide)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (file is not DirectoryFile directory)
            return Errno.ENOTDIR;
        var writer = new DirectoryRecords(new byte[(int)Math.Min(args.A2 & 0xFFFF_FFFF, 32768)], wide);
        Errno error = directory.ReadEntries(task, writer);
        if (error != Errno.None)
            return error;
        if (writer.Length == 0)
            return writer.IsFull ? Errno.EINVAL : SyscallResult.Ok;
        if (!task.Memory.TryWriteAll(args.A1, writer.Bytes))
            return Errno.EFAULT;
        directory.Offset = writer.Position;
        FileNotifier.OnFile(file, FileEvent.Access);
        return writer.Length;
    }

    /// <summary>Lays out struct linux_dirent64 or linux_dirent (getdents(2)).</summary>
    private sealed class DirectoryRecords(byte[] buffer, bool wide) : IDirectoryReader
    {
        private int _length;

        public int Length => _length;

        public bool IsFull { get; private set; }

        /// <summary>Behind the last entry taken.</summary>
        public long Position { get; private set; }

        public ReadOnlySpan<byte> Bytes => buffer.AsSpan(0, _length);

        public bool Add(string name, ulong inode, uint mode, long next)
        {
            // Header of 18 bytes and a type either in it or as the last byte, a NUL, all rounded to 8.
            int size = (wide ? 19 + name.Length + 1 + 7 : 18 + name.Length + 2 + 7) & ~7;
            if (_length + size > buffer.Length)
            {
                IsFull = true;
                return false;
            }

            Span<byte> record = buffer.AsSpan(_length, size);
            record.Clear();
            byte type = (byte)((mode & S.IFMT) >> 12);
            BinaryPrimitives.WriteUInt64LittleEndian(record, inode);
            BinaryPrimitives.WriteInt64LittleEndian(record[8..], next);
            BinaryPrimitives.WriteUInt16LittleEndian(record[16..], (ushort)size);
            Span<byte> text = record[(wide ? 19 : 18)..];
            for (int i = 0; i < name.Length; i++)
                text[i] = (byte)name[i];
            record[wide ? 18 : size - 1] = type;
            _length += size;
            Position = next;
            return true;
        }
    }
}
