namespace Sentry.Kernel.Memory;

/// <summary>What a file's getting shorter does to those who map it: pages that lie wholly behind its end are taken away, private copies too, and touching
/// them is SIGBUS (truncate(2), mmap(2)).</summary>
internal static class CutMappings
{
    /// <summary>The file has been cut; returns when no guest thread can see what was behind the end.</summary>
    public static void Apply(GuestKernel kernel, Inode file, long size)
    {
        HashSet<MemoryManager> seen = [];
        foreach (Task task in kernel.Tasks.Values.ToArray())
        {
            if (task.State != TaskState.Dead && seen.Add(task.Memory))
                Apply(kernel, task.Memory, file, Mappings.RoundUp((ulong)size));
        }
    }

    /// <summary>mprotect(2) has made a whole area accessible on the host, also where there is no file under it.</summary>
    public static void CloseBehindEnd(IGuestThread on, Area area)
    {
        if (area.Protection != MemoryProtection.None && area.File is RegularFile file && Behind(area, Mappings.RoundUp((ulong)file.Data.Size)) is var from && from < area.End)
            on.Queue(MemoryOperation.Protect(from, area.End - from, MemoryProtection.None));
    }

    private static void Apply(GuestKernel kernel, MemoryManager memory, Inode file, ulong fileEnd)
    {
        List<Area>? cut = null;
        foreach (Area area in memory.Areas.All)
        {
            if (area.File is InodeFile { Inode: var inode } && ReferenceEquals(inode, file) && Behind(area, fileEnd) < area.End)
                (cut ??= []).Add(area);
        }

        if (cut is null || ThreadOf(kernel, memory) is not { } task)
            return;
        bool runs = task.Thread.State == GuestThreadState.Running;
        if (runs)
            task.Thread.Stop();
        foreach (Area area in cut)
        {
            ulong from = Behind(area, fileEnd);
            memory.ImageRanges.Remove(from, area.End);
            task.Thread.Queue(MemoryOperation.Map(from, area.End - from, MemoryProtection.None, MemorySource.Anonymous));
        }

        if (task.Thread.Flush() is var error && error != Errno.None)
            kernel.Host.Log($"process {task.Group.Pid} ({task.Name}) keeps pages of a file that was truncated: {error}");
        if (runs)
            kernel.Dispatcher.ResumeStopped(task);
    }

    /// <summary>Where in an area the file is over.</summary>
    private static ulong Behind(Area area, ulong fileEnd) => fileEnd <= area.FileOffset ? area.Start : Math.Min(area.Start + (fileEnd - area.FileOffset), area.End);

    /// <summary>A thread that can make the change: rather one that does not run.</summary>
    private static Task? ThreadOf(GuestKernel kernel, MemoryManager memory)
    {
        Task? found = null;
        foreach (Task task in kernel.Tasks.Values)
        {
            if (!ReferenceEquals(task.Memory, memory) || task.State == TaskState.Dead || task.Thread.State == GuestThreadState.Dead)
                continue;
            found = task;
            if (task.Thread.State != GuestThreadState.Running)
                break;
        }

        return found;
    }
}
