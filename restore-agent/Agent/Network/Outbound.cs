using Netstack.Stack;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>
/// Carries what sandboxes send beyond their network over sockets of the host. A connection is made on the host first; only then does the
/// gateway's stack, which borrows the destination's address, answer the sandbox, so a sandbox sees refusals as they are.
/// </summary>
public sealed class Outbound
{
    private const int MostFlows = 4096;

    private readonly Gateway _gateway;
    private readonly OutboundPolicy _policy;
    private readonly OutboundStreams _streams;
    private readonly OutboundDatagrams _datagrams;

    public Outbound(Gateway gateway, OutboundPolicy policy, Action<ReadOnlyMemory<byte>> answer)
    {
        (_gateway, _policy) = (gateway, policy);
        Answer = answer;
        _streams = new OutboundStreams(gateway, this);
        _datagrams = new OutboundDatagrams(gateway);
        gateway.Intercept = Intercept;
    }

    /// <summary>Sends a frame to the sandboxes' side.</summary>
    private Action<ReadOnlyMemory<byte>> Answer { get; }

    public int Count => _streams.Count + _datagrams.Count;

    /// <summary>Ends everything, or all of one sandbox.</summary>
    public void Abort(InetAddress? source = null)
    {
        _streams.Abort(source);
        _datagrams.Abort(source);
    }

    /// <summary>Tells a sandbox that its packet goes nowhere.</summary>
    internal void Refuse(Packet packet, bool prohibited)
    {
        if (UnreachableReply.Build(packet.Head, _gateway.Addresses, prohibited) is { } reply)
            Answer(reply);
    }

    private bool Intercept(Packet packet)
    {
        if (!TransportView.TryRead(packet.Head, out TransportView view) || !_policy.IsBeyond(view.Flow.Source, view.Flow.Destination))
            return false;
        if (view.Protocol == IpProtocol.Tcp)
        {
            if (!view.OpensConnection || _streams.Knows(view.Flow))
                return _streams.IsConnecting(view.Flow);
        }
        else if (_datagrams.Knows(view.Flow))
        {
            return false;
        }

        if (_policy.Translate(view.Flow.Source, view.Flow.Destination) is not { } target || Count >= MostFlows)
        {
            Refuse(packet, prohibited: true);
            return true;
        }

        if (view.Protocol == IpProtocol.Tcp)
        {
            _streams.Open(view.Flow, target, packet);
            return true;
        }

        return !_datagrams.Open(view.Flow, target);
    }
}

/// <summary>Connections of sandboxes to the world.</summary>
internal sealed class OutboundStreams(Gateway gateway, Outbound outbound)
{
    private const long HandshakeTime = 30L * 1_000_000_000;
    private const int Backlog = 128;

    private readonly Dictionary<Flow, Connection> _flows = [];
    private readonly Dictionary<InetEndpoint, Listener> _listeners = [];

    public int Count => _flows.Count;

    public bool Knows(Flow flow) => _flows.ContainsKey(flow);

    /// <summary>Its SYN waits for the host's connection, so that others of it are not for the stack.</summary>
    public bool IsConnecting(Flow flow) => _flows.TryGetValue(flow, out Connection? connection) && connection.Syn is not null;

    public void Open(Flow flow, InetAddress target, Packet syn)
    {
        Connection connection = new(flow) { Syn = syn };
        _flows[flow] = connection;
        Result<int> made = HostSockets.Create(target.IsV4 ? HostSockets.Inet : HostSockets.Inet6, HostSockets.Stream | HostSockets.NonBlocking);
        if (made.IsError)
            OnConnected(connection, null, made.Error);
        else
            HostStream.Connect(gateway.Loop, made.Value, target, flow.DestinationPort, (stream, error) => OnConnected(connection, stream, error));
    }

    public void Abort(InetAddress? source)
    {
        foreach (Connection connection in _flows.Values.Where(c => source is null || c.Flow.Source == source).ToArray())
        {
            if (connection.Relay is { } relay)
                relay.Abort();
            else
                Forget(connection);
        }
    }

