using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace Sentry.Platform.Notify;

/// <summary>
/// The extended state (XSAVE area) of a signal frame, as in the kernel's asm/sigcontext.h: an FXSAVE image whose reserved bytes hold the
/// sizes (struct _fpx_sw_bytes), the XSAVE header and components, a second magic word.
/// </summary>
internal static class ExtendedState
{
    public const ulong Tiles = 1ul << 17 | 1ul << 18;
    private const uint Magic1 = 0x46505853, Magic2 = 0x46505845;
    private const int LegacySize = 512, HeaderSize = 64, SoftwareBytes = 464, MinimumSize = LegacySize + HeaderSize + 4;

    /// <summary>What this processor has and user code may load (CPUID leaf 13), with each component's place.</summary>
    private static readonly (ulong Features, int[] Ends) _host = Probe();

    /// <summary>The largest area this host can need.</summary>
    public static int MaxSize => _host.Ends.Max() + 4;

    /// <summary>The whole length that the area beginning with these bytes claims, 0 when it is no valid one.</summary>
    public static int ClaimedLength(ReadOnlySpan<byte> legacy)
    {
        if (legacy.Length < LegacySize || BinaryPrimitives.ReadUInt32LittleEndian(legacy[SoftwareBytes..]) != Magic1)
            return 0;
        uint extended = BinaryPrimitives.ReadUInt32LittleEndian(legacy[(SoftwareBytes + 4)..]);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(legacy[(SoftwareBytes + 16)..]);
        return extended >= MinimumSize && extended <= MaxSize && size == extended - 4 ? (int)extended : 0;
    }

    /// <summary>Whether the host loads this area as it stands. (It would fall back to x87 and SSE alone without a word, or kill the process.)</summary>
    public static bool IsLoadable(ReadOnlySpan<byte> area)
    {
        int length = ClaimedLength(area);
        if (length == 0 || length != area.Length || BinaryPrimitives.ReadUInt32LittleEndian(area[(length - 4)..]) != Magic2)
            return false;
        ulong features = Features(area);
        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(area[LegacySize..]);
        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area[24..]);
        if ((features & ~_host.Features) != 0 || (present & ~features) != 0 || (mxcsr & ~0xFFFFu) != 0)
            return false;
        if (area.Slice(LegacySize + 8, HeaderSize - 8).ContainsAnyExcept((byte)0))
            return false;
        int needed = LegacySize + HeaderSize;
        for (int i = 2; i < 63; i++)
        {
            if ((features & 1ul << i) != 0)
                needed = Math.Max(needed, _host.Ends[i]);
        }

        return length - 4 >= needed;
    }

    /// <summary>The features whose state the area has room for.</summary>
    public static ulong Features(ReadOnlySpan<byte> area) => BinaryPrimitives.ReadUInt64LittleEndian(area[(SoftwareBytes + 8)..]);

    private static (ulong Features, int[] Ends) Probe()
    {
        const ulong Supervisor = 1ul << 8 | 1ul << 10 | 1ul << 11 | 1ul << 12 | 1ul << 13 | 1ul << 14 | 1ul << 15 | 1ul << 16;
        (int low, _, _, int high) = X86Base.CpuId(13, 0);
        ulong features = ((uint)low | (ulong)(uint)high << 32) & ~Supervisor;
        int[] ends = new int[64];
        ends[0] = ends[1] = LegacySize + HeaderSize;
        for (int i = 2; i < 63; i++)
        {
            if ((features & 1ul << i) == 0)
                continue;
            (int size, int offset, _, _) = X86Base.CpuId(13, i);
            ends[i] = offset + size;
        }

        return (features, ends);
    }
}
