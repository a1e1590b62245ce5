using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Who may have which port, as Linux judges (socket(7), ip(7), ipv6(7)).</summary>
public sealed class TcpPortTests
{
    [Theory]

    // first, second, both SO_REUSEADDR, both SO_REUSEPORT, first listens, V6Only; whether the second may bind
    [InlineData("0.0.0.0", "0.0.0.0", false, false, false, false, false)]
    [InlineData("0.0.0.0", "127.0.0.1", false, false, false, false, false)]
    [InlineData("127.0.0.1", "127.0.0.2", false, false, true, false, true)]
    [InlineData("0.0.0.0", "0.0.0.0", true, false, false, false, true)]
    [InlineData("0.0.0.0", "0.0.0.0", true, false, true, false, false)]
    [InlineData("0.0.0.0", "0.0.0.0", false, true, true, false, true)]
    [InlineData("::", "0.0.0.0", false, false, false, false, false)]
    [InlineData("::", "0.0.0.0", false, false, false, true, true)]
    [InlineData("::", "127.0.0.1", false, false, false, false, false)]
    [InlineData("::1", "127.0.0.1", false, false, true, false, true)]
    [InlineData("::1", "0.0.0.0", false, false, true, false, true)]
    [InlineData("::", "::1", false, false, false, true, false)]
    public void Bind_JudgesByAddressAndOptions(string first, string second, bool reuse, bool reusePort, bool listens, bool v6Only, bool allowed)
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint one = Make(first), two = Make(second);
        host.Do(_ =>
        {
            Assert.Equal(Errno.None, one.Bind(InetAddress.Parse(first), 80));
            if (listens)
                Assert.Equal(Errno.None, one.Listen(1));
            Assert.Equal(allowed ? Errno.None : Errno.EADDRINUSE, two.Bind(InetAddress.Parse(second), 80));
        });

