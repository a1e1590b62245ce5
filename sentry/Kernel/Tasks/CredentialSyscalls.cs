using System.Buffers.Binary;

namespace Sentry.Kernel.Tasks;

/// <summary>System calls that change who a task is: the setuid and setgid families, groups, capabilities (credentials(7), capabilities(7)).
/// As in Linux they change one thread; the C library has every thread of a process make the call.</summary>
internal static class CredentialSyscalls
{
    private const uint Unchanged = uint.MaxValue;
    private const int MaximumGroups = 65536;
    private const uint CapabilityVersion1 = 0x19980330, CapabilityVersion2 = 0x20071026, CapabilityVersion3 = 0x20080522;

    internal static SyscallResult Setuid(Task task, in SyscallArgs args)
    {
        Credentials old = task.Credentials;
        if (!task.UserNamespace.TryMakeUid((uint)args.A0, out uint uid))
            return Errno.EINVAL;
        var draft = new CredentialsDraft(old);
        if (old.HasOwn(Capability.CAP_SETUID))
            draft.Uid = draft.SavedUid = uid;
        else if (uid != old.Uid && uid != old.SavedUid)
            return Errno.EPERM;
        draft.EffectiveUid = draft.FsUid = uid;
        return CommitUids(task, draft);
    }

    internal static SyscallResult Setreuid(Task task, in SyscallArgs args)
    {
        if (!TryMake(task, (uint)args.A0, groups: false, out uint real) || !TryMake(task, (uint)args.A1, groups: false, out uint effective))
            return Errno.EINVAL;
        Credentials old = task.Credentials;
        bool free = old.HasOwn(Capability.CAP_SETUID);
        var draft = new CredentialsDraft(old);
        if (real != Unchanged)
        {
            if (!free && real != old.Uid && real != old.EffectiveUid)
                return Errno.EPERM;
            draft.Uid = real;
        }

        if (effective != Unchanged)
        {
            if (!free && effective != old.Uid && effective != old.EffectiveUid && effective != old.SavedUid)
                return Errno.EPERM;
            draft.EffectiveUid = effective;
        }

        if (real != Unchanged || (effective != Unchanged && effective != old.Uid))
            draft.SavedUid = draft.EffectiveUid;
        draft.FsUid = draft.EffectiveUid;
        return CommitUids(task, draft);
    }

    internal static SyscallResult Setresuid(Task task, in SyscallArgs args)
    {
        if (!TryMake(task, (uint)args.A0, groups: false, out uint real) || !TryMake(task, (uint)args.A1, groups: false, out uint effective) || !TryMake(task, (uint)args.A2, groups: false, out uint saved))
            return Errno.EINVAL;
        Credentials old = task.Credentials;
        bool Allowed(uint id) => id == Unchanged || id == old.Uid || id == old.EffectiveUid || id == old.SavedUid;
        if (!old.HasOwn(Capability.CAP_SETUID) && !(Allowed(real) && Allowed(effective) && Allowed(saved)))
            return Errno.EPERM;
        var draft = new CredentialsDraft(old);
        draft.Uid = real == Unchanged ? old.Uid : real;
        draft.EffectiveUid = effective == Unchanged ? old.EffectiveUid : effective;
        draft.SavedUid = saved == Unchanged ? old.SavedUid : saved;
        draft.FsUid = draft.EffectiveUid;
        return CommitUids(task, draft);
    }

    /// <summary>setfsuid(2): answers the old id, whether or not it was allowed.</summary>
    internal static SyscallResult Setfsuid(Task task, in SyscallArgs args)
    {
        Credentials old = task.Credentials;
        if (!task.UserNamespace.TryMakeUid((uint)args.A0, out uint uid))
            return (long)task.UserNamespace.ShowUid(old.FsUid);
        bool allowed = uid == old.Uid || uid == old.EffectiveUid || uid == old.SavedUid || uid == old.FsUid || old.HasOwn(Capability.CAP_SETUID);
        if (allowed && uid != old.FsUid)
        {
            var draft = new CredentialsDraft(old) { FsUid = uid };
            draft.FixCapabilitiesAfterSetfsuid(old);
            Commit(task, draft);
        }

        return (long)task.UserNamespace.ShowUid(old.FsUid);
    }

    internal static SyscallResult Setgid(Task task, in SyscallArgs args)
    {
        Credentials old = task.Credentials;
        if (!task.UserNamespace.TryMakeGid((uint)args.A0, out uint gid))
            return Errno.EINVAL;
        var draft = new CredentialsDraft(old);
        if (old.HasOwn(Capability.CAP_SETGID))
            draft.Gid = draft.SavedGid = gid;
        else if (gid != old.Gid && gid != old.SavedGid)
            return Errno.EPERM;
        draft.EffectiveGid = draft.FsGid = gid;
        return Commit(task, draft);
    }

