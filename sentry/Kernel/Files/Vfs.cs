namespace Sentry.Kernel.Files;

/// <summary>Operations on the tree with all their checks, as system calls and the rest of the kernel use them.</summary>
public static class Vfs
{
    private const int CapChown = 0, CapMknod = 27, CapFsetid = 4;

    // ---- opening -------------------------------------------------------------------------------------------------

    /// <summary>open(2) with everything but the descriptor. The description has no reference yet: <see cref="Task.AddFile"/> takes one; who keeps it
    /// otherwise calls <see cref="FileObject.AddReference"/>. EAGAIN with O_NONBLOCK absent means a FIFO without a peer.</summary>
    public static Result<FileObject> Open(Task task, string path, OpenFlags flags, uint mode = 0, int directory = AT.FDCWD, WalkFlags walk = WalkFlags.None)
    {
        Credentials credentials = task.Credentials;
        if ((flags & OpenFlags.Path) != 0)
            flags &= OpenFlags.Path | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.CloseOnExec;
        bool tmpfile = (flags & OpenFlags.TmpFile) == OpenFlags.TmpFile;
        if ((flags & OpenFlags.NoFollow) != 0 || (flags & (OpenFlags.Create | OpenFlags.Exclusive)) == (OpenFlags.Create | OpenFlags.Exclusive))
            walk |= WalkFlags.NoFollow;
        LinkTarget target;
        Errno error;
        bool created = false;
        if ((flags & OpenFlags.Create) != 0 && !tmpfile)
        {
            if ((flags & OpenFlags.Directory) != 0)
                return Errno.EINVAL;
            if (!PathWalker.WalkForCreate(task, directory, path, walk).TryGet(out (ParentAndName Last, LinkTarget Target) found, out error))
                return error;
            target = found.Target;
            if (!target.Path.IsSet && target.File is null)
            {
                if (found.Last.TrailingSlash)
                    return Errno.EISDIR;
                var node = new NewNode(S.IFREG | (mode & S.PermissionMask & ~task.Fs.Umask), credentials.FsUid, credentials.FsGid);
                if (!Create(task, found.Last, node).TryGet(out Dentry? dentry, out error))
                    return error;
                target = new LinkTarget(new VfsPath(found.Last.Parent.Mount, dentry), null);
                created = true;
            }
            else if ((flags & OpenFlags.Exclusive) != 0)
            {
                return Errno.EEXIST;
            }
            else if (target.Path.IsSet && target.Path.Inode.IsDirectory)
            {
                return Errno.EISDIR;
            }
            else if (found.Last.TrailingSlash)
            {
                return Errno.ENOTDIR;
            }
        }
        else
        {
            if ((flags & OpenFlags.Directory) != 0)
                walk |= WalkFlags.MustBeDirectory;
            if (!PathWalker.WalkTo(task, directory, path, walk).TryGet(out target, out error))
                return error;
        }

        if (target.File is not null)
            return target.File.Reopen(task, flags);
        if (tmpfile)
            return OpenTmpFile(task, target.Path, flags, mode);
        return OpenPlace(task, target.Path, flags, created);
    }

    /// <summary>Opens what is at a place. <paramref name="created"/>: this call has made it, so its permissions do not bind it.</summary>
    public static Result<FileObject> OpenPlace(Task task, in VfsPath place, OpenFlags flags, bool created = false)
    {
        Inode inode = place.Inode;
        if ((flags & OpenFlags.Path) != 0)
            return new PathFile(place, flags);
        OpenFlags access = flags & OpenFlags.AccessMode;
        bool writes = access != OpenFlags.ReadOnly || (flags & OpenFlags.Truncate) != 0;
        if (inode.IsSymlink)
            return Errno.ELOOP;
        if (inode.IsDirectory && writes)
            return Errno.EISDIR;
        uint type = inode.Mode & S.IFMT;
        if (type == S.IFSOCK)
            return Errno.ENXIO;
        if (type is S.IFCHR or S.IFBLK && (place.Mount.Flags & MountFlags.NoDev) != 0)
            return Errno.EACCES;
        if (!created)
        {
            FileAccessMask wanted = access switch
            {
                OpenFlags.ReadOnly => FileAccessMask.Read,
                OpenFlags.WriteOnly => FileAccessMask.Write,
                _ => FileAccessMask.Read | FileAccessMask.Write,
            };
            if ((flags & OpenFlags.Truncate) != 0)
                wanted |= FileAccessMask.Write;
            Errno error = inode.CheckAccess(task.Credentials, wanted);
            if (error != Errno.None)
                return error;
            if (writes && place.Mount.IsReadOnly && type is S.IFREG)
                return Errno.EROFS;
            if (writes && inode.IsExecuted)
                return Errno.ETXTBSY;
            if ((flags & OpenFlags.NoAtime) != 0 && !inode.IsOwner(task.Credentials))
                return Errno.EPERM;
            if (inode.HasLeases)
            {
                error = inode.Leases.Break(task, inode, writes, (flags & OpenFlags.NonBlock) != 0);
                if (error != Errno.None)
                    return error;
            }

            if ((flags & OpenFlags.Truncate) != 0 && type == S.IFREG)
            {
                error = inode.Truncate(0);
                if (error != Errno.None)
                    return error;
                FileNotifier.OnFile(place.Dentry, FileEvent.Modify);
            }
        }

        Result<FileObject> opened = inode.Open(task, place, flags | OpenFlags.LargeFile);
        if (created && opened.IsOk)
            opened.Value.WasCreated = true;
        return opened;
    }

