using System.Buffers.Binary;

namespace Sentry.Kernel.Tracing;

/// <summary>ptrace(2).</summary>
internal static class PtraceSyscalls
{
    private const int SiginfoSize = RtSigframe.SiginfoSize;

    internal static SyscallResult Ptrace(Task task, in SyscallArgs args)
    {
        int request = args.I0;
        if (request == PTRACE.TRACEME)
            return TraceMe(task);
        if (!task.Kernel.Tasks.TryGetValue(task.PidNamespace.ToKernel(args.I1), out Task? tracee))
            return Errno.ESRCH;
        if (request is PTRACE.ATTACH or PTRACE.SEIZE)
            return Attach(task, tracee, request == PTRACE.SEIZE, args.A2, args.A3);
        if (tracee.Trace is not { } trace || !ReferenceEquals(trace.Tracer, task.Group))
            return Errno.ESRCH;
        if (request == PTRACE.KILL)
        {
            SignalDelivery.SendToTask(tracee, SignalInfo.Kernel(Signal.SIGKILL));
            return SyscallResult.Ok;
        }

        if (request == PTRACE.INTERRUPT)
        {
            if (!trace.Seized)
                return Errno.EIO;
            TraceStops.WantTrap(tracee, trace);
            return SyscallResult.Ok;
        }

        return !trace.IsStopped || trace.Listening ? Errno.ESRCH : OfStopped(task, tracee, trace, request, args.A2, args.A3);
    }

    private static SyscallResult TraceMe(Task task)
    {
        if (task.Trace is not null || task.Group.Parent is not { } parent)
            return Errno.EPERM;
        CallSites.TurnOff(task);
        task.Trace = new TraceState { Tracer = parent };
        return SyscallResult.Ok;
    }

    private static SyscallResult Attach(Task task, Task tracee, bool seize, ulong address, ulong data)
    {
        if (seize && (address != 0 || (data & ~(ulong)PTRACE.O_ALL) != 0))
            return Errno.EIO;
        if (ReferenceEquals(task.Group, tracee.Group) || !PtraceAccess.MayAttach(task, tracee) || tracee.Trace is not null)
            return Errno.EPERM;
        var trace = new TraceState { Tracer = task.Group, Seized = seize, Options = seize ? (uint)data : 0 };
        CallSites.TurnOff(tracee);
        tracee.Trace = trace;
        if (!seize)
            SignalDelivery.SendToTask(tracee, SignalInfo.Kernel(Signal.SIGSTOP));
        if (tracee.Group.Job.IsStopped)
            TraceStops.ComeSoon(tracee, trace);
        return SyscallResult.Ok;
    }

