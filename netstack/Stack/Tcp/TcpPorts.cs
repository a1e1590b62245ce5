namespace Netstack.Stack;

/// <summary>A claim on a local port that bind(2) made. Connections without one are found in the table of connections.</summary>
[Savable("tcp-port-binding")]
internal sealed partial class TcpPortBinding
{
    [Saved(1)] public ushort Port;
    [Saved(2)] public TcpEndpoint Endpoint;
    [Saved(3)] public InetAddress Address;
    [Saved(4)] public TcpPortBinding? Next;

    public TcpPortBinding(TcpEndpoint endpoint, InetAddress address, ushort port)
    {
        Endpoint = endpoint;
        Address = address;
        Port = port;
    }
}

/// <summary>What decides whether two users of a port get in each other's way.</summary>
internal readonly record struct TcpPortUser(InetAddress Address, bool V6Only, int Interface, bool ReuseAddress, bool ReusePort, uint OwnerUid, bool IsListening, bool IsWaiting)
{
    public static TcpPortUser Of(TcpEndpoint e, InetAddress address) => new(address, e.IsV6 && e.Options.V6Only, e.Options.BoundInterface,
        e.Options.ReuseAddress, e.Options.ReusePort, e.Options.OwnerUid, e.State == TcpState.Listen, false);

    /// <summary>Whether a newcomer may not have the port beside <paramref name="other"/>.</summary>
    public bool ConflictsWith(in TcpPortUser other)
    {
        if (!Overlaps(in other))
            return false;
        if (ReuseAddress && other.ReuseAddress && !other.IsListening)
            return false;
        return !(ReusePort && other.ReusePort && (other.IsWaiting || other.OwnerUid == OwnerUid));
    }

    /// <summary>Whether some packet could be for either.</summary>
    public bool Overlaps(in TcpPortUser other)
    {
        if (Interface != 0 && other.Interface != 0 && Interface != other.Interface)
            return false;
        if (!Address.IsAny && !other.Address.IsAny)
            return Address == other.Address;
        if (Address.IsAny && other.Address.IsAny)
            return Address.IsV4 == other.Address.IsV4 || !(Address.IsV4 ? other.V6Only : V6Only);
        return Address.IsAny ? Covers(other.Address) : other.Covers(Address);
    }

    private bool Covers(InetAddress specific) => Address.IsV4 == specific.IsV4 || (!Address.IsV4 && !V6Only);
}

/// <summary>Which local ports are taken, who may share one (socket(7): SO_REUSEADDR, SO_REUSEPORT), and the choice of free ones (RFC 6056).</summary>
[Savable("tcp-ports")]
internal sealed partial class TcpPorts
{
    [Saved(1)] private TcpLayer _layer;
    [Saved(2)] private Dictionary<ushort, TcpPortBinding> _ports = [];

    /// <summary>Table of the double hash (RFC 6056 section 3.3.4): where the search of each class of destinations stands.</summary>
    [Saved(3)] private uint[] _perturbation = [];

    /// <summary>How many connections, TIME-WAIT included, have each local port.</summary>
    [Saved(4)] private Dictionary<ushort, int> _uses = [];

    public TcpPorts(TcpLayer layer) => _layer = layer;

    /// <summary>The first claim on a port, the others follow by Next; null when nobody is bound to it.</summary>
    public TcpPortBinding? First(ushort port) => _ports.GetValueOrDefault(port);

    /// <summary>All endpoints that are bound.</summary>
    public List<TcpEndpoint> Bound()
    {
        List<TcpEndpoint> all = [];
        foreach (TcpPortBinding first in _ports.Values)
        {
            for (TcpPortBinding? binding = first; binding is not null; binding = binding.Next)
                all.Add(binding.Endpoint);
        }

        return all;
    }

    /// <summary>Claims a port, or chooses one when it is 0. EADDRINUSE.</summary>
    public Errno Bind(TcpEndpoint e, InetAddress address, ushort port)
    {
        if (port == 0)
            port = ChooseForBind(e, address);
        else if (HasConflict(TcpPortUser.Of(e, address), port, null))
            port = 0;
        if (port == 0)
            return Errno.EADDRINUSE;
        var binding = new TcpPortBinding(e, address, port) { Next = First(port) };
        _ports[port] = binding;
        e.Binding = binding;
        e.LocalPort = port;
        return Errno.None;
    }

