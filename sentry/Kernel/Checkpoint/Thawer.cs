namespace Sentry.Kernel.Checkpoint;

/// <summary>Gives a restored kernel its host side back: address spaces mapped from the image, threads with their registers. On the dispatch thread.</summary>
public static class Thawer
{
    /// <summary>Builds everything; no guest code runs yet. Throws <see cref="InvalidImageException"/> with one line when the image can't be right.</summary>
    public static void Rebuild(GuestKernel kernel, IHostFile image, long imageLength)
    {
        IPlatform platform = kernel.Host.Platform;
        Dictionary<MemoryManager, Task> built = [];
        foreach (Task task in kernel.Tasks.Values)
        {
            if (task.Context is null || task.State != TaskState.Running)
                throw new InvalidImageException($"the image holds task {task.Tid} in a state that no checkpoint leaves");
            Result<IGuestThread> made;
            if (built.TryGetValue(task.Memory, out Task? first))
            {
                made = first.Thread.Clone(ownProcess: !ReferenceEquals(first.Group, task.Group));
            }
            else
            {
                made = platform.CreateProcess();
                built.Add(task.Memory, task);
            }

            if (made.IsError)
                throw new InvalidImageException($"the host has no room for task {task.Tid} of the image ({made.Error}); raise its limits on processes");
            task.Thread = made.Value;
            if (first is null)
                MapMemory(task, image, imageLength);
            task.Thread.SetRegisters(task.Context.ToRegisters());
            if (!task.Thread.SetXState(task.Context.Extended))
                throw new InvalidImageException("the image holds processor state (XSAVE features) that this host's processor does not have; restore it on a host of the kind it was made on");
        }
    }

    /// <summary>Starts the guest.</summary>
    public static void Start(GuestKernel kernel) => Freezer.ResumeAll(kernel);

    private static void MapMemory(Task task, IHostFile image, long imageLength)
    {
        MemoryManager memory = task.Memory;
        memory.Space = task.Thread.AddressSpace;
        if (memory.Limit != task.Kernel.Host.Platform.GuestAddressLimit)
            throw new InvalidImageException("the image was made on a platform with another address space");
        ulong end = 0;
        foreach (Area area in memory.Areas.All)
        {
            if (area.Start < end || area.End <= area.Start || area.End > memory.Limit || ((area.Start | area.End) & (Mappings.PageSize - 1)) != 0)
                throw new InvalidImageException("the image holds memory areas that overlap or lie outside the address space");
            end = area.End;
            Errno error = Mappings.MapOnHost(task.Thread, area, area.Start, area.Length);
            if (error != Errno.None)
                throw new InvalidImageException($"cannot map {area.File?.Describe()} again: {error}");
        }

        var ranges = new ImageRanges();
        ulong last = 0;
        foreach (ImageRange range in memory.SavedRanges)
        {
            Area? area = memory.Areas.Find(range.Start);
            if (area is null || area.IsShared || range.Start < last || range.End <= range.Start || range.End > area.End || range.Offset < 0
                || range.Offset > imageLength - (long)(range.End - range.Start) || ((range.Start | range.End | (ulong)range.Offset) & (Mappings.PageSize - 1)) != 0)
                throw new InvalidImageException("the image's memory map does not fit its areas");
            last = range.End;
            task.Thread.Queue(MemoryOperation.Map(range.Start, range.End - range.Start, area.Protection, new MemorySource(image.Descriptor, range.Offset, false)));
            ranges.Append(range);
        }

        memory.ImageRanges = ranges;
        Errno mapped = task.Thread.Flush();
        if (mapped != Errno.None)
            throw new InvalidImageException($"the host cannot map the image's memory ({mapped}); raise vm.max_map_count or free memory");
    }
}
