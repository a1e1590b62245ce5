namespace Sentry.Kernel.Files;

/// <summary>An open regular file over <see cref="FileData"/>.</summary>
[Savable("regular-file")]
public sealed partial class RegularFile : InodeFile
{
    private const int CapFsetid = 4;

    [Saved(1)] private MemoryFile _file;

    internal RegularFile(in VfsPath path, MemoryFile file, OpenFlags flags)
        : base(path, file, flags)
    {
        _file = file;
    }

    /// <summary>Its bytes.</summary>
    public FileData Data => _file.Data;

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        Result<long> moved = ReadAt(caller, destination, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset)
    {
        if (destination.Length == 0)
            return 0;
        Result<long> moved = _file.Data.Read(destination, offset);
        if (moved.IsOk)
            TouchAccessed();
        return moved;
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        long start = (Flags & OpenFlags.Append) != 0 ? _file.Size : Offset;
        Result<long> moved = Put(caller, source, start);
        if (moved.IsOk)
            Offset = start + moved.Value;
        return moved;
    }

    /// <summary>As on Linux, O_APPEND wins over the offset (BUGS of pwrite(2)).</summary>
    public override Result<long> WriteAt(Task caller, in UserBuffer source, long offset) =>
        Put(caller, source, (Flags & OpenFlags.Append) != 0 ? _file.Size : offset);

    private Result<long> Put(Task? caller, UserBuffer source, long start)
    {
        if (source.Length == 0)
            return 0;
        if ((_file.Seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0)
            return Errno.EPERM;
        if (!FindWriteLimit(caller, start).TryGet(out long limit, out Errno refused))
            return refused;
        if ((_file.Seals & FileSeals.Grow) != 0)
        {
            limit = Math.Min(limit, _file.Size);
            if (start >= limit)
                return Errno.EPERM;
        }

        if (start >= limit)
            return Errno.EFBIG;
        if (source.Length > limit - start)
            source = source.Take(limit - start);
        if (!_file.Reach(start, start + source.Length).TryGet(out long reached, out Errno error))
            return error;
        if (reached < start + source.Length)
            source = source.Take(reached - start);
        Result<long> moved = _file.Data.Write(source, start);
        _file.Settle();
        if (moved.IsOk)
        {
            _file.TouchModified();
            _file.DropCapabilities();
            if ((_file.Mode & (S.ISUID | S.ISGID)) != 0 && caller is not null && !caller.Credentials.HasOver(_file.Uid, _file.Gid, CapFsetid))
                _file.DropPrivilegeBits();
        }

        return moved;
    }

    public override Result<long> Seek(long offset, int whence)
    {
        long target;
        switch (whence)
        {
            case 0:
                target = offset;
                break;
            case 1:
                target = Offset + offset;
                break;
            case 2:
                target = _file.Size + offset;
                break;
            case 3 or 4:
                if (!_file.Data.SeekData(offset, whence == 4).TryGet(out target, out Errno error))
                    return error;
                break;
            default:
                return Errno.EINVAL;
        }

        if (target < 0 || target > FileData.MaxSize)
            return Errno.EINVAL;
        return Offset = target;
    }

    public override Errno Truncate(long length) => _file.Truncate(length);

    public override bool IsRegularFile => true;

    public override Errno Allocate(int mode, long offset, long length)
    {
        long end = offset + length;
        bool keepsSize = (mode & FallocateMode.KeepSize) != 0;
        bool clears = (mode & (FallocateMode.PunchHole | FallocateMode.ZeroRange)) != 0;
        if (((_file.Seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0 && clears) || ((_file.Seals & FileSeals.Grow) != 0 && end > _file.Size && !keepsSize))
            return Errno.EPERM;
        Errno error = Errno.None;
        if (clears)
            error = Data.PunchHole(offset, end);
        if (error == Errno.None && (mode & FallocateMode.PunchHole) == 0)
            error = _file.Reach(offset, end).TryGet(out long reached, out error) && reached < end ? Errno.ENOSPC : error;
        if (error == Errno.None && (mode & FallocateMode.PunchHole) == 0)
            error = Data.Allocate(offset, keepsSize ? Math.Min(end, Math.Max(offset, _file.Size)) : end);
        if (error == Errno.None && !keepsSize && end > _file.Size)
            error = Data.Truncate(end);
        _file.Settle();
        if (error == Errno.None)
            _file.TouchModified();
        return error;
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        const uint FionRead = 0x541B;
        if (request != FionRead)
            return Errno.ENOTTY;
        int left = (int)Math.Clamp(_file.Size - Offset, int.MinValue, int.MaxValue);
        return caller.TryWrite(argument, left) ? 0 : Errno.EFAULT;
    }

    public override Errno GetHostExtents(ulong offset, ulong length, bool shared, bool writable, List<HostExtent> extents)
    {
        if (shared && writable && (_file.Seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0)
            return Errno.EPERM;
        Errno error = _file.Data.GetHostExtents(offset, length, shared && (writable || _file.EverWritable), shared, extents);
        _file.Settle();
        return error;
    }
}
