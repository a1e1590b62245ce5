using System.Text;

namespace Sentry.Kernel.Tasks;

/// <summary>prctl(2).</summary>
internal static class PrctlSyscalls
{
    private const int SetPdeathsig = 1, GetPdeathsig = 2, GetDumpable = 3, SetDumpable = 4, GetKeepcaps = 7, SetKeepcaps = 8, GetTiming = 13,
        SetTiming = 14, SetName = 15, GetName = 16, GetSeccomp = 21, SetSeccomp = 22, CapbsetRead = 23, CapbsetDrop = 24, GetTsc = 25, SetTsc = 26,
        GetSecurebits = 27, SetSecurebits = 28, SetTimerslack = 29, GetTimerslack = 30, McekillGet = 34, SetMm = 35, SetChildSubreaper = 36,
        GetChildSubreaper = 37, SetNoNewPrivs = 38, GetNoNewPrivs = 39, GetTidAddress = 40, SetThpDisable = 41, GetThpDisable = 42, CapAmbient = 47;

    private const int AmbientIsSet = 1, AmbientRaise = 2, AmbientLower = 3, AmbientClearAll = 4;

    /// <summary>Options that are not here are EINVAL, as on a kernel built without them.</summary>
    internal static SyscallResult Prctl(Task task, in SyscallArgs args)
    {
        ThreadGroup group = task.Group;
        bool restZero = (args.A2 | args.A3 | args.A4) == 0;
        switch (args.I0)
        {
            case SetPdeathsig:
                if (args.A1 > 64)
                    return Errno.EINVAL;
                task.ParentDeathSignal = (int)args.A1;
                return SyscallResult.Ok;
            case GetPdeathsig:
                return Put(task, args.A1, task.ParentDeathSignal);
            case GetDumpable:
                return group.IsDumpable ? 1 : 0;
            case SetDumpable:
                if (args.A1 > 1)
                    return Errno.EINVAL;
                group.IsDumpable = args.A1 == 1;
                return SyscallResult.Ok;
            case GetKeepcaps:
                return (task.Credentials.SecureBits & CredentialsDraft.SecureKeepCaps) != 0 ? 1 : 0;
            case SetKeepcaps:
                return KeepCapabilities(task, args.A1);
            case GetTiming:
                return SyscallResult.Ok;
            case SetTiming:
                return args.A1 == 0 ? SyscallResult.Ok : Errno.EINVAL;
            case SetName:
                return ReadName(task, args.A1);
            case GetName:
                return WriteName(task, args.A1);
            case GetSeccomp:
                return task.Seccomp?.Mode ?? 0;
            case SetSeccomp:
                return SeccompSyscalls.SetMode(task, args.A1, args.A2);
            case GetTsc:
                return Put(task, args.A1, 1);
            case SetTsc:
                return args.A1 == 1 ? SyscallResult.Ok : Errno.EINVAL;
            case CapbsetRead:
                return args.A1 > Capability.CAP_LAST_CAP ? Errno.EINVAL : (task.Credentials.Bounding >> (int)args.A1 & 1);
            case CapbsetDrop:
                return DropBounding(task, args.A1);
            case GetSecurebits:
                return (long)task.Credentials.SecureBits;
            case SetSecurebits:
                return SetSecureBits(task, args.A1);
            case SetTimerslack:
                task.Scheduling.TimerSlack = (long)args.A1 <= 0 ? task.Scheduling.InheritedTimerSlack : args.A1;
                return SyscallResult.Ok;
            case GetTimerslack:
                return task.Scheduling.TimerSlack;
            case McekillGet:
                return (args.A1 | args.A2 | args.A3 | args.A4) == 0 ? 2 : Errno.EINVAL;
            case SetMm:
                return Errno.EPERM;
            case SetChildSubreaper:
                group.IsChildSubreaper = args.A1 != 0;
                return SyscallResult.Ok;
            case GetChildSubreaper:
                return Put(task, args.A1, group.IsChildSubreaper ? 1 : 0);
            case SetNoNewPrivs:
                if (args.A1 != 1 || !restZero)
                    return Errno.EINVAL;
                return CredentialSyscalls.Commit(task, new CredentialsDraft(task.Credentials) { NoNewPrivileges = true });
            case GetNoNewPrivs:
                return args.A1 == 0 && restZero ? (task.Credentials.NoNewPrivileges ? 1 : 0) : Errno.EINVAL;
            case GetTidAddress:
                return task.TryWrite(args.A1, task.ClearChildTid) ? SyscallResult.Ok : Errno.EFAULT;
            case SetThpDisable:
                return restZero ? SyscallResult.Ok : Errno.EINVAL;
            case GetThpDisable:
                return args.A1 == 0 && restZero ? SyscallResult.Ok : Errno.EINVAL;
            case CapAmbient:
                return ChangeAmbient(task, args);
            default:
                return Errno.EINVAL;
        }
    }

