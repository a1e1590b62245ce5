namespace Sentry.Kernel.Files;

/// <summary>A file system in the making (fsopen(2)) or being changed (fspick(2)): collects options until it is made.</summary>
[Savable("filesystem-context")]
internal sealed partial class FileSystemContext : FileObject
{
    [Saved(1)] private string _type;
    [Saved(2)] private string _source = "none";
    [Saved(3)] private List<string> _options = [];
    [Saved(4)] private Dentry? _root;
    [Saved(5)] private bool _readOnly;
    [Saved(6)] private FileSystem? _picked;
    [Saved(7)] private bool _mounted;
    [Saved(8)] private bool _sourceSet;

    internal FileSystemContext(string type)
        : base(OpenFlags.ReadWrite)
    {
        _type = type;
    }

    internal FileSystemContext(FileSystem picked)
        : base(OpenFlags.ReadWrite)
    {
        _type = picked.TypeName;
        _picked = picked;
        _readOnly = picked.IsReadOnly;
    }

    internal FileSystem? Picked => _picked;

    internal Dentry? Root => _root;

    public override string Describe() => "anon_inode:[fscontext]";

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;

    /// <summary>The log of what went wrong is empty: every error is in the errno.</summary>
    public override Result<long> Read(Task caller, in UserBuffer destination) => Errno.ENODATA;

    internal Errno SetOption(string key, string? value)
    {
        if (_root is not null)
            return Errno.EBUSY;
        switch (key)
        {
            case "source" when value is not null:
                if (_sourceSet)
                    return Errno.EINVAL;
                _source = value;
                _sourceSet = true;
                return Errno.None;
            case "ro" when value is null:
                _readOnly = true;
                return Errno.None;
            case "rw" when value is null:
                _readOnly = false;
                return Errno.None;
            case "sync" or "async" or "dirsync" or "lazytime" or "nolazytime" or "mand" or "nomand" or "silent" when value is null:
                return Errno.None;
        }

        _options.Add(value is null ? key : $"{key}={value}");
        return Errno.None;
    }

    /// <summary>FSCONFIG_CMD_CREATE.</summary>
    internal Errno Create(Task task)
    {
        if (_picked is not null || _root is not null)
            return Errno.EBUSY;
        if (!FileSystemTypes.Make(task, _type, _source, string.Join(',', _options)).TryGet(out Dentry? root, out Errno error))
            return error;
        root.Inode.FileSystem.IsReadOnly = _readOnly;
        _root = root;
        return Errno.None;
    }

    /// <summary>FSCONFIG_CMD_RECONFIGURE.</summary>
    internal Errno Reconfigure(Task task)
    {
        if (_picked is null)
            return Errno.EBUSY;
        if (_readOnly && !_picked.IsReadOnly && MountSyscalls.HasWriters(task.Kernel, _picked))
            return Errno.EBUSY;
        Errno error = _picked.Reconfigure(task, string.Join(',', _options));
        if (error != Errno.None)
            return error;
        _picked.IsReadOnly = _readOnly;
        _options.Clear();
        return Errno.None;
    }

    /// <summary>fsmount(2), once.</summary>
    internal Result<Mount> MakeMount(Task task, MountFlags flags)
    {
        if (_root is null || _mounted)
            return _mounted ? Errno.EBUSY : Errno.EINVAL;
        _mounted = true;
        return new Mount(task.Kernel.MountRegistry, _root.Inode.FileSystem, _root, flags);
    }
}