    internal static SyscallResult Setregid(Task task, in SyscallArgs args)
    {
        if (!TryMake(task, (uint)args.A0, groups: true, out uint real) || !TryMake(task, (uint)args.A1, groups: true, out uint effective))
            return Errno.EINVAL;
        Credentials old = task.Credentials;
        bool free = old.HasOwn(Capability.CAP_SETGID);
        var draft = new CredentialsDraft(old);
        if (real != Unchanged)
        {
            if (!free && real != old.Gid && real != old.EffectiveGid)
                return Errno.EPERM;
            draft.Gid = real;
        }

        if (effective != Unchanged)
        {
            if (!free && effective != old.Gid && effective != old.EffectiveGid && effective != old.SavedGid)
                return Errno.EPERM;
            draft.EffectiveGid = effective;
        }

        if (real != Unchanged || (effective != Unchanged && effective != old.Gid))
            draft.SavedGid = draft.EffectiveGid;
        draft.FsGid = draft.EffectiveGid;
        return Commit(task, draft);
    }

    internal static SyscallResult Setresgid(Task task, in SyscallArgs args)
    {
        if (!TryMake(task, (uint)args.A0, groups: true, out uint real) || !TryMake(task, (uint)args.A1, groups: true, out uint effective) || !TryMake(task, (uint)args.A2, groups: true, out uint saved))
            return Errno.EINVAL;
        Credentials old = task.Credentials;
        bool Allowed(uint id) => id == Unchanged || id == old.Gid || id == old.EffectiveGid || id == old.SavedGid;
        if (!old.HasOwn(Capability.CAP_SETGID) && !(Allowed(real) && Allowed(effective) && Allowed(saved)))
            return Errno.EPERM;
        var draft = new CredentialsDraft(old);
        draft.Gid = real == Unchanged ? old.Gid : real;
        draft.EffectiveGid = effective == Unchanged ? old.EffectiveGid : effective;
        draft.SavedGid = saved == Unchanged ? old.SavedGid : saved;
        draft.FsGid = draft.EffectiveGid;
        return Commit(task, draft);
    }

    internal static SyscallResult Setfsgid(Task task, in SyscallArgs args)
    {
        Credentials old = task.Credentials;
        if (!task.UserNamespace.TryMakeGid((uint)args.A0, out uint gid))
            return (long)task.UserNamespace.ShowGid(old.FsGid);
        bool allowed = gid == old.Gid || gid == old.EffectiveGid || gid == old.SavedGid || gid == old.FsGid || old.HasOwn(Capability.CAP_SETGID);
        if (allowed && gid != old.FsGid)
            Commit(task, new CredentialsDraft(old) { FsGid = gid });
        return (long)task.UserNamespace.ShowGid(old.FsGid);
    }

    /// <summary>An id argument as the kernel knows it; -1 stays as it is, false is EINVAL.</summary>
    private static bool TryMake(Task task, uint id, bool groups, out uint kernel)
    {
        kernel = Unchanged;
        return id == Unchanged || (groups ? task.UserNamespace.TryMakeGid(id, out kernel) : task.UserNamespace.TryMakeUid(id, out kernel));
    }

    internal static SyscallResult Setgroups(Task task, in SyscallArgs args)
    {
        UserNamespace user = task.UserNamespace;
        if (!task.Credentials.HasOwn(Capability.CAP_SETGID) || !user.HasGidMap || user.SetgroupsDenied)
            return Errno.EPERM;
        if ((uint)args.A0 > MaximumGroups)
            return Errno.EINVAL;
        byte[] bytes = new byte[(int)args.A0 * 4];
        if (!task.Memory.TryReadAll(args.A1, bytes))
            return Errno.EFAULT;
        uint[] groups = new uint[bytes.Length / 4];
        for (int i = 0; i < groups.Length; i++)
        {
            if (!user.TryMakeGid(BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(i * 4)), out groups[i]))
                return Errno.EINVAL;
        }

