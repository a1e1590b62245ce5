namespace Tests.Kernel.Files;

public class FileCallTests : FileTestBase
{
    [Fact]
    public void Write_ThenRead_AcrossPages()
    {
        int fd = Open("/f", ReadWrite | Create);
        string text = string.Concat(Enumerable.Range(0, 3000).Select(i => $"{i:0000};"));
        Assert.Equal(text.Length, Write(fd, text));
        Assert.Equal(0, Call(Sysno.lseek, fd, 0, 0));
        Assert.Equal(text, Read(fd, 20000));
        Assert.Equal("", Read(fd, 10));
        Assert.Equal(text.Length, Fstat(fd).st_size);
    }

    [Fact]
    public void Pwrite_BeyondTheEnd_LeavesAHole()
    {
        int fd = Open("/f", ReadWrite | Create);
        ulong buffer = Kernel.PutString(Task, "end");
        Assert.Equal(3, Call(Sysno.pwrite64, fd, buffer, 3, 1 << 20));
        Assert.Equal((1 << 20) + 3, Fstat(fd).st_size);
        Assert.Equal("\0\0\0\0", Read(fd, 4));
        Assert.Equal(1 << 20, Call(Sysno.lseek, fd, 0, 3));
        Assert.Equal(0, Call(Sysno.lseek, fd, 0, 4));
        Assert.Equal((1 << 20) + 3, Call(Sysno.lseek, fd, (1 << 20) + 1, 4));
        Assert.Equal(Fail(Errno.ENXIO), Call(Sysno.lseek, fd, 2 << 20, 3));
        Assert.True(Fstat(fd).st_blocks < 100);
    }

