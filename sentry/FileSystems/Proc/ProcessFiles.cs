using System.Globalization;
using System.Text;

namespace Sentry.FileSystems.Proc;

/// <summary>The texts of /proc/PID (proc(5)), but for those about memory (<see cref="ProcessMemory"/>) and mounts (<see cref="MountTables"/>).</summary>
internal static class ProcessFiles
{
    private const long NanosecondsPerTick = 10_000_000;

    private static readonly string[] LimitNames =
    [
        "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes", "Max open files",
        "Max locked memory", "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority",
        "Max realtime timeout",
    ];

    private static readonly string[] LimitUnits =
    [
        "seconds", "bytes", "bytes", "bytes", "bytes", "bytes", "processes", "files", "bytes", "bytes", "locks", "signals", "bytes", "", "", "us",
    ];

    private static readonly Dictionary<string, Func<ThreadGroup, Task?, ProcessViewer, Result<string>>> Files = new()
    {
        ["auxv"] = static (g, t, v) => ProcessMemory.AuxiliaryVector(g, t, v.Caller),
        ["cgroup"] = static (_, _, _) => "0::/\n",
        ["children"] = static (g, _, v) => string.Concat(g.Children.Select(child => string.Create(CultureInfo.InvariantCulture, $"{v.Pid(child.Pid)} "))),
        ["cmdline"] = static (g, t, _) => ProcessMemory.CommandLine(g, t),
        ["comm"] = static (g, t, _) => NameOf(g, t) + "\n",
        ["environ"] = static (g, t, v) => ProcessMemory.Environment(g, t, v.Caller),
        ["gid_map"] = static (g, t, v) => IdMaps.Describe(UserNamespaceOf(g, t), v.Caller?.UserNamespace, groups: true),
        ["io"] = static (_, _, _) => "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
        ["limits"] = static (g, _, _) => Limits(g),
        ["loginuid"] = static (_, _, _) => "4294967295",
        ["maps"] = static (g, t, v) => ProcessMemory.Maps(g, t, v.Caller, details: false),
        ["mountinfo"] = static (g, t, _) => MountTables.MountInfo(g, t),
        ["mounts"] = static (g, t, _) => MountTables.Mounts(g, t),
        ["mountstats"] = static (g, t, _) => MountTables.Statistics(g, t),
        ["oom_adj"] = static (g, _, _) => string.Create(CultureInfo.InvariantCulture, $"{g.OomScoreAdjustment * 17 / 1000}\n"),
        ["oom_score"] = static (g, _, _) => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, 666 + (g.OomScoreAdjustment * 2 / 3))}\n"),
        ["oom_score_adj"] = static (g, _, _) => string.Create(CultureInfo.InvariantCulture, $"{g.OomScoreAdjustment}\n"),
        ["personality"] = static (g, _, _) => string.Create(CultureInfo.InvariantCulture, $"{g.Personality:x8}\n"),
        ["schedstat"] = static (g, t, _) => string.Create(CultureInfo.InvariantCulture, $"{CpuTime(g, t)} 0 1\n"),
        ["sessionid"] = static (_, _, _) => "4294967295",
        ["setgroups"] = static (g, t, _) => IdMaps.DescribeSetgroups(UserNamespaceOf(g, t)),
        ["smaps"] = static (g, t, v) => ProcessMemory.Maps(g, t, v.Caller, details: true),
        ["smaps_rollup"] = static (g, t, v) => ProcessMemory.MapsSummary(g, t, v.Caller),
        ["stat"] = static (g, t, v) => Stat(g, t, v),
        ["statm"] = static (g, t, _) => ProcessMemory.Sizes(g, t),
        ["status"] = static (g, t, v) => Status(g, t, v),
        ["timerslack_ns"] = static (g, t, _) => string.Create(CultureInfo.InvariantCulture, $"{Processes.TaskOf(g, t)?.Scheduling.TimerSlack ?? 0}\n"),
        ["timens_offsets"] = static (g, t, _) => Processes.TaskOf(g, t) is { } alive ? TimeOffsets.Describe(alive.Namespaces.TimeForChildren) : "",
        ["uid_map"] = static (g, t, v) => IdMaps.Describe(UserNamespaceOf(g, t), v.Caller?.UserNamespace, groups: false),
        ["wchan"] = static (_, _, _) => "0",
    };

    internal static Result<string> Generate(ThreadGroup group, Task? task, string name, ProcessViewer viewer) =>
        Files.TryGetValue(name, out Func<ThreadGroup, Task?, ProcessViewer, Result<string>>? file) ? file(group, task, viewer) : Errno.ENOENT;

    private static UserNamespace UserNamespaceOf(ThreadGroup group, Task? task) => Processes.TaskOf(group, task)?.UserNamespace ?? group.Kernel.Namespaces.User;

    /// <summary>A write to one of the few that take one.</summary>
    internal static Result<long> Accept(ThreadGroup group, Task? task, string name, Task caller, string text)
    {
        string value = text.Trim('\n', ' ', '\0');
        switch (name)
        {
            case "comm":
                if (!ReferenceEquals(caller.Group, group) || Processes.TaskOf(group, task) is not { } target)
                    return Errno.EINVAL;
                string line = text.TrimEnd('\n', '\0');
                target.Name = line[..Math.Min(15, line.Length)];
                return text.Length;
            case "oom_score_adj":
                if (!int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int adjustment) || adjustment is < -1000 or > 1000)
                    return Errno.EINVAL;
                if (adjustment < group.OomScoreAdjustment && !caller.Credentials.Has(Capability.CAP_SYS_RESOURCE))
                    return Errno.EACCES;
                group.OomScoreAdjustment = adjustment;
                return text.Length;
            case "oom_adj":
                if (!int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int old) || old is < -17 or > 15)
                    return Errno.EINVAL;
                group.OomScoreAdjustment = old == 15 ? 1000 : old * 1000 / 17;
                return text.Length;
            case "timerslack_ns":
                if (!ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong slack) || Processes.TaskOf(group, task) is not { } timed)
                    return Errno.EINVAL;
                timed.Scheduling.TimerSlack = slack == 0 ? SchedulingState.DefaultTimerSlack : slack;
                return text.Length;
            case "uid_map" or "gid_map":
                return Taken(IdMaps.Write(caller, UserNamespaceOf(group, task), text, name == "gid_map"), text);
            case "setgroups":
                return Taken(IdMaps.WriteSetgroups(caller, UserNamespaceOf(group, task), text), text);
            case "timens_offsets":
                return Processes.TaskOf(group, task) is { } clocked ? Taken(TimeOffsets.Write(caller, clocked, text), text) : Errno.ESRCH;
            case "loginuid":
                return Errno.EPERM;
            default:
                return Errno.EINVAL;
        }
    }

    private static Result<long> Taken(Errno error, string text) => error == Errno.None ? text.Length : error;

    private static string NameOf(ThreadGroup group, Task? task)
    {
        if (Processes.TaskOf(group, task) is { } alive)
            return alive.Name;
        string name = group.Executable[(group.Executable.LastIndexOf('/') + 1)..];
        return name[..Math.Min(15, name.Length)];
    }

    /// <summary>The letter of ps(1).</summary>
    private static char StateOf(ThreadGroup group, Task? task)
    {
        if (Processes.TaskOf(group, task) is not { } alive)
            return 'Z';
        if (alive.Trace is { IsStopped: true })
            return 't';
        if (group.Job.IsStopped)
            return 'T';
        return alive.State switch
        {
            TaskState.Blocked => 'S',
            TaskState.Dead => 'X',
            _ => 'R',
        };
    }

    private static long CpuTime(ThreadGroup group, Task? task) =>
        task is not null ? task.CpuTime : group.ExitedCpuTime + group.Tasks.Sum(t => t.CpuTime);

    private static Result<string> Stat(ThreadGroup group, Task? task, ProcessViewer viewer)
    {
        Task? alive = Processes.TaskOf(group, task);
        MemoryManager? memory = alive?.Memory;
        MemorySizes sizes = memory is null ? default : ProcessMemory.Measure(memory);
        SchedulingState scheduling = alive?.Scheduling ?? new SchedulingState();
        (ulong ignored, ulong caught) = Dispositions(group);
        ulong pending = (alive?.Signals.Pending.Set ?? 0) | group.Pending.Set;
        bool realTime = scheduling.Policy is SchedulingState.Fifo or SchedulingState.RoundRobin;
        long[] fields =
        [
            viewer.Pid(group.Parent?.Pid ?? 0), viewer.Pid(group.ProcessGroup), viewer.Pid(group.Session), (long)(group.Terminal?.Device ?? 0), group.Terminal is { } terminal ? viewer.Pid(terminal.Foreground) : -1, 0x400100, 0, 0, 0, 0,
            CpuTime(group, task) / NanosecondsPerTick, 0, group.ChildrenCpuTime / NanosecondsPerTick, 0,
            realTime ? -1 - scheduling.Priority : 20 + scheduling.Nice, scheduling.Nice, Math.Max(1, group.Tasks.Count), 0, group.StartTime / NanosecondsPerTick,
            sizes.Total, sizes.Resident / 4096,
        ];
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{viewer.Pid(task?.Tid ?? group.Pid)} ({NameOf(group, task)}) {StateOf(group, task)}");
        foreach (long field in fields)
            text.Append(CultureInfo.InvariantCulture, $" {field}");
        (ulong argumentsStart, ulong argumentsEnd) = memory?.Arguments ?? default;
        (ulong environmentStart, ulong environmentEnd) = memory?.EnvironmentStrings ?? default;
        text.Append(CultureInfo.InvariantCulture, $" {group.Limits[ResourceLimits.Rss].Soft} {sizes.CodeStart} {sizes.CodeEnd} {memory?.StackTop ?? 0} 0 0");
        text.Append(CultureInfo.InvariantCulture, $" {pending & 0x7fffffff} {alive?.Signals.OuterMask & 0x7fffffff ?? 0} {ignored & 0x7fffffff} {caught & 0x7fffffff}");
        text.Append(CultureInfo.InvariantCulture, $" 0 0 0 {(task is null ? group.ExitSignal : -1)} 0 {scheduling.Priority} {scheduling.Policy} 0 0 0");
        text.Append(CultureInfo.InvariantCulture, $" {sizes.DataStart} {sizes.DataEnd} {memory?.BreakStart ?? 0} {argumentsStart} {argumentsEnd} {environmentStart} {environmentEnd}");
        text.Append(CultureInfo.InvariantCulture, $" {group.ExitStatus ?? group.WaitStatus ?? 0}\n");
        return text.ToString();
    }

    private static Result<string> Status(ThreadGroup group, Task? task, ProcessViewer viewer)
    {
        Task? alive = Processes.TaskOf(group, task);
        Credentials credentials = alive?.Credentials ?? new Credentials();
        MemorySizes sizes = alive is null ? default : ProcessMemory.Measure(alive.Memory);
        (ulong ignored, ulong caught) = Dispositions(group);
        char state = StateOf(group, task);
        string stateName = state switch { 'R' => "running", 'S' => "sleeping", 'T' => "stopped", 't' => "tracing stop", 'Z' => "zombie", _ => "dead" };
        int tid = task?.Tid ?? group.Pid;
        ulong affinity = alive is null || alive.Scheduling.Affinity == 0 ? (group.Kernel.CpuCount >= 64 ? ulong.MaxValue : (1UL << group.Kernel.CpuCount) - 1) : alive.Scheduling.Affinity;
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(FormattableString.Invariant(line)).Append('\n');
        Line($"Name:\t{NameOf(group, task)}");
        if (alive is not null)
            Line($"Umask:\t{Convert.ToString(alive.Fs.Umask, 8).PadLeft(4, '0')}");
        Line($"State:\t{state} ({stateName})");
        Line($"Tgid:\t{viewer.Pid(group.Pid)}");
        Line($"Ngid:\t0");
        Line($"Pid:\t{viewer.Pid(tid)}");
        Line($"PPid:\t{viewer.Pid(group.Parent?.Pid ?? 0)}");
        Line($"TracerPid:\t{viewer.Pid(alive?.Trace?.Tracer.Pid ?? 0)}");
        Line($"Uid:\t{viewer.Uid(credentials.Uid)}\t{viewer.Uid(credentials.EffectiveUid)}\t{viewer.Uid(credentials.SavedUid)}\t{viewer.Uid(credentials.FsUid)}");
        Line($"Gid:\t{viewer.Gid(credentials.Gid)}\t{viewer.Gid(credentials.EffectiveGid)}\t{viewer.Gid(credentials.SavedGid)}\t{viewer.Gid(credentials.FsGid)}");
        Line($"FDSize:\t{alive?.Files.Capacity ?? 0}");
        Line($"Groups:\t{string.Concat(credentials.Groups.Select(g => viewer.Gid(g) + " "))}");
        Line($"NStgid:\t{viewer.Pids(group, group.Pid)}");
        Line($"NSpid:\t{viewer.Pids(group, tid)}");
        Line($"NSpgid:\t{viewer.Pids(group, group.ProcessGroup)}");
        Line($"NSsid:\t{viewer.Pids(group, group.Session)}");
        if (alive is not null)
        {
            (string Name, long Bytes)[] memory =
            [
                ("VmPeak", sizes.Total), ("VmSize", sizes.Total), ("VmLck", (long)(Processes.TaskOf(group, task)?.Memory.LockedBytes ?? 0)), ("VmPin", 0), ("VmHWM", sizes.Resident), ("VmRSS", sizes.Resident), ("RssAnon", sizes.Private),
                ("RssFile", sizes.Resident - sizes.Private), ("RssShmem", 0), ("VmData", sizes.Data), ("VmStk", sizes.Stack), ("VmExe", sizes.Code), ("VmLib", sizes.Libraries),
                ("VmPTE", 64 << 10), ("VmSwap", 0), ("HugetlbPages", 0),
            ];
            foreach ((string name, long bytes) in memory)
                Line($"{name}:\t{bytes / 1024,8} kB");
            Line($"CoreDumping:\t0");
            Line($"THP_enabled:\t1");
        }

        Line($"Threads:\t{Math.Max(1, group.Tasks.Count)}");
        Line($"SigQ:\t{group.Pending.Count}/{group.Limits[ResourceLimits.SigPending].Soft}");
        Line($"SigPnd:\t{alive?.Signals.Pending.Set ?? 0:x16}");
        Line($"ShdPnd:\t{group.Pending.Set:x16}");
        Line($"SigBlk:\t{alive?.Signals.OuterMask ?? 0:x16}");
        Line($"SigIgn:\t{ignored:x16}");
        Line($"SigCgt:\t{caught:x16}");
        Line($"CapInh:\t{credentials.Inheritable:x16}");
        Line($"CapPrm:\t{credentials.Permitted:x16}");
        Line($"CapEff:\t{credentials.Effective:x16}");
        Line($"CapBnd:\t{credentials.Bounding:x16}");
        Line($"CapAmb:\t{credentials.Ambient:x16}");
        Line($"NoNewPrivs:\t{(credentials.NoNewPrivileges ? 1 : 0)}");
        Line($"Seccomp:\t{alive?.Filters.Mode ?? 0}");
        Line($"Seccomp_filters:\t{alive?.Filters.Count ?? 0}");
        Line($"Speculation_Store_Bypass:\tvulnerable");
        Line($"SpeculationIndirectBranch:\talways enabled");
        Line($"Cpus_allowed:\t{affinity:x}");
        Line($"Cpus_allowed_list:\t{CpuList.Describe(affinity)}");
        Line($"Mems_allowed:\t1");
        Line($"Mems_allowed_list:\t0");
        Line($"voluntary_ctxt_switches:\t0");
        Line($"nonvoluntary_ctxt_switches:\t0");
        return text.ToString();
    }

    /// <summary>The sets of ignored and of caught signals.</summary>
    private static (ulong Ignored, ulong Caught) Dispositions(ThreadGroup group)
    {
        ulong ignored = 0, caught = 0;
        for (int signal = 1; signal <= 64; signal++)
        {
            SignalAction action = group.Actions[signal];
            if (action.IsIgnored)
                ignored |= 1UL << (signal - 1);
            else if (action.IsHandler)
                caught |= 1UL << (signal - 1);
        }

        return (ignored, caught);
    }

    private static string Limits(ThreadGroup group)
    {
        static string Show(ulong value) => value == ulong.MaxValue ? "unlimited" : value.ToString(CultureInfo.InvariantCulture);
        var text = new StringBuilder("Limit                     Soft Limit           Hard Limit           Units     \n");
        for (int i = 0; i < LimitNames.Length; i++)
        {
            ResourceLimit limit = group.Limits[i];
            text.Append(CultureInfo.InvariantCulture, $"{LimitNames[i],-25} {Show(limit.Soft),-20} {Show(limit.Hard),-20} {LimitUnits[i],-10}\n");
        }

        return text.ToString();
    }
}

