namespace Sentry.Kernel.Files;

/// <summary>System calls on descriptors as such: close, dup, fcntl, ioctl, flock, memfd_create and their kin.</summary>
internal static class DescriptorSyscalls
{
    internal static SyscallResult Close(Task task, in SyscallArgs args)
    {
        if (task.Call.State is LingeringClose lingering)
            return lingering.Continue(task);
        FileObject? file = task.Files.Get(args.I0);
        return task.Files.Close(task.Group, args.I0) ? LingeringClose.Begin(task, file!) : Errno.EBADF;
    }

    internal static SyscallResult CloseRange(Task task, in SyscallArgs args)
    {
        const uint Unshare = 2, CloseOnExec = 4;
        uint first = (uint)args.A0, last = (uint)args.A1, flags = (uint)args.A2;
        if ((flags & ~(Unshare | CloseOnExec)) != 0 || first > last)
            return Errno.EINVAL;
        if ((flags & Unshare) != 0 && task.Files.IsShared)
        {
            FileTable own = task.Files.Copy();
            task.Files.RemoveUser(task.Group);
            task.Files = own;
        }

        FileTable files = task.Files;
        int end = (int)Math.Min(last, (uint)files.Capacity - 1);
        for (long fd = first; fd <= end; fd++)
        {
            if (files.Get((int)fd) is null)
                continue;
            if ((flags & CloseOnExec) != 0)
                files.SetCloseOnExec((int)fd, true);
            else
                files.Close(task.Group, (int)fd);
        }

        return SyscallResult.Ok;
    }

    internal static SyscallResult Dup(Task task, in SyscallArgs args) =>
        task.TryGetFile(args.I0, out FileObject? file) ? task.AddFile(file, false) : Errno.EBADF;

    internal static SyscallResult Dup2(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        return args.I0 == args.I1 ? args.I1 : Duplicate(task, file, args.I1, false);
    }

    internal static SyscallResult Dup3(Task task, in SyscallArgs args)
    {
        if ((args.I2 & ~(int)OpenFlags.CloseOnExec) != 0 || args.I0 == args.I1)
            return Errno.EINVAL;
        return task.TryGetFile(args.I0, out FileObject? file) ? Duplicate(task, file, args.I1, args.I2 != 0) : Errno.EBADF;
    }

    private static SyscallResult Duplicate(Task task, FileObject file, int target, bool closeOnExec)
    {
        if ((uint)target >= DescriptorLimit(task))
            return Errno.EBADF;
        task.Files.Set(task.Group, target, file, closeOnExec);
        return target;
    }

    private static uint DescriptorLimit(Task task) => (uint)Math.Min(int.MaxValue, task.Group.Limits[ResourceLimits.NoFile].Soft);

    // ---- fcntl ---------------------------------------------------------------------------------------------------

