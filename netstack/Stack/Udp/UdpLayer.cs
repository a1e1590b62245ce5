namespace Netstack.Stack;

/// <summary>What is counted of a protocol of datagrams, as /proc/net/snmp has it.</summary>
public enum UdpCounter
{
    Received,
    NoPort,
    Error,
    Sent,
    BufferError,
    ChecksumError,
}

/// <summary>All endpoints of a stack that speak UDP (RFC 768), or UDP-Lite (RFC 3828), by port.</summary>
[Savable("udp-layer")]
public sealed partial class UdpLayer
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<ushort, List<UdpEndpoint>> _ports = [];
    [Saved(3)] private bool _isLite;
    [Saved(4)] private long[] _liteCounts = [];

    internal UdpLayer(NetworkStack stack, bool isLite = false)
    {
        _stack = stack;
        _isLite = isLite;
        _liteCounts = isLite ? new long[2 * (int)(UdpCounter.ChecksumError + 1)] : [];
    }

    internal bool IsLite => _isLite;

    /// <summary>Of UDP-Lite; UDP's are among <see cref="StackCounters"/>.</summary>
    public long CountOf(UdpCounter counter, bool isV4) => _isLite ? _liteCounts[(2 * (int)counter) + (isV4 ? 0 : 1)] : 0;

    /// <summary>All bound endpoints (for /proc/net/udp and sock_diag).</summary>
    public IEnumerable<UdpEndpoint> Endpoints => _ports.Values.SelectMany(p => p);

    private StackCounters Counters => _stack.Counters;

    public UdpEndpoint CreateEndpoint(bool isV6, EndpointOptions options) => new(_stack, isV6, options, _isLite);

    /// <summary>Puts an endpoint in under its port, which must not be 0; false when another has it.</summary>
    internal bool TryBind(UdpEndpoint endpoint, ushort port)
    {
        if (_ports.TryGetValue(port, out List<UdpEndpoint>? bound))
        {
            foreach (UdpEndpoint other in bound)
            {
                if (endpoint.ConflictsWith(other))
                    return false;
            }

            bound.Add(endpoint);
            return true;
        }

        _ports.Add(port, [endpoint]);
        return true;
    }

    /// <summary>Binds to a port of the ephemeral range that cannot be guessed (RFC 6056); 0 when none is free.</summary>
    internal ushort BindAny(UdpEndpoint endpoint)
    {
        int first = _stack.Settings.PortRangeFirst, count = _stack.Settings.PortRangeLast - first + 1;
        if (count <= 0)
            return 0;
        ulong hash = SipHash.Hash(_stack.Secret[16..], endpoint.LocalAddress, endpoint.RemoteAddress, endpoint.RemotePort) + _stack.NextRandom64();
        int start = (int)(hash % (ulong)count);
        for (int i = 0; i < count; i++)
        {
            ushort port = (ushort)(first + ((start + i) % count));
            if (TryBind(endpoint, port))
                return port;
        }

        return 0;
    }

    internal void Unbind(UdpEndpoint endpoint, ushort port)
    {
        if (!_ports.TryGetValue(port, out List<UdpEndpoint>? bound))
            return;
        bound.Remove(endpoint);
        if (bound.Count == 0)
            _ports.Remove(port);
    }

    internal void Receive(Packet packet, in IpInfo info)
    {
        bool isV4 = info.Destination.IsV4;
        if (!UdpHeader.TryParse(packet.Head, out UdpHeader header))
        {
            Count(UdpCounter.Error, isV4);
            return;
        }

        // UDP-Lite says there how much the checksum covers, 0 for all (RFC 3828 section 3.1).
        if (_isLite && header.Length == 0)
            header = header with { Length = packet.Length };
        if (header.Length < UdpHeader.Size || header.Length > packet.Length)
        {
            Count(UdpCounter.Error, isV4);
            return;
        }

        if (!_isLite)
            packet.Trim(header.Length);
        if (!(_isLite ? IsCoveredRight(packet, header, info) : IsChecksumRight(packet, header, info)))
        {
            Count(UdpCounter.Error, isV4);
            Count(UdpCounter.ChecksumError, isV4);
            return;
        }

        if (info.Destination.IsMulticast || info.IsBroadcast)
        {
            DeliverToGroup(packet, header, info);
            return;
        }

        UdpEndpoint? endpoint = Find(info.Destination, header.DestinationPort, info.Source, header.SourcePort, info.Interface.Index);
        if (endpoint is not null)
        {
            endpoint.Deliver(packet, header, info);
            return;
        }

        Count(UdpCounter.NoPort, isV4);
        _stack.Ip.RejectPort(packet, info);
    }

    internal void OnError(in TransportError error)
    {
        if (!UdpHeader.TryParse(error.Transport.Span, out UdpHeader header))
            return;
        int link = error.Interface?.Index ?? 0;
        Find(error.Local, header.SourcePort, error.Remote, header.DestinationPort, link)?.OnError(error, header.DestinationPort);
    }

    internal void CountReceived(bool isV4, bool taken)
    {
        Count(taken ? UdpCounter.Received : UdpCounter.BufferError, isV4);
        if (!taken)
            Count(UdpCounter.Error, isV4);
    }

    internal void Count(UdpCounter counter, bool isV4)
    {
        if (_isLite)
            _liteCounts[(2 * (int)counter) + (isV4 ? 0 : 1)]++;
        else
            Of(Counters, counter, isV4)++;
    }

    private static ref long Of(StackCounters counters, UdpCounter counter, bool isV4)
    {
        switch (counter)
        {
            case UdpCounter.Received:
                return ref isV4 ? ref counters.UdpReceived : ref counters.Udp6Received;
            case UdpCounter.NoPort:
                return ref isV4 ? ref counters.UdpNoPorts : ref counters.Udp6NoPorts;
            case UdpCounter.Sent:
                return ref isV4 ? ref counters.UdpSent : ref counters.Udp6Sent;
            case UdpCounter.BufferError:
                return ref isV4 ? ref counters.UdpReceiveBufferErrors : ref counters.Udp6ReceiveBufferErrors;
            case UdpCounter.ChecksumError:
                return ref isV4 ? ref counters.UdpChecksumErrors : ref counters.Udp6ChecksumErrors;
            default:
                return ref isV4 ? ref counters.UdpErrors : ref counters.Udp6Errors;
        }
    }

    /// <summary>The endpoint that a datagram from a peer belongs to: the one that says the most about it.</summary>
    private UdpEndpoint? Find(InetAddress local, ushort localPort, InetAddress remote, ushort remotePort, int link)
    {
        if (!_ports.TryGetValue(localPort, out List<UdpEndpoint>? bound))
            return null;
        UdpEndpoint? best = null;
        int bestScore = 0, equals = 0;

        // From the end: of those that are equal the last one bound gets it, as in Linux.
        for (int i = bound.Count - 1; i >= 0; i--)
        {
            int score = bound[i].Score(local, remote, remotePort, link);
            if (score > bestScore)
            {
                best = bound[i];
                bestScore = score;
                equals = 1;
            }
            else if (score > 0 && score == bestScore && bound[i].Options.ReusePort)
            {
                equals++;
            }
        }

        if (equals <= 1 || best is not { Options.ReusePort: true, IsConnected: false })
            return best;

        // SO_REUSEPORT: the same peer always gets the same of them (socket(7)).
        ulong hash = SipHash.Hash(_stack.Secret[16..], remote, local, (ulong)remotePort << 16 | localPort);
        int chosen = (int)(hash % (ulong)equals);
        foreach (UdpEndpoint candidate in bound)
        {
            if (candidate.Options.ReusePort && candidate.Score(local, remote, remotePort, link) == bestScore && chosen-- == 0)
                return candidate;
        }

        return best;
    }

    private void DeliverToGroup(Packet packet, in UdpHeader header, in IpInfo info)
    {
        bool taken = false;
        if (_ports.TryGetValue(header.DestinationPort, out List<UdpEndpoint>? bound))
        {
            // Delivering wakes whoever waits, and may not change the list; who does so is called later.
            foreach (UdpEndpoint endpoint in bound)
            {
                if (!endpoint.WantsGroup(info, header.SourcePort))
                    continue;
                endpoint.Deliver(packet, header, info);
                taken = true;
            }
        }

        if (!taken)
            Count(UdpCounter.NoPort, info.Destination.IsV4);
    }

    private static bool IsChecksumRight(Packet packet, in UdpHeader header, in IpInfo info)
    {
        // Without a checksum IPv4 takes it, IPv6 does not (RFC 8200 section 8.1).
        if (!header.HasChecksum)
            return info.Destination.IsV4 || packet.Checksum != ChecksumState.Unknown;
        if (packet.Checksum != ChecksumState.Unknown)
            return true;
        ulong pseudo = InternetChecksum.PseudoHeader(info.Source, info.Destination, IpProtocol.Udp, packet.Length);
        return InternetChecksum.Finish(InternetChecksum.Combine(pseudo, packet.Sum(0))) == 0;
    }

    /// <summary>The checksum is never left out, and the pseudo header has the whole length.</summary>
    private static bool IsCoveredRight(Packet packet, in UdpHeader header, in IpInfo info)
    {
        if (!header.HasChecksum)
            return false;
        byte[] covered = new byte[header.Length];
        packet.CopyTo(0, covered);
        ulong pseudo = InternetChecksum.PseudoHeader(info.Source, info.Destination, IpProtocol.UdpLite, packet.Length);
        return InternetChecksum.Finish(InternetChecksum.Combine(pseudo, InternetChecksum.Add(0, covered))) == 0;
    }
}
