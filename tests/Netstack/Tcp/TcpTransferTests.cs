using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Bytes arrive whole and in order whatever the network does.</summary>
public sealed class TcpTransferTests
{
    public static TheoryData<string, int> Networks
    {
        get
        {
            var data = new TheoryData<string, int>();
            foreach (string name in Conditions.Keys)
            {
                for (int seed = 1; seed <= 3; seed++)
                    data.Add(name, seed);
            }

            return data;
        }
    }

    private static readonly Dictionary<string, LinkConditions> Conditions = new()
    {
        ["clean"] = new() { Delay = SimNetwork.Millisecond },
        ["loss1"] = new() { Delay = 5 * SimNetwork.Millisecond, Loss = 0.01 },
        ["loss5"] = new() { Delay = 5 * SimNetwork.Millisecond, Loss = 0.05 },
        ["loss10"] = new() { Delay = 2 * SimNetwork.Millisecond, Loss = 0.10 },
        ["reordering"] = new() { Delay = 5 * SimNetwork.Millisecond, Reordering = 0.1, ReorderDelay = 3 * SimNetwork.Millisecond },
        ["duplication"] = new() { Delay = SimNetwork.Millisecond, Duplication = 0.2 },
        ["jitter"] = new() { Delay = SimNetwork.Millisecond, Jitter = 20 * SimNetwork.Millisecond },
        ["corruption"] = new() { Delay = SimNetwork.Millisecond, Corruption = 0.02 },
        ["bottleneck"] = new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 20_000_000, QueueLimit = 64 << 10 },
        ["marks"] = new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 20_000_000, MarkAbove = 16 << 10 },
        ["everything"] = new()
        {
            Delay = 3 * SimNetwork.Millisecond, Jitter = 4 * SimNetwork.Millisecond, Loss = 0.03, Reordering = 0.05, Duplication = 0.05, Corruption = 0.01,
        },
    };

    [Theory]
    [MemberData(nameof(Networks))]
    public void BothDirections_ArriveByteExact(string name, int seed)
    {
        using var pair = new TcpPair(seed, Conditions[name], isV6: seed == 2, offloads: seed == 3, settings: s =>
        {
            s.Settings.Ecn = name == "marks" ? 1 : 2;
            s.Settings.CongestionControl = seed == 2 ? "reno" : "cubic";
        });
        Exchange(pair, 1 << 20);
        if (name == "marks")
            Assert.True(Marked(pair) > 0);
    }

    [Theory]
    [InlineData(true, true, true)]
    [InlineData(false, true, true)]
    [InlineData(true, false, true)]
    [InlineData(true, true, false)]
    [InlineData(false, false, false)]
    public void WithoutExtensions_ArriveByteExact(bool timestamps, bool scaling, bool sack)
    {
        using var pair = new TcpPair(5, new() { Delay = 4 * SimNetwork.Millisecond, Loss = 0.03, Reordering = 0.02 }, settings: s =>
        {
            s.Settings.Timestamps = timestamps;
            s.Settings.WindowScaling = scaling;
            s.Settings.Sack = sack;
        });
        Exchange(pair, 1 << 20);
    }

    [Theory]
    [InlineData(2048)]
    [InlineData(4096)]
    [InlineData(20000)]
    public void TinyWindows_ArriveByteExact(int buffer)
    {
        using var pair = new TcpPair(3, new() { Delay = SimNetwork.Millisecond, Loss = 0.01 }, setUp: e =>
        {
            e.Options.ReceiveBuffer = buffer;
            e.Options.ReceiveBufferLocked = true;
        });
        Exchange(pair, 100_000, readAtOnce: 700);
    }

    [Fact]
    public void SlowReader_ClosesAndOpensTheWindow()
    {
        using var pair = new TcpPair(3, new() { Delay = SimNetwork.Millisecond });

        // Nobody reads for ten seconds: the peer probes.
        pair.A.Send(pair.Client, new byte[4 << 20]);
        pair.Net.RunFor(10 * SimNetwork.Second);
        Assert.Equal(4, pair.Client.ShownTimer.Kind);
        int length = pair.B.Read(pair.Server).Length;
        Assert.True(length > 50_000);
        pair.Net.RunFor(10 * SimNetwork.Millisecond);
        Assert.NotEqual(4, pair.Client.ShownTimer.Kind);
    }

    [Fact]
    public void LossOf2Percent_ArrivesByteExact()
    {
        // A gigabyte where there is time for it.
        long length = Environment.GetEnvironmentVariable("SNAPSHOT_TEST_LONG") is { Length: > 0 } ? 1L << 30 : 64L << 20;
        using var pair = new TcpPair(11, new() { Delay = SimNetwork.Millisecond, Loss = 0.02 });
        var transfer = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, length);
        Assert.True(pair.Net.RunUntil(transfer.Move, 20_000 * SimNetwork.Second), $"{transfer.Received} of {length}");
    }

    internal static void Exchange(TcpPair pair, long length, int readAtOnce = int.MaxValue, long limit = 3600 * SimNetwork.Second)
    {
        var there = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, length, readAtOnce);
        var back = new TcpTransfer(pair.B, pair.Server, pair.A, pair.Client, length, readAtOnce);
        Assert.True(pair.Net.RunUntil(() => there.Move() & back.Move(), limit), $"{there.Received} and {back.Received} of {length}");

        // And both close in order.
        pair.A.Do(_ => pair.Client.Close());
        Assert.True(pair.Net.RunUntil(() => pair.Server.State == TcpState.CloseWait, 300 * SimNetwork.Second), pair.Server.State.ToString());
        pair.B.Do(_ => pair.Server.Close());
        Assert.True(pair.Net.RunUntil(() => pair.A.Stack.Tcp.Endpoints.All(e => e.State == TcpState.TimeWait) && pair.B.Stack.Tcp.Endpoints.Count() == 1, 300 * SimNetwork.Second));
    }

    private static uint Marked(TcpPair pair) => System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(pair.Client.GetInfo().AsSpan(196));
}
