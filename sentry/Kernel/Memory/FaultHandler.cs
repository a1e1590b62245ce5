namespace Sentry.Kernel.Memory;

/// <summary>Page faults and other exceptions of guest code.</summary>
internal static class FaultHandler
{
    /// <summary>Maps file pages that came into being after the mapping was made; true when the instruction can be tried again.</summary>
    public static bool TryResolve(Task task, in GuestFault fault)
    {
        if (fault.Signal != Signal.SIGSEGV)
            return false;
        if (task.Memory.Areas.Find(fault.Address) is not { } found)
        {
            return Mappings.GrowDown(task.Memory, task.Thread, fault.Address, task.Group.Limits[ResourceLimits.Stack].Soft) is not null
                && task.Thread.Flush() == Errno.None;
        }

        if (found is not { File: { } file } area)
            return false;
        ulong page = fault.Address & ~(Mappings.PageSize - 1), offset = area.OffsetOf(page);
        MemoryProtection needed = (fault.ErrorCode & 2) != 0 ? MemoryProtection.Write : (fault.ErrorCode & 16) != 0 ? MemoryProtection.Execute : MemoryProtection.Read;
        if ((area.Protection & needed) == 0 || !LiesWithin(file, offset))
            return false;

        // The page was inaccessible because the file ended before it; once only, or a fault that stays would loop.
        if (fault.Code != SignalCode.SEGV_ACCERR)
            return false;
        // Another thread that came first may have had it mapped meanwhile, and have a private copy there that is not to be lost.
        if (task.Memory.Space.TryRead32(page, out _))
            return true;
        return Mappings.MapOnHost(task.Thread, area, page, Mappings.PageSize) == Errno.None && task.Thread.Flush() == Errno.None;
    }

    /// <summary>The fault as the guest is to see it: SIGBUS for a page beyond the end of its file, else as the processor said.</summary>
    public static GuestFault Describe(Task task, in GuestFault fault)
    {
        if (fault.Signal == Signal.SIGSEGV && fault.Code == SignalCode.SEGV_ACCERR && task.Memory.Areas.Find(fault.Address) is { File: { } file } area
            && area.Protection != MemoryProtection.None && !LiesWithin(file, area.OffsetOf(fault.Address & ~(Mappings.PageSize - 1))))
            return fault with { Signal = Signal.SIGBUS, Code = SignalCode.BUS_ADRERR };
        return fault;
    }

    private static bool LiesWithin(FileObject file, ulong offset)
    {
        Result<FileStatus> status = file.GetStatus();
        return status.IsOk && offset < (ulong)status.Value.Size;
    }
}
