namespace Sentry.Kernel.Events;

/// <summary>System calls: select, pselect6.</summary>
internal static class SelectSyscalls
{
    private const PollEvents ReadReady = PollEvents.In | PollEvents.RdNorm | PollEvents.RdBand | PollEvents.Hup | PollEvents.Err;
    private const PollEvents WriteReady = PollEvents.Out | PollEvents.WrNorm | PollEvents.WrBand | PollEvents.Err;
    private const PollEvents ExceptReady = PollEvents.Pri;

    internal static SyscallResult Select(Task task, in SyscallArgs args)
    {
        long timeout = -1;
        if (args.A4 != 0)
        {
            if (!task.TryRead(args.A4, out Timeval value))
                return Errno.EFAULT;

            // Whole seconds may hide in the microseconds (select(2) normalises them).
            if (value.Seconds < 0 || value.Microseconds < 0)
                return Errno.EINVAL;
            timeout = new Timeval { Seconds = value.Seconds + (value.Microseconds / 1_000_000), Microseconds = value.Microseconds % 1_000_000 }.ToNanoseconds();
        }

        SyscallResult result = Select(task, args.I0, args.A1, args.A2, args.A3, timeout);
        if (args.A4 != 0 && result.IsValue && !IdentitySyscalls.HasStickyTimeouts(task))
        {
            long left = PollSyscalls.Remaining(task, timeout);
            task.TryWrite(args.A4, new Timeval { Seconds = left / 1_000_000_000, Microseconds = left % 1_000_000_000 / 1000 });
        }

        return result;
    }

    internal static SyscallResult Pselect6(Task task, in SyscallArgs args)
    {
        Errno error = PollSyscalls.ReadTimeout(task, args.A4, out long timeout);
        if (error != Errno.None)
            return error;
        if (args.A5 != 0)
        {
            if (!task.TryRead(args.A5, out ulong mask) || !task.TryRead(args.A5 + 8, out ulong size))
                return Errno.EFAULT;
            error = TemporaryMask.Set(task, mask, size);
            if (error != Errno.None)
                return error;
        }

        SyscallResult result = Select(task, args.I0, args.A1, args.A2, args.A3, timeout);
        return TemporaryMask.Finish(task, PollSyscalls.FinishTimeout(task, args.A4, result, timeout));
    }

    private static SyscallResult Select(Task task, int count, ulong readAddress, ulong writeAddress, ulong exceptAddress, long timeout)
    {
        if (count < 0)
            return Errno.EINVAL;
        count = Math.Min(count, task.Files.Capacity);
        int size = (count + 63) / 64 * 8;
        Span<byte> sets = size <= 128 ? stackalloc byte[6 * size] : new byte[6 * size];
        sets.Clear();
        Span<byte> reads = sets[..size], writes = sets.Slice(size, size), excepts = sets.Slice(2 * size, size);
        Span<byte> results = sets[(3 * size)..];
        if (!ReadSet(task, readAddress, reads) || !ReadSet(task, writeAddress, writes) || !ReadSet(task, exceptAddress, excepts))
            return Errno.EFAULT;

        int ready = 0;
        for (int fd = 0; fd < count; fd++)
        {
            PollEvents wanted = Wanted(reads, writes, excepts, fd);
            if (wanted == 0)
                continue;
            if (!task.TryGetFile(fd, out FileObject? file))
                return Errno.EBADF;
            PollEvents events = file.Poll();
            ready += Mark(results[..size], reads, fd, events & ReadReady);
            ready += Mark(results.Slice(size, size), writes, fd, events & WriteReady);
            ready += Mark(results[(2 * size)..], excepts, fd, events & ExceptReady);
        }

        if (ready > 0 || timeout == 0 || task.Call.TimedOut)
        {
            bool written = WriteSet(task, readAddress, results[..size]) && WriteSet(task, writeAddress, results.Slice(size, size)) &&
                WriteSet(task, exceptAddress, results[(2 * size)..]);
            return written ? ready : Errno.EFAULT;
        }

        for (int fd = 0; fd < count; fd++)
        {
            PollEvents wanted = Wanted(reads, writes, excepts, fd);
            if (wanted != 0 && task.Files.Get(fd)?.WaitQueue is { } queue)
                task.WaitOn(queue, wanted);
        }

        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout);
        return task.Block(InterruptMode.Interrupt);
    }

    private static bool ReadSet(Task task, ulong address, Span<byte> set) => address == 0 || task.Memory.TryReadAll(address, set);

    private static bool WriteSet(Task task, ulong address, Span<byte> set) => address == 0 || task.Memory.TryWriteAll(address, set);

    private static bool Has(Span<byte> set, int fd) => (set[fd >> 3] >> (fd & 7) & 1) != 0;

    private static PollEvents Wanted(Span<byte> reads, Span<byte> writes, Span<byte> excepts, int fd) =>
        (Has(reads, fd) ? ReadReady : 0) | (Has(writes, fd) ? WriteReady : 0) | (Has(excepts, fd) ? ExceptReady : 0);

    private static int Mark(Span<byte> result, Span<byte> asked, int fd, PollEvents events)
    {
        if (events == 0 || !Has(asked, fd))
            return 0;
        result[fd >> 3] |= (byte)(1 << (fd & 7));
        return 1;
    }
}
