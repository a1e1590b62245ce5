namespace Sentry.Kernel.Memory;

/// <summary>What mmap(2) was asked for, checked.</summary>
public readonly record struct MapRequest
{
    public ulong Address { get; init; }

    /// <summary>A multiple of the page size, not 0.</summary>
    public ulong Length { get; init; }

    public MemoryProtection Protection { get; init; }

    public bool Shared { get; init; }

    /// <summary>MAP_FIXED; the address is page-aligned.</summary>
    public bool Fixed { get; init; }

    /// <summary>MAP_FIXED_NOREPLACE.</summary>
    public bool NoReplace { get; init; }

    public bool NoReserve { get; init; }

    /// <summary>Null: zero-filled private memory.</summary>
    public FileObject? File { get; init; }

    public ulong FileOffset { get; init; }

    public AreaKind Kind { get; init; }

    public AreaFlags Flags { get; init; }
}

/// <summary>Changes of an address space: each keeps the areas and the host's mappings in step. Host changes are queued on the calling thread
/// and made before it runs on.</summary>
public static class Mappings
{
    public const ulong PageSize = 4096;

    /// <summary>Lowest address given out or accepted (vm.mmap_min_addr).</summary>
    public const ulong LowestAddress = 0x10000;

    /// <summary>As vm.max_map_count; the host has the same limit and needs some for itself.</summary>
    public const int MaxAreas = 60000;

    private const ulong HugePageSize = 2 << 20;

    public static ulong RoundUp(ulong value) => (value + PageSize - 1) & ~(PageSize - 1);

    /// <summary>Maps; returns the address.</summary>
    public static Result<ulong> Map(MemoryManager memory, IGuestThread on, in MapRequest request)
    {
        ulong address = request.Address;
        if (request.Length > memory.Limit)
            return Errno.ENOMEM;
        if (memory.Areas.Count >= MaxAreas)
            return Errno.ENOMEM;
        if (request.Fixed || request.NoReplace)
        {
            if ((address & (PageSize - 1)) != 0)
                return Errno.EINVAL;
            if (address > memory.Limit - request.Length)
                return Errno.ENOMEM;
            if (address < LowestAddress)
                return Errno.EPERM;
            if (request.NoReplace && memory.Areas.Overlaps(address, address + request.Length))
                return Errno.EEXIST;
            if (IsSealed(memory, address, address + request.Length))
                return Errno.EPERM;
        }
        else
        {
            address = Place(memory, on, address & ~(PageSize - 1), request.Length);
            if (address == 0)
                return Errno.ENOMEM;
        }

        List<HostExtent> extents = [];
        if (request.File is not null)
        {
            Errno error = request.File.GetHostExtents(request.FileOffset, request.Length, request.Shared, (request.Protection & MemoryProtection.Write) != 0 || request.File.CanWrite, extents);
            if (error != Errno.None)
                return error;
        }

        Forget(memory, address, address + request.Length);
        var area = new Area(address, address + request.Length, request.Protection, request.Shared, request.File, request.FileOffset, request.Kind) { NoReserve = request.NoReserve, Flags = request.Flags | memory.FutureFlags };
        request.File?.AddReference();
        memory.Areas.Insert(area);
        QueueMap(on, address, request.Length, request.Protection, request.Shared, request.FileOffset, extents, request.File is not null);
        return address;
    }

    /// <summary>Where a mapping of that length would go without a hint; 0 when there is no room.</summary>
    public static ulong FindPlace(MemoryManager memory, IGuestThread on, ulong length) => Place(memory, on, 0, length);

    /// <summary>munmap(2) of a checked range.</summary>
    public static Errno Unmap(MemoryManager memory, IGuestThread on, ulong start, ulong length)
    {
        if (!memory.Areas.Overlaps(start, start + length))
            return Errno.None;
        if (IsSealed(memory, start, start + length))
            return Errno.EPERM;
        if (memory.Areas.Count >= MaxAreas && memory.Areas.Find(start) is { } cut && cut.Start < start && cut.End > start + length)
            return Errno.ENOMEM;
        Forget(memory, start, start + length);
        memory.AddLeaving(start, start + length, on);
        on.Queue(MemoryOperation.Unmap(start, length));
        return Errno.None;
    }

