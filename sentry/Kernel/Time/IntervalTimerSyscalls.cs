namespace Sentry.Kernel.Time;

/// <summary>System calls: getitimer, setitimer, alarm.</summary>
internal static class IntervalTimerSyscalls
{
    private const int Kinds = 3;

    internal static SyscallResult Getitimer(Task task, in SyscallArgs args)
    {
        if ((uint)args.I0 >= Kinds)
            return Errno.EINVAL;
        return task.TryWrite(args.A1, Describe(task.Group.Timers.Interval(args.I0))) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Setitimer(Task task, in SyscallArgs args)
    {
        if ((uint)args.I0 >= Kinds)
            return Errno.EINVAL;
        Itimerval setting = default;
        if (args.A1 != 0 && !task.TryRead(args.A1, out setting))
            return Errno.EFAULT;
        if (!setting.Value.IsValid || !setting.Interval.IsValid)
            return Errno.EINVAL;
        IntervalTimer timer = task.Group.Timers.Interval(args.I0);
        Itimerval old = Describe(timer);
        Set(timer, setting.Value.ToNanoseconds(), setting.Interval.ToNanoseconds());
        return args.A2 == 0 || task.TryWrite(args.A2, old) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult Alarm(Task task, in SyscallArgs args)
    {
        IntervalTimer timer = task.Group.Timers.Interval(0);
        long left = timer.Remaining;
        Set(timer, (uint)args.A0 * 1_000_000_000L, 0);

        // Rounded to the nearest second, but never to 0 while armed (alarm(2)).
        return left == 0 ? 0 : Math.Max(1, (left + 500_000_000) / 1_000_000_000);
    }

    private static void Set(IntervalTimer timer, long value, long interval)
    {
        if (value == 0)
            timer.Disarm();
        else
            timer.Set(value, interval, absolute: false, wall: false);
    }

    private static Itimerval Describe(IntervalTimer timer) => new()
    {
        Interval = Timeval.FromNanoseconds(timer.Interval),
        Value = Timeval.FromNanoseconds(timer.Remaining),
    };
}
