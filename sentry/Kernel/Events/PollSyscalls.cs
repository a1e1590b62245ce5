using System.Buffers;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Events;

/// <summary>System calls: poll, ppoll. Every try looks at all files anew; what is remembered is the deadline alone.</summary>
internal static class PollSyscalls
{
    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events;
        public short Revents;
    }

    internal static SyscallResult Poll(Task task, in SyscallArgs args)
    {
        int milliseconds = args.I2;
        return Poll(task, args.A0, (uint)args.A1, milliseconds < 0 ? -1 : milliseconds * 1_000_000L);
    }

    internal static SyscallResult Ppoll(Task task, in SyscallArgs args)
    {
        Errno error = ReadTimeout(task, args.A2, out long timeout);
        if (error == Errno.None)
            error = TemporaryMask.Set(task, args.A3, args.A4);
        if (error != Errno.None)
            return error;
        SyscallResult result = Poll(task, args.A0, (uint)args.A1, timeout);
        return TemporaryMask.Finish(task, FinishTimeout(task, args.A2, result, timeout));
    }

    private static SyscallResult Poll(Task task, ulong address, uint count, long timeout)
    {
        if (count > task.Group.Limits[ResourceLimits.NoFile].Soft)
            return Errno.EINVAL;
        PollFd[]? rented = count > 32 ? ArrayPool<PollFd>.Shared.Rent((int)count) : null;
        Span<PollFd> fds = rented is null ? stackalloc PollFd[(int)count] : rented.AsSpan(0, (int)count);
        SyscallResult result = Poll(task, address, fds, timeout);
        if (rented is not null)
            ArrayPool<PollFd>.Shared.Return(rented);
        return result;
    }

    private static SyscallResult Poll(Task task, ulong address, Span<PollFd> fds, long timeout)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(fds);
        if (!task.Memory.TryReadAll(address, bytes))
            return Errno.EFAULT;
        int ready = 0;
        foreach (ref PollFd fd in fds)
        {
            fd.Revents = 0;
            if (fd.Fd < 0)
                continue;
            if (!task.TryGetFile(fd.Fd, out FileObject? file))
                fd.Revents = (short)PollEvents.Nval;
            else
                fd.Revents = (short)((int)file.Poll() & (ushort)(fd.Events | (short)(PollEvents.Err | PollEvents.Hup)));
            if (fd.Revents != 0)
                ready++;
        }

        if (ready > 0 || timeout == 0 || task.Call.TimedOut)
            return task.Memory.TryWriteAll(address, bytes) ? ready : Errno.EFAULT;

        foreach (ref PollFd fd in fds)
        {
            if (fd.Fd >= 0 && task.Files.Get(fd.Fd)?.WaitQueue is { } queue)
                task.WaitOn(queue, (PollEvents)(ushort)fd.Events);
        }

        task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, timeout);
        return task.Block(InterruptMode.Interrupt);
    }

    /// <summary>Reads an optional timespec; -1 when there is none.</summary>
    internal static Errno ReadTimeout(Task task, ulong address, out long timeout)
    {
        timeout = -1;
        if (address == 0)
            return Errno.None;
        if (!task.TryRead(address, out Timespec value))
            return Errno.EFAULT;
        if (!value.IsValid)
            return Errno.EINVAL;
        timeout = value.ToNanoseconds();
        return Errno.None;
    }

    /// <summary>Writes back what is left of a timespec when the call is over, as the kernel (not the C library) has it. The first try's timeout is
    /// in the deadline, because a later try would read what was written back.</summary>
    internal static SyscallResult FinishTimeout(Task task, ulong address, SyscallResult result, long timeout)
    {
        if (address != 0 && result.IsValue && !IdentitySyscalls.HasStickyTimeouts(task))
            task.TryWrite(address, Timespec.FromNanoseconds(Remaining(task, timeout)));
        return result;
    }

    /// <summary>What is left until the deadline; the whole timeout when the call never waited.</summary>
    internal static long Remaining(Task task, long timeout) =>
        task.Call.Deadline < 0 ? Math.Max(0, timeout) : Math.Max(0, task.Call.Deadline - task.Kernel.Clock.Monotonic);
}
