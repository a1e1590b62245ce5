namespace Netstack.Stack;

/// <summary>Raw IP sockets (raw(7)), ping sockets (icmp(7)) and packet sockets (packet(7)).</summary>
[Savable("raw-layer")]
public sealed partial class RawLayer
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private List<RawEndpoint> _raws = [];
    [Saved(3)] private List<RawEndpoint> _pings = [];
    [Saved(4)] private List<PacketEndpoint> _packets = [];

    internal RawLayer(NetworkStack stack) => _stack = stack;

    /// <summary>Raw sockets; they receive from the moment they are made.</summary>
    public IEnumerable<RawEndpoint> RawEndpoints => _raws;

    /// <summary>Ping sockets that have an identifier.</summary>
    public IEnumerable<RawEndpoint> PingEndpoints => _pings;

    public IEnumerable<PacketEndpoint> PacketEndpoints => _packets;

    /// <summary>Whether any packet socket is there: frames need not be shown to them otherwise.</summary>
    internal bool HasTaps => _packets.Count > 0;

    /// <param name="protocol">IPPROTO_*; 255 sends only.</param>
    public RawEndpoint CreateRaw(bool isV6, byte protocol, EndpointOptions options)
    {
        var endpoint = new RawEndpoint(_stack, isV6, protocol, false, options);
        _raws.Add(endpoint);
        return endpoint;
    }

    /// <summary>SOCK_DGRAM with IPPROTO_ICMP or ICMPV6: echo requests of one identifier.</summary>
    public RawEndpoint CreatePing(bool isV6, EndpointOptions options) => new(_stack, isV6, isV6 ? IpProtocol.Icmpv6 : IpProtocol.Icmp, true, options);

    /// <param name="protocol">ETH_P_* in host order; 3 is all, 0 none until bound.</param>
    /// <param name="cooked">SOCK_DGRAM: without the link header.</param>
    public PacketEndpoint CreatePacket(ushort protocol, bool cooked, EndpointOptions options)
    {
        var endpoint = new PacketEndpoint(_stack, protocol, cooked, options);
        _packets.Add(endpoint);
        return endpoint;
    }

    /// <summary>Shows a frame (link header at Start; cooked sockets get it without) to the packet sockets.</summary>
    internal void Tap(Packet frame, NetworkInterface from, bool outgoing, PacketEndpoint? sender = null)
    {
        foreach (PacketEndpoint endpoint in _packets)
        {
            if (!ReferenceEquals(endpoint, sender))
                endpoint.Tap(frame, from, outgoing);
        }
    }

    /// <summary>Gives a received IP packet (NetworkOffset and TransportOffset set) to raw sockets of its protocol; false when there is none.</summary>
    internal bool Receive(Packet packet, in IpInfo info)
    {
        bool taken = false;
        foreach (RawEndpoint endpoint in _raws)
            taken |= endpoint.Receive(packet, info);
        return taken;
    }

    /// <summary>An echo reply for the ping socket of its identifier.</summary>
    /// <param name="packet">From the ICMP header on.</param>
    internal void ReceiveEchoReply(Packet packet, in IpInfo info, ushort identifier)
    {
        foreach (RawEndpoint endpoint in _pings)
        {
            if (endpoint.ReceiveReply(packet, info, identifier))
                return;
        }
    }

    internal void OnError(byte protocol, in TransportError error)
    {
        foreach (RawEndpoint endpoint in _raws)
            endpoint.OnError(protocol, error);
        if (protocol is not (IpProtocol.Icmp or IpProtocol.Icmpv6))
            return;
        foreach (RawEndpoint endpoint in _pings)
            endpoint.OnError(protocol, error);
    }

    internal void Remove(RawEndpoint endpoint)
    {
        _raws.Remove(endpoint);
        _pings.Remove(endpoint);
    }

    internal void Remove(PacketEndpoint endpoint) => _packets.Remove(endpoint);

    /// <summary>Gives a ping socket an identifier: EADDRINUSE when another has it or none is free.</summary>
    /// <param name="identifier">0 to choose one.</param>
    internal Errno BindPing(RawEndpoint endpoint, ushort identifier, out ushort bound)
    {
        bound = 0;
        ushort found = identifier;
        if (identifier == 0)
        {
            ushort start = (ushort)_stack.NextRandom();
            for (int i = 0; i <= ushort.MaxValue && (found == 0 || IsPingTaken(endpoint, found)); i++)
                found = (ushort)(start + i);
        }

        if (found == 0 || IsPingTaken(endpoint, found))
            return Errno.EADDRINUSE;
        bound = found;
        _pings.Add(endpoint);
        return Errno.None;
    }

    private bool IsPingTaken(RawEndpoint endpoint, ushort identifier) => _pings.Exists(p => p.LocalPort == identifier && p.IsV6 == endpoint.IsV6
        && !(p.Options.ReuseAddress && endpoint.Options.ReuseAddress));
}
