using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Connections live through a checkpoint: whatever is saved and restored at whatever moment, no byte is lost or repeated, and nobody resets.</summary>
public sealed class TcpStateTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Transfers_SurviveCheckpointsAtRandomMoments(int part)
    {
        for (int seed = part * 1000; seed < (part * 1000) + 50; seed++)
            TransferAcrossCheckpoints(seed);
    }

    [Fact]
    public void HalfOpenConnections_CompleteAfterRestore()
    {
        using var net = new SimNetwork(3);
        SimSegment wire = net.AddSegment(new LinkConditions { Delay = 10 * SimNetwork.Millisecond });
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24");
        b.Attach(wire, "10.0.0.2/24");
        b.Listen("0.0.0.0", 80);
        TcpEndpoint client = a.Connect("10.0.0.2", 80);
        ushort port = client.LocalPort;
        Assert.True(net.RunUntil(() => b.Stack.Tcp.Endpoints.Any(e => e.State == TcpState.SynReceived)));
        a.SaveAndRestore();
        b.SaveAndRestore();
        Assert.Equal(TcpState.SynSent, a.TcpAt(port, 80).State);
        TcpEndpoint listener = b.TcpAt(80);
        Assert.True(net.RunUntil(() => listener.AcceptQueue.Waiting == 1));
        a.SaveAndRestore();
        b.SaveAndRestore();
        TcpEndpoint server = b.Do(_ => b.TcpAt(80).Accept())!;
        client = a.TcpAt(port, 80);
        Assert.Equal(TcpState.Established, client.State);
        a.Send(client, "after"u8);
        net.RunFor(SimNetwork.Second);
        Assert.Equal("after"u8.ToArray(), b.Read(server));
    }

    [Fact]
    public void LostSynAnswer_IsSentAgainAfterRestore()
    {
        using var net = new SimNetwork(3);
        SimSegment wire = net.AddSegment();
        SimHost a = net.AddHost("a"), b = net.AddHost("b");
        a.Attach(wire, "10.0.0.1/24");
        b.Attach(wire, "10.0.0.2/24");
        b.Listen("0.0.0.0", 80);
        int answers = 0;
        wire.Filter = frame => frame[12] != 8 || frame[13] != 0 || (frame[47] & 0x12) != 0x12 || ++answers > 1;
        TcpEndpoint client = a.Connect("10.0.0.2", 80);
        net.RunFor(100 * SimNetwork.Millisecond);
        b.SaveAndRestore();
        Assert.True(net.RunUntil(() => client.State == TcpState.Established));
        Assert.Equal(2, answers);
    }

    [Fact]
    public void TimeWait_SurvivesAndEnds()
    {
        using var pair = new TcpPair();
        pair.A.Do(_ => pair.Client.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.B.Do(_ => pair.Server.Close());
        pair.Net.RunFor(SimNetwork.Second);
        pair.A.SaveAndRestore();
        Assert.Equal(TcpState.TimeWait, Assert.Single(pair.A.Stack.Tcp.Endpoints).State);
        pair.Net.RunFor(61 * SimNetwork.Second);
        Assert.Empty(pair.A.Stack.Tcp.Endpoints);
    }

    [Fact]
    public void Timers_GoOnAfterRestore()
    {
        using var pair = new TcpPair(setUp: e =>
        {
            e.Options.KeepAlive = true;
            e.SetOptions(e.TcpOptions with { KeepIdle = 5 });
            e.SetOptions(e.TcpOptions with { KeepInterval = 1 });
            e.SetOptions(e.TcpOptions with { KeepCount = 3 });
        });
        pair.A.SaveAndRestore();
        pair.Net.RunFor(4 * SimNetwork.Second);
        pair.A.SaveAndRestore();
        pair.Wire.Filter = _ => false;
        pair.Net.RunFor(6 * SimNetwork.Second);
        Assert.Empty(pair.A.Stack.Tcp.Endpoints);
    }

    [Fact]
    public void UrgentData_IsSaved()
    {
        using var pair = new TcpPair();
        pair.A.Send(pair.Client, "abc"u8, TcpSendFlags.Urgent);
        pair.Net.RunFor(SimNetwork.Second);
        pair.B.SaveAndRestore();
        pair.FindAgain();
        Assert.Equal(2, pair.Server.Available);
        Assert.Equal("ab"u8.ToArray(), pair.B.Read(pair.Server));
        Assert.True(pair.Server.IsAtMark);
        Assert.Equal(Errno.None, pair.Server.ReceiveUrgent(peek: false, out byte value));
        Assert.Equal((byte)'c', value);
    }

    private static void TransferAcrossCheckpoints(int seed)
    {
        var random = new Random(seed);
        var conditions = new LinkConditions
        {
            Delay = random.Next(1, 20) * SimNetwork.Millisecond,
            Jitter = random.Next(0, 5) * SimNetwork.Millisecond,
            Loss = random.Next(3) * 0.02,
            Reordering = random.Next(2) * 0.05,
            Duplication = random.Next(2) * 0.02,
        };
        using var pair = new TcpPair(seed, conditions, isV6: random.Next(2) == 0, offloads: random.Next(2) == 0, settings: s => s.Settings.CongestionControl = random.Next(2) == 0 ? "cubic" : "reno");
        long length = random.Next(1, 600_000);
        int readAtOnce = random.Next(2) == 0 ? int.MaxValue : 5000;
        var there = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, length, readAtOnce);
        var back = new TcpTransfer(pair.B, pair.Server, pair.A, pair.Client, length, readAtOnce);
        long next = pair.Net.Now + random.NextInt64(100 * SimNetwork.Millisecond);
        for (int checkpoints = 0; checkpoints < 8; checkpoints++)
        {
            long until = next;
            if (pair.Net.RunUntil(() => (there.Move() & back.Move()) || pair.Net.Now >= until) && there.IsDone && back.IsDone)
                break;
            switch (random.Next(3))
            {
                case 0:
                    pair.A.SaveAndRestore(announce: true);
                    break;
                case 1:
                    pair.B.SaveAndRestore(announce: true);
                    break;
                default:
                    pair.A.SaveAndRestore();
                    pair.B.SaveAndRestore();
                    break;
            }

            pair.FindAgain();
            there.Watch(pair.Client, pair.Server);
            back.Watch(pair.Server, pair.Client);
            next = pair.Net.Now + random.NextInt64(200 * SimNetwork.Millisecond);
        }

        Assert.True(pair.Net.RunUntil(() => there.Move() & back.Move(), 3600 * SimNetwork.Second), $"seed {seed}: {there.Received} and {back.Received} of {length}");
        pair.A.Do(_ => pair.Client.Close());
        Assert.True(pair.Net.RunUntil(() => pair.Server.State == TcpState.CloseWait, 300 * SimNetwork.Second));
    }
}
