namespace Sentry.Kernel.Signals;

/// <summary>What becomes of a waiting call when a handler ends its waiting (signal(7), "Interruption of system calls").</summary>
internal static class InterruptedCall
{
    /// <summary>What a call returns when a handler ends its waiting; null when it is to be made again.</summary>
    internal static long? ValueAfter(Task task, CallContext call, in SignalAction action)
    {
        task.Signals.WaitedFor = 0;
        long? partial = call.State?.ValueIfInterrupted;
        if (partial is null && call.InterruptMode == InterruptMode.Restart && action.Has(SignalAct.SA_RESTART))
            return null;
        Errno error = call.State?.OnInterrupted(task) ?? Errno.EINTR;
        return partial ?? -(long)error;
    }

    /// <summary>As <see cref="SignalDelivery.InterruptBlocked"/> for a call torn down by a checkpoint: the thread is Stopped at its instruction.</summary>
    internal static void End(Task task, CallContext call, in SignalAction action)
    {
        if (call.InterruptMode != InterruptMode.Killable && ValueAfter(task, call, action) is { } value)
        {
            task.Thread.GetRegisters(out GuestRegisters registers);
            SetAnswer(ref registers, value);
            task.Thread.SetRegisters(in registers);
        }

        task.CurrentCall = null;
    }

    /// <summary>From before a system-call instruction to after it, as the processor and the kernel leave the registers.</summary>
    internal static void SetAnswer(ref GuestRegisters registers, long value)
    {
        const ulong SyscallInstructionLength = 2;
        registers.Rax = (ulong)value;
        registers.Rip += SyscallInstructionLength;
        registers.Rcx = registers.Rip;
        registers.R11 = registers.Eflags;
    }
}
