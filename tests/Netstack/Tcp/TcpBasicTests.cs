using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

public sealed class TcpBasicTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Connect_ExchangesAndCloses(bool isV6)
    {
        using var pair = new TcpPair(isV6: isV6);
        Assert.Equal(5, pair.A.Send(pair.Client, "hello"u8));
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal("hello"u8.ToArray(), pair.B.Read(pair.Server));
        Assert.Equal(5, pair.B.Send(pair.Server, "world"u8));
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal("world"u8.ToArray(), pair.A.Read(pair.Client));

        pair.A.Do(_ => pair.Client.Close());
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal(TcpState.CloseWait, pair.Server.State);
        Assert.True(pair.Server.IsAtEnd);
        pair.B.Do(_ => pair.Server.Close());
        pair.Net.RunFor(SimNetwork.Second);
        Assert.Equal(TcpState.TimeWait, Assert.Single(pair.A.Stack.Tcp.Endpoints).State);
        pair.Net.RunFor(61 * SimNetwork.Second);
        Assert.Empty(pair.A.Stack.Tcp.Endpoints);
        Assert.Equal(TcpState.Listen, Assert.Single(pair.B.Stack.Tcp.Endpoints).State);
    }

    [Fact]
    public void Connect_NobodyListens_IsRefused()
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint client = host.Connect("127.0.0.1", 81);
        Assert.Equal(TcpState.Closed, client.State);
        Assert.Equal(Errno.ECONNREFUSED, client.TakeError());
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public void Loopback_TransfersWithoutWaiting(string address)
    {
        using var net = new SimNetwork();
        SimHost host = net.AddHost("a");
        TcpEndpoint listener = host.Listen(address, 80);
        TcpEndpoint client = host.Connect(address, 80);
        Assert.Equal(TcpState.Established, client.State);
        TcpEndpoint server = listener.Accept()!;
        byte[] data = Sockets.Pattern(1 << 20);
        var got = new List<byte>();
        int sent = 0;
        for (int round = 0; round < 1000 && got.Count < data.Length; round++)
        {
            sent += host.Send(client, data.AsSpan(sent));
            got.AddRange(host.Read(server));
            net.RunFor(SimNetwork.Microsecond);
        }

        Assert.Equal(data, got.ToArray());
    }
}
