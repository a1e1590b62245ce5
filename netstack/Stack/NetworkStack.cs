namespace Netstack.Stack;

/// <summary>What a stack takes from outside besides bytes and time.</summary>
public interface IStackHost
{
    /// <summary>Cryptographically random bytes: secrets of keyed hashes, ports.</summary>
    void FillRandom(Span<byte> destination);

    /// <summary>Wall-clock time in ns since 1970, for SO_TIMESTAMP alone.</summary>
    long Realtime { get; }
}

/// <summary>
/// A TCP/IP stack: interfaces, routes, neighbours, transports and their endpoints. It has no I/O, no threads and no clock: frames come in by
/// <see cref="Receive"/> and go out by an interface's driver; time comes in with <see cref="Enter"/>. Everything that a connection needs
/// to go on elsewhere is saved. Not thread-safe: whoever owns it serialises the calls.
/// </summary>
/// <remarks>Every call from outside that may send or look at the time is made as <c>Enter(now); …; Leave();</c>. Packets to this host itself queue
/// up and are delivered by <see cref="Leave"/>, so that no layer is entered twice.</remarks>
[Savable("netstack")]
public sealed partial class NetworkStack : IAfterLoad
{
    [NotSaved("given by the restoring sentry")] private IStackHost _host = null!;
    [NotSaved("armed again by their owners")] private readonly StackTimers _timers = new();
    [NotSaved("empty between two calls")] private readonly Queue<Packet> _looped = new();
    [NotSaved("set by each call")] private long _now;
    [NotSaved("no call is in progress")] private int _depth;

    [Saved(1)] private List<NetworkInterface> _interfaces = [];
    [Saved(2)] private int _lastIndex;
    [Saved(3)] private StackSettings _settings = new();
    [Saved(4)] private StackCounters _counters = new();
    [Saved(5)] private RoutingTable _routes;
    [Saved(6)] private IpLayer _ip;
    [Saved(7)] private UdpLayer _udp;
    [Saved(8)] private TcpLayer _tcp;
    [Saved(9)] private RawLayer _raw;
    [Saved(10)] private byte[] _secret;

    public NetworkStack(IStackHost host)
    {
        _host = host;
        _secret = new byte[32];
        host.FillRandom(_secret);
        _routes = new RoutingTable(this);
        _ip = new IpLayer(this);
        _udp = new UdpLayer(this);
        _tcp = new TcpLayer(this);
        _raw = new RawLayer(this);
        NetworkInterface loopback = AddInterface("lo", InterfaceKind.Loopback, default, 65536);
        loopback.Addresses.Add(new InterfaceAddress { Address = InetAddress.LoopbackV4, Prefix = 8, Scope = 254, Label = "lo" });
        loopback.Addresses.Add(new InterfaceAddress { Address = InetAddress.LoopbackV6, Prefix = 128, Scope = 254 });
        loopback.IsUp = true;
    }

    public IStackHost Host => _host;

    public StackTimers Timers => _timers;

    /// <summary>Stack time of the call in hand, ns, monotonic across restores.</summary>
    public long Now => _now;

    /// <summary>When <see cref="RunTimers"/> is wanted next; long.MaxValue for never.</summary>
    public long NextDeadline => _timers.NextDeadline;

    public IReadOnlyList<NetworkInterface> Interfaces => _interfaces;

    public StackSettings Settings => _settings;

    public StackCounters Counters => _counters;

    public RoutingTable Routes => _routes;

    public IpLayer Ip => _ip;

    public UdpLayer Udp => _udp;

    public TcpLayer Tcp => _tcp;

    public RawLayer Raw => _raw;

    /// <summary>32 bytes that nobody else knows, for keyed hashes.</summary>
    internal ReadOnlySpan<byte> Secret => _secret;

    /// <summary>Begins a call: sets the time.</summary>
    public void Enter(long now)
    {
        if (now > _now)
            _now = now;
        _depth++;
    }

    /// <summary>Ends a call: delivers what was sent to this host itself.</summary>
    public void Leave()
    {
        if (_depth == 1)
        {
            while (_looped.TryDequeue(out Packet? packet))
                _ip.ReceiveLooped(packet);
        }

        _depth--;
    }

    /// <summary>A frame has come in by an interface: Ethernet header first; <see cref="Packet.Checksum"/> and SegmentSize set by the driver.</summary>
    public void Receive(NetworkInterface from, Packet frame, long now)
    {
        Enter(now);
        _ip.ReceiveFrame(from, frame);
        Leave();
    }

    /// <summary>Fires the timers that are due.</summary>
    public void RunTimers(long now)
    {
        Enter(now);
        _timers.RunExpired(_now);
        Leave();
    }

    public NetworkInterface AddInterface(string name, InterfaceKind kind, MacAddress mac, int mtu)
    {
        var added = new NetworkInterface(this, ++_lastIndex, name, kind, mac, mtu);
        _interfaces.Add(added);
        return added;
    }

    public NetworkInterface? FindInterface(int index)
    {
        foreach (NetworkInterface candidate in _interfaces)
        {
            if (candidate.Index == index)
                return candidate;
        }

        return null;
    }

    public NetworkInterface? FindInterface(string name) => _interfaces.Find(i => i.Name == name);

    /// <summary>Queues a packet to this host (its head begins at the IP header) for delivery at the end of the call.</summary>
    internal void Loop(Packet packet) => _looped.Enqueue(packet);

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            _host = context.Get<IStackHost>();
    }
}
