namespace Sentry.Kernel.Files;

/// <summary>How a path is walked.</summary>
[Flags]
public enum WalkFlags
{
    None = 0,

    /// <summary>A symbolic link at the end is the result (O_NOFOLLOW, AT_SYMLINK_NOFOLLOW, l* calls).</summary>
    NoFollow = 1,

    /// <summary>An empty path is the starting place itself (AT_EMPTY_PATH).</summary>
    AllowEmpty = 2,

    /// <summary>ENOTDIR for anything else.</summary>
    MustBeDirectory = 4,

    /// <summary>openat2(2): EXDEV on leaving the starting directory.</summary>
    Beneath = 8,

    /// <summary>openat2(2): the starting directory is "/" for the walk.</summary>
    InRoot = 16,

    /// <summary>openat2(2): ELOOP at magic links.</summary>
    NoMagicLinks = 32,

    /// <summary>openat2(2): ELOOP at any link.</summary>
    NoSymlinks = 64,

    /// <summary>openat2(2): EXDEV at mount points.</summary>
    NoCrossMounts = 128,
}

/// <summary>The last but one step of a walk: a directory and the name to be looked up, made or removed in it.</summary>
public readonly record struct ParentAndName(VfsPath Parent, string Name, bool TrailingSlash)
{
    /// <summary>The path ended in ".", ".." or was "/": no entry can be made or removed under such a name.</summary>
    public bool IsSpecial => Name is "." or ".." or "";
}

/// <summary>Turns paths into places (path_resolution(7)). Known names cost no allocation.</summary>
public struct PathWalker
{
    private const int MaxLinks = 40;
    private const int MaxName = 255;

    private readonly Task _task;
    private readonly Credentials _credentials;
    private readonly WalkFlags _flags;
    private readonly VfsPath _root;
    private VfsPath _at;
    private int _links;
    private FileObject? _file;

    private PathWalker(Task task, in VfsPath start, WalkFlags flags, Credentials? credentials)
    {
        _task = task;
        _credentials = credentials ?? task.Credentials;
        _flags = flags;
        _root = (flags & (WalkFlags.InRoot | WalkFlags.Beneath)) != 0 ? start : task.Fs.Root;
        _at = start;
    }

    /// <summary>The place of a path. A magic link to an open file without a place is ENOENT here; see <see cref="WalkTo"/>.</summary>
    public static Result<VfsPath> Walk(Task task, string path, WalkFlags flags = WalkFlags.None) => Walk(task, AT.FDCWD, path, flags);

    /// <summary>As above with the directory of an *at call.</summary>
    public static Result<VfsPath> Walk(Task task, int directory, string path, WalkFlags flags = WalkFlags.None)
    {
        if (!WalkTo(task, directory, path, flags).TryGet(out LinkTarget target, out Errno error))
            return error;
        return target.Path.IsSet ? target.Path : Errno.ENOENT;
    }

    /// <summary>As <see cref="Walk(Task, int, string, WalkFlags)"/>, but may also end at an open file that has no place in the tree. The permissions
    /// of <paramref name="credentials"/> count, the task's when null (access(2) uses the real ids).</summary>
    public static Result<LinkTarget> WalkTo(Task task, int directory, string path, WalkFlags flags, Credentials? credentials = null)
    {
        if (path.Length == 0)
        {
            if ((flags & WalkFlags.AllowEmpty) == 0)
                return Errno.ENOENT;
            if (directory == AT.FDCWD)
                return new LinkTarget(task.Fs.WorkingDirectory, null);
            if (!task.TryGetFile(directory, out FileObject? file))
                return Errno.EBADF;
            return file is InodeFile opened ? new LinkTarget(opened.Path, file) : new LinkTarget(default, file);
        }

        Errno error = Start(task, directory, path, flags, credentials, out PathWalker walker);
        if (error == Errno.None)
            error = walker.Run(path, (flags & WalkFlags.NoFollow) == 0);
        if (error == Errno.None && (flags & WalkFlags.MustBeDirectory) != 0 && (walker._file is not null || !walker._at.Inode.IsDirectory))
            error = Errno.ENOTDIR;
        if (error != Errno.None)
            return error;
        return walker._file is not null ? new LinkTarget(default, walker._file) : new LinkTarget(walker._at, null);
    }