    private static Result<FileObject> OpenTmpFile(Task task, in VfsPath directory, OpenFlags flags, uint mode)
    {
        if ((flags & OpenFlags.AccessMode) == OpenFlags.ReadOnly)
            return Errno.EINVAL;
        if (!directory.Inode.IsDirectory)
            return Errno.ENOTDIR;
        if (directory.Inode is not MemoryDirectory)
            return Errno.EOPNOTSUPP;
        Errno error = CheckWritable(task, directory);
        if (error != Errno.None)
            return error;
        Credentials credentials = task.Credentials;
        var inode = new MemoryFile(directory.Inode.FileSystem, S.IFREG | (mode & S.PermissionMask & ~task.Fs.Umask), credentials.FsUid, credentials.FsGid) { LinkCount = 0 };
        error = inode.Enlist();
        if (error != Errno.None)
            return error;
        var dentry = new Dentry(directory.Dentry, "#" + inode.Number, inode);
        dentry.Unhash();
        return inode.Open(task, new VfsPath(directory.Mount, dentry), (flags & ~OpenFlags.TmpFile) | OpenFlags.LargeFile);
    }

    /// <summary>For execve: an open regular file that the caller may execute, EACCES otherwise (also on a noexec mount).</summary>
    public static Result<InodeFile> OpenForExecution(Task task, string path, int directory = AT.FDCWD, WalkFlags walk = WalkFlags.None)
    {
        if (!PathWalker.WalkTo(task, directory, path, walk).TryGet(out LinkTarget target, out Errno error))
            return error;
        if (!target.Path.IsSet)
            return Errno.EACCES;
        VfsPath place = target.Path;
        if (place.Inode.IsSymlink)
            return Errno.ELOOP;
        if (!place.Inode.IsRegular || (place.Mount.Flags & MountFlags.NoExec) != 0)
            return Errno.EACCES;
        error = place.Inode.CheckAccess(task.Credentials, FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        if (!place.Inode.Open(task, place, OpenFlags.ReadOnly).TryGet(out FileObject? file, out error))
            return error;
        return file is InodeFile opened ? opened : Errno.EACCES;
    }

    /// <summary>The first bytes of a file, for execve; fewer at its end.</summary>
    public static Result<int> ReadKernel(Task task, FileObject file, long offset, Memory<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            if (!file.ReadAt(task, new UserBuffer(destination[done..]), offset + done).TryGet(out long moved, out Errno error))
                return error;
            if (moved == 0)
                break;
            done += (int)moved;
        }

        return done;
    }

    // ---- making and removing names -------------------------------------------------------------------------------

    /// <summary>Makes a file of any type under a name that must not exist.</summary>
    public static Result<Dentry> Create(Task task, in ParentAndName last, in NewNode node)
    {
        if (last.IsSpecial)
            return Errno.EEXIST;
        VfsPath parent = last.Parent;
        Result<Dentry> existing = parent.Dentry.Lookup(last.Name);
        if (existing.IsOk)
            return Errno.EEXIST;
        if (existing.Error != Errno.ENOENT)
            return existing.Error;
        if (last.TrailingSlash && !S.IsDirectory(node.Mode))
            return Errno.ENOENT;
        Errno error = CheckWritable(task, parent);
        if (error != Errno.None)
            return error;
        if (!parent.Inode.Create(last.Name, node).TryGet(out Inode? inode, out error))
            return error;
        Dentry made = parent.Dentry.AddChild(last.Name, inode);
        FileNotifier.OnEntry(parent.Inode, last.Name, inode, FileEvent.Create);
        return made;
    }

