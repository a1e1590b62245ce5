namespace Sentry.Kernel.Memory;

/// <summary>System calls: mmap, munmap, mprotect, mremap, remap_file_pages, mseal, brk, process_vm_*.</summary>
internal static class MemorySyscalls
{
    private const int MapShared = 0x01, MapPrivate = 0x02, MapSharedValidate = 0x03, MapTypeMask = 0x0f, MapFixed = 0x10, MapAnonymous = 0x20,
        MapNoReserve = 0x4000, MapHugeTlb = 0x40000, MapFixedNoReplace = 0x100000, MapGrowsDown = 0x100, MapLocked = 0x2000, MapPopulate = 0x8000, MapNonBlock = 0x10000;

    /// <summary>The flags that MAP_SHARED_VALIDATE takes: those that were there before it, and none that this kernel lacks (MAP_SYNC).</summary>
    private const int MapLegacyMask = 0x1f | MapAnonymous | MapGrowsDown | 0x800 | 0x1000 | MapLocked | MapNoReserve | MapPopulate | MapNonBlock | 0x20000 | MapHugeTlb | MapFixedNoReplace | (0x3f << 26);

    internal static SyscallResult Mmap(Task task, in SyscallArgs args)
    {
        int flags = args.I3, protection = args.I2;
        FileObject? file = null;
        if ((flags & MapAnonymous) == 0 && (!task.TryGetFile(args.I4, out file) || file is PathFile))
            return Errno.EBADF;
        if (args.A1 == 0 || (args.A5 & (Mappings.PageSize - 1)) != 0)
            return Errno.EINVAL;
        ulong length = Mappings.RoundUp(args.A1);
        if (length == 0)
            return Errno.ENOMEM;
        if (args.A5 + length < args.A5)
            return Errno.EOVERFLOW;
        bool shared = (flags & MapTypeMask) is MapShared or MapSharedValidate;
        if (!shared && (flags & MapTypeMask) != MapPrivate)
            return Errno.EINVAL;
        if ((flags & MapTypeMask) == MapSharedValidate && (flags & ~MapLegacyMask) != 0)
            return Errno.EOPNOTSUPP;
        if ((flags & MapHugeTlb) != 0)
            return Errno.ENOMEM;
        if (file is not null)
        {
            if (!file.CanRead || (shared && (protection & 2) != 0 && (!file.CanWrite || (file.Flags & OpenFlags.Append) != 0)))
                return Errno.EACCES;
        }

        // A mapping of /dev/zero is anonymous memory, shared or not.
        bool anonymous = file is null or MemoryDevice { IsZero: true };
        if (anonymous && shared)
        {
            Result<FileObject> made = task.Kernel.CreateSharedMemory((long)length);
            if (made.IsError)
                return made.Error;
            if (file is { CanWrite: false })
                made.Value.Flags &= ~OpenFlags.AccessMode;
            file = made.Value;
        }
        else if (anonymous)
        {
            file = null;
        }

        AreaFlags kept = ((flags & MapLocked) != 0 ? AreaFlags.Locked : 0) | ((flags & MapGrowsDown) != 0 && !shared ? AreaFlags.GrowsDown : 0);
        Errno locking = MemoryLockSyscalls.CheckLimit(task, (flags & MapLocked) != 0, length);
        if (locking != Errno.None)
            return locking;

        if (IsOverLimit(task, length, isData: !shared && (protection & 2) != 0))
            return Errno.ENOMEM;
        file?.AddReference();
        Result<ulong> address = Mappings.Map(task.Memory, task.Thread, new MapRequest
        {
            Address = args.A0,
            Length = length,
            Protection = Protection(protection),
            Shared = shared,
            Fixed = (flags & MapFixed) != 0,
            NoReplace = (flags & MapFixedNoReplace) != 0,
            NoReserve = (flags & MapNoReserve) != 0,
            File = file,
            FileOffset = anonymous ? 0 : args.A5,
            Flags = kept,
        });
        file?.Release();
        if (address.IsOk && (flags & (MapPopulate | MapNonBlock)) == MapPopulate)
            AdviceSyscalls.Populate(task, address.Value, address.Value + length);
        return address.IsOk ? address.Value : address.Error;
    }

