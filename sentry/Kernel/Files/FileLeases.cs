namespace Sentry.Kernel.Files;

/// <summary>A lease on a file (fcntl(2), "Leases").</summary>
[Savable("file-lease")]
internal sealed partial class FileLease
{
    [Saved(1)] public FileObject Holder;

    /// <summary>F_RDLCK or F_WRLCK.</summary>
    [Saved(2)] public int Type;

    /// <summary>What it must become: F_RDLCK, F_UNLCK; -1 when nobody is in the way.</summary>
    [Saved(3)] public int BreakTo = -1;

    /// <summary>Guest monotonic ns at which it is taken away.</summary>
    [Saved(4)] public long BreakTime;

    internal FileLease(FileObject holder, int type)
    {
        Holder = holder;
        Type = type;
    }
}

/// <summary>What an open or truncate waits for.</summary>
[Savable("lease-break")]
internal sealed partial class LeaseBreak : CallState
{
    [Saved(1)] public Inode Inode;

    internal LeaseBreak(Inode inode) => Inode = inode;

    internal SyscallResult Wait(Task task)
    {
        task.WaitOn(Inode.Leases.Waiters);
        return task.Block(InterruptMode.Restart);
    }
}

/// <summary>The leases on one inode.</summary>
[Savable("file-leases")]
internal sealed partial class FileLeases
{
    internal const int Read = 0, Write = 1, Unlock = 2;

    [Saved(1)] private List<FileLease> _leases = [];
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal FileLeases()
    {
    }

    internal WaitQueue Waiters => _waiters;

    internal bool IsEmpty => _leases.Count == 0;

    /// <summary>F_SETLEASE.</summary>
    internal static SyscallResult Set(Task task, int descriptor, FileObject file, int type)
    {
        if (type is not (Read or Write or Unlock))
            return Errno.EINVAL;
        if (file is not InodeFile { Inode: { IsRegular: true } inode } || file is PathFile)
            return Errno.EINVAL;
        if (task.Credentials.FsUid != inode.Uid && !task.Credentials.HasOver(inode.Uid, inode.Gid, Capability.CAP_LEASE))
            return Errno.EACCES;
        return inode.Leases.Change(task, descriptor, file, inode, type);
    }

    private SyscallResult Change(Task task, int descriptor, FileObject file, Inode inode, int type)
    {
        FileLease? own = _leases.Find(lease => ReferenceEquals(lease.Holder, file));
        if (type == Unlock)
        {
            if (own is null)
                return Errno.EAGAIN;
            Remove(own);
            return SyscallResult.Ok;
        }

        if (own is { BreakTo: >= 0 } && type == Write)
            return Errno.EAGAIN;
        if (type == Read ? inode.IsWritten : inode.OpenCount > 1)
            return Errno.EAGAIN;
        if (_leases.Exists(lease => !ReferenceEquals(lease, own) && (type == Write || lease.Type == Write || lease.BreakTo >= 0)))
            return Errno.EAGAIN;
        if (own is null)
            _leases.Add(new FileLease(file, type));
        else
            SetType(own, type);
        AsyncOwner owner = file.GetAsyncOwner(task);
        owner.Descriptor = descriptor;
        if (owner.Id == 0)
            owner.SetOwner(task, AsyncOwner.OfProcess, task.Group.Pid);
        return SyscallResult.Ok;
    }

    /// <summary>F_GETLEASE: while it is being broken, what it is to become.</summary>
    internal int TypeOf(FileObject file) => _leases.Find(lease => ReferenceEquals(lease.Holder, file)) is { } own ? own.BreakTo >= 0 ? own.BreakTo : own.Type : Unlock;

    /// <summary>The holder's last descriptor was closed.</summary>
    internal void Release(FileObject file)
    {
        if (_leases.Find(lease => ReferenceEquals(lease.Holder, file)) is { } own)
            Remove(own);
    }

    /// <summary>Somebody opens the file or cuts it: holders in the way are told and given time. EAGAIN with a <see cref="LeaseBreak"/> in the call: it waits; without: it may not.</summary>
    internal Errno Break(Task task, Inode inode, bool writes, bool nonBlocking)
    {
        long now = task.Kernel.Clock.Monotonic, first = long.MaxValue;
        foreach (FileLease lease in _leases.ToArray())
        {
            if (!writes && lease.Type == Read)
                continue;
            int target = writes ? Unlock : Read;
            if (lease.BreakTo < 0)
            {
                lease.BreakTime = now + (task.Kernel.Settings.LeaseBreakTime * 1_000_000_000L);
                lease.BreakTo = target;
                lease.Holder.AsyncOwner?.Send(SignalCode.POLL_MSG, (long)(PollEvents.ReadMask | PollEvents.Msg));
            }
            else if (lease.BreakTime <= now)
            {
                if (lease.BreakTo == Unlock)
                    Remove(lease);
                else
                    SetType(lease, lease.BreakTo);
                if (lease.BreakTo < 0 && (lease.Type == Unlock || !writes))
                    continue;
            }
            else if (target == Unlock)
            {
                lease.BreakTo = Unlock;
            }

            if (_leases.Contains(lease))
                first = Math.Min(first, lease.BreakTime);
        }

        if (first == long.MaxValue)
            return Errno.None;
        if (!nonBlocking && task.CurrentCall is { } call)
        {
            call.TimedOut = false;
            call.Deadline = first;
            call.State = new LeaseBreak(inode);
        }

        return Errno.EAGAIN;
    }

    private void SetType(FileLease lease, int type)
    {
        lease.Type = type;
        lease.BreakTo = lease.BreakTo == Unlock ? Unlock : -1;
        _waiters.Wake();
    }

    private void Remove(FileLease lease)
    {
        _leases.Remove(lease);
        _waiters.Wake();
    }
}
