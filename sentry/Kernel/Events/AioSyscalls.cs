using System.Buffers.Binary;

namespace Sentry.Kernel.Events;

/// <summary>What io_getevents remembers between tries: the context and the events handed out so far.</summary>
[Savable("aio-wait")]
internal sealed partial class AioWait : CallState
{
    [Saved(1)] public AioContext Context;
    [Saved(2)] public long Taken;

    internal AioWait(AioContext context) => Context = context;

    public override long? ValueIfInterrupted => Taken > 0 ? Taken : null;
}

/// <summary>System calls: io_setup, io_destroy, io_submit, io_cancel, io_getevents, io_pgetevents (io_setup(2)).</summary>
internal static class AioSyscalls
{
    private const int ControlSize = 64, EventSize = 32;

    /// <summary>fs.aio-max-nr.</summary>
    private const uint MaxEvents = 65536;

    internal static SyscallResult IoSetup(Task task, in SyscallArgs args)
    {
        var count = (uint)args.A0;
        if (!task.TryRead(args.A1, out ulong there))
            return Errno.EFAULT;
        if (there != 0 || count == 0)
            return Errno.EINVAL;
        if (count > MaxEvents)
            return Errno.EAGAIN;

        // The id is an address: the C library looks for a ring of events there and, as it finds none, makes the calls.
        Result<ulong> mapped = Mappings.Map(task.Memory, task.Thread, new MapRequest { Length = Mappings.PageSize, Protection = MemoryProtection.Read | MemoryProtection.Write });
        if (mapped.IsError)
            return mapped.Error;
        if (!task.TryWrite(args.A1, mapped.Value))
        {
            Mappings.Unmap(task.Memory, task.Thread, mapped.Value, Mappings.PageSize);
            return Errno.EFAULT;
        }

        task.Memory.AioContexts.Add(mapped.Value, new AioContext(count));
        return SyscallResult.Ok;
    }

    internal static SyscallResult IoDestroy(Task task, in SyscallArgs args)
    {
        if (!task.Memory.AioContexts.Remove(args.A0, out AioContext? context))
            return Errno.EINVAL;
        context.Destroy();
        Mappings.Unmap(task.Memory, task.Thread, args.A0, Mappings.PageSize);
        return SyscallResult.Ok;
    }

    internal static SyscallResult IoSubmit(Task task, in SyscallArgs args)
    {
        long count = (long)args.A1;
        if (count < 0 || !task.Memory.AioContexts.TryGetValue(args.A0, out AioContext? context))
            return Errno.EINVAL;
        long done = 0;
        for (; done < Math.Min(count, context.Limit); done++)
        {
            Errno error = !task.TryRead(args.A2 + ((ulong)done * 8), out ulong control) ? Errno.EFAULT : Submit(task, context, control);
            if (error != Errno.None)
                return done > 0 ? done : error;
        }

        return done;
    }

