namespace Sentry.Kernel.Namespaces;

/// <summary>A run of ids: <see cref="Inside"/>… of a user namespace are <see cref="Outside"/>… of the kernel.</summary>
[Savable("id-extent")]
public partial struct IdExtent
{
    [Saved(1)] public uint Inside;

    /// <summary>As the kernel knows them (kuid_t): ids of the first user namespace.</summary>
    [Saved(2)] public uint Outside;

    [Saved(3)] public uint Count;
}

/// <summary>Users, groups and capabilities of their own (user_namespaces(7)). Everywhere in the kernel ids are those of the first namespace; this turns them into what
/// its members see and back.</summary>
[Savable("user-namespace")]
public sealed partial class UserNamespace : Namespace
{
    /// <summary>How deep they nest at most.</summary>
    private const int MaxLevel = 32;

    /// <summary>What is shown for an id without a number in the namespace (/proc/sys/kernel/overflowuid).</summary>
    public const uint OverflowId = 65534;

    [Saved(1)] private UserNamespace? _parent;
    [Saved(2)] private int _level;
    [Saved(3)] private uint _creatorUid;
    [Saved(4)] private uint _creatorGid;
    [Saved(5)] private IdExtent[]? _uids;
    [Saved(6)] private IdExtent[]? _gids;
    [Saved(7)] private bool _setgroupsDenied;
    [Saved(8)] private bool _parentMayMapFiles;

    /// <summary>The first one: everybody has the id the kernel knows.</summary>
    internal UserNamespace(GuestKernel kernel)
        : base(kernel, null)
    {
    }

    private UserNamespace(Task creator, UserNamespace parent)
        : base(parent.Kernel, parent)
    {
        _parent = parent;
        _level = parent._level + 1;
        _creatorUid = creator.Credentials.EffectiveUid;
        _creatorGid = creator.Credentials.EffectiveGid;
        _setgroupsDenied = parent._setgroupsDenied;
        _parentMayMapFiles = creator.Credentials.HasOwn(Capability.CAP_SETFCAP);
        _uids = [];
        _gids = [];
    }

    /// <summary>ENOSPC when they are nested too deep, EPERM when the creator has no id in its own namespace.</summary>
    internal static Result<UserNamespace> Make(Task creator)
    {
        UserNamespace parent = creator.UserNamespace;
        if (parent._level >= MaxLevel)
            return Errno.ENOSPC;
        if (!parent.TryGetUid(creator.Credentials.EffectiveUid, out _) || !parent.TryGetGid(creator.Credentials.EffectiveGid, out _))
            return Errno.EPERM;
        return new UserNamespace(creator, parent);
    }

    public override NamespaceKinds Kind => NamespaceKinds.User;

    public UserNamespace? Parent => _parent;

    public int Level => _level;

    /// <summary>The effective ids of who made it.</summary>
    public uint CreatorUid => _creatorUid;

    public uint CreatorGid => _creatorGid;

    /// <summary>Whether ids are what the kernel knows, without a map.</summary>
    public bool IsIdentity => _uids is null;

    public bool HasUidMap => _uids is not { Length: 0 };

    public bool HasGidMap => _gids is not { Length: 0 };

    /// <summary>"deny" was written to /proc/PID/setgroups.</summary>
    public bool SetgroupsDenied
    {
        get => _setgroupsDenied;
        set => _setgroupsDenied = value;
    }

    /// <summary>Whether its creator might have given the parent's root to files (CAP_SETFCAP, as Linux 5.12 asks).</summary>
    public bool ParentMayMapFiles => _parentMayMapFiles;

    public IdExtent[] Uids => _uids ?? [new IdExtent { Count = uint.MaxValue }];

    public IdExtent[] Gids => _gids ?? [new IdExtent { Count = uint.MaxValue }];

    internal void SetUids(IdExtent[] map) => _uids = map;

    internal void SetGids(IdExtent[] map) => _gids = map;

    /// <summary>Whether it is <paramref name="other"/> or below it.</summary>
    public bool IsWithin(UserNamespace other)
    {
        for (UserNamespace? at = this; at is not null; at = at._parent)
        {
            if (ReferenceEquals(at, other))
                return true;
        }

        return false;
    }

    // ---- ids -----------------------------------------------------------------------------------------------------

    /// <summary>make_kuid: the kernel's id of one of the namespace; false for one without.</summary>
    public bool TryMakeUid(uint inside, out uint kernel) => TryMake(_uids, inside, out kernel);

    public bool TryMakeGid(uint inside, out uint kernel) => TryMake(_gids, inside, out kernel);

    /// <summary>from_kuid: the namespace's id of one of the kernel's; false for one without.</summary>
    public bool TryGetUid(uint kernel, out uint inside) => TryGet(_uids, kernel, out inside);

    public bool TryGetGid(uint kernel, out uint inside) => TryGet(_gids, kernel, out inside);

    /// <summary>from_kuid_munged: as a member sees it, <see cref="OverflowId"/> when it has no number there.</summary>
    public uint ShowUid(uint kernel) => TryGet(_uids, kernel, out uint inside) ? inside : OverflowId;

    public uint ShowGid(uint kernel) => TryGet(_gids, kernel, out uint inside) ? inside : OverflowId;

    private static bool TryMake(IdExtent[]? map, uint inside, out uint kernel)
    {
        kernel = inside;
        if (inside == uint.MaxValue)
            return false;
        if (map is null)
            return true;
        foreach (IdExtent extent in map)
        {
            if (inside - extent.Inside < extent.Count && inside >= extent.Inside)
            {
                kernel = extent.Outside + (inside - extent.Inside);
                return true;
            }
        }

        return false;
    }

    private static bool TryGet(IdExtent[]? map, uint kernel, out uint inside)
    {
        inside = kernel;
        if (map is null)
            return true;
        foreach (IdExtent extent in map)
        {
            if (kernel >= extent.Outside && kernel - extent.Outside < extent.Count)
            {
                inside = extent.Inside + (kernel - extent.Outside);
                return true;
            }
        }

        return false;
    }
}
