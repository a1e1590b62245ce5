using System.Globalization;

namespace Tests.Netstack.Simulation;

/// <summary>
/// A network in virtual time: hosts with stacks of their own, joined by segments that lose, delay, reorder and duplicate frames as told. The same seed gives the
/// same run. Nothing runs by itself: <see cref="RunFor"/> and <see cref="RunUntil"/> move time from event to event.
/// </summary>
/// <example><code>
/// using var net = new SimNetwork(seed: 1);
/// SimSegment wire = net.AddSegment(new LinkConditions { Loss = 0.02, Delay = 5 * SimNetwork.Millisecond });
/// SimHost a = net.AddHost("a"), b = net.AddHost("b");
/// a.Attach(wire, "10.0.0.1/24");
/// b.Attach(wire, "10.0.0.2/24");
/// a.Do(stack => …);                    // calls between Enter and Leave
/// net.RunFor(SimNetwork.Second);
/// a.SaveAndRestore();                  // a.Stack is another object afterwards
/// </code>With SNAPSHOT_TEST_PCAP=FOLDER each network writes what all its segments carry to FOLDER/NAME-SEED.pcap.</example>
public sealed class SimNetwork : IDisposable
{
    public const long Microsecond = 1_000, Millisecond = 1_000_000, Second = 1_000_000_000;

    private readonly PriorityQueue<Action, (long Time, long Number)> _events = new();
    private readonly List<SimHost> _hosts = [];
    private readonly FileStream? _file;
    private readonly PcapWriter? _pcap;
    private long _numbers;

    public SimNetwork(int seed = 1, [System.Runtime.CompilerServices.CallerMemberName] string name = "")
    {
        Random = new Random(seed);
        if (Environment.GetEnvironmentVariable("SNAPSHOT_TEST_PCAP") is not { Length: > 0 } folder)
            return;
        Directory.CreateDirectory(folder);
        _file = File.Create(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{name}-{seed}.pcap")));
        _pcap = new PcapWriter(_file);
    }

    /// <summary>Virtual time, ns.</summary>
    public long Now { get; private set; } = Second;

    /// <summary>What decides on losses and delays.</summary>
    public Random Random { get; }

    public IReadOnlyList<SimHost> Hosts => _hosts;

    public SimHost AddHost(string name)
    {
        var host = new SimHost(this, name, _hosts.Count + 1);
        _hosts.Add(host);
        return host;
    }

    public SimSegment AddSegment(LinkConditions? conditions = null) => new(this, conditions ?? new LinkConditions());

    /// <summary>Does something later.</summary>
    public void At(long time, Action action) => _events.Enqueue(action, (Math.Max(time, Now), _numbers++));

    public void RunFor(long duration)
    {
        long end = Now + duration;
        while (Step(end))
        {
        }

        Now = end;
    }

    /// <summary>Runs until a condition holds, which is looked at after each event; false when it does not within the time.</summary>
    public bool RunUntil(Func<bool> condition, long limit = 60 * Second)
    {
        long end = Now + limit;
        while (!condition())
        {
            if (!Step(end))
                return condition();
        }

        return true;
    }

    /// <summary>Runs until nothing is to happen any more but within a time that is longer than any.</summary>
    public void RunUntilQuiet(long limit = 3600 * Second) => RunUntil(() => false, limit);

    public void Dispose()
    {
        _pcap?.Flush();
        _file?.Dispose();
    }

    internal void Capture(ReadOnlySpan<byte> frame) => _pcap?.Write(Now, frame);

    /// <summary>The next event, or timer of a stack, if it is not after <paramref name="end"/>.</summary>
    private bool Step(long end)
    {
        SimHost? first = null;
        long next = _events.TryPeek(out _, out (long Time, long Number) head) ? head.Time : long.MaxValue;
        foreach (SimHost host in _hosts)
        {
            long deadline = host.NextDeadline;
            if (deadline < next)
            {
                next = deadline;
                first = host;
            }
        }

        if (next > end)
            return false;
        Now = Math.Max(Now, next);
        if (first is null)
            _events.Dequeue()();
        else
            first.RunTimers();
        return true;
    }
}
