namespace Sentry.Kernel.Files;

/// <summary>System calls: read, write, readv, writev, pread64, pwrite64 and their kin, lseek, truncate, fallocate.</summary>
internal static class ReadWriteSyscalls
{
    /// <summary>MAX_RW_COUNT: no call moves more.</summary>
    internal const ulong MaxCount = 0x7FFF_F000;

    private const int MaxVectors = 1024;
    private const int RwfNoWait = 8, RwfAppend = 16, RwfKnown = 0x1F;

    internal static SyscallResult Read(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanRead)
            return Errno.EBADF;
        return ReadFrom(task, file, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxCount)), null, false);
    }

    internal static SyscallResult Write(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanWrite)
            return Errno.EBADF;
        return WriteTo(task, file, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxCount)), null, false);
    }

    internal static SyscallResult Readv(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanRead)
            return Errno.EBADF;
        if (!ReadVectors(task, args.A1, args.A2).TryGet(out UserBuffer buffer, out Errno error))
            return error;
        return ReadFrom(task, file, buffer, null, false);
    }

    internal static SyscallResult Writev(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanWrite)
            return Errno.EBADF;
        if (!ReadVectors(task, args.A1, args.A2).TryGet(out UserBuffer buffer, out Errno error))
            return error;
        return WriteTo(task, file, buffer, null, false);
    }

    internal static SyscallResult Pread64(Task task, in SyscallArgs args)
    {
        if ((long)args.A3 < 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanRead)
            return Errno.EBADF;
        return ReadFrom(task, file, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxCount)), (long)args.A3, false);
    }

    internal static SyscallResult Pwrite64(Task task, in SyscallArgs args)
    {
        if ((long)args.A3 < 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanWrite)
            return Errno.EBADF;
        return WriteTo(task, file, new UserBuffer(task.Memory, args.A1, Math.Min(args.A2, MaxCount)), (long)args.A3, false);
    }

    internal static SyscallResult Preadv(Task task, in SyscallArgs args) => PreadvWith(task, args, false, 0);

    internal static SyscallResult Pwritev(Task task, in SyscallArgs args) => PwritevWith(task, args, false, 0);

    internal static SyscallResult Preadv2(Task task, in SyscallArgs args) => PreadvWith(task, args, true, args.I5);

    internal static SyscallResult Pwritev2(Task task, in SyscallArgs args) => PwritevWith(task, args, true, args.I5);

    private static SyscallResult PreadvWith(Task task, in SyscallArgs args, bool second, int flags)
    {
        long offset = (long)args.A3;
        if (offset < (second ? -1 : 0))
            return Errno.EINVAL;
        if ((flags & ~RwfKnown) != 0 || (flags & RwfAppend) != 0)
            return Errno.EOPNOTSUPP;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (offset >= 0 && file is PipeFile)
            return Errno.ESPIPE;
        if (!file.CanRead)
            return Errno.EBADF;
        if (!ReadVectors(task, args.A1, args.A2).TryGet(out UserBuffer buffer, out Errno error))
            return error;
        return ReadFrom(task, file, buffer, offset < 0 ? null : offset, (flags & RwfNoWait) != 0);
    }

    private static SyscallResult PwritevWith(Task task, in SyscallArgs args, bool second, int flags)
    {
        long offset = (long)args.A3;
        if (offset < (second ? -1 : 0))
            return Errno.EINVAL;
        if ((flags & ~RwfKnown) != 0)
            return Errno.EOPNOTSUPP;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (offset >= 0 && file is PipeFile)
            return Errno.ESPIPE;
        if (!file.CanWrite)
            return Errno.EBADF;
        if (!ReadVectors(task, args.A1, args.A2).TryGet(out UserBuffer buffer, out Errno error))
            return error;
        if ((flags & RwfAppend) == 0 || !file.IsRegularFile)
            return WriteTo(task, file, buffer, offset < 0 ? null : offset, (flags & RwfNoWait) != 0);
        if (!file.GetStatus().TryGet(out FileStatus status, out error))
            return error;

        // RWF_APPEND: as if the description had O_APPEND for this one call; with an offset given the file offset stays.
        if (offset >= 0)
            return Finish(task, file, file.WriteAt(task, buffer, status.Size));
        file.Offset = status.Size;
        return Finish(task, file, file.Write(task, buffer));
    }

    /// <summary>Reads the iovec array of a call; ENOSYS-free: EINVAL for too many or negative lengths, the total cut to <see cref="MaxCount"/>.</summary>
    internal static Result<UserBuffer> ReadVectors(Task task, ulong address, ulong count)
    {
        if (count > MaxVectors)
            return Errno.EINVAL;
        if (count == 0)
            return new UserBuffer(task.Memory, 0, 0);
        Span<byte> raw = count <= 16 ? stackalloc byte[(int)count * 16] : new byte[count * 16];
        if (!task.Memory.TryReadAll(address, raw))
            return Errno.EFAULT;
        var vectors = new IoVector[count];
        ulong total = 0;
        for (int i = 0; i < vectors.Length; i++)
        {
            ulong start = BitConverter.ToUInt64(raw[(i * 16)..]);
            ulong length = BitConverter.ToUInt64(raw[((i * 16) + 8)..]);
            if ((long)length < 0)
                return Errno.EINVAL;
            length = Math.Min(length, MaxCount - total);
            total += length;
            vectors[i] = new IoVector(start, length);
        }

        return vectors.Length == 1 ? new UserBuffer(task.Memory, vectors[0].Address, vectors[0].Length) : new UserBuffer(task.Memory, vectors);
    }

    /// <summary>One try at a read at the file offset or at <paramref name="offset"/>.</summary>
    internal static SyscallResult ReadFrom(Task task, FileObject file, in UserBuffer buffer, long? offset, bool dontWait)
    {
        if (file.CheckUse(task, write: false) is { } refused)
            return refused;
        Result<long> moved = offset is { } at ? file.ReadAt(task, buffer, at) : file.Read(task, buffer);
        if (task.Kernel.FileWatches != 0 && moved is { IsOk: true, Value: > 0 })
            FileNotifier.OnFile(file, FileEvent.Access);
        return moved.Error == Errno.EAGAIN ? file.WaitToRead(task, dontWait) : moved;
    }

    /// <summary>One try at a write, which for pipes and streams goes on until everything is written (pipe(7)).</summary>
    internal static SyscallResult WriteTo(Task task, FileObject file, in UserBuffer buffer, long? offset, bool dontWait)
    {
        if (!file.SyncsWrites)
            return WriteOnce(task, file, buffer, offset, dontWait);
        SyscallResult written = task.CurrentCall?.State is SyncWait ? SyscallResult.Ok : WriteOnce(task, file, buffer, offset, dontWait);
        return written is { IsValue: true, Value: >= 0 } ? SyncWait.Await(task, written.Value, () => file.StartSync(dataOnly: false)) : written;
    }

    private static SyscallResult WriteOnce(Task task, FileObject file, in UserBuffer buffer, long? offset, bool dontWait)
    {
        if (file.CheckUse(task, write: true) is { } refused)
            return refused;
        if (task.Kernel.FileWatches != 0 && file.IsRegularFile)
            return WriteNotifying(task, file, buffer, offset);
        if (offset is { } at)
        {
            Result<long> placed = file.WriteAt(task, buffer, at);
            return placed.Error == Errno.EAGAIN ? task.WaitForFile(file, PollEvents.WriteMask, dontWait) : Finish(task, file, placed);
        }

        var partial = task.CurrentCall?.State as PartialTransfer;
        Result<long> moved = file.Write(task, partial is null ? buffer : buffer.Skip(partial.Done));
        if (partial is null && moved.IsOk && (moved.Value == buffer.Length || !file.WritesInFull || file.IsNonBlocking || dontWait))
            return moved;
        return WriteRest(task, file, buffer, moved, partial, dontWait);
    }

    /// <summary>A write to a file that somebody may watch.</summary>
    private static SyscallResult WriteNotifying(Task task, FileObject file, in UserBuffer buffer, long? offset)
    {
        Result<long> moved = offset is { } at ? file.WriteAt(task, buffer, at) : file.Write(task, buffer);
        if (moved is { IsOk: true, Value: > 0 })
            FileNotifier.OnFile(file, FileEvent.Modify);
        return moved.Error == Errno.EAGAIN ? task.WaitForFile(file, PollEvents.WriteMask) : Finish(task, file, moved);
    }

    private static SyscallResult WriteRest(Task task, FileObject file, in UserBuffer buffer, Result<long> moved, PartialTransfer? partial, bool dontWait)
    {
        long done = partial?.Done ?? 0;
        while (moved.IsOk)
        {
            done += moved.Value;
            if (done >= buffer.Length || moved.Value == 0 || !file.WritesInFull)
                return done;
            moved = file.Write(task, buffer.Skip(done));
        }

        if (moved.Error != Errno.EAGAIN)
        {
            SyscallResult failed = Finish(task, file, moved);
            return done > 0 ? done : failed;
        }

        if (done > 0)
        {
            if (dontWait || file.IsNonBlocking || task.Call.TimedOut)
                return done;
            if (partial is null)
                task.Call.State = partial = new PartialTransfer();
            partial.Done = done;
        }

        return task.WaitForFile(file, PollEvents.WriteMask, dontWait);
    }

    /// <summary>Raises SIGPIPE with EPIPE.</summary>
    internal static SyscallResult Finish(Task task, FileObject file, Result<long> moved)
    {
        if (moved.Error == Errno.EPIPE && file.RaisesPipeSignal)
            SignalHooks.SendBrokenPipe(task);
        return moved;
    }

    internal static SyscallResult Lseek(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        return args.I2 is < 0 or > 4 ? Errno.EINVAL : file.Seek((long)args.A1, args.I2);
    }


    internal static SyscallResult Fadvise64(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (file is not InodeFile)
            return Errno.ESPIPE;
        return (uint)args.I3 > 5 ? Errno.EINVAL : SyscallResult.Ok;
    }

    internal static SyscallResult Readahead(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || !file.CanRead)
            return Errno.EBADF;
        return file.IsRegularFile ? SyscallResult.Ok : Errno.EINVAL;
    }

    internal static SyscallResult Ftruncate(Task task, in SyscallArgs args)
    {
        long length = (long)args.A1;
        if (length < 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (!file.CanWrite)
            return Errno.EINVAL;
        Errno error = CheckFileSize(task, length);
        if (error == Errno.None)
            error = file.Truncate(length);
        if (error == Errno.None)
            FileNotifier.OnFile(file, FileEvent.Modify);
        return error;
    }

    internal static SyscallResult Truncate(Task task, in SyscallArgs args)
    {
        long length = (long)args.A1;
        if (length < 0)
            return Errno.EINVAL;
        if (!task.Memory.ReadPath(args.A0).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, path).TryGet(out VfsPath place, out error))
            return error;
        error = CheckFileSize(task, length);
        if (error == Errno.None)
            error = Vfs.Truncate(task, place, length);
        return error == Errno.EAGAIN && task.CurrentCall?.State is LeaseBreak held ? held.Wait(task) : error;
    }

    internal static SyscallResult Fallocate(Task task, in SyscallArgs args)
    {
        int mode = args.I1;
        long offset = (long)args.A2;
        long length = (long)args.A3;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if (offset < 0 || length <= 0)
            return Errno.EINVAL;
        if (mode is not (0 or FallocateMode.KeepSize or (FallocateMode.PunchHole | FallocateMode.KeepSize) or FallocateMode.ZeroRange or (FallocateMode.ZeroRange | FallocateMode.KeepSize)))
            return Errno.EOPNOTSUPP;
        if (!file.CanWrite)
            return Errno.EBADF;
        if (!file.IsRegularFile)
            return file is DirectoryFile ? Errno.EISDIR : file is InodeFile ? Errno.ENODEV : Errno.ESPIPE;
        long end = offset + length;
        if (end < 0 || end > FileData.MaxSize)
            return Errno.EFBIG;
        if (!file.GetStatus().TryGet(out FileStatus status, out Errno error))
            return error;
        if ((mode & FallocateMode.KeepSize) == 0 && end > status.Size)
            error = CheckFileSize(task, end);
        if (error == Errno.None)
            error = file.Allocate(mode, offset, length);
        if (error == Errno.None)
            FileNotifier.OnFile(file, FileEvent.Modify);
        return error;
    }

    private static Errno CheckFileSize(Task task, long length)
    {
        if ((ulong)length <= task.Group.Limits[ResourceLimits.FSize].Soft)
            return length > FileData.MaxSize ? Errno.EFBIG : Errno.None;
        SignalHooks.SendFileSizeExceeded(task);
        return Errno.EFBIG;
    }

    internal static SyscallResult Sendfile(Task task, in SyscallArgs args) => TransferSyscalls.Sendfile(task, args);

    internal static SyscallResult Splice(Task task, in SyscallArgs args) => TransferSyscalls.Splice(task, args);

    internal static SyscallResult Tee(Task task, in SyscallArgs args) => TransferSyscalls.Tee(task, args);

    internal static SyscallResult Vmsplice(Task task, in SyscallArgs args) => TransferSyscalls.Vmsplice(task, args);

    internal static SyscallResult CopyFileRange(Task task, in SyscallArgs args) => TransferSyscalls.CopyFileRange(task, args);
}

/// <summary>FALLOC_FL_* of fallocate(2).</summary>
internal static class FallocateMode
{
    internal const int KeepSize = 1, PunchHole = 2, ZeroRange = 0x10;
}