        Array.Sort(groups);
        return Commit(task, new CredentialsDraft(task.Credentials) { Groups = groups });
    }

    internal static SyscallResult Capget(Task task, in SyscallArgs args)
    {
        Errno error = ReadCapabilityHeader(task, args.A0, out int words, out int pid);
        if (error != Errno.None)
            return error == Errno.EINVAL && args.A1 == 0 ? SyscallResult.Ok : error;
        if (pid < 0)
            return Errno.EINVAL;
        if (IdentitySyscalls.FindTask(task, pid) is not { } target)
            return Errno.ESRCH;
        if (args.A1 == 0)
            return SyscallResult.Ok;
        Credentials credentials = target.Credentials;
        Span<byte> data = stackalloc byte[24];
        for (int word = 0; word < words; word++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(data[(word * 12)..], (uint)(credentials.Effective >> (32 * word)));
            BinaryPrimitives.WriteUInt32LittleEndian(data[((word * 12) + 4)..], (uint)(credentials.Permitted >> (32 * word)));
            BinaryPrimitives.WriteUInt32LittleEndian(data[((word * 12) + 8)..], (uint)(credentials.Inheritable >> (32 * word)));
        }

        return task.Memory.TryWriteAll(args.A1, data[..(words * 12)]) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>capset(2), for oneself only.</summary>
    internal static SyscallResult Capset(Task task, in SyscallArgs args)
    {
        Errno error = ReadCapabilityHeader(task, args.A0, out int words, out int pid);
        if (error != Errno.None)
            return error;
        if (pid != 0 && task.PidNamespace.ToKernel(pid) != task.Tid)
            return Errno.EPERM;
        Span<byte> data = stackalloc byte[24];
        data.Clear();
        if (!task.Memory.TryReadAll(args.A1, data[..(words * 12)]))
            return Errno.EFAULT;
        ulong effective = 0, permitted = 0, inheritable = 0;
        for (int word = 0; word < words; word++)
        {
            effective |= (ulong)BinaryPrimitives.ReadUInt32LittleEndian(data[(word * 12)..]) << (32 * word);
            permitted |= (ulong)BinaryPrimitives.ReadUInt32LittleEndian(data[((word * 12) + 4)..]) << (32 * word);
            inheritable |= (ulong)BinaryPrimitives.ReadUInt32LittleEndian(data[((word * 12) + 8)..]) << (32 * word);
        }

        effective &= Capability.CAP_FULL_SET;
        permitted &= Capability.CAP_FULL_SET;
        inheritable &= Capability.CAP_FULL_SET;
        Credentials old = task.Credentials;
        bool anyInheritable = old.HasOwn(Capability.CAP_SETPCAP);
        if ((!anyInheritable && (inheritable & ~(old.Inheritable | old.Permitted)) != 0)
            || (inheritable & ~(old.Inheritable | old.Bounding)) != 0
            || (permitted & ~old.Permitted) != 0
            || (effective & ~permitted) != 0)
        {
            return Errno.EPERM;
        }

        return Commit(task, new CredentialsDraft(old)
        {
            Effective = effective,
            Permitted = permitted,
            Inheritable = inheritable,
            Ambient = old.Ambient & permitted & inheritable,
        });
    }

    /// <summary>Makes the draft the task's credentials. A change of effective or file-system ids, or lost capabilities, makes the process
    /// undumpable and forgets the parent-death signal, as commit_creds does (prctl(2)).</summary>
    internal static SyscallResult Commit(Task task, in CredentialsDraft draft)
    {
        Credentials old = task.Credentials;
        if (draft.EffectiveUid != old.EffectiveUid || draft.EffectiveGid != old.EffectiveGid || draft.FsUid != old.FsUid || draft.FsGid != old.FsGid
            || (draft.Permitted & ~old.Permitted) != 0)
        {
            task.Group.IsDumpable = false;
            task.ParentDeathSignal = 0;
        }

        task.Credentials = draft.ToCredentials();
        return SyscallResult.Ok;
    }

    private static SyscallResult CommitUids(Task task, CredentialsDraft draft)
    {
        draft.FixCapabilitiesAfterSetuid(task.Credentials);
        return Commit(task, draft);
    }

    /// <summary>An unknown version is answered with the preferred one in its place (capget(2)).</summary>
    private static Errno ReadCapabilityHeader(Task task, ulong address, out int words, out int pid)
    {
        words = 2;
        pid = 0;
        if (!task.TryRead(address, out uint version))
            return Errno.EFAULT;
        switch (version)
        {
            case CapabilityVersion1:
                words = 1;
                break;
            case CapabilityVersion2 or CapabilityVersion3:
                break;
            default:
                return task.TryWrite(address, CapabilityVersion3) ? Errno.EINVAL : Errno.EFAULT;
        }

        return task.TryRead(address + 4, out pid) ? Errno.None : Errno.EFAULT;
    }
}
