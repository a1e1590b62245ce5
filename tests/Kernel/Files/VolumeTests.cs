using Gofer;
using Gofer.Protocol;
using Sentry.FileSystems;
using Sentry.FileSystems.Volumes;
using Sentry.Host;

namespace Tests.Kernel.Files;

/// <summary>Volumes: a folder of the host's that a gofer on a thread serves, beside one that is only read.</summary>
public sealed class VolumeTests : FileTestBase, IDisposable
{
    private static readonly System.Threading.AsyncLocal<(string Folder, GoferClient Client)> Made = new();
    private readonly string _folder;
    private readonly GoferClient _client;

    public VolumeTests()
        : base(static kernel =>
        {
            GoferClient client = ServedVolumes.Make(out string folder);
            Made.Value = (folder, client);
            RootTree.Mount(kernel, null);
            RootTree.MountVolume(kernel, client, 0, "/srv/data", readOnly: false);
            RootTree.MountVolume(kernel, client, 1, "/ro", readOnly: true);
        })
    {
        (_folder, _client) = Made.Value;
    }

    public void Dispose()
    {
        _client.Dispose();
        System.IO.Directory.Delete(_folder, true);
    }

    private string OnHost(string name) => Path.Combine(_folder, "data", name);

    [Fact]
    public void Change_OnEitherSide_IsSeenOnTheOther()
    {
        File.WriteAllText(OnHost("note"), "from the host");
        Assert.Equal("from the host", ReadFile("/srv/data/note"));
        WriteFile("/srv/data/note", "from inside");
        Assert.Equal("from inside", File.ReadAllText(OnHost("note")));
        File.WriteAllText(OnHost("note"), "again, and longer than before");
        Assert.Equal(29, Stat("/srv/data/note").st_size);
        Assert.Equal("again, and longer than before", ReadFile("/srv/data/note"));
    }