/// <summary>System calls: fsopen, fsconfig, fsmount, fspick.</summary>
internal static class FileSystemContextSyscalls
{
    internal static SyscallResult Fsopen(Task task, in SyscallArgs args)
    {
        const int closeOnExec = 1;
        if (!MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if ((args.I1 & ~closeOnExec) != 0)
            return Errno.EINVAL;
        if (!task.Memory.ReadString(args.A0, 4096, Errno.EINVAL).TryGet(out string? type, out Errno error))
            return error;
        return FileSystemTypes.IsKnown(type) ? task.AddFile(new FileSystemContext(type), args.I1 != 0) : Errno.ENODEV;
    }

    internal static SyscallResult Fspick(Task task, in SyscallArgs args)
    {
        const int closeOnExec = 1, noFollow = 2, noAutomount = 4, empty = 8;
        if (!MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if ((args.I2 & ~(closeOnExec | noFollow | noAutomount | empty)) != 0)
            return Errno.EINVAL;
        WalkFlags walk = ((args.I2 & noFollow) != 0 ? WalkFlags.NoFollow : 0) | ((args.I2 & empty) != 0 ? WalkFlags.AllowEmpty : 0);
        if (!task.Memory.ReadPath(args.A1).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, args.I0, path, walk).TryGet(out VfsPath place, out error))
            return error;
        return MountSyscalls.IsMountRoot(place) ? task.AddFile(new FileSystemContext(place.Mount.FileSystem), (args.I2 & closeOnExec) != 0) : Errno.EINVAL;
    }

    internal static SyscallResult Fsconfig(Task task, in SyscallArgs args)
    {
        const int setFlag = 0, setString = 1, setBinary = 2, setPath = 3, setPathEmpty = 4, setFd = 5, create = 6, reconfigure = 7, createExclusive = 8;
        int command = args.I1;
        ulong key = args.A2, value = args.A3;
        int auxiliary = args.I4;
        if (args.I0 < 0)
            return Errno.EINVAL;
        bool sound = command switch
        {
            setFlag => key != 0 && value == 0 && auxiliary == 0,
            setString => key != 0 && value != 0 && auxiliary == 0,
            setBinary => key != 0 && value != 0 && auxiliary is > 0 and <= 1 << 20,
            setPath or setPathEmpty => key != 0 && value != 0 && (auxiliary == AT.FDCWD || auxiliary >= 0),
            setFd => key != 0 && value == 0 && auxiliary >= 0,
            create or reconfigure or createExclusive => key == 0 && value == 0 && auxiliary == 0,
            _ => false,
        };
        if (!sound)
            return command is < 0 or > createExclusive ? Errno.EOPNOTSUPP : Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not FileSystemContext context)
            return Errno.EINVAL;
        string? name = "", text = null;
        Errno error;
        if (key != 0 && !task.Memory.ReadString(key, 256, Errno.EINVAL).TryGet(out name, out error))
            return error;
        switch (command)
        {
            case setString:
                return task.Memory.ReadString(value, 256, Errno.EINVAL).TryGet(out text, out error) ? context.SetOption(name, text) : error;
            case setFlag:
                return context.SetOption(name, null);
            case setPath or setPathEmpty:
                // Only "source" takes a path, and none of the file systems looks at it.
                return task.Memory.ReadPath(value).TryGet(out text, out error) ? name == "source" ? context.SetOption(name, text) : Errno.EINVAL : error;
            case create or createExclusive:
                return MountSyscalls.MayMount(task) ? context.Create(task) : Errno.EPERM;
            case reconfigure:
                return context.Picked is { } picked && !task.Credentials.HasIn(picked.Owner, Capability.CAP_SYS_ADMIN) ? Errno.EPERM : context.Reconfigure(task);
            default:
                return Errno.EINVAL;
        }
    }

    internal static SyscallResult Fsmount(Task task, in SyscallArgs args)
    {
        const int closeOnExec = 1;
        if (!MountSyscalls.MayMount(task))
            return Errno.EPERM;
        if ((args.I1 & ~closeOnExec) != 0)
            return Errno.EINVAL;
        if (!MountTreeSyscalls.ToFlags(args.A2).TryGet(out MountFlags flags, out Errno error))
            return error;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not FileSystemContext context)
            return Errno.EINVAL;
        if (!context.MakeMount(task, flags).TryGet(out Mount? mount, out error))
            return error;
        return task.AddFile(new MountTreeFile(mount, OpenFlags.Path), args.I1 != 0);
    }
}
