
namespace Sentry.Kernel.Memory;

/// <summary>System calls about memory as it is: madvise, process_madvise, mincore, membarrier.</summary>
internal static class AdviceSyscalls
{
    private const int Normal = 0, DontNeed = 4, Free = 8, Remove = 9, DontFork = 10, DoFork = 11, HugePage = 14, NoHugePage = 15, DontDump = 16, DoDump = 17,
        WipeOnFork = 18, KeepOnFork = 19, Cold = 20, PageOut = 21, PopulateRead = 22, PopulateWrite = 23, DontNeedLocked = 24, Collapse = 25, WillNeed = 3;

    internal static SyscallResult Madvise(Task task, in SyscallArgs args)
    {
        int advice = args.I2;
        ulong start = args.A0, end = start + Mappings.RoundUp(args.A1);
        if (advice is not ((>= Normal and <= DontNeed) or (>= Free and <= DoFork) or (>= HugePage and <= Collapse)))
            return Errno.EINVAL;
        if ((start & (Mappings.PageSize - 1)) != 0 || end < start || (args.A1 != 0 && end == start))
            return Errno.EINVAL;
        if (end == start)
            return SyscallResult.Ok;
        MemoryManager memory = task.Memory;
        if (end > memory.Limit)
            return Errno.ENOMEM;
        Errno error = CheckAreas(memory, start, end, advice);
        if (error != Errno.None)
            return error;

        // What is mapped gets the advice, then the hole is reported.
        bool whole = memory.Areas.Covers(start, end);
        error = Advise(task, start, end, advice);
        return error == Errno.None && !whole ? Errno.ENOMEM : error;
    }

    private static Errno CheckAreas(MemoryManager memory, ulong start, ulong end, int advice)
    {
        for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
        {
            Area area = memory.Areas[i];
            bool isPrivateAnonymous = area.File is null && !area.IsShared;
            switch (advice)
            {
                case DontNeed or Free or Remove or PageOut or Cold when area.Has(AreaFlags.Locked):
                case Free or WipeOnFork when !isPrivateAnonymous:
                    return Errno.EINVAL;
                case Remove when !area.IsShared || area.File is not { IsRegularFile: true }:
                    return Errno.EINVAL;
                case Remove when (area.Protection & MemoryProtection.Write) == 0:
                    return Errno.EACCES;
                case DontNeed or DontNeedLocked or Free or Remove or WipeOnFork when area.Has(AreaFlags.Sealed) && isPrivateAnonymous && (area.Protection & MemoryProtection.Write) == 0:
                    return Errno.EPERM;
            }
        }

        return Errno.None;
    }

    private static Errno Advise(Task task, ulong start, ulong end, int advice)
    {
        MemoryManager memory = task.Memory;
        switch (advice)
        {
            case DontNeed or DontNeedLocked:
                Mappings.Discard(memory, task.Thread, start, end);
                break;
            case Remove:
                return PunchHoles(memory, start, end);
            case HugePage or NoHugePage:
                Mappings.AdviseHost(memory, task.Thread, start, end, advice);
                break;
            case PopulateRead or PopulateWrite:
                return PopulateAll(task, start, end, advice == PopulateWrite);
            case DontFork:
                Mappings.SetFlags(memory, start, end, AreaFlags.DontFork, AreaFlags.None);
                break;
            case DoFork:
                Mappings.SetFlags(memory, start, end, AreaFlags.None, AreaFlags.DontFork);
                break;
            case WipeOnFork:
                Mappings.SetFlags(memory, start, end, AreaFlags.WipeOnFork, AreaFlags.None);
                break;
            case KeepOnFork:
                Mappings.SetFlags(memory, start, end, AreaFlags.None, AreaFlags.WipeOnFork);
                break;
            case DontDump:
                Mappings.SetFlags(memory, start, end, AreaFlags.DontDump, AreaFlags.None);
                break;
            case DoDump:
                Mappings.SetFlags(memory, start, end, AreaFlags.None, AreaFlags.DontDump);
                break;
        }

        // The rest are hints about reading ahead and reclaim, which the host decides for itself.
        return Errno.None;
    }

