namespace Tests.Kernel.Files;

public class PathWalkTests : FileTestBase
{
    public PathWalkTests()
    {
        Call(Sysno.mkdir, "/a", 0x1ED);
        Call(Sysno.mkdir, "/a/b", 0x1ED);
        WriteFile("/a/b/f", "content");
    }

    [Theory]
    [InlineData("/a/b/f")]
    [InlineData("//a///b//f")]
    [InlineData("/a/./b/../b/f")]
    [InlineData("/../../a/b/f")]
    [InlineData("a/b/f")]
    public void Open_ManySpellings_FindTheFile(string path) => Assert.Equal("content", ReadFile(path));

    [Theory]
    [InlineData("", Errno.ENOENT)]
    [InlineData("/a/x/f", Errno.ENOENT)]
    [InlineData("/a/b/f/", Errno.ENOTDIR)]
    [InlineData("/a/b/f/x", Errno.ENOTDIR)]
    [InlineData("/a/b/f/..", Errno.ENOTDIR)]
    public void Open_WrongPath_Fails(string path, Errno error) => Assert.Equal(Fail(error), Open(path));

    [Fact]
    public void Open_LongName_IsEnametoolong() => Assert.Equal(Fail(Errno.ENAMETOOLONG), Open("/" + new string('x', 256)));

    [Fact]
    public void Symlink_RelativeAndAbsolute_AreFollowed()
    {
        Assert.Equal(0, Call(Sysno.symlink, "b/f", "/a/rel"));
        Assert.Equal(0, Call(Sysno.symlink, "/a/rel", "/abs"));
        Assert.Equal("content", ReadFile("/abs"));
        Assert.Equal(Fail(Errno.ELOOP), Open("/abs", NoFollow));
        Assert.Equal(S.IFLNK, Stat("/abs", AT.SYMLINK_NOFOLLOW).st_mode & S.IFMT);
        Assert.Equal(S.IFREG, Stat("/abs").st_mode & S.IFMT);
    }

    [Fact]
    public void Symlink_ToDirectory_TrailingSlashFollows()
    {
        Assert.Equal(0, Call(Sysno.symlink, "/a", "/link"));
        Assert.Equal(S.IFDIR, Stat("/link/", AT.SYMLINK_NOFOLLOW).st_mode & S.IFMT);
        Assert.Equal("content", ReadFile("/link/b/f"));
    }

    [Fact]
    public void Symlink_Loop_IsEloop()
    {
        Call(Sysno.symlink, "/y", "/x");
        Call(Sysno.symlink, "/x", "/y");
        Assert.Equal(Fail(Errno.ELOOP), Open("/x"));
        Assert.Equal(Fail(Errno.ELOOP), Open("/x", Create | WriteOnly));
    }

    [Fact]
    public void Symlink_FortyDeep_IsTheLimit()
    {
        Call(Sysno.symlink, "/a/b/f", "/l0");
        for (int i = 1; i <= 40; i++)
            Call(Sysno.symlink, $"/l{i - 1}", $"/l{i}");
        Assert.Equal("content", ReadFile("/l39"));
        Assert.Equal(Fail(Errno.ELOOP), Open("/l40"));
    }

    [Fact]
    public void Create_ThroughDanglingLink_MakesItsTarget()
    {
        Call(Sysno.symlink, "/a/new", "/dangling");
        Assert.Equal(Fail(Errno.EEXIST), Open("/dangling", Create | Exclusive | WriteOnly));
        WriteFile("/dangling", "x");
        Assert.Equal("x", ReadFile("/a/new"));
    }

    [Fact]
    public void DotDot_AtMountPoint_LeavesTheMount()
    {
        Assert.Equal(Stat("/").st_ino, Stat("/dev/..").st_ino);
        Assert.Equal(Stat("/").st_dev, Stat("/dev/shm/../..").st_dev);
        Assert.NotEqual(Stat("/").st_dev, Stat("/dev").st_dev);
    }

