namespace Sentry.Kernel.Tasks;

/// <summary>One limit; ulong.MaxValue is RLIM_INFINITY.</summary>
[Savable("rlimit")]
public partial struct ResourceLimit
{
    [Saved(1)] public ulong Soft;
    [Saved(2)] public ulong Hard;
}

/// <summary>The sixteen limits of getrlimit(2).</summary>
[Savable("rlimits")]
public sealed partial class ResourceLimits
{
    public const int Cpu = 0, FSize = 1, Data = 2, Stack = 3, Core = 4, Rss = 5, NProc = 6, NoFile = 7, MemLock = 8, As = 9, Locks = 10,
        SigPending = 11, MsgQueue = 12, Nice = 13, RtPrio = 14, RtTime = 15, Count = 16;

    [Saved(1)] private ResourceLimit[] _limits = new ResourceLimit[Count];

    public ResourceLimits()
    {
        Array.Fill(_limits, new ResourceLimit { Soft = ulong.MaxValue, Hard = ulong.MaxValue });
        _limits[Stack] = new ResourceLimit { Soft = 8 << 20, Hard = ulong.MaxValue };
        _limits[Core] = new ResourceLimit { Soft = 0, Hard = ulong.MaxValue };
        _limits[NProc] = new ResourceLimit { Soft = 32768, Hard = 32768 };
        _limits[NoFile] = new ResourceLimit { Soft = 1024, Hard = 1048576 };
        _limits[MemLock] = new ResourceLimit { Soft = 8 << 20, Hard = 8 << 20 };
        _limits[SigPending] = new ResourceLimit { Soft = 32768, Hard = 32768 };
        _limits[MsgQueue] = new ResourceLimit { Soft = 819200, Hard = 819200 };
        _limits[Nice] = default;
        _limits[RtPrio] = default;
    }

    public ResourceLimit this[int resource]
    {
        get => _limits[resource];
        set => _limits[resource] = value;
    }

    public ResourceLimits Copy() => new() { _limits = (ResourceLimit[])_limits.Clone() };
}
