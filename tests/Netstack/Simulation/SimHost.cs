namespace Tests.Netstack.Simulation;

/// <summary>A host of a simulated network: a stack, its random numbers and its ports.</summary>
public sealed class SimHost : IStackHost
{
    private const int Headroom = 32;

    private static readonly SavableRegistry Registry = MakeRegistry();

    private readonly SimNetwork _network;
    private readonly List<SimPort> _ports = [];
    private readonly Random _random;
    private readonly int _number;

    internal SimHost(SimNetwork network, string name, int number)
    {
        _network = network;
        Name = name;
        _number = number;
        _random = new Random(network.Random.Next());
        Stack = new NetworkStack(this);
    }

    public string Name { get; }

    /// <summary>Another object after <see cref="SaveAndRestore"/>.</summary>
    public NetworkStack Stack { get; private set; }

    public IReadOnlyList<SimPort> Ports => _ports;

    public long Realtime => _network.Now;

    /// <summary>Claims of the host's addresses by others.</summary>
    public List<(InetAddress Address, MacAddress Claimant)> Conflicts { get; } = [];

    /// <summary>A host that is off neither gets frames nor runs timers.</summary>
    public bool IsOff { get; set; }

    internal long NextDeadline => IsOff ? long.MaxValue : Stack.NextDeadline;

    public void FillRandom(Span<byte> destination) => _random.NextBytes(destination);

    public void OnAddressConflict(NetworkInterface link, InetAddress address, MacAddress claimant) => Conflicts.Add((address, claimant));

    /// <summary>Plugs the host into a segment by a new interface, which is up and has the addresses (of the form 10.0.0.1/24) at once.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="addresses">IPv4 and IPv6, without duplicate address detection.</param>
    public NetworkInterface Attach(SimSegment segment, params string[] addresses) => Attach(segment, false, addresses);

    /// <param name="segment">Where.</param>
    /// <param name="offloads">The driver takes packets of 64 KiB and leaves checksums open, as a TAP with IFF_VNET_HDR does.</param>
    /// <param name="addresses">As above.</param>
    public NetworkInterface Attach(SimSegment segment, bool offloads, params string[] addresses)
    {
        string name = $"eth{_ports.Count}";
        NetworkInterface? link = null;
        Do(stack =>
        {
            link = stack.AddInterface(name, InterfaceKind.Ethernet, new MacAddress(0x02_00_00_00_00_00UL | (uint)_number << 8 | (uint)_ports.Count), 1500);
            SimPort port = segment.Join(this, name, offloads);
            _ports.Add(port);
            link.Attach(port, offloads ? 65535 : 0, offloads);
            link.IsUp = true;
            foreach (string address in addresses)
                Assert.Equal(Errno.None, link.AddAddress(ParseAddress(address)));
        });
        return link!;
    }

    public static InterfaceAddress ParseAddress(string text)
    {
        string[] parts = text.Split('/');
        return new InterfaceAddress
        {
            Address = InetAddress.Parse(parts[0]),
            Prefix = int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture),
            Flags = AddressFlags.Permanent | AddressFlags.NoDad,
        };
    }

    /// <summary>A call of the stack.</summary>
    public void Do(Action<NetworkStack> call)
    {
        Stack.Enter(_network.Now);
        call(Stack);
        Stack.Leave();
    }

    /// <summary>A call of the stack.</summary>
    public T Do<T>(Func<NetworkStack, T> call)
    {
        Stack.Enter(_network.Now);
        T result = call(Stack);
        Stack.Leave();
        return result;
    }

    /// <summary>An image of the stack.</summary>
    public byte[] Save() => StateWriter.Save(Stack);

    /// <summary>Takes the stack's place by one from an image, on the same ports. Endpoints that a test holds are to be found again in the new stack.</summary>
    /// <param name="image">Of <see cref="Save"/>.</param>
    /// <param name="announce">Tells the links, as a sentry does after a restore.</param>
    public void Restore(byte[] image, bool announce = true)
    {
        Stack = StateReader.Load<NetworkStack>(image, Registry, new Context(this));
        foreach (SimPort port in _ports)
        {
            NetworkInterface link = Stack.FindInterface(port.InterfaceName)!;
            link.Attach(port, port.Offloads ? 65535 : 0, port.Offloads);
            if (announce)
                Do(stack => stack.Announce(link));
        }
    }

    public void SaveAndRestore(bool announce = false) => Restore(Save(), announce);

    /// <summary>Pulls a cable and plugs it in elsewhere.</summary>
    public void Move(int port, SimSegment segment)
    {
        SimPort old = _ports[port];
        old.Segment.Leave(old);
        SimPort moved = segment.Join(this, old.InterfaceName, old.Offloads);
        _ports[port] = moved;
        Stack.FindInterface(moved.InterfaceName)!.Attach(moved, moved.Offloads ? 65535 : 0, moved.Offloads);
    }

    internal void RunTimers() => Stack.RunTimers(_network.Now);

    internal void Receive(SimPort port, byte[] frame, ChecksumState checksum, int segmentSize)
    {
        if (IsOff || Stack.FindInterface(port.InterfaceName) is not { } link)
            return;
        byte[] buffer = new byte[Headroom + frame.Length];
        frame.CopyTo(buffer, Headroom);
        Packet packet = Packet.Received(buffer, Headroom, frame.Length);
        packet.Checksum = checksum;
        packet.SegmentSize = segmentSize;
        Stack.Receive(link, packet, _network.Now);
    }

    private static SavableRegistry MakeRegistry()
    {
        var registry = new SavableRegistry();
        global::Netstack.Wire.SavableTypes.Register(registry);
        global::Netstack.Stack.SavableTypes.Register(registry);
        return registry;
    }

    private sealed class Context(SimHost host) : IRestoreContext
    {
        public T Get<T>()
            where T : class => (T)(object)host;
    }
}