    private static SyscallResult OfStopped(Task task, Task tracee, TraceState trace, int request, ulong address, ulong data)
    {
        switch (request)
        {
            case PTRACE.PEEKTEXT or PTRACE.PEEKDATA:
                byte[] word = new byte[8];
                return tracee.Memory.Space.ReadForced(address, word) != 8 ? Errno.EIO : Copied(task.Memory.TryWriteAll(data, word));
            case PTRACE.POKETEXT or PTRACE.POKEDATA:
                byte[] value = new byte[8];
                BinaryPrimitives.WriteUInt64LittleEndian(value, data);
                return tracee.Memory.Space.WriteForced(address, value) != 8 ? Errno.EIO : SyscallResult.Ok;
            case PTRACE.PEEKUSER:
                return TracedRegisters.TryPeek(tracee, trace, address, out ulong found) ? Copied(task.TryWrite(data, found)) : Errno.EIO;
            case PTRACE.POKEUSER:
                return TracedRegisters.Poke(tracee, trace, address, data);
            case PTRACE.GETREGS:
                return Copied(task.TryWrite(data, TracedRegisters.Get(tracee, trace)));
            case PTRACE.SETREGS:
                return task.TryRead(data, out UserRegs registers) ? TracedRegisters.Set(tracee, trace, registers) : Errno.EFAULT;
            case PTRACE.GETFPREGS:
                return Copied(task.Memory.TryWriteAll(data, TracedRegisters.GetExtended(tracee).AsSpan(0, SignalXState.FxsaveSize)));
            case PTRACE.SETFPREGS:
                byte[] legacy = new byte[SignalXState.FxsaveSize];
                return !task.Memory.TryReadAll(data, legacy) ? Errno.EFAULT : TracedRegisters.SetLegacy(tracee, legacy) ? SyscallResult.Ok : Errno.EINVAL;
            case PTRACE.GETREGSET or PTRACE.SETREGSET:
                return RegisterSet(task, tracee, trace, (int)address, data, request == PTRACE.SETREGSET);
            case PTRACE.ARCH_PRCTL:
                const ulong getFs = 0x1003, getGs = 0x1004;
                UserRegs now = TracedRegisters.Get(tracee, trace);
                return data is getFs or getGs ? Copied(task.TryWrite(address, data == getFs ? now.FsBase : now.GsBase)) : Errno.EINVAL;
            case PTRACE.SETOPTIONS or PTRACE.OLDSETOPTIONS:
                if ((data & ~(ulong)PTRACE.O_ALL) != 0)
                    return Errno.EINVAL;
                trace.Options = (uint)data;
                return SyscallResult.Ok;
            case PTRACE.GETEVENTMSG:
                return Copied(task.TryWrite(data, trace.Message));
            case PTRACE.GETSIGINFO:
                if (trace.Info is null)
                    return Errno.EINVAL;
                byte[] info = new byte[SiginfoSize];
                trace.Info.ShownTo(task).ToBytes(info);
                return Copied(task.Memory.TryWriteAll(data, info));
            case PTRACE.SETSIGINFO:
                byte[] given = new byte[SiginfoSize];
                if (trace.Info is null)
                    return Errno.EINVAL;
                if (!task.Memory.TryReadAll(data, given))
                    return Errno.EFAULT;
                trace.Info = SignalInfo.FromBytes(BinaryPrimitives.ReadInt32LittleEndian(given), given);
                return SyscallResult.Ok;
            case PTRACE.PEEKSIGINFO:
                return PeekSignals(task, tracee, address, data);
            case PTRACE.GETSIGMASK:
                return address != 8 ? Errno.EINVAL : Copied(task.TryWrite(data, tracee.Signals.Mask));
            case PTRACE.SETSIGMASK:
                if (address != 8)
                    return Errno.EINVAL;
                if (!task.TryRead(data, out ulong mask))
                    return Errno.EFAULT;
                tracee.Signals.Mask = mask & ~Signal.Unblockable;
                return SyscallResult.Ok;
            case PTRACE.GET_SYSCALL_INFO:
                return DescribeCall(task, tracee, trace, (int)Math.Min(address, 88), data);
            case PTRACE.LISTEN:
                if (!trace.Seized || trace.Code >> 8 != PTRACE.EVENT_STOP)
                    return Errno.EIO;
                trace.Listening = true;
                if (trace.TrapWanted)
                    TraceStops.WantTrap(tracee, trace);
                return SyscallResult.Ok;
            case PTRACE.CONT or PTRACE.SYSCALL or PTRACE.SINGLESTEP or PTRACE.SYSEMU or PTRACE.SYSEMU_SINGLESTEP or PTRACE.DETACH:
                if (data > Signal.Max)
                    return Errno.EIO;
                if (request == PTRACE.DETACH)
                    TraceStops.Detach(tracee, trace, (int)data);
                else
                    TraceStops.GoOn(tracee, trace, ModeOf(request), (int)data);
                return SyscallResult.Ok;
            default:
                return Errno.EIO;
        }
    }

    private static TraceMode ModeOf(int request) => request switch
    {
        PTRACE.SYSCALL => TraceMode.Call,
        PTRACE.SINGLESTEP => TraceMode.Step,
        PTRACE.SYSEMU => TraceMode.Emulate,
        PTRACE.SYSEMU_SINGLESTEP => TraceMode.EmulateStep,
        _ => TraceMode.Continue,
    };

    private static SyscallResult Copied(bool done) => done ? SyscallResult.Ok : Errno.EFAULT;

