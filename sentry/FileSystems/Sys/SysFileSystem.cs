using System.Globalization;

namespace Sentry.FileSystems.Sys;

/// <summary>sysfs (sysfs(5)), as little of it as programs look at to size themselves: CPUs and their caches, one memory node, huge pages, network interfaces; no other devices.</summary>
[Savable("sysfs")]
public sealed partial class SysFileSystem : FileSystem
{
    [Saved(1)] private Dentry _root;
    [Saved(2)] private NetworkNamespace? _network;

    /// <param name="network">Whose interfaces it shows: of who mounts it; null for the sandbox's first.</param>
    public SysFileSystem(GuestKernel kernel, NetworkNamespace? network = null)
        : base(kernel, "sysfs")
    {
        _network = network;
        StaticDirectory root = new(this);
        foreach (string name in (string[])["block", "bus", "dev", "firmware", "hypervisor", "power"])
            root.Add(name, new StaticDirectory(this));
        root.Add("class", new StaticDirectory(this).Add("net", new NetworkClassDirectory(this)).Add("block", new StaticDirectory(this)));
        root.Add("module", new StaticDirectory(this));
        root.Add("devices", new StaticDirectory(this).Add("system", new StaticDirectory(this).Add("cpu", CreateCpus()).Add("node", CreateNodes())).Add("virtual", new StaticDirectory(this).Add("net", new NetworkDevicesDirectory(this))));
        root.Add("fs", new StaticDirectory(this).Add("cgroup", new StaticDirectory(this)));
        root.Add("kernel", new StaticDirectory(this).Add("mm", new StaticDirectory(this)
            .Add("hugepages", new StaticDirectory(this))
            .Add("transparent_hugepage", new StaticDirectory(this)
                .Add("enabled", new SysFile(this, "always [madvise] never\n", writable: true))
                .Add("defrag", new SysFile(this, "always defer defer+madvise [madvise] never\n", writable: true))
                .Add("hpage_pmd_size", new SysFile(this, "2097152\n"))
                .Add("use_zero_page", new SysFile(this, "1\n", writable: true)))));
        _root = new Dentry(root);
    }

    public Dentry Root => _root;

    internal NetworkNamespace Network => _network ?? Kernel.Network;

    /// <summary>Whoever may administer the network it shows may mount it (namespaces of their own included).</summary>
    internal static Result<Dentry> Mount(FileSystemRequest request) => request.Task.HasOverNetwork(Capability.CAP_SYS_ADMIN)
        ? new SysFileSystem(request.Kernel, request.Task.Network).Root
        : Errno.EPERM;

    public override string TypeName => "sysfs";

    public override FileSystemStatus GetStatus() => new(0x62656572, 4096, 0, 0, 0, 0, 255);

    private StaticDirectory CreateCpus()
    {
        int count = Kernel.CpuCount;
        string all = count == 1 ? "0" : string.Create(CultureInfo.InvariantCulture, $"0-{count - 1}");
        string mask = (count >= 64 ? ulong.MaxValue : (1UL << count) - 1).ToString("x", CultureInfo.InvariantCulture);
        StaticDirectory cpus = new(this);
        for (int cpu = 0; cpu < count; cpu++)
        {
            string self = cpu.ToString(CultureInfo.InvariantCulture);
            string selfMask = (1UL << cpu).ToString("x", CultureInfo.InvariantCulture);
            StaticDirectory directory = new(this);
            if (ProcessorCaches.CreateDirectory(this, cpu, count) is { } caches)
                directory.Add("cache", caches);
            cpus.Add("cpu" + self, directory.Add("topology", new StaticDirectory(this)
                .Add("core_id", new SysFile(this, self + "\n"))
                .Add("physical_package_id", new SysFile(this, "0\n"))
                .Add("core_siblings", new SysFile(this, mask + "\n"))
                .Add("core_siblings_list", new SysFile(this, all + "\n"))
                .Add("thread_siblings", new SysFile(this, selfMask + "\n"))
                .Add("thread_siblings_list", new SysFile(this, self + "\n"))));
        }

        cpus.Add("kernel_max", new SysFile(this, "63\n"));
        cpus.Add("offline", new SysFile(this, "\n"));
        foreach (string name in (string[])["online", "possible", "present"])
            cpus.Add(name, new SysFile(this, all + "\n"));
        return cpus;
    }

    private StaticDirectory CreateNodes()
    {
        int count = Kernel.CpuCount;
        string all = count == 1 ? "0" : string.Create(CultureInfo.InvariantCulture, $"0-{count - 1}");
        long total = Kernel.MemorySize / 1024;
        string memory = string.Create(CultureInfo.InvariantCulture, $"Node 0 MemTotal:       {total} kB\nNode 0 MemFree:        {total / 4 * 3} kB\n");
        return new StaticDirectory(this)
            .Add("node0", new StaticDirectory(this)
                .Add("cpulist", new SysFile(this, all + "\n"))
                .Add("cpumap", new SysFile(this, (count >= 64 ? ulong.MaxValue : (1UL << count) - 1).ToString("x", CultureInfo.InvariantCulture) + "\n"))
                .Add("distance", new SysFile(this, "10\n"))
                .Add("meminfo", new SysFile(this, memory)))
            .Add("online", new SysFile(this, "0\n"))
            .Add("possible", new SysFile(this, "0\n"))
            .Add("has_cpu", new SysFile(this, "0\n"))
            .Add("has_memory", new SysFile(this, "0\n"));
    }
}

/// <summary>A file of sysfs with a text of its own; a writable one takes and forgets what is written.</summary>
[Savable("sysfs-file")]
internal sealed partial class SysFile : SyntheticInode
{
    [Saved(1)] private string _text;

    internal SysFile(SysFileSystem fileSystem, string text, bool writable = false)
        : base(fileSystem, writable ? 0x1A4u : 0x124u)
    {
        _text = text;
    }

    public override long Size => 4096;

    public override Result<string> Generate(Task? caller) => _text;

    public override Result<long> Accept(Task caller, string text, long offset) => (Mode & 0x80) != 0 ? text.Length : Errno.EACCES;
}