    /// <summary>Makes an entry on the kernel's own account, without checks (mount points of a new sandbox).</summary>
    public static Result<Dentry> MakeKernelEntry(Dentry parent, string name, in NewNode node)
    {
        if (!parent.Inode.Create(name, node).TryGet(out Inode? inode, out Errno error))
            return error;
        return parent.AddChild(name, inode);
    }

    /// <summary>Removes an entry that is no directory on the kernel's own account, without checks.</summary>
    public static Errno RemoveKernelEntry(Dentry entry)
    {
        if (entry.Inode.IsDirectory)
            return Errno.EISDIR;
        if (entry.IsMountPoint)
            return Errno.EBUSY;
        Errno error = entry.Parent!.Inode.Unlink(entry.Name, entry.Inode);
        if (error == Errno.None)
            entry.Unhash();
        return error;
    }

    /// <summary>A bound Unix socket's name (bind(2) in unix(7)): EADDRINUSE when it exists. Lookup finds the object as
    /// <see cref="Inode.BoundSocket"/>; it is null again when the owner has cleared it or has not survived.</summary>
    public static Result<VfsPath> BindSocket(Task task, string path, FileObject socket)
    {
        if (!PathWalker.WalkParent(task, AT.FDCWD, path).TryGet(out ParentAndName last, out Errno error))
            return error;
        var node = new NewNode(S.IFSOCK | (0x1FF & ~task.Fs.Umask), task.Credentials.FsUid, task.Credentials.FsGid);
        if (!Create(task, last, node).TryGet(out Dentry? dentry, out error))
            return error == Errno.EEXIST ? Errno.EADDRINUSE : error;
        dentry.Inode.BoundSocket = socket;
        return new VfsPath(last.Parent.Mount, dentry);
    }

    /// <summary>connect(2), sendto(2) to a path: write permission on the name; ECONNREFUSED when nobody is behind it or it is no socket.</summary>
    public static Result<FileObject> FindSocket(Task task, string path)
    {
        if (!PathWalker.Walk(task, path).TryGet(out VfsPath place, out Errno error))
            return error;
        error = place.Inode.CheckAccess(task.Credentials, FileAccessMask.Write);
        if (error != Errno.None)
            return error;
        if ((place.Inode.Mode & S.IFMT) != S.IFSOCK || place.Inode.BoundSocket is not { } socket)
            return Errno.ECONNREFUSED;
        return socket;
    }

    public static Errno Unlink(Task task, in ParentAndName last)
    {
        if (last.IsSpecial)
            return Errno.EISDIR;
        if (!last.Parent.Dentry.Lookup(last.Name).TryGet(out Dentry? child, out Errno error))
            return error;
        error = CheckRemovable(task, last.Parent, child.Inode);
        if (error != Errno.None)
            return error;
        if (child.Inode.IsDirectory)
            return Errno.EISDIR;
        if (last.TrailingSlash)
            return Errno.ENOTDIR;
        if (child.IsMountPoint)
            return Errno.EBUSY;
        error = last.Parent.Inode.Unlink(last.Name, child.Inode);
        if (error != Errno.None)
            return error;
        child.Unhash();
        FileNotifier.OnInode(child.Inode, FileEvent.Attribute);
        child.Inode.EvictIfUnused();
        FileNotifier.OnEntry(last.Parent.Inode, last.Name, child.Inode, FileEvent.Delete);
        return error;
    }

    public static Errno RemoveDirectory(Task task, in ParentAndName last)
    {
        if (last.IsSpecial)
            return last.Name switch { "." => Errno.EINVAL, ".." => Errno.ENOTEMPTY, _ => Errno.EBUSY };
        if (!last.Parent.Dentry.Lookup(last.Name).TryGet(out Dentry? child, out Errno error))
            return error;
        error = CheckRemovable(task, last.Parent, child.Inode);
        if (error != Errno.None)
            return error;
        if (!child.Inode.IsDirectory)
            return Errno.ENOTDIR;
        if (child.IsMountPoint)
            return Errno.EBUSY;
        error = last.Parent.Inode.RemoveDirectory(last.Name, child.Inode);
        if (error != Errno.None)
            return error;
        child.Unhash();
        child.Inode.EvictIfUnused();
        FileNotifier.OnEntry(last.Parent.Inode, last.Name, child.Inode, FileEvent.Delete);
        return error;
    }

