namespace Sentry.Kernel.Tasks;

/// <summary>Who a task is (credentials(7)). Immutable: a change makes a new object, so tasks may share one.</summary>
[Savable("credentials")]
public sealed partial class Credentials
{
    [Saved(1)] public uint Uid { get; init; }

    [Saved(2)] public uint EffectiveUid { get; init; }

    [Saved(3)] public uint SavedUid { get; init; }

    [Saved(4)] public uint FsUid { get; init; }

    [Saved(5)] public uint Gid { get; init; }

    [Saved(6)] public uint EffectiveGid { get; init; }

    [Saved(7)] public uint SavedGid { get; init; }

    [Saved(8)] public uint FsGid { get; init; }

    [Saved(9)] public uint[] Groups { get; init; } = [];

    /// <summary>Bit n is capability n (capabilities(7)).</summary>
    [Saved(10)] public ulong Effective { get; init; }

    [Saved(11)] public ulong Permitted { get; init; }

    [Saved(12)] public ulong Inheritable { get; init; }

    [Saved(13)] public ulong Bounding { get; init; }

    [Saved(14)] public ulong Ambient { get; init; }

    /// <summary>prctl(PR_SET_NO_NEW_PRIVS).</summary>
    [Saved(15)] public bool NoNewPrivileges { get; init; }

    /// <summary>prctl(PR_SET_SECUREBITS).</summary>
    [Saved(16)] public uint SecureBits { get; init; }

    /// <summary>Null for the first one; see <see cref="Task.UserNamespace"/>.</summary>
    [Saved(17)] public UserNamespace? UserNamespace { get; init; }

    public Credentials()
    {
    }

    /// <summary>Whether a capability (CAP_*, a bit number) is effective for the sandbox as a whole (capable in the kernel): in a user namespace none is.</summary>
    public bool Has(int capability) => UserNamespace is null && (Effective >> capability & 1) != 0;

    /// <summary>Whether it is effective in the user namespace that the ids belong to.</summary>
    public bool HasOwn(int capability) => (Effective >> capability & 1) != 0;

    /// <summary>Whether it is effective for what belongs to a user namespace (ns_capable): in one's own, in those below, and whoever made a namespace rules it.</summary>
    public bool HasIn(UserNamespace target, int capability)
    {
        int level = UserNamespace?.Level ?? 0;
        for (UserNamespace at = target; ; at = at.Parent)
        {
            if (IsOwn(at))
                return HasOwn(capability);
            if (at.Level <= level || at.Parent is null)
                return false;
            if (IsOwn(at.Parent) && at.CreatorUid == EffectiveUid)
                return true;
        }
    }

    /// <summary>Who is root in the user namespace; nobody when it has none.</summary>
    public uint RootUid => UserNamespace is null ? 0 : UserNamespace.TryMakeUid(0, out uint root) ? root : uint.MaxValue;

    private bool IsOwn(UserNamespace space) => UserNamespace is null ? space.Parent is null : ReferenceEquals(space, UserNamespace);

    /// <summary>Whether it is effective for a file of these owners (capable_wrt_inode_uidgid): they must have numbers in the namespace.</summary>
    public bool HasOver(uint uid, uint gid, int capability) =>
        HasOwn(capability) && (UserNamespace is null || (UserNamespace.TryGetUid(uid, out _) && UserNamespace.TryGetGid(gid, out _)));

    /// <summary>Whether <paramref name="gid"/> is the file-system group or a supplementary group.</summary>
    public bool InGroup(uint gid) => FsGid == gid || Array.IndexOf(Groups, gid) >= 0;
}
