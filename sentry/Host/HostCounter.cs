using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Sentry.Host;

/// <summary>The processor's time stamp counter.</summary>
public static unsafe class HostCounter
{
    private const int HighestExtendedLeaf = unchecked((int)0x8000_0000), PowerLeaf = unchecked((int)0x8000_0007), ConstantRate = 1 << 8;

    private static ReadOnlySpan<byte> Code =>
    [
        0x0F, 0xAE, 0xE8, // lfence: not before what precedes it
        0x0F, 0x31, // rdtsc
        0x48, 0xC1, 0xE2, 0x20, // shl rdx, 32
        0x48, 0x09, 0xD0, // or rax, rdx
        0xC3, // ret
    ];

    private static readonly nint _read = ExecutableCode.Map(Code);

    /// <summary>Whether it runs at one rate whatever the processor does ("invariant TSC", CPUID 8000_0007 EDX bit 8).</summary>
    public static bool IsConstant { get; } =
        X86Base.IsSupported && (uint)X86Base.CpuId(HighestExtendedLeaf, 0).Eax >= unchecked((uint)PowerLeaf) && (X86Base.CpuId(PowerLeaf, 0).Edx & ConstantRate) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Read() =>
        // SAFETY: the code follows the C calling convention and touches only rax and rdx.
        ((delegate* unmanaged[SuppressGCTransition]<ulong>)_read)();
}
