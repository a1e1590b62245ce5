using System.Runtime.InteropServices;

namespace Sentry.Kernel.Time;

/// <summary>System calls that tell or (refuse to) set the time: clock_gettime, clock_settime, clock_getres, clock_adjtime, adjtimex, gettimeofday,
/// settimeofday, time, times.</summary>
internal static class TimeSyscalls
{
    private const int CapSysTime = 25;

    /// <summary>struct timex (adjtimex(2)), 208 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 208)]
    private struct Timex
    {
        public uint Modes;
        public long Offset;
        public long Frequency;
        public long MaxError;
        public long EstimatedError;
        public int Status;
        public long Constant;
        public long Precision;
        public long Tolerance;
        public Timeval Time;
        public long Tick;
    }

    internal static SyscallResult ClockGettime(Task task, in SyscallArgs args)
    {
        Result<long> now = GuestClocks.Read(task, args.I0);
        if (now.IsError)
            return now.Error;
        return task.TryWrite(args.A1, Timespec.FromNanoseconds(now.Value)) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult ClockSettime(Task task, in SyscallArgs args)
    {
        if (args.I0 != ClockId.Realtime)
            return Errno.EINVAL;
        if (!task.TryRead(args.A1, out Timespec value))
            return Errno.EFAULT;
        return value.IsValid ? Errno.EPERM : Errno.EINVAL;
    }

    internal static SyscallResult ClockGetres(Task task, in SyscallArgs args)
    {
        Result<long> now = GuestClocks.Read(task, args.I0);
        if (now.IsError)
            return now.Error;
        long resolution = args.I0 is ClockId.RealtimeCoarse or ClockId.MonotonicCoarse ? 4_000_000 : 1;
        return args.A1 == 0 || task.TryWrite(args.A1, Timespec.FromNanoseconds(resolution)) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult ClockAdjtime(Task task, in SyscallArgs args) =>
        args.I0 == ClockId.Realtime ? Adjust(task, args.A1) : GuestClocks.Read(task, args.I0) is { IsError: true } ? Errno.EINVAL : Errno.EOPNOTSUPP;

    internal static SyscallResult Adjtimex(Task task, in SyscallArgs args) => Adjust(task, args.A0);

    /// <summary>Reads the state of a clock that nobody disciplines; changing it is not permitted.</summary>
    private static SyscallResult Adjust(Task task, ulong address)
    {
        const int unsynchronized = 0x40;
        const int timeError = 5;
        if (!task.TryRead(address, out Timex timex))
            return Errno.EFAULT;
        if (timex.Modes is not (0 or 0xa001))
            return Errno.EPERM;
        long now = task.Kernel.Clock.Realtime;
        timex = new Timex
        {
            Status = unsynchronized,
            MaxError = 16_000_000,
            EstimatedError = 16_000_000,
            Constant = 2,
            Precision = 1,
            Tolerance = 32_768_000,
            Time = new Timeval { Seconds = now / 1_000_000_000, Microseconds = now % 1_000_000_000 / 1000 },
            Tick = 10_000,
        };
        return task.TryWrite(address, timex) ? timeError : Errno.EFAULT;
    }

    internal static SyscallResult Gettimeofday(Task task, in SyscallArgs args)
    {
        long now = task.Kernel.Clock.Realtime;
        if (args.A0 != 0 && !task.TryWrite(args.A0, new Timeval { Seconds = now / 1_000_000_000, Microseconds = now % 1_000_000_000 / 1000 }))
            return Errno.EFAULT;
        return args.A1 == 0 || task.TryWrite(args.A1, 0UL) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Settimeofday(Task task, in SyscallArgs args)
    {
        if (args.A0 == 0)
            return task.Credentials.Has(CapSysTime) ? SyscallResult.Ok : Errno.EPERM;
        if (!task.TryRead(args.A0, out Timeval value))
            return Errno.EFAULT;
        return value.IsValid ? Errno.EPERM : Errno.EINVAL;
    }

    internal static SyscallResult Time(Task task, in SyscallArgs args)
    {
        long seconds = task.Kernel.Clock.Realtime / 1_000_000_000;
        return args.A0 == 0 || task.TryWrite(args.A0, seconds) ? seconds : Errno.EFAULT;
    }

    internal static SyscallResult Times(Task task, in SyscallArgs args)
    {
        const long tick = 10_000_000;
        long now = task.Kernel.Clock.Monotonic;
        if (args.A0 != 0)
        {
            // tms_utime; tms_stime and the children's stay 0: the host does not say.
            Span<long> tms = [GuestClocks.ProcessCpu(task.Group) / tick, 0, 0, 0];
            if (!task.Memory.TryWriteAll(args.A0, MemoryMarshal.AsBytes(tms)))
                return Errno.EFAULT;
        }

        return now / tick;
    }
}

/// <summary>The guest's clocks by their numbers (clock_gettime(2)).</summary>
internal static class GuestClocks
{
    /// <summary>ns; EINVAL for a clock that does not exist.</summary>
    internal static Result<long> Read(Task task, int clock)
    {
        GuestClock time = task.Kernel.Clock;
        switch (clock)
        {
            case ClockId.Realtime or ClockId.RealtimeCoarse or ClockId.RealtimeAlarm or ClockId.Tai:
                return time.Realtime;
            case ClockId.Monotonic or ClockId.MonotonicRaw or ClockId.MonotonicCoarse or ClockId.Boottime or ClockId.BoottimeAlarm:
                return time.Monotonic + Offset(task, clock);
            case ClockId.ProcessCpu:
                return ProcessCpu(task.Group);
            case ClockId.ThreadCpu:
                return Math.Max(1, task.CpuTime);
        }

        // Clocks of other processes and threads: ~pid << 3 | kind, bit 2 for a thread (clock_getcpuclockid(3)).
        if (clock >= 0 || (clock & 3) == 3)
            return Errno.EINVAL;
        int id = ~(clock >> 3);
        if (id == 0)
            return ProcessCpu(task.Group);
        id = task.PidNamespace.ToKernel(id);
        if ((clock & 4) != 0)
            return task.Kernel.Tasks.TryGetValue(id, out Task? other) && other.Group == task.Group ? Math.Max(1, other.CpuTime) : Errno.EINVAL;
        return task.Kernel.Processes.TryGetValue(id, out ThreadGroup? group) ? ProcessCpu(group) : Errno.EINVAL;
    }

    /// <summary>Processor time used, ns.</summary>
    internal static long ProcessCpu(ThreadGroup group) => Math.Max(1, LimitSyscalls.CpuTime(group));

    /// <summary>What the caller's time namespace adds to a clock, ns.</summary>
    internal static long Offset(Task task, int clock) => clock switch
    {
        ClockId.Monotonic or ClockId.MonotonicRaw or ClockId.MonotonicCoarse => task.Namespaces.Time.MonotonicOffset,
        ClockId.Boottime or ClockId.BoottimeAlarm => task.Namespaces.Time.BootOffset,
        _ => 0,
    };

    /// <summary>A time on a clock as the caller gives it, as the kernel knows it.</summary>
    internal static long ToKernel(Task task, int clock, long time)
    {
        long offset = Offset(task, clock);
        return offset == 0 || time == long.MaxValue ? time : Math.Max(0, offset < 0 && time > long.MaxValue + offset ? long.MaxValue : time - offset);
    }

    /// <summary>Whether a clock may be slept on or given to a timer, and whether it is the wall clock.</summary>
    internal static bool CanWaitOn(int clock, out bool wall)
    {
        wall = clock is ClockId.Realtime or ClockId.RealtimeAlarm or ClockId.Tai;
        return wall || clock is ClockId.Monotonic or ClockId.Boottime or ClockId.BoottimeAlarm;
    }
}
