namespace Sentry.Kernel.Files;

/// <summary>System calls: fsync, fdatasync, sync, syncfs, sync_file_range, msync.</summary>
internal static class SyncSyscalls
{
    internal static SyscallResult Fsync(Task task, in SyscallArgs args) => Sync(task, args.I0, dataOnly: false);

    internal static SyscallResult Fdatasync(Task task, in SyscallArgs args) => Sync(task, args.I0, dataOnly: true);

    internal static SyscallResult Sync(Task task, in SyscallArgs args) =>
        SyncWait.Await(task, 0, () => HostSync.All([.. task.Mounts.All().Select(static m => m.FileSystem).Distinct().Select(static f => f.StartSync()).OfType<HostSync>()])) is { IsBlocked: true } blocked
            ? blocked
            : SyscallResult.Ok;

    internal static SyscallResult Syncfs(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        return SyncWait.Await(task, 0, () => (file as InodeFile)?.Inode.FileSystem.StartSync());
    }

    internal static SyscallResult SyncFileRange(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        if ((args.A3 & ~7UL) != 0 || (long)args.A1 < 0 || (long)args.A2 < 0)
            return Errno.EINVAL;
        return file.IsRegularFile || file is DirectoryFile ? SyscallResult.Ok : Errno.ESPIPE;
    }

    internal static SyscallResult Msync(Task task, in SyscallArgs args)
    {
        const int async = 1, invalidate = 2, sync = 4;
        ulong start = args.A0, end = start + Mappings.RoundUp(args.A1);
        if ((start & (Mappings.PageSize - 1)) != 0 || (args.I2 & ~(async | invalidate | sync)) != 0 || (args.I2 & (async | sync)) == (async | sync))
            return Errno.EINVAL;
        if (end < start)
            return Errno.ENOMEM;
        if (end == start)
            return SyscallResult.Ok;
        AreaMap areas = task.Memory.Areas;
        for (int i = areas.FirstEndingAfter(start); (args.I2 & invalidate) != 0 && i < areas.Count && areas[i].Start < end; i++)
        {
            if (areas[i].Has(AreaFlags.Locked))
                return Errno.EBUSY;
        }

        if (!areas.Covers(start, end))
            return Errno.ENOMEM;

        // Shared mappings and files are the same pages: only what lies on the host has somewhere to be written to.
        return (args.I2 & sync) != 0 ? SyncWait.Await(task, 0, () => HostSync.All([.. FilesOf(areas, start, end).Select(static f => f.StartSync(dataOnly: false)).OfType<HostSync>()])) : SyscallResult.Ok;
    }

    private static SyscallResult Sync(Task task, int descriptor, bool dataOnly)
    {
        if (!task.TryGetFile(descriptor, out FileObject? file))
            return Errno.EBADF;
        Errno error = file.Sync();
        return error == Errno.None ? SyncWait.Await(task, 0, () => file.StartSync(dataOnly)) : error;
    }

    private static HashSet<FileObject> FilesOf(AreaMap areas, ulong start, ulong end)
    {
        HashSet<FileObject> files = [];
        for (int i = areas.FirstEndingAfter(start); i < areas.Count && areas[i].Start < end; i++)
        {
            if (areas[i] is { IsShared: true, File: { } file })
                files.Add(file);
        }

        return files;
    }
}
