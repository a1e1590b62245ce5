namespace Sentry.Kernel.Files;

/// <summary>An open FIFO (fifo(7)): a pipe with a name.</summary>
[Savable("fifo-file")]
public sealed partial class FifoFile : PipeFile
{
    [Saved(1)] private VfsPath _path;
    [Saved(2)] private Inode _node;

    internal FifoFile(in VfsPath path, Inode inode, Pipe pipe, OpenFlags flags)
        : base(pipe, flags, inode.Number, null)
    {
        _path = path;
        _node = inode;
        inode.AddOpen();
        if (CanRead && !CanWrite && pipe.Writers == 0)
            ExpectWriter();
    }

    internal Inode Node => _node;

    internal VfsPath Place => _path;

    public override string Describe() => _path.Describe(_node.FileSystem.Kernel.Mounts.Root);

    public override Result<FileStatus> GetStatus() => _node.GetStatus();

    /// <summary>/proc/self/fd/N of it is an open by name.</summary>
    public override Result<FileObject> Reopen(Task caller, OpenFlags flags) => _node.Open(caller, _path, flags);

    protected override void OnRelease()
    {
        base.OnRelease();
        _node.DropOpen();
    }
}

/// <summary>An open(2) that waits for the other end of a FIFO. Whoever comes as the other end makes the description for the one who waits, so that both
/// are there at once.</summary>
[Savable("fifo-open")]
internal sealed partial class FifoOpen : CallState
{
    [Saved(1)] private Task _task;
    [Saved(2)] private VfsPath _path;
    [Saved(3)] private OpenFlags _flags;
    [Saved(4)] private FifoFile? _granted;

    internal FifoOpen(Task task, in VfsPath path, OpenFlags flags)
    {
        _task = task;
        _path = path;
        _flags = flags;
    }

    internal bool IsReader => (_flags & OpenFlags.AccessMode) == OpenFlags.ReadOnly;

    /// <summary>Whether its task still waits in that call; one that goes on after a checkpoint does, though it has yet to make the call again.</summary>
    internal bool IsWaiting => _granted is null && _task.IsInCall && ReferenceEquals(_task.CurrentCall?.State, this);

    internal void Grant(Pipe pipe)
    {
        _granted = new FifoFile(_path, _path.Inode, pipe, _flags);
        _granted.AddReference();
    }

    public override void OnAbandoned()
    {
        _granted?.Release();
        _granted = null;
    }

    /// <summary>The call is tried again: the descriptor when the other end has come.</summary>
    internal SyscallResult Continue(Task task, bool closeOnExec)
    {
        if (_granted is null)
        {
            task.WaitOn(((MemorySpecial)_path.Inode).Pipe.Waiters);
            return task.Block(InterruptMode.Restart);
        }

        Result<int> fd = task.AddFile(_granted, closeOnExec);
        OnAbandoned();
        return fd;
    }
}