    /// <summary>linkat(2).</summary>
    public static Errno Link(Task task, in VfsPath source, in ParentAndName last)
    {
        if (last.IsSpecial)
            return Errno.EEXIST;
        Result<Dentry> existing = last.Parent.Dentry.Lookup(last.Name);
        if (existing.IsOk)
            return Errno.EEXIST;
        if (existing.Error != Errno.ENOENT)
            return existing.Error;
        if (last.TrailingSlash)
            return Errno.ENOENT;
        if (!ReferenceEquals(source.Mount, last.Parent.Mount))
            return Errno.EXDEV;
        Errno error = CheckWritable(task, last.Parent);
        if (error != Errno.None)
            return error;
        if (source.Inode.IsDirectory)
            return Errno.EPERM;
        error = last.Parent.Inode.Link(last.Name, source.Inode);
        if (error != Errno.None)
            return error;
        last.Parent.Dentry.AddChild(last.Name, source.Inode);
        FileNotifier.OnInode(source.Inode, FileEvent.Attribute);
        FileNotifier.OnEntry(last.Parent.Inode, last.Name, source.Inode, FileEvent.Create);
        return error;
    }

    /// <summary>renameat2(2).</summary>
    public static Errno Rename(Task task, in ParentAndName from, in ParentAndName to, bool noReplace, bool exchange)
    {
        if (from.IsSpecial || to.IsSpecial)
            return noReplace && to.IsSpecial ? Errno.EEXIST : Errno.EBUSY;
        if (!ReferenceEquals(from.Parent.Mount, to.Parent.Mount))
            return Errno.EXDEV;
        if (!from.Parent.Dentry.Lookup(from.Name).TryGet(out Dentry? child, out Errno error))
            return error;
        Dentry? replaced = null;
        if (!to.Parent.Dentry.Lookup(to.Name).TryGet(out replaced, out error) && error != Errno.ENOENT)
            return error;
        error = Errno.None;
        if (replaced is not null && noReplace)
            return Errno.EEXIST;
        if (replaced is null && exchange)
            return Errno.ENOENT;
        Inode inode = child.Inode;
        if (!inode.IsDirectory && (from.TrailingSlash || (to.TrailingSlash && !exchange)))
            return Errno.ENOTDIR;
        if (child.IsAncestorOf(to.Parent.Dentry))
            return Errno.EINVAL;
        if (replaced is not null && replaced.IsAncestorOf(from.Parent.Dentry))
            return exchange ? Errno.EINVAL : Errno.ENOTEMPTY;
        error = CheckRemovable(task, from.Parent, inode);
        if (error == Errno.None)
            error = replaced is null ? CheckWritable(task, to.Parent) : CheckRemovable(task, to.Parent, replaced.Inode);
        if (error != Errno.None)
            return error;
        if (replaced is not null && ReferenceEquals(replaced.Inode, inode))
            return Errno.None;
        if (replaced is not null && !exchange && replaced.Inode.IsDirectory != inode.IsDirectory)
            return inode.IsDirectory ? Errno.ENOTDIR : Errno.EISDIR;
        if (inode.IsDirectory && !ReferenceEquals(from.Parent.Inode, to.Parent.Inode))
        {
            // Its ".." changes: that is a write to the directory itself.
            error = inode.CheckAccess(task.Credentials, FileAccessMask.Write);
            if (error != Errno.None)
                return error;
        }

        if (child.IsMountPoint || replaced is { IsMountPoint: true })
            return Errno.EBUSY;
        error = from.Parent.Inode.Rename(from.Name, inode, to.Parent.Inode, to.Name, replaced?.Inode, exchange);
        if (error != Errno.None)
            return error;
        if (exchange)
        {
            Dentry.Exchange(child, replaced!);
            FileNotifier.OnRename(from.Parent.Inode, from.Name, to.Parent.Inode, to.Name, inode);
            FileNotifier.OnRename(to.Parent.Inode, to.Name, from.Parent.Inode, from.Name, replaced!.Inode);
            return Errno.None;
        }

        replaced?.Unhash();
        child.Move(to.Parent.Dentry, to.Name);
        FileNotifier.OnRename(from.Parent.Inode, from.Name, to.Parent.Inode, to.Name, inode, replaced?.Inode);
        replaced?.Inode.EvictIfUnused();
        return Errno.None;
    }

    // ---- attributes ----------------------------------------------------------------------------------------------

