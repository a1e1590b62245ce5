using System.Text;
using Sentry.Abi;
using Sentry.Host;

namespace Tests.Platform;

public sealed class UnixChannelTests
{
    [Fact]
    public void Send_WithDescriptor_ArrivesUsable()
    {
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        (int read, int write) = HostFile.Pipe().Value;
        using (first)
        using (second)
        {
            Assert.Equal(Errno.None, first.Send("hello"u8, [write]));
            HostFile.Close(write);
            byte[] buffer = new byte[16];
            int[] descriptors = new int[4];
            int count = second.Receive(buffer, descriptors, out int received).Value;
            Assert.Equal("hello", Encoding.ASCII.GetString(buffer, 0, count));
            Assert.Equal(1, received);
            Assert.Equal(2, HostFile.Write(descriptors[0], "ok"u8).Value);
            HostFile.Close(descriptors[0]);
            Assert.Equal(2, HostFile.Read(read, buffer).Value);
            Assert.Equal(0, HostFile.Read(read, buffer).Value);
            HostFile.Close(read);
        }
    }

    [Fact]
    public void Receive_MoreDescriptorsThanFit_ReturnsEmsgsizeAndClosesThem()
    {
        (UnixChannel first, UnixChannel second) = UnixChannel.CreatePair().Value;
        using (first)
        using (second)
        {
            Assert.Equal(Errno.None, first.Send("x"u8, [0, 0]));
            Assert.Equal(Errno.EMSGSIZE, second.Receive(new byte[1], new int[1], out _).Error);
        }
    }

    [Fact]
    public void Listen_ThenConnect_SeesPeer()
    {
        string path = Path.Combine(Path.GetTempPath(), $"channel-{Guid.NewGuid():N}");
        using UnixChannel listener = UnixChannel.Listen(path, 0x180).Value;
        using UnixChannel client = UnixChannel.Connect(path).Value;
        using UnixChannel server = listener.Accept().Value;
        Assert.Equal(Environment.ProcessId, server.GetPeer().Value.ProcessId);
        Assert.Equal(Errno.None, HostFile.StatX(HostFile.AtFdCwd, path, 0, 0x7FF, out StatX stat));
        Assert.Equal(Convert.ToInt32("600", 8), stat.Mode & 0xFFF);
        File.Delete(path);
    }
}

public sealed class ProcessSpawnerTests
{
    [Fact]
    public void Spawn_Shell_GetsDescriptorsAndReturnsItsCode()
    {
        (int read, int write) = HostFile.Pipe().Value;
        SpawnedProcess process = ProcessSpawner.Spawn(new SpawnOptions
        {
            Path = "/bin/sh",
            Arguments = ["sh", "-c", "echo $X; ls /proc/self/fd | tr '\\n' ' '; exit 7"],
            Environment = ["X=y", "PATH=/bin:/usr/bin"],
            Descriptors = [-1, write, write],
            DieWithParent = true,
            NewSession = true,
        }).Value;
        HostFile.Close(write);
        Assert.Equal(new ExitStatus(process.ProcessId, false, 7), HostProcess.Wait(process.PidFd, noHang: false).Value);
        HostFile.Close(process.PidFd);
        byte[] buffer = new byte[200];
        Assert.Equal("y\n0 1 2 ", Encoding.ASCII.GetString(buffer, 0, HostFile.Read(read, buffer).Value));
        HostFile.Close(read);
    }

    [Fact]
    public void Spawn_InNamespaces_IsProcessOne()
    {
        (int read, int write) = HostFile.Pipe().Value;
        SpawnedProcess process = ProcessSpawner.Spawn(new SpawnOptions
        {
            Path = "/bin/sh",
            Arguments = ["sh", "-c", "echo $$"],
            Descriptors = [-1, write, 2],
            Namespaces = NamespaceFlags.Pid | NamespaceFlags.Mount | NamespaceFlags.Network | NamespaceFlags.Ipc | NamespaceFlags.Uts,
        }).Value;
        HostFile.Close(write);
        byte[] buffer = new byte[20];
        Assert.Equal("1\n", Encoding.ASCII.GetString(buffer, 0, HostFile.Read(read, buffer).Value));
        Assert.Equal(0, HostProcess.Wait(process.PidFd, noHang: false).Value.Code);
        HostFile.Close(process.PidFd);
        HostFile.Close(read);
    }

    [Fact]
    public void Spawn_InUserNamespace_IsRootThere()
    {
        (int read, int write) = HostFile.Pipe().Value;
        SpawnedProcess process = ProcessSpawner.Spawn(new SpawnOptions
        {
            Path = "/usr/bin/id",
            Arguments = ["id", "-u"],
            Descriptors = [-1, write, 2],
            Namespaces = NamespaceFlags.User | NamespaceFlags.Mount,
        }).Value;
        HostFile.Close(write);
        byte[] buffer = new byte[20];
        Assert.Equal("0\n", Encoding.ASCII.GetString(buffer, 0, HostFile.Read(read, buffer).Value));
        Assert.Equal(0, HostProcess.Wait(process.PidFd, noHang: false).Value.Code);
        HostFile.Close(process.PidFd);
        HostFile.Close(read);
    }

    [Fact]
    public void Spawn_MissingProgram_ReturnsEnoent() =>
        Assert.Equal(Errno.ENOENT, ProcessSpawner.Spawn(new SpawnOptions { Path = "/no/such", Arguments = ["x"] }).Error);

    [Fact]
    public void Wait_KilledChild_ReportsSignal()
    {
        SpawnedProcess process = ProcessSpawner.Spawn(new SpawnOptions { Path = "/bin/sleep", Arguments = ["sleep", "100"], Descriptors = [0, 1, 2] }).Value;
        Assert.Equal(Errno.EAGAIN, HostProcess.Wait(process.PidFd, noHang: true).Error);
        Assert.Equal(Errno.None, HostProcess.SendSignal(process.PidFd, 9));
        Assert.Equal(new ExitStatus(process.ProcessId, true, 9), HostProcess.Wait(process.PidFd, noHang: false).Value);
        HostFile.Close(process.PidFd);
    }
}

public sealed class HostFileTests
{
    [Fact]
    public void StatX_OfMemoryFile_HasSize()
    {
        int descriptor = HostFile.CreateMemory("x").Value;
        Assert.Equal(Errno.None, HostFile.Truncate(descriptor, 12345));
        Assert.Equal(Errno.None, HostFile.StatX(descriptor, out StatX stat));
        Assert.Equal(12345ul, stat.Size);
        Assert.Equal(0x8000, stat.Mode & 0xF000);
        HostFile.Close(descriptor);
    }

    [Fact]
    public void OpenAt2_Beneath_RefusesEscape()
    {
        int directory = HostFile.Open("/usr", 0x10000).Value;
        Assert.Equal(Errno.EXDEV, HostFile.OpenAt2(directory, "../etc/passwd", 0, 0, 8).Error);
        Assert.Equal(Errno.ENOENT, HostFile.Open("/no/such", 0).Error);
        HostFile.Close(directory);
    }
}
