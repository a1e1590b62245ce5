namespace Sentry.Kernel.Files;

/// <summary>The bodies of fcntl's lock commands and of flock.</summary>
internal static class LockSyscalls
{
    private const short ReadLock = 0, WriteLock = 1, Unlock = 2;

    internal static SyscallResult GetLock(Task task, FileObject file, ulong address, bool ofDescription)
    {
        if (!Read(task, file, address, ofDescription, out KernelFlock request, out long start, out long end).TryGet(out FileObject? opened, out Errno error))
            return error;
        if (request.l_type == Unlock)
            return Errno.EINVAL;
        FileLock? held = opened.HasLocks
            ? opened.Locks.FindConflict(ofDescription ? null : task.Group, ofDescription ? file : null, request.l_type == WriteLock, start, end)
            : null;
        if (held is null)
        {
            request.l_type = Unlock;
        }
        else
        {
            request.l_type = held.Exclusive ? WriteLock : ReadLock;
            request.l_whence = 0;
            request.l_start = held.Start;
            request.l_len = held.End == long.MaxValue ? 0 : held.End - held.Start;
            request.l_pid = held.Process is { } holder ? task.PidNamespace.ToLocal(holder.Pid) : -1;
        }

        return task.TryWrite(address, request) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult SetLock(Task task, FileObject file, ulong address, bool ofDescription, bool wait)
    {
        if (!Read(task, file, address, ofDescription, out KernelFlock request, out long start, out long end).TryGet(out FileObject? opened, out Errno error))
            return error;
        ThreadGroup? process = ofDescription ? null : task.Group;
        FileObject? description = ofDescription ? file : null;
        FileLocks locks = opened.Locks;
        if (request.l_type == Unlock)
        {
            locks.SetRange(process, description, null, start, end);
            return SyscallResult.Ok;
        }

        bool exclusive = request.l_type == WriteLock;
        if (exclusive ? !file.CanWrite : !file.CanRead)
            return Errno.EBADF;
        if (locks.FindConflict(process, description, exclusive, start, end) is { } held)
        {
            if (!wait)
                return Errno.EAGAIN;
            if (process is not null && WouldDeadlock(task, held))
                return Errno.EDEADLK;
            task.WaitOn(locks.Waiters);
            task.Call.State = new LockWait { Owner = held.Process };
            return task.Block(InterruptMode.Restart);
        }

        locks.SetRange(process, description, exclusive, start, end);
        return SyscallResult.Ok;
    }

    /// <summary>Whether the holder (or whom it waits for) waits for us.</summary>
    private static bool WouldDeadlock(Task task, FileLock held)
    {
        ThreadGroup? owner = held.Process;
        for (int depth = 0; owner is not null && depth < 64; depth++)
        {
            if (ReferenceEquals(owner, task.Group))
                return true;
            ThreadGroup? next = null;
            foreach (Task other in owner.Tasks)
            {
                if (other.IsInCall && other.CurrentCall?.State is LockWait waiting)
                    next = waiting.Owner;
            }

            owner = next;
        }

        return false;
    }

    private static Result<FileObject> Read(Task task, FileObject file, ulong address, bool ofDescription, out KernelFlock request, out long start, out long end)
    {
        start = end = 0;
        if (!task.TryRead(address, out request))
            return Errno.EFAULT;
        if (request.l_type is < 0 or > 2 || (ofDescription && request.l_pid != 0))
            return Errno.EINVAL;
        long origin;
        switch (request.l_whence)
        {
            case 0:
                origin = 0;
                break;
            case 1:
                origin = file.Offset;
                break;
            case 2:
                origin = file is InodeFile named ? named.Inode.Size : 0;
                break;
            default:
                return Errno.EINVAL;
        }

        Int128 first = (Int128)origin + request.l_start;
        Int128 last = first + request.l_len;
        if (request.l_len < 0)
            (first, last) = (last, first);
        if (first < 0)
            return Errno.EINVAL;
        if (first > long.MaxValue || last > long.MaxValue)
            return Errno.EOVERFLOW;
        start = (long)first;
        end = request.l_len == 0 ? long.MaxValue : (long)last;
        return file;
    }

    internal static SyscallResult Flock(Task task, in SyscallArgs args)
    {
        const int Shared = 1, Exclusive = 2, NonBlock = 4, UnlockAll = 8;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        int operation = args.I1 & ~NonBlock;
        if (operation is not (Shared or Exclusive or UnlockAll))
            return Errno.EINVAL;
        bool? exclusive = operation == UnlockAll ? null : operation == Exclusive;
        if (file.Locks.TryFlock(file, exclusive))
            return SyscallResult.Ok;
        if ((args.I1 & NonBlock) != 0)
            return Errno.EAGAIN;
        task.WaitOn(file.Locks.Waiters);
        return task.Block(InterruptMode.Restart);
    }
}

/// <summary>For whom a call of F_SETLKW waits.</summary>
[Savable("lock-wait")]
internal sealed partial class LockWait : CallState
{
    [Saved(1)] public ThreadGroup? Owner;

    public LockWait()
    {
    }
}
