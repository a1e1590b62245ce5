namespace Sentry.Kernel.Events;

/// <summary>System calls: pipe, pipe2, eventfd, eventfd2.</summary>
internal static class EventSyscalls
{
    private const int EfdSemaphore = 1;

    internal static SyscallResult Pipe(Task task, in SyscallArgs args) => MakePipe(task, args.A0, 0);

    internal static SyscallResult Pipe2(Task task, in SyscallArgs args) => MakePipe(task, args.A0, (OpenFlags)args.I1);

    internal static SyscallResult Eventfd(Task task, in SyscallArgs args) => MakeEvent(task, (uint)args.A0, 0);

    internal static SyscallResult Eventfd2(Task task, in SyscallArgs args) => MakeEvent(task, (uint)args.A0, args.I1);

    private static SyscallResult MakePipe(Task task, ulong address, OpenFlags flags)
    {
        if ((flags & ~(OpenFlags.CloseOnExec | OpenFlags.NonBlock | OpenFlags.Direct)) != 0)
            return Errno.EINVAL;
        bool closeOnExec = (flags & OpenFlags.CloseOnExec) != 0;
        OpenFlags status = flags & (OpenFlags.NonBlock | OpenFlags.Direct);
        var pipe = new Pipe();
        ulong inode = task.Kernel.NewAnonymousInode();
        var reader = new PipeFile(pipe, OpenFlags.ReadOnly | status, inode, task);
        var writer = new PipeFile(pipe, OpenFlags.WriteOnly | status, inode, task);
        return AddPair(task, address, reader, writer, closeOnExec);
    }

    /// <summary>Gives a task two new files and writes their descriptors to an int[2], or neither.</summary>
    internal static SyscallResult AddPair(Task task, ulong address, FileObject first, FileObject second, bool closeOnExec)
    {
        Result<int> one = task.AddFile(first, closeOnExec);
        if (one.IsError)
        {
            second.AddReference();
            second.Release();
            return one;
        }

        Result<int> two = task.AddFile(second, closeOnExec);
        if (two.IsOk && task.TryWrite(address, (ulong)(uint)one.Value | ((ulong)(uint)two.Value << 32)))
            return SyscallResult.Ok;
        task.Files.Close(task.Group, one.Value);
        if (two.IsOk)
            task.Files.Close(task.Group, two.Value);
        return two.IsOk ? Errno.EFAULT : two;
    }

    private static SyscallResult MakeEvent(Task task, uint count, int flags)
    {
        if ((flags & ~(EfdSemaphore | (int)OpenFlags.CloseOnExec | (int)OpenFlags.NonBlock)) != 0)
            return Errno.EINVAL;
        var file = new EventFile(count, (flags & EfdSemaphore) != 0, (OpenFlags)flags & OpenFlags.NonBlock);
        return task.AddFile(file, (flags & (int)OpenFlags.CloseOnExec) != 0);
    }
}
