using Netstack.Links;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>
/// The switch's own station: an instance of the stack that sandboxes have too, so that no privilege is needed. It answers for the gateway's
/// addresses, serves names, dials sandboxes for published ports and carries what they send out over sockets of the host. On the loop's thread.
/// </summary>
public sealed class Gateway : IFrameSink, ILinkDriver, IStackHost, IDialer
{
    private const int Mtu = 1500, LongestSegments = 65535, Realtime_ = 0;

    private readonly LearningSwitch _switch;
    private readonly SwitchPort _port;
    private readonly NetworkStack _stack;
    private readonly NetworkInterface _link;
    private readonly Queue<Action> _ready = new();
    private readonly Dictionary<InetAddress, int> _borrowed = [];

    public Gateway(NetworkLoop loop, LearningSwitch @switch, GatewayAddresses addresses)
    {
        (Loop, _switch, Addresses) = (loop, @switch, addresses);
        _port = @switch.Add("gateway", this);
        _stack = new NetworkStack(this);
        @switch.Own(_port, addresses.Mac);
        using (Enter())
        {
            _link = _stack.AddInterface("eth0", InterfaceKind.Ethernet, addresses.Mac, Mtu);
            _link.Attach(this, LongestSegments, offloadsChecksum: true);
            _link.IsUp = true;
            foreach ((InetAddress address, int prefix) in addresses.All)
            {
                _link.AddAddress(Permanent(address, prefix, 0));
                @switch.Own(_port, address);
            }
        }

        loop.AfterEvents = RunReady;
        loop.NextDeadline = () => _ready.Count > 0 ? 0 : _stack.NextDeadline;
    }

    public NetworkLoop Loop { get; }

    public GatewayAddresses Addresses { get; }

    public NetworkStack Stack => _stack;

    /// <summary>Looks at what sandboxes send before the stack does; true when it has taken the frame.</summary>
    public Func<Packet, bool>? Intercept { get; set; }

    public long Realtime => HostEvents.GetTime(Realtime_);

    public void FillRandom(Span<byte> destination) => HostEvents.FillRandom(destination);

    /// <summary>Begins calls into the stack; ended by disposing.</summary>
    public StackTurn Enter() => new(_stack, NetworkLoop.Now);

    /// <summary>Does something before the loop waits again, outside of any call into the stack.</summary>
    public void Soon(Action action) => _ready.Enqueue(action);

    public void Deliver(ReadOnlySpan<byte> frame)
    {
        Packet packet = OffloadHeader.Read(frame);
        if (Intercept?.Invoke(packet) != true)
            Receive(packet);
    }

    /// <summary>Gives the stack a frame.</summary>
    public void Receive(Packet packet) => _stack.Receive(_link, packet, NetworkLoop.Now);

    public bool Transmit(Packet frame)
    {
        _switch.Forward(_port, OffloadHeader.Write(frame), NetworkLoop.Now);
        return true;
    }

    /// <summary>Sends a frame (virtio header first) to the sandboxes.</summary>
    public void Send(ReadOnlySpan<byte> frame) => _switch.Forward(_port, frame, NetworkLoop.Now);

    public void Dial(InetAddress address, int port, Action<IStreamEnd?, Errno> done)
    {
        using StackTurn turn = Enter();
        TcpEndpoint endpoint = _stack.Tcp.CreateEndpoint(address.IsV6, new EndpointOptions());
        GuestStream stream = new(this, endpoint);
        bool told = false;
        stream.OnReady = Look;
        stream.Want(read: true, write: true);
        Errno error = endpoint.Connect(address, (ushort)port);
        if (error is not (Errno.None or Errno.EINPROGRESS))
        {
            Soon(() => Tell(error));
            return;
        }

        Soon(Look);

        void Look()
        {
            if (endpoint.State is TcpState.SynSent or TcpState.SynReceived)
                return;
            Tell(endpoint.State == TcpState.Closed ? endpoint.TakeError() is var e && e != Errno.None ? e : Errno.ECONNREFUSED : Errno.None);
        }

        void Tell(Errno result)
        {
            if (told)
                return;
            told = true;
            stream.OnReady = null;
            if (result == Errno.None)
            {
                done(stream, Errno.None);
                return;
            }

            stream.Close(abort: true);
            done(null, result);
        }
    }