    [Fact]
    public void Truncate_Shrinks_AndGrowsWithZeros()
    {
        WriteFile("/f", new string('x', 10000));
        Assert.Equal(0, Call(Sysno.truncate, "/f", 5));
        Assert.Equal(0, Call(Sysno.truncate, "/f", 9000));
        int fd = Open("/f");
        string text = Read(fd, 10000);
        Assert.Equal("xxxxx" + new string('\0', 8995), text);
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.ftruncate, fd, 0));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.truncate, "/f", -1));
        Assert.Equal(Fail(Errno.EISDIR), Call(Sysno.truncate, "/", 0));
    }

    [Fact]
    public void SmallFile_NeedsNoPages()
    {
        long before = ((FakeArena)Kernel.Host.Arena).Allocated;
        WriteFile("/f", "small");
        int fd = Open("/f", ReadWrite | Append);
        Write(fd, " but growing");
        Assert.Equal(before, ((FakeArena)Kernel.Host.Arena).Allocated);
        Assert.Equal("small but growing", ReadFile("/f"));
        Write(fd, new string('y', 5000));
        Assert.NotEqual(before, ((FakeArena)Kernel.Host.Arena).Allocated);
        Assert.StartsWith("small but growingyy", ReadFile("/f"));
    }

    [Fact]
    public void Append_GoesToTheEnd()
    {
        WriteFile("/f", "one");
        int first = Open("/f", WriteOnly | Append), second = Open("/f", WriteOnly | Append);
        Write(first, " two");
        Write(second, " three");
        Assert.Equal("one two three", ReadFile("/f"));
    }

    [Fact]
    public void Readv_Writev_ScatterAndGather()
    {
        int fd = Open("/f", ReadWrite | Create);
        ulong a = Kernel.PutString(Task, "abc"), b = Kernel.PutString(Task, "defg");
        ulong vectors = Kernel.PutLongs(Task, (long)a, 3, (long)b, 4);
        Assert.Equal(7, Call(Sysno.writev, fd, vectors, 2));
        ulong out1 = Kernel.Allocate(2), out2 = Kernel.Allocate(8);
        ulong targets = Kernel.PutLongs(Task, (long)out1, 2, (long)out2, 8);
        Assert.Equal(6, Call(Sysno.preadv, fd, targets, 2, 1));
        Assert.Equal("bc", TestKernel.GetString(Task, out1, 2));
        Assert.Equal("defg", TestKernel.GetString(Task, out2, 4));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.readv, fd, targets, 1025));
        Assert.Equal(Fail(Errno.EFAULT), Call(Sysno.readv, fd, 1, 1));
    }

    [Fact]
    public void Read_BadBuffer_IsEfault()
    {
        WriteFile("/f", "data");
        int fd = Open("/f");
        Assert.Equal(Fail(Errno.EFAULT), Call(Sysno.read, fd, 0x10, 4));
        Assert.Equal(0, Call(Sysno.lseek, fd, 0, 1));
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.write, fd, 0x10, 4));
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.read, 77, 0x10, 4));
        Assert.Equal(Fail(Errno.EISDIR), Call(Sysno.read, Open("/"), TestKernel.Base, 4));
    }

    [Fact]
    public void FileSizeLimit_CutsAndRefuses()
    {
        Task.Group.Limits[ResourceLimits.FSize] = new ResourceLimit { Soft = 10, Hard = 10 };
        int fd = Open("/f", ReadWrite | Create);
        Assert.Equal(10, Write(fd, "0123456789abc"));
        Assert.Equal(Fail(Errno.EFBIG), Write(fd, "x"));
        Assert.Equal(Fail(Errno.EFBIG), Call(Sysno.ftruncate, fd, 11));
    }

    [Fact]
    public void Fallocate_PunchesAndExtends()
    {
        WriteFile("/f", new string('x', 20000));
        int fd = Open("/f", ReadWrite);
        Assert.Equal(0, Call(Sysno.fallocate, fd, 3, 4000, 9000));
        string text = ReadBig(fd, 20000);
        Assert.Equal(new string('x', 4000) + new string('\0', 9000) + new string('x', 7000), text);
        Assert.Equal(0, Call(Sysno.fallocate, fd, 0, 0, 30000));
        Assert.Equal(30000, Fstat(fd).st_size);
        Assert.Equal(0, Call(Sysno.fallocate, fd, 1, 0, 60000));
        Assert.Equal(30000, Fstat(fd).st_size);
        Assert.Equal(Fail(Errno.EOPNOTSUPP), Call(Sysno.fallocate, fd, 8, 0, 4096));
    }

    private string ReadBig(int fd, int length)
    {
        ulong buffer = Kernel.Allocate(length);
        Assert.Equal(length, Call(Sysno.pread64, fd, buffer, length, 0));
        return TestKernel.GetString(Task, buffer, length);
    }

    [Fact]
    public void Sendfile_CopyFileRange_MoveBytes()
    {
        WriteFile("/src", new string('s', 100000));
        int source = Open("/src"), target = Open("/dst", ReadWrite | Create);
        ulong offset = Kernel.PutLongs(Task, 10);
        Assert.Equal(99990, Call(Sysno.sendfile, target, source, offset, 200000));
        Assert.Equal(100000, TestKernel.GetLong(Task, offset));
        Assert.Equal(0, Call(Sysno.lseek, source, 0, 1));
        Assert.Equal(99990, Fstat(target).st_size);
        Assert.Equal(500, Call(Sysno.copy_file_range, source, 0UL, target, 0UL, 500, 0));
        Assert.Equal(500, Call(Sysno.lseek, source, 0, 1));
        Assert.Equal(100490, Fstat(target).st_size);
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.copy_file_range, target, 0UL, target, 0UL, 500, 1));
    }

    [Fact]
    public void Splice_ThroughAPipe()
    {
        WriteFile("/src", "spliced bytes");
        int source = Open("/src"), target = Open("/dst", ReadWrite | Create);
        ulong fds = Kernel.Allocate(8);
        Call(Sysno.pipe2, fds, 0);
        int reader = TestKernel.GetInt(Task, fds), writer = TestKernel.GetInt(Task, fds + 4);
        Assert.Equal(13, Call(Sysno.splice, source, 0UL, writer, 0UL, 100, 0));
        int second = Open("/dst2", ReadWrite | Create);
        Assert.Equal(13, Call(Sysno.splice, reader, 0UL, second, 0UL, 100, 2));
        Assert.Equal(Fail(Errno.EAGAIN), Call(Sysno.splice, reader, 0UL, second, 0UL, 100, 2));
        WriteFile("/again", "more");
        Assert.Equal(4, Call(Sysno.splice, Open("/again"), 0UL, writer, 0UL, 100, 0));
        Assert.Equal(4, Call(Sysno.splice, reader, 0UL, target, 0UL, 100, 0));
        Assert.Equal("more", ReadFile("/dst"));
        Assert.Equal("spliced bytes", ReadFile("/dst2"));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.splice, source, 0UL, target, 0UL, 1, 0));
    }

    [Fact]
    public void Splice_MoreThanThePipeHolds_EndsWhenItIsFull()
    {
        WriteFile("/src", new string('s', 100000));
        ulong fds = Kernel.Allocate(8);
        Call(Sysno.pipe2, fds, 0);
        int reader = TestKernel.GetInt(Task, fds), writer = TestKernel.GetInt(Task, fds + 4);
        int source = Open("/src"), target = Open("/dst", ReadWrite | Create);
        long moved = Call(Sysno.splice, source, 0UL, writer, 0UL, 100000, 0);
        Assert.Equal(65536, moved);
        Assert.Equal(moved, Call(Sysno.lseek, source, 0, 1));
        while (moved > 0)
            moved -= Call(Sysno.splice, reader, 0UL, target, 0UL, 100000, 0);
        Assert.Equal(new string('s', 10), ReadFile("/dst")[..10]);
        Assert.Equal(65536, Stat("/dst").st_size);
    }

    [Fact]
    public void DevStdin_OfAPipe_IsItsEnd()
    {
        ulong fds = Kernel.Allocate(8);
        Call(Sysno.pipe2, fds, 0);
        Assert.Equal(0, TestKernel.GetInt(Task, fds));
        Write(TestKernel.GetInt(Task, fds + 4), "through");
        int again = Open("/dev/stdin");
        Assert.True(again > 1, $"{(Errno)(-again)}");
        Assert.Equal("through", Read(again));
    }

    [Fact]
    public void Memfd_SealsHold()
    {
        int fd = (int)Call(Sysno.memfd_create, "x", 2);
        Assert.Equal(4, Write(fd, "data"));
        Assert.Equal(0, Call(Sysno.fcntl, fd, 1034, 0));
        Assert.Equal(0, Call(Sysno.fcntl, fd, 1033, 2 | 4 | 8));
        Assert.Equal(Fail(Errno.EPERM), Write(fd, "x"));
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.ftruncate, fd, 1));
        Assert.Equal(14, Call(Sysno.fcntl, fd, 1034, 0));
        Assert.Equal("/memfd:x (deleted)", Task.Files.Get(fd)!.Describe());
        int plain = (int)Call(Sysno.memfd_create, "y", 0);
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.fcntl, plain, 1033, 2));
    }

    [Fact]
    public void Fcntl_FlagsAndDuplicates()
    {
        int fd = Open("/f", ReadWrite | Create | CloseOnExec);
        Assert.Equal(1, Call(Sysno.fcntl, fd, 1, 0));
        Assert.Equal(0, Call(Sysno.fcntl, fd, 2, 0));
        Assert.Equal(0, Call(Sysno.fcntl, fd, 1, 0));
        Assert.Equal(ReadWrite | 0x8000, Call(Sysno.fcntl, fd, 3, 0));
        Assert.Equal(0, Call(Sysno.fcntl, fd, 4, Append | NonBlock | Create));
        Assert.Equal(ReadWrite | 0x8000 | Append | NonBlock, Call(Sysno.fcntl, fd, 3, 0));
        Assert.Equal(20, Call(Sysno.fcntl, fd, 0, 20));
        Assert.Equal(21, Call(Sysno.fcntl, fd, 1030, 20));
        Assert.Equal(30, Call(Sysno.dup2, fd, 30));
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.dup3, fd, fd, 0));
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.dup2, fd, 5000));
        Assert.Equal(0, Call(Sysno.close_range, 20, 25, 0));
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.fcntl, 20, 1, 0));
        Assert.Equal(0, Call(Sysno.fcntl, 30, 1, 0));
    }

    [Fact]
    public void PosixLocks_ConflictBetweenProcesses()
    {
        WriteFile("/f", "0123456789");
        Task other = NewProcess();
        int mine = Open("/f", ReadWrite);
        int theirs = (int)CallAs(other, Sysno.open, "/f", ReadWrite, 0);
        ulong write = Lock(1, 0, 5);
        Assert.Equal(0, Call(Sysno.fcntl, mine, 6, write));
        Assert.Equal(0, Call(Sysno.fcntl, mine, 6, write));
        ulong test = CopyTo(other, Lock(0, 3, 4));
        Assert.Equal(0, CallAs(other, Sysno.fcntl, theirs, 5, test));
        Assert.Equal(1, TestKernel.GetInt(other, test) & 0xFFFF);
        Assert.Equal(Task.Group.Pid, TestKernel.GetInt(other, test + 24));
        ulong request = CopyTo(other, Lock(0, 3, 4));
        Assert.Equal(Fail(Errno.EAGAIN), CallAs(other, Sysno.fcntl, theirs, 6, request));
        Assert.Null(Kernel.Call(other, Sysno.fcntl, (ulong)theirs, 7, request));
        Assert.Equal(0, Call(Sysno.fcntl, mine, 6, Lock(2, 3, 0)));
        Kernel.RunReady();
        Assert.Equal(0, TestKernel.Result(other));
        Close(Open("/f"));
        Assert.Equal(0, CallAs(other, Sysno.fcntl, theirs, 6, CopyTo(other, Lock(1, 0, 0))));
    }

    [Fact]
    public void Flock_IsPerDescription()
    {
        WriteFile("/f", "");
        int first = Open("/f"), second = Open("/f");
        Assert.Equal(0, Call(Sysno.flock, first, 1));
        Assert.Equal(0, Call(Sysno.flock, second, 1));
        Assert.Equal(Fail(Errno.EAGAIN), Call(Sysno.flock, second, 2 | 4));
        Close(first);
        Assert.Equal(0, Call(Sysno.flock, second, 2 | 4));
    }

    private ulong Lock(short type, long start, long length)
    {
        var value = new KernelFlock { l_type = type, l_start = start, l_len = length };
        ulong address = Kernel.Allocate(32);
        Assert.True(Task.TryWrite(address, value));
        return address;
    }

    private ulong CopyTo(Task other, ulong address) => Kernel.Put(other, TestKernel.Get(Task, address, 32));

    [Fact]
    public void Attributes_FollowTheRules()
    {
        WriteFile("/f", "x", 0x1B6);
        Assert.Equal(S.IFREG | 0x1A4u, Stat("/f").st_mode);
        Assert.Equal(0, Call(Sysno.chmod, "/f", 0xDED));
        Assert.Equal(0, Call(Sysno.chown, "/f", 5, 6));
        Assert.Equal(S.IFREG | 0x1EDu, Stat("/f").st_mode);
        Assert.Equal((5u, 6u), (Stat("/f").st_uid, Stat("/f").st_gid));
        ulong times = Kernel.PutLongs(Task, 100, 5, 200, 0x3FFFFFFE);
        long before = Stat("/f").st_mtim.tv_sec;
        Assert.Equal(0, Call(Sysno.utimensat, AT.FDCWD, "/f", times, 0));
        Assert.Equal((100, 5L), (Stat("/f").st_atim.tv_sec, Stat("/f").st_atim.tv_nsec));
        Assert.Equal(before, Stat("/f").st_mtim.tv_sec);
        Task.Credentials = User(1000);
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.chmod, "/f", 0));
        Assert.Equal(Fail(Errno.EPERM), Call(Sysno.chown, "/f", 1000, -1));
        Assert.Equal(Fail(Errno.EACCES), Call(Sysno.access, "/f", 2));
        Assert.Equal(0, Call(Sysno.access, "/f", 4));
        Assert.Equal(0, Call(Sysno.access, "/f", 0));
    }

    [Fact]
    public void Statx_TellsTheMount()
    {
        WriteFile("/f", "abc");
        ulong buffer = Kernel.Allocate(256);
        Assert.Equal(0, Call(Sysno.statx, AT.FDCWD, "/f", 0, 0x7FF, buffer));
        Assert.True(Task.TryRead(buffer, out KernelStatx statx));
        Assert.Equal(3UL, statx.stx_size);
        Assert.Equal((ulong)Kernel.Kernel.Mounts.RootMount.Id, statx.stx_mnt_id);
        Assert.Equal(Fail(Errno.EINVAL), Call(Sysno.statx, AT.FDCWD, "/f", 0x6000, 0x7FF, buffer));
    }

    [Fact]
    public void OpenPath_OnlyNames()
    {
        WriteFile("/f", "abc");
        int fd = Open("/f", PathOnly);
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.read, fd, TestKernel.Base, 1));
        Assert.Equal(Fail(Errno.EBADF), Call(Sysno.fchmod, fd, 0));
        Assert.Equal(3, Fstat(fd).st_size);
        ulong buffer = Kernel.Allocate(144);
        Assert.Equal(0, Call(Sysno.newfstatat, fd, "", buffer, AT.EMPTY_PATH));
    }

    [Fact]
    public void MappedPages_AreTheFilesOwn()
    {
        WriteFile("/f", new string('m', 5000));
        int fd = Open("/f", ReadWrite);
        var file = (RegularFile)Task.Files.Get(fd)!;
        var extents = new List<HostExtent>();
        Assert.Equal(Errno.None, file.GetHostExtents(0, 1 << 20, true, true, extents));
        HostExtent extent = Assert.Single(extents);
        Assert.Equal((0UL, 8192UL), (extent.FileOffset, extent.Length));

        // What a guest stores there is read, what is written shows there, and cutting the file does not give the page to another.
        Kernel.Host.Arena.GetSpan(extent.HostOffset, 1)[0] = (byte)'G';
        Assert.Equal("Gm", Read(fd, 2));
        Write(fd, "W");
        Assert.Equal((byte)'W', Kernel.Host.Arena.GetSpan(extent.HostOffset + 2, 1)[0]);
        Call(Sysno.ftruncate, fd, 0);
        Assert.Equal(0, Kernel.Host.Arena.GetSpan(extent.HostOffset, 1)[0]);
        WriteFile("/other", new string('o', 50000));
        Assert.Equal(0, Kernel.Host.Arena.GetSpan(extent.HostOffset, 1)[0]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void PagesOfAFileThatIsGone_AreGivenBackAsMappedWhenTheyWere(bool mapped)
    {
        WriteFile("/f", new string('m', 5000));
        int fd = Open("/f", ReadWrite);
        if (mapped)
            Assert.Equal(Errno.None, ((RegularFile)Task.Files.Get(fd)!).GetHostExtents(0, 4096, true, true, []));
        Call(Sysno.close, fd);
        Assert.Equal(0, Call(Sysno.unlink, "/f"));
        Assert.Equal(mapped, ((FakeArena)Kernel.Host.Arena).FreedMapped > 0);
    }
}
