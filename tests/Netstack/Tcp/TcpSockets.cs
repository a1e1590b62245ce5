using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Short ways to make, use and find again the TCP endpoints of a host.</summary>
public static class TcpSockets
{
    public static TcpEndpoint NewTcp(this SimHost host, bool isV6 = false, Action<TcpEndpoint>? setUp = null) => host.Do(stack =>
    {
        TcpEndpoint endpoint = stack.Tcp.CreateEndpoint(isV6, new EndpointOptions());
        setUp?.Invoke(endpoint);
        return endpoint;
    });

    public static TcpEndpoint Listen(this SimHost host, string address, ushort port, int backlog = 128, Action<TcpEndpoint>? setUp = null)
    {
        InetAddress at = InetAddress.Parse(address);
        TcpEndpoint endpoint = host.NewTcp(at.IsV6, setUp);
        host.Do(_ =>
        {
            Assert.Equal(Errno.None, endpoint.Bind(at, port));
            Assert.Equal(Errno.None, endpoint.Listen(backlog));
        });
        return endpoint;
    }

    /// <summary>Begins to connect.</summary>
    public static TcpEndpoint Connect(this SimHost host, string address, ushort port, Action<TcpEndpoint>? setUp = null)
    {
        InetAddress to = InetAddress.Parse(address);
        TcpEndpoint endpoint = host.NewTcp(to.IsV6, setUp);
        host.Do(_ => Assert.Equal(Errno.EINPROGRESS, endpoint.Connect(to, port)));
        return endpoint;
    }

    /// <summary>Gives bytes to an endpoint; returns how many it took.</summary>
    public static int Send(this SimHost host, TcpEndpoint endpoint, ReadOnlySpan<byte> bytes, TcpSendFlags flags = TcpSendFlags.None)
    {
        byte[] all = bytes.ToArray();
        return host.Do(_ => Write(endpoint, all, flags));
    }

    /// <summary>What a socket does between Enter and Leave.</summary>
    public static int Write(TcpEndpoint endpoint, ReadOnlySpan<byte> bytes, TcpSendFlags flags = TcpSendFlags.None)
    {
        int done = 0;
        if (endpoint.CanSend() != Errno.None)
            return 0;
        while (done < bytes.Length)
        {
            int room = Math.Min(endpoint.SendRoom, bytes.Length - done);
            if (room == 0)
                break;
            Span<byte> space = endpoint.PrepareSend(room);
            int count = Math.Min(room, space.Length);
            bytes.Slice(done, count).CopyTo(space);
            done += count;
            endpoint.CommitSend(count, done == bytes.Length ? flags : TcpSendFlags.Continues);
        }

        return done;
    }

    public static byte[] Read(this SimHost host, TcpEndpoint endpoint, int limit = int.MaxValue) => host.Do(_ => Read(endpoint, limit));

    public static byte[] Read(TcpEndpoint endpoint, int limit = int.MaxValue)
    {
        var bytes = new List<byte>();
        while (endpoint.Available > 0 && bytes.Count < limit)
        {
            ReadOnlyMemory<byte> piece = endpoint.Peek(0);
            int count = Math.Min(piece.Length, limit - bytes.Count);
            bytes.AddRange(piece.Span[..count]);
            endpoint.Consume(count);
        }

        return [.. bytes];
    }

    /// <summary>The connection or listener with these ports in a stack, after a restore.</summary>
    public static TcpEndpoint TcpAt(this SimHost host, ushort localPort, ushort remotePort = 0) =>
        host.Stack.Tcp.Endpoints.Single(e => e.LocalPort == localPort && e.RemotePort == remotePort);
}

/// <summary>Two hosts on a segment, with a connection between them.</summary>
public sealed class TcpPair : IDisposable
{
    public const ushort Port = 5000;

    public TcpPair(int seed = 1, LinkConditions? conditions = null, bool isV6 = false, bool offloads = false, Action<NetworkStack>? settings = null, Action<TcpEndpoint>? setUp = null, [System.Runtime.CompilerServices.CallerMemberName] string name = "")
    {
        Net = new SimNetwork(seed, name);
        conditions ??= new LinkConditions();
        Wire = Net.AddSegment(new LinkConditions { Delay = conditions.Delay });
        A = Net.AddHost("a");
        B = Net.AddHost("b");
        settings?.Invoke(A.Stack);
        settings?.Invoke(B.Stack);
        AddressA = isV6 ? "fd00::1" : "10.0.0.1";
        AddressB = isV6 ? "fd00::2" : "10.0.0.2";
        string prefix = isV6 ? "/64" : "/24";
        A.Attach(Wire, offloads, AddressA + prefix);
        B.Attach(Wire, offloads, AddressB + prefix);
        Listener = B.Listen(AddressB, Port, setUp: setUp);
        Client = A.Connect(AddressB, Port, setUp);
        Server = null!;
        Assert.True(Net.RunUntil(() => Listener.AcceptQueue.Waiting > 0 && Client.State == TcpState.Established, 600 * SimNetwork.Second), $"seed {seed}: {Client.State} {Client.PendingError}");
        Server = B.Do(_ => Listener.Accept())!;

        // What else hosts say when they come up, and how they find each other, is over before the network gets worse.
        Net.RunFor(10 * SimNetwork.Second);
        Wire.Conditions = conditions;
    }

    public SimNetwork Net { get; }

    public SimSegment Wire { get; }

    /// <summary>The host that connects.</summary>
    public SimHost A { get; }

    /// <summary>The host that listens.</summary>
    public SimHost B { get; }

    public string AddressA { get; }

    public string AddressB { get; }

    public TcpEndpoint Listener { get; }

    public TcpEndpoint Client { get; private set; }

    public TcpEndpoint Server { get; private set; }

    /// <summary>Finds the ends of the connection again after a restore.</summary>
    public void FindAgain()
    {
        ushort port = Client.LocalPort;
        Client = A.TcpAt(port, Port);
        Server = B.TcpAt(Port, port);
    }

    public void Dispose() => Net.Dispose();
}
