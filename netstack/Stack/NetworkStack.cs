using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>What a stack takes from outside besides bytes and time.</summary>
public interface IStackHost
{
    /// <summary>Cryptographically random bytes: secrets of keyed hashes, ports.</summary>
    void FillRandom(Span<byte> destination);

    /// <summary>Wall-clock time in ns since 1970, for SO_TIMESTAMP and ICMP timestamps alone.</summary>
    long Realtime { get; }

    /// <summary>Another station claims an address of this stack (ARP, neighbour discovery), perhaps a second copy of the same sandbox. Told for every
    /// such claim; it must not call back into the stack from within.</summary>
    void OnAddressConflict(NetworkInterface link, InetAddress address, MacAddress claimant)
    {
    }
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
    [NotSaved("empty between two calls")] private readonly Queue<(NetworkInterface Link, Packet Frame)> _crossing = new();
    [NotSaved("set by each call")] private long _now;
    [NotSaved("no call is in progress")] private int _depth;
    [NotSaved("they say so again after a restore")] private readonly List<IStackObserver> _observers = [];
    [NotSaved("a restored stack is not held")] private bool _isHeld;
    [NotSaved("what a held stack counts is forgotten")] private readonly StackCounters _unsavedCounters = new();
    [NotSaved("random bytes in store")] private readonly byte[] _random = new byte[512];
    [NotSaved("asked anew in each call")] private long _realtime;
    [NotSaved("of the bytes in store")] private int _randomLeft;

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
    [Saved(11)] private UdpLayer? _udpLite;

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
        loopback.IsUp = true;
    }

    public IStackHost Host => _host;

    public StackTimers Timers => _timers;

    /// <summary>Stack time of the call in hand, ns, monotonic across restores.</summary>
    public long Now => _now;

    /// <summary>Wall-clock time of the call in hand, ns since 1970.</summary>
    internal long Realtime => _realtime != 0 ? _realtime : _realtime = _host.Realtime;

    /// <summary>When <see cref="RunTimers"/> is wanted next; long.MaxValue for never.</summary>
    public long NextDeadline => _isHeld ? long.MaxValue : _timers.NextDeadline;

    /// <summary>The sandbox is paused: nothing saved changes. ARP and neighbour solicitations are still answered, segments of established connections get a
    /// zero window, everything else is dropped and timers wait.</summary>
    public bool IsHeld
    {
        get => _isHeld;
        set
        {
            bool resumes = _isHeld && !value;
            _isHeld = value;
            if (resumes)
                _tcp.OnResumed();
        }
    }

    public IReadOnlyList<NetworkInterface> Interfaces => _interfaces;

    public NetworkInterface Loopback => _interfaces[0];

    public StackSettings Settings => _settings;

    public StackCounters Counters => _isHeld ? _unsavedCounters : _counters;

    public RoutingTable Routes => _routes;

    public IpLayer Ip => _ip;

    public UdpLayer Udp => _udp;

    /// <summary>UDP-Lite (RFC 3828), which has ports of its own.</summary>
    public UdpLayer UdpLite => _udpLite ??= new UdpLayer(this, isLite: true);

    public TcpLayer Tcp => _tcp;

    public RawLayer Raw => _raw;

    /// <summary>32 bytes that nobody else knows, for keyed hashes.</summary>
    internal ReadOnlySpan<byte> Secret => _secret;

    internal uint NextRandom() => (uint)NextRandom64();

    /// <summary>Random bits of the host's.</summary>
    internal ulong NextRandom64()
    {
        if (_randomLeft < 8)
        {
            _host.FillRandom(_random);
            _randomLeft = _random.Length;
        }

        _randomLeft -= 8;
        return BinaryPrimitives.ReadUInt64LittleEndian(_random.AsSpan(_randomLeft));
    }

    internal void TellLink(NetworkInterface link, StackChange change)
    {
        foreach (IStackObserver observer in _observers)
            observer.OnLink(link, change);
    }

    internal void TellAddress(NetworkInterface link, InterfaceAddress address, StackChange change)
    {
        foreach (IStackObserver observer in _observers)
            observer.OnAddress(link, address, change);
    }

    internal void TellRoute(RouteEntry route, StackChange change)
    {
        foreach (IStackObserver observer in _observers)
            observer.OnRoute(route, change);
    }

    internal void TellRule(RoutingRule rule, StackChange change)
    {
        foreach (IStackObserver observer in _observers)
            observer.OnRule(rule, change);
    }

    internal void TellNeighbour(Neighbour neighbour, StackChange change)
    {
        foreach (IStackObserver observer in _observers)
            observer.OnNeighbour(neighbour, change);
    }

    /// <summary>Begins a call: sets the time.</summary>
    public void Enter(long now)
    {
        if (now > _now && !_isHeld)
            _now = now;
        if (_depth++ == 0)
            _realtime = 0;
    }

    /// <summary>Ends a call: delivers what was sent to this host itself.</summary>
    public void Leave()
    {
        if (_depth == 1)
        {
            for (; ; )
            {
                if (_looped.TryDequeue(out Packet? packet))
                    _ip.ReceiveLooped(packet);
                else if (_crossing.TryDequeue(out (NetworkInterface Link, Packet Frame) crossing))
                    _ip.ReceiveFrame(crossing.Link, crossing.Frame);
                else
                    break;
            }
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
        if (_isHeld)
            return;
        Enter(now);
        _timers.RunExpired(_now);
        Leave();
    }

    /// <summary>A new interface; it is down and has no addresses.</summary>
    /// <param name="settle">Completes it before anybody is told of it.</param>
    public NetworkInterface AddInterface(string name, InterfaceKind kind, MacAddress mac, int mtu, Action<NetworkInterface>? settle = null)
    {
        var added = new NetworkInterface(this, ++_lastIndex, name, kind, mac, mtu);
        settle?.Invoke(added);
        _interfaces.Add(added);
        added.DisableIpv6 = _settings.DisableIpv6;
        TellLink(added, StackChange.Added);
        return added;
    }

    /// <summary>Takes an interface out, with its addresses and routes. EPERM for loopback.</summary>
    public Errno RemoveInterface(NetworkInterface link)
    {
        if (link.IsLoopback)
            return Errno.EPERM;
        link.IsUp = false;
        foreach (InterfaceAddress address in link.Addresses.ToList())
            link.RemoveAddress(address.Address, address.Prefix);
        _routes.RemoveOf(link.Index);
        link.Detach();
        _interfaces.Remove(link);
        _routes.Touch();
        TellLink(link, StackChange.Removed);
        return Errno.None;
    }

    /// <summary>Turns IPv6 off or on, on all interfaces and those to come (net.ipv6.conf.all.disable_ipv6).</summary>
    public void DisableIpv6(bool off)
    {
        _settings.DisableIpv6 = off;
        foreach (NetworkInterface link in _interfaces)
            link.DisableIpv6 = off;
    }

    /// <summary>Told of changes from now on.</summary>
    public void AddObserver(IStackObserver observer) => _observers.Add(observer);

    public void RemoveObserver(IStackObserver observer) => _observers.Remove(observer);

    /// <summary>Tells a link, perhaps another than before a restore, that this stack's addresses and groups are here now: gratuitous ARP, unsolicited neighbour
    /// advertisements, membership reports.</summary>
    public void Announce(NetworkInterface link) => _ip.Announce(link);

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

    /// <summary>Queues a frame to come in by an interface at the end of the call.</summary>
    internal void Cross(NetworkInterface link, Packet frame) => _crossing.Enqueue((link, frame));

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Host)
            _host = context.Get<IStackHost>();
    }
}
