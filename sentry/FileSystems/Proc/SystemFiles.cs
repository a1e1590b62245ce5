using System.Globalization;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Sentry.FileSystems.Proc;

/// <summary>The files directly in /proc.</summary>
internal static class SystemFiles
{
    private const int TicksPerSecond = 100;

    private static readonly SortedDictionary<string, Func<ProcFileSystem, Task?, string>> Files = new(StringComparer.Ordinal)
    {
        ["cmdline"] = static (_, _) => "\n",
        ["config.gz"] = static (_, _) => KernelConfig.Compressed,
        ["cpuinfo"] = static (fs, _) => CpuInfo(fs.Kernel),
        ["devices"] = static (_, _) => "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n",
        ["filesystems"] = static (_, _) => "nodev\tsysfs\nnodev\tcgroup2\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tdevpts\nnodev\toverlay\nnodev\tmqueue\n",
        ["interrupts"] = static (_, _) => "",
        ["loadavg"] = static (fs, _) => LoadAverage(fs.Kernel),
        ["meminfo"] = static (fs, _) => MemoryInfo(fs.Kernel),
        ["modules"] = static (_, _) => "",
        ["partitions"] = static (_, _) => "major minor  #blocks  name\n\n",
        ["stat"] = static (fs, _) => Statistics(fs.Kernel),
        ["swaps"] = static (_, _) => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
        ["sysvipc/msg"] = static (fs, caller) => IpcTables.DescribeQueues(caller?.Ipc ?? fs.Kernel.Ipc),
        ["sysvipc/sem"] = static (fs, caller) => IpcTables.DescribeSemaphores(caller?.Ipc ?? fs.Kernel.Ipc),
        ["sysvipc/shm"] = static (fs, caller) => IpcTables.DescribeSegments(caller?.Ipc ?? fs.Kernel.Ipc, fs.Kernel),
        ["tty/drivers"] = static (_, _) => "/dev/tty             /dev/tty        5       0 system:/dev/tty\n/dev/console         /dev/console    5       1 system:console\n/dev/ptmx            /dev/ptmx       5       2 system\npty_slave            /dev/pts      136 0-1048575 pty:slave\npty_master           /dev/ptm      128 0-1048575 pty:master\n",
        ["tty/ldiscs"] = static (_, _) => "n_tty       0\n",
        ["uptime"] = static (fs, caller) => Uptime(fs.Kernel, caller?.Namespaces.Time.BootOffset ?? 0),
        ["version"] = static (_, _) => $"{KernelVersion.SystemName} version {KernelVersion.Release} (snapshot@sandbox) {KernelVersion.Version}\n",
        ["vmstat"] = static (fs, _) => $"nr_free_pages {Math.Max(0, fs.Kernel.MemorySize - MemoryUse.Measure(fs.Kernel).Total) / 4096}\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n",
    };

    internal static IEnumerable<string> Names => Files.Keys;

    internal static Result<string> Generate(ProcFileSystem fileSystem, Task? caller, string name) =>
        Files.TryGetValue(name, out Func<ProcFileSystem, Task?, string>? file) ? file(fileSystem, caller) : Errno.ENOENT;

    /// <summary>What the processor says of itself by CPUID, in the words of Linux; programs that tune themselves ask CPUID as well and must
    /// not find a contradiction here.</summary>
    private static string CpuInfo(GuestKernel kernel)
    {
        string vendor = "unknown", model = "unknown", flags = "fpu sse sse2";
        int family = 6, number = 0, stepping = 0;
        if (X86Base.IsSupported)
        {
            (int _, int ebx, int ecx, int edx) = X86Base.CpuId(0, 0);
            vendor = Ascii(ebx, edx, ecx);
            (int signature, _, int features, int moreFeatures) = X86Base.CpuId(1, 0);
            family = (signature >> 8 & 0xf) + ((signature >> 8 & 0xf) == 0xf ? signature >> 20 & 0xff : 0);
            number = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
            stepping = signature & 0xf;
            model = BrandString() is { Length: > 0 } brand ? brand : model;
            (_, int extended, _, _) = X86Base.CpuId(7, 0);
            flags = CpuFlags.Describe(moreFeatures, features, extended);
        }

        var text = new StringBuilder();
        for (int cpu = 0; cpu < kernel.CpuCount; cpu++)
        {
            text.Append(CultureInfo.InvariantCulture, $"processor\t: {cpu}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {number}\nmodel name\t: {model}\n");
            text.Append(CultureInfo.InvariantCulture, $"stepping\t: {stepping}\nmicrocode\t: 0x1\ncpu MHz\t\t: 2000.000\ncache size\t: 32768 KB\nphysical id\t: 0\n");
            text.Append(CultureInfo.InvariantCulture, $"siblings\t: {kernel.CpuCount}\ncore id\t\t: {cpu}\ncpu cores\t: {kernel.CpuCount}\napicid\t\t: {cpu}\n");
            text.Append(CultureInfo.InvariantCulture, $"initial apicid\t: {cpu}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: {flags}\n");
            text.Append("bugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n");
        }

        return text.ToString();
    }

    private static string BrandString()
    {
        (int highest, _, _, _) = X86Base.CpuId(unchecked((int)0x80000000), 0);
        if ((uint)highest < 0x80000004)
            return "";
        var text = new StringBuilder();
        for (uint leaf = 0x80000002; leaf <= 0x80000004; leaf++)
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId(unchecked((int)leaf), 0);
            text.Append(Ascii(eax, ebx, ecx, edx));
        }

