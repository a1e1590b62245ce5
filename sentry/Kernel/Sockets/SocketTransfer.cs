namespace Sentry.Kernel.Sockets;

/// <summary>sendfile(2) to a TCP socket and splice(2) between one and a pipe: pages change hands and are not copied.</summary>
internal static class SocketTransfer
{
    /// <summary>A file's bytes, from an offset or from (and moving) the file's own, until the count, the end of the file or an error.</summary>
    internal static SyscallResult FromFile(Task task, FileObject source, long? from, TcpSocket target, long count)
    {
        long done = Begun(task);
        Result<FileStatus> status = source.GetStatus();
        if (status.IsError)
            return status.Error;
        while (done < count)
        {
            long position = from is { } start ? start + done : source.Offset;
            Result<long> moved = target.SendFile(task, source, position, count - done, status.Value.Size);
            if (moved.IsError)
                return moved.Error == Errno.EAGAIN ? Wait(task, target, PollEvents.WriteMask, done, target.IsNonBlocking) : Fail(task, target, moved, done);
            if (moved.Value == 0)
                break;
            done += moved.Value;
            if (from is null)
                source.Offset = position + moved.Value;
        }

        return done;
    }

    /// <summary>What is in a pipe; waits for the first bytes, and for room in the socket.</summary>
    internal static SyscallResult FromPipe(Task task, PipeFile source, TcpSocket target, long count, bool dontWait, bool more)
    {
        long done = Begun(task);
        while (done < count)
        {
            if (source.Pipe.IsEmpty)
                return done > 0 || source.Pipe.Writers == 0 ? done : Wait(task, source, PollEvents.ReadMask, done, dontWait || source.IsNonBlocking);
            Result<long> moved = target.SendPages(source.Pipe, count - done, more);
            if (moved.IsError)
                return moved.Error == Errno.EAGAIN ? Wait(task, target, PollEvents.WriteMask, done, target.IsNonBlocking) : Fail(task, target, moved, done);
            done += moved.Value;
        }

        return done;
    }

    /// <summary>What has come, as much as the pipe has room for; waits for the first bytes and for room in the pipe. The flag of splice that says not to wait is of the
    /// pipe; the socket has O_NONBLOCK of its own.</summary>
    internal static SyscallResult ToPipe(Task task, TcpSocket source, PipeFile target, long count, bool dontWait)
    {
        if (target.Pipe.Readers == 0)
            return ReadWriteSyscalls.Finish(task, target, Errno.EPIPE);
        if (target.Pipe.IsFull)
            return Wait(task, target, PollEvents.WriteMask, 0, dontWait || target.IsNonBlocking);
        Result<long> moved = source.ReceivePages(target.Pipe, count);
        return moved.Error == Errno.EAGAIN ? Wait(task, source, PollEvents.ReadMask | PollEvents.RdHup, 0, source.IsNonBlocking) : moved;
    }

    private static long Begun(Task task) => task.Call.State is FileTransfer state ? state.Done : 0;

    private static SyscallResult Fail(Task task, TcpSocket target, Result<long> moved, long done)
    {
        if (done > 0)
            return done;
        return ReadWriteSyscalls.Finish(task, target, moved);
    }

    private static SyscallResult Wait(Task task, FileObject file, PollEvents events, long done, bool dontWait)
    {
        if (dontWait || task.Call.TimedOut)
            return done > 0 ? done : Errno.EAGAIN;
        FileTransfer state = task.Call.State as FileTransfer ?? new FileTransfer();
        state.Done = done;
        task.Call.State = state;
        return task.WaitForFile(file, events);
    }
}
