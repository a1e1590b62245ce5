namespace Sentry.Kernel.Events;

/// <summary>The signal mask argument of ppoll, pselect6 and epoll_pwait: in force while the call runs.</summary>
internal static class TemporaryMask
{
    /// <summary>Puts the mask at <paramref name="address"/> in force, if there is one.</summary>
    internal static Errno Set(Task task, ulong address, ulong size)
    {
        if (address == 0)
            return Errno.None;
        if (size != sizeof(ulong))
            return Errno.EINVAL;
        if (!task.TryRead(address, out ulong mask))
            return Errno.EFAULT;
        task.Signals.SetTemporaryMask(mask);
        return Errno.None;
    }

    /// <summary>Ends the mask when the call answers by itself; while it waits, or when a handler ends it, the mask stays.</summary>
    internal static SyscallResult Finish(Task task, SyscallResult result)
    {
        if (!result.IsBlocked)
            task.Signals.RestoreMask();
        return result;
    }
}