    internal static SyscallResult Munmap(Task task, in SyscallArgs args)
    {
        ulong length = Mappings.RoundUp(args.A1);
        if ((args.A0 & (Mappings.PageSize - 1)) != 0 || args.A1 == 0 || length == 0 || args.A0 > task.Memory.Limit || length > task.Memory.Limit - args.A0)
            return Errno.EINVAL;
        return Mappings.Unmap(task.Memory, task.Thread, args.A0, length);
    }

    internal static SyscallResult Mprotect(Task task, in SyscallArgs args)
    {
        const int growsDown = 0x01000000, growsUp = 0x02000000;
        ulong length = Mappings.RoundUp(args.A1);
        if ((args.A0 & (Mappings.PageSize - 1)) != 0 || (args.I2 & ~(7 | growsDown | growsUp | 8)) != 0)
            return Errno.EINVAL;
        if (length == 0)
            return args.A1 == 0 ? SyscallResult.Ok : Errno.ENOMEM;
        if (args.A0 > task.Memory.Limit || length > task.Memory.Limit - args.A0)
            return Errno.ENOMEM;
        return Mappings.Protect(task.Memory, task.Thread, args.A0, length, Protection(args.I2));
    }

    internal static SyscallResult Mremap(Task task, in SyscallArgs args)
    {
        int flags = args.I3;
        ulong oldLength = Mappings.RoundUp(args.A1), newLength = Mappings.RoundUp(args.A2);
        if ((flags & ~7) != 0 || (args.A0 & (Mappings.PageSize - 1)) != 0 || newLength == 0 || ((flags & 2) != 0 && (flags & 1) == 0)
            || ((flags & 4) != 0 && ((flags & 1) == 0 || oldLength != newLength)))
            return Errno.EINVAL;
        if (newLength > task.Memory.Limit || args.A0 > task.Memory.Limit || oldLength > task.Memory.Limit - args.A0)
            return Errno.ENOMEM;
        if (oldLength == 0)
            return DuplicateShared(task, args.A0, newLength);
        if (newLength > oldLength && task.Memory.Areas.Find(args.A0) is { } area
            && IsOverLimit(task, newLength - oldLength, isData: !area.IsShared && (area.Protection & MemoryProtection.Write) != 0))
            return Errno.ENOMEM;
        Result<ulong> address = Mappings.Remap(task.Memory, task.Thread, args.A0, oldLength, newLength, flags, args.A4);
        return address.IsOk ? address.Value : address.Error;
    }

    /// <summary>remap_file_pages(2): as Linux since 4.0, a mapping of its own for the pages.</summary>
    internal static SyscallResult RemapFilePages(Task task, in SyscallArgs args)
    {
        ulong start = args.A0 & ~(Mappings.PageSize - 1), length = args.A1 & ~(Mappings.PageSize - 1);
        if (args.A2 != 0 || start + length <= start || args.A3 > ulong.MaxValue / Mappings.PageSize)
            return Errno.EINVAL;
        if (task.Memory.Areas.Find(start) is not { IsShared: true, File: { } file } area)
            return Errno.EINVAL;

        // Pieces that were remapped before may lie side by side, all of the same file.
        for (ulong at = start; at < start + length;)
        {
            if (task.Memory.Areas.Find(at) is not { } piece || !ReferenceEquals(piece.File, file))
                return Errno.EINVAL;
            at = piece.End;
        }

        Result<ulong> made = Mappings.Map(task.Memory, task.Thread, new MapRequest
        {
            Address = start,
            Length = length,
            Protection = area.Protection,
            Shared = true,
            Fixed = true,
            File = file,
            FileOffset = args.A3 * Mappings.PageSize,
            Flags = area.Flags,
        });
        return made.IsOk ? SyscallResult.Ok : made.Error;
    }

    /// <summary>mseal(2).</summary>
    internal static SyscallResult Mseal(Task task, in SyscallArgs args)
    {
        ulong end = args.A0 + Mappings.RoundUp(args.A1);
        if (args.A2 != 0 || (args.A0 & (Mappings.PageSize - 1)) != 0 || end < args.A0 || Mappings.RoundUp(args.A1) < args.A1)
            return Errno.EINVAL;
        if (end == args.A0)
            return SyscallResult.Ok;
        if (end > task.Memory.Limit || !task.Memory.Areas.Covers(args.A0, end))
            return Errno.ENOMEM;
        Mappings.SetFlags(task.Memory, args.A0, end, AreaFlags.Sealed, AreaFlags.None);
        return SyscallResult.Ok;
    }

