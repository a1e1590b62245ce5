using System.Runtime.InteropServices;

namespace Sentry.Host;

/// <summary>struct statx_timestamp.</summary>
public readonly record struct StatXTime(long Seconds, uint Nanoseconds, int Reserved);

/// <summary>struct statx (256 bytes), see statx(2).</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
public struct StatX
{
    [FieldOffset(0)] public uint Mask;
    [FieldOffset(4)] public uint BlockSize;
    [FieldOffset(8)] public ulong Attributes;
    [FieldOffset(16)] public uint LinkCount;
    [FieldOffset(20)] public uint UserId;
    [FieldOffset(24)] public uint GroupId;
    [FieldOffset(28)] public ushort Mode;
    [FieldOffset(32)] public ulong Inode;
    [FieldOffset(40)] public ulong Size;
    [FieldOffset(48)] public ulong Blocks;
    [FieldOffset(56)] public ulong AttributesMask;
    [FieldOffset(64)] public StatXTime AccessTime;
    [FieldOffset(80)] public StatXTime BirthTime;
    [FieldOffset(96)] public StatXTime ChangeTime;
    [FieldOffset(112)] public StatXTime ModifyTime;
    [FieldOffset(128)] public uint RdevMajor;
    [FieldOffset(132)] public uint RdevMinor;
    [FieldOffset(136)] public uint DevMajor;
    [FieldOffset(140)] public uint DevMinor;
    [FieldOffset(144)] public ulong MountId;
}