    private void OnConnected(Connection connection, HostStream? stream, Errno error)
    {
        Packet syn = connection.Syn!;
        connection.Syn = null;
        connection.Stream = stream;
        if (!_flows.ContainsKey(connection.Flow))
        {
            stream?.Close(abort: true);
            return;
        }

        InetAddress address = connection.Flow.Destination;
        if (stream is null)
        {
            _flows.Remove(connection.Flow);
            if (error == Errno.ECONNREFUSED)
            {
                // The stack refuses it by itself: the address is its own for a moment and nobody listens there.
                gateway.Borrow(address);
                gateway.Receive(syn);
                gateway.GiveBack(address);
            }
            else
            {
                outbound.Refuse(syn, prohibited: false);
            }

            return;
        }

        if (!Listen(connection))
        {
            Forget(connection);
            return;
        }

        connection.Timeout = gateway.Loop.At(NetworkLoop.Now + HandshakeTime, () => Forget(connection));
        gateway.Receive(syn);
    }

    private bool Listen(Connection connection)
    {
        InetEndpoint key = new(connection.Flow.Destination, connection.Flow.DestinationPort);
        if (!_listeners.TryGetValue(key, out Listener? listener))
        {
            gateway.Borrow(key.Address);
            using StackTurn turn = gateway.Enter();
            TcpEndpoint endpoint = gateway.Stack.Tcp.CreateEndpoint(key.Address.IsV6, new EndpointOptions { ReuseAddress = true });
            Errno error = endpoint.Bind(key.Address, (ushort)key.Port);
            if (error == Errno.None)
                error = endpoint.Listen(Backlog);
            if (error != Errno.None)
            {
                endpoint.Close();
                gateway.GiveBack(key.Address);
                return false;
            }

            listener = new Listener(this, key, endpoint);
            _listeners[key] = listener;
        }

        listener.Users++;
        connection.Listener = listener;
        return true;
    }

    private void Accept(Listener listener)
    {
        while (true)
        {
            TcpEndpoint? accepted;
            using (gateway.Enter())
                accepted = listener.Endpoint.Accept();
            if (accepted is null)
                return;
            GuestStream guest = new(gateway, accepted);
            Flow flow = new(accepted.RemoteAddress, accepted.RemotePort, accepted.LocalAddress, accepted.LocalPort);
            if (!_flows.TryGetValue(flow, out Connection? connection) || connection.Stream is not { } stream || connection.Relay is not null)
            {
                guest.Close(abort: true);
                continue;
            }

            connection.Timeout?.Cancel();
            connection.Relay = new StreamRelay(guest, stream, _ => Forget(connection));
            connection.Relay.Start();
        }
    }

    private void Forget(Connection connection)
    {
        if (!_flows.Remove(connection.Flow))
            return;
        connection.Timeout?.Cancel();
        if (connection.Relay is null)
            connection.Stream?.Close(abort: true);
        if (connection.Listener is not { } listener || --listener.Users > 0)
            return;
        _listeners.Remove(listener.Key);
        using (gateway.Enter())
            listener.Endpoint.Close();

        // The connection itself may still have a FIN to send or acknowledge from the borrowed address.
        const long Farewell = 60L * 1_000_000_000;
        gateway.Loop.At(NetworkLoop.Now + Farewell, () => gateway.GiveBack(listener.Key.Address));
    }

    private sealed class Connection(Flow flow)
    {
        public Flow Flow => flow;

        /// <summary>Kept while the host connects.</summary>
        public Packet? Syn { get; set; }

        public HostStream? Stream { get; set; }

        public StreamRelay? Relay { get; set; }

        public Listener? Listener { get; set; }

        public LoopTimer? Timeout { get; set; }
    }

    private sealed class Listener : IEndpointObserver
    {
        private readonly OutboundStreams _owner;

        public Listener(OutboundStreams owner, InetEndpoint key, TcpEndpoint endpoint)
        {
            (_owner, Key, Endpoint) = (owner, key, endpoint);
            endpoint.Observer = this;
        }

        public InetEndpoint Key { get; }

        public TcpEndpoint Endpoint { get; }

        public int Users { get; set; }

        public void OnReady(EndpointEvents events) => _owner.Soon(this);
    }

    private void Soon(Listener listener) => gateway.Soon(() => Accept(listener));
}

/// <summary>Datagrams of sandboxes to the world and the answers to them.</summary>
internal sealed class OutboundDatagrams(Gateway gateway)
{
    private const long Idle = 120L * 1_000_000_000;

    private readonly Dictionary<Flow, Exchange> _flows = [];
    private readonly Dictionary<InetEndpoint, Station> _stations = [];
    private LoopTimer? _sweep;

    public int Count => _flows.Count;