/// <summary>Who reads a file about a process, and whose process ids it shows: those of the namespace that the procfs was mounted for.</summary>
internal readonly record struct ProcessViewer(Task? Caller, PidNamespace Space)
{
    /// <summary>0 for one that the namespace does not see.</summary>
    internal int Pid(int id) => id == 0 ? 0 : Space.ToLocal(id);

    internal uint Uid(uint id) => Caller?.UserNamespace.ShowUid(id) ?? id;

    internal uint Gid(uint id) => Caller?.UserNamespace.ShowGid(id) ?? id;

    /// <summary>The numbers from this namespace down to the process's own (NSpid).</summary>
    internal string Pids(ThreadGroup group, int id)
    {
        var numbers = new List<string>();
        for (PidNamespace? at = group.PidNamespace; at is not null; at = at.Parent)
        {
            numbers.Insert(0, at.ToLocal(id).ToString(CultureInfo.InvariantCulture));
            if (ReferenceEquals(at, Space))
                break;
        }

        return string.Join('\t', numbers);
    }
}

/// <summary>Sets of CPUs as lists, 0-3,6 (cpuset(7)).</summary>
internal static class CpuList
{
    internal static string Describe(ulong cpus)
    {
        var text = new StringBuilder();
        for (int first = 0; first < 64; first++)
        {
            if ((cpus >> first & 1) == 0)
                continue;
            int last = first;
            while (last < 63 && (cpus >> (last + 1) & 1) != 0)
                last++;
            if (text.Length > 0)
                text.Append(',');
            text.Append(first);
            if (last > first)
                text.Append('-').Append(last);
            first = last;
        }

        return text.ToString();
    }
}