    [Fact]
    public void Name_ThatTheHostRemovesReplacesOrMakes_IsLookedUpAnew()
    {
        Assert.Equal(Fail(Errno.ENOENT), Open("/srv/data/f"));
        File.WriteAllText(OnHost("f"), "one");
        int open = Open("/srv/data/f");
        File.WriteAllText(OnHost("g"), "two");
        File.Move(OnHost("g"), OnHost("f"), overwrite: true);
        Assert.Equal("two", ReadFile("/srv/data/f"));
        Assert.Equal("one", Read(open));
        Assert.NotEqual(Fstat(open).st_ino, Stat("/srv/data/f").st_ino);
        File.Delete(OnHost("f"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/srv/data/f"));
        System.IO.Directory.CreateDirectory(OnHost("f"));
        Assert.Equal(S.IFDIR, Stat("/srv/data/f").st_mode & S.IFMT);
    }

    /// <summary>The host's disk is waited for by the call alone: the kernel goes on, and a call that is tried again after a restore begins anew.</summary>
    [Fact]
    public void Sync_WaitsForTheHostAlone()
    {
        WriteFile("/srv/data/f", "x");
        int fd = Open("/srv/data/f", ReadWrite), directory = Open("/srv/data"), synced = Open("/srv/data/f", WriteOnly | 0x101000), other = Open("/note", ReadWrite | Create);
        ulong address = (ulong)Call(Sysno.mmap, 0, 4096, 3, 1, fd, 0);
        Kernel.Host.HoldsWork = true;
        Assert.Equal(0, Call(Sysno.fsync, other));
        Assert.Equal(0, Call(Sysno.msync, address, 4096, 1));
        foreach ((int number, ulong first) in ((int, ulong)[])[(Sysno.fsync, (ulong)fd), (Sysno.fdatasync, (ulong)fd), (Sysno.fsync, (ulong)directory), (Sysno.syncfs, (ulong)directory), (Sysno.sync, 0), (Sysno.msync, address)])
        {
            Assert.Null(Kernel.Call(Task, number, first, 4096, 4));
            Assert.Single(Kernel.Host.Work);
            Kernel.RetryAll();
            Assert.Single(Kernel.Host.Work);
            Kernel.Host.DoWork();
            Kernel.RunReady();
            Assert.Equal(0, TestKernel.Result(Task));
        }

        Assert.Null(Kernel.Call(Task, Sysno.write, (ulong)synced, Kernel.PutString(Task, "yz"), 2));
        Assert.Equal("yz", File.ReadAllText(OnHost("f")));
        Kernel.Host.DoWork();
        Kernel.RunReady();
        Assert.Equal(2, TestKernel.Result(Task));
        Assert.Equal("yz", File.ReadAllText(OnHost("f")));
    }

    /// <summary>syncfs needs a descriptor of the volume: of what was written last and is closed now, but not of what has been deleted.</summary>
    [Fact]
    public void Syncfs_NothingOpen_SyncsWhatWasWrittenLast()
    {
        int directory = Open("/srv/data");
        Kernel.Host.HoldsWork = true;
        Assert.Equal(0, Call(Sysno.syncfs, directory));
        WriteFile("/srv/data/f", "x");
        Assert.Null(Kernel.Call(Task, Sysno.syncfs, (ulong)directory));
        Kernel.Host.DoWork();
        Kernel.RunReady();
        Assert.Equal(0, TestKernel.Result(Task));
        Assert.Equal(0, Call(Sysno.unlink, "/srv/data/f"));
        Assert.Equal(0, Call(Sysno.syncfs, directory));
    }

    [Fact]
    public void ReadOnlyVolume_RefusesEveryChange()
    {
        File.WriteAllText(Path.Combine(_folder, "ro/kept"), "kept");
        Assert.Equal("kept", ReadFile("/ro/kept"));
        Assert.Equal(Fail(Errno.EROFS), Open("/ro/kept", WriteOnly));
        Assert.Equal(Fail(Errno.EROFS), Open("/ro/new", WriteOnly | Create));
        Assert.Equal(Fail(Errno.EROFS), Call(Sysno.unlink, "/ro/kept"));
        Assert.Equal(Fail(Errno.EROFS), Call(Sysno.mkdir, "/ro/d", 0x1ED));
        Assert.Equal(Fail(Errno.EROFS), Call(Sysno.chmod, "/ro/kept", 0x1A4));
        Assert.Equal(Fail(Errno.EROFS), Call(Sysno.truncate, "/ro/kept", 0));

        // Whatever becomes of the mount's flag, the gofer keeps to it.
        const int remountBind = 0x1020;
        Assert.Equal(0, Call(Sysno.mount, 0, "/ro", 0, remountBind, 0));
        Assert.Equal(Fail(Errno.EROFS), Open("/ro/new", WriteOnly | Create));
        Assert.Equal(Fail(Errno.EROFS), Open("/ro/kept", ReadWrite));
        Assert.Equal(Fail(Errno.EROFS), Call(Sysno.rename, "/ro/kept", "/ro/other"));
        Assert.Equal("kept", File.ReadAllText(Path.Combine(_folder, "ro/kept")));
    }

    [Fact]
    public void Tree_IsMadeRenamedLinkedAndRemoved()
    {
        Assert.Equal(0, Call(Sysno.mkdir, "/srv/data/a", 0x1ED));
        WriteFile("/srv/data/a/file", "content");
        Assert.Equal(0, Call(Sysno.symlink, "file", "/srv/data/a/link"));
        Assert.Equal("content", ReadFile("/srv/data/a/link"));
        Assert.Equal(0, Call(Sysno.link, "/srv/data/a/file", "/srv/data/hard"));
        Assert.Equal(2UL, Stat("/srv/data/hard").st_nlink);
        Assert.Equal(Stat("/srv/data/a/file").st_ino, Stat("/srv/data/hard").st_ino);
        Assert.Equal(0, Call(Sysno.rename, "/srv/data/a", "/srv/data/b"));
        Assert.Equal(["file", "link"], List("/srv/data/b"));
        Assert.Equal("content", File.ReadAllText(OnHost("b/file")));
        Assert.Equal(Fail(Errno.ENOTEMPTY), Call(Sysno.rmdir, "/srv/data/b"));
        Assert.Equal(0, Call(Sysno.renameat2, AT.FDCWD, "/srv/data/b/file", AT.FDCWD, "/srv/data/b/link", 2));
        Assert.Equal("content", ReadFile("/srv/data/b/link"));
        foreach (string name in (string[])["/srv/data/b/file", "/srv/data/b/link", "/srv/data/hard"])
            Assert.Equal(0, Call(Sysno.unlink, name));
        Assert.Equal(0, Call(Sysno.rmdir, "/srv/data/b"));
        Assert.Empty(System.IO.Directory.GetFileSystemEntries(OnHost("")));
        Assert.Equal(Fail(Errno.EBUSY), Call(Sysno.rename, "/srv/data", "/srv/elsewhere"));
    }

    [Fact]
    public void Unlinked_StaysOpen()
    {
        int fd = Open("/srv/data/gone", ReadWrite | Create);
        Write(fd, "still here");
        Assert.Equal(0, Call(Sysno.unlink, "/srv/data/gone"));
        Assert.False(File.Exists(OnHost("gone")));
        Assert.Equal(0, Call(Sysno.lseek, fd, 0, 0));
        Assert.Equal("still here", Read(fd));
        Assert.Equal(0UL, Fstat(fd).st_nlink);
        Assert.Equal(0, Close(fd));
    }

    [Fact]
    public void Attributes_AreTheHosts()
    {
        WriteFile("/srv/data/f", "x", 0x1A4);
        Assert.Equal(0, Call(Sysno.chmod, "/srv/data/f", 0x180));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(OnHost("f")));
        File.SetUnixFileMode(OnHost("f"), UnixFileMode.UserRead);
        Assert.Equal(0x100u, Stat("/srv/data/f").st_mode & 0xFFF);
        Assert.Equal(0, Call(Sysno.truncate, "/srv/data/f", 5000));
        Assert.Equal(5000, new FileInfo(OnHost("f")).Length);
        ulong times = Kernel.Allocate(32);
        Assert.True(Task.TryWrite(times, 1000L) && Task.TryWrite(times + 8, 0L) && Task.TryWrite(times + 16, 2000L) && Task.TryWrite(times + 24, 0L));
        Assert.Equal(0, Call(Sysno.utimensat, AT.FDCWD, "/srv/data/f", times, 0));
        Assert.Equal(DateTimeOffset.FromUnixTimeSeconds(2000).UtcDateTime, File.GetLastWriteTimeUtc(OnHost("f")));
    }

    [Fact]
    public void FileThatItsMakerMayNotWrite_IsWrittenByItsMaker()
    {
        int fd = Open("/srv/data/object", WriteOnly | Create | Exclusive, 0x124);
        Assert.Equal(4, Write(fd, "blob"));
        Close(fd);
        Assert.Equal("blob", File.ReadAllText(OnHost("object")));
        Assert.Equal(0x124u, Stat("/srv/data/object").st_mode & 0xFFF);
    }

    [Fact]
    public void Append_GoesToTheEnd_AlsoOfWhatTheHostHasAdded()
    {
        int fd = Open("/srv/data/log", WriteOnly | Create | Append);
        Write(fd, "one ");
        File.AppendAllText(OnHost("log"), "two ");
        Write(fd, "three");
        Assert.Equal("one two three", File.ReadAllText(OnHost("log")));
        Assert.Equal(13, Call(Sysno.lseek, fd, 0, 1));
    }

    [Fact]
    public void Directory_OfManyEntries_IsReadInPiecesWhileItChanges()
    {
        for (int i = 0; i < 500; i++)
            File.WriteAllText(OnHost($"entry-{i:000}"), "");
        int fd = Open("/srv/data", Directory);
        var seen = new HashSet<string>(ReadEntries(fd, 1024));
        for (int i = 0; i < 500; i += 2)
            File.Delete(OnHost($"entry-{i:000}"));
        for (List<string> some = ReadEntries(fd, 1024); some.Count > 0; some = ReadEntries(fd, 1024))
        {
            foreach (string name in some)
                Assert.True(seen.Add(name), $"{name} came twice");
        }

        for (int i = 1; i < 500; i += 2)
            Assert.Contains($"entry-{i:000}", seen);
        Assert.Equal(250, List("/srv/data").Count);
    }

    [Fact]
    public void Mapping_IsOfTheHostsOwnPages()
    {
        WriteFile("/srv/data/map", new string('m', 5000));
        int fd = Open("/srv/data/map", ReadWrite);
        var extents = new List<HostExtent>();
        Assert.Equal(Errno.None, Task.Files.Get(fd)!.GetHostExtents(4096, 8192, true, true, extents));
        HostExtent extent = Assert.Single(extents);
        Assert.Equal((4096UL, 8192UL, 4096L), (extent.FileOffset, extent.Length, extent.HostOffset));
        Assert.Equal(1, HostFile.WriteAt(extent.HostDescriptor, "M"u8, 4999).Value);
        Assert.EndsWith("mM", File.ReadAllText(OnHost("map")));
    }

    [Fact]
    public void Link_OutOfTheVolume_IsTheGuests()
    {
        File.WriteAllText(_folder + "/secret", "the host's");
        File.CreateSymbolicLink(OnHost("out"), "../secret");
        File.CreateSymbolicLink(OnHost("abs"), _folder + "/secret");
        Assert.Equal(Fail(Errno.ENOENT), Open("/srv/data/out"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/srv/data/abs"));
        Assert.Equal(Fail(Errno.EEXIST), Open("/srv/data/out", WriteOnly | Create | Exclusive));
        WriteFile("/srv/secret", "the guest's");
        Assert.Equal("the guest's", ReadFile("/srv/data/out"));
        Assert.Equal("the host's", File.ReadAllText(_folder + "/secret"));
    }

    [Fact]
    public void Client_ThatAsksForMoreThanTheTree_IsRefused()
    {
        File.WriteAllText(_folder + "/secret", "x");
        uint root = GoferLimits.RootHandle + 1;
        Assert.Equal(Errno.EINVAL, _client.Look(root, "..").Error);
        Assert.Equal(Errno.EINVAL, _client.Look(root, "../secret").Error);
        Assert.Equal(Errno.EINVAL, _client.Create(root, "../made", S.IFREG | 0x1A4, 0, 0).Error);
        Assert.Equal(Errno.EPERM, _client.MakeNode(root, "device", S.IFCHR | 0x1B6, 0, 0, "").Error);
        Assert.Equal(Errno.EROFS, _client.Create(GoferLimits.RootHandle, "made", S.IFREG | 0x1A4, 0, 0).Error);
        Assert.Equal(Errno.EROFS, _client.Rename(root, "x", GoferLimits.RootHandle, "y", 0));
        File.CreateSymbolicLink(OnHost("link"), _folder + "/secret");
        Assert.Equal(Errno.EACCES, _client.OpenFor(root, "link", 2).Error);
        Assert.True(_client.SetAttributes(root, "link", new NodeChange(NodeChange.HasPermissions, 0x1FF, 0, 0, 0, 0, 0)).IsError);
        Assert.Equal(Errno.EINVAL, _client.SetAttributes(root, "link", new NodeChange(NodeChange.HasSize, 0, 0, 0, 0, 0, 0)).Error);
        Assert.Equal("x", File.ReadAllText(_folder + "/secret"));
    }

    [Fact]
    public void Fifo_OnAVolume_JoinsProcessesOfTheSandbox()
    {
        Assert.Equal(0, Call(Sysno.mknod, "/srv/data/fifo", S.IFIFO | 0x1B6, 0));
        Assert.Equal(S.IFIFO, Stat("/srv/data/fifo").st_mode & S.IFMT);
        int both = Open("/srv/data/fifo", ReadWrite);
        Write(both, "through");
        Assert.Equal("through", Read(Open("/srv/data/fifo", NonBlock)));
    }

    [Fact]
    public void WorkingDirectory_ThatTheHostRenames_IsStillThatDirectory()
    {
        Assert.Equal(0, Call(Sysno.mkdir, "/srv/data/d", 0x1ED));
        Assert.Equal(0, Call(Sysno.chdir, "/srv/data/d"));
        Assert.Empty(List("."));
        System.IO.Directory.Move(OnHost("d"), OnHost("e"));
        WriteFile("inside", "x");
        Assert.True(File.Exists(OnHost("e/inside")));
    }

    [Fact]
    public void SizeLimit_Holds()
    {
        Task.Group.Limits[ResourceLimits.FSize] = new ResourceLimit { Soft = 10, Hard = 10 };
        int fd = Open("/srv/data/limited", WriteOnly | Create);
        Assert.Equal(10, Write(fd, "more than ten bytes"));
        Assert.Equal(Fail(Errno.EFBIG), Write(fd, "x"));
    }
}

/// <summary>A folder with two volumes and a root in it, served on a thread.</summary>
internal static class ServedVolumes
{
    private const int Place = 0x200000 | 0x10000 | HostFile.OCloexec;

    public static GoferClient Make(out string folder)
    {
        folder = System.IO.Directory.CreateTempSubdirectory("volume-test").FullName;
        foreach (string name in (string[])["root", "data", "ro"])
            System.IO.Directory.CreateDirectory(Path.Combine(folder, name));
        return Serve(folder);
    }

    public static GoferClient Serve(string folder)
    {
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        var server = new TreeServer(second.Detach(), HostFile.Open(folder + "/root", Place).Value, 64,
            new VolumeRoot(HostFile.Open(folder + "/data", Place).Value, true), new VolumeRoot(HostFile.Open(folder + "/ro", Place).Value, false));
        new System.Threading.Thread(() =>
        {
            server.Run();
            server.Dispose();
        }).Start();
        return new GoferClient(first.Detach());
    }
}
