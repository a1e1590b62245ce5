using System.Buffers.Binary;
using Sentry.Kernel.Sockets.Host;

namespace Tests.Kernel.Sockets;

/// <summary>Sockets with --network host: what the guest sees of the host's, and what becomes of them by a checkpoint.</summary>
public sealed class HostSocketTests
{
    private const ulong Inet = 2, Stream = 1, Datagram = 2, Raw = 3;

    private readonly TestKernel _kernel = new();
    private readonly FakeHostSockets _host = new();
    private readonly Task _task;

    public HostSocketTests()
    {
        _task = _kernel.NewProcess();
        Assert.Empty(HostNetwork.Use(_kernel.Kernel.Network, _host));
    }

    private sealed class Context(FakeHost host) : IRestoreContext
    {
        public T Get<T>()
            where T : class => typeof(T) == typeof(IHostClock) ? (T)(object)host.Clock : typeof(T) == typeof(IImageMemory) ? null! : (T)(object)host;
    }

    private static GuestKernel Restore(GuestKernel kernel)
    {
        kernel.Clock.BeforeSave();
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        return StateReader.Load<GuestKernel>(StateWriter.Save(kernel), registry, new Context(new FakeHost()));
    }

    private static byte[] Name(int port)
    {
        byte[] bytes = [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)port);
        return bytes;
    }

    private ulong Socket(ulong type = Stream) => (ulong)_kernel.Do(_task, Sysno.socket, Inet, type, 0);

    private ulong Listener(int port)
    {
        ulong fd = Socket();
        Assert.Equal(0, _kernel.Do(_task, Sysno.setsockopt, fd, 1, 2, _kernel.PutInts(_task, 1), 4)); // SO_REUSEADDR
        Assert.Equal(0, _kernel.Do(_task, Sysno.bind, fd, _kernel.Put(_task, Name(port)), 16));
        Assert.Equal(0, _kernel.Do(_task, Sysno.listen, fd, 7));
        return fd;
    }

    private static Errno Error(Task task, int fd)
    {
        Result<byte[]> value = ((SocketFile)task.Files.Get(fd)!).GetSocketOption(task, 4); // SO_ERROR
        return (Errno)BinaryPrimitives.ReadInt32LittleEndian(value.Value);
    }

    [Fact]
    public void Accept_WaitsForTheHost_AndBytesGoThrough()
    {
        ulong listener = Listener(8080);
        Assert.Null(_kernel.Call(_task, Sysno.accept, listener, 0, 0));
        FakeHostSocket arrived = _host.Made[0].Arrive(Name(40000));
        _kernel.RunReady();
        long connection = TestKernel.Result(_task)!.Value;
        Assert.True(connection > (long)listener);

        arrived.Incoming.Enqueue("hello"u8.ToArray());
        ulong buffer = _kernel.Allocate(100);
        Assert.Equal(5, _kernel.Do(_task, Sysno.read, (ulong)connection, buffer, 100));
        Assert.Equal("hello"u8.ToArray(), TestKernel.Get(_task, buffer, 5));
        Assert.Equal(5, _kernel.Do(_task, Sysno.write, (ulong)connection, buffer, 5));
        Assert.Equal("hello"u8.ToArray(), Assert.Single(arrived.Sent));
        Assert.Equal(0, _kernel.Do(_task, Sysno.close, (ulong)connection));
        Assert.True(arrived.IsClosed);
    }

    [Fact]
    public void Raw_IsRefused() => Assert.Equal(-(long)Errno.EPERM, _kernel.Do(_task, Sysno.socket, Inet, Raw, 1));

    [Fact]
    public void Bind_LowPortWithoutCapability_IsRefusedBeforeTheHostIsAsked()
    {
        ulong fd = Socket();
        _task.Credentials = new Credentials();
        Assert.Equal(-(long)Errno.EACCES, _kernel.Do(_task, Sysno.bind, fd, _kernel.Put(_task, Name(80)), 16));
        Assert.Equal(0, _host.Made[0].Name[3]);
    }

    [Fact]
    public void Describe_SaysWhatACheckpointLoses()
    {
        ulong listener = Listener(8080);
        _host.Made[0].Arrive(Name(40000));
        Assert.True(_kernel.Do(_task, Sysno.accept, listener, 0, 0) > 0);
        Socket(Datagram);
        HostSocketDescription[] told = [.. HostNetwork.Describe(_kernel.Kernel.Network)];
        Assert.Equal(["LISTEN 127.0.0.1:8080 listens again after a restore if the port is free", "ESTAB 127.0.0.1:8080 reset after a restore", "UNCONN * "],
            told.Select(t => $"{t.State} {t.Local} {t.Loss}"));
    }

    [Fact]
    public void Restore_ListenerListensAgain_ConnectionIsReset()
    {
        int listener = (int)Listener(8080);
        _host.Made[0].Arrive(Name(40000));
        int connection = (int)_kernel.Do(_task, Sysno.accept, (ulong)listener, 0, 0);

        GuestKernel restored = Restore(_kernel.Kernel);
        FakeHostSockets host = new();
        Assert.Empty(HostNetwork.Use(restored.Network, host));
        Task task = restored.Tasks.Values.First();
        FakeHostSocket again = Assert.Single(host.Made, made => made.Backlog == 7);
        Assert.Equal(Name(8080), again.Name);
        Assert.True(again.Options.ContainsKey((1, 2)));
        again.Arrive(Name(40001));
        Assert.True(((SocketFile)task.Files.Get(listener)!).Accept(task, 0).IsOk);

        var lost = (SocketFile)task.Files.Get(connection)!;
        Assert.NotEqual((PollEvents)0, lost.Poll() & PollEvents.Hup);
        Assert.Equal(Errno.ECONNRESET, lost.Read(task, new UserBuffer(new byte[10])).Error);
        Assert.Equal(0L, lost.Read(task, new UserBuffer(new byte[10])).Value);
        Assert.Equal(Errno.EPIPE, lost.Write(task, new UserBuffer(new byte[10])).Error);
    }

    [Fact]
    public void Restore_PortIsTaken_SaysSoAndIsFoundLost()
    {
        int listener = (int)Listener(8080);
        GuestKernel restored = Restore(_kernel.Kernel);
        FakeHostSockets host = new();
        host.Taken.Add(8080);
        Assert.Equal("the listener at 127.0.0.1:8080 cannot be had again: EADDRINUSE", Assert.Single(HostNetwork.Use(restored.Network, host)));
        Task task = restored.Tasks.Values.First();
        Assert.Equal(Errno.ECONNABORTED, Error(task, listener));
        Assert.Equal(Errno.EINVAL, ((SocketFile)task.Files.Get(listener)!).Accept(task, 0).Error);
        Assert.True(host.Made[0].IsClosed);
    }

    [Fact]
    public void Restore_WithoutTheHostsNetwork_FindsItDown()
    {
        int datagrams = (int)Socket(Datagram);
        GuestKernel restored = Restore(_kernel.Kernel);
        Assert.Empty(HostNetwork.Use(restored.Network, null));
        Task task = restored.Tasks.Values.First();
        var lost = (SocketFile)task.Files.Get(datagrams)!;
        Assert.Equal(Errno.ENETDOWN, lost.Bind(task, Name(0)));
        Assert.Equal(Errno.ENETDOWN, Error(task, datagrams));
    }
}