    /// <summary>The directory of the last component, which need not exist. A link at the end is not looked at.</summary>
    public static Result<ParentAndName> WalkParent(Task task, int directory, string path, WalkFlags flags = WalkFlags.None)
    {
        if (path.Length == 0)
            return Errno.ENOENT;
        Errno error = Start(task, directory, path, flags, null, out PathWalker walker);
        if (error != Errno.None)
            return error;
        return walker.RunParent(path);
    }

    /// <summary>Looks up the last component and, when it is a link that is to be followed, goes on to where it points: the parent and name
    /// behind all links, for open(2) with O_CREAT. The place is unset when there is no such entry.</summary>
    internal static Result<(ParentAndName Last, LinkTarget Target)> WalkForCreate(Task task, int directory, string path, WalkFlags flags)
    {
        if (path.Length == 0)
            return Errno.ENOENT;
        Errno error = Start(task, directory, path, flags, null, out PathWalker walker);
        if (error != Errno.None)
            return error;
        for (; ; )
        {
            if (!walker.RunParent(path).TryGet(out ParentAndName last, out error))
                return error;
            if (last.IsSpecial)
                return Errno.EISDIR;
            error = last.Parent.Inode.CheckAccess(walker._credentials, FileAccessMask.Execute);
            if (error != Errno.None)
                return error;
            if (!last.Parent.Dentry.Lookup(last.Name).TryGet(out Dentry? child, out error))
            {
                if (error != Errno.ENOENT)
                    return error;
                return (last, default);
            }

            Inode inode = child.Inode;
            if (!inode.IsSymlink || (flags & WalkFlags.NoFollow) != 0)
            {
                walker._at = new VfsPath(last.Parent.Mount, child);
                error = walker.Cross();
                if (error != Errno.None)
                    return error;
                return (last, new LinkTarget(walker._at, null));
            }

            if (last.TrailingSlash)
                return Errno.EISDIR;
            if (++walker._links > MaxLinks || (flags & WalkFlags.NoSymlinks) != 0 || (last.Parent.Mount.Flags & MountFlags.NoSymlinkFollow) != 0)
                return Errno.ELOOP;
            if (inode.IsMagicLink)
            {
                error = walker.Jump(inode);
                if (error != Errno.None)
                    return error;
                return (last, walker._file is not null ? new LinkTarget(default, walker._file) : new LinkTarget(walker._at, null));
            }

            if (!inode.ReadLink(task).TryGet(out string? target, out error))
                return error;
            if (target.Length == 0)
                return Errno.ENOENT;
            walker._at = last.Parent;
            error = walker.BeginLink(target);
            if (error != Errno.None)
                return error;
            path = target;
        }
    }

    private static Errno Start(Task task, int directory, string path, WalkFlags flags, Credentials? credentials, out PathWalker walker)
    {
        bool confined = (flags & (WalkFlags.InRoot | WalkFlags.Beneath)) != 0;
        if (path[0] == '/' && !confined)
        {
            walker = new PathWalker(task, task.Fs.Root, flags, credentials);
            return Errno.None;
        }

        VfsPath start = task.Fs.WorkingDirectory;
        walker = default;
        if (directory != AT.FDCWD)
        {
            if (!task.TryGetFile(directory, out FileObject? file))
                return Errno.EBADF;
            if (file is not InodeFile { Inode.IsDirectory: true } opened)
                return Errno.ENOTDIR;
            start = opened.Path;
        }

        walker = new PathWalker(task, start, flags, credentials);
        return path[0] == '/' && (flags & WalkFlags.Beneath) != 0 ? Errno.EXDEV : Errno.None;
    }

    /// <summary>Walks all of <paramref name="path"/> from where we are.</summary>
    private Errno Run(string path, bool followLast)
    {
        int position = 0;
        for (; ; )
        {
            ReadOnlySpan<char> name = NextName(path, ref position, out bool last, out bool trailingSlash);
            if (name.IsEmpty)
                return Errno.None;
            Errno error = Step(name, !last || followLast || trailingSlash);
            if (error != Errno.None)
                return error;
            if (last)
                return trailingSlash && (_file is not null || !_at.Inode.IsDirectory) ? Errno.ENOTDIR : Errno.None;
            if (_file is not null)
                return Errno.ENOTDIR;
        }
    }

