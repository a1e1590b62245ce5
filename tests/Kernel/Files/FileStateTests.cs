using Gofer;
using Gofer.Protocol;
using Sentry.FileSystems;
using Sentry.Host;

namespace Tests.Kernel.Files;

/// <summary>File trees, open files and their bytes through a checkpoint and a restore.</summary>
public sealed class FileStateTests : FileStateTestBase, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("state-test").FullName;
    private readonly List<GoferClient> _clients = [];

    public FileStateTests()
    {
        Directory.CreateDirectory(_folder + "/usr/share");
        File.WriteAllText(_folder + "/usr/tool", "base tool");
        File.WriteAllText(_folder + "/usr/share/text", "base text" + new string('t', 20000));
        File.WriteAllText(_folder + "/usr/gone", "gone");
    }

    public void Dispose()
    {
        foreach (GoferClient client in _clients)
            client.Dispose();
        Directory.Delete(_folder, true);
    }

    private GoferClient Connect()
    {
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        var server = new TreeServer(second.Detach(), HostFile.Open(_folder, 0x200000 | 0x10000 | HostFile.OCloexec).Value, 64);
        new System.Threading.Thread(() =>
        {
            server.Run();
            server.Dispose();
        }).Start();
        var client = new GoferClient(first.Detach());
        _clients.Add(client);
        return client;
    }

    [Fact]
    public void Tmpfs_ContentAndOpenFiles_Survive()
    {
        (TestKernel kernel, Guest guest) = Start(null);
        guest.Call(Sysno.mkdir, "/d", 0x1ED);
        guest.Call(Sysno.chdir, "/d");
        int small = guest.Open("small", 0x42);
        guest.Write(small, "small");
        int large = guest.Open("large", 0x42);
        guest.Write(large, new string('l', 10000));
        guest.Call(Sysno.pwrite64, large, "tail", 4, 1 << 18);
        guest.Call(Sysno.lseek, large, 9998, 0);
        int gone = guest.Open("gone", 0x42);
        guest.Write(gone, "unlinked" + new string('u', 5000));
        guest.Call(Sysno.unlink, "gone");
        guest.Call(Sysno.lseek, gone, 0, 0);
        int memfd = (int)guest.Call(Sysno.memfd_create, "m", 0);
        guest.Write(memfd, "memory");
        int shm = guest.Open("/dev/shm/x", 0x42);
        guest.Write(shm, "shared");

        (Guest after, GuestKernel restored) = Restore(kernel, null);
        Assert.Equal("/d", after.WorkingDirectory());
        Assert.Equal("ll\0", after.Read(large, 3));
        Assert.StartsWith("unlinked", after.Read(gone));
        Assert.Equal("small", after.Read(after.Open("small")));
        after.Call(Sysno.lseek, memfd, 0, 0);
        Assert.Equal("memory", after.Read(memfd));
        Assert.Equal("shared", after.Read(after.Open("/dev/shm/x")));
        after.Call(Sysno.lseek, large, 1 << 18, 0);
        Assert.Equal("tail", after.Read(large));

        // The open file and the name are still the same file, and so are the working directory and its name.
        after.Call(Sysno.pwrite64, large, "NEW", 3, 5000);
        int again = after.Open("/d/large");
        after.Call(Sysno.lseek, again, 4999, 0);
        Assert.Equal("lNEWl", after.Read(again, 5));
        Assert.Equal(0, after.Call(Sysno.rename, "/d", "/renamed"));
        Assert.Equal("/renamed", after.WorkingDirectory());
        Assert.True(restored.FileData.BytesInUse > 0);
    }

    [Fact]
    public void LimitsOfTheSandbox_Survive()
    {
        (TestKernel kernel, Guest guest) = Start(null);
        (kernel.Kernel.Limits.Memory, kernel.Kernel.Limits.Tasks, kernel.Kernel.Limits.Cpus) = (64 << 20, 20, 1);
        kernel.Kernel.ApplyLimits();
        Assert.Equal("20\n", guest.Read(guest.Open("/sys/fs/cgroup/pids.max")));
        (Guest after, GuestKernel restored) = Restore(kernel, null);
        Assert.Equal((64 << 20, 20, 1), (restored.Limits.Memory, restored.Limits.Tasks, restored.Limits.Cpus));
        Assert.Equal($"{64 << 20}\n", after.Read(after.Open("/sys/fs/cgroup/memory.max")));
    }

    [Fact]
    public void Tmpfs_MappedImagePages_BecomeSharedWhenWritten()
    {
        (TestKernel kernel, Guest guest) = Start(null);
        int fd = guest.Open("/f", 0x42);
        guest.Write(fd, new string('f', 10000));
        (Guest after, GuestKernel restored) = Restore(kernel, null);
        FileObject file = after.Task.Files.Get(fd)!;
        var extents = new List<HostExtent>();
        Assert.Equal(Errno.None, file.GetHostExtents(0, 4096, false, false, extents));
        Assert.Equal(2000, Assert.Single(extents).HostDescriptor);
        extents.Clear();
        Assert.Equal(Errno.None, file.GetHostExtents(0, 12288, true, true, extents));
        Assert.All(extents, extent => Assert.Equal(restored.Host.Arena.HostDescriptor, extent.HostDescriptor));
        Assert.Equal((byte)'f', restored.Host.Arena.GetSpan(extents[0].HostOffset, 1)[0]);
    }

    [Fact]
    public void Overlay_ChangesSurvive_AndTheBaseIsFoundAgain()
    {
        (TestKernel kernel, Guest guest) = Start(Connect());
        int text = guest.Open("/usr/share/text", 2);
        guest.Call(Sysno.pwrite64, text, "NEW", 3, 5);
        int tool = guest.Open("/usr/tool");
        Assert.Equal("base", guest.Read(tool, 4));
        Assert.Equal(0, guest.Call(Sysno.unlink, "/usr/gone"));
        int made = guest.Open("/usr/made", 0x42);
        guest.Write(made, "made");
        Assert.Equal(0, guest.Call(Sysno.rename, "/usr/share", "/usr/renamed"));
        Assert.Equal(0, guest.Call(Sysno.chdir, "/usr/renamed"));

        (Guest after, _) = Restore(kernel, Connect());
        Assert.Equal("/usr/renamed", after.WorkingDirectory());
        Assert.Equal(" tool", after.Read(tool));
        Assert.Equal("base NEWt", after.Read(after.Open("text"), 9));
        Assert.Equal("base NEWt", after.Read(text, 9));
        Assert.Equal("made", after.Read(after.Open("/usr/made")));
        Assert.Equal(-(long)Errno.ENOENT, after.Open("/usr/gone"));
        Assert.Equal(-(long)Errno.ENOENT, after.Open("/usr/share/text"));
        Assert.Equal("base tool", after.Read(after.Open("/usr/tool")));
    }

    [Fact]
    public void Overlay_BaseFileOfAnotherSize_IsRefused()
    {
        (TestKernel kernel, Guest guest) = Start(Connect());
        int tool = guest.Open("/usr/tool");
        Assert.Equal("base", guest.Read(tool, 4));
        File.WriteAllText(_folder + "/usr/tool", "another tool");
        (Guest after, _) = Restore(kernel, Connect());
        Assert.Equal(-(long)Errno.EIO, after.Call(Sysno.read, tool, TestKernel.Base, 4));
    }
}