    internal static SyscallResult Brk(Task task, in SyscallArgs args)
    {
        ulong now = Mappings.RoundUp(task.Memory.Break), wanted = Mappings.RoundUp(args.A0);
        if (wanted > now && IsOverLimit(task, wanted - now, isData: true))
            return task.Memory.Break;
        return Mappings.SetBreak(task.Memory, task.Thread, args.A0, task.Group.Limits[ResourceLimits.Data].Soft);
    }

    internal static SyscallResult ProcessVmReadv(Task task, in SyscallArgs args) => ProcessVm(task, args, write: false);

    internal static SyscallResult ProcessVmWritev(Task task, in SyscallArgs args) => ProcessVm(task, args, write: true);

    /// <summary>Reads an iovec array: EINVAL beyond IOV_MAX or when the lengths do not fit, EFAULT.</summary>
    internal static Result<IoVector[]> ReadVectors(MemoryManager memory, ulong address, ulong count)
    {
        if (count > 1024)
            return Errno.EINVAL;
        var vectors = new IoVector[count];
        ulong total = 0;
        for (ulong i = 0; i < count; i++)
        {
            if (!memory.TryRead(address + (i * 16), out ulong start) || !memory.TryRead(address + (i * 16) + 8, out ulong length))
                return Errno.EFAULT;
            if (length > long.MaxValue || total + length > long.MaxValue)
                return Errno.EINVAL;
            total += length;
            vectors[i] = new IoVector(start, length);
        }

        return vectors;
    }

    private static SyscallResult ProcessVm(Task task, in SyscallArgs args, bool write)
    {
        if (args.A5 != 0)
            return Errno.EINVAL;
        if (!task.Kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(args.I0), out Task? other))
            return Errno.ESRCH;
        if (!PtraceAccess.MayAttach(task, other))
            return Errno.EPERM;
        Result<IoVector[]> local = ReadVectors(task.Memory, args.A1, args.A2), remote = ReadVectors(task.Memory, args.A3, args.A4);
        if (local.IsError || remote.IsError)
            return local.IsError ? local.Error : remote.Error;
        var here = new UserBuffer(task.Memory, local.Value);
        var there = new UserBuffer(other.Memory, remote.Value);
        (UserBuffer from, UserBuffer to) = write ? (here, there) : (there, here);
        byte[] chunk = new byte[(int)Math.Min(65536, Math.Max(1, Math.Min(from.Length, to.Length)))];
        long done = 0;
        while (done < Math.Min(from.Length, to.Length))
        {
            int got = from.CopyIn(chunk.AsSpan(0, (int)Math.Min(chunk.Length, Math.Min(from.Length, to.Length) - done)), done);
            int put = to.CopyOut(chunk.AsSpan(0, got), done);
            done += put;
            if (put == 0 || put < chunk.Length)
                break;
        }

        return done == 0 && Math.Min(from.Length, to.Length) > 0 ? Errno.EFAULT : done;
    }

    /// <summary>mremap with an old length of 0: a second mapping of the same shared pages.</summary>
    private static SyscallResult DuplicateShared(Task task, ulong address, ulong length)
    {
        if (task.Memory.Areas.Find(address) is not { IsShared: true } area)
            return Errno.EINVAL;
        Result<ulong> made = Mappings.Map(task.Memory, task.Thread, new MapRequest { Length = length, Protection = area.Protection, Shared = true, File = area.File, FileOffset = area.OffsetOf(address) });
        return made.IsOk ? made.Value : made.Error;
    }

    private static MemoryProtection Protection(int bits) => (MemoryProtection)(bits & 7);

    /// <summary>Whether more memory would be beyond RLIMIT_AS, or RLIMIT_DATA, which counts what is private and writable (getrlimit(2)).</summary>
    private static bool IsOverLimit(Task task, ulong added, bool isData)
    {
        ulong all = task.Group.Limits[ResourceLimits.As].Soft, data = isData ? task.Group.Limits[ResourceLimits.Data].Soft : ulong.MaxValue;
        if (all == ulong.MaxValue && data == ulong.MaxValue)
            return false;
        ulong total = added, writable = added;
        foreach (Area area in task.Memory.Areas.All)
        {
            total += area.Length;
            if (!area.IsShared && (area.Protection & MemoryProtection.Write) != 0 && area.Kind != AreaKind.Stack)
                writable += area.Length;
        }

        return total > all || writable > data;
    }
}