    public IDatagramEnd? Open(InetAddress address, int port)
    {
        using StackTurn turn = Enter();
        UdpEndpoint endpoint = _stack.Udp.CreateEndpoint(address.IsV6, new EndpointOptions());
        if (endpoint.Connect(address, (ushort)port, 0) == Errno.None)
            return new GuestDatagrams(this, endpoint);
        endpoint.Close();
        return null;
    }

    /// <summary>Makes an address of somewhere else one of the stack's, so that it speaks for it; counted.</summary>
    public void Borrow(InetAddress address)
    {
        _borrowed.TryGetValue(address, out int count);
        _borrowed[address] = count + 1;
        if (count > 0)
            return;
        using StackTurn turn = Enter();
        _link.AddAddress(Permanent(address, address.Bits, AddressFlags.NoPrefixRoute));
    }

    public void GiveBack(InetAddress address)
    {
        if (!_borrowed.TryGetValue(address, out int count))
            return;
        if (count > 1)
        {
            _borrowed[address] = count - 1;
            return;
        }

        _borrowed.Remove(address);
        using StackTurn turn = Enter();
        _link.RemoveAddress(address, address.Bits);
    }

    private static InterfaceAddress Permanent(InetAddress address, int prefix, uint flags) => new()
    {
        Address = address,
        Prefix = prefix,
        Flags = AddressFlags.Permanent | AddressFlags.NoDad | flags,
    };

    private void RunReady()
    {
        long now = NetworkLoop.Now;
        if (_stack.NextDeadline <= now)
            _stack.RunTimers(now);

        // Only those that are there now: what they add waits for the next round, after the descriptors.
        for (int count = _ready.Count; count > 0 && _ready.TryDequeue(out Action? action); count--)
            action();
    }
}

/// <summary>Calls into a stack at one time: begun by making it, ended by disposing.</summary>
public readonly ref struct StackTurn
{
    private readonly NetworkStack _stack;

    public StackTurn(NetworkStack stack, long now)
    {
        _stack = stack;
        stack.Enter(now);
    }

    public void Dispose() => _stack.Leave();
}

/// <summary>The addresses of a switch's gateway.</summary>
/// <param name="Names">Where names are asked for; the gateway's own address in a network too small for another.</param>
public sealed record GatewayAddresses(MacAddress Mac, Subnet Subnet, InetAddress Gateway, InetAddress Names, Subnet SubnetV6, InetAddress GatewayV6)
{
    public IEnumerable<(InetAddress Address, int Prefix)> All =>
        Names == Gateway ? [(Gateway, Subnet.Prefix), (GatewayV6, SubnetV6.Prefix)] : [(Gateway, Subnet.Prefix), (Names, Subnet.Prefix), (GatewayV6, SubnetV6.Prefix)];

    /// <summary>Those of a network: host 2 is the gateway and host 3 serves names, where there is room.</summary>
    /// <param name="gateway">The gateway's address; unspecified for the usual one.</param>
    public static GatewayAddresses Of(Subnet subnet, Subnet subnetV6, InetAddress gateway)
    {
        const int UsualGateway = 2, UsualNames = 3, Room = 6;
        const ulong Mac = 0x02_5e_a7_00_00_02;
        bool small = subnet.Hosts < Room;
        InetAddress chosen = !gateway.IsAny ? gateway : subnet.Host(small ? 1 : UsualGateway);
        InetAddress names = small ? chosen : subnet.Host(UsualNames);
        return new GatewayAddresses(new MacAddress(Mac), subnet, chosen, names, subnetV6, subnetV6.Host(UsualGateway));
    }
}