    /// <summary>MADV_REMOVE: a hole in the mapped files.</summary>
    private static Errno PunchHoles(MemoryManager memory, ulong start, ulong end)
    {
        for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
        {
            Area area = memory.Areas[i];
            ulong from = Math.Max(start, area.Start), to = Math.Min(end, area.End);
            Errno error = area.File!.Allocate(FallocateMode.PunchHole | FallocateMode.KeepSize, (long)area.OffsetOf(from), (long)(to - from));
            if (error != Errno.None)
                return error;
        }

        return Errno.None;
    }

    private static Errno PopulateAll(Task task, ulong start, ulong end, bool write)
    {
        for (int i = task.Memory.Areas.FirstEndingAfter(start); i < task.Memory.Areas.Count && task.Memory.Areas[i].Start < end; i++)
        {
            if ((task.Memory.Areas[i].Protection & (write ? MemoryProtection.Write : MemoryProtection.Read)) == 0)
                return Errno.EFAULT;
        }

        Populate(task, start, end);
        return Errno.None;
    }

    /// <summary>Has the host make the pages of private anonymous memory present; other pages are there or come when they are touched.</summary>
    internal static void Populate(Task task, ulong start, ulong end)
    {
        for (int i = task.Memory.Areas.FirstEndingAfter(start); i < task.Memory.Areas.Count && task.Memory.Areas[i].Start < end; i++)
        {
            Area area = task.Memory.Areas[i];
            if (area.File is not null || (area.Protection & (MemoryProtection.Read | MemoryProtection.Write)) == 0)
                continue;
            ulong from = Math.Max(start, area.Start), to = Math.Min(end, area.End);
            int advice = (area.Protection & MemoryProtection.Write) != 0 ? PopulateWrite : PopulateRead;
            task.Thread.Queue(MemoryOperation.Advise(from, to - from, advice));
        }
    }

    /// <summary>process_madvise(2): hints about another process, which change nothing here but are checked.</summary>
    internal static SyscallResult ProcessMadvise(Task task, in SyscallArgs args)
    {
        if (args.A4 != 0)
            return Errno.EINVAL;
        Result<IoVector[]> vectors = MemorySyscalls.ReadVectors(task.Memory, args.A1, args.A2);
        if (vectors.IsError)
            return vectors.Error;
        if (!task.TryGetFile(args.I0, out FileObject? file) || file is not PidFile pidfd)
            return Errno.EBADF;
        if (pidfd.Process?.Tasks.FirstOrDefault() is not { } target)
            return Errno.ESRCH;
        bool isSelf = ReferenceEquals(target.Memory, task.Memory);
        if (args.I3 is not (Cold or PageOut or WillNeed or Collapse) && !(isSelf && args.I3 is DontNeed or Free))
            return Errno.EINVAL;
        if (!isSelf && (!PtraceAccess.MayRead(task, target) || !task.Credentials.Has(Capability.CAP_SYS_NICE)))
            return Errno.EPERM;
        long done = 0;
        foreach (IoVector vector in vectors.Value)
        {
            ulong end = vector.Address + Mappings.RoundUp(vector.Length);
            Errno error = (vector.Address & (Mappings.PageSize - 1)) != 0 || end < vector.Address ? Errno.EINVAL
                : end > target.Memory.Limit || !target.Memory.Areas.Covers(vector.Address, end) ? Errno.ENOMEM
                : CheckAreas(target.Memory, vector.Address, end, args.I3);
            if (error == Errno.None && args.I3 == DontNeed)
                error = Advise(task, vector.Address, end, DontNeed);
            if (error != Errno.None)
                return done > 0 ? done : error;
            done += (long)vector.Length;
        }

        return done;
    }

    /// <summary>mincore(2): private memory as the host has it; files and shared memory are in memory as far as they exist.</summary>
    internal static SyscallResult Mincore(Task task, in SyscallArgs args)
    {
        ulong length = Mappings.RoundUp(args.A1), start = args.A0, pages = length / Mappings.PageSize;
        if ((start & (Mappings.PageSize - 1)) != 0)
            return Errno.EINVAL;
        if (length < args.A1 || start > task.Memory.Limit || length > task.Memory.Limit - start)
            return Errno.ENOMEM;
        byte[] resident = new byte[Math.Min(pages, 65536)];
        for (ulong done = 0; done < pages; done += (ulong)resident.Length)
        {
            ulong from = start + (done * Mappings.PageSize);
            int count = (int)Math.Min((ulong)resident.Length, pages - done);
            ulong to = from + ((ulong)count * Mappings.PageSize);
            if (!task.Memory.Areas.Covers(from, to))
                return Errno.ENOMEM;
            FindResident(task.Memory, from, to, resident.AsSpan(0, count));
            if (!task.Memory.TryWriteAll(args.A2 + done, resident.AsSpan(0, count)))
                return Errno.EFAULT;
        }

        return SyscallResult.Ok;
    }

