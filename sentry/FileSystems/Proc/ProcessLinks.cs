using System.Globalization;

namespace Sentry.FileSystems.Proc;

internal enum ProcessLinkKind
{
    WorkingDirectory,
    Root,
    Executable,
}

/// <summary>/proc/PID/cwd, root and exe.</summary>
[Savable("proc-process-link")]
internal sealed partial class ProcessLink : SyntheticLink
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private ProcessLinkKind _kind;

    internal ProcessLink(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, ProcessLinkKind kind)
        : base(fileSystem, number, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _kind = kind;
    }

    public override bool IsMagicLink => true;

    public override Result<string> ReadLink(Task? caller)
    {
        if (!Find(caller).TryGet(out Task? target, out Errno error))
            return error;
        if (!Place(target).IsSet)
            return Errno.ENOENT;
        return Place(target).Describe(caller?.Fs.Root ?? FileSystem.Kernel.Mounts.Root);
    }

    public override Result<LinkTarget> Follow(Task caller)
    {
        if (!Find(caller).TryGet(out Task? target, out Errno error))
            return error;
        return Place(target).IsSet ? new LinkTarget(Place(target), null) : Errno.ENOENT;
    }

    private VfsPath Place(Task target) => _kind switch
    {
        ProcessLinkKind.Root => target.Fs.Root,
        ProcessLinkKind.WorkingDirectory => target.Fs.WorkingDirectory,
        _ => target.Memory.Program?.Path ?? default,
    };

    private Result<Task> Find(Task? caller)
    {
        if (!Processes.IsAlive(_group, _task) || Processes.TaskOf(_group, _task) is not { } target)
            return Errno.ENOENT;
        return Processes.MayInspect(caller, _group, _task) ? target : Errno.EACCES;
    }
}

/// <summary>/proc/PID/fd and fdinfo.</summary>
[Savable("proc-descriptors")]
internal sealed partial class DescriptorDirectory : SyntheticDirectory
{
    private const int FirstDescriptor = 1 << 10;

    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private bool _info;

    internal DescriptorDirectory(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, bool info)
        : base(fileSystem, number, 0x140, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _info = info;
    }

    public override Result<Inode> Lookup(string name)
    {
        if (Table is not { } table || !ProcRoot.TryParseId(name, out int fd) || table.Get(fd) is not { } file)
            return Errno.ENOENT;
        return _info
            ? new DescriptorInfo((ProcFileSystem)FileSystem, NumberOf(fd), _group, _task, fd)
            : new DescriptorLink((ProcFileSystem)FileSystem, NumberOf(fd), _group, _task, fd, file);
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (Table is not { } table)
            return Errno.ENOENT;
        for (long fd = position - 2; fd < table.Capacity; fd++)
        {
            if (table.Get((int)fd) is not null && !reader.Add(fd.ToString(CultureInfo.InvariantCulture), NumberOf((int)fd), _info ? S.IFREG : S.IFLNK, fd + 3))
                break;
        }

        return Errno.None;
    }

    private FileTable? Table => Processes.IsAlive(_group, _task) ? Processes.TaskOf(_group, _task)?.Files : null;

    /// <summary>Links take the even numbers, infos the odd ones.</summary>
    private ulong NumberOf(int fd) => ProcFileSystem.NumberOf(_task?.Tid ?? _group.Pid, _task is not null, FirstDescriptor + (fd * 2) + (_info ? 1 : 0));
}

/// <summary>/proc/PID/fd/N.</summary>
[Savable("proc-descriptor-link")]
internal sealed partial class DescriptorLink : SyntheticLink
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private int _fd;

    internal DescriptorLink(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, int fd, FileObject file)
        : base(fileSystem, number, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _fd = fd;

        // The permissions show how the descriptor is open (proc(5)).
        Mode = S.IFLNK | (file.CanRead ? 0x140u : 0) | (file.CanWrite ? 0xC0u : 0);
    }

    public override bool IsMagicLink => true;

    public override bool CanBeMountPoint => false;

    public override Result<string> ReadLink(Task? caller)
    {
        if (!Find(caller).TryGet(out FileObject? file, out Errno error))
            return error;
        return file.Describe();
    }

    public override Result<LinkTarget> Follow(Task caller)
    {
        if (!Find(caller).TryGet(out FileObject? file, out Errno error))
            return error;
        return file is InodeFile opened ? new LinkTarget(opened.Path, null) : new LinkTarget(default, file);
    }

    private Result<FileObject> Find(Task? caller)
    {
        if (!Processes.IsAlive(_group, _task) || Processes.TaskOf(_group, _task)?.Files.Get(_fd) is not { } file)
            return Errno.ENOENT;
        return Processes.MayInspect(caller, _group, _task) ? file : new Result<FileObject>(Errno.EACCES);
    }
}

