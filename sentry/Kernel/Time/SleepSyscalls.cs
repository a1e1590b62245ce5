namespace Sentry.Kernel.Time;

/// <summary>System calls: nanosleep, clock_nanosleep.</summary>
internal static class SleepSyscalls
{
    private const int TimerAbstime = 1;

    internal static SyscallResult Nanosleep(Task task, in SyscallArgs args) => SleepRelative(task, args.A0, args.A1);

    internal static SyscallResult ClockNanosleep(Task task, in SyscallArgs args)
    {
        bool cpu = args.I0 == ClockId.ProcessCpu;
        if (!GuestClocks.CanWaitOn(args.I0, out bool wall) && !cpu)
            return GuestClocks.Read(task, args.I0) is { IsError: true } ? Errno.EINVAL : Errno.EOPNOTSUPP;
        if ((args.I1 & TimerAbstime) == 0)
            return SleepRelative(task, args.A2, args.A3);
        if (!task.TryRead(args.A2, out Timespec until))
            return Errno.EFAULT;
        if (!until.IsValid)
            return Errno.EINVAL;
        long deadline = GuestClocks.ToKernel(task, args.I0, until.ToNanoseconds());
        if (cpu)
            deadline = deadline == long.MaxValue ? deadline : deadline + task.Group.StartTime;
        return SleepUntil(task, deadline, wall) ? SyscallResult.Ok : task.Block(InterruptMode.Interrupt);
    }

    private static SyscallResult SleepRelative(Task task, ulong request, ulong remaining)
    {
        if (task.Call.TimedOut)
            return SyscallResult.Ok;
        if (task.Call.Deadline < 0)
        {
            if (!task.TryRead(request, out Timespec duration))
                return Errno.EFAULT;
            if (!duration.IsValid)
                return Errno.EINVAL;
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, duration.ToNanoseconds());
            if (remaining != 0)
                task.Call.State = new SleepState { Remaining = remaining };
        }

        return task.Kernel.Clock.Monotonic >= task.Call.Deadline ? SyscallResult.Ok : task.Block(InterruptMode.Interrupt);
    }

    /// <summary>Sets the call's deadline to a time of the monotonic or the wall clock; true when that time has come. The wall clock is
    /// looked at anew at each try: it may have jumped (a restore).</summary>
    internal static bool SleepUntil(Task task, long until, bool wall)
    {
        long now = wall ? task.Kernel.Clock.Realtime : task.Kernel.Clock.Monotonic;
        if (now >= until)
            return true;
        long monotonic = task.Kernel.Clock.Monotonic;
        task.Call.Deadline = until - now > long.MaxValue - monotonic ? long.MaxValue : monotonic + (until - now);
        task.Call.TimedOut = false;
        return false;
    }
}

/// <summary>A relative sleep that tells what was left when a handler ends it (nanosleep(2)).</summary>
[Savable("sleep")]
internal sealed partial class SleepState : CallState
{
    [Saved(1)] public ulong Remaining;

    public SleepState()
    {
    }

    public override Errno OnInterrupted(Task task)
    {
        long left = Math.Max(0, task.Call.Deadline - task.Kernel.Clock.Monotonic);
        return task.TryWrite(Remaining, Timespec.FromNanoseconds(left)) ? Errno.EINTR : Errno.EFAULT;
    }
}