    /// <summary>A byte per page: 1 for one that is there.</summary>
    internal static void FindResident(MemoryManager memory, ulong start, ulong end, Span<byte> resident)
    {
        resident.Clear();
        List<PageRun> runs = [];
        memory.Space.FindPrivatePages(start, end, runs);
        foreach (PageRun run in runs)
            resident[(int)((run.Start - start) / Mappings.PageSize)..(int)((run.End - start) / Mappings.PageSize)].Fill(1);
        List<HostExtent> extents = [];
        for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
        {
            Area area = memory.Areas[i];
            if (area.File is not { } file)
                continue;
            ulong from = Math.Max(start, area.Start), to = Math.Min(end, area.End);
            extents.Clear();
            if (file.GetHostExtents(area.OffsetOf(from), to - from, false, false, extents) != Errno.None)
                continue;
            foreach (HostExtent extent in extents)
            {
                ulong first = from + (extent.FileOffset - area.OffsetOf(from));
                resident[(int)((first - start) / Mappings.PageSize)..(int)((Math.Min(end, first + extent.Length) - start) / Mappings.PageSize)].Fill(1);
            }
        }
    }

    // ---- membarrier ----------------------------------------------------------------------------------------------

    private const int BarrierQuery = 0, BarrierGlobal = 1, BarrierGlobalExpedited = 2, BarrierRegisterGlobal = 4, BarrierPrivate = 8, BarrierRegisterPrivate = 16,
        BarrierSyncCore = 32, BarrierRegisterSyncCore = 64, BarrierGetRegistrations = 512;

    /// <summary>membarrier(2). A guest thread that runs passes through the host's scheduler or a signal frame before the call is answered only when it is
    /// interrupted: that is what a barrier does to each of them.</summary>
    internal static SyscallResult Membarrier(Task task, in SyscallArgs args)
    {
        ThreadGroup group = task.Group;
        if (args.I1 != 0)
            return Errno.EINVAL;
        switch (args.I0)
        {
            case BarrierQuery:
                return BarrierGlobal | BarrierGlobalExpedited | BarrierRegisterGlobal | BarrierPrivate | BarrierRegisterPrivate | BarrierSyncCore | BarrierRegisterSyncCore | BarrierGetRegistrations;
            case BarrierRegisterGlobal or BarrierRegisterPrivate or BarrierRegisterSyncCore:
                group.BarrierRegistrations |= args.I0;
                return SyscallResult.Ok;
            case BarrierGetRegistrations:
                return group.BarrierRegistrations;
            case BarrierPrivate when (group.BarrierRegistrations & BarrierRegisterPrivate) == 0:
            case BarrierSyncCore when (group.BarrierRegistrations & BarrierRegisterSyncCore) == 0:
                return Errno.EPERM;
            case BarrierPrivate or BarrierSyncCore:
                Interrupt(task, group.Tasks);
                return SyscallResult.Ok;
            case BarrierGlobal:
                Interrupt(task, task.Kernel.Tasks.Values);
                return SyscallResult.Ok;
            case BarrierGlobalExpedited:
                Interrupt(task, task.Kernel.Tasks.Values.Where(static t => (t.Group.BarrierRegistrations & BarrierRegisterGlobal) != 0));
                return SyscallResult.Ok;
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>Stops each running thread for a moment: it has entered the host kernel and left it again, with a full barrier both ways, before this call returns.</summary>
    private static void Interrupt(Task caller, IEnumerable<Task> tasks)
    {
        foreach (Task other in tasks.ToArray())
        {
            if (ReferenceEquals(other, caller) || other.State != TaskState.Running || other.Thread.State != GuestThreadState.Running)
                continue;
            other.Thread.Stop();
            caller.Kernel.Dispatcher.ResumeStopped(other);
        }
    }

}
