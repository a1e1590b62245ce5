namespace Sentry.Kernel.Namespaces;

/// <summary>The namespaces of a task except that of its user, which is in its credentials (nsproxy). Immutable: a change makes a new one.</summary>
[Savable("namespace-set")]
public sealed partial class NamespaceSet
{
    [Saved(1)] public MountNamespace Mounts { get; private init; }

    [Saved(2)] public UtsNamespace Uts { get; private init; }

    [Saved(3)] public IpcNamespace Ipc { get; private init; }

    /// <summary>Where the next child will be; the task's own is its process's.</summary>
    [Saved(4)] public PidNamespace PidForChildren { get; private init; }

    [Saved(5)] public NetworkNamespace Network { get; private init; }

    [Saved(6)] public CgroupNamespace Cgroup { get; private init; }

    [Saved(7)] public TimeNamespace Time { get; private init; }

    [Saved(8)] public TimeNamespace TimeForChildren { get; private init; }

    /// <summary>The first user namespace, in the kernel's own set; else not looked at.</summary>
    [Saved(9)] public UserNamespace User { get; private init; }

    /// <summary>Those that a sandbox begins with.</summary>
    internal NamespaceSet(GuestKernel kernel)
    {
        User = new UserNamespace(kernel);
        Mounts = new MountNamespace(kernel, User);
        Uts = new UtsNamespace(kernel, User, null);
        Ipc = new IpcNamespace(kernel, User);
        PidForChildren = new PidNamespace(kernel, User);
        Network = new NetworkNamespace(kernel, User, true);
        Cgroup = new CgroupNamespace(kernel, User);
        Time = TimeForChildren = new TimeNamespace(kernel, User, null);

        // The numbers that Linux gives its first ones; some programs know them.
        (Namespace Space, ulong Number)[] known =
        [
            (Time, 4026531834), (Cgroup, 4026531835), (PidForChildren, 4026531836), (User, 4026531837), (Uts, 4026531838), (Ipc, 4026531839), (Network, 4026531840), (Mounts, 4026531841),
        ];
        foreach ((Namespace space, ulong number) in known)
            space.Number = number;
    }

    private NamespaceSet(NamespaceSet from)
    {
        Mounts = from.Mounts;
        Uts = from.Uts;
        Ipc = from.Ipc;
        PidForChildren = from.PidForChildren;
        Network = from.Network;
        Cgroup = from.Cgroup;
        Time = from.Time;
        TimeForChildren = from.TimeForChildren;
        User = from.User;
    }

    /// <summary>New ones of the kinds asked for, owned by <paramref name="owner"/>. Mounts are copied; <paramref name="copied"/> tells from what to what.</summary>
    internal Result<NamespaceSet> Unshare(NamespaceKinds kinds, UserNamespace owner, out Dictionary<Mount, Mount>? copied)
    {
        copied = null;
        GuestKernel kernel = owner.Kernel;
        PidNamespace pids = PidForChildren;
        if ((kinds & NamespaceKinds.Pid) != 0 && !PidNamespace.Make(PidForChildren, owner).TryGet(out pids!, out Errno error))
            return error;
        MountNamespace mounts = Mounts;
        if ((kinds & NamespaceKinds.Mount) != 0)
            mounts = Mounts.Copy(owner, out copied);
        return new NamespaceSet(this)
        {
            Mounts = mounts,
            Uts = (kinds & NamespaceKinds.Uts) != 0 ? new UtsNamespace(kernel, owner, Uts) : Uts,
            Ipc = (kinds & NamespaceKinds.Ipc) != 0 ? new IpcNamespace(kernel, owner) : Ipc,
            PidForChildren = pids,
            Network = (kinds & NamespaceKinds.Network) != 0 ? new NetworkNamespace(kernel, owner, false) : Network,
            Cgroup = (kinds & NamespaceKinds.Cgroup) != 0 ? new CgroupNamespace(kernel, owner) : Cgroup,
            TimeForChildren = (kinds & NamespaceKinds.Time) != 0 ? new TimeNamespace(kernel, owner, Time) : TimeForChildren,
        };
    }

    /// <summary>With another namespace in place of the one of its kind (setns(2)).</summary>
    internal NamespaceSet With(Namespace entered) => entered switch
    {
        MountNamespace mounts => new NamespaceSet(this) { Mounts = mounts },
        UtsNamespace uts => new NamespaceSet(this) { Uts = uts },
        IpcNamespace ipc => new NamespaceSet(this) { Ipc = ipc },
        PidNamespace pid => new NamespaceSet(this) { PidForChildren = pid },
        NetworkNamespace network => new NamespaceSet(this) { Network = network },
        CgroupNamespace cgroup => new NamespaceSet(this) { Cgroup = cgroup },
        TimeNamespace time => new NamespaceSet(this) { Time = time, TimeForChildren = time },
        _ => this,
    };

    /// <summary>What a child begins with: it is in the time namespace that was made for children.</summary>
    internal NamespaceSet ForChild()
    {
        if (ReferenceEquals(Time, TimeForChildren))
            return this;
        TimeForChildren.IsUsed = true;
        return new NamespaceSet(this) { Time = TimeForChildren };
    }
}