    internal static SyscallResult Fcntl(Task task, in SyscallArgs args)
    {
        const int DupFd = 0, GetFd = 1, SetFd = 2, GetFl = 3, SetFl = 4, GetLk = 5, SetLk = 6, SetLkw = 7, SetOwn = 8, GetOwn = 9, SetSig = 10, GetSig = 11,
            SetOwnEx = 15, GetOwnEx = 16, SetLease = 1024, GetLease = 1025, Notify = 1026, DupFdQuery = 1027, CreatedQuery = 1028, OfdGetLk = 36, OfdSetLk = 37, OfdSetLkw = 38, DupFdCloseOnExec = 1030, AddSeals = 1033, GetSeals = 1034;
        const OpenFlags Settable = OpenFlags.Append | OpenFlags.NonBlock | OpenFlags.Async | OpenFlags.Direct | OpenFlags.NoAtime;
        int fd = args.I0;
        if (!task.TryGetFile(fd, out FileObject? file))
            return Errno.EBADF;
        int command = args.I1;
        if (file is PathFile && command is not (DupFd or DupFdCloseOnExec or GetFd or SetFd or GetFl))
            return Errno.EBADF;
        switch (command)
        {
            case DupFd or DupFdCloseOnExec:
                if (args.A2 >= DescriptorLimit(task))
                    return Errno.EINVAL;
                return task.Files.Add(file, command == DupFdCloseOnExec, (int)DescriptorLimit(task), (int)args.A2);
            case GetFd:
                return task.Files.GetSlot(fd).CloseOnExec ? 1 : 0;
            case SetFd:
                task.Files.SetCloseOnExec(fd, (args.A2 & 1) != 0);
                return SyscallResult.Ok;
            case GetFl:
                return (int)file.Flags;
            case SetFl:
                SetFlags(task, fd, file, (file.Flags & ~Settable) | ((OpenFlags)args.I2 & Settable));
                return SyscallResult.Ok;
            case GetLk or OfdGetLk:
                return LockSyscalls.GetLock(task, file, args.A2, command == OfdGetLk);
            case SetLk or SetLkw or OfdSetLk or OfdSetLkw:
                return LockSyscalls.SetLock(task, file, args.A2, command is OfdSetLk or OfdSetLkw, command is SetLkw or OfdSetLkw);
            case SetOwn:
                return SetOwner(task, fd, file, args.I2);
            case GetOwn:
                return GetOwner(task, file);
            case SetOwnEx:
                if (!task.TryRead(args.A2, out int type) || !task.TryRead(args.A2 + 4, out int id))
                    return Errno.EFAULT;
                return type is < AsyncOwner.OfThread or > AsyncOwner.OfGroup ? Errno.EINVAL : SetOwner(task, fd, file, type, id);
            case GetOwnEx:
                return task.TryWrite(args.A2, file.AsyncOwner?.Type ?? AsyncOwner.OfThread) && task.TryWrite(args.A2 + 4, task.PidNamespace.ToLocal(file.AsyncOwner?.Id ?? 0)) ? SyscallResult.Ok : Errno.EFAULT;
            case SetSig:
                if (args.A2 > Signal.Max)
                    return Errno.EINVAL;
                file.GetAsyncOwner(task).Signal = args.I2;
                return SyscallResult.Ok;
            case GetSig:
                return file.AsyncOwner?.Signal ?? 0;
            case SetLease:
                return FileLeases.Set(task, fd, file, args.I2);
            case GetLease:
                return file is InodeFile { Inode: { HasLeases: true } leased } ? leased.Leases.TypeOf(file) : FileLeases.Unlock;
            case Notify:
                return SetNotify(task, fd, file, (uint)args.A2);
            case DupFdQuery:
                return task.TryGetFile(args.I2, out FileObject? other) ? ReferenceEquals(file, other) ? 1 : 0 : Errno.EBADF;
            case CreatedQuery:
                return file.WasCreated ? 1 : 0;
            case AddSeals:
                return AddFileSeals(task.Kernel, file, (FileSeals)args.I2);
            case GetSeals:
                return file is RegularFile { Inode: MemoryFile memory } && memory.FileSystem is AnonymousFileSystem ? (int)memory.Seals : Errno.EINVAL;
            default:
                return file.Fcntl(task, command, args.A2);
        }
    }

    private static void SetFlags(Task task, int fd, FileObject file, OpenFlags flags)
    {
        if (!file.RaisesSignals)
            flags &= ~OpenFlags.Async;
        file.Flags = flags;
        bool listens = (flags & OpenFlags.Async) != 0;
        if (!listens && file.AsyncOwner is null)
            return;
        AsyncOwner owner = file.GetAsyncOwner(task);
        owner.Descriptor = fd;
        owner.Listen(listens);
    }

    /// <summary>F_SETOWN: a process, or a process group as a negative number; 0 for nobody.</summary>
    internal static SyscallResult SetOwner(Task task, int fd, FileObject file, int id) =>
        SetOwner(task, fd, file, id < 0 ? AsyncOwner.OfGroup : AsyncOwner.OfProcess, id == int.MinValue ? 0 : Math.Abs(id));

    internal static int GetOwner(Task task, FileObject file)
    {
        if (file.AsyncOwner is not { } owner)
            return 0;
        int id = task.PidNamespace.ToLocal(owner.Id);
        return owner.Type == AsyncOwner.OfGroup ? -id : id;
    }

    private static SyscallResult SetOwner(Task task, int fd, FileObject file, int type, int id)
    {
        id = id == 0 ? 0 : task.PidNamespace.ToKernel(id);
        if (id != 0 && !(type == AsyncOwner.OfThread ? task.Kernel.Tasks.ContainsKey(id)
            : task.Kernel.Processes.Values.Any(g => (type == AsyncOwner.OfProcess ? g.Pid : g.ProcessGroup) == id)))
            return Errno.ESRCH;
        AsyncOwner owner = file.GetAsyncOwner(task);
        owner.Descriptor = fd;
        owner.SetOwner(task, type, id);
        return SyscallResult.Ok;
    }

    private static SyscallResult SetNotify(Task task, int fd, FileObject file, uint events)
    {
        if (file is not DirectoryFile directory)
            return Errno.ENOTDIR;
        if ((events & ~DirectoryNotify.MultiShot) == 0)
        {
            file.StopNotify();
            return SyscallResult.Ok;
        }

        if ((events & ~(DirectoryNotify.All | DirectoryNotify.MultiShot)) != 0)
            return Errno.EINVAL;
        AsyncOwner owner = file.GetAsyncOwner(task);
        owner.Descriptor = fd;
        if (owner.Id == 0)
            owner.SetOwner(task, AsyncOwner.OfProcess, task.Group.Pid);
        if (file.Notify is { } there)
        {
            there.Add(events);
            return SyscallResult.Ok;
        }

        file.Notify = new DirectoryNotify(directory, events);
        file.Notify.Attach();
        return SyscallResult.Ok;
    }

