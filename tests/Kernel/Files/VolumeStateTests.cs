using Gofer.Protocol;
using Sentry.FileSystems;
using Sentry.FileSystems.Volumes;

namespace Tests.Kernel.Files;

/// <summary>Volumes through a checkpoint and a restore, while the host goes on.</summary>
public sealed class VolumeStateTests : FileStateTestBase, IDisposable
{
    private readonly List<GoferClient> _clients = [];
    private readonly string _folder;
    private readonly TestKernel _kernel;
    private readonly Guest _guest;

    public VolumeStateTests()
    {
        _clients.Add(ServedVolumes.Make(out _folder));
        (_kernel, _guest) = Start(null);
        RootTree.MountVolume(_kernel.Kernel, _clients[0], 0, "/data", readOnly: false);
    }

    public void Dispose()
    {
        foreach (GoferClient client in _clients)
            client.Dispose();
        Directory.Delete(_folder, true);
    }

    private string OnHost(string name) => Path.Combine(_folder, "data", name);

    private (Guest Guest, GuestKernel Kernel) RestoreWithVolumes()
    {
        _clients.Add(ServedVolumes.Serve(_folder));
        (Guest guest, GuestKernel kernel) = Restore(_kernel, _clients[^1]);
        RootTree.ReattachVolumes(kernel);
        return (guest, kernel);
    }

    [Fact]
    public void OpenFilesLocksAndPlaces_Survive()
    {
        const int lockExclusive = 2, again = -(int)Errno.EAGAIN;
        _guest.Call(Sysno.mkdir, "/data/d", 0x1ED);
        _guest.Call(Sysno.chdir, "/data/d");
        int fd = _guest.Open("f", 0x42);
        _guest.Write(fd, "before the checkpoint");
        Assert.Equal(0, _guest.Call(Sysno.flock, fd, lockExclusive));
        _guest.Call(Sysno.lseek, fd, 7, 0);

        (Guest after, _) = RestoreWithVolumes();
        Assert.Equal("/data/d", after.WorkingDirectory());
        Assert.Equal("the", after.Read(fd, 3));
        after.Call(Sysno.lseek, fd, 0, 2);
        after.Write(fd, ", and after");
        Assert.Equal("before the checkpoint, and after", File.ReadAllText(OnHost("d/f")));
        int other = after.Open("f");
        Assert.Equal(again, after.Call(Sysno.flock, other, lockExclusive | 4));
        Assert.Equal(0, after.Call(Sysno.close, fd));
        Assert.Equal(0, after.Call(Sysno.flock, other, lockExclusive | 4));
    }

    [Fact]
    public void FileThatWasChanged_IsSeenAsItIsNow()
    {
        int fd = _guest.Open("/data/f", 0x42);
        _guest.Write(fd, "old");
        (TestKernel _, string path) = (_kernel, OnHost("f"));
        _clients.Add(ServedVolumes.Serve(_folder));
        File.WriteAllText(path, "oldnew");
        (Guest after, _) = RestoreWithVolumes();
        Assert.Equal("new", after.Read(fd));
    }

    [Fact]
    public void FileThatIsGone_IsStale_AndTheRestGoesOn()
    {
        int gone = _guest.Open("/data/gone", 0x42);
        int unlinked = _guest.Open("/data/unlinked", 0x42);
        int kept = _guest.Open("/data/kept", 0x42);
        _guest.Write(kept, "kept");
        _guest.Call(Sysno.unlink, "/data/unlinked");
        File.Delete(OnHost("gone"));

        (Guest after, _) = RestoreWithVolumes();
        ulong buffer = _kernel.Allocate(16);
        Assert.Equal(-(long)Errno.ESTALE, after.Call(Sysno.read, gone, buffer, 16));
        Assert.Equal(-(long)Errno.ESTALE, after.Call(Sysno.write, unlinked, "x", 1));
        Assert.Equal(0, after.Call(Sysno.close, gone));
        after.Call(Sysno.lseek, kept, 0, 0);
        Assert.Equal("kept", after.Read(kept));
    }

    [Fact]
    public void FolderThatIsAnother_IsUsed()
    {
        int fd = _guest.Open("/data/f", 0x42);
        _guest.Write(fd, "here");
        Directory.Move(OnHost(""), _folder + "/moved");
        Directory.CreateDirectory(OnHost(""));
        File.WriteAllText(OnHost("f"), "elsewhere");
        (Guest after, _) = RestoreWithVolumes();
        Assert.Equal("where", after.Read(fd));
    }

    [Fact]
    public void MappedFileThatIsGone_FailsTheRestoreInOneLine()
    {
        int fd = _guest.Open("/data/mapped", 0x42);
        _guest.Write(fd, new string('m', 4096));
        Assert.True(_guest.Call(Sysno.mmap, 0, 4096, 1, 1, fd, 0) > 0);
        File.Delete(OnHost("mapped"));
        IOException error = Assert.Throws<IOException>(() => RestoreWithVolumes());
        Assert.Equal("/data/mapped of a volume is mapped by process 1 and is not there any more", error.Message);
    }

    [Fact]
    public void ProgramThatHasChanged_FailsTheRestoreInOneLine()
    {
        const int readExecute = 5, isPrivate = 2;
        int fd = _guest.Open("/data/program", 0x42);
        _guest.Write(fd, new string('p', 4096));
        Assert.True(_guest.Call(Sysno.fstat, fd, _kernel.Allocate(144)) == 0 && _guest.Call(Sysno.mmap, 0, 4096, readExecute, isPrivate, fd, 0) > 0);
        File.WriteAllText(OnHost("program"), "another");
        IOException error = Assert.Throws<IOException>(() => RestoreWithVolumes());
        Assert.Equal("/data/program of a volume is a program of process 1 and has changed since the checkpoint", error.Message);
    }

    [Fact]
    public void Volume_ThatIsNotServed_FailsTheRestoreInOneLine()
    {
        (TestKernel kernel, GoferClient none) = (_kernel, ServedVolumes.Serve(_folder));
        none.Dispose();
        (_, GuestKernel restored) = Restore(kernel, none);
        Assert.Equal("the volume at /data cannot be reached: EIO", Assert.Throws<IOException>(() => RootTree.ReattachVolumes(restored)).Message);
    }
}
