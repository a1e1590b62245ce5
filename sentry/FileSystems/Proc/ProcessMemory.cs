using System.Globalization;
using System.Text;
using Sentry.Platform;

namespace Sentry.FileSystems.Proc;

/// <summary>Sums over an address space, in bytes, and where program and data lie.</summary>
internal readonly record struct MemorySizes(long Total, long Resident, long Private, long Data, long Stack, long Code, long Libraries, ulong CodeStart, ulong CodeEnd, ulong DataStart, ulong DataEnd);

/// <summary>The texts of /proc/PID that describe memory, from the areas of its address space.</summary>
internal static class ProcessMemory
{
    private const int PageSize = 4096, PathColumn = 73;

    /// <summary>argv as it is in memory now: a process may write over it to change its title, also beyond its end (setproctitle(3)).</summary>
    internal static Result<string> CommandLine(ThreadGroup group, Task? task)
    {
        if (Processes.TaskOf(group, task)?.Memory is not { } memory)
            return "";
        (ulong start, ulong end) = memory.Arguments;
        string text = Read(memory, start, end);
        if (text.Length == 0 || text[^1] == '\0')
            return text;
        (_, ulong environmentEnd) = memory.EnvironmentStrings;
        string more = Read(memory, start, Math.Max(end, environmentEnd));
        int terminator = more.IndexOf('\0', StringComparison.Ordinal);
        return terminator < 0 ? more : more[..(terminator + 1)];
    }

    internal static Result<string> Environment(ThreadGroup group, Task? task, Task? caller)
    {
        if (!Processes.MayInspect(caller, group, task))
            return Errno.EACCES;
        if (Processes.TaskOf(group, task)?.Memory is not { } memory)
            return "";
        (ulong start, ulong end) = memory.EnvironmentStrings;
        return Read(memory, start, end);
    }

    internal static Result<string> AuxiliaryVector(ThreadGroup group, Task? task, Task? caller)
    {
        if (!Processes.MayInspect(caller, group, task))
            return Errno.EACCES;
        return Processes.TaskOf(group, task)?.Memory is { } memory ? Encoding.Latin1.GetString(memory.AuxiliaryVector) : "";
    }

    /// <summary>maps, or smaps with its sizes.</summary>
    internal static Result<string> Maps(ThreadGroup group, Task? task, Task? caller, bool details)
    {
        if (!Processes.MayInspect(caller, group, task))
            return Errno.EACCES;
        var text = new StringBuilder();
        if (Processes.TaskOf(group, task)?.Memory is not { } memory)
            return "";
        List<PageRun> runs = details ? PrivatePages(memory) : [];
        foreach (Area area in memory.Areas.All)
        {
            AppendArea(text, area);
            if (details)
                AppendSizes(text, (long)area.Length, (long)area.Length, PrivateWithin(runs, area), area);
        }

        return text.ToString();
    }

    /// <summary>smaps_rollup.</summary>
    internal static Result<string> MapsSummary(ThreadGroup group, Task? task, Task? caller)
    {
        if (!Processes.MayInspect(caller, group, task))
            return Errno.EACCES;
        if (Processes.TaskOf(group, task)?.Memory is not { } memory || memory.Areas.Count == 0)
            return "";
        MemorySizes sizes = Measure(memory);
        var text = new StringBuilder();
        string range = string.Create(CultureInfo.InvariantCulture, $"{memory.Areas[0].Start:x8}-{memory.Areas[memory.Areas.Count - 1].End:x8} ---p 00000000 00:00 0");
        text.Append(range.PadRight(PathColumn)).Append("[rollup]\n");
        AppendSizes(text, null, sizes.Resident, sizes.Private, null);
        return text.ToString();
    }

    /// <summary>statm: pages of all, resident, shared, code, 0, data, 0.</summary>
    internal static Result<string> Sizes(ThreadGroup group, Task? task)
    {
        MemorySizes sizes = Processes.TaskOf(group, task)?.Memory is { } memory ? Measure(memory) : default;
        return string.Create(CultureInfo.InvariantCulture,
            $"{sizes.Total / PageSize} {sizes.Resident / PageSize} {(sizes.Resident - sizes.Private) / PageSize} {sizes.Code / PageSize} 0 {(sizes.Data + sizes.Stack) / PageSize} 0\n");
    }

    /// <summary>Resident are the private pages that are there, and of files what is mapped executable or read-only, as an estimate.</summary>
    internal static MemorySizes Measure(MemoryManager memory)
    {
        long total = 0, data = 0, stack = 0, code = 0, libraries = 0, shared = 0;
        ulong codeStart = 0, codeEnd = 0, dataStart = 0, dataEnd = 0;
        FileObject? program = null;
        foreach (Area area in memory.Areas.All)
        {
            var length = (long)area.Length;
            total += length;
            bool executable = (area.Protection & MemoryProtection.Execute) != 0, writable = (area.Protection & MemoryProtection.Write) != 0;
            if (area.Kind == AreaKind.Stack)
                stack += length;
            else if (writable && !area.IsShared)
                data += length;
            if (area.File is null || area.Kind is AreaKind.Vdso or AreaKind.ClockPage)
                continue;
            program ??= area.File;
            bool ofProgram = ReferenceEquals(area.File, program);
            if (executable)
            {
                if (ofProgram && codeStart == 0)
                    (codeStart, codeEnd) = (area.Start, area.End);
                code += ofProgram ? length : 0;
                libraries += ofProgram ? 0 : length;
                shared += length;
            }
            else if (writable && ofProgram && dataStart == 0)
            {
                (dataStart, dataEnd) = (area.Start, area.End);
            }
        }

        long present = 0;
        foreach (PageRun run in PrivatePages(memory))
            present += (long)(run.End - run.Start);
        return new MemorySizes(total, Math.Min(total, present + shared), present, data, stack, code, libraries, codeStart, codeEnd, dataStart, dataEnd);
    }