    private static SyscallResult Put(Task task, ulong address, int value) => task.TryWrite(address, value) ? SyscallResult.Ok : Errno.EFAULT;

    private static SyscallResult ReadName(Task task, ulong address)
    {
        Span<byte> bytes = stackalloc byte[16];
        int length = 0;

        // Byte by byte, as the name may end right before a page that is not there.
        while (length < 15 && task.TryRead(address + (ulong)length, out byte value))
        {
            if (value == 0)
            {
                task.Name = Encoding.Latin1.GetString(bytes[..length]);
                return SyscallResult.Ok;
            }

            bytes[length++] = value;
        }

        if (length < 15)
            return Errno.EFAULT;
        task.Name = Encoding.Latin1.GetString(bytes[..15]);
        return SyscallResult.Ok;
    }

    private static SyscallResult WriteName(Task task, ulong address)
    {
        Span<byte> bytes = stackalloc byte[16];
        bytes.Clear();
        Encoding.Latin1.GetBytes(task.Name.AsSpan(0, Math.Min(15, task.Name.Length)), bytes);
        return task.Memory.TryWriteAll(address, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static SyscallResult KeepCapabilities(Task task, ulong value)
    {
        uint bits = task.Credentials.SecureBits;
        if (value > 1)
            return Errno.EINVAL;
        if ((bits & CredentialsDraft.SecureKeepCaps << 1) != 0)
            return Errno.EPERM;
        bits = value == 1 ? bits | CredentialsDraft.SecureKeepCaps : bits & ~CredentialsDraft.SecureKeepCaps;
        return CredentialSyscalls.Commit(task, new CredentialsDraft(task.Credentials) { SecureBits = bits });
    }

    private static SyscallResult DropBounding(Task task, ulong capability)
    {
        Credentials old = task.Credentials;
        if (!old.HasOwn(Capability.CAP_SETPCAP))
            return Errno.EPERM;
        if (capability > Capability.CAP_LAST_CAP)
            return Errno.EINVAL;
        return CredentialSyscalls.Commit(task, new CredentialsDraft(old) { Bounding = old.Bounding & ~(1UL << (int)capability) });
    }

    /// <summary>A locked bit keeps its value, a lock is never lifted (capabilities(7), "The securebits flags").</summary>
    private static SyscallResult SetSecureBits(Task task, ulong value)
    {
        Credentials old = task.Credentials;
        uint current = old.SecureBits, wanted = (uint)value;
        uint locked = (current & CredentialsDraft.SecureAllLocks) >> 1;
        if ((locked & (current ^ wanted)) != 0
            || (current & CredentialsDraft.SecureAllLocks & ~wanted) != 0
            || (value & ~(ulong)(CredentialsDraft.SecureAllLocks | CredentialsDraft.SecureAllBits)) != 0
            || !old.HasOwn(Capability.CAP_SETPCAP))
        {
            return Errno.EPERM;
        }

        return CredentialSyscalls.Commit(task, new CredentialsDraft(old) { SecureBits = wanted });
    }

    private static SyscallResult ChangeAmbient(Task task, in SyscallArgs args)
    {
        Credentials old = task.Credentials;
        if (args.A1 == AmbientClearAll)
        {
            if ((args.A2 | args.A3 | args.A4) != 0)
                return Errno.EINVAL;
            return CredentialSyscalls.Commit(task, new CredentialsDraft(old) { Ambient = 0 });
        }

        if (args.A2 > Capability.CAP_LAST_CAP || (args.A3 | args.A4) != 0)
            return Errno.EINVAL;
        ulong bit = 1UL << (int)args.A2;
        switch (args.A1)
        {
            case AmbientIsSet:
                return (old.Ambient & bit) != 0 ? 1 : 0;
            case AmbientRaise:
                if ((old.Permitted & old.Inheritable & bit) == 0 || (old.SecureBits & CredentialsDraft.SecureNoAmbientRaise) != 0)
                    return Errno.EPERM;
                return CredentialSyscalls.Commit(task, new CredentialsDraft(old) { Ambient = old.Ambient | bit });
            case AmbientLower:
                return CredentialSyscalls.Commit(task, new CredentialsDraft(old) { Ambient = old.Ambient & ~bit });
            default:
                return Errno.EINVAL;
        }
    }
}