    /// <summary>The regset in an iovec, which is told how much of it there is.</summary>
    private static SyscallResult RegisterSet(Task task, Task tracee, TraceState trace, int type, ulong vector, bool write)
    {
        if (!task.TryRead(vector, out ulong place) || !task.TryRead(vector + 8, out ulong length))
            return Errno.EFAULT;
        if (type is not (PTRACE.NT_PRSTATUS or PTRACE.NT_PRFPREG or PTRACE.NT_X86_XSTATE))
            return Errno.EINVAL;
        if (!write)
        {
            ReadOnlySpan<byte> all = type == PTRACE.NT_PRSTATUS ? TracedRegisters.GetBytes(tracee, trace)
                : type == PTRACE.NT_PRFPREG ? TracedRegisters.GetExtended(tracee).AsSpan(0, SignalXState.FxsaveSize)
                : TracedRegisters.GetExtended(tracee);
            ReadOnlySpan<byte> part = all[..(int)Math.Min((ulong)all.Length, length)];
            return Copied(task.Memory.TryWriteAll(place, part) && task.TryWrite(vector + 8, (ulong)part.Length));
        }

        int size = type == PTRACE.NT_PRSTATUS ? UserRegs.Size : type == PTRACE.NT_PRFPREG ? SignalXState.FxsaveSize : TracedRegisters.GetExtended(tracee).Length;
        if (length % 8 != 0 || (type == PTRACE.NT_X86_XSTATE && length < (ulong)size))
            return type == PTRACE.NT_X86_XSTATE ? Errno.EFAULT : Errno.EINVAL;
        byte[] bytes = new byte[(int)Math.Min((ulong)size, length)];
        if (!task.Memory.TryReadAll(place, bytes))
            return Errno.EFAULT;
        if (!task.TryWrite(vector + 8, (ulong)bytes.Length))
            return Errno.EFAULT;
        if (type == PTRACE.NT_PRSTATUS)
            return TracedRegisters.SetBytes(tracee, trace, bytes);
        bool set = type == PTRACE.NT_PRFPREG ? TracedRegisters.SetLegacy(tracee, bytes) : TracedRegisters.SetExtended(tracee, bytes);
        return set ? SyscallResult.Ok : Errno.EINVAL;
    }

    private static SyscallResult PeekSignals(Task task, Task tracee, ulong arguments, ulong place)
    {
        // struct ptrace_peeksiginfo_args: u64 off, u32 flags, s32 nr.
        if (!task.TryRead(arguments, out ulong offset) || !task.TryRead(arguments + 8, out uint flags) || !task.TryRead(arguments + 12, out int count))
            return Errno.EFAULT;
        if ((flags & ~(uint)PTRACE.PEEKSIGINFO_SHARED) != 0 || count < 0)
            return Errno.EINVAL;
        PendingSignals pending = (flags & PTRACE.PEEKSIGINFO_SHARED) != 0 ? tracee.Group.Pending : tracee.Signals.Pending;
        byte[] info = new byte[SiginfoSize];
        int done = 0;
        foreach (SignalInfo queued in pending.All.Skip((int)Math.Min(offset, int.MaxValue)).Take(count))
        {
            queued.ToBytes(info);
            if (!task.Memory.TryWriteAll(place + ((ulong)done * SiginfoSize), info))
                return done > 0 ? done : Errno.EFAULT;
            done++;
        }

        return done;
    }

    /// <summary>struct ptrace_syscall_info; the number of bytes there are, of which as many as fit are written.</summary>
    private static SyscallResult DescribeCall(Task task, Task tracee, TraceState trace, int room, ulong place)
    {
        UserRegs registers = TracedRegisters.Get(tracee, trace);
        byte[] info = new byte[88];
        BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(4), PTRACE.ArchX64);
        BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(8), registers.Rip);
        BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(16), registers.Rsp);
        int size = 24;
        bool filtered = trace.Stop == TraceStop.Event && trace.Code >> 8 == PTRACE.EVENT_SECCOMP;
        if (trace.Stop == TraceStop.CallEntry || filtered)
        {
            info[0] = filtered ? PTRACE.SYSCALL_INFO_SECCOMP : PTRACE.SYSCALL_INFO_ENTRY;
            ulong[] words = [registers.OrigRax, registers.Rdi, registers.Rsi, registers.Rdx, registers.R10, registers.R8, registers.R9];
            for (int i = 0; i < words.Length; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(24 + (i * 8)), words[i]);
            size = 80;
            if (filtered)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(info.AsSpan(size), (uint)trace.Message);
                size += sizeof(uint);
            }
        }
        else if (trace.Stop == TraceStop.CallExit)
        {
            info[0] = PTRACE.SYSCALL_INFO_EXIT;
            BinaryPrimitives.WriteUInt64LittleEndian(info.AsSpan(24), registers.Rax);
            info[32] = (long)registers.Rax is < 0 and > -4096 ? (byte)1 : (byte)0;
            size = 33;
        }

        return task.Memory.TryWriteAll(place, info.AsSpan(0, Math.Min(size, room))) ? size : Errno.EFAULT;
    }
}
