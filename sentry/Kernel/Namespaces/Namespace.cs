namespace Sentry.Kernel.Namespaces;

/// <summary>The CLONE_NEW* flags of clone(2), unshare(2) and setns(2).</summary>
[Flags]
public enum NamespaceKinds : uint
{
    None = 0,
    Time = 0x80,
    Mount = 0x20000,
    Cgroup = 0x2000000,
    Uts = 0x4000000,
    Ipc = 0x8000000,
    User = 0x10000000,
    Pid = 0x20000000,
    Network = 0x40000000,
    All = Time | Mount | Cgroup | Uts | Ipc | User | Pid | Network,
}

/// <summary>A part of the system that processes may have for themselves (namespaces(7)).</summary>
[Savable("namespace")]
public abstract partial class Namespace
{
    [Saved(1)] private GuestKernel? _kernel;
    [Saved(2)] private ulong _number;
    [Saved(3)] private UserNamespace? _owner;
    [Saved(4)] private NamespaceInode? _file;

    /// <param name="owner">Whose capabilities count for it; null for the first user namespace alone.</param>
    protected Namespace(GuestKernel kernel, UserNamespace? owner)
    {
        _kernel = kernel;
        _owner = owner;
        _number = kernel.NewNamespaceNumber();
    }

    public GuestKernel Kernel => _kernel!;

    /// <summary>The number in <c>uts:[4026531838]</c>.</summary>
    public ulong Number
    {
        get => _number;
        internal set => _number = value;
    }

    /// <summary>Whose capabilities count for it.</summary>
    public UserNamespace Owner => _owner ?? (UserNamespace)this;

    public abstract NamespaceKinds Kind { get; }

    /// <summary>What leads to it in the file tree; made when first asked for.</summary>
    internal NamespaceInode? File
    {
        get => _file;
        set => _file = value;
    }

    /// <summary>As in /proc/PID/ns.</summary>
    public string Name => Kind switch
    {
        NamespaceKinds.Mount => "mnt",
        NamespaceKinds.Cgroup => "cgroup",
        NamespaceKinds.Uts => "uts",
        NamespaceKinds.Ipc => "ipc",
        NamespaceKinds.User => "user",
        NamespaceKinds.Pid => "pid",
        NamespaceKinds.Network => "net",
        _ => "time",
    };
}

/// <summary>Host and domain name (uts_namespaces(7)).</summary>
[Savable("uts-namespace")]
public sealed partial class UtsNamespace : Namespace
{
    [Saved(1)] private string _hostName = "sandbox";
    [Saved(2)] private string _domainName = "(none)";

    internal UtsNamespace(GuestKernel kernel, UserNamespace owner, UtsNamespace? from)
        : base(kernel, owner)
    {
        if (from is not null)
            (_hostName, _domainName) = (from._hostName, from._domainName);
    }

    public override NamespaceKinds Kind => NamespaceKinds.Uts;

    public string HostName
    {
        get => _hostName;
        set => _hostName = value;
    }

    public string DomainName
    {
        get => _domainName;
        set => _domainName = value;
    }
}

/// <summary>Which control groups are seen (cgroup_namespaces(7)); there is one group, the root, so all see the same.</summary>
[Savable("cgroup-namespace")]
public sealed partial class CgroupNamespace : Namespace
{
    internal CgroupNamespace(GuestKernel kernel, UserNamespace owner)
        : base(kernel, owner)
    {
    }

    public override NamespaceKinds Kind => NamespaceKinds.Cgroup;
}

/// <summary>What is added to the monotonic and the boot clock (time_namespaces(7)); settable until a process is in it.</summary>
[Savable("time-namespace")]
public sealed partial class TimeNamespace : Namespace
{
    [Saved(1)] private long _monotonicOffset;
    [Saved(2)] private long _bootOffset;
    [Saved(3)] private bool _isUsed;

    internal TimeNamespace(GuestKernel kernel, UserNamespace owner, TimeNamespace? from)
        : base(kernel, owner)
    {
        if (from is not null)
            (_monotonicOffset, _bootOffset) = (from._monotonicOffset, from._bootOffset);
        else
            _isUsed = true;
    }

    public override NamespaceKinds Kind => NamespaceKinds.Time;

    /// <summary>ns.</summary>
    public long MonotonicOffset
    {
        get => _monotonicOffset;
        set => _monotonicOffset = value;
    }

    /// <summary>ns.</summary>
    public long BootOffset
    {
        get => _bootOffset;
        set => _bootOffset = value;
    }

    /// <summary>A process has entered it: the offsets stay.</summary>
    public bool IsUsed
    {
        get => _isUsed;
        set => _isUsed = value;
    }
}
