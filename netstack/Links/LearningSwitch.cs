namespace Netstack.Links;

/// <summary>Where a switch sends frames of a port: to a sandbox's socket, or to a stack. Never waits.</summary>
public interface IFrameSink
{
    /// <summary>Takes a frame (virtio header first). It must be copied when it is kept.</summary>
    void Deliver(ReadOnlySpan<byte> frame);
}

/// <summary>A place to plug something in. What it owns, nobody else on the switch can use.</summary>
public sealed class SwitchPort
{
    internal SwitchPort(string name, IFrameSink sink) => (Name, Sink) = (name, sink);

    public string Name { get; }

    public IFrameSink Sink { get; }

    /// <summary>Frames that came from it, went to it, and were refused because they used what another port owns.</summary>
    public long Received { get; internal set; }

    public long Sent { get; internal set; }

    public long Refused { get; internal set; }

    internal List<MacAddress> Macs { get; } = [];

    internal List<InetAddress> Addresses { get; } = [];
}

/// <summary>
/// An Ethernet switch that learns (IEEE 802.1D section 7.8) and carries frames whole, with their virtio header, so that one is as long as a
/// sender's segmentation offload makes it. Ports own the addresses that were leased to them: a frame from another port that claims one is
/// dropped, so a sandbox can take neither the traffic of its neighbour nor that of a later copy of itself. No I/O and no clock.
/// </summary>
public sealed class LearningSwitch
{
    /// <summary>802.1D's ageing time.</summary>
    public const long Ageing = 300L * 1_000_000_000;

    private const int MostLearned = 4096;

    private readonly List<SwitchPort> _ports = [];
    private readonly Dictionary<MacAddress, SwitchPort> _macOwners = [];
    private readonly Dictionary<InetAddress, SwitchPort> _addressOwners = [];
    private readonly Dictionary<MacAddress, (SwitchPort Port, long Seen)> _learned = [];

    /// <summary>Sees every frame that is forwarded, with the port it came from.</summary>
    public Action<SwitchPort, ReadOnlySpan<byte>>? Tap { get; set; }

    public IReadOnlyList<SwitchPort> Ports => _ports;

    public SwitchPort Add(string name, IFrameSink sink)
    {
        SwitchPort port = new(name, sink);
        _ports.Add(port);
        return port;
    }

    /// <summary>Takes a port off, with what it owns and what was learned of it.</summary>
    public void Remove(SwitchPort port)
    {
        _ports.Remove(port);
        foreach (MacAddress mac in port.Macs)
            _macOwners.Remove(mac);
        foreach (InetAddress address in port.Addresses)
            _addressOwners.Remove(address);
        foreach (MacAddress mac in _learned.Where(l => l.Value.Port == port).Select(l => l.Key).ToArray())
            _learned.Remove(mac);
    }

    /// <summary>Gives a port an address for itself. False when another has it.</summary>
    public bool Own(SwitchPort port, MacAddress mac)
    {
        if (_macOwners.TryGetValue(mac, out SwitchPort? owner))
            return owner == port;
        _macOwners[mac] = port;
        port.Macs.Add(mac);
        _learned.Remove(mac);
        return true;
    }

    /// <inheritdoc cref="Own(SwitchPort, MacAddress)"/>
    public bool Own(SwitchPort port, InetAddress address)
    {
        if (_addressOwners.TryGetValue(address, out SwitchPort? owner))
            return owner == port;
        _addressOwners[address] = port;
        port.Addresses.Add(address);
        return true;
    }

    /// <summary>A frame (virtio header first) has come in by a port: it goes where its destination was seen, or everywhere else.</summary>
    /// <param name="now">ns, monotonic.</param>
    public void Forward(SwitchPort from, ReadOnlySpan<byte> frame, long now)
    {
        if (frame.Length < VirtioNetHeader.Size + FrameView.HeaderSize)
            return;
        from.Received++;
        FrameView view = new(frame[VirtioNetHeader.Size..]);
        if (!MaySend(from, view))
        {
            from.Refused++;
            return;
        }

        Learn(from, view.Source, now);
        Tap?.Invoke(from, frame);
        MacAddress destination = view.Destination;
        if (!destination.IsMulticast && Find(destination, now) is { } to)
        {
            if (to != from)
                Send(to, frame);
            return;
        }

        for (int i = 0; i < _ports.Count; i++)
        {
            if (_ports[i] != from)
                Send(_ports[i], frame);
        }
    }

    private static void Send(SwitchPort port, ReadOnlySpan<byte> frame)
    {
        port.Sent++;
        port.Sink.Deliver(frame);
    }

    private bool MaySend(SwitchPort from, FrameView view)
    {
        MacAddress source = view.Source;
        if (source.IsMulticast || (_macOwners.TryGetValue(source, out SwitchPort? owner) && owner != from))
            return false;
        return view.ClaimedAddress is not { } address || !_addressOwners.TryGetValue(address, out owner) || owner == from;
    }

    private void Learn(SwitchPort from, MacAddress source, long now)
    {
        if (_macOwners.ContainsKey(source))
            return;
        if (_learned.Count >= MostLearned && !_learned.ContainsKey(source))
        {
            // A sender that invents addresses must not make this table grow: the oldest half is forgotten.
            foreach (MacAddress old in _learned.OrderBy(l => l.Value.Seen).Take(MostLearned / 2).Select(l => l.Key).ToArray())
                _learned.Remove(old);
        }

        _learned[source] = (from, now);
    }

    private SwitchPort? Find(MacAddress destination, long now)
    {
        if (_macOwners.TryGetValue(destination, out SwitchPort? owner))
            return owner;
        if (!_learned.TryGetValue(destination, out (SwitchPort Port, long Seen) learned))
            return null;
        if (now - learned.Seen <= Ageing)
            return learned.Port;
        _learned.Remove(destination);
        return null;
    }
}
