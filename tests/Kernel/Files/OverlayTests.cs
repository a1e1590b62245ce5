using Gofer;
using Gofer.Protocol;
using Sentry.FileSystems;
using Sentry.FileSystems.Overlay;
using Sentry.Host;

namespace Tests.Kernel.Files;

/// <summary>The overlay over a real directory, served by a gofer on a thread.</summary>
public sealed class OverlayTests : FileTestBase, IDisposable
{
    private static readonly System.Threading.AsyncLocal<(string Folder, GoferClient Client)> Made = new();
    private readonly string _folder;
    private readonly GoferClient _client;

    public OverlayTests()
        : base(static kernel => RootTree.Mount(kernel, MakeGofer()))
    {
        (_folder, _client) = Made.Value;
    }

    private static GoferClient MakeGofer()
    {
        string folder = System.IO.Directory.CreateTempSubdirectory("overlay-test").FullName;
        System.IO.Directory.CreateDirectory(folder + "/usr/lib");
        File.WriteAllText(folder + "/usr/lib/libx", "library" + new string('L', 200000));
        File.WriteAllText(folder + "/usr/readme", "read me");
        File.WriteAllText(folder + "/usr/other", "other");
        File.CreateSymbolicLink(folder + "/lib", "usr/lib");
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        var server = new TreeServer(second.Detach(), HostFile.Open(folder, 0x200000 | 0x10000 | HostFile.OCloexec).Value, 64);
        new System.Threading.Thread(() =>
        {
            server.Run();
            server.Dispose();
        }).Start();
        var client = new GoferClient(first.Detach());
        Made.Value = (folder, client);
        return client;
    }

    public void Dispose()
    {
        _client.Dispose();
        System.IO.Directory.Delete(_folder, true);
    }

    private List<BaseFileUse> BaseFiles => ((OverlayFileSystem)Kernel.Kernel.Mounts.RootMount.FileSystem).ListBaseFiles();

    [Fact]
    public void Base_IsReadThroughLinks()
    {
        Assert.StartsWith("libraryLL", ReadFile("/lib/libx"));
        Assert.Equal(200007, Stat("/lib/libx").st_size);
        Assert.Equal(["dev", "lib", "proc", "sys", "tmp", "usr"], List("/"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/usr/none"));
    }

    [Fact]
    public void Write_CopiesPagesNotTheFile()
    {
        int reader = Open("/usr/lib/libx");
        long before = ((FakeArena)Kernel.Host.Arena).Allocated;
        ulong inode = Stat("/usr/lib/libx").st_ino;
        int fd = Open("/usr/lib/libx", ReadWrite);
        Assert.Equal(before, ((FakeArena)Kernel.Host.Arena).Allocated);
        Assert.Equal(3, Call(Sysno.pwrite64, fd, Kernel.PutString(Task, "abc"), 3, 100000));
        Assert.Equal(before + 65536, ((FakeArena)Kernel.Host.Arena).Allocated);
        ulong buffer = Kernel.Allocate(5);
        Call(Sysno.pread64, fd, buffer, 5, 99999);
        Assert.Equal("LabcL", TestKernel.GetString(Task, buffer, 5));
        Assert.Equal(inode, Stat("/usr/lib/libx").st_ino);
        Assert.Equal(new string('L', 3), File.ReadAllText(_folder + "/usr/lib/libx").Substring(100000, 3));
        Assert.Equal(200007, Fstat(reader).st_size);
        Assert.Equal("/usr/lib/libx", Assert.Single(BaseFiles).Path);
    }

    [Fact]
    public void Unlink_LeavesAWhiteout()
    {
        Assert.Equal(0, Call(Sysno.unlink, "/usr/readme"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/usr/readme"));
        Assert.Equal(["lib", "other"], List("/usr"));
        Assert.True(File.Exists(_folder + "/usr/readme"));
        WriteFile("/usr/readme", "new");
        Assert.Equal("new", ReadFile("/usr/readme"));
        Assert.Equal(["lib", "other", "readme"], List("/usr"));
        Assert.Equal(0, Call(Sysno.unlink, "/usr/readme"));
        Assert.Equal(["lib", "other"], List("/usr"));
    }

    [Fact]
    public void RemovedDirectory_MadeAgain_IsEmpty()
    {
        Assert.Equal(Fail(Errno.ENOTEMPTY), Call(Sysno.rmdir, "/usr/lib"));
        Assert.Equal(0, Call(Sysno.unlink, "/usr/lib/libx"));
        Assert.Equal(0, Call(Sysno.rmdir, "/usr/lib"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/lib/libx"));
        Assert.Equal(0, Call(Sysno.mkdir, "/usr/lib", 0x1ED));
        Assert.Empty(List("/usr/lib"));
    }

    [Fact]
    public void Rename_BaseDirectory_TakesItsContentAlong()
    {
        Assert.Equal(0, Call(Sysno.rename, "/usr", "/moved"));
        Assert.Equal("read me", ReadFile("/moved/readme"));
        Assert.StartsWith("library", ReadFile("/moved/lib/libx"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/usr/readme"));
        Assert.Equal(["dev", "lib", "moved", "proc", "sys", "tmp"], List("/"));
        WriteFile("/moved/lib/new", "n");
        Assert.Equal(["libx", "new"], List("/moved/lib"));
        Assert.Equal(0, Call(Sysno.rename, "/moved/other", "/moved/readme"));
        Assert.Equal("other", ReadFile("/moved/readme"));
        Assert.Equal(["lib", "readme"], List("/moved"));
    }

    [Fact]
    public void Chmod_KeepsTheContent()
    {
        Assert.Equal(0, Call(Sysno.chmod, "/usr/readme", 0x180));
        Assert.Equal(S.IFREG | 0x180u, Stat("/usr/readme").st_mode);
        Assert.Equal("read me", ReadFile("/usr/readme"));
        Assert.Equal("/usr/readme", Assert.Single(BaseFiles).Path);
    }

    [Fact]
    public void Readdir_CopyUpMeanwhile_ShowsNothingTwice()
    {
        int fd = Open("/usr", Directory);
        List<string> names = ReadEntries(fd, 64);
        Call(Sysno.chmod, "/usr/lib", 0x1C0);
        Call(Sysno.chmod, "/usr/other", 0x180);
        WriteFile("/usr/added", "");
        for (List<string> some = ReadEntries(fd, 64); some.Count > 0; some = ReadEntries(fd, 64))
            names.AddRange(some);
        names.Sort(StringComparer.Ordinal);
        Assert.Equal([".", "..", "added", "lib", "other", "readme"], names);
    }

    [Fact]
    public void OpenFile_IsListedForTheCheckpoint()
    {
        Assert.Empty(BaseFiles);
        int fd = Open("/usr/lib/libx");
        Assert.Equal(200007, Assert.Single(BaseFiles).Size);
        Close(fd);
        Assert.Empty(BaseFiles);
    }

    [Fact]
    public void Mapping_PrivateUsesTheDonatedFile()
    {
        int fd = Open("/usr/lib/libx");
        var extents = new List<HostExtent>();
        Assert.Equal(Errno.None, Task.Files.Get(fd)!.GetHostExtents(4096, 8192, false, false, extents));
        HostExtent extent = Assert.Single(extents);
        Assert.Equal((4096UL, 8192UL, 4096L), (extent.FileOffset, extent.Length, extent.HostOffset));
        Assert.NotEqual(Kernel.Host.Arena.HostDescriptor, extent.HostDescriptor);
    }
}