    public bool Knows(Flow flow) => _flows.ContainsKey(flow);

    /// <summary>Prepares for a flow; the datagram itself goes to the stack, which puts fragments together.</summary>
    public bool Open(Flow flow, InetAddress target)
    {
        InetEndpoint key = new(flow.Destination, flow.DestinationPort);
        if (!_stations.TryGetValue(key, out Station? station) && !TryMake(key, out station))
            return false;
        Result<int> made = HostSockets.Create(target.IsV4 ? HostSockets.Inet : HostSockets.Inet6, HostSockets.Datagram | HostSockets.NonBlocking);
        if (made.IsError || HostSockets.Connect(made.Value, new InetSocketAddress(target.ToBytes(), flow.DestinationPort).Bytes) != Errno.None)
        {
            if (made.IsOk)
                HostFile.Close(made.Value);
            Release(station!);
            return false;
        }

        HostDatagrams socket = new(gateway.Loop, made.Value);
        Exchange exchange = new(flow, station!, socket);
        station!.Users++;
        _flows[flow] = exchange;
        socket.OnReceived = datagram =>
        {
            exchange.Seen = NetworkLoop.Now;
            using StackTurn turn = gateway.Enter();
            station.Endpoint.Send(datagram.ToArray(), flow.Source, (ushort)flow.SourcePort, 0, new DatagramControl());
        };
        _sweep ??= gateway.Loop.At(NetworkLoop.Now + Idle, Sweep);
        return true;
    }

    public void Abort(InetAddress? source)
    {
        foreach (Exchange exchange in _flows.Values.Where(e => source is null || e.Flow.Source == source).ToArray())
            Close(exchange);
    }

    private bool TryMake(InetEndpoint key, out Station? station)
    {
        gateway.Borrow(key.Address);
        using StackTurn turn = gateway.Enter();
        UdpEndpoint endpoint = gateway.Stack.Udp.CreateEndpoint(key.Address.IsV6, new EndpointOptions { ReuseAddress = true });
        if (endpoint.Bind(key.Address, (ushort)key.Port) != Errno.None)
        {
            endpoint.Close();
            gateway.GiveBack(key.Address);
            station = null;
            return false;
        }

        station = new Station(this, key, endpoint);
        _stations[key] = station;
        return true;
    }

    private void Receive(Station station)
    {
        while (true)
        {
            Datagram? datagram;
            using (gateway.Enter())
                datagram = station.Endpoint.Receive(peek: false);
            if (datagram is null)
                return;
            Flow flow = new(datagram.Source, datagram.SourcePort, station.Key.Address, station.Key.Port);
            if (!_flows.TryGetValue(flow, out Exchange? exchange))
                continue;
            exchange.Seen = NetworkLoop.Now;
            exchange.Socket.Send(datagram.Data);
        }
    }

    private void Close(Exchange exchange)
    {
        if (!_flows.Remove(exchange.Flow))
            return;
        exchange.Socket.Close();
        exchange.Station.Users--;
        Release(exchange.Station);
    }

    private void Release(Station station)
    {
        if (station.Users > 0)
            return;
        _stations.Remove(station.Key);
        using (gateway.Enter())
            station.Endpoint.Close();
        gateway.GiveBack(station.Key.Address);
    }

    private void Sweep()
    {
        long now = NetworkLoop.Now;
        foreach (Exchange exchange in _flows.Values.Where(e => now - e.Seen > Idle).ToArray())
            Close(exchange);
        _sweep = _flows.Count > 0 ? gateway.Loop.At(now + Idle, Sweep) : null;
    }

    private sealed class Exchange(Flow flow, Station station, HostDatagrams socket)
    {
        public Flow Flow => flow;

        public Station Station => station;

        public HostDatagrams Socket => socket;

        public long Seen { get; set; } = NetworkLoop.Now;
    }

    private sealed class Station : IEndpointObserver
    {
        private readonly OutboundDatagrams _owner;

        public Station(OutboundDatagrams owner, InetEndpoint key, UdpEndpoint endpoint)
        {
            (_owner, Key, Endpoint) = (owner, key, endpoint);
            endpoint.Observer = this;
        }

        public InetEndpoint Key { get; }

        public UdpEndpoint Endpoint { get; }

        public int Users { get; set; }

        public void OnReady(EndpointEvents events) => _owner.Soon(this);
    }

    private void Soon(Station station) => gateway.Soon(() => Receive(station));
}
