using System.Globalization;

namespace Sentry.FileSystems.Sys;

/// <summary>The one control group that a sandbox is (cgroups(7), version 2): programs size themselves by its limits. Nothing can be changed.</summary>
[Savable("cgroup2")]
public sealed partial class CgroupFileSystem : FileSystem
{
    private const long Magic = 0x63677270;

    [Saved(1)] private Dentry _root;

    public CgroupFileSystem(GuestKernel kernel)
        : base(kernel, "cgroup2")
    {
        StaticDirectory root = new(this);
        foreach (string name in CgroupFile.Names)
            root.Add(name, new CgroupFile(this, name));
        _root = new Dentry(root);
    }

    public Dentry Root => _root;

    public override string TypeName => "cgroup2";

    public override FileSystemStatus GetStatus() => new(Magic, 4096, 0, 0, 0, 0, 255);
}

/// <summary>A file of the control group.</summary>
[Savable("cgroup-file")]
internal sealed partial class CgroupFile : SyntheticInode
{
    private static readonly SortedDictionary<string, Func<GuestKernel, Task?, string>> Files = new(StringComparer.Ordinal)
    {
        ["cgroup.controllers"] = static (_, _) => "cpu memory pids\n",
        ["cgroup.procs"] = static (k, _) => string.Concat(k.Processes.Keys.Select(static pid => string.Create(CultureInfo.InvariantCulture, $"{pid}\n"))),
        ["cgroup.subtree_control"] = static (_, _) => "\n",
        ["cgroup.type"] = static (_, _) => "domain\n",
        ["cpu.max"] = static (k, _) => k.Limits.Cpus > 0 ? string.Create(CultureInfo.InvariantCulture, $"{k.Limits.Cpus * 100000L} 100000\n") : "max 100000\n",
        ["memory.current"] = static (k, _) => Line(MemoryUse.Measure(k).Total),
        ["memory.events"] = static (k, _) => string.Create(CultureInfo.InvariantCulture, $"low 0\nhigh 0\nmax {k.Limits.Kills}\noom {k.Limits.Kills}\noom_kill {k.Limits.Kills}\n"),
        ["memory.high"] = static (_, _) => "max\n",
        ["memory.max"] = static (k, _) => k.Limits.Memory > 0 ? Line(k.Limits.Memory) : "max\n",
        ["memory.swap.max"] = static (_, _) => "0\n",
        ["pids.current"] = static (k, _) => Line(k.Tasks.Count),
        ["pids.max"] = static (k, _) => k.Limits.Tasks > 0 ? Line(k.Limits.Tasks) : "max\n",
    };

    [Saved(1)] private string _name;

    internal CgroupFile(CgroupFileSystem fileSystem, string name)
        : base(fileSystem, 0x124) => _name = name;

    internal static IEnumerable<string> Names => Files.Keys;

    public override Result<string> Generate(Task? caller) => Files[_name](FileSystem.Kernel, caller);

    private static string Line(long value) => value.ToString(CultureInfo.InvariantCulture) + "\n";
}
