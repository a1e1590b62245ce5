using Sentry.FileSystems.Proc;
using Sentry.FileSystems.Sys;
using Sentry.FileSystems.Tmpfs;

namespace Tests.Kernel.Proc;

public sealed class ProcFileSystemTests
{
    private readonly TestKernel _kernel = new();
    private readonly Task _task;
    private readonly ProcFileSystem _proc;

    public ProcFileSystemTests()
    {
        GuestKernel kernel = _kernel.Kernel;
        kernel.CpuCount = 2;
        var root = new TmpfsFileSystem(kernel);
        kernel.Mounts.SetRoot(root, root.Root);
        _task = _kernel.NewProcess();
        _task.Fs = new FsContext(kernel.Mounts.Root);
        _task.Credentials = CredentialsDraft.Initial(0, 0);
        _proc = new ProcFileSystem(kernel);
        Mount("proc", _proc, _proc.Root);
        var sys = new SysFileSystem(kernel);
        Mount("sys", sys, sys.Root);
    }

    private void Mount(string name, FileSystem fileSystem, Dentry root)
    {
        Assert.Equal(0, _kernel.Do(_task, Sysno.mkdir, _kernel.PutString(_task, "/" + name), 0x1ED));
        VfsPath place = PathWalker.Walk(_task, "/" + name).Value;
        _kernel.Kernel.Mounts.Attach(fileSystem, root, place);
    }

    private string Read(string path, Task? reader = null)
    {
        Task task = reader ?? _task;
        int fd = (int)_kernel.Do(task, Sysno.open, _kernel.PutString(task, path), 0);
        Assert.True(fd >= 0, $"open {path}: {fd}");
        ulong buffer = _kernel.Allocate(16384);
        var text = new System.Text.StringBuilder();
        for (; ; )
        {
            long got = _kernel.Do(task, Sysno.read, (ulong)fd, buffer, 16384);
            Assert.True(got >= 0, $"read {path}: {got}");
            if (got == 0)
                break;
            text.Append(TestKernel.GetString(task, buffer, (int)got));
        }

        Assert.Equal(0, _kernel.Do(task, Sysno.close, (ulong)fd));
        return text.ToString();
    }

    private long Write(string path, string text)
    {
        int fd = (int)_kernel.Do(_task, Sysno.open, _kernel.PutString(_task, path), 1);
        Assert.True(fd >= 0, $"open {path}: {fd}");
        long result = _kernel.Do(_task, Sysno.write, (ulong)fd, _kernel.PutString(_task, text), (ulong)text.Length);
        Assert.Equal(0, _kernel.Do(_task, Sysno.close, (ulong)fd));
        return result;
    }

    private string ReadLink(string path)
    {
        ulong buffer = _kernel.Allocate(256);
        long length = _kernel.Do(_task, Sysno.readlink, _kernel.PutString(_task, path), buffer, 256);
        Assert.True(length > 0, $"readlink {path}: {length}");
        return TestKernel.GetString(_task, buffer, (int)length);
    }

