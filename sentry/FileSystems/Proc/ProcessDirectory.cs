using System.Globalization;

namespace Sentry.FileSystems.Proc;

/// <summary>/proc/PID or, with a thread, /proc/PID/task/TID.</summary>
[Savable("proc-process")]
internal sealed partial class ProcessDirectory : SyntheticDirectory, IProcessFile
{
    /// <summary>The entries in the order in which they are listed; the place in the array is part of the inode number.</summary>
    private static readonly Entry[] Entries =
    [
        File("auxv", 0x100), File("cgroup", 0x124), File("children", 0x124, EntryScope.Thread), File("cmdline", 0x124), File("comm", 0x1A4),
        new("cwd", S.IFLNK, static (d, n) => new ProcessLink(d.Proc, n, d._group, d._task, ProcessLinkKind.WorkingDirectory)),
        File("environ", 0x100),
        new("exe", S.IFLNK, static (d, n) => new ProcessLink(d.Proc, n, d._group, d._task, ProcessLinkKind.Executable)),
        new("fd", S.IFDIR, static (d, n) => new DescriptorDirectory(d.Proc, n, d._group, d._task, info: false)),
        new("fdinfo", S.IFDIR, static (d, n) => new DescriptorDirectory(d.Proc, n, d._group, d._task, info: true)),
        File("gid_map", 0x1A4), File("io", 0x100), File("limits", 0x124), File("loginuid", 0x1A4), File("maps", 0x124),
        new("mem", S.IFREG, static (d, n) => new ProcessMemoryInode(d.Proc, n, d._group, d._task)),
        File("mountinfo", 0x124), File("mounts", 0x124),
        File("mountstats", 0x100, EntryScope.Process),
        new("net", S.IFDIR, static (d, n) => new NetworkDirectory(d.Proc, n, Processes.TaskOf(d._group, d._task)?.Network)),
        new("ns", S.IFDIR, static (d, n) => new NamespaceDirectory(d.Proc, n, d._group, d._task)),
        File("oom_adj", 0x1A4), File("oom_score", 0x124), File("oom_score_adj", 0x1A4), File("personality", 0x100),
        new("root", S.IFLNK, static (d, n) => new ProcessLink(d.Proc, n, d._group, d._task, ProcessLinkKind.Root)),
        File("schedstat", 0x124), File("sessionid", 0x124), File("setgroups", 0x1A4, EntryScope.Process), File("smaps", 0x124),
        File("smaps_rollup", 0x124, EntryScope.Process), File("stat", 0x124), File("statm", 0x124), File("status", 0x124),
        new("task", S.IFDIR, static (d, n) => new ThreadsDirectory(d.Proc, n, d._group), EntryScope.Process),
        File("timens_offsets", 0x1A4), File("timerslack_ns", 0x1B6, EntryScope.Process), File("uid_map", 0x1A4), File("wchan", 0x124),
    ];

    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;

    internal ProcessDirectory(ProcFileSystem fileSystem, ThreadGroup group, Task? task)
        : base(fileSystem, ProcFileSystem.NumberOf(task?.Tid ?? group.Pid, task is not null, 0), 0x16D, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
    }

    private enum EntryScope
    {
        Both,
        Process,
        Thread,
    }

    /// <summary>For pidfd_send_signal(2), which takes no /proc/PID/task/TID.</summary>
    public ThreadGroup? Process => _task is null && Processes.IsAlive(_group, null) ? _group : null;

    private ProcFileSystem Proc => (ProcFileSystem)FileSystem;

    private EntryScope Scope => _task is null ? EntryScope.Process : EntryScope.Thread;

    public override Result<Inode> Lookup(string name)
    {
        if (!Processes.IsAlive(_group, _task))
            return Errno.ENOENT;
        for (int i = 0; i < Entries.Length; i++)
        {
            if (Entries[i].Name == name && (Entries[i].Scope == EntryScope.Both || Entries[i].Scope == Scope))
                return Entries[i].Make(this, NumberOf(i));
        }

        return Errno.ENOENT;
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        if (!Processes.IsAlive(_group, _task))
            return Errno.ENOENT;
        for (long i = Math.Max(0, position - 2); i < Entries.Length; i++)
        {
            Entry entry = Entries[i];
            if ((entry.Scope == EntryScope.Both || entry.Scope == Scope) && !reader.Add(entry.Name, NumberOf((int)i), entry.Type, i + 3))
                break;
        }

        return Errno.None;
    }

    private ulong NumberOf(int entry) => ProcFileSystem.NumberOf(_task?.Tid ?? _group.Pid, _task is not null, entry + 1);

    private static Entry File(string name, uint permissions, EntryScope scope = EntryScope.Both) =>
        new(name, S.IFREG, (d, n) => new ProcessFile(d.Proc, n, d._group, d._task, name, permissions), scope);

