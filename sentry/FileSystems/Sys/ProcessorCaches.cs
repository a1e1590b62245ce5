using System.Globalization;
using System.Runtime.Intrinsics.X86;

namespace Sentry.FileSystems.Sys;

/// <summary>The processor's caches as CPUID tells them: leaf 4 of Intel's manual, leaf 8000_001D of AMD's, which has the same form.</summary>
internal static class ProcessorCaches
{
    private const int IntelLeaf = 4, AmdLeaf = unchecked((int)0x8000001D), HighestExtended = unchecked((int)0x80000000), MaxCaches = 8;
    private const int FirstSharedLevel = 3;

    private static readonly string?[] Types = [null, "Data", "Instruction", "Unified"];

    /// <summary>The directory cache of a processor (sysfs-devices-system-cpu of Linux's ABI documents); none on a machine that does not tell.</summary>
    internal static StaticDirectory? CreateDirectory(SysFileSystem fileSystem, int cpu, int cpuCount)
    {
        StaticDirectory caches = new(fileSystem);
        int count = 0;
        for (int i = 0; i < MaxCaches && X86Base.IsSupported; i++)
        {
            (int eax, int ebx, int ecx, _) = X86Base.CpuId(Leaf, i);
            if ((eax & 0x1f) is var kind && (kind >= Types.Length || Types[kind] is null))
                break;
            int level = (eax >> 5) & 7;
            long line = (ebx & 0xfff) + 1, partitions = ((ebx >> 12) & 0x3ff) + 1, ways = ((ebx >> 22) & 0x3ff) + 1, sets = (uint)ecx + 1L;
            bool isShared = level >= FirstSharedLevel; // each processor is a core of its own, as topology says
            ulong mask = !isShared ? 1UL << cpu : cpuCount >= 64 ? ulong.MaxValue : (1UL << cpuCount) - 1;
            caches.Add($"index{count++}", new StaticDirectory(fileSystem)
                .Add("id", File(isShared ? 0 : cpu))
                .Add("level", File(level))
                .Add("type", new SysFile(fileSystem, Types[kind] + "\n"))
                .Add("size", new SysFile(fileSystem, string.Create(CultureInfo.InvariantCulture, $"{line * partitions * ways * sets / 1024}K\n")))
                .Add("coherency_line_size", File(line))
                .Add("physical_line_partition", File(partitions))
                .Add("ways_of_associativity", File(ways))
                .Add("number_of_sets", File(sets))
                .Add("shared_cpu_map", new SysFile(fileSystem, mask.ToString("x", CultureInfo.InvariantCulture) + "\n"))
                .Add("shared_cpu_list", new SysFile(fileSystem, isShared && cpuCount > 1 ? string.Create(CultureInfo.InvariantCulture, $"0-{cpuCount - 1}\n") : string.Create(CultureInfo.InvariantCulture, $"{cpu}\n"))));
        }

        return count > 0 ? caches : null;

        SysFile File(long number) => new(fileSystem, number.ToString(CultureInfo.InvariantCulture) + "\n");
    }

    private static int Leaf => (uint)X86Base.CpuId(HighestExtended, 0).Eax >= unchecked((uint)AmdLeaf) && (X86Base.CpuId(AmdLeaf, 0).Eax & 0x1f) != 0 ? AmdLeaf : IntelLeaf;
}
