namespace Sentry.Kernel.Signals;

/// <summary>System calls: rt_sigaction, rt_sigprocmask, rt_sigreturn, rt_sigpending, rt_sigtimedwait, rt_sigsuspend, pause, sigaltstack.</summary>
internal static class SignalSyscalls
{
    private const int SigsetSize = 8;
    private const int SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2;

    internal static SyscallResult RtSigaction(Task task, in SyscallArgs args)
    {
        int signal = args.I0;
        if (args.A3 != SigsetSize)
            return Errno.EINVAL;
        KernelSigaction wanted = default;
        if (args.A1 != 0 && !task.TryRead(args.A1, out wanted))
            return Errno.EFAULT;
        if (!Signal.IsValid(signal) || (args.A1 != 0 && Signal.Has(Signal.Unblockable, signal)))
            return Errno.EINVAL;

        SignalActions actions = task.Group.Actions;
        SignalAction old = actions[signal];
        if (args.A1 != 0)
        {
            actions[signal] = new SignalAction
            {
                Handler = wanted.Handler,
                Flags = wanted.Flags & SignalAct.Known,
                Restorer = wanted.Restorer,
                Mask = wanted.Mask & ~Signal.Unblockable,
            };

            // POSIX: a pending signal that comes to be ignored is discarded, whether it is blocked or not.
            if (actions.DoesNothing(signal))
                SignalDelivery.Discard(task.Group, Signal.Bit(signal));
        }

        if (args.A2 == 0)
            return SyscallResult.Ok;
        KernelSigaction shown = new() { Handler = old.Handler, Flags = old.Flags, Restorer = old.Restorer, Mask = old.Mask };
        return task.TryWrite(args.A2, in shown) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult RtSigprocmask(Task task, in SyscallArgs args)
    {
        if (args.A3 != SigsetSize)
            return Errno.EINVAL;
        ulong old = task.Signals.Mask;
        if (args.A1 != 0)
        {
            if (!task.TryRead(args.A1, out ulong set))
                return Errno.EFAULT;
            set &= ~Signal.Unblockable;
            switch (args.I0)
            {
                case SIG_BLOCK:
                    task.Signals.Mask = old | set;
                    break;
                case SIG_UNBLOCK:
                    task.Signals.Mask = old & ~set;
                    break;
                case SIG_SETMASK:
                    task.Signals.Mask = set;
                    break;
                default:
                    return Errno.EINVAL;
            }

            if ((task.Signals.Mask & ~old & task.Group.Pending.Set) != 0)
                SignalDelivery.Retarget(task.Group, task);
        }

        return args.A2 == 0 || task.TryWrite(args.A2, in old) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult RtSigreturn(Task task, in SyscallArgs args)
    {
        SignalDelivery.SigReturn(task);
        return SyscallResult.Handled;
    }

    internal static SyscallResult RtSigpending(Task task, in SyscallArgs args)
    {
        if (args.A1 > SigsetSize)
            return Errno.EINVAL;
        ulong set = SignalDelivery.PendingSet(task) & task.Signals.Mask;
        Span<byte> bytes = stackalloc byte[SigsetSize];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes, set);
        return task.Memory.TryWriteAll(args.A0, bytes[..(int)args.A1]) ? SyscallResult.Ok : Errno.EFAULT;
    }

    internal static SyscallResult RtSigtimedwait(Task task, in SyscallArgs args)
    {
        if (args.A3 != SigsetSize)
            return Errno.EINVAL;
        if (!task.TryRead(args.A0, out ulong set))
            return Errno.EFAULT;
        set &= ~Signal.Unblockable;
        CallContext call = task.Call;
        if (args.A2 != 0)
        {
            if (!task.TryRead(args.A2, out long seconds) || !task.TryRead(args.A2 + 8, out long nanoseconds))
                return Errno.EFAULT;
            if (seconds < 0 || (ulong)nanoseconds >= 1_000_000_000)
                return Errno.EINVAL;
            long ns = seconds > (long.MaxValue / 1_000_000_000) - 1 ? long.MaxValue : (seconds * 1_000_000_000) + nanoseconds;
            call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, ns);
        }

        task.Signals.WaitedFor = 0;
        if (SignalDelivery.TryDequeue(task, set) is { } info)
        {
            if (args.A1 != 0)
            {
                Span<byte> siginfo = stackalloc byte[RtSigframe.SiginfoSize];
                info.ToBytes(siginfo);
                if (!task.Memory.TryWriteAll(args.A1, siginfo))
                    return Errno.EFAULT;
            }

            return info.Number;
        }

        if (call.TimedOut || (call.Deadline >= 0 && call.Deadline <= task.Kernel.Clock.Monotonic))
            return Errno.EAGAIN;
        task.Signals.WaitedFor = set;
        return task.Block(InterruptMode.Interrupt);
    }

    internal static SyscallResult RtSigsuspend(Task task, in SyscallArgs args)
    {
        if (args.A1 != SigsetSize)
            return Errno.EINVAL;
        if (!task.TryRead(args.A0, out ulong mask))
            return Errno.EFAULT;
        task.Signals.SetTemporaryMask(mask);
        return task.Block(InterruptMode.Interrupt);
    }

    internal static SyscallResult Pause(Task task, in SyscallArgs args) => task.Block(InterruptMode.Interrupt);

    internal static SyscallResult Sigaltstack(Task task, in SyscallArgs args)
    {
        // Without an alternate stack it does not matter where the stack pointer is.
        if (task.Signals.AltStackSize == 0)
            return Sigaltstack(task, args, 0);
        IGuestThread thread = task.Thread;
        thread.Stop();
        thread.GetRegisters(out GuestRegisters registers);
        SyscallResult result = Sigaltstack(task, args, registers.Rsp);
        SignalDelivery.Answer(task, ref registers, result.Value);
        return SyscallResult.Handled;
    }

    private static SyscallResult Sigaltstack(Task task, in SyscallArgs args, ulong stackPointer)
    {
        StackT wanted = default;
        if (args.A0 != 0 && !task.TryRead(args.A0, out wanted))
            return Errno.EFAULT;
        StackT old = task.Signals.DescribeAltStack(stackPointer);
        if (args.A0 != 0)
        {
            Errno error = task.Signals.SetAltStack(in wanted, stackPointer);
            if (error != Errno.None)
                return error;
        }

        return args.A1 == 0 || task.TryWrite(args.A1, in old) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>Calls that wait are tried again with what they remember, so that nothing is left for this one to continue.</summary>
    internal static SyscallResult RestartSyscall(Task task, in SyscallArgs args) => Errno.EINTR;
}