    [Fact]
    public void Chroot_ConfinesDotDot()
    {
        Assert.Equal(0, Call(Sysno.chroot, "/a"));
        Assert.Equal(0, Call(Sysno.chdir, "/"));
        Assert.Equal("content", ReadFile("/../../b/f"));
        ulong buffer = Kernel.Allocate(64);
        Assert.Equal(2, Call(Sysno.getcwd, buffer, 64));
    }

    [Fact]
    public void Getcwd_TellsThePath()
    {
        Assert.Equal(0, Call(Sysno.chdir, "/a/b"));
        ulong buffer = Kernel.Allocate(64);
        Assert.Equal(5, Call(Sysno.getcwd, buffer, 64));
        Assert.Equal("/a/b\0", TestKernel.GetString(Task, buffer, 5));
        Assert.Equal(Fail(Errno.ERANGE), Call(Sysno.getcwd, buffer, 4));
        Assert.Equal(0, Call(Sysno.rename, "/a", "/z"));
        Assert.Equal(5, Call(Sysno.getcwd, buffer, 64));
        Assert.Equal("/z/b\0", TestKernel.GetString(Task, buffer, 5));
        Call(Sysno.unlink, "f");
        Assert.Equal(0, Call(Sysno.rmdir, "/z/b"));
        Assert.Equal(Fail(Errno.ENOENT), Call(Sysno.getcwd, buffer, 64));
        Assert.Equal(Fail(Errno.ENOENT), Open("new", Create | WriteOnly));
    }

    [Fact]
    public void Dirfd_IsTheStart()
    {
        int dir = Open("/a", PathOnly | Directory);
        Assert.True(Call(Sysno.openat, dir, "b/f", 0) >= 0);
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.openat, 99, "b/f", 0));
        int file = Open("/a/b/f");
        Assert.Equal(Fail(Errno.ENOTDIR), Call(Sysno.openat, file, "x", 0));
        Assert.True(Call(Sysno.openat, file, "/a/b/f", 0) >= 0);
    }

    [Theory]
    [InlineData(8, "b/f", Errno.None)]
    [InlineData(8, "b/../../a/b/f", Errno.EXDEV)]
    [InlineData(8, "/a/b/f", Errno.EXDEV)]
    [InlineData(16, "../../b/f", Errno.None)]
    [InlineData(16, "/b/f", Errno.None)]
    [InlineData(4, "link/f", Errno.ELOOP)]
    public void Openat2_Resolve_Confines(int resolve, string path, Errno expected)
    {
        Call(Sysno.symlink, "b", "/a/link");
        int dir = Open("/a", PathOnly | Directory);
        ulong how = Kernel.PutLongs(Task, 0, 0, resolve);
        long result = Call(Sysno.openat2, dir, path, how, 24);
        if (expected == Errno.None)
            Assert.True(result >= 0, $"{(Errno)(-result)}");
        else
            Assert.Equal(Fail(expected), result);
    }

    [Fact]
    public void Permission_SearchIsNeededOnEveryDirectory()
    {
        Call(Sysno.chmod, "/a", 0x1C0);
        Task.Credentials = User(1000);
        Assert.Equal(Fail(Errno.EACCES), Open("/a/b/f"));
        Assert.Equal(Fail(Errno.EACCES), Open("/new", Create | WriteOnly));
    }

    [Fact]
    public void Permission_CapDacReadSearch_Reads()
    {
        Call(Sysno.chmod, "/a/b/f", 0);
        Task.Credentials = User(1000);
        Assert.Equal(Fail(Errno.EACCES), Open("/a/b/f"));
        Task.Credentials = new Credentials { FsUid = 1000, FsGid = 1000, Effective = 1 << 2 };
        Assert.True(Open("/a/b/f") >= 0);
        Assert.Equal(Fail(Errno.EACCES), Open("/a/b/f", WriteOnly));
    }
}
