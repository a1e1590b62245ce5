using System.Globalization;
using Sentry.Kernel.Sockets.Settings;

namespace Sentry.FileSystems.Proc;

/// <summary>The settings below /proc/sys (sysctl(8)).</summary>
internal static class Sysctls
{
    private static readonly (string Path, bool Writable, Func<ProcFileSystem, string> Value)[] Settings =
    [
        ("fs/aio-max-nr", true, static _ => "65536"),
        ("fs/aio-nr", false, static _ => "0"),
        ("fs/epoll/max_user_watches", true, static _ => "900000"),
        ("fs/file-max", true, static _ => "9223372036854775807"),
        ("fs/file-nr", false, static _ => "1024\t0\t9223372036854775807"),
        ("fs/mount-max", true, static _ => "100000"),
        ("fs/overflowgid", true, static _ => "65534"),
        ("fs/overflowuid", true, static _ => "65534"),
        ("fs/pipe-max-size", true, static _ => "1048576"),
        ("fs/pipe-user-pages-soft", true, static _ => "16384"),
        ("fs/protected_hardlinks", true, static _ => "0"),
        ("fs/protected_symlinks", true, static _ => "0"),
        ("fs/suid_dumpable", true, static _ => "0"),
        ("kernel/cap_last_cap", false, static _ => Capability.CAP_LAST_CAP.ToString(CultureInfo.InvariantCulture)),
        ("kernel/core_pattern", true, static _ => "core"),
        ("kernel/core_uses_pid", true, static _ => "0"),
        ("kernel/dmesg_restrict", true, static _ => "0"),
        ("kernel/domainname", true, static fs => fs.Kernel.DomainName),
        ("kernel/hostname", true, static fs => fs.Kernel.HostName),
        ("kernel/io_uring_disabled", true, static _ => "2"),
        ("kernel/keys/maxkeys", true, static _ => "200"),
        ("kernel/kptr_restrict", true, static _ => "1"),
        ("kernel/ngroups_max", false, static _ => "65536"),
        ("kernel/osrelease", false, static _ => KernelVersion.Release),
        ("kernel/ostype", false, static _ => KernelVersion.SystemName),
        ("kernel/overflowgid", true, static _ => "65534"),
        ("kernel/overflowuid", true, static _ => "65534"),
        ("kernel/panic", true, static _ => "0"),
        ("kernel/perf_event_paranoid", true, static _ => "3"),
        ("kernel/printk", true, static _ => "4\t4\t1\t7"),
        ("kernel/pty/max", true, static _ => PtsFileSystem.Max.ToString(CultureInfo.InvariantCulture)),
        ("kernel/pty/nr", false, static fs => fs.Kernel.Mounts.All().Select(m => m.FileSystem).OfType<PtsFileSystem>().Distinct().Sum(p => p.Pairs.Count).ToString(CultureInfo.InvariantCulture)),
        ("kernel/pty/reserve", true, static _ => "1024"),
        ("kernel/random/boot_id", false, static fs => fs.BootId),
        ("kernel/random/entropy_avail", false, static _ => "256"),
        ("kernel/random/poolsize", false, static _ => "256"),
        ("kernel/random/uuid", false, static fs => fs.NewUuid()),
        ("kernel/randomize_va_space", true, static _ => "2"),
        ("kernel/sched_child_runs_first", true, static _ => "0"),
        ("kernel/sched_rt_period_us", true, static _ => "1000000"),
        ("kernel/sched_rt_runtime_us", true, static _ => "950000"),
        ("kernel/sysrq", true, static _ => "0"),
        ("kernel/tainted", true, static _ => "0"),
        ("kernel/threads-max", true, static _ => "32768"),
        ("kernel/unprivileged_userns_clone", true, static _ => "0"),
        ("kernel/version", false, static _ => KernelVersion.Version),
        ("vm/dirty_background_ratio", true, static _ => "10"),
        ("vm/dirty_ratio", true, static _ => "20"),
        ("vm/drop_caches", true, static _ => "0"),
        ("vm/legacy_va_layout", true, static _ => "0"),
        ("vm/max_map_count", true, static _ => Mappings.MaxAreas.ToString(CultureInfo.InvariantCulture)),
        ("vm/min_free_kbytes", true, static _ => "67584"),
        ("vm/mmap_min_addr", true, static _ => "65536"),
        ("vm/nr_hugepages", true, static _ => "0"),
        ("vm/overcommit_kbytes", true, static _ => "0"),
        ("vm/overcommit_memory", true, static _ => "1"),
        ("vm/overcommit_ratio", true, static _ => "50"),
        ("vm/panic_on_oom", true, static _ => "0"),
        ("vm/swappiness", true, static _ => "60"),
        ("vm/vfs_cache_pressure", true, static _ => "100"),
        ("vm/zone_reclaim_mode", true, static _ => "0"),
    ];

    /// <summary>Below it lie the files of <see cref="NetworkSysctls"/>.</summary>
    private const string NetworkFolder = "net/";

    private static readonly Dictionary<string, Func<ProcFileSystem, string>> Values = Settings.ToDictionary(s => s.Path, s => s.Value);

    internal static string Generate(ProcFileSystem fileSystem, string path) => Values.TryGetValue(path, out Func<ProcFileSystem, string>? value) ? value(fileSystem)
        : path.StartsWith(NetworkFolder, StringComparison.Ordinal) ? NetworkSysctls.Read(fileSystem.Kernel.Network, path[NetworkFolder.Length..]) ?? "" : "";

    internal static StaticDirectory CreateTree(ProcFileSystem fileSystem)
    {
        var root = new StaticDirectory(fileSystem);
        foreach ((string path, bool writable) in Settings.Select(static s => (s.Path, s.Writable)).Concat(IpcSettings.Paths.Concat(KernelSettings.Paths).Select(static p => (p, true))).OrderBy(static s => s.Item1, StringComparer.Ordinal))
            Add(root, path, new ProcSysctl(fileSystem, path, writable));
        foreach ((string path, uint mode) in NetworkSysctls.Files)
            Add(root, NetworkFolder + path, new NetworkSysctl(fileSystem, path, mode));
        foreach (string folder in NetworkSysctls.InterfaceFolders)
            Add(root, NetworkFolder + folder, new NetworkSysctlFolder(fileSystem, folder));
        return root;
    }

    private static void Add(StaticDirectory root, string path, Inode inode)
    {
        StaticDirectory at = root;
        string[] parts = path.Split('/');
        foreach (string part in parts.AsSpan(0, parts.Length - 1))
        {
            if (!at.Lookup(part).TryGet(out Inode? child, out _))
            {
                child = new StaticDirectory(root.FileSystem);
                at.Add(part, child);
            }

            at = (StaticDirectory)child;
        }

        at.Add(parts[^1], inode);
    }
}
