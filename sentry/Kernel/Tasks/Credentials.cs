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

    public Credentials()
    {
    }

    /// <summary>Whether a capability (CAP_*, a bit number) is effective.</summary>
    public bool Has(int capability) => (Effective >> capability & 1) != 0;

    /// <summary>Whether <paramref name="gid"/> is the file-system group or a supplementary group.</summary>
    public bool InGroup(uint gid) => FsGid == gid || Array.IndexOf(Groups, gid) >= 0;
}
