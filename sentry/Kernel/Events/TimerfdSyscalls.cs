namespace Sentry.Kernel.Events;

/// <summary>System calls: timerfd_create, timerfd_settime, timerfd_gettime.</summary>
internal static class TimerfdSyscalls
{
    private const int Abstime = 1, CancelOnSet = 2;
    private const int CapWakeAlarm = 35;

    internal static SyscallResult TimerfdCreate(Task task, in SyscallArgs args)
    {
        const int known = (int)(OpenFlags.NonBlock | OpenFlags.CloseOnExec);
        if ((args.I1 & ~known) != 0 || !GuestClocks.CanWaitOn(args.I0, out _) || args.I0 == ClockId.Tai)
            return Errno.EINVAL;
        if (args.I0 is ClockId.RealtimeAlarm or ClockId.BoottimeAlarm && !task.Credentials.Has(CapWakeAlarm))
            return Errno.EPERM;
        var file = new TimerFile(task.Kernel, args.I0, (OpenFlags)args.I1 & OpenFlags.NonBlock);
        return task.AddFile(file, (args.I1 & (int)OpenFlags.CloseOnExec) != 0);
    }

    internal static SyscallResult TimerfdSettime(Task task, in SyscallArgs args)
    {
        if ((args.I1 & ~(Abstime | CancelOnSet)) != 0)
            return Errno.EINVAL;
        if (!task.TryRead(args.A2, out Itimerspec setting))
            return Errno.EFAULT;
        if (!setting.Value.IsValid || !setting.Interval.IsValid)
            return Errno.EINVAL;
        Errno error = Find(task, args.I0, out TimerFile? file);
        if (error != Errno.None)
            return error;
        if (args.A3 != 0 && !task.TryWrite(args.A3, Describe(file!.Timer)))
            return Errno.EFAULT;
        GuestClocks.CanWaitOn(file!.Clock, out bool wall);
        long value = setting.Value.ToNanoseconds();
        if (value != 0 && (args.I1 & Abstime) != 0)
            value = Math.Max(1, GuestClocks.ToKernel(task, file.Clock, value));
        file.Set(value, setting.Interval.ToNanoseconds(), (args.I1 & Abstime) != 0, wall);
        return SyscallResult.Ok;
    }

    internal static SyscallResult TimerfdGettime(Task task, in SyscallArgs args)
    {
        Errno error = Find(task, args.I0, out TimerFile? file);
        if (error != Errno.None)
            return error;
        return task.TryWrite(args.A1, Describe(file!.Timer)) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>What is left and the period, as timerfd_gettime(2) and timer_gettime(2) show it.</summary>
    internal static Itimerspec Describe(IntervalTimer timer) => new()
    {
        Interval = Timespec.FromNanoseconds(timer.Interval),
        Value = Timespec.FromNanoseconds(timer.Remaining),
    };

    private static Errno Find(Task task, int descriptor, out TimerFile? file)
    {
        file = null;
        if (!task.TryGetFile(descriptor, out FileObject? found))
            return Errno.EBADF;
        file = found as TimerFile;
        file?.CatchUp();
        return file is null ? Errno.EINVAL : Errno.None;
    }
}
