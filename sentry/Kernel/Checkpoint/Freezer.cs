namespace Sentry.Kernel.Checkpoint;

/// <summary>Where an address space's private memory goes in the memory file.</summary>
public sealed record MemoryPlan(MemoryManager Memory, Task Representative, List<DumpRun> Runs);

/// <summary>Stops a sandbox so that its state can be written, and lets it go on. On the dispatch thread, under the kernel lock.</summary>
public static class Freezer
{
    private const long PageSize = 4096;
    private const ulong MaxGap = 16 * 4096;

    /// <summary>Stops every task between two instructions; a call in progress is rewound and keeps its state.</summary>
    public static void StopAll(GuestKernel kernel)
    {
        byte[] scratch = new byte[kernel.Host.Platform.MaxXStateSize];
        foreach (Task task in kernel.Tasks.Values)
        {
            bool blocked = task.IsBlocked;
            if (task.Thread.State != GuestThreadState.Stopped)
                task.Thread.Stop();
            if (blocked)
            {
                task.Call.Suspended = true;
                task.ClearWaits();
                task.TakeReady();
                task.State = TaskState.Running;
            }
            else if (task.CurrentCall is not { Suspended: true })
            {
                task.CurrentCall = null;
            }

            task.Context = ThreadContext.Of(task, scratch);
        }

        CallSites.SetNatural(kernel, true);
        kernel.ReadyTasks.Clear();
        kernel.Clock.BeforeSave();
        foreach (Task task in kernel.Tasks.Values)
            task.BeforeSave();
    }

    /// <summary>Lets the guest go on; calls that were rewound are made again and find their state.</summary>
    public static void ResumeAll(GuestKernel kernel)
    {
        CallSites.SetNatural(kernel, false);
        foreach (Task task in kernel.Tasks.Values.ToArray())
        {
            task.Context = null;
            Resume(task);
        }

        kernel.Dispatcher.RunReady();
    }

    /// <summary>Lets a task go on after a stop. One in a suspended call makes it again before signals are looked at: a signal that came meanwhile
    /// ends the call as it would have ended the first.</summary>
    public static void Resume(Task task)
    {
        if (task.CurrentCall is { Suspended: true } && !task.WaitsForVfork && !task.Group.Job.IsStopped && task.Trace is null)
            task.Thread.Resume();
        else
            task.Kernel.Dispatcher.ResumeStopped(task);
    }

    /// <summary>Gives all private memory its place in the memory file, from <paramref name="offset"/> on, and notes it in the state to be saved.</summary>
    public static List<MemoryPlan> PlanMemory(GuestKernel kernel, ref long offset)
    {
        List<MemoryPlan> plans = [];
        HashSet<MemoryManager> seen = [];
        foreach (Task task in kernel.Tasks.Values)
        {
            if (!seen.Add(task.Memory))
                continue;
            List<DumpRun> dump = [];
            List<ImageRange> saved = [];
            foreach (Area area in task.Memory.Areas.All)
            {
                if (area.IsShared)
                    continue;
                foreach (PageRun run in PrivatePages(task.Memory, area))
                {
                    dump.Add(new DumpRun(run.Start, run.End - run.Start, offset));
                    saved.Add(new ImageRange(run.Start, run.End, offset));
                    offset += (long)(run.End - run.Start);
                }
            }

            task.Memory.SavedRanges = [.. saved];
            plans.Add(new MemoryPlan(task.Memory, task, dump));
        }

        offset = (offset + PageSize - 1) & ~(PageSize - 1);
        return plans;
    }

    /// <summary>The pages of an area that are the sandbox's own: written since they were mapped, or mapped from the image it came from. Runs with
    /// small gaps are joined, so that restoring takes few mappings.</summary>
    private static List<PageRun> PrivatePages(MemoryManager memory, Area area)
    {
        List<PageRun> runs = [];
        memory.Space.FindPrivatePages(area.Start, area.End, runs);
        foreach (ImageRange range in memory.ImageRanges.Within(area.Start, area.End))
            runs.Add(new PageRun(range.Start, range.End));
        if (runs.Count < 2)
            return runs;
        runs.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        List<PageRun> joined = [runs[0]];
        foreach (PageRun run in runs)
        {
            PageRun last = joined[^1];
            if (run.Start <= last.End + MaxGap)
                joined[^1] = new PageRun(last.Start, Math.Max(last.End, run.End));
            else
                joined.Add(run);
        }

        return joined;
    }
}
