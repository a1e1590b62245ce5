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
        return string.Create(CultureInfo.InvariantCulture, $"pos:\t{file.Offset}\nflags:\t0{Convert.ToString(flags, 8)}\nmnt_id:\t{mount}\nino:\t{inode}\n");
    }
}

/// <summary>/proc/PID/ns: every process is in the same namespaces.</summary>
[Savable("proc-namespaces")]
internal sealed partial class NamespaceDirectory : SyntheticDirectory
{
    private static readonly (string Name, string Type, uint Number)[] Namespaces =
    [
        ("cgroup", "cgroup", 4026531835), ("ipc", "ipc", 4026531839), ("mnt", "mnt", 4026531841), ("net", "net", 4026531840), ("pid", "pid", 4026531836),
        ("pid_for_children", "pid", 4026531836), ("time", "time", 4026531834), ("time_for_children", "time", 4026531834), ("user", "user", 4026531837), ("uts", "uts", 4026531838),
    ];

    internal NamespaceDirectory(ProcFileSystem fileSystem, ulong number)
        : base(fileSystem, number, 0x149, 0, 0)
    {
    }

    public override Result<Inode> Lookup(string name)
    {
        foreach ((string known, string type, uint number) in Namespaces)
        {
            if (known == name)
                return new ProcFixedLink(FileSystem, string.Create(CultureInfo.InvariantCulture, $"{type}:[{number}]"));
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        for (long i = position - 2; i < Namespaces.Length; i++)
        {
            if (!reader.Add(Namespaces[i].Name, Namespaces[i].Number, S.IFLNK, i + 3))
                break;
        }

        return Errno.None;
    }
}
