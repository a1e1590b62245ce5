namespace Tests.Netstack.Simulation;

/// <summary>What a segment does to frames.</summary>
public sealed record LinkConditions
{
    /// <summary>Probabilities, 0 to 1.</summary>
    public double Loss { get; init; }

    public double Duplication { get; init; }

    /// <summary>Of being held back by <see cref="ReorderDelay"/>.</summary>
    public double Reordering { get; init; }

    /// <summary>Of a bit being flipped.</summary>
    public double Corruption { get; init; }

    /// <summary>ns.</summary>
    public long Delay { get; init; } = 50 * SimNetwork.Microsecond;

    /// <summary>Up to so much more, at random, without changing the order.</summary>
    public long Jitter { get; init; }

    public long ReorderDelay { get; init; } = SimNetwork.Millisecond;

    /// <summary>Bits per second of each port's way in; 0 for no limit.</summary>
    public long Bandwidth { get; init; }

    /// <summary>Bytes that wait for bandwidth at most.</summary>
    public int QueueLimit { get; init; } = 256 << 10;

    /// <summary>ECN: frames that find more than so many bytes waiting are marked instead of dropped later; 0 for never.</summary>
    public int MarkAbove { get; init; }
}

/// <summary>An Ethernet segment: what one port sends, all others get.</summary>
public sealed class SimSegment(SimNetwork network, LinkConditions conditions)
{
    private readonly List<SimPort> _ports = [];

    /// <summary>May be changed while the network runs.</summary>
    public LinkConditions Conditions { get; set; } = conditions;

    /// <summary>Frames for which it says false are lost. Looks at whole frames.</summary>
    public Func<byte[], bool>? Filter { get; set; }

    /// <summary>All frames that were sent into it, for tests to look at; null to keep none.</summary>
    public List<byte[]>? Log { get; set; }

    public int Sent { get; private set; }

    public int Lost { get; private set; }

    internal SimPort Join(SimHost host, string interfaceName, bool offloads)
    {
        var port = new SimPort(this, host, interfaceName, offloads);
        _ports.Add(port);
        return port;
    }

    internal void Leave(SimPort port) => _ports.Remove(port);

    /// <summary>Puts a frame of a test's own into the segment; all hosts get it at once.</summary>
    public void Inject(byte[] frame)
    {
        network.Capture(frame);
        foreach (SimPort port in _ports.ToList())
            port.Deliver((byte[])frame.Clone(), ChecksumState.Unknown, 0);
    }

    internal void Send(SimPort from, Packet packet)
    {
        byte[] frame = packet.ToArray();
        ChecksumState checksum = packet.Checksum == ChecksumState.Partial ? ChecksumState.Partial : ChecksumState.Unknown;
        network.Capture(frame);
        Log?.Add(frame);
        Sent++;
        if (Filter is not null && !Filter(frame))
        {
            Lost++;
            return;
        }

        LinkConditions now = Conditions;
        Random random = network.Random;
        if (!from.TryQueue(now, network.Now, frame, out long ready))
        {
            Lost++;
            return;
        }

        if (now.Loss > 0 && random.NextDouble() < now.Loss)
        {
            Lost++;
            return;
        }

        long time = Math.Max(from.LastArrival, ready + now.Delay + (now.Jitter > 0 ? random.NextInt64(now.Jitter) : 0));
        if (now.Reordering > 0 && random.NextDouble() < now.Reordering)
            time += now.ReorderDelay;
        else
            from.LastArrival = time;
        if (now.Corruption > 0 && random.NextDouble() < now.Corruption)
        {
            frame[random.Next(frame.Length)] ^= (byte)(1 << random.Next(8));
            checksum = ChecksumState.Unknown;
        }

        int copies = now.Duplication > 0 && random.NextDouble() < now.Duplication ? 2 : 1;
        int segment = packet.SegmentSize;
        for (int i = 0; i < copies; i++)
        {
            foreach (SimPort port in _ports)
            {
                if (!ReferenceEquals(port, from))
                    network.At(time, () => port.Deliver((byte[])frame.Clone(), checksum, segment));
            }
        }
    }
}

/// <summary>Where a host's interface is plugged in.</summary>
public sealed class SimPort(SimSegment segment, SimHost host, string interfaceName, bool offloads) : ILinkDriver
{
    private long _busyUntil;

    public SimSegment Segment => segment;

    public string InterfaceName => interfaceName;

    public bool Offloads => offloads;

    internal long LastArrival { get; set; }

    public bool Transmit(Packet frame)
    {
        segment.Send(this, frame);
        return true;
    }

    internal void Deliver(byte[] frame, ChecksumState checksum, int segmentSize) => host.Receive(this, frame, checksum, segmentSize);

    /// <summary>Takes its turn on a link of limited bandwidth; false when the queue is full.</summary>
    internal bool TryQueue(LinkConditions conditions, long now, byte[] frame, out long ready)
    {
        ready = now;
        if (conditions.Bandwidth <= 0)
            return true;
        long waiting = Math.Max(0, _busyUntil - now) * conditions.Bandwidth / 8 / SimNetwork.Second;
        if (waiting + frame.Length > conditions.QueueLimit)
            return false;
        if (conditions.MarkAbove > 0 && waiting > conditions.MarkAbove)
            Mark(frame);
        _busyUntil = Math.Max(_busyUntil, now) + (frame.Length * 8 * SimNetwork.Second / conditions.Bandwidth);
        ready = _busyUntil;
        return true;
    }

    /// <summary>Congestion experienced (RFC 3168), if the sender is capable of it.</summary>
    private static void Mark(byte[] frame)
    {
        if (frame.Length < 54)
            return;
        if (frame[12] == 8 && frame[13] == 0 && (frame[15] & 3) is 1 or 2)
        {
            frame[15] |= 3;
            Ipv4Header.WriteChecksum(frame.AsSpan(14, (frame[14] & 0xf) * 4));
        }
        else if (frame[12] == 0x86 && frame[13] == 0xdd && (frame[15] >> 4 & 3) is 1 or 2)
        {
            frame[15] |= 0x30;
        }
    }
}