        return text.ToString().Trim();
    }

    private static string Ascii(params ReadOnlySpan<int> words)
    {
        var text = new StringBuilder();
        foreach (int word in words)
        {
            for (int i = 0; i < 4; i++)
            {
                var c = (char)(word >> (8 * i) & 0xff);
                if (c is >= ' ' and < (char)127)
                    text.Append(c);
            }
        }

        return text.ToString();
    }

    private static string MemoryInfo(GuestKernel kernel)
    {
        MemoryUse used = MemoryUse.Measure(kernel);
        long total = kernel.MemorySize / 1024, files = used.Files / 1024, anonymous = used.Private / 1024, free = Math.Max(0, total - files - anonymous);
        (string Name, long Value)[] lines =
        [
            ("MemTotal", total), ("MemFree", free), ("MemAvailable", free), ("Buffers", 0), ("Cached", files), ("SwapCached", 0), ("Active", anonymous + files),
            ("Inactive", 0), ("Active(anon)", anonymous + files), ("Inactive(anon)", 0), ("Active(file)", 0), ("Inactive(file)", 0),
            ("Unevictable", 0), ("Mlocked", 0), ("SwapTotal", 0), ("SwapFree", 0), ("Dirty", 0), ("Writeback", 0), ("AnonPages", anonymous), ("Mapped", 0),
            ("Shmem", files), ("KReclaimable", 0), ("Slab", 0), ("SReclaimable", 0), ("SUnreclaim", 0), ("KernelStack", 0), ("PageTables", 0), ("CommitLimit", total / 2),
            ("Committed_AS", anonymous + files), ("VmallocTotal", 34359738367), ("VmallocUsed", 0), ("VmallocChunk", 0), ("AnonHugePages", 0), ("ShmemHugePages", 0),
        ];
        var text = new StringBuilder();
        foreach ((string name, long value) in lines)
            text.Append(name).Append(':').Append(value.ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(1, 23 - name.Length))).Append(" kB\n");
        text.Append("HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n");
        return text.ToString();
    }

    private static string Statistics(GuestKernel kernel)
    {
        long user = 0, running = 0;
        foreach (Task task in kernel.Tasks.Values)
        {
            user += task.CpuTime;
            if (task.State == TaskState.Running)
                running++;
        }

        int cpus = kernel.CpuCount;
        long userTicks = user / (1_000_000_000 / TicksPerSecond);
        long idleTicks = Math.Max(0, (kernel.Clock.Monotonic / (1_000_000_000 / TicksPerSecond) * cpus) - userTicks);
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"cpu  {userTicks} 0 0 {idleTicks} 0 0 0 0 0 0\n");
        for (int cpu = 0; cpu < cpus; cpu++)
            text.Append(CultureInfo.InvariantCulture, $"cpu{cpu} {userTicks / cpus} 0 0 {idleTicks / cpus} 0 0 0 0 0 0\n");
        long boot = (kernel.Clock.Realtime - kernel.Clock.Monotonic) / 1_000_000_000;
        text.Append(CultureInfo.InvariantCulture, $"intr 0\nctxt 0\nbtime {boot}\nprocesses {kernel.Processes.Count}\nprocs_running {running}\nprocs_blocked 0\n");
        text.Append("softirq 0 0 0 0 0 0 0 0 0 0 0\n");
        return text.ToString();
    }

    private static string LoadAverage(GuestKernel kernel)
    {
        int running = kernel.Tasks.Values.Count(t => t.State == TaskState.Running);
        return string.Create(CultureInfo.InvariantCulture, $"0.00 0.00 0.00 {running}/{kernel.Tasks.Count} {(kernel.Processes.Count > 0 ? kernel.Processes.Keys.Last() : 0)}\n");
    }

    private static string Uptime(GuestKernel kernel, long offset)
    {
        double seconds = (kernel.Clock.Monotonic + offset) / 1e9;
        return string.Create(CultureInfo.InvariantCulture, $"{seconds:F2} {seconds * kernel.CpuCount:F2}\n");
    }
}

/// <summary>Names of CPUID feature bits, as Linux calls them (x86/include/asm/cpufeatures.h).</summary>
internal static class CpuFlags
{
    private static readonly string[] Leaf1Edx =
    [
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", "", "dts",
        "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe",
    ];

    private static readonly string[] Leaf1Ecx =
    [
        "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg", "fma", "cx16", "xtpr", "pdcm", "", "pcid", "dca",
        "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt", "tsc_deadline_timer", "aes", "xsave", "", "avx", "f16c", "rdrand", "hypervisor",
    ];

    private static readonly string[] Leaf7Ebx =
    [
        "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", "", "smep", "bmi2", "erms", "invpcid", "rtm", "cqm", "", "mpx", "rdt_a", "avx512f", "avx512dq",
        "rdseed", "adx", "smap", "avx512ifma", "", "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw", "avx512vl",
    ];

    internal static string Describe(int leaf1Edx, int leaf1Ecx, int leaf7Ebx)
    {
        var text = new StringBuilder();
        Add(text, leaf1Edx, Leaf1Edx);
        text.Append(" syscall nx lm constant_tsc rep_good nopl");
        Add(text, leaf1Ecx, Leaf1Ecx);
        Add(text, leaf7Ebx, Leaf7Ebx);
        return text.ToString().TrimStart();
    }

    private static void Add(StringBuilder text, int bits, string[] names)
    {
        for (int i = 0; i < names.Length; i++)
        {
            if ((bits >> i & 1) != 0 && names[i].Length > 0)
                text.Append(' ').Append(names[i]);
        }
    }
}
