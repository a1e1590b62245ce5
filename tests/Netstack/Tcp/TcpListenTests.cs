using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

public sealed class TcpListenTests
{
    [Fact]
    public void FullAcceptQueue_KeepsTheLastAcknowledgmentBack()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        b.Stack.Settings.SynCookies = 0;
        TcpEndpoint listener = b.Listen("10.0.0.2", 80, backlog: 1);
        var clients = Enumerable.Range(0, 4).Select(_ => a.Connect("10.0.0.2", 80)).ToList();
        net.RunFor(5 * SimNetwork.Second);

        // Linux lets one more wait than the backlog says.
        Assert.Equal((2, 1), listener.AcceptQueue);
        Assert.True(b.Stack.Counters.ListenOverflows > 0);
        for (int i = 0; i < 4; i++)
        {
            Assert.True(net.RunUntil(() => listener.AcceptQueue.Waiting > 0, 60 * SimNetwork.Second), $"connection {i}");
            Assert.NotNull(b.Do(_ => listener.Accept()));
        }

        Assert.All(clients, c => Assert.Equal(TcpState.Established, c.State));
    }

    [Fact]
    public void FullAcceptQueue_ResetsWhereAsked()
    {
        using var net = Two(out SimHost a, out SimHost b, out SimSegment wire);
        b.Stack.Settings.AbortOnOverflow = true;
        TcpEndpoint listener = b.Listen("10.0.0.2", 80, backlog: 0);

        // The second is half-open before the first waits to be accepted; its last acknowledgment comes after.
        wire.Conditions = new LinkConditions { Delay = 5 * SimNetwork.Millisecond };
        var clients = Enumerable.Range(0, 2).Select(_ => a.Connect("10.0.0.2", 80)).ToList();
        b.Stack.Settings.SynCookies = 0;
        net.RunFor(SimNetwork.Second);
        b.Stack.Settings.SynCookies = 1;
        net.RunFor(3 * SimNetwork.Second);
        Assert.Equal(1, listener.AcceptQueue.Waiting);
        Assert.Contains(clients, c => c.State == TcpState.Established);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Flood_IsAnsweredWithCookies(bool timestamps)
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        a.Stack.Settings.Timestamps = b.Stack.Settings.Timestamps = timestamps;
        TcpEndpoint listener = b.Listen("10.0.0.2", 80, backlog: 16);

        // SYNs of nobody: the queue fills, memory does not.
        for (int i = 0; i < 2000; i++)
            Inject(b, TcpFlags.Syn, InetAddress.FromV4(0x0a000063), (ushort)(10000 + i), 80, (uint)i * 7919, 0);
        Assert.Equal(16, b.Stack.Tcp.Endpoints.Count(e => e.State == TcpState.SynReceived));
        Assert.True(b.Stack.Counters.SynCookiesSent >= 1900);

        TcpEndpoint client = a.Connect("10.0.0.2", 80);
        Assert.True(net.RunUntil(() => listener.AcceptQueue.Waiting > 0));
        Assert.Equal(1, b.Stack.Counters.SynCookiesReceived);
        TcpEndpoint server = b.Do(_ => listener.Accept())!;

        // What was agreed lives in the timestamp alone.
        byte options = server.GetInfo()[5];
        Assert.Equal(timestamps ? 7 : 0, options & 7);
        var transfer = new TcpTransfer(a, client, b, server, 300_000);
        Assert.True(net.RunUntil(transfer.Move));
    }

    [Fact]
    public void Cookie_OfAnotherOrOld_IsRefused()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        b.Stack.Settings.SynCookies = 2;
        TcpEndpoint listener = b.Listen("10.0.0.2", 80);
        a.Connect("10.0.0.2", 80);
        net.RunFor(SimNetwork.Second);
        Assert.Equal(1, listener.AcceptQueue.Waiting);
        for (uint guess = 0; guess < 1000; guess++)
            Inject(b, TcpFlags.Ack, InetAddress.FromV4(0x0a000063), 999, 80, 5, guess * 4_294_967);
        Assert.Equal(1, listener.AcceptQueue.Waiting);
        Assert.True(b.Stack.Counters.SynCookiesFailed >= 990);
        net.RunFor(200 * SimNetwork.Second);
        long failed = b.Stack.Counters.SynCookiesFailed;
        Inject(b, TcpFlags.Ack, InetAddress.FromV4(0x0a000063), 999, 80, 5, 77);
        Assert.Equal(failed, b.Stack.Counters.SynCookiesFailed);
    }

    [Fact]
    public void ReusePort_SpreadsConnections()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        var listeners = Enumerable.Range(0, 4).Select(_ => b.Listen("0.0.0.0", 80, backlog: 1000, setUp: e => e.Options.ReusePort = true)).ToList();
        for (int i = 0; i < 400; i++)
            a.Connect("10.0.0.2", 80);
        net.RunFor(5 * SimNetwork.Second);
        Assert.Equal(400, listeners.Sum(l => l.AcceptQueue.Waiting));
        Assert.All(listeners, l => Assert.InRange(l.AcceptQueue.Waiting, 50, 160));
    }

    [Fact]
    public void Listener_OfTheAddressWins()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        TcpEndpoint any = b.Listen("0.0.0.0", 80, setUp: e => e.Options.ReusePort = true);
        TcpEndpoint own = b.Listen("10.0.0.2", 80, setUp: e => e.Options.ReusePort = true);
        a.Connect("10.0.0.2", 80);
        net.RunFor(SimNetwork.Second);
        Assert.Equal((0, 1), (any.AcceptQueue.Waiting, own.AcceptQueue.Waiting));
    }

    [Fact]
    public void DualStack_TakesBothFamilies()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        TcpEndpoint listener = b.Listen("::", 80);
        a.Connect("10.0.0.2", 80);
        a.Connect("fd00::2", 80);
        net.RunFor(SimNetwork.Second);
        Assert.Equal(2, listener.AcceptQueue.Waiting);
        TcpEndpoint first = b.Do(_ => listener.Accept())!;
        Assert.True(first.IsV6);
        Assert.True(first.RemoteAddress.IsV4);
    }

    [Fact]
    public void Closing_ResetsWhatWaits()
    {
        using var net = Two(out SimHost a, out SimHost b, out _);
        TcpEndpoint listener = b.Listen("10.0.0.2", 80);
        TcpEndpoint client = a.Connect("10.0.0.2", 80);
        net.RunFor(SimNetwork.Second);
        b.Do(_ => listener.Close());
        net.RunFor(SimNetwork.Second);
        Assert.Equal(Errno.ECONNRESET, client.TakeError());
        Assert.Empty(b.Stack.Tcp.Endpoints);
    }

    [Fact]
    public void AcceptedConnection_TakesOptionsOver()
    {
        using var pair = new TcpPair(setUp: e =>
        {
            e.SetOptions(e.TcpOptions with { NoDelay = true });
            e.SetOptions(e.TcpOptions with { KeepIdle = 77 });
            e.Options.KeepAlive = true;
        });
        Assert.True(pair.Server.TcpOptions.NoDelay);
        Assert.Equal(77, pair.Server.TcpOptions.KeepIdle);
        Assert.Equal(2, pair.Server.ShownTimer.Kind);
    }

    [Fact]
    public void Options_AreSharedWhileEqual_AndChangedForOneOnly()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint one = host.NewTcp(), two = host.NewTcp();
        Assert.Same(one.TcpOptions, two.TcpOptions);
        one.SetOptions(one.TcpOptions with { NoDelay = true });
        Assert.True(one.TcpOptions.NoDelay);
        Assert.False(two.TcpOptions.NoDelay);
        two.SetOptions(two.TcpOptions with { NoDelay = true });
        Assert.Same(one.TcpOptions, two.TcpOptions);
        two.SetQuickAck(false);
        Assert.True(one.TcpOptions.QuickAck);
        Assert.False(two.TcpOptions.QuickAck);
    }

    [Fact]
    public void ConnectToSelf_Works()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint endpoint = host.NewTcp();
        host.Do(_ =>
        {
            Assert.Equal(Errno.None, endpoint.Bind(InetAddress.LoopbackV4, 7777));
            Assert.Equal(Errno.EINPROGRESS, endpoint.Connect(InetAddress.LoopbackV4, 7777));
        });
        net.RunFor(SimNetwork.Second);
        Assert.Equal(TcpState.Established, endpoint.State);
        host.Send(endpoint, "echo"u8);
        net.RunFor(SimNetwork.Second);
        Assert.Equal("echo"u8.ToArray(), host.Read(endpoint));
    }

    internal static SimNetwork Two(out SimHost a, out SimHost b, out SimSegment wire)
    {
        var net = new SimNetwork(4);
        wire = net.AddSegment();
        a = net.AddHost("a");
        b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24", "fd00::1/64");
        b.Attach(wire, "10.0.0.2/24", "fd00::2/64");
        net.RunFor(5 * SimNetwork.Second);
        return net;
    }

    /// <summary>A segment that a host gets from anywhere.</summary>
    internal static void Inject(SimHost to, TcpFlags flags, InetAddress source, ushort sourcePort, ushort port, uint seq, uint ack, int length = 0, ushort window = 1000)
    {
        NetworkInterface link = to.Stack.FindInterface("eth0")!;
        InetAddress destination = link.Addresses.First(x => x.Address.IsV4).Address;
        byte[] frame = new byte[EthernetHeader.Size + 40 + length];
        EthernetHeader.Write(frame, link.Mac, new MacAddress(0x02_00_00_00_99_99), EtherType.Ipv4);
        new Ipv4Header { HeaderLength = 20, TotalLength = 40 + length, TimeToLive = 64, Protocol = IpProtocol.Tcp, Source = source, Destination = destination }.WriteTo(frame.AsSpan(EthernetHeader.Size));
        new TcpHeader { SourcePort = sourcePort, DestinationPort = port, Sequence = seq, Acknowledgment = ack, Flags = flags, Window = window, Length = 20 }.Write(frame.AsSpan(EthernetHeader.Size + 20));
        Packet packet = Packet.Received(frame, 0, frame.Length);
        packet.Checksum = ChecksumState.Verified;
        to.Do(stack => stack.Receive(link, packet, stack.Now));
    }
}