    /// <summary>mprotect(2) of a checked range: ENOMEM at a gap, EACCES where the file does not allow it.</summary>
    public static Errno Protect(MemoryManager memory, IGuestThread on, ulong start, ulong length, MemoryProtection protection)
    {
        ulong end = start + length;
        if (!memory.Areas.Covers(start, end))
            return Errno.ENOMEM;
        if (IsSealed(memory, start, end))
            return Errno.EPERM;
        if ((protection & MemoryProtection.Write) != 0)
        {
            for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
            {
                if (memory.Areas[i] is { IsShared: true, File.CanWrite: false })
                    return Errno.EACCES;
            }
        }

        (int index, int count) = memory.Areas.Isolate(start, end);
        on.Queue(MemoryOperation.Protect(start, length, protection));
        for (int i = index; i < index + count; i++)
        {
            memory.Areas[i].Protection = protection;
            CutMappings.CloseBehindEnd(on, memory.Areas[i]);
        }

        memory.Areas.MergeAround(start, end);
        return Errno.None;
    }

    /// <summary>mremap(2) of a checked range; flags: 1 MAYMOVE, 2 FIXED, 4 DONTUNMAP.</summary>
    public static Result<ulong> Remap(MemoryManager memory, IGuestThread on, ulong old, ulong oldLength, ulong newLength, int flags, ulong newAddress)
    {
        bool mayMove = (flags & 1) != 0, isFixed = (flags & 2) != 0, keeps = (flags & 4) != 0;
        Area? area = memory.Areas.Find(old);
        if (area is not null && IsSealed(memory, old, old + oldLength))
            return Errno.EPERM;
        if (area is null || old + oldLength > area.End)
            return Errno.EFAULT;
        if (keeps && (area.IsShared || area.File is not null))
            return Errno.EINVAL;
        if (isFixed)
        {
            if ((newAddress & (PageSize - 1)) != 0 || newAddress < LowestAddress || newAddress > memory.Limit - newLength
                || (newAddress < old + oldLength && old < newAddress + newLength))
                return Errno.EINVAL;
            Errno cleared = Unmap(memory, on, newAddress, newLength);
            if (cleared != Errno.None)
                return cleared;
            if (newLength < oldLength)
            {
                Unmap(memory, on, old + newLength, oldLength - newLength);
                oldLength = newLength;
            }

            return Move(memory, on, old, oldLength, newLength, newAddress, keeps);
        }

        if (keeps)
        {
            ulong free = Place(memory, on, 0, newLength);
            return free == 0 ? Errno.ENOMEM : Move(memory, on, old, oldLength, newLength, free, keeps);
        }

        if (newLength <= oldLength)
        {
            if (newLength < oldLength)
                Unmap(memory, on, old + newLength, oldLength - newLength);
            return old;
        }

        ulong growth = newLength - oldLength;
        if (old + oldLength == area.End && area.End <= memory.Limit - growth && !memory.Areas.Overlaps(area.End, area.End + growth))
        {
            Errno error = Extend(memory, on, area, area.End, growth);
            return error == Errno.None ? old : error;
        }

        if (!mayMove)
            return Errno.ENOMEM;
        ulong place = Place(memory, on, 0, newLength);
        return place == 0 ? Errno.ENOMEM : Move(memory, on, old, oldLength, newLength, place, keeps);
    }

    /// <summary>brk(2): returns the break as it is afterwards.</summary>
    public static ulong SetBreak(MemoryManager memory, IGuestThread on, ulong wanted, ulong dataLimit)
    {
        if (wanted < memory.BreakStart || wanted > memory.Limit || wanted - memory.BreakStart > dataLimit)
            return memory.Break;
        ulong oldEnd = RoundUp(memory.Break), newEnd = RoundUp(wanted);
        if (newEnd < oldEnd)
        {
            if (Unmap(memory, on, newEnd, oldEnd - newEnd) != Errno.None)
                return memory.Break;
        }
        else if (newEnd > oldEnd)
        {
            if (memory.Areas.Overlaps(oldEnd, newEnd) || memory.Areas.Count >= MaxAreas)
                return memory.Break;
            memory.Areas.Insert(new Area(oldEnd, newEnd, MemoryProtection.Read | MemoryProtection.Write, false, null, 0, AreaKind.Heap) { Flags = memory.FutureFlags });
            on.Queue(MemoryOperation.Map(oldEnd, newEnd - oldEnd, MemoryProtection.Read | MemoryProtection.Write, MemorySource.Anonymous));
        }

        memory.Break = wanted;
        return wanted;
    }

    /// <summary>Sets and clears flags in a covered range.</summary>
    public static void SetFlags(MemoryManager memory, ulong start, ulong end, AreaFlags set, AreaFlags clear)
    {
        (int index, int count) = memory.Areas.Isolate(start, end);
        for (int i = index; i < index + count; i++)
            memory.Areas[i].Flags = (memory.Areas[i].Flags & ~clear) | set;
        memory.Areas.MergeAround(start, end);
    }

