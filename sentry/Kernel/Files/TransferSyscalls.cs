using System.Buffers;

namespace Sentry.Kernel.Files;

/// <summary>What a transfer between two files must remember when the receiving one makes it wait: bytes taken from the source and not yet put.</summary>
[Savable("file-transfer")]
internal sealed partial class FileTransfer : CallState
{
    [Saved(1)] public long Done;
    [Saved(2)] public byte[] Pending = [];

    public FileTransfer()
    {
    }

    public override long? ValueIfInterrupted => Done > 0 ? Done : null;
}

/// <summary>The bodies of sendfile, splice, tee, vmsplice and copy_file_range: through a buffer of the kernel.</summary>
internal static class TransferSyscalls
{
    private const int ChunkSize = 65536;

    internal static SyscallResult Sendfile(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I1, out FileObject? source) || !source.CanRead || !task.TryGetFile(args.I0, out FileObject? target) || !target.CanWrite)
            return Errno.EBADF;
        if ((target.Flags & OpenFlags.Append) != 0 || source is DirectoryFile)
            return Errno.EINVAL;
        long? position = null;
        if (args.A2 != 0)
        {
            if (!task.TryRead(args.A2, out long offset))
                return Errno.EFAULT;
            if (offset < 0)
                return Errno.EINVAL;
            position = offset;
        }

        ulong count = Math.Min(args.A3, ReadWriteSyscalls.MaxCount);
        SyscallResult result = target is TcpSocket socket && source.WaitQueue is null
            ? SocketTransfer.FromFile(task, source, position, socket, (long)count)
            : Move(task, source, position, target, null, count, false);
        if (position is { } start && result.IsValue && !result.IsError && !task.TryWrite(args.A2, start + result.Value))
            return Errno.EFAULT;
        return result.IsError && result.Value == -(long)Errno.ESPIPE ? (args.A2 != 0 ? Errno.ESPIPE : Errno.EINVAL) : result;
    }

    internal static SyscallResult Splice(Task task, in SyscallArgs args)
    {
        const uint NonBlock = 2, More = 4;
        if ((args.A5 & ~15UL) != 0)
            return Errno.EINVAL;
        if (args.A4 == 0)
            return SyscallResult.Ok;
        if (!task.TryGetFile(args.I0, out FileObject? source) || !source.CanRead || !task.TryGetFile(args.I2, out FileObject? target) || !target.CanWrite)
            return Errno.EBADF;
        bool sourceIsPipe = source is PipeFile, targetIsPipe = target is PipeFile;
        if (!sourceIsPipe && !targetIsPipe)
            return Errno.EINVAL;
        if ((sourceIsPipe && args.A1 != 0) || (targetIsPipe && args.A3 != 0))
            return Errno.ESPIPE;
        if ((source is SocketFile && args.A1 != 0) || (target is SocketFile && args.A3 != 0))
            return Errno.EINVAL;

        // No pages come out of directories, and none go into what is only told numbers (eventfd and its like).
        if (source is DirectoryFile || target is not (PipeFile or InodeFile or SocketFile))
            return Errno.EINVAL;
        if ((target.Flags & OpenFlags.Append) != 0 || (sourceIsPipe && targetIsPipe && ReferenceEquals(((PipeFile)source).Pipe, ((PipeFile)target).Pipe)))
            return Errno.EINVAL;
        if (!ReadOffset(task, args.A1).TryGet(out long? from, out Errno error) || !ReadOffset(task, args.A3).TryGet(out long? to, out error))
            return error;
        bool dontWait = (args.A5 & NonBlock) != 0;
        ulong count = Math.Min(args.A4, ReadWriteSyscalls.MaxCount);
        if (source is PipeFile pages && target is TcpSocket socket)
            return SocketTransfer.FromPipe(task, pages, socket, (long)count, dontWait, (args.A5 & More) != 0);
        if (source is TcpSocket stream && target is PipeFile pipe)
            return SocketTransfer.ToPipe(task, stream, pipe, (long)count, dontWait);
        SyscallResult result = Move(task, source, from, target, to, count, dontWait);
        if (!result.IsValue || result.IsError)
            return result;
        if ((from is { } f && !task.TryWrite(args.A1, f + result.Value)) || (to is { } t && !task.TryWrite(args.A3, t + result.Value)))
            return Errno.EFAULT;
        return result;
    }

    private static Result<long?> ReadOffset(Task task, ulong address)
    {
        if (address == 0)
            return (long?)null;
        if (!task.TryRead(address, out long offset))
            return Errno.EFAULT;
        return offset < 0 ? Errno.EINVAL : (long?)offset;
    }

    internal static SyscallResult Vmsplice(Task task, in SyscallArgs args)
    {
        if ((args.A3 & ~15UL) != 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not PipeFile)
            return Errno.EBADF;
        if (!ReadWriteSyscalls.ReadVectors(task, args.A1, args.A2).TryGet(out UserBuffer buffer, out Errno error))
            return error;
        bool dontWait = (args.A3 & 2) != 0;
        if (!file.CanWrite)
            return ReadWriteSyscalls.ReadFrom(task, file, buffer, null, dontWait);

        // Unlike write(2) it waits for room once, then takes what fits.
        Result<long> moved = file.Write(task, buffer);
        return moved.Error == Errno.EAGAIN ? task.WaitForFile(file, PollEvents.WriteMask, dontWait) : ReadWriteSyscalls.Finish(task, file, moved);
    }

    internal static SyscallResult CopyFileRange(Task task, in SyscallArgs args)
    {
        if (args.A5 != 0)
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? source) || !source.CanRead || !task.TryGetFile(args.I2, out FileObject? target) || !target.CanWrite)
            return Errno.EBADF;
        if (source is DirectoryFile || target is DirectoryFile)
            return Errno.EISDIR;
        if ((target.Flags & OpenFlags.Append) != 0)
            return Errno.EBADF;
        if (!source.IsRegularFile || !target.IsRegularFile)
            return Errno.EINVAL;
        if (!ReadOffset(task, args.A1).TryGet(out long? from, out Errno error) || !ReadOffset(task, args.A3).TryGet(out long? to, out error))
            return error;
        ulong count = Math.Min(args.A4, ReadWriteSyscalls.MaxCount);
        long start = from ?? source.Offset, end = to ?? target.Offset;
        if (ReferenceEquals((source as InodeFile)?.Inode, (target as InodeFile)?.Inode) && start < end + (long)count && end < start + (long)count)
            return Errno.EINVAL;
        SyscallResult result = Move(task, source, from, target, to, count, false);
        if (!result.IsValue || result.IsError)
            return result;
        if ((from is { } f && !task.TryWrite(args.A1, f + result.Value)) || (to is { } t && !task.TryWrite(args.A3, t + result.Value)))
            return Errno.EFAULT;
        return result;
    }

    internal static SyscallResult Tee(Task task, in SyscallArgs args)
    {
        if ((args.A3 & ~15UL) != 0)
            return Errno.EINVAL;
        if (args.A2 == 0)
            return SyscallResult.Ok;
        if (!task.TryGetFile(args.I0, out FileObject? source) || !source.CanRead || !task.TryGetFile(args.I1, out FileObject? target) || !target.CanWrite)
            return Errno.EBADF;
        if (source is not PipeFile from || target is not PipeFile to || ReferenceEquals(from.Pipe, to.Pipe))
            return Errno.EINVAL;
        bool dontWait = (args.A3 & 2) != 0;
        var copy = new byte[(int)Math.Min(args.A2, ChunkSize)];
        int found = from.Pipe.Peek(copy);
        if (found == 0)
            return from.Pipe.Writers == 0 ? SyscallResult.Ok : task.WaitForFile(source, PollEvents.ReadMask, dontWait);
        Result<long> moved = to.Write(task, new UserBuffer(copy.AsMemory(0, found)));
        return moved.Error == Errno.EAGAIN ? task.WaitForFile(target, PollEvents.WriteMask, dontWait) : ReadWriteSyscalls.Finish(task, target, moved);
    }

    /// <summary>Moves up to <paramref name="count"/> bytes. Where no position is given the file offsets move. A source that can run dry (pipe, socket) ends
    /// the call after its first bytes, as splice does.</summary>
    private static SyscallResult Move(Task task, FileObject source, long? from, FileObject target, long? to, ulong count, bool dontWait)
    {
        SyscallResult moved = MoveBytes(task, source, from, target, to, count, dontWait);
        if (moved is { IsValue: true, Value: > 0 } && HostSync.AfterWrite(target) is var unsynced && unsynced != Errno.None)
            return unsynced;
        if (task.Kernel.FileWatches != 0 && moved is { IsValue: true, Value: > 0 })
        {
            FileNotifier.OnFile(source, FileEvent.Access);
            FileNotifier.OnFile(target, FileEvent.Modify);
        }

        return moved;
    }

    private static SyscallResult MoveBytes(Task task, FileObject source, long? from, FileObject target, long? to, ulong count, bool dontWait)
    {
        var state = task.CurrentCall?.State as FileTransfer;
        long done = state?.Done ?? 0;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ChunkSize);
        try
        {
            if (state is { Pending.Length: > 0 })
            {
                SyscallResult? stop = Put(task, target, to + done, state.Pending, state, dontWait, ref done);
                if (stop is { } early)
                    return early;
                if (source.WaitQueue is not null)
                    return done;
            }

            bool streaming = source.WaitQueue is not null;
            while ((ulong)done < count)
            {
                // A receiver that may refuse is asked before anything is taken from a source that can't take it back.
                if (target.WaitQueue is not null && (target.Poll() & (PollEvents.Out | PollEvents.Err | PollEvents.Hup)) == 0)
                    return done > 0 && streaming ? done : Wait(task, target, PollEvents.WriteMask, [], state, done, dontWait);
                int want = (int)Math.Min((ulong)ChunkSize, count - (ulong)done);
                if (source is PipeFile pipe)
                {
                    if (MovePiped(task, pipe, target, to, buffer.AsMemory(0, want), state, dontWait, ref done) is { } over)
                        return over;
                    continue;
                }

                if (streaming && target is PipeFile { Pipe: var room })
                    want = Math.Min(want, room.Room);
                else if (streaming && target.WaitQueue is not null)
                    want = Math.Min(want, Pipe.PageSize);
                var chunk = new UserBuffer(buffer.AsMemory(0, want));
                bool seekable = !streaming && from is null;
                long position = from is { } given ? given + done : source.Offset;
                Result<long> taken = streaming ? source.Read(task, chunk) : source.ReadAt(task, chunk, position);
                if (taken.Error == Errno.ESPIPE && seekable)
                    taken = source.Read(task, chunk);
                if (taken.IsError)
                {
                    if (taken.Error == Errno.EAGAIN && done == 0)
                        return Wait(task, source, PollEvents.ReadMask, [], state, done, dontWait);
                    return done > 0 ? done : taken;
                }

                if (taken.Value == 0)
                    break;
                long before = done;
                byte[] bytes = buffer;
                SyscallResult? stop = PutChunk(task, source, target, to + done, bytes.AsMemory(0, (int)taken.Value), streaming, state, dontWait, ref done);
                if (seekable)
                    source.Offset = position + (done - before);
                if (stop is { } ended)
                    return ended;
                if (streaming)
                    break;
            }

            return done;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>One step from a pipe, which keeps what the target does not take; null to go on.</summary>
    private static SyscallResult? MovePiped(Task task, PipeFile source, FileObject target, long? to, Memory<byte> buffer, FileTransfer? state, bool dontWait, ref long done)
    {
        int found = source.Pipe.Peek(buffer.Span);
        if (found == 0)
        {
            if (done > 0 || source.Pipe.Writers == 0)
                return done;
            return Wait(task, source, PollEvents.ReadMask, [], state, done, dontWait);
        }

        var piece = new UserBuffer(buffer[..found]);
        Result<long> put = to is { } position ? target.WriteAt(task, piece, position + done) : target.Write(task, piece);
        if (put.IsOk)
        {
            source.Pipe.Skip((int)put.Value);
            done += put.Value;
            return null;
        }

        if (put.Error == Errno.EAGAIN)
            return Wait(task, target, PollEvents.WriteMask, [], state, done, dontWait);
        SyscallResult failed = ReadWriteSyscalls.Finish(task, target, put);
        return done > 0 ? done : failed;
    }

    private static SyscallResult? PutChunk(Task task, FileObject source, FileObject target, long? at, Memory<byte> bytes, bool streaming, FileTransfer? state, bool dontWait, ref long done)
    {
        while (bytes.Length > 0)
        {
            var piece = new UserBuffer(bytes);
            Result<long> put = at is { } position ? target.WriteAt(task, piece, position) : target.Write(task, piece);
            if (put.IsError)
            {
                if (put.Error == Errno.EAGAIN)
                    return Wait(task, target, PollEvents.WriteMask, streaming ? bytes.ToArray() : [], state, done, !streaming && dontWait);
                SyscallResult failed = ReadWriteSyscalls.Finish(task, target, put);
                return done > 0 ? done : failed;
            }

            done += put.Value;
            at += put.Value;
            bytes = bytes[(int)put.Value..];
        }

        return null;
    }

    private static SyscallResult? Put(Task task, FileObject target, long? at, byte[] pending, FileTransfer state, bool dontWait, ref long done)
    {
        SyscallResult? stop = PutChunk(task, target, target, at, pending, true, state, dontWait, ref done);
        if (stop is null)
            state.Pending = [];
        return stop;
    }

    private static SyscallResult Wait(Task task, FileObject file, PollEvents events, byte[] pending, FileTransfer? state, long done, bool dontWait)
    {
        // A full pipe ends the call after what it took: the caller may be the one who is to empty it.
        if (pending.Length == 0 && done > 0 && (dontWait || file.IsNonBlocking || file is PipeFile))
            return done;
        if (pending.Length == 0 && (dontWait || file.IsNonBlocking || file.WaitQueue is null))
            return Errno.EAGAIN;
        if (task.CurrentCall is not { } call)
            return done > 0 ? done : Errno.EAGAIN;
        if (state is null)
            call.State = state = new FileTransfer();
        state.Done = done;
        state.Pending = pending;
        task.WaitOn(file.WaitQueue!, events);
        return task.Block(InterruptMode.Restart);
    }
}