    [Theory]
    [InlineData("/proc/self/stat")]
    [InlineData("/proc/self/statm")]
    [InlineData("/proc/self/status")]
    [InlineData("/proc/self/maps")]
    [InlineData("/proc/self/smaps")]
    [InlineData("/proc/self/limits")]
    [InlineData("/proc/self/mounts")]
    [InlineData("/proc/self/mountinfo")]
    [InlineData("/proc/self/cgroup")]
    [InlineData("/proc/self/io")]
    [InlineData("/proc/self/net/unix")]
    [InlineData("/proc/thread-self/stat")]
    [InlineData("/proc/cpuinfo")]
    [InlineData("/proc/meminfo")]
    [InlineData("/proc/stat")]
    [InlineData("/proc/uptime")]
    [InlineData("/proc/loadavg")]
    [InlineData("/proc/version")]
    [InlineData("/proc/filesystems")]
    [InlineData("/proc/mounts")]
    [InlineData("/proc/sys/kernel/random/uuid")]
    [InlineData("/proc/sys/fs/nr_open")]
    [InlineData("/sys/devices/system/cpu/online")]
    public void Read_OfEveryEntry_GivesLines(string path)
    {
        string text = Read(path);
        if (path is not ("/proc/self/maps" or "/proc/self/smaps"))
            Assert.EndsWith("\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Self_LeadsToTheReader()
    {
        Assert.Equal("1", ReadLink("/proc/self"));
        Assert.Equal("1/task/1", ReadLink("/proc/thread-self"));
        Task other = _kernel.NewProcess(_task.Group);
        other.Fs = _task.Fs;
        Assert.StartsWith("2 (task2) R 1 ", Read("/proc/self/stat", other), StringComparison.Ordinal);
    }

    [Fact]
    public void Stat_Has52Fields() => Assert.Equal(52, Read("/proc/self/stat").Split(' ').Length);

    [Fact]
    public void Status_ShowsIdsAndCapabilities()
    {
        string text = Read("/proc/1/status");
        Assert.Contains("Name:\ttask1\n", text, StringComparison.Ordinal);
        Assert.Contains("Uid:\t0\t0\t0\t0\n", text, StringComparison.Ordinal);
        Assert.Contains("CapEff:\t000001ffffffffff\n", text, StringComparison.Ordinal);
        Assert.Contains("Cpus_allowed_list:\t0-1\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Zombie_KeepsItsStatUntilItIsReaped()
    {
        Task child = _kernel.NewProcess(_task.Group);
        child.Group.Tasks.Clear();
        _kernel.Kernel.Tasks.Remove(child.Tid);
        Assert.Contains(") Z 1 ", Read("/proc/2/stat"), StringComparison.Ordinal);
        Assert.Equal("", Read("/proc/2/cmdline"));
        _kernel.Kernel.Processes.Remove(2);
        Assert.Equal(-(long)Errno.ENOENT, _kernel.Do(_task, Sysno.open, _kernel.PutString(_task, "/proc/2/stat"), 0));
    }

    [Fact]
    public void OpenFile_OfAProcessThatIsGone_ReadsEsrch()
    {
        Task child = _kernel.NewProcess(_task.Group);
        int fd = (int)_kernel.Do(_task, Sysno.open, _kernel.PutString(_task, "/proc/2/stat"), 0);
        _kernel.Kernel.Processes.Remove(2);
        _kernel.Kernel.Tasks.Remove(child.Tid);
        Assert.Equal(-(long)Errno.ESRCH, _kernel.Do(_task, Sysno.read, (ulong)fd, _kernel.Allocate(100), 100));
    }

    [Fact]
    public void Fd_LinksLeadToTheOpenFiles()
    {
        int fd = (int)_kernel.Do(_task, Sysno.open, _kernel.PutString(_task, "/file"), 0x42, 0x1A4);
        Assert.Equal("/file", ReadLink($"/proc/self/fd/{fd}"));
        Assert.Equal(3, _kernel.Do(_task, Sysno.write, (ulong)fd, _kernel.PutString(_task, "abc"), 3));
        Assert.Equal("abc", Read($"/proc/self/fd/{fd}"));
        Assert.Contains("pos:\t3\n", Read($"/proc/self/fdinfo/{fd}"), StringComparison.Ordinal);
        Assert.Equal(-(long)Errno.ENOENT, _kernel.Do(_task, Sysno.open, _kernel.PutString(_task, "/proc/self/fd/99"), 0));
    }

    [Fact]
    public void Fd_OfAPipe_NamesIt()
    {
        ulong pair = _kernel.Allocate(8);
        Assert.Equal(0, _kernel.Do(_task, Sysno.pipe, pair));
        Assert.StartsWith("pipe:[", ReadLink($"/proc/self/fd/{TestKernel.GetInt(_task, pair)}"), StringComparison.Ordinal);
    }

    [Fact]
    public void Cwd_LeadsToTheWorkingDirectory()
    {
        Assert.Equal(0, _kernel.Do(_task, Sysno.mkdir, _kernel.PutString(_task, "/work"), 0x1ED));
        Assert.Equal(0, _kernel.Do(_task, Sysno.chdir, _kernel.PutString(_task, "/work")));
        Assert.Equal("/work", ReadLink("/proc/self/cwd"));
        Assert.Equal("/", ReadLink("/proc/self/root"));
    }

    [Fact]
    public void OomScoreAdjustment_IsWrittenAndReadBack()
    {
        Assert.Equal(4, Write("/proc/self/oom_score_adj", "500\n"));
        Assert.Equal("500\n", Read("/proc/self/oom_score_adj"));
        Assert.Equal(-(long)Errno.EINVAL, Write("/proc/self/oom_score_adj", "5000\n"));
    }

    [Fact]
    public void Comm_Written_RenamesTheTask()
    {
        Assert.Equal(5, Write("/proc/self/comm", "fresh"));
        Assert.Equal("fresh\n", Read("/proc/self/comm"));
    }

    [Fact]
    public void Hostname_Written_ChangesUname()
    {
        Write("/proc/sys/kernel/hostname", "elsewhere\n");
        Assert.Equal("elsewhere", _kernel.Kernel.HostName);
    }

    [Fact]
    public void Mounts_ListsTheTree()
    {
        string text = Read("/proc/mounts");
        Assert.Contains("proc /proc proc rw,relatime 0 0\n", text, StringComparison.Ordinal);
        Assert.Contains("sysfs /sys sysfs rw,relatime 0 0\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Root_ListsProcessesBehindTheFixedEntries()
    {
        _kernel.NewProcess(_task.Group);
        var names = new Names();
        Assert.Equal(Errno.None, _proc.Root.Inode.ReadDirectory(_task, 2, names));
        Assert.Equal(["1", "2"], names.List[^2..]);
        Assert.Contains("meminfo", names.List);
        Assert.Contains("self", names.List);

        // One at a time, as with a small buffer.
        var single = new Names { Limit = 1 };
        List<string> all = [];
        long position = 2;
        while (_proc.Root.Inode.ReadDirectory(_task, position, Cleared(single)) == Errno.None && single.List.Count > 0)
        {
            all.AddRange(single.List);
            position = single.Next;
        }

        Assert.Equal(names.List, all);
    }

    [Fact]
    public void InodeNumbers_AreTheSameAtEveryLookup()
    {
        Inode first = PathWalker.Walk(_task, "/proc/1/status").Value.Inode, second = PathWalker.Walk(_task, "/proc/1/status").Value.Inode;
        Assert.Equal(first.Number, second.Number);
    }

    private static Names Cleared(Names names)
    {
        names.List.Clear();
        return names;
    }

    private sealed class Names : IDirectoryReader
    {
        public List<string> List { get; } = [];

        public int Limit { get; init; } = int.MaxValue;

        public long Next { get; private set; }

        public bool Add(string name, ulong inode, uint mode, long next)
        {
            if (List.Count >= Limit)
                return false;
            List.Add(name);
            Next = next;
            return true;
        }
    }

    /// <summary>/proc/PID/net and sysfs show a network each: of the process, and of who mounted it.</summary>
    [Fact]
    public void Network_ReadFromAnotherNamespace_ShowsThatOfTheProcess()
    {
        Task other = _kernel.NewProcess();
        other.Fs = new FsContext(_kernel.Kernel.Mounts.Root);
        other.Credentials = _task.Credentials;
        const ulong newNetwork = 0x40000000;
        Assert.Equal(0, _kernel.Do(other, Sysno.unshare, newNetwork));
        other.Network.Stack.AddInterface("dummy7", Netstack.Stack.InterfaceKind.Ethernet, default, 1500);
        string pid = $"{_task.Group.Pid}", otherPid = $"{other.Group.Pid}";
        Assert.DoesNotContain("dummy7", Read("/proc/self/net/dev"), StringComparison.Ordinal);
        Assert.Contains("dummy7", Read("/proc/self/net/dev", other), StringComparison.Ordinal);
        Assert.Contains("dummy7", Read($"/proc/{otherPid}/net/dev"), StringComparison.Ordinal);
        Assert.DoesNotContain("dummy7", Read($"/proc/{pid}/net/dev", other), StringComparison.Ordinal);
        Assert.NotEqual("", Read($"/proc/{otherPid}/net/dev_snmp6/dummy7"));

        var sys = new SysFileSystem(_kernel.Kernel, other.Network);
        Mount("othersys", sys, sys.Root);
        Assert.Equal("1500\n", Read("/othersys/class/net/dummy7/mtu"));
        Assert.Equal("65536\n", Read("/sys/class/net/lo/mtu", other));
        Assert.Equal(-(long)Errno.ENOENT, _kernel.Do(other, Sysno.open, _kernel.PutString(other, "/sys/class/net/dummy7"), 0));
    }

    [Fact]
    public void Caches_AreTheProcessors()
    {
        const string Host = "/sys/devices/system/cpu/cpu0/cache";
        string[] names = ["level", "type", "size", "coherency_line_size", "ways_of_associativity", "number_of_sets"];
        foreach (string cache in Directory.Exists(Host) ? Directory.GetDirectories(Host, "index*") : [])
            Assert.All(names, n => Assert.Equal(File.ReadAllText($"{cache}/{n}"), Read($"{cache}/{n}")));
        if (Directory.Exists(Host + "/index3"))
            Assert.Equal("0-1\n", Read(Host + "/index3/shared_cpu_list"));
    }
}