    /// <summary>Whether anything in a range is sealed (mseal(2)).</summary>
    public static bool IsSealed(MemoryManager memory, ulong start, ulong end)
    {
        for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
        {
            if (memory.Areas[i].Has(AreaFlags.Sealed))
                return true;
        }

        return false;
    }

    /// <summary>What MADV_DONTFORK and MADV_WIPEONFORK keep from a child; its thread is Stopped.</summary>
    public static void ApplyForkAdvice(MemoryManager child, IGuestThread on)
    {
        List<Area>? advised = null;
        foreach (Area area in child.Areas.All)
        {
            if (area.Has(AreaFlags.DontFork | AreaFlags.WipeOnFork))
                (advised ??= []).Add(area);
        }

        foreach (Area area in advised ?? [])
        {
            (ulong start, ulong length) = (area.Start, area.Length);
            if (area.Has(AreaFlags.DontFork))
            {
                Forget(child, start, start + length);
                on.Queue(MemoryOperation.Unmap(start, length));
                continue;
            }

            child.ImageRanges.Remove(start, start + length);
            on.Queue(MemoryOperation.Map(start, length, area.Protection, MemorySource.Anonymous));
        }
    }

    /// <summary>The area that grows down to an address (MAP_GROWSDOWN), grown; null when there is none or it would come too near to another mapping.</summary>
    public static Area? GrowDown(MemoryManager memory, IGuestThread on, ulong address, ulong stackLimit)
    {
        const ulong guardGap = 256 * PageSize;
        ulong start = address & ~(PageSize - 1);
        int i = memory.Areas.FirstEndingAfter(address);
        if (i >= memory.Areas.Count || !memory.Areas[i].Has(AreaFlags.GrowsDown))
            return null;
        Area area = memory.Areas[i];
        if (area.End - start > stackLimit || start < LowestAddress)
            return null;
        if (i > 0 && memory.Areas[i - 1] is { } below && below.Protection != MemoryProtection.None && start < below.End + guardGap && !below.Has(AreaFlags.GrowsDown))
            return null;
        on.Queue(MemoryOperation.Map(start, area.Start - start, area.Protection, MemorySource.Anonymous));
        area.Start = start;
        return area;
    }

    /// <summary>MADV_DONTNEED: private memory goes back to zeros or to the file's content.</summary>
    public static void Discard(MemoryManager memory, IGuestThread on, ulong start, ulong end)
    {
        if (!memory.ImageRanges.Overlaps(start, end))
        {
            AdviseHost(memory, on, start, end, 4);
            return;
        }

        // Pages of the image would come back as the image has them: map what was there before the restore.
        memory.ImageRanges.Remove(start, end);
        for (int i = memory.Areas.FirstEndingAfter(start); i < memory.Areas.Count && memory.Areas[i].Start < end; i++)
        {
            Area area = memory.Areas[i];
            ulong from = Math.Max(start, area.Start);
            MapOnHost(on, area, from, Math.Min(end, area.End) - from);
        }
    }

    /// <summary>Gives the host advice about what is mapped in a range: it refuses a range with a hole in it.</summary>
    internal static void AdviseHost(MemoryManager memory, IGuestThread on, ulong start, ulong end, int advice)
    {
        int i = memory.Areas.FirstEndingAfter(start);
        while (i < memory.Areas.Count && memory.Areas[i].Start < end)
        {
            ulong from = Math.Max(start, memory.Areas[i].Start), to = memory.Areas[i].End;
            for (i++; i < memory.Areas.Count && memory.Areas[i].Start == to && to < end; i++)
                to = memory.Areas[i].End;
            on.Queue(MemoryOperation.Advise(from, Math.Min(end, to) - from, advice));
        }
    }

    /// <summary>Has the host map [start, start+length) of an area anew, from its source.</summary>
    public static Errno MapOnHost(IGuestThread on, Area area, ulong start, ulong length)
    {
        List<HostExtent> extents = [];
        if (area.File is not null)
        {
            Errno error = area.File.GetHostExtents(area.OffsetOf(start), length, area.IsShared, (area.Protection & MemoryProtection.Write) != 0 || area.File.CanWrite, extents);
            if (error != Errno.None)
                return error;
        }

        QueueMap(on, start, length, area.Protection, area.IsShared, area.File is null ? 0 : area.OffsetOf(start), extents, area.File is not null);
        return Errno.None;
    }