    /// <summary>chmod(2).</summary>
    public static Errno ChangeMode(Task task, in VfsPath place, uint permissions)
    {
        Inode inode = place.Inode;
        if (place.Mount.IsReadOnly)
            return Errno.EROFS;
        if (!inode.IsOwner(task.Credentials))
            return Errno.EPERM;
        if (inode.IsSymlink)
            return Errno.EOPNOTSUPP;
        if ((permissions & S.ISGID) != 0 && !task.Credentials.InGroup(inode.Gid) && !task.Credentials.HasOver(inode.Uid, inode.Gid, CapFsetid))
            permissions &= ~S.ISGID;
        return NotifyAttribute(place, inode.SetAttributes(new AttributeChange { Permissions = permissions }));
    }

    /// <summary>chown(2); uint.MaxValue leaves an id.</summary>
    public static Errno ChangeOwner(Task task, in VfsPath place, uint uid, uint gid)
    {
        Inode inode = place.Inode;
        Credentials credentials = task.Credentials;
        if (place.Mount.IsReadOnly)
            return Errno.EROFS;
        bool mayChown = credentials.HasOver(inode.Uid, inode.Gid, CapChown);
        if (uid != uint.MaxValue && !mayChown && (credentials.FsUid != inode.Uid || uid != inode.Uid))
            return Errno.EPERM;
        if (gid != uint.MaxValue && !mayChown && (credentials.FsUid != inode.Uid || (gid != inode.Gid && !credentials.InGroup(gid))))
            return Errno.EPERM;
        var change = new AttributeChange
        {
            Uid = uid == uint.MaxValue ? null : uid,
            Gid = gid == uint.MaxValue ? null : gid,
        };
        if (inode.IsRegular && (inode.Mode & (S.ISUID | S.ISGID)) != 0 && (inode.Mode & 0x49) != 0)
            change.Permissions = inode.Mode & S.PermissionMask & ~(S.ISUID | ((inode.Mode & 0x8) != 0 ? S.ISGID : 0));
        (inode as MemoryFile)?.DropCapabilities();
        return NotifyAttribute(place, inode.SetAttributes(change));
    }

    internal static Errno NotifyAttribute(in VfsPath place, Errno error)
    {
        if (error == Errno.None)
            FileNotifier.OnFile(place.Dentry, FileEvent.Attribute);
        return error;
    }

    /// <summary>truncate(2).</summary>
    public static Errno Truncate(Task task, in VfsPath place, long length)
    {
        Inode inode = place.Inode;
        if (inode.IsDirectory)
            return Errno.EISDIR;
        if (!inode.IsRegular)
            return Errno.EINVAL;
        Errno error = inode.CheckAccess(task.Credentials, FileAccessMask.Write);
        if (error != Errno.None)
            return error;
        if (place.Mount.IsReadOnly)
            return Errno.EROFS;
        if (inode.IsExecuted)
            return Errno.ETXTBSY;
        if (inode.HasLeases)
        {
            error = inode.Leases.Break(task, inode, true, false);
            if (error != Errno.None)
                return error;
        }

        error = inode.Truncate(length);
        if (error == Errno.None)
            FileNotifier.OnFile(place.Dentry, FileEvent.Modify);
        return error;
    }

    // ---- checks --------------------------------------------------------------------------------------------------

    /// <summary>Whether entries may be made in a directory.</summary>
    internal static Errno CheckWritable(Task task, in VfsPath directory)
    {
        if (directory.Mount.IsReadOnly)
            return Errno.EROFS;
        if (directory.Dentry.IsUnlinked)
            return Errno.ENOENT;
        return directory.Inode.CheckAccess(task.Credentials, FileAccessMask.Write | FileAccessMask.Execute);
    }

    /// <summary>Whether an entry may be taken out of a directory, which in sticky ones only owners may.</summary>
    private static Errno CheckRemovable(Task task, in VfsPath directory, Inode child)
    {
        if (directory.Mount.IsReadOnly)
            return Errno.EROFS;
        Errno error = directory.Inode.CheckAccess(task.Credentials, FileAccessMask.Write | FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        bool sticky = (directory.Inode.Mode & S.ISVTX) != 0;
        return sticky && task.Credentials.FsUid != directory.Inode.Uid && !child.IsOwner(task.Credentials) ? Errno.EPERM : Errno.None;
    }

    internal static bool MayMakeDevices(Credentials credentials) => credentials.Has(CapMknod);
}
