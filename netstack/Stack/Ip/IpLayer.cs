namespace Netstack.Stack;

/// <summary>IPv4 and IPv6 between the interfaces and the transports: receiving, reassembly, ICMP, neighbours; sending, fragmentation.</summary>
[Savable("ip-layer")]
public sealed partial class IpLayer
{
    [Saved(1)] private NetworkStack _stack;

    internal IpLayer(NetworkStack stack) => _stack = stack;

    /// <summary>The way to <paramref name="destination"/>: ENETUNREACH, EHOSTUNREACH, EACCES (prohibit) where there is none.</summary>
    /// <param name="source">A bound source address, or an unspecified one.</param>
    /// <param name="boundInterface">SO_BINDTODEVICE or a scope id; 0 for any.</param>
    public Result<Route> FindRoute(InetAddress destination, InetAddress source, int boundInterface = 0) => throw new NotImplementedException();

    /// <summary>Sends a packet whose head begins at the transport header, checksum done or <see cref="ChecksumState.Partial"/>. Adds the IP header; cuts it into
    /// fragments when it is longer than the route's MTU (unless SegmentSize is set or DontFragment). EMSGSIZE, ENETDOWN, ENOBUFS, EPERM.</summary>
    public Errno Send(Packet packet, in Route route, InetAddress source, InetAddress destination, in IpSendOptions options) => throw new NotImplementedException();

    /// <summary>The path MTU to a destination, at most the route's.</summary>
    public int PathMtu(in Route route, InetAddress destination) => throw new NotImplementedException();

    /// <summary>A transport confirms that packets by this route arrive (RFC 4861 section 7.3.1).</summary>
    public void ConfirmReachability(in Route route) => throw new NotImplementedException();

    /// <summary>Whether an address belongs to this host (is assigned to an interface, or is within 127.0.0.0/8).</summary>
    public bool IsLocal(InetAddress address) => throw new NotImplementedException();

    /// <summary>Answers a packet with "port unreachable".</summary>
    internal void RejectPort(Packet packet, in IpInfo info) => throw new NotImplementedException();

    internal void ReceiveFrame(NetworkInterface from, Packet frame) => throw new NotImplementedException();

    internal void ReceiveLooped(Packet packet) => throw new NotImplementedException();
}
