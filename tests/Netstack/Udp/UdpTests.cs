using Tests.Netstack.Simulation;

namespace Tests.Netstack.Udp;

public sealed class UdpTests
{
    [Theory]
    [InlineData("127.0.0.1", false)]
    [InlineData("127.9.8.7", false)]
    [InlineData("::1", true)]
    [InlineData("127.0.0.1", true)]
    public void Send_OverLoopback_Arrives(string address, bool isV6)
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint server = host.Udp(isV6 ? "::" : "0.0.0.0", 53, isV6);
        UdpEndpoint client = host.Udp(isV6: isV6);

        Assert.Equal(Errno.None, host.SendTo(client, address, 53, "question"));

        Datagram got = server.Receive(peek: false)!;
        Assert.Equal("question", System.Text.Encoding.ASCII.GetString(got.Data));
        Assert.Equal(InetAddress.Parse(address), got.Destination);
        Assert.Equal(client.LocalPort, got.SourcePort);
        Assert.Equal(Errno.None, host.SendTo(server, got.Source.ToString(), got.SourcePort, "answer"));
        Assert.Equal("answer", client.Text());
    }

    [Theory]
    [InlineData("10.0.0.1/24", "10.0.0.2/24", "10.0.0.2")]
    [InlineData("fd00::1/64", "fd00::2/64", "fd00::2")]
    public void Send_ToNeighbour_ResolvesAndArrives(string first, string second, string to)
    {
        using var net = new SimNetwork();
        SimSegment wire = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, first);
        b.Attach(wire, second);
        bool isV6 = to.Contains(':', StringComparison.Ordinal);
        UdpEndpoint server = b.Udp(isV6 ? "::" : "0.0.0.0", 7, isV6), client = a.Udp(isV6: isV6);

        Assert.Equal(Errno.None, a.SendTo(client, to, 7, "hello"));
        net.RunFor(SimNetwork.Millisecond);

        Assert.Equal("hello", server.Text());
        Assert.Equal(NeighbourState.Reachable, a.Stack.Ip.Neighbours.Entries.Single(n => n.Address == InetAddress.Parse(to)).State);
    }

    [Theory]
    [InlineData("127.0.0.1", false)]
    [InlineData("::1", true)]
    public void Send_ConnectedToClosedPort_NextCallSaysConnectionRefused(string address, bool isV6)
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        UdpEndpoint client = host.Udp(isV6: isV6);
        Assert.Equal(Errno.None, host.Connect(client, address, 9));

        Assert.Equal(Errno.None, host.Send(client, "x"));

        Assert.Equal(EndpointEvents.Err | EndpointEvents.Out, client.Poll());
        Assert.Equal(Errno.ECONNREFUSED, host.Send(client, "y"));
        Assert.Equal(Errno.None, client.PendingError);
    }

    [Fact]
    public void Restore_QueuedDatagramsAndBinding_AreThere()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        host.Udp("0.0.0.0", 53);
        UdpEndpoint client = host.Udp("127.0.0.1", 1000);
        Assert.Equal(Errno.None, host.SendTo(client, "127.0.0.1", 53, "before"));

        host.SaveAndRestore();
        UdpEndpoint server = host.UdpAt(53);
        Assert.Equal(Errno.None, host.SendTo(host.UdpAt(1000), "127.0.0.1", 53, "after"));

        Assert.Equal("before", server.Text());
        Assert.Equal("after", server.Text());
    }
}