    private static Errno Submit(Task task, AioContext context, ulong control)
    {
        const uint withEventfd = 1, withPriority = 2;
        Span<byte> bytes = stackalloc byte[ControlSize];
        if (!task.Memory.TryReadAll(control, bytes))
            return Errno.EFAULT;
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[56..]);
        int operation = BinaryPrimitives.ReadUInt16LittleEndian(bytes[16..]);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]);
        if (BinaryPrimitives.ReadUInt64LittleEndian(bytes[48..]) != 0 || (long)length < 0)
            return Errno.EINVAL;
        if (context.IsFull)
            return Errno.EAGAIN;
        if (!task.TryGetFile(BinaryPrimitives.ReadInt32LittleEndian(bytes[20..]), out FileObject? file) || file is PathFile)
            return Errno.EBADF;
        EventFile? notify = null;
        if ((flags & withEventfd) != 0)
        {
            if (!task.TryGetFile(BinaryPrimitives.ReadInt32LittleEndian(bytes[60..]), out FileObject? target))
                return Errno.EBADF;
            notify = target as EventFile;
            if (notify is null)
                return Errno.EINVAL;
        }

        if ((flags & ~(withEventfd | withPriority)) != 0)
            return Errno.EINVAL;

        // aio_key, which io_cancel(2) looks at.
        if (!task.TryWrite(control + 8, 0u))
            return Errno.EFAULT;
        switch (operation)
        {
            case AioRequest.Read or AioRequest.ReadVector when !file.CanRead:
            case AioRequest.Write or AioRequest.WriteVector when !file.CanWrite:
                return Errno.EBADF;
            case AioRequest.Read or AioRequest.ReadVector or AioRequest.Write or AioRequest.WriteVector when file is DirectoryFile:
                return Errno.EINVAL;
            case AioRequest.Sync or AioRequest.DataSync when file is not InodeFile:
            case AioRequest.Poll when (BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]) & ~0xFFFFUL) != 0 || length != 0 || BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]) != 0:
                return Errno.EINVAL;
            case not (AioRequest.Read or AioRequest.Write or AioRequest.Sync or AioRequest.DataSync or AioRequest.Poll or AioRequest.NoOperation or AioRequest.ReadVector or AioRequest.WriteVector):
                return Errno.EINVAL;
        }

        context.Start(new AioRequest(context, file, task)
        {
            Operation = operation,
            Data = BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            Control = control,
            Buffer = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
            Length = length,
            Offset = BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]),
            Notify = notify,
        });
        return Errno.None;
    }

    internal static SyscallResult IoCancel(Task task, in SyscallArgs args)
    {
        if (!task.TryRead(args.A1 + 8, out uint key))
            return Errno.EFAULT;
        if (key != 0 || !task.Memory.AioContexts.TryGetValue(args.A0, out AioContext? context) || context.FindWaiting(args.A1) is not { } request)
            return Errno.EINVAL;

        // Its event comes as for any other; the call says that it is on its way.
        context.Complete(request, -(long)Errno.ECANCELED);
        return Errno.EINPROGRESS;
    }

    internal static SyscallResult IoGetevents(Task task, in SyscallArgs args) => Collect(task, args);

    internal static SyscallResult IoPgetevents(Task task, in SyscallArgs args)
    {
        if (args.A5 != 0)
        {
            if (!task.TryRead(args.A5, out ulong mask) || !task.TryRead(args.A5 + 8, out ulong size))
                return Errno.EFAULT;
            if (mask != 0)
            {
                Errno error = TemporaryMask.Set(task, mask, size);
                if (error != Errno.None)
                    return error;
            }
        }

        return TemporaryMask.Finish(task, Collect(task, args));
    }

    private static SyscallResult Collect(Task task, in SyscallArgs args)
    {
        long least = (long)args.A1, most = (long)args.A2;
        if (args.A4 != 0)
        {
            if (!task.TryRead(args.A4, out Timespec timeout))
                return Errno.EFAULT;
            if (!timeout.IsValid)
                return Errno.EINVAL;
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout.ToNanoseconds());
        }

        var wait = task.Call.State as AioWait;
        AioContext? context = wait?.Context;
        if (context is null && !task.Memory.AioContexts.TryGetValue(args.A0, out context))
            return Errno.EINVAL;
        if (least < 0 || most < 0 || least > most)
            return Errno.EINVAL;
        long taken = wait?.Taken ?? 0;
        Span<byte> bytes = stackalloc byte[EventSize];
        while (taken < most && context.TryTake(out AioEvent next))
        {
            bytes.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, next.Data);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], next.Control);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], next.Result);
            if (!task.Memory.TryWriteAll(args.A3 + ((ulong)taken * EventSize), bytes))
                return taken > 0 ? taken : Errno.EFAULT;
            taken++;
        }

        bool late = task.Call.TimedOut || (task.Call.Deadline >= 0 && task.Call.Deadline <= task.Kernel.Clock.Monotonic);
        if (taken >= least || late || context.IsDestroyed)
            return taken == 0 && context.IsDestroyed ? Errno.EINVAL : taken;
        wait ??= new AioWait(context);
        wait.Taken = taken;
        task.Call.State = wait;
        task.WaitOn(context.Waiters);
        return task.Block(InterruptMode.Interrupt);
    }
}