    private static List<PageRun> PrivatePages(MemoryManager memory)
    {
        List<PageRun> runs = [];
        if (memory.Areas.Count > 0)
            memory.Space.FindPrivatePages(memory.Areas[0].Start, memory.Areas[memory.Areas.Count - 1].End, runs);
        return runs;
    }

    private static long PrivateWithin(List<PageRun> runs, Area area)
    {
        long bytes = 0;
        foreach (PageRun run in runs)
        {
            ulong start = Math.Max(run.Start, area.Start), end = Math.Min(run.End, area.End);
            if (start < end)
                bytes += (long)(end - start);
        }

        return bytes;
    }

    private static void AppendArea(StringBuilder text, Area area)
    {
        char Flag(MemoryProtection flag, char letter) => (area.Protection & flag) != 0 ? letter : '-';
        ulong device = 0, inode = 0;
        string name = area.Kind switch
        {
            AreaKind.Heap => "[heap]",
            AreaKind.Stack => "[stack]",
            AreaKind.Vdso => "[vdso]",
            AreaKind.ClockPage => "[vvar]",
            _ => area.Name.Length > 0 ? $"[anon:{area.Name}]" : "",
        };
        ulong offset = 0;
        if (area.File is { } file && area.Kind == AreaKind.Plain)
        {
            offset = area.FileOffset;
            name = file.Describe();
            if (file.GetStatus().TryGet(out FileStatus status, out _))
                (device, inode) = (status.Device, status.Inode);
        }

        string line = string.Create(CultureInfo.InvariantCulture,
            $"{area.Start:x8}-{area.End:x8} {Flag(MemoryProtection.Read, 'r')}{Flag(MemoryProtection.Write, 'w')}{Flag(MemoryProtection.Execute, 'x')}{(area.IsShared ? 's' : 'p')} {offset:x8} {DeviceNumber.Major(device):x2}:{DeviceNumber.Minor(device):x2} {inode} ");
        text.Append(name.Length > 0 ? line.PadRight(PathColumn) + name.Replace("\n", "\\012", StringComparison.Ordinal) : line.TrimEnd() + " ").Append('\n');
    }

    private static void AppendSizes(StringBuilder text, long? size, long resident, long priv, Area? area)
    {
        resident = Math.Max(resident, priv);
        List<(string Name, long Bytes)> lines = [];
        if (size is { } bytes)
            lines.AddRange([("Size", bytes), ("KernelPageSize", PageSize), ("MMUPageSize", PageSize)]);
        lines.AddRange(
        [
            ("Rss", priv), ("Pss", priv), ("Pss_Dirty", priv), ("Shared_Clean", 0), ("Shared_Dirty", 0), ("Private_Clean", 0), ("Private_Dirty", priv), ("Referenced", priv),
            ("Anonymous", priv), ("LazyFree", 0), ("AnonHugePages", 0), ("ShmemPmdMapped", 0), ("FilePmdMapped", 0), ("Shared_Hugetlb", 0), ("Private_Hugetlb", 0),
            ("Swap", 0), ("SwapPss", 0), ("Locked", area is not null && area.Has(AreaFlags.Locked) ? priv : 0),
        ]);
        foreach ((string name, long value) in lines)
            text.Append((name + ":").PadRight(16)).Append((value / 1024).ToString(CultureInfo.InvariantCulture).PadLeft(8)).Append(" kB\n");
        if (size is not null)
            text.Append("THPeligible:           0\nVmFlags: ").Append(DescribeFlags(area!)).Append('\n');
    }

    /// <summary>The two-letter flags of smaps (proc(5)).</summary>
    private static string DescribeFlags(Area area)
    {
        var text = new StringBuilder();
        void Add(bool has, string flag)
        {
            if (has)
                text.Append(flag).Append(' ');
        }

        Add((area.Protection & MemoryProtection.Read) != 0, "rd");
        Add((area.Protection & MemoryProtection.Write) != 0, "wr");
        Add((area.Protection & MemoryProtection.Execute) != 0, "ex");
        Add(area.IsShared, "sh");
        text.Append("mr ");
        Add(!area.IsShared || area.File is null or { CanWrite: true }, "mw");
        text.Append("me ");
        Add(area.IsShared, "ms");
        Add(area.Has(AreaFlags.GrowsDown) || area.Kind == AreaKind.Stack, "gd");
        Add(area.Has(AreaFlags.Locked), "lo");
        Add(area.Has(AreaFlags.LockOnFault), "lf");
        Add(area.Has(AreaFlags.DontFork), "dc");
        Add(area.NoReserve, "nr");
        Add(area.Has(AreaFlags.DontDump), "dd");
        Add(area.Has(AreaFlags.WipeOnFork), "wf");
        Add(area.Has(AreaFlags.Sealed), "sl");
        Add(area.File is null, "ac");
        return text.ToString();
    }

    /// <summary>Bytes of a process's memory, as far as they are readable; at most 2 MiB.</summary>
    private static string Read(MemoryManager memory, ulong start, ulong end)
    {
        if (end <= start)
            return "";
        byte[] bytes = new byte[(int)Math.Min(end - start, 2 << 20)];
        int got = memory.Read(start, bytes);
        return Encoding.Latin1.GetString(bytes, 0, Math.Max(0, got));
    }
}
