using System.Runtime.InteropServices;

namespace Sentry.Kernel.Vdso;

/// <summary>What the vDSO needs to tell the time: guest time at <paramref name="Base"/>, and how the counter runs from there.</summary>
/// <param name="Base">A reading of the time stamp counter.</param>
/// <param name="Limit">Ticks from there for which this holds; 0 when the vDSO must ask the kernel.</param>
/// <param name="Rate">ns per tick, times 2^32.</param>
/// <param name="Monotonic">CLOCK_MONOTONIC of the guest at the base, ns.</param>
/// <param name="Realtime">CLOCK_REALTIME of the guest at the base, ns.</param>
internal readonly record struct ClockParameters(ulong Base, ulong Limit, ulong Rate, long Monotonic, long Realtime);

/// <summary>The page behind the vDSO (Linux's vvar): one page that all programs map and the kernel alone writes. It does not travel in a
/// snapshot: the restoring kernel's clock fills a new one.</summary>
[Savable("clock-page")]
internal sealed partial class ClockPage : FileObject, IAfterLoad
{
    private const int PageSize = 4096;

    // In words of 8 bytes; the code of the vDSO has these offsets in it.
    private const int AtSequence = 0, AtBase = 1, AtLimit = 2, AtRate = 3, AtMonotonic = 4, AtRealtime = 5;

    [NotSaved("the restoring sentry's")] private IFileArena _arena = null!;
    [NotSaved("a new page")] private long _offset;

    public ClockPage(IFileArena arena)
        : base(OpenFlags.ReadOnly) => Take(arena);

    public override string Describe() => "[vvar]";

    public override Result<FileStatus> GetStatus() => new FileStatus { Mode = S.IFREG | 0x124, Size = PageSize, BlockSize = PageSize, LinkCount = 1 };

    public override Errno GetHostExtents(ulong offset, ulong length, bool shared, bool writable, List<HostExtent> extents)
    {
        if (offset == 0)
            extents.Add(new HostExtent(0, Math.Min(length, PageSize), _arena.HostDescriptor, _offset));
        return Errno.None;
    }

    /// <summary>Readers see all of it or ask again: the sequence number is odd meanwhile and then another one.</summary>
    public void Write(uint sequence, in ClockParameters parameters)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(_arena.GetSpan(_offset, PageSize));
        System.Threading.Volatile.Write(ref words[AtSequence], sequence | 1);
        System.Threading.Volatile.Write(ref words[AtBase], parameters.Base);
        System.Threading.Volatile.Write(ref words[AtLimit], parameters.Limit);
        System.Threading.Volatile.Write(ref words[AtRate], parameters.Rate);
        System.Threading.Volatile.Write(ref words[AtMonotonic], (ulong)parameters.Monotonic);
        System.Threading.Volatile.Write(ref words[AtRealtime], (ulong)parameters.Realtime);
        System.Threading.Volatile.Write(ref words[AtSequence], (sequence | 1) + 1ul & uint.MaxValue);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            Take(context.Get<IKernelHost>().Arena);
    }

    private void Take(IFileArena arena)
    {
        _arena = arena;
        if (!arena.Allocate(PageSize).TryGet(out _offset, out Errno error))
            throw new InvalidOperationException($"no room for the clock page in the file arena: {error}");
    }
}