    private static void QueueMap(IGuestThread on, ulong start, ulong length, MemoryProtection protection, bool shared, ulong fileOffset, List<HostExtent> extents, bool isFile)
    {
        if (!isFile)
        {
            on.Queue(MemoryOperation.Map(start, length, protection, MemorySource.Anonymous));
            return;
        }

        // What lies beyond the end of the file is mapped inaccessible; touching it faults and the kernel sends SIGBUS.
        ulong at = fileOffset, end = fileOffset + length;
        foreach (HostExtent extent in extents)
        {
            if (extent.FileOffset > at)
                on.Queue(MemoryOperation.Map(start + (at - fileOffset), extent.FileOffset - at, MemoryProtection.None, MemorySource.Anonymous));
            on.Queue(MemoryOperation.Map(start + (extent.FileOffset - fileOffset), extent.Length, protection, new MemorySource(extent.HostDescriptor, extent.HostOffset, shared)));
            at = extent.FileOffset + extent.Length;
        }

        if (at < end)
            on.Queue(MemoryOperation.Map(start + (at - fileOffset), end - at, MemoryProtection.None, MemorySource.Anonymous));
    }

    private static ulong Place(MemoryManager memory, IGuestThread on, ulong hint, ulong length)
    {
        if (hint >= LowestAddress && hint <= memory.Limit - length && !memory.Areas.Overlaps(hint, hint + length) && memory.FindLeaving(hint, hint + length, on) == 0)
            return hint;
        ulong alignment = length >= HugePageSize ? HugePageSize : PageSize;
        ulong place = FindFree(memory, on, length, memory.MappingTop, alignment);
        return place != 0 ? place : FindFree(memory, on, length, memory.Limit, PageSize);
    }

    private static ulong FindFree(MemoryManager memory, IGuestThread on, ulong length, ulong high, ulong alignment)
    {
        while (high > LowestAddress)
        {
            ulong place = memory.Areas.FindFree(length, LowestAddress, high, alignment);
            if (place == 0)
                return 0;
            ulong leaving = memory.FindLeaving(place, place + length, on);
            if (leaving == 0)
                return place;
            high = leaving;
        }

        return 0;
    }

    private static void Forget(MemoryManager memory, ulong start, ulong end)
    {
        foreach (Area area in memory.Areas.Remove(start, end))
            area.File?.Release();
        memory.ImageRanges.Remove(start, end);
    }

    private static Errno Extend(MemoryManager memory, IGuestThread on, Area area, ulong at, ulong growth)
    {
        var extension = new Area(at, at + growth, area.Protection, area.IsShared, area.File, area.File is null ? 0 : area.OffsetOf(at), area.Kind) { NoReserve = area.NoReserve, Name = area.Name, Flags = area.Flags };
        Errno error = MapOnHost(on, extension, at, growth);
        if (error != Errno.None)
            return error;
        extension.File?.AddReference();
        memory.Areas.Insert(extension);
        return Errno.None;
    }

    private static Result<ulong> Move(MemoryManager memory, IGuestThread on, ulong old, ulong oldLength, ulong newLength, ulong place, bool keeps)
    {
        Area area = memory.Areas.Find(old)!;
        Area moved = area.Slice(old, old + oldLength);
        var target = new Area(place, place + oldLength, moved.Protection, moved.IsShared, moved.File, moved.FileOffset, AreaKind.Plain) { NoReserve = moved.NoReserve, Name = moved.Name, Flags = moved.Flags };

        // The host cuts mappings where the restored image begins and ends; each piece is moved by itself.
        ulong at = old;
        foreach (ImageRange range in memory.ImageRanges.Within(old, old + oldLength))
        {
            if (range.Start > at)
                on.Queue(MemoryOperation.Move(at, range.Start - at, place + (at - old), range.Start - at));
            on.Queue(MemoryOperation.Move(range.Start, range.End - range.Start, place + (range.Start - old), range.End - range.Start));
            at = range.End;
        }

        if (at < old + oldLength)
            on.Queue(MemoryOperation.Move(at, old + oldLength - at, place + (at - old), old + oldLength - at));
        foreach (Area gone in memory.Areas.Remove(old, old + oldLength))
            gone.File?.Release();
        memory.ImageRanges.Move(old, oldLength, place);
        memory.Areas.Insert(target);
        memory.AddLeaving(old, old + oldLength, on);
        if (keeps)
        {
            // MREMAP_DONTUNMAP: what was moved away reads as zeros.
            var emptied = new Area(old, old + oldLength, moved.Protection, false, null, 0, moved.Kind) { NoReserve = moved.NoReserve, Name = moved.Name, Flags = moved.Flags & ~AreaFlags.Locked };
            memory.Areas.Insert(emptied);
            on.Queue(MemoryOperation.Map(old, oldLength, emptied.Protection, MemorySource.Anonymous));
        }

        if (newLength > oldLength)
        {
            Errno error = Extend(memory, on, memory.Areas.Find(place)!, place + oldLength, newLength - oldLength);
            if (error != Errno.None)
                return error;
        }

        return place;
    }
}