/// <summary>/proc/PID/fdinfo/N.</summary>
[Savable("proc-descriptor-info")]
internal sealed partial class DescriptorInfo : SyntheticInode
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private int _fd;

    internal DescriptorInfo(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, int fd)
        : base(fileSystem, number, 0x100, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _fd = fd;
    }

    public override Result<string> Generate(Task? caller)
    {
        if (!Processes.IsAlive(_group, _task) || Processes.TaskOf(_group, _task)?.Files.GetSlot(_fd) is not { File: { } file } slot)
            return Errno.ENOENT;
        long flags = (long)file.Flags | (slot.CloseOnExec ? (long)OpenFlags.CloseOnExec : 0) | (long)OpenFlags.LargeFile;
        ulong inode = file.GetStatus().TryGet(out FileStatus status, out _) ? status.Inode : 0;
        int mount = file is InodeFile { Path.IsSet: true } opened ? opened.Path.Mount.Id : 15;
        string Details(FileObject of) => of switch
        {
            PidFile pidfd => string.Create(CultureInfo.InvariantCulture, $"Pid:\t{ShownPid(pidfd)}\n"),
            _ => of.DescribeDetails(),
        };

        int ShownPid(PidFile pidfd) => pidfd.ShownPid < 0 ? -1 : ((ProcFileSystem)FileSystem).Pids.ToLocal(pidfd.ShownPid);
        return string.Create(CultureInfo.InvariantCulture, $"pos:\t{file.Offset}\nflags:\t0{Convert.ToString(flags, 8)}\nmnt_id:\t{mount}\nino:\t{inode}\n{Details(file)}");
    }
}

/// <summary>/proc/PID/ns.</summary>
[Savable("proc-namespaces")]
internal sealed partial class NamespaceDirectory : SyntheticDirectory
{
    private static readonly string[] Names = ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"];

    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;

    internal NamespaceDirectory(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task)
        : base(fileSystem, number, 0x149, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
    }

    public override Result<Inode> Lookup(string name)
    {
        int place = Array.IndexOf(Names, name);
        return place < 0 || Processes.TaskOf(_group, _task) is null ? Errno.ENOENT : new NamespaceLink((ProcFileSystem)FileSystem, Number + 0x900 + (ulong)place, _group, _task, name);
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        for (long i = position - 2; i < Names.Length; i++)
        {
            if (!reader.Add(Names[i], Number + 0x900 + (ulong)i, S.IFLNK, i + 3))
                break;
        }

        return Errno.None;
    }
}

/// <summary>/proc/PID/ns/NAME: leads to the namespace as a file (setns(2), ioctl_ns(2)).</summary>
[Savable("proc-namespace-link")]
internal sealed partial class NamespaceLink : SyntheticLink
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private string _name;

    internal NamespaceLink(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, string name)
        : base(fileSystem, number, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _name = name;
    }

    public override bool IsMagicLink => true;

    public override Result<string> ReadLink(Task? caller) =>
        Find(caller).TryGet(out Namespace? space, out Errno error) ? string.Create(CultureInfo.InvariantCulture, $"{space.Name}:[{space.Number}]") : error;

    public override Result<LinkTarget> Follow(Task caller) =>
        Find(caller).TryGet(out Namespace? space, out Errno error) ? new LinkTarget(FileSystem.Kernel.NamespaceFiles.GetPath(space), null) : error;

    private Result<Namespace> Find(Task? caller)
    {
        if (!Processes.IsAlive(_group, _task) || Processes.TaskOf(_group, _task) is not { } target)
            return Errno.ENOENT;
        if (!Processes.MayInspect(caller, _group, _task))
            return Errno.EACCES;
        NamespaceSet of = target.Namespaces;
        return _name switch
        {
            "cgroup" => of.Cgroup,
            "ipc" => of.Ipc,
            "mnt" => of.Mounts,
            "net" => of.Network,
            "pid" => target.PidNamespace,
            "pid_for_children" => of.PidForChildren.IsFirst || of.PidForChildren.Reaper is not null ? of.PidForChildren : Errno.ENOENT,
            "time" => of.Time,
            "time_for_children" => of.TimeForChildren,
            "user" => target.UserNamespace,
            _ => of.Uts,
        };
    }
}
