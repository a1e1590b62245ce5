using System.Buffers.Binary;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Path MTU, ICMP errors, neighbours and routes that change under a connection.</summary>
public sealed class TcpPathTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void SmallerPath_IsLearnedAndUsed(bool isV6)
    {
        using var net = new SimNetwork(2);
        SimSegment left = net.AddSegment(new() { Delay = SimNetwork.Millisecond }), right = net.AddSegment(new() { Delay = SimNetwork.Millisecond });
        SimHost a = net.AddHost("a"), router = net.AddHost("router"), b = net.AddHost("b");
        a.Attach(left, "10.0.1.1/24", "fd01::1/64");
        router.Attach(left, "10.0.1.254/24", "fd01::254/64");
        NetworkInterface narrow = router.Attach(right, "10.0.2.254/24", "fd02::254/64");
        b.Attach(right, "10.0.2.1/24", "fd02::1/64");
        router.Stack.Settings.Forwarding = router.Stack.Settings.ForwardingV6 = true;
        Route(a, "10.0.1.254", "fd01::254");
        Route(b, "10.0.2.254", "fd02::254");
        net.RunFor(5 * SimNetwork.Second);
        TcpEndpoint listener = b.Listen(isV6 ? "::" : "0.0.0.0", 80);
        TcpEndpoint client = a.Connect(isV6 ? "fd02::1" : "10.0.2.1", 80);
        Assert.True(net.RunUntil(() => listener.AcceptQueue.Waiting == 1));
        TcpEndpoint server = b.Do(_ => listener.Accept())!;
        var transfer = new TcpTransfer(a, client, b, server, 2 << 20);
        Assert.True(net.RunUntil(() => transfer.Move() || transfer.Received > 200_000));

        // In the middle of the transfer the path gets narrower, twice.
        router.Do(_ => narrow.Mtu = 1400);
        Assert.True(net.RunUntil(() => transfer.Move() || transfer.Received > 900_000));
        router.Do(_ => narrow.Mtu = 1300);
        Assert.True(net.RunUntil(transfer.Move, 120 * SimNetwork.Second));
        Assert.Equal(1300 - (isV6 ? 60 : 40) - 12, client.MaxSegment);
    }

    [Fact]
    public void TooBigForOtherSequence_IsNotBelieved()
    {
        using var pair = new TcpPair();
        pair.A.Do(_ => pair.A.Stack.Tcp.OnError(MakeTooBig(pair, pair.Client, 12345, 600)));
        pair.A.Send(pair.Client, new byte[5000]);
        Assert.Equal(1448, pair.Client.MaxSegment);
        pair.A.Do(_ => pair.A.Stack.Tcp.OnError(MakeTooBig(pair, pair.Client, pair.Client.Snd.Una, 600)));
        Assert.Equal(600 - 40 - 12, pair.Client.MaxSegment);
    }

    [Fact]
    public void HardErrors_EndOnlyAttempts()
    {
        using var net = TcpListenTests.Two(out SimHost a, out SimHost b, out SimSegment wire);
        wire.Filter = f => f[12] != 8 || f[13] != 0;
        TcpEndpoint client = a.Connect("10.0.0.2", 80);
        var error = new TransportError(Errno.ECONNREFUSED, true, TransportError.OriginIcmp, 3, 3, 0, client.LocalAddress, client.RemoteAddress, client.RemoteAddress, Quote(client, client.Snd.Una));
        a.Do(_ => a.Stack.Tcp.OnError(error));
        Assert.Equal(TcpState.Closed, client.State);
        Assert.Equal(Errno.ECONNREFUSED, client.TakeError());
        _ = b;
    }

    [Fact]
    public void SoftErrors_AreToldWhenTheConnectionTimesOut()
    {
        using var pair = new TcpPair(setUp: e => e.SetOptions(e.TcpOptions with { UserTimeout = 5000 }));
        pair.Wire.Filter = f => f[12] != 8 || f[13] != 0;
        pair.A.Send(pair.Client, new byte[100]);
        TcpEndpoint client = pair.Client;
        var error = new TransportError(Errno.EHOSTUNREACH, false, TransportError.OriginIcmp, 3, 1, 0, client.LocalAddress, client.RemoteAddress, client.RemoteAddress, Quote(client, client.Snd.Una));
        pair.A.Do(_ => pair.A.Stack.Tcp.OnError(error));
        Assert.Equal(TcpState.Established, client.State);
        Assert.Equal(Errno.None, client.PendingError);
        pair.Net.RunFor(10 * SimNetwork.Second);
        Assert.Equal(Errno.EHOSTUNREACH, client.TakeError());
    }

    [Fact]
    public void ReceiveErrors_TellsSoftErrorsAtOnce()
    {
        using var pair = new TcpPair(setUp: e => e.Options.ReceiveErrors = true);
        pair.A.Send(pair.Client, new byte[100]);
        TcpEndpoint client = pair.Client;
        var error = new TransportError(Errno.EHOSTUNREACH, false, TransportError.OriginIcmp, 3, 1, 0, client.LocalAddress, client.RemoteAddress, client.RemoteAddress, Quote(client, client.Snd.Una));
        pair.A.Do(_ => pair.A.Stack.Tcp.OnError(error));
        Assert.Equal(Errno.EHOSTUNREACH, client.TakeError());
        Assert.Equal(TcpState.Established, client.State);
    }

    [Fact]
    public void BlackHole_IsFoundWithoutIcmp()
    {
        using var pair = new TcpPair(settings: s => s.Settings.MtuProbingMode = 1);
        pair.Wire.Filter = f => f.Length <= 1200;
        var transfer = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, 200_000);
        Assert.True(pair.Net.RunUntil(transfer.Move, 600 * SimNetwork.Second), $"{transfer.Received}");
        Assert.InRange(pair.Client.MaxSegment, 900, 1200 - EthernetHeader.Size - 52);
    }

    [Fact]
    public void LostRoute_IsWaitedFor()
    {
        using var pair = new TcpPair();
        NetworkInterface link = pair.A.Stack.FindInterface("eth0")!;
        pair.A.Do(_ => link.IsUp = false);
        pair.A.Send(pair.Client, "late"u8);
        pair.Net.RunFor(5 * SimNetwork.Second);
        Assert.Equal(TcpState.Established, pair.Client.State);
        pair.A.Do(_ => link.IsUp = true);
        Assert.True(pair.Net.RunUntil(() => pair.Server.Available == 4, 60 * SimNetwork.Second));
    }

    private static void Route(SimHost host, string v4, string v6) => host.Do(stack =>
    {
        Assert.Equal(Errno.None, stack.Routes.Add(new RouteEntry { Destination = InetAddress.AnyV4, Gateway = InetAddress.Parse(v4), InterfaceIndex = 2 }));
        Assert.Equal(Errno.None, stack.Routes.Add(new RouteEntry { Destination = InetAddress.AnyV6, Gateway = InetAddress.Parse(v6), InterfaceIndex = 2 }));
    });

    private static byte[] Quote(TcpEndpoint e, uint sequence)
    {
        byte[] quoted = new byte[8];
        BinaryPrimitives.WriteUInt16BigEndian(quoted, e.LocalPort);
        BinaryPrimitives.WriteUInt16BigEndian(quoted.AsSpan(2), e.RemotePort);
        BinaryPrimitives.WriteUInt32BigEndian(quoted.AsSpan(4), sequence);
        return quoted;
    }

    private static TransportError MakeTooBig(TcpPair pair, TcpEndpoint e, uint sequence, int mtu) =>
        new(Errno.EMSGSIZE, false, TransportError.OriginIcmp, 3, 4, mtu, e.LocalAddress, e.RemoteAddress, InetAddress.Parse(pair.AddressB), Quote(e, sequence));
}
