using System.Runtime.InteropServices;

namespace Sentry.Kernel.Time;

/// <summary>System calls: timer_create, timer_settime, timer_gettime, timer_getoverrun, timer_delete.</summary>
internal static class PosixTimerSyscalls
{
    private const int Abstime = 1;

    /// <summary>The part of struct sigevent that the kernel reads.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SignalEvent
    {
        public ulong Value;
        public int Signal;
        public int Notify;
        public int ThreadId;
        public int Padding;
    }

    internal static SyscallResult TimerCreate(Task task, in SyscallArgs args)
    {
        if (!GuestClocks.CanWaitOn(args.I0, out _) && GuestClocks.Read(task, args.I0).IsError)
            return Errno.EINVAL;
        ProcessTimers timers = task.Group.Timers;
        var wanted = new SignalEvent { Signal = Signal.SIGALRM };
        if (args.A1 != 0 && !task.TryRead(args.A1, out wanted))
            return Errno.EFAULT;
        Task? target = null;
        switch (wanted.Notify)
        {
            case TimerNotify.SendSignal | TimerNotify.ThreadId:
                if (!task.Kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(wanted.ThreadId), out target) || target.Group != task.Group)
                    return Errno.EINVAL;
                break;
            case TimerNotify.None or TimerNotify.SendSignal or TimerNotify.Thread:
                break;
            default:
                return Errno.EINVAL;
        }

        if (wanted.Notify != TimerNotify.None && wanted.Signal is < 1 or > 64)
            return Errno.EINVAL;
        int id = timers.NewId();
        if (!task.TryWrite(args.A2, id))
            return Errno.EFAULT;
        timers.Add(id, new PosixTimer(task.Group, id, args.I0, wanted.Notify, wanted.Signal, args.A1 == 0 ? (ulong)id : wanted.Value, target));
        return SyscallResult.Ok;
    }

    internal static SyscallResult TimerSettime(Task task, in SyscallArgs args)
    {
        if (args.A2 == 0)
            return Errno.EINVAL;
        if (!task.TryRead(args.A2, out Itimerspec setting))
            return Errno.EFAULT;
        if (!setting.Value.IsValid || !setting.Interval.IsValid || task.Group.Timers.Find(args.I0) is not { } timer)
            return Errno.EINVAL;
        Itimerspec old = TimerfdSyscalls.Describe(timer);
        long value = setting.Value.ToNanoseconds();
        bool absolute = (args.I1 & Abstime) != 0, known = GuestClocks.CanWaitOn(timer.Clock, out bool wall);
        if (absolute)
            value = value == 0 ? 0 : Math.Max(1, GuestClocks.ToKernel(task, timer.Clock, value));
        if (value == 0)
            timer.Disarm();
        else
            timer.Set(absolute && !known ? value + task.Group.StartTime : value, setting.Interval.ToNanoseconds(), absolute, wall);
        return args.A3 == 0 || task.TryWrite(args.A3, old) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult TimerGettime(Task task, in SyscallArgs args)
    {
        if (task.Group.Timers.Find(args.I0) is not { } timer)
            return Errno.EINVAL;
        return task.TryWrite(args.A1, TimerfdSyscalls.Describe(timer)) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult TimerGetoverrun(Task task, in SyscallArgs args) =>
        task.Group.Timers.Find(args.I0) is { } timer ? timer.Overrun : Errno.EINVAL;

    internal static SyscallResult TimerDelete(Task task, in SyscallArgs args) =>
        task.Group.Timers.Delete(args.I0) ? SyscallResult.Ok : Errno.EINVAL;
}
