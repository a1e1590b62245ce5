using System.Buffers.Binary;

namespace Sentry.Kernel.Ipc;

/// <summary>System calls: shmget, shmat, shmdt, shmctl.</summary>
internal static class ShmSyscalls
{
    private const int LockCommand = 11, UnlockCommand = 12, StatCommand = 13, InfoCommand = 14, StatAnyCommand = 15;
    private const int SegmentSize = 112;

    internal static SyscallResult Shmget(Task task, in SyscallArgs args)
    {
        const int hugeTlb = 0x800;
        ulong size = args.A1;
        int key = args.I0, flags = args.I2;
        IpcNamespace ipc = task.Ipc;
        if (!ipc.Segments.FindKey(task, key, flags).TryGet(out IpcObject? there, out Errno error))
            return error;
        if (there is SharedSegment found)
        {
            if (size > (ulong)found.Size)
                return Errno.EINVAL;
            return found.Permits(task, (uint)flags & 0x1FF) ? found.Id : Errno.EACCES;
        }

        if (size < 1 || size > ipc.SegmentSizeLimit)
            return Errno.EINVAL;
        if ((flags & hugeTlb) != 0)
            return task.Credentials.Has(Capability.CAP_IPC_LOCK) ? Errno.ENOMEM : Errno.EPERM;
        ulong pages = (size + Mappings.PageSize - 1) / Mappings.PageSize;
        foreach (IpcObject other in ipc.Segments.Objects.Values)
            pages += (ulong)((SharedSegment)other).Pages;
        if (pages > ipc.SegmentPageLimit)
            return Errno.ENOSPC;
        if (ipc.Segments.Objects.Count >= ipc.Segments.Limit)
            return Errno.ENOSPC;
        if (!SharedSegment.Make(task, key, flags, ipc, size).TryGet(out SharedSegment? made, out error))
            return error;
        return ipc.Segments.Add(made);
    }

    internal static SyscallResult Shmat(Task task, in SyscallArgs args)
    {
        const int readOnly = 0x1000, round = 0x2000, remap = 0x4000, execute = 0x8000;
        int flags = args.I2;
        ulong address = args.A1;
        if (args.I0 < 0)
            return Errno.EINVAL;
        if ((address & (Mappings.PageSize - 1)) != 0)
        {
            if ((flags & round) == 0)
                return Errno.EINVAL;
            address &= ~(Mappings.PageSize - 1);
        }

        if (address == 0 && (flags & remap) != 0)
            return Errno.EINVAL;
        if (!task.Ipc.Segments.Find<SharedSegment>(args.I0).TryGet(out SharedSegment? segment, out Errno error))
            return error;
        uint wanted = IpcObject.ReadPermission;
        MemoryProtection protection = MemoryProtection.Read;
        if ((flags & readOnly) == 0)
        {
            wanted |= IpcObject.WritePermission;
            protection |= MemoryProtection.Write;
        }

        if ((flags & execute) != 0)
        {
            wanted |= 0x49;
            protection |= MemoryProtection.Execute;
        }

        if (!segment.Permits(task, wanted))
            return Errno.EACCES;
        ulong length = Mappings.RoundUp((ulong)segment.Size);
        if (address != 0 && (flags & remap) == 0 && (address > task.Memory.Limit - length || task.Memory.Areas.Overlaps(address, address + length)))
            return Errno.EINVAL;
        if (!segment.Open((flags & readOnly) == 0).TryGet(out FileObject? file, out error))
            return error;
        file.AddReference();
        Result<ulong> mapped = Mappings.Map(task.Memory, task.Thread, new MapRequest
        {
            Address = address,
            Length = length,
            Protection = protection,
            Shared = true,
            Fixed = address != 0,
            File = file,
        });
        if (mapped.IsOk)
            segment.OnAttached(task);
        file.Release();
        return mapped.IsOk ? mapped.Value : mapped.Error == Errno.EPERM ? Errno.EINVAL : mapped.Error;
    }

    internal static SyscallResult Shmdt(Task task, in SyscallArgs args)
    {
        ulong address = args.A0;
        if ((address & (Mappings.PageSize - 1)) != 0)
            return Errno.EINVAL;
        if (FindAttachment(task.Memory, address, address, null) is not { } first)
            return Errno.EINVAL;

        // Protection or remapping may have cut the attachment in pieces: those of the same segment at their places belong to it.
        SharedSegment segment = first.Segment;
        ulong end = address + Mappings.RoundUp((ulong)segment.Size);
        segment.OnDetached(task);
        for (ulong at = address; FindAttachment(task.Memory, address, at, segment) is { } piece && piece.Area.Start < end;)
        {
            (ulong start, ulong length) = (piece.Area.Start, piece.Area.Length);
            at = start + length;
            Mappings.Unmap(task.Memory, task.Thread, start, length);
        }

        return SyscallResult.Ok;
    }

