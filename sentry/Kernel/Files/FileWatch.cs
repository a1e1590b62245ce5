namespace Sentry.Kernel.Files;

/// <summary>What happens to files, the bits of inotify(7).</summary>
internal static class FileEvent
{
    internal const uint Access = 1, Modify = 2, Attribute = 4, CloseWrite = 8, CloseNoWrite = 0x10, Open = 0x20, MovedFrom = 0x40, MovedTo = 0x80, Create = 0x100,
        Delete = 0x200, DeleteSelf = 0x400, MoveSelf = 0x800, All = 0xFFF, Unmount = 0x2000, Overflow = 0x4000, Ignored = 0x8000, IsDirectory = 0x40000000;

    /// <summary>A name changed within its directory; for dnotify alone.</summary>
    internal const uint Renamed = 0x10000000;
}

/// <summary>Somebody's interest in what happens to an inode and, when it is a directory, to its entries.</summary>
[Savable("file-watch")]
internal abstract partial class FileWatch
{
    [Saved(1)] private VfsPath _path;
    [Saved(2)] private uint _mask;

    /// <param name="path">Kept so that the place is the same one after a restore, when names are looked up anew.</param>
    protected FileWatch(in VfsPath path, uint mask)
    {
        _path = path;
        _mask = mask;
    }

    internal Inode Inode => _path.Inode;

    internal uint Mask
    {
        get => _mask;
        set => _mask = value;
    }

    /// <summary>Whether events of entries whose name is gone count (not with IN_EXCL_UNLINK).</summary>
    internal virtual bool WantsUnlinked => true;

    /// <summary>An event of the inode itself (no name) or of an entry of it.</summary>
    internal abstract void OnEvent(uint mask, uint cookie, string? name);

    /// <summary>The inode is gone, or its file system was unmounted.</summary>
    internal abstract void OnGone(uint lastEvent);

    internal void Attach()
    {
        Inode.Watches.Add(this);
        Inode.FileSystem.Kernel.FileWatches++;
    }

    internal void Detach()
    {
        if (Inode.Watches.Remove(this))
            Inode.FileSystem.Kernel.FileWatches--;
    }
}

/// <summary>Tells watches what happens. Costs one comparison as long as nobody watches anything.</summary>
internal static class FileNotifier
{
    /// <summary>Something happened to what is at a place: its own watches and those of its directory are told.</summary>
    internal static void OnFile(Dentry dentry, uint mask)
    {
        Inode inode = dentry.Inode;
        if (inode.FileSystem.Kernel.FileWatches == 0)
            return;
        if (inode.IsDirectory)
            mask |= FileEvent.IsDirectory;
        if (dentry.Parent is { } parent)
            Tell(parent.Inode, mask, 0, dentry.Name, dentry.IsUnlinked);
        Tell(inode, mask, 0, null, false);
    }

    /// <summary>Something happened to an open file.</summary>
    internal static void OnFile(FileObject file, uint mask)
    {
        if (file is InodeFile { Path: var path } and not PathFile)
            OnFile(path.Dentry, mask);
    }

    /// <summary>Something happened to an inode under whatever name.</summary>
    internal static void OnInode(Inode inode, uint mask)
    {
        if (inode.FileSystem.Kernel.FileWatches != 0)
            Tell(inode, inode.IsDirectory ? mask | FileEvent.IsDirectory : mask, 0, null, false);
    }

    /// <summary>An entry of a directory came or went.</summary>
    internal static void OnEntry(Inode directory, string name, Inode child, uint mask, uint cookie = 0)
    {
        if (directory.FileSystem.Kernel.FileWatches != 0)
            Tell(directory, child.IsDirectory ? mask | FileEvent.IsDirectory : mask, cookie, name, false);
    }

    /// <summary>A file was renamed, perhaps to another directory.</summary>
    internal static void OnRename(Inode from, string oldName, Inode to, string newName, Inode child, Inode? replaced = null)
    {
        GuestKernel kernel = from.FileSystem.Kernel;
        if (kernel.FileWatches == 0)
            return;
        uint cookie = kernel.NewRenameCookie();
        OnEntry(from, oldName, child, FileEvent.MovedFrom, cookie);
        OnEntry(to, newName, child, FileEvent.MovedTo, cookie);
        if (ReferenceEquals(from, to))
            OnEntry(from, newName, child, FileEvent.Renamed);
        if (replaced is not null)
            OnInode(replaced, FileEvent.Attribute);
        Tell(child, FileEvent.MoveSelf, 0, null, false);
    }

    /// <summary>A file system is no longer mounted anywhere: its watches end.</summary>
    internal static void OnUnmount(FileSystem fileSystem)
    {
        var seen = new HashSet<Inode>();
        foreach (Task task in fileSystem.Kernel.Tasks.Values)
        {
            for (int fd = 0; fd < task.Files.Capacity; fd++)
            {
                foreach (InotifyWatch watch in (task.Files.Get(fd) as InotifyFile)?.Watches.Values.ToArray() ?? [])
                {
                    if (ReferenceEquals(watch.Inode.FileSystem, fileSystem) && seen.Add(watch.Inode))
                        OnGone(watch.Inode, FileEvent.Unmount);
                }
            }
        }
    }

    /// <summary>Nothing leads to an inode any more.</summary>
    internal static void OnGone(Inode inode, uint lastEvent)
    {
        foreach (FileWatch watch in inode.Watches.ToArray())
            watch.OnGone(lastEvent);
    }

    private static void Tell(Inode inode, uint mask, uint cookie, string? name, bool unlinked)
    {
        if (!inode.HasWatches)
            return;
        foreach (FileWatch watch in inode.Watches.ToArray())
        {
            if ((watch.Mask & mask & (FileEvent.All | FileEvent.Renamed)) != 0 && (!unlinked || watch.WantsUnlinked))
                watch.OnEvent(mask, cookie, name);
        }
    }
}
