using Netstack.Stack;

namespace Tests.Kernel.Sockets;

/// <summary>The network in an image: what is queued, connected, joined and waited for is there again.</summary>
public sealed class InetStateTests
{
    private sealed class Context(FakeHost host) : IRestoreContext
    {
        public T Get<T>()
            where T : class => typeof(T) == typeof(IHostClock) ? (T)(object)host.Clock : typeof(T) == typeof(IImageMemory) ? null! : (T)(object)host;
    }

    private readonly TestKernel _kernel = new();
    private readonly Task _task;

    public InetStateTests() => _task = _kernel.NewProcess();

    private static GuestKernel Restore(GuestKernel kernel, out FakeHost host)
    {
        kernel.Clock.BeforeSave();
        byte[] image = StateWriter.Save(kernel);
        var registry = new SavableRegistry();
        Sentry.Kernel.SavableTypes.Register(registry);
        Sentry.FileSystems.SavableTypes.Register(registry);
        Netstack.Wire.SavableTypes.Register(registry);
        Netstack.Stack.SavableTypes.Register(registry);
        host = new FakeHost();
        host.FakeClock.Monotonic = 77_000_000_000;
        return StateReader.Load<GuestKernel>(image, registry, new Context(host));
    }

    private (TcpSocket Client, TcpSocket Server) Connect()
    {
        ulong listener = (ulong)_kernel.Do(_task, Sysno.socket, 2, 1, 0), client = (ulong)_kernel.Do(_task, Sysno.socket, 2, 1, 0);
        Assert.Equal(0, _kernel.Do(_task, Sysno.listen, listener, 5));
        ulong name = _kernel.Allocate(16);
        Assert.Equal(0, _kernel.Do(_task, Sysno.getsockname, listener, name, _kernel.PutInts(_task, 16)));
        Assert.Equal(0, _kernel.Do(_task, Sysno.connect, client, name, 16));
        long server = _kernel.Do(_task, Sysno.accept, listener, 0, 0);
        return ((TcpSocket)_task.Files.Get((int)client)!, (TcpSocket)_task.Files.Get((int)server)!);
    }

    private static Result<long> Send(TcpSocket socket, Task task, string text) => socket.Write(task, new UserBuffer(System.Text.Encoding.ASCII.GetBytes(text)));

    private static string Receive(TcpSocket socket, Task task)
    {
        byte[] bytes = new byte[100];
        Result<long> got = socket.Read(task, new UserBuffer(bytes));
        return got.IsError ? got.Error.ToString() : System.Text.Encoding.ASCII.GetString(bytes, 0, (int)got.Value);
    }

    [Fact]
    public void Connection_GoesOn_WithWhatWasQueued()
    {
        (TcpSocket client, TcpSocket server) = Connect();
        Assert.Equal(6, Send(client, _task, "before").Value);
        int clientFd = Array.FindIndex(Enumerable.Range(0, 10).ToArray(), fd => _task.Files.Get(fd) == client);
        int serverFd = Array.FindIndex(Enumerable.Range(0, 10).ToArray(), fd => _task.Files.Get(fd) == server);

        GuestKernel restored = Restore(_kernel.Kernel, out _);
        Task task = restored.Tasks.Values.First();
        var newClient = (TcpSocket)task.Files.Get(clientFd)!;
        var newServer = (TcpSocket)task.Files.Get(serverFd)!;
        Assert.NotSame(server, newServer);
        Assert.Equal(6, Send(newClient, task, " after").Value);
        Assert.Equal("before after", Receive(newServer, task));
        Assert.Equal("EAGAIN", Receive(newServer, task));
        Assert.Equal(5, Send(newServer, task, "reply").Value);
        Assert.Equal("reply", Receive(newClient, task));
        Assert.Equal(Errno.None, newClient.Shutdown(1));
        Assert.Equal("", Receive(newServer, task));
    }

    [Fact]
    public void Waiter_IsWokenByARestoredEndpoint()
    {
        (_, TcpSocket server) = Connect();
        int fd = Enumerable.Range(0, 10).First(i => _task.Files.Get(i) == server);
        GuestKernel restored = Restore(_kernel.Kernel, out _);
        Task task = restored.Tasks.Values.First();
        var newServer = (TcpSocket)task.Files.Get(fd)!;
        var newClient = (TcpSocket)Enumerable.Range(0, 10).Select(task.Files.Get).First(f => f is TcpSocket { IsListening: false } && f != newServer)!;
        var waiter = new Waiter();
        newServer.Waiters.Add(waiter, PollEvents.In);
        Send(newClient, task, "x");
        Assert.True((waiter.Seen & PollEvents.In) != 0);
    }

    private sealed class Waiter : IWaiter
    {
        public PollEvents Seen { get; private set; }

        public void OnWake(WaitQueue queue, PollEvents events) => Seen |= events;
    }

    [Fact]
    public void Timers_AreArmedAgain()
    {
        (TcpSocket client, _) = Connect();
        client.Ip.KeepAlive = true;
        client.Tcp.SetOptions(client.Tcp.TcpOptions with { KeepIdle = 100 });
        client.OnOptionsChanged();
        GuestKernel restored = Restore(_kernel.Kernel, out FakeHost host);
        restored.Timers.RunExpired();
        long left = host.FakeClock.WakeupAt - host.FakeClock.Monotonic;
        Assert.InRange(left, 0, 100_000_000_000);
    }

    [Fact]
    public void Multicast_MembershipsAndFilters_Survive()
    {
        ulong fd = (ulong)_kernel.Do(_task, Sysno.socket, 2, 2, 0);
        ulong request = _kernel.Put(_task, [239, 1, 2, 3, 127, 0, 0, 1, 127, 0, 0, 9]);
        Assert.Equal(0, _kernel.Do(_task, Sysno.setsockopt, fd, SOL.IP, IP.ADD_SOURCE_MEMBERSHIP, request, 12));
        GuestKernel restored = Restore(_kernel.Kernel, out _);
        var socket = (UdpSocket)restored.Tasks.Values.First().Files.Get((int)fd)!;
        GroupMembership membership = Assert.Single(socket.Ip.Memberships);
        GroupSourceFilter filter = socket.Ip.FindSourceFilter(membership)!;
        Assert.True(filter.IsInclude);
        Assert.Equal("127.0.0.9", Assert.Single(filter.Sources).ToString());
    }
}
