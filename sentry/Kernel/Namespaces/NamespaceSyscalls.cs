namespace Sentry.Kernel.Namespaces;

/// <summary>System calls: unshare, setns.</summary>
internal static class NamespaceSyscalls
{
    private const ulong Vm = 0x100, Fs = 0x200, Files = 0x400, Sighand = 0x800, Thread = 0x10000, SysVSem = 0x40000;

    internal static SyscallResult Unshare(Task task, in SyscallArgs args)
    {
        ulong flags = args.A0;
        var kinds = (NamespaceKinds)flags & NamespaceKinds.All;
        if ((flags & ~(Vm | Fs | Files | Sighand | Thread | SysVSem | (ulong)NamespaceKinds.All)) != 0)
            return Errno.EINVAL;
        if ((kinds & NamespaceKinds.User) != 0)
            flags |= Thread | Fs;
        if ((flags & (Thread | Sighand | Vm)) != 0 && task.Group.Tasks.Count > 1)
            return Errno.EINVAL;
        if ((flags & Vm) != 0 && task.Memory.Users > 1)
            return Errno.EINVAL;
        if ((flags & Files) != 0 && task.Files.IsShared && task.Files.Highest >= task.Kernel.Settings.OpenFilesLimit)
            return Errno.EMFILE;
        UserNamespace owner = task.UserNamespace;
        Errno error = Errno.None;
        if ((kinds & NamespaceKinds.User) != 0 && !MayMakeUser(task, out error))
            return error;
        if ((kinds & NamespaceKinds.User) != 0 && !UserNamespace.Make(task).TryGet(out owner!, out error))
            return error;
        NamespaceKinds others = kinds & ~NamespaceKinds.User;
        if (others != 0 && (kinds & NamespaceKinds.User) == 0 && !task.Credentials.HasOwn(Capability.CAP_SYS_ADMIN))
            return Errno.EPERM;
        NamespaceSet namespaces = task.Namespaces;
        Dictionary<Mount, Mount>? copied = null;
        if (others != 0 && !task.Namespaces.Unshare(others, owner, out copied).TryGet(out namespaces!, out error))
            return error;

        // Nothing fails from here on.
        if ((kinds & NamespaceKinds.User) != 0)
            task.Credentials = EnterUser(task.Credentials, owner);
        if ((flags & (Fs | (ulong)NamespaceKinds.Mount)) != 0)
            task.Fs = task.Fs.Copy();
        if (copied is not null)
            task.Fs.Relocate(copied);
        if ((flags & Files) != 0 && task.Files.IsShared)
        {
            FileTable own = task.Files.Copy();
            task.Files.RemoveUser(task.Group);
            task.Files = own;
        }

        if ((flags & SysVSem) != 0 || (kinds & NamespaceKinds.Ipc) != 0)
        {
            task.SemaphoreUndo?.RemoveUser(task);
            task.SemaphoreUndo = null;
        }

        task.Namespaces = namespaces;
        return SyscallResult.Ok;
    }

    /// <summary>A user namespace cannot be made by one whose root was changed: the new one would give it the right to leave (user_namespaces(7)).</summary>
    internal static bool MayMakeUser(Task task, out Errno error)
    {
        error = task.Mounts.HasRoot && !task.Fs.Root.Equals(task.Mounts.Root) ? Errno.EPERM : Errno.None;
        return error == Errno.None;
    }

    /// <summary>All capabilities, in a new user namespace or one that is entered.</summary>
    internal static Credentials EnterUser(Credentials from, UserNamespace entered) => new CredentialsDraft(from)
    {
        Effective = Capability.CAP_FULL_SET,
        Permitted = Capability.CAP_FULL_SET,
        Bounding = Capability.CAP_FULL_SET,
        Inheritable = 0,
        Ambient = 0,
        SecureBits = 0,
        UserNamespace = entered.Parent is null ? null : entered,
    }.ToCredentials();

    internal static SyscallResult Setns(Task task, in SyscallArgs args)
    {
        var kinds = (NamespaceKinds)args.A1;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        switch (file)
        {
            case NamespaceFile { Namespace: var space }:
                if (args.I1 != 0 && space.Kind != kinds)
                    return Errno.EINVAL;
                return Enter(task, [space]);
            case PidFile pidfd:
                return EnterAll(task, pidfd, args.I1, kinds);
            default:
                return Errno.EINVAL;
        }
    }