    private static SyscallResult AddFileSeals(GuestKernel kernel, FileObject file, FileSeals seals)
    {
        const FileSeals Known = FileSeals.Seal | FileSeals.Shrink | FileSeals.Grow | FileSeals.Write | FileSeals.FutureWrite | FileSeals.Exec;
        if (!file.CanWrite)
            return Errno.EPERM;
        if (file is not RegularFile { Inode: MemoryFile memory } || memory.FileSystem is not AnonymousFileSystem || (seals & ~Known) != 0)
            return Errno.EINVAL;
        if ((memory.Seals & FileSeals.Seal) != 0)
            return Errno.EPERM;
        if ((seals & ~memory.Seals & FileSeals.Write) != 0 && IsMappedToWrite(kernel, memory))
            return Errno.EBUSY;
        memory.Seals |= seals;
        return SyscallResult.Ok;
    }

    /// <summary>Whether anyone has a shared mapping through which it may be written to, now or after mprotect(2) (F_SEAL_WRITE).</summary>
    private static bool IsMappedToWrite(GuestKernel kernel, MemoryFile memory)
    {
        foreach (Task task in kernel.Tasks.Values)
        {
            foreach (Area area in task.Memory.Areas.All)
            {
                if (area is { IsShared: true, File: RegularFile { CanWrite: true } mapped } && ReferenceEquals(mapped.Inode, memory))
                    return true;
            }
        }

        return false;
    }

    // ---- ioctl ---------------------------------------------------------------------------------------------------

    internal static SyscallResult Ioctl(Task task, in SyscallArgs args)
    {
        const uint Fionclex = 0x5450, Fioclex = 0x5451, Fionbio = 0x5421, Fioasync = 0x5452;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        switch ((uint)args.A1)
        {
            case Fionclex or Fioclex:
                task.Files.SetCloseOnExec(args.I0, (uint)args.A1 == Fioclex);
                return SyscallResult.Ok;
            case Fionbio or Fioasync:
                if (!task.TryRead(args.A2, out int on))
                    return Errno.EFAULT;
                OpenFlags flag = (uint)args.A1 == Fionbio ? OpenFlags.NonBlock : OpenFlags.Async;
                if (flag == OpenFlags.Async && (on != 0) != ((file.Flags & flag) != 0) && !file.RaisesSignals)
                    return Errno.ENOTTY;
                SetFlags(task, args.I0, file, on != 0 ? file.Flags | flag : file.Flags & ~flag);
                return SyscallResult.Ok;
            default:
                return file.Ioctl(task, (uint)args.A1, args.A2);
        }
    }

    internal static SyscallResult Flock(Task task, in SyscallArgs args) => LockSyscalls.Flock(task, args);

    // ---- memfd ---------------------------------------------------------------------------------------------------

    internal static SyscallResult MemfdCreate(Task task, in SyscallArgs args)
    {
        const uint CloseOnExec = 1, AllowSealing = 2, HugeTlb = 4, NoExecSeal = 8, Exec = 0x10;
        uint flags = (uint)args.A1;
        if ((flags & HugeTlb) != 0)
            return (flags & ~(CloseOnExec | AllowSealing | HugeTlb | NoExecSeal | Exec | (63u << 26))) != 0 ? Errno.EINVAL : Errno.ENOSYS;
        if ((flags & ~(CloseOnExec | AllowSealing | NoExecSeal | Exec)) != 0 || (flags & (NoExecSeal | Exec)) == (NoExecSeal | Exec))
            return Errno.EINVAL;
        if (!task.Memory.ReadString(args.A0, 250, Errno.EINVAL).TryGet(out string? name, out Errno error))
            return error;
        uint permissions = (flags & NoExecSeal) != 0 ? 0x1B6u : 0x1FFu;
        RegularFile file = AnonymousFileSystem.CreateFile(task.Kernel, "memfd:" + name, permissions, task.Credentials.FsUid, task.Credentials.FsGid);
        var inode = (MemoryFile)file.Inode;
        if ((flags & NoExecSeal) != 0)
            inode.Seals = FileSeals.Exec;
        else if ((flags & AllowSealing) != 0)
            inode.Seals = FileSeals.None;
        return task.AddFile(file, (flags & CloseOnExec) != 0);
    }
}
