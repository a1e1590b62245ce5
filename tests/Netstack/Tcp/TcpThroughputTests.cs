using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Goodput over simulated paths, kept in a table: virtual time is exact, so any change of congestion control, recovery or acknowledgment shows. UPDATE_GOLDEN=1
/// writes the table anew.</summary>
public sealed class TcpThroughputTests
{
    private const int Length = 4 << 20, Seeds = 3;

    private static readonly (string Name, LinkConditions Conditions)[] Paths =
    [
        ("LAN 1 Gbit/s 0.2 ms", new() { Delay = 100 * SimNetwork.Microsecond, Bandwidth = 1_000_000_000 }),
        ("WAN 100 Mbit/s 20 ms", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000 }),
        ("WAN, 0.1 % loss", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000, Loss = 0.001 }),
        ("WAN, 1 % loss", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000, Loss = 0.01 }),
        ("WAN, 5 % loss", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000, Loss = 0.05 }),
        ("WAN, 5 % reordered", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000, Reordering = 0.05, ReorderDelay = 4 * SimNetwork.Millisecond }),
        ("WAN, ECN", new() { Delay = 10 * SimNetwork.Millisecond, Bandwidth = 100_000_000, MarkAbove = 64 << 10 }),
        ("DSL 10 Mbit/s 50 ms, small queue", new() { Delay = 25 * SimNetwork.Millisecond, Bandwidth = 10_000_000, QueueLimit = 32 << 10 }),
        ("satellite 20 Mbit/s 600 ms", new() { Delay = 300 * SimNetwork.Millisecond, Bandwidth = 20_000_000 }),
    ];

    [Fact]
    public void Table_IsAsKept()
    {
        var table = new StringBuilder();
        table.AppendLine(string.Create(CultureInfo.InvariantCulture, $"{Length >> 20} MiB in one direction, mean of {Seeds} seeds: Mbit/s, segments retransmitted, timeouts"));
        table.AppendLine();
        table.AppendLine("| path | cubic | reno |");
        table.AppendLine("|---|---|---|");
        foreach ((string name, LinkConditions conditions) in Paths)
            table.AppendLine($"| {name} | {Measure(conditions, "cubic")} | {Measure(conditions, "reno")} |");
        string file = Path.Combine(SourceFolder(), "throughput.golden.md");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") is { Length: > 0 })
            File.WriteAllText(file, table.ToString());
        Assert.Equal(File.ReadAllText(file), table.ToString());
    }

    private static string Measure(LinkConditions conditions, string congestion)
    {
        double rate = 0;
        long retransmitted = 0, timeouts = 0;
        for (int seed = 1; seed <= Seeds; seed++)
        {
            using var pair = new TcpPair(seed, conditions, settings: s =>
            {
                s.Settings.CongestionControl = congestion;
                s.Settings.Ecn = 1;
            });
            var transfer = new TcpTransfer(pair.A, pair.Client, pair.B, pair.Server, Length);
            long start = pair.Net.Now;
            Assert.True(pair.Net.RunUntil(transfer.Move, 3600 * SimNetwork.Second));
            rate += Length * 8.0 / (pair.Net.Now - start) * 1e3;
            retransmitted += BinaryPrimitives.ReadUInt32LittleEndian(pair.Client.GetInfo().AsSpan(100));
            timeouts += pair.A.Stack.Counters.Timeouts;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{rate / Seeds:f1}, {retransmitted / Seeds}, {timeouts / (double)Seeds:f1}");
    }

    private static string SourceFolder([System.Runtime.CompilerServices.CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