        TcpEndpoint Make(string address) => host.NewTcp(InetAddress.Parse(address).IsV6, e =>
        {
            e.Options.ReuseAddress = reuse;
            e.Options.ReusePort = reusePort;
            e.Options.V6Only = v6Only;
        });
    }

    [Fact]
    public void Listen_OnlyOneOfTwo()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint one = host.NewTcp(setUp: e => e.Options.ReuseAddress = true), two = host.NewTcp(setUp: e => e.Options.ReuseAddress = true);
        host.Do(_ =>
        {
            Assert.Equal(Errno.None, one.Bind(InetAddress.AnyV4, 80));
            Assert.Equal(Errno.None, two.Bind(InetAddress.AnyV4, 80));
            Assert.Equal(Errno.None, one.Listen(1));
            Assert.Equal(Errno.EADDRINUSE, two.Listen(1));
            one.Close();
            Assert.Equal(Errno.None, two.Listen(1));
        });
    }

    [Fact]
    public void ReusePort_IsForOneOwner()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        host.Listen("0.0.0.0", 80, setUp: e => e.Options.ReusePort = true);
        TcpEndpoint other = host.NewTcp(setUp: e =>
        {
            e.Options.ReusePort = true;
            e.Options.OwnerUid = 1000;
        });
        Assert.Equal(Errno.EADDRINUSE, host.Do(_ => other.Bind(InetAddress.AnyV4, 80)));
    }

    [Fact]
    public void Bind_RefusesForeignAddressesAndASecondTime()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint endpoint = host.NewTcp();
        host.Do(_ =>
        {
            Assert.Equal(Errno.EADDRNOTAVAIL, endpoint.Bind(InetAddress.Parse("1.2.3.4"), 80));
            Assert.Equal(Errno.None, endpoint.Bind(InetAddress.AnyV4, 0));
            Assert.InRange(endpoint.LocalPort, 32768, 60999);
            Assert.Equal(Errno.EINVAL, endpoint.Bind(InetAddress.AnyV4, 0));
        });
    }

    [Fact]
    public void TimeWait_HoldsThePortUnlessReused()
    {
        using var pair = new TcpPair();
        pair.B.Do(_ => pair.Server.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.A.Do(_ => pair.Client.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.B.Do(_ => pair.Listener.Close());
        Assert.Equal(TcpState.TimeWait, Assert.Single(pair.B.Stack.Tcp.Endpoints).State);
        TcpEndpoint plain = pair.B.NewTcp(), reusing = pair.B.NewTcp(setUp: e => e.Options.ReuseAddress = true);
        Assert.Equal(Errno.EADDRINUSE, pair.B.Do(_ => plain.Bind(InetAddress.AnyV4, TcpPair.Port)));

        // The connection in TIME-WAIT was not made with the option, so it does not share either (inet_bind_conflict).
        Assert.Equal(Errno.EADDRINUSE, pair.B.Do(_ => reusing.Bind(InetAddress.AnyV4, TcpPair.Port)));
        pair.Net.RunFor(61 * SimNetwork.Second);
        Assert.Equal(Errno.None, pair.B.Do(_ => plain.Bind(InetAddress.AnyV4, TcpPair.Port)));
    }

    [Fact]
    public void Connect_UsesAllPortsAndThenNone()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        host.Stack.Settings.PortRangeFirst = 40000;
        host.Stack.Settings.PortRangeLast = 40099;
        host.Listen("127.0.0.1", 80, backlog: 1000);
        host.Listen("127.0.0.1", 81, backlog: 1000);
        var ports = new HashSet<ushort>();
        for (int i = 0; i < 100; i++)
            Assert.True(ports.Add(host.Connect("127.0.0.1", 80).LocalPort));
        TcpEndpoint one = host.NewTcp();
        Assert.Equal(Errno.EADDRNOTAVAIL, host.Do(_ => one.Connect(InetAddress.LoopbackV4, 80)));

        // Another destination has all of them.
        host.Connect("127.0.0.1", 81);
    }

    [Fact]
    public void Connect_PortsAreHardToGuess()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        host.Listen("0.0.0.0", 80, backlog: 1000);
        int[] ports = [.. Enumerable.Range(1, 50).Select(i => (int)host.Connect($"127.0.0.{i}", 80).LocalPort)];
        int close = ports.Zip(ports.Skip(1)).Count(p => Math.Abs(p.First - p.Second) < 100);
        Assert.True(close < 5, $"{close} of 49 neighbours are close");
    }

    [Fact]
    public void InitialSequences_GrowForOneConnectionAndDifferAmongMany()
    {
        using var net = TcpListenTests.Two(out SimHost a, out _, out SimSegment wire);
        wire.Log = [];
        a.Do(_ =>
        {
            for (int i = 0; i < 10; i++)
            {
                TcpEndpoint endpoint = a.Stack.Tcp.CreateEndpoint(false, new EndpointOptions { ReuseAddress = true });
                endpoint.Bind(InetAddress.AnyV4, 5555);
                endpoint.Connect(InetAddress.Parse("10.0.0.2"), (ushort)(i < 5 ? 80 : 80 + i));
                endpoint.Close();
            }
        });
        net.RunFor(10 * SimNetwork.Millisecond);
        uint[] numbers = [.. wire.Log.Where(f => f[12] == 8 && f[13] == 0 && f[23] == IpProtocol.Tcp && f[47] == 2).Select(f => System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(f.AsSpan(38)))];
        Assert.Equal(10, numbers.Length);
        Assert.All(numbers.Take(4).Zip(numbers.Skip(1).Take(4)), p => Assert.True(TcpSequence.Before(p.First, p.Second) || p.First == p.Second));
        Assert.Equal(6, numbers.Select(n => n >> 24).Distinct().Count());
    }

    [Fact]
    public void TimeWait_GivesWayToANewConnectionOfTheSamePair()
    {
        using var pair = new TcpPair(settings: s => s.Settings.TimeWaitReuse = 1);
        ushort port = pair.Client.LocalPort;
        pair.A.Do(_ => pair.Client.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.B.Do(_ => pair.Server.Close());
        pair.Net.RunFor(2 * SimNetwork.Second);
        Assert.Equal(TcpState.TimeWait, Assert.Single(pair.A.Stack.Tcp.Endpoints).State);
        TcpEndpoint again = pair.A.NewTcp(setUp: e => e.Options.ReuseAddress = true);
        pair.A.Do(_ =>
        {
            again.Options.FreeBind = true;
            pair.A.Stack.Settings.PortRangeFirst = pair.A.Stack.Settings.PortRangeLast = port;
            Assert.Equal(Errno.EINPROGRESS, again.Connect(InetAddress.Parse(pair.AddressB), TcpPair.Port));
        });
        Assert.Equal(port, again.LocalPort);
        Assert.True(pair.Net.RunUntil(() => again.State == TcpState.Established));
    }

    [Fact]
    public void TimeWait_TakesANewerSynOfThePeer()
    {
        using var pair = new TcpPair();
        ushort port = pair.Client.LocalPort;
        pair.B.Do(_ => pair.Server.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.A.Do(_ => pair.Client.Close());
        pair.Net.RunFor(2 * SimNetwork.Second);
        Assert.Contains(pair.B.Stack.Tcp.Endpoints, e => e.State == TcpState.TimeWait);
        TcpEndpoint again = pair.A.NewTcp();
        pair.A.Do(_ =>
        {
            Assert.Equal(Errno.None, again.Bind(InetAddress.AnyV4, port));
            Assert.Equal(Errno.EINPROGRESS, again.Connect(InetAddress.Parse(pair.AddressB), TcpPair.Port));
        });
        Assert.True(pair.Net.RunUntil(() => pair.Listener.AcceptQueue.Waiting == 1, 900 * SimNetwork.Millisecond));
        Assert.DoesNotContain(pair.B.Stack.Tcp.Endpoints, e => e.State == TcpState.TimeWait);
    }
}