    /// <summary>Several namespaces of a process at once.</summary>
    private static SyscallResult EnterAll(Task task, PidFile pidfd, int raw, NamespaceKinds kinds)
    {
        if (raw == 0 || ((uint)raw & ~(uint)NamespaceKinds.All) != 0)
            return Errno.EINVAL;
        if (pidfd.Process?.Tasks.FirstOrDefault() is not { } target)
            return Errno.ESRCH;
        if (!PtraceAccess.MayRead(task, target))
            return Errno.EPERM;
        NamespaceSet of = target.Namespaces;
        List<Namespace> wanted = [];

        // The user first: its capabilities decide about the others.
        (NamespaceKinds Kind, Namespace Space)[] all =
        [
            (NamespaceKinds.User, target.UserNamespace), (NamespaceKinds.Mount, of.Mounts), (NamespaceKinds.Uts, of.Uts), (NamespaceKinds.Ipc, of.Ipc),
            (NamespaceKinds.Pid, target.PidNamespace), (NamespaceKinds.Cgroup, of.Cgroup), (NamespaceKinds.Network, of.Network), (NamespaceKinds.Time, of.Time),
        ];
        foreach ((NamespaceKinds kind, Namespace space) in all)
        {
            if ((kinds & kind) != 0)
                wanted.Add(space);
        }

        return Enter(task, wanted);
    }

    private static Errno Enter(Task task, List<Namespace> wanted)
    {
        Credentials credentials = task.Credentials;
        NamespaceSet namespaces = task.Namespaces;
        MountNamespace? mounts = null;
        foreach (Namespace space in wanted)
        {
            Errno error = space switch
            {
                UserNamespace user => CheckUser(task, user, credentials),
                MountNamespace => CheckMount(task, space, credentials),
                PidNamespace pids => !MayEnter(credentials, space) ? Errno.EPERM : pids.IsWithin(task.PidNamespace) ? Errno.None : Errno.EINVAL,
                TimeNamespace when task.Group.Tasks.Count > 1 => Errno.EUSERS,
                _ => MayEnter(credentials, space) ? Errno.None : Errno.EPERM,
            };
            if (error != Errno.None)
                return error;
            if (space is UserNamespace entered)
                credentials = EnterUser(credentials, entered);
            else
                namespaces = namespaces.With(space);
            mounts = space as MountNamespace ?? mounts;
            if (space is TimeNamespace time)
                time.IsUsed = true;
        }

        if (namespaces.Ipc != task.Namespaces.Ipc)
        {
            task.SemaphoreUndo?.RemoveUser(task);
            task.SemaphoreUndo = null;
        }

        if (!ReferenceEquals(namespaces.Time, task.Namespaces.Time))
            ProgramLoader.UseClock(task.Memory, task.Thread, task.Kernel, namespaces.Time);
        task.Credentials = credentials;
        task.Namespaces = namespaces;
        if (mounts is null)
            return Errno.None;
        VfsPath root = mounts.Root.CrossMounts();
        task.Fs.Root = root;
        task.Fs.WorkingDirectory = root;
        return Errno.None;
    }

    private static bool MayEnter(Credentials credentials, Namespace space) =>
        credentials.HasIn(space.Owner, Capability.CAP_SYS_ADMIN) && credentials.HasOwn(Capability.CAP_SYS_ADMIN);

    private static Errno CheckUser(Task task, UserNamespace user, Credentials credentials)
    {
        if (ReferenceEquals(user, task.UserNamespace) || task.Group.Tasks.Count > 1 || IsFsShared(task))
            return Errno.EINVAL;
        return credentials.HasIn(user, Capability.CAP_SYS_ADMIN) ? Errno.None : Errno.EPERM;
    }

    private static Errno CheckMount(Task task, Namespace space, Credentials credentials)
    {
        if (!MayEnter(credentials, space) || !credentials.HasOwn(Capability.CAP_SYS_CHROOT))
            return Errno.EPERM;
        return IsFsShared(task) ? Errno.EINVAL : Errno.None;
    }

    private static bool IsFsShared(Task task)
    {
        foreach (Task other in task.Kernel.Tasks.Values)
        {
            if (!ReferenceEquals(other, task) && ReferenceEquals(other.Fs, task.Fs))
                return true;
        }

        return false;
    }
}