    /// <summary>Two sockets with SO_REUSEADDR may be bound to one port, but only one may listen: checked again then.</summary>
    public Errno CheckListen(TcpEndpoint e) => HasConflict(TcpPortUser.Of(e, e.Binding!.Address), e.LocalPort, e) ? Errno.EADDRINUSE : Errno.None;

    public void Release(TcpEndpoint e)
    {
        if (e.Binding is not { } binding)
            return;
        e.Binding = null;
        TcpPortBinding? at = First(binding.Port);
        if (!ReferenceEquals(at, binding))
        {
            while (at is not null && !ReferenceEquals(at.Next, binding))
                at = at.Next;
            at!.Next = binding.Next;
        }
        else if (binding.Next is null)
        {
            _ports.Remove(binding.Port);
        }
        else
        {
            _ports[binding.Port] = binding.Next;
        }
    }

    /// <summary>A connection with this local port has come into the table.</summary>
    public void Use(ushort port) => _uses[port] = _uses.GetValueOrDefault(port) + 1;

    public void Unuse(ushort port)
    {
        int left = _uses.GetValueOrDefault(port) - 1;
        if (left > 0)
            _uses[port] = left;
        else
            _uses.Remove(port);
    }

    /// <summary>Chooses a port for an active open: one with which the connection is unique. <paramref name="isFree"/> judges a connection's tuple.</summary>
    public ushort ChooseForConnect(TcpEndpoint e, Func<ushort, bool> isFree)
    {
        (int low, int count) = Range();
        ulong hash = TcpHashes.PortOffset(_layer.Stack, e.LocalAddress, e.RemoteAddress, e.RemotePort);
        const int TableSize = 4096;
        if (_perturbation.Length == 0)
            _perturbation = new uint[TableSize];
        ref uint perturbation = ref _perturbation[(int)(hash % TableSize)];
        if (perturbation == 0)
            perturbation = Random();
        uint offset = (uint)(hash >> 32) + perturbation;
        offset = (uint)(offset % (uint)count) & ~1u;

        // Even distances first: bind takes the others, so that the two do not crowd each other.
        for (int half = 0; half < 2; half++)
        {
            for (int i = 0; i < count; i += 2)
            {
                int at = (int)((offset + (uint)half + (uint)i) % (uint)count);
                ushort port = (ushort)(low + at);
                if (First(port) is not null || !isFree(port))
                    continue;
                perturbation += (uint)(i + 2);
                return port;
            }
        }

        return 0;
    }

    private (int Low, int Count) Range()
    {
        int low = _layer.Stack.Settings.PortRangeFirst, high = _layer.Stack.Settings.PortRangeLast;
        return (low, Math.Max(1, high - low + 1));
    }

    private uint Random()
    {
        Span<byte> bytes = stackalloc byte[4];
        _layer.Stack.Host.FillRandom(bytes);
        return BitConverter.ToUInt32(bytes) | 1;
    }

    private ushort ChooseForBind(TcpEndpoint e, InetAddress address)
    {
        (int low, int count) = Range();
        uint offset = (Random() % (uint)count) | 1;

        // First such that nobody has at all, then with the usual rules.
        TcpPortUser user = TcpPortUser.Of(e, address);
        for (int round = 0; round < 2; round++)
        {
            for (int half = 0; half < 2; half++)
            {
                for (int i = 0; i < count; i += 2)
                {
                    ushort port = (ushort)(low + (int)((offset + (uint)half + (uint)i) % (uint)count));
                    bool free = First(port) is null && !_uses.ContainsKey(port);
                    if (free || (round == 1 && !HasConflict(user, port, null)))
                        return port;
                }
            }
        }

        return 0;
    }

    private bool HasConflict(in TcpPortUser user, ushort port, TcpEndpoint? self)
    {
        for (TcpPortBinding? other = First(port); other is not null; other = other.Next)
        {
            // One that listens already is what a second listener is checked against; merely bound ones were judged by bind.
            if (ReferenceEquals(other.Endpoint, self) || (self is not null && other.Endpoint.State != TcpState.Listen))
                continue;
            if (user.ConflictsWith(TcpPortUser.Of(other.Endpoint, other.Address)))
                return true;
        }

        return self is null && _uses.ContainsKey(port) && _layer.HasPortConflict(in user, port);
    }
}
