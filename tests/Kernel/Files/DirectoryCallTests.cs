namespace Tests.Kernel.Files;

public class DirectoryCallTests : FileTestBase
{
    [Fact]
    public void Mkdir_CountsLinks()
    {
        Assert.Equal(0, Call(Sysno.mkdir, "/d", 0x1FF));
        Assert.Equal(2UL, Stat("/d").st_nlink);
        Assert.Equal(S.IFDIR | 0x1EDu, Stat("/d").st_mode);
        Assert.Equal(0, Call(Sysno.mkdir, "/d/e/", 0x1FF));
        Assert.Equal(3UL, Stat("/d").st_nlink);
        Assert.Equal(Fail(Errno.EEXIST), Call(Sysno.mkdir, "/d", 0x1FF));
        Assert.Equal(Fail(Errno.EEXIST), Call(Sysno.mkdir, "/", 0x1FF));
        Assert.Equal(Fail(Errno.EEXIST), Call(Sysno.mkdir, "/d/.", 0x1FF));
        Assert.Equal(Fail(Errno.ENOTEMPTY), Call(Sysno.rmdir, "/d"));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.rmdir, "/d/."));
        Assert.Equal(Fail(Errno.ENOTEMPTY), Call(Sysno.rmdir, "/d/.."));
        Assert.Equal(Fail(Errno.EBUSY), Call(Sysno.rmdir, "/"));
        Assert.Equal(0, Call(Sysno.rmdir, "/d/e"));
        Assert.Equal(2UL, Stat("/d").st_nlink);
    }

    [Fact]
    public void Unlink_OpenFile_StaysReadable()
    {
        WriteFile("/f", new string('x', 9000));
        int fd = Open("/f");
        Assert.Equal(0, Call(Sysno.unlink, "/f"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/f"));
        Assert.Equal(0UL, Fstat(fd).st_nlink);
        Assert.Equal(9000, Read(fd, 10000).Length);
        long before = ((FakeArena)Kernel.Host.Arena).Allocated;
        Close(fd);
        Assert.True(((FakeArena)Kernel.Host.Arena).Allocated < before);
        Assert.Equal(Fail(Errno.EISDIR), Call(Sysno.unlink, "/dev/pts"));
    }

    [Fact]
    public void Link_SharesTheInode()
    {
        WriteFile("/f", "x");
        Assert.Equal(0, Call(Sysno.link, "/f", "/g"));
        Assert.Equal(Stat("/f").st_ino, Stat("/g").st_ino);
        Assert.Equal(2UL, Stat("/g").st_nlink);
        Assert.Equal(Fail(Errno.EEXIST), Call(Sysno.link, "/f", "/g"));
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.link, "/tmp", "/h"));
        Assert.Equal(Fail(Errno.EXDEV), Call(Sysno.link, "/f", "/dev/shm/f"));
        int tmp = Open("/", TmpFile | ReadWrite);
        Assert.True(tmp >= 0);
        Write(tmp, "temporary");
        Assert.Equal(0, Call(Sysno.linkat, tmp, "", AT.FDCWD, "/named", AT.EMPTY_PATH));
        Assert.Equal("temporary", ReadFile("/named"));
    }

    [Fact]
    public void Rename_ReplacesAndMoves()
    {
        WriteFile("/f", "f");
        WriteFile("/g", "g");
        Call(Sysno.mkdir, "/d", 0x1ED);
        Call(Sysno.mkdir, "/d/sub", 0x1ED);
        Call(Sysno.mkdir, "/e", 0x1ED);
        Assert.Equal(Fail(Errno.EEXIST), Call(Sysno.renameat2, AT.FDCWD, "/f", AT.FDCWD, "/g", 1));
        Assert.Equal(0, Call(Sysno.rename, "/f", "/g"));
        Assert.Equal("f", ReadFile("/g"));
        Assert.Equal(Fail(Errno.ENOENT), Open("/f"));
        Assert.Equal(Fail(Errno.EISDIR), Call(Sysno.rename, "/g", "/e"));
        Assert.Equal(Fail(Errno.ENOTDIR), Call(Sysno.rename, "/e", "/g"));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.rename, "/d", "/d/sub/x"));
        Assert.Equal(Fail(Errno.ENOTEMPTY), Call(Sysno.rename, "/e", "/d"));
        Assert.Equal(0, Call(Sysno.rename, "/d/sub", "/e"));
        Assert.Equal(2UL, Stat("/d").st_nlink);
        Assert.Equal(0, Call(Sysno.rename, "/d", "/e/d"));
        Assert.Equal(["d"], List("/e"));
        Assert.Equal(Stat("/e").st_ino, Stat("/e/d/..").st_ino);
        Assert.Equal(Fail(Errno.EBUSY), Call(Sysno.rename, "/dev", "/x"));
    }

    [Fact]
    public void Rename_Exchange_Swaps()
    {
        WriteFile("/f", "f");
        Call(Sysno.mkdir, "/d", 0x1ED);
        Assert.Equal(0, Call(Sysno.renameat2, AT.FDCWD, "/f", AT.FDCWD, "/d", 2));
        Assert.Equal("f", ReadFile("/d"));
        Assert.Equal(S.IFDIR, Stat("/f").st_mode & S.IFMT);
        Assert.Equal(Fail(Errno.ENOENT), Call(Sysno.renameat2, AT.FDCWD, "/f", AT.FDCWD, "/none", 2));
    }

    [Fact]
    public void Sticky_OnlyOwnersRemove()
    {
        Call(Sysno.mkdir, "/t", 0);
        Call(Sysno.chmod, "/t", 0x3FF);
        WriteFile("/t/f", "x");
        Task.Credentials = User(1000);
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.unlink, "/t/f"));
        WriteFile("/t/mine", "y");
        Assert.Equal(0, Call(Sysno.unlink, "/t/mine"));
    }

    [Fact]
    public void Setgid_DirectoryGivesItsGroup()
    {
        Call(Sysno.mkdir, "/s", 0);
        Call(Sysno.chown, "/s", 0, 77);
        Call(Sysno.chmod, "/s", 0x5ED);
        WriteFile("/s/f", "x");
        Call(Sysno.mkdir, "/s/d", 0x1ED);
        Assert.Equal(77u, Stat("/s/f").st_gid);
        Assert.Equal(77u, Stat("/s/d").st_gid);
        Assert.NotEqual(0u, Stat("/s/d").st_mode & S.ISGID);
    }

    [Fact]
    public void Getdents_SmallBuffer_GoesOnWhereItStopped()
    {
        Call(Sysno.mkdir, "/d", 0x1ED);
        for (int i = 0; i < 100; i++)
            WriteFile($"/d/file{i:000}", "");
        Assert.Equal(100, List("/d").Distinct().Count());
        int fd = Open("/d", Directory);
        ulong buffer = Kernel.Allocate(16);
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.getdents64, fd, buffer, 16));
        List<string> seen = ReadEntries(fd, 400);

        // Removing what has been seen and adding more hides nothing that was there all the time.
        foreach (string name in seen.Where(n => n.Length > 2))
            Call(Sysno.unlink, "/d/" + name);
        for (List<string> some = ReadEntries(fd, 400); some.Count > 0; some = ReadEntries(fd, 400))
            seen.AddRange(some);
        Assert.Equal(102, seen.Distinct().Count());
        Assert.Equal(seen.Count, seen.Distinct().Count());
        Assert.Equal(0, Call(Sysno.lseek, fd, 0, 0));
        Assert.Equal([".", ".."], ReadEntries(fd, 400).Take(2));
    }

    [Fact]
    public void Mount_TmpfsAndBind_CoverAndUncover()
    {
        Call(Sysno.mkdir, "/m", 0x1ED);
        WriteFile("/m/below", "b");
        Assert.Equal(0, Call(Sysno.mount, "none", "/m", "tmpfs", 0, "mode=700"));
        Assert.Empty(List("/m"));
        Assert.Equal(S.IFDIR | 0x1C0u, Stat("/m").st_mode);
        WriteFile("/m/above", "a");
        Call(Sysno.mkdir, "/n", 0x1ED);
        Assert.Equal(0, Call(Sysno.mount, "/m", "/n", 0UL, 4096, 0UL));
        Assert.Equal("a", ReadFile("/n/above"));
        Assert.Equal(0, Call(Sysno.mount, 0UL, "/n", 0UL, 32 | 1, 0UL));
        Assert.Equal(Fail(Errno.EROFS), Open("/n/x", Create | WriteOnly));
        int fd = Open("/m/above");
        Assert.Equal(Fail(Errno.EBUSY), Call(Sysno.umount2, "/m", 0));
        Close(fd);
        Assert.Equal(0, Call(Sysno.umount2, "/m", 0));
        Assert.Equal("b", ReadFile("/m/below"));
        Assert.Equal("a", ReadFile("/n/above"));
        Assert.Equal(Fail(Errno.ENODEV), Call(Sysno.mount, "none", "/m", "nosuchfs", 0, 0UL));
    }

    [Fact]
    public void Devices_Work()
    {
        int zero = Open("/dev/zero", ReadWrite);
        Assert.Equal("\0\0\0", Read(zero, 3));
        int full = Open("/dev/full", ReadWrite);
        Assert.Equal(Fail(Errno.ENOSPC), Write(full, "x"));
        int nothing = Open("/dev/null", ReadWrite);
        Assert.Equal(3, Write(nothing, "abc"));
        Assert.Equal("", Read(nothing));
        Assert.Equal(DeviceNumber.Make(1, 3), Stat("/dev/null").st_rdev);
        Assert.Equal(Fail(Errno.ENXIO), Open("/dev/tty", ReadWrite));
        Assert.Equal(8, Read(Open("/dev/urandom"), 8).Length);
    }

    [Fact]
    public void Fifo_OpenersWaitForEachOther()
    {
        Assert.Equal(0, Call(Sysno.mknod, "/fifo", S.IFIFO | 0x1B6u, 0));
        Assert.Equal(Fail(Errno.ENXIO), Open("/fifo", WriteOnly | NonBlock));
        Task other = NewProcess();
        Assert.Null(Kernel.Call(other, Sysno.open, Kernel.PutString(other, "/fifo"), 0));
        int writer = Open("/fifo", WriteOnly);
        Assert.True(writer >= 0);
        Assert.Equal(5, Write(writer, "hello"));
        Assert.Equal(0, TestKernel.Result(other));
        ulong buffer = Kernel.Allocate(16);
        Assert.Equal(5, Kernel.Do(other, Sysno.read, 0, buffer, 16));
    }

    /// <summary>After a checkpoint the writer is there before the reader's thread has come back to its open.</summary>
    [Fact]
    public void Fifo_OpenedBeforeAWaitingOpenIsMadeAgain_BothAreThere()
    {
        Assert.Equal(0, Call(Sysno.mknod, "/fifo", S.IFIFO | 0x1B6u, 0));
        Task other = NewProcess();
        Assert.Null(Kernel.Call(other, Sysno.open, Kernel.PutString(other, "/fifo"), 0));
        Kernel.StopAll();
        int writer = Open("/fifo", WriteOnly);
        Assert.Equal(5, Write(writer, "hello"));
        Assert.Equal(0, Kernel.Again(other));
        Assert.Equal(5, Kernel.Do(other, Sysno.read, 0, Kernel.Allocate(16), 16));
    }

    /// <summary>The reader was let in, but ends before its open returns: the writer is alone.</summary>
    [Fact]
    public void Fifo_OpenerEndsBeforeItsDescriptor_PeerHasNoReader()
    {
        Assert.Equal(0, Call(Sysno.mknod, "/fifo", S.IFIFO | 0x1B6u, 0));
        Task other = NewProcess();
        Assert.Null(Kernel.Call(other, Sysno.open, Kernel.PutString(other, "/fifo"), 0));
        Kernel.StopAll();
        int writer = Open("/fifo", WriteOnly);
        Lifecycle.KillGroup(other.Group, Signal.SIGKILL);
        Assert.Equal(Fail(Errno.EPIPE), Write(writer, "hello"));
    }
}
