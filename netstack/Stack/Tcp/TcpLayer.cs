namespace Netstack.Stack;

/// <summary>All TCP endpoints of a stack and the way from a segment to its endpoint.</summary>
[Savable("tcp-layer")]
public sealed partial class TcpLayer
{
    [Saved(1)] private NetworkStack _stack;

    internal TcpLayer(NetworkStack stack) => _stack = stack;

    /// <summary>A new endpoint, closed and unbound.</summary>
    /// <param name="isV6">AF_INET6; takes IPv4 as well unless V6Only.</param>
    public TcpEndpoint CreateEndpoint(bool isV6, EndpointOptions options) => new(_stack, isV6, options);

    /// <summary>All endpoints, in no order: listeners, connections, half-open ones and TIME-WAIT (for /proc/net/tcp and sock_diag).</summary>
    public IEnumerable<TcpEndpoint> Endpoints => throw new NotImplementedException();

    internal void Receive(Packet packet, in IpInfo info) => throw new NotImplementedException();

    /// <summary>A segment for a paused sandbox (<see cref="NetworkStack.IsHeld"/>): one of an established connection is answered with a zero window; nothing that is
    /// saved may change.</summary>
    internal void ReceiveHeld(Packet packet, in IpInfo info) => throw new NotImplementedException();

    internal void OnError(in TransportError error) => throw new NotImplementedException();
}