    /// <summary>Walks all but the last component.</summary>
    private Result<ParentAndName> RunParent(string path)
    {
        int position = 0;
        for (; ; )
        {
            ReadOnlySpan<char> name = NextName(path, ref position, out bool last, out bool trailingSlash);
            if (last)
            {
                if (name.Length > MaxName)
                    return Errno.ENAMETOOLONG;
                if (!_at.Inode.IsDirectory)
                    return Errno.ENOTDIR;
                Errno exec = _at.Inode.CheckAccess(_credentials, FileAccessMask.Execute);
                if (exec != Errno.None)
                    return exec;
                return new ParentAndName(_at, name.Length == path.Length ? path : name.ToString(), trailingSlash);
            }

            Errno error = Step(name, true);
            if (error != Errno.None)
                return error;
            if (_file is not null)
                return Errno.ENOTDIR;
        }
    }

    /// <summary>One component, from a directory to its entry, through mounts and links.</summary>
    private Errno Step(ReadOnlySpan<char> name, bool follow)
    {
        Inode directory = _at.Inode;
        if (!directory.IsDirectory)
            return Errno.ENOTDIR;
        Errno error = directory.CheckAccess(_credentials, FileAccessMask.Execute);
        if (error != Errno.None)
            return error;
        if (name.Length <= 2 && name[0] == '.')
        {
            if (name.Length == 1)
                return Errno.None;
            if (name[1] == '.')
                return StepUp();
        }

        if (name.Length > MaxName)
            return Errno.ENAMETOOLONG;
        if (!_at.Dentry.Lookup(name).TryGet(out Dentry? child, out error))
            return error;
        Inode inode = child.Inode;
        if (follow && inode.IsSymlink)
            return FollowLink(inode);
        _at = new VfsPath(_at.Mount, child);
        return child.IsMountPoint ? Cross() : Errno.None;
    }

    private Errno Cross()
    {
        VfsPath top = _at.CrossMounts();
        if ((_flags & WalkFlags.NoCrossMounts) != 0 && !ReferenceEquals(top.Mount, _at.Mount))
            return Errno.EXDEV;
        _at = top;
        return Errno.None;
    }

    private Errno StepUp()
    {
        if ((_flags & WalkFlags.Beneath) != 0 && _at.Equals(_root))
            return Errno.EXDEV;
        VfsPath up = _at.Up(_root);
        if ((_flags & WalkFlags.NoCrossMounts) != 0 && !ReferenceEquals(up.Mount, _at.Mount))
            return Errno.EXDEV;
        _at = up;
        return Errno.None;
    }

    private Errno FollowLink(Inode link)
    {
        if (++_links > MaxLinks || (_flags & WalkFlags.NoSymlinks) != 0 || (_at.Mount.Flags & MountFlags.NoSymlinkFollow) != 0)
            return Errno.ELOOP;
        if (link.IsMagicLink)
            return Jump(link);
        if (!link.ReadLink(_task).TryGet(out string? target, out Errno error))
            return error;
        if (target.Length == 0)
            return Errno.ENOENT;
        error = BeginLink(target);
        return error == Errno.None ? Run(target, true) : error;
    }

    private Errno BeginLink(string target)
    {
        if (target[0] != '/')
            return Errno.None;
        if ((_flags & WalkFlags.Beneath) != 0)
            return Errno.EXDEV;
        if ((_flags & WalkFlags.NoCrossMounts) != 0 && !ReferenceEquals(_root.Mount, _at.Mount))
            return Errno.EXDEV;
        _at = _root;
        return Errno.None;
    }

    private Errno Jump(Inode link)
    {
        if ((_flags & (WalkFlags.NoMagicLinks | WalkFlags.Beneath | WalkFlags.InRoot)) != 0)
            return (_flags & WalkFlags.NoMagicLinks) != 0 ? Errno.ELOOP : Errno.EXDEV;
        if (!link.Follow(_task).TryGet(out LinkTarget target, out Errno error))
            return error;
        if (target.Path.IsSet)
            _at = target.Path;
        else
            _file = target.File;
        return Errno.None;
    }

    /// <summary>The next component. <paramref name="last"/>: nothing but slashes follows, which <paramref name="trailingSlash"/> tells.</summary>
    private static ReadOnlySpan<char> NextName(string path, ref int position, out bool last, out bool trailingSlash)
    {
        int start = position;
        while (start < path.Length && path[start] == '/')
            start++;
        int end = start;
        while (end < path.Length && path[end] != '/')
            end++;
        int next = end;
        while (next < path.Length && path[next] == '/')
            next++;
        last = next == path.Length;
        trailingSlash = last && next > end;
        position = next;
        return path.AsSpan(start, end - start);
    }
}
