namespace Sentry.Kernel.Memory;

/// <summary>System calls: mmap, munmap, mprotect, mremap, brk, madvise, mincore, msync, mlock*, membarrier, process_vm_*.</summary>
internal static class MemorySyscalls
{
    private const int MapShared = 0x01, MapPrivate = 0x02, MapSharedValidate = 0x03, MapTypeMask = 0x0f, MapFixed = 0x10, MapAnonymous = 0x20,
        MapNoReserve = 0x4000, MapHugeTlb = 0x40000, MapFixedNoReplace = 0x100000;

    internal static SyscallResult Mmap(Task task, in SyscallArgs args)
    {
        int flags = args.I3, protection = args.I2;
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
        if ((flags & MapHugeTlb) != 0)
            return Errno.ENOMEM;
        FileObject? file = null;
        if ((flags & MapAnonymous) == 0)
        {
            if (!task.TryGetFile(args.I4, out file))
                return Errno.EBADF;
            if (!file.CanRead || (shared && (protection & 2) != 0 && (!file.CanWrite || (file.Flags & OpenFlags.Append) != 0)))
                return Errno.EACCES;
        }
        else if (shared)
        {
            Result<FileObject> made = task.Kernel.CreateSharedMemory((long)length);
            if (made.IsError)
                return made.Error;
            file = made.Value;
        }

        if (task.Group.Limits[ResourceLimits.As].Soft != ulong.MaxValue && TotalLength(task.Memory) + length > task.Group.Limits[ResourceLimits.As].Soft)
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
            FileOffset = (flags & MapAnonymous) != 0 ? 0 : args.A5,
        });
        file?.Release();
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
        if ((flags & 4) != 0)
            return Errno.EINVAL;
        if (oldLength == 0)
            return DuplicateShared(task, args.A0, newLength);
        Result<ulong> address = Mappings.Remap(task.Memory, task.Thread, args.A0, oldLength, newLength, flags, args.A4);
        return address.IsOk ? address.Value : address.Error;
    }

    internal static SyscallResult Brk(Task task, in SyscallArgs args) =>
        Mappings.SetBreak(task.Memory, task.Thread, args.A0, task.Group.Limits[ResourceLimits.Data].Soft);

    internal static SyscallResult Madvise(Task task, in SyscallArgs args)
    {
        ulong start = args.A0, end = start + Mappings.RoundUp(args.A1);
        if ((start & (Mappings.PageSize - 1)) != 0 || end < start || (args.A1 != 0 && end == start))
            return Errno.EINVAL;
        bool known = args.I2 is >= 0 and <= 4 or 8 or 9 or (>= 14 and <= 17) or (>= 20 and <= 25);
        if (!known)
            return Errno.EINVAL;
        if (end == start)
            return SyscallResult.Ok;
        if (end > task.Memory.Limit || !task.Memory.Areas.Covers(start, end))
            return Errno.ENOMEM;
        switch (args.I2)
        {
            case 4:
                Mappings.Discard(task.Memory, task.Thread, start, end);
                break;
            case 9:
                return Errno.EINVAL;
            case 14 or 15:
                task.Thread.Queue(MemoryOperation.Advise(start, end - start, args.I2));
                break;
        }

        return SyscallResult.Ok;
    }

    internal static SyscallResult Mincore(Task task, in SyscallArgs args)
    {
        ulong length = Mappings.RoundUp(args.A1);
        if ((args.A0 & (Mappings.PageSize - 1)) != 0)
            return Errno.EINVAL;
        if (args.A0 > task.Memory.Limit || length > task.Memory.Limit - args.A0 || !task.Memory.Areas.Covers(args.A0, args.A0 + length))
            return Errno.ENOMEM;
        byte[] resident = new byte[Math.Min(length / Mappings.PageSize, 65536)];
        Array.Fill(resident, (byte)1);
        for (ulong done = 0; done < length / Mappings.PageSize; done += (ulong)resident.Length)
        {
            int count = (int)Math.Min((ulong)resident.Length, (length / Mappings.PageSize) - done);
            if (!task.Memory.TryWriteAll(args.A2 + done, resident.AsSpan(0, count)))
                return Errno.EFAULT;
        }

        return SyscallResult.Ok;
    }

    internal static SyscallResult Msync(Task task, in SyscallArgs args)
    {
        ulong end = args.A0 + Mappings.RoundUp(args.A1);
        if ((args.A0 & (Mappings.PageSize - 1)) != 0 || (args.I2 & ~7) != 0 || (args.I2 & 5) == 5)
            return Errno.EINVAL;
        return end < args.A0 || !task.Memory.Areas.Covers(args.A0, end) ? Errno.ENOMEM : SyscallResult.Ok;
    }

    internal static SyscallResult Mlock(Task task, in SyscallArgs args)
    {
        ulong start = args.A0 & ~(Mappings.PageSize - 1), end = Mappings.RoundUp(args.A0 + args.A1);
        if (end < start)
            return Errno.EINVAL;
        return start == end || task.Memory.Areas.Covers(start, end) ? SyscallResult.Ok : Errno.ENOMEM;
    }

    internal static SyscallResult Mlock2(Task task, in SyscallArgs args) => (args.I2 & ~1) != 0 ? Errno.EINVAL : Mlock(task, args);

    internal static SyscallResult Munlock(Task task, in SyscallArgs args) => Mlock(task, args);

    internal static SyscallResult Mlockall(Task task, in SyscallArgs args) => args.I0 is 0 or 4 || (args.I0 & ~7) != 0 ? Errno.EINVAL : SyscallResult.Ok;

    internal static SyscallResult Munlockall(Task task, in SyscallArgs args) => SyscallResult.Ok;

    /// <summary>membarrier(2): the query says that no command is supported, as a kernel without them does.</summary>
    internal static SyscallResult Membarrier(Task task, in SyscallArgs args) => args.I0 == 0 ? SyscallResult.Ok : Errno.EINVAL;

    internal static SyscallResult SetMempolicy(Task task, in SyscallArgs args) => args.I0 is >= 0 and <= 5 ? SyscallResult.Ok : Errno.EINVAL;

    internal static SyscallResult Mbind(Task task, in SyscallArgs args) => args.I2 is >= 0 and <= 5 ? SyscallResult.Ok : Errno.EINVAL;

    internal static SyscallResult GetMempolicy(Task task, in SyscallArgs args)
    {
        if (args.A0 != 0 && !task.TryWrite(args.A0, 0))
            return Errno.EFAULT;
        if (args.A1 != 0)
        {
            byte[] mask = new byte[Math.Min((args.A2 + 7) / 8, 128)];
            if (mask.Length > 0)
                mask[0] = 1;
            if (!task.Memory.TryWriteAll(args.A1, mask))
                return Errno.EFAULT;
        }

        return SyscallResult.Ok;
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
        if (!task.Kernel.Tasks.TryGetValue(args.I0, out Task? other))
            return Errno.ESRCH;
        if (task.Credentials.EffectiveUid != 0 && task.Credentials.EffectiveUid != other.Credentials.Uid)
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

    private static ulong TotalLength(MemoryManager memory)
    {
        ulong total = 0;
        foreach (Area area in memory.Areas.All)
            total += area.Length;
        return total;
    }
}