    private sealed record Entry(string Name, uint Type, Func<ProcessDirectory, ulong, Inode> Make, EntryScope Scope = EntryScope.Both);
}

/// <summary>/proc/PID/task.</summary>
[Savable("proc-threads")]
internal sealed partial class ThreadsDirectory : SyntheticDirectory
{
    [Saved(1)] private ThreadGroup _group;

    internal ThreadsDirectory(ProcFileSystem fileSystem, ulong number, ThreadGroup group)
        : base(fileSystem, number, 0x16D, Processes.OwnerOf(group, null).Uid, Processes.OwnerOf(group, null).Gid)
    {
        _group = group;
    }

    public override uint LinkCount => 2 + (uint)_group.Tasks.Count;

    public override Result<Inode> Lookup(string name)
    {
        if (!ProcRoot.TryParseId(name, out int tid) || !FileSystem.Kernel.Tasks.TryGetValue(((ProcFileSystem)FileSystem).Pids.ToKernel(tid), out Task? task) || !ReferenceEquals(task.Group, _group))
            return Errno.ENOENT;
        return new ProcessDirectory((ProcFileSystem)FileSystem, _group, task);
    }

    public override Errno ReadDirectory(Task? caller, long position, IDirectoryReader reader)
    {
        PidNamespace pids = ((ProcFileSystem)FileSystem).Pids;
        foreach ((int number, Task task) in _group.Tasks.Select(t => (pids.ToLocal(t.Tid), t)).OrderBy(static t => t.Item1))
        {
            if (number + 2 >= position && !reader.Add(number.ToString(CultureInfo.InvariantCulture), ProcFileSystem.NumberOf(task.Tid, true, 0), S.IFDIR, number + 3))
                break;
        }

        return Errno.None;
    }
}

/// <summary>A text file about a process or thread; <see cref="ProcessFiles"/> says what it tells.</summary>
[Savable("proc-process-file")]
internal sealed partial class ProcessFile : SyntheticInode
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private Task? _task;
    [Saved(3)] private string _name;

    internal ProcessFile(ProcFileSystem fileSystem, ulong number, ThreadGroup group, Task? task, string name, uint permissions)
        : base(fileSystem, number, permissions, Processes.OwnerOf(group, task).Uid, Processes.OwnerOf(group, task).Gid)
    {
        _group = group;
        _task = task;
        _name = name;
    }

    public override Result<string> Generate(Task? caller) =>
        Processes.IsAlive(_group, _task) ? ProcessFiles.Generate(_group, _task, _name, new ProcessViewer(caller, ((ProcFileSystem)FileSystem).Pids)) : Errno.ESRCH;

    public override Result<long> Accept(Task caller, string text, long offset) =>
        Processes.IsAlive(_group, _task) ? ProcessFiles.Accept(_group, _task, _name, caller, text) : Errno.ESRCH;
}

/// <summary>What several entries ask of a process.</summary>
internal static class Processes
{
    /// <summary>Whether it has not been waited for (a thread: not ended); ids may be in use again by others.</summary>
    internal static bool IsAlive(ThreadGroup group, Task? task)
    {
        GuestKernel kernel = group.Kernel;
        if (task is not null)
            return kernel.Tasks.TryGetValue(task.Tid, out Task? there) && ReferenceEquals(there, task);
        return kernel.Processes.TryGetValue(group.Pid, out ThreadGroup? found) && ReferenceEquals(found, group);
    }

    /// <summary>The thread itself or the first of the process; null of a zombie.</summary>
    internal static Task? TaskOf(ThreadGroup group, Task? task) => task ?? (group.Tasks.Count > 0 ? group.Tasks[0] : null);

    /// <summary>To whom the entries belong: the effective ids, or root when the process may not be looked into (proc(5)).</summary>
    internal static (uint Uid, uint Gid) OwnerOf(ThreadGroup group, Task? task) =>
        TaskOf(group, task) is { } alive && group.IsDumpable ? (alive.Credentials.EffectiveUid, alive.Credentials.EffectiveGid) : (0, 0);

    /// <summary>Whether a caller may see a process's memory and descriptors (ptrace(2), "Ptrace access mode checking").</summary>
    internal static bool MayInspect(Task? caller, ThreadGroup group, Task? task)
    {
        if (caller is null || ReferenceEquals(caller.Group, group) || caller.Credentials.Has(Capability.CAP_SYS_PTRACE))
            return true;
        if (TaskOf(group, task) is not { } target || !group.IsDumpable)
            return false;
        Credentials mine = caller.Credentials, theirs = target.Credentials;
        return mine.FsUid == theirs.Uid && mine.FsUid == theirs.EffectiveUid && mine.FsUid == theirs.SavedUid
            && mine.FsGid == theirs.Gid && mine.FsGid == theirs.EffectiveGid && mine.FsGid == theirs.SavedGid;
    }
}