    /// <summary>The first area from an address on that maps a segment (that one, when given) as attached at <paramref name="attachedAt"/>.</summary>
    private static (Area Area, SharedSegment Segment)? FindAttachment(MemoryManager memory, ulong attachedAt, ulong from, SharedSegment? wanted)
    {
        for (int i = memory.Areas.FirstEndingAfter(from); i < memory.Areas.Count; i++)
        {
            Area area = memory.Areas[i];
            if (area.File is not InodeFile { Inode: SegmentFile file } || area.Start - attachedAt != area.FileOffset)
            {
                if (wanted is null)
                    return null;
                continue;
            }

            if (wanted is null || ReferenceEquals(file.Segment, wanted))
                return (area, file.Segment);
        }

        return null;
    }

    internal static SyscallResult Shmctl(Task task, in SyscallArgs args)
    {
        int id = args.I0, command = args.I1;
        ulong buffer = args.A2;
        if (id < 0 || command < 0)
            return Errno.EINVAL;
        switch (command)
        {
            case IpcObject.Info:
                return WriteLimits(task, buffer);
            case InfoCommand:
                return WriteUse(task, buffer);
            case IpcObject.Stat or StatCommand or StatAnyCommand:
                return Describe(task, id, command, buffer);
            case IpcObject.Set or IpcObject.Remove or LockCommand or UnlockCommand:
                break;
            default:
                return Errno.EINVAL;
        }

        byte[] wanted = new byte[IpcObject.PermissionSize];
        if (command == IpcObject.Set && !task.Memory.TryReadAll(buffer, wanted))
            return Errno.EFAULT;
        if (!task.Ipc.Segments.Find<SharedSegment>(id).TryGet(out SharedSegment? segment, out Errno error))
            return error;
        if (command is LockCommand or UnlockCommand)
            return SetLocked(task, segment, command == LockCommand);
        if (!segment.IsOwner(task))
            return Errno.EPERM;
        if (command == IpcObject.Set)
            return segment.SetOwner(task, wanted);
        segment.Destroy();
        return SyscallResult.Ok;
    }

    private static SyscallResult SetLocked(Task task, SharedSegment segment, bool locked)
    {
        Credentials credentials = task.Credentials;
        if (!credentials.HasIn(task.Ipc.Owner, Capability.CAP_IPC_LOCK))
        {
            if (credentials.EffectiveUid != segment.Uid && credentials.EffectiveUid != segment.CreatorUid)
                return Errno.EPERM;
            if (locked && task.Group.Limits[ResourceLimits.MemLock].Soft == 0)
                return Errno.EPERM;
        }

        segment.Mode = locked ? segment.Mode | SharedSegment.Locked : segment.Mode & ~SharedSegment.Locked;
        return SyscallResult.Ok;
    }

    private static SyscallResult Describe(Task task, int id, int command, ulong buffer)
    {
        Result<SharedSegment> found = command == IpcObject.Stat ? task.Ipc.Segments.Find<SharedSegment>(id) : task.Ipc.Segments.FindIndex<SharedSegment>(id);
        if (!found.TryGet(out SharedSegment? segment, out Errno error))
            return error;
        if (command != StatAnyCommand && !segment.Permits(task, IpcObject.ReadPermission))
            return Errno.EACCES;
        Span<byte> bytes = stackalloc byte[SegmentSize];
        bytes.Clear();
        segment.WritePermissions(task, bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[48..], segment.Size);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[56..], segment.AttachTime);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], segment.DetachTime);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[72..], segment.ChangeTime);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[80..], segment.CreatorPid);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[84..], segment.LastPid);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[88..], segment.CountAttachments(task.Kernel));
        if (!task.Memory.TryWriteAll(buffer, bytes))
            return Errno.EFAULT;
        return command == IpcObject.Stat ? 0 : segment.Id;
    }

    /// <summary>IPC_INFO: struct shminfo64.</summary>
    private static SyscallResult WriteLimits(Task task, ulong buffer)
    {
        IpcNamespace ipc = task.Ipc;
        Span<byte> bytes = stackalloc byte[72];
        bytes.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, ipc.SegmentSizeLimit);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], (ulong)ipc.Segments.Limit);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], (ulong)ipc.Segments.Limit);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], ipc.SegmentPageLimit);
        return task.Memory.TryWriteAll(buffer, bytes) ? ipc.Segments.HighestIndex : Errno.EFAULT;
    }

    /// <summary>SHM_INFO: struct shm_info.</summary>
    private static SyscallResult WriteUse(Task task, ulong buffer)
    {
        IpcIds segments = task.Ipc.Segments;
        long pages = 0, resident = 0;
        foreach (IpcObject other in segments.Objects.Values)
        {
            pages += ((SharedSegment)other).Pages;
            resident += ((SharedSegment)other).Pages;
        }

        Span<byte> bytes = stackalloc byte[48];
        bytes.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(bytes, segments.Objects.Count);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], pages);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], resident);
        return task.Memory.TryWriteAll(buffer, bytes) ? segments.HighestIndex : Errno.EFAULT;
    }
}
