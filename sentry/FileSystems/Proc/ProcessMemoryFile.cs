using System.Buffers;

namespace Sentry.FileSystems.Proc;

/// <summary>/proc/PID/mem: a process's memory, the offset in the file being the address (proc(5)).</summary>
[Savable("proc-mem")]
internal sealed partial class ProcessMemoryInode : Inode
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;

    internal ProcessMemoryInode(FileSystem fileSystem, ulong number, ThreadGroup group, Task? task)
        : base(fileSystem, number, S.IFREG | 0x180, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
    }

    public override long Blocks => 0;

    /// <summary>Who opens it must be allowed to trace the process; it keeps the memory that the process has now.</summary>
    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags)
    {
        if (Processes.TaskOf(_group, _task) is not { } task)
            return Errno.ESRCH;
        if (caller is not null && !PtraceAccess.MayAttach(caller, task))
            return Errno.EACCES;
        return new ProcessMemoryFile(path, this, flags, task.Memory);
    }

    public override Errno SetAttributes(in AttributeChange change) => Errno.EPERM;
}

/// <summary>An open <see cref="ProcessMemoryInode"/>. An address space that nobody uses any more reads as empty.</summary>
[Savable("proc-mem-file")]
internal sealed partial class ProcessMemoryFile : InodeFile
{
    private const int PieceSize = 65536;

    [Saved(1)] private MemoryManager _memory;

    internal ProcessMemoryFile(in VfsPath path, Inode inode, OpenFlags flags, MemoryManager memory)
        : base(path, inode, flags)
    {
        _memory = memory;
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        Result<long> moved = ReadAt(caller, destination, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset)
    {
        long done = 0;
        byte[] piece = ArrayPool<byte>.Shared.Rent(PieceSize);
        while (_memory.Users > 0 && done < destination.Length)
        {
            int want = (int)Math.Min(PieceSize, destination.Length - done);
            int got = _memory.Space.ReadForced((ulong)(offset + done), piece.AsSpan(0, want));
            int put = destination.CopyOut(piece.AsSpan(0, got), done);
            done += put;
            if (put < want)
                break;
        }

        ArrayPool<byte>.Shared.Return(piece);
        return done > 0 || destination.Length == 0 || _memory.Users == 0 ? done : Errno.EIO;
    }

    public override Result<long> Write(Task caller, in UserBuffer source)
    {
        Result<long> moved = WriteAt(caller, source, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> WriteAt(Task caller, in UserBuffer source, long offset)
    {
        long done = 0;
        byte[] piece = ArrayPool<byte>.Shared.Rent(PieceSize);
        while (_memory.Users > 0 && done < source.Length)
        {
            int want = (int)Math.Min(PieceSize, source.Length - done);
            int got = source.CopyIn(piece.AsSpan(0, want), done);
            int put = _memory.Space.WriteForced((ulong)(offset + done), piece.AsSpan(0, got));
            done += put;
            if (put < want)
                break;
        }

        ArrayPool<byte>.Shared.Return(piece);
        return done > 0 || source.Length == 0 || _memory.Users == 0 ? done : Errno.EIO;
    }

    /// <summary>Any offset is an address; there is no end to seek from.</summary>
    public override Result<long> Seek(long offset, int whence)
    {
        if (whence is not (0 or 1))
            return Errno.EINVAL;
        return Offset = whence == 0 ? offset : Offset + offset;
    }

    public override Errno Truncate(long length) => Errno.None;
}
