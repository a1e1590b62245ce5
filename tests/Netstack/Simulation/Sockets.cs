namespace Tests.Netstack.Simulation;

/// <summary>Short ways to make, use and find again the endpoints of a host.</summary>
public static class Sockets
{
    public static UdpEndpoint Udp(this SimHost host, string? address = null, ushort port = 0, bool isV6 = false, Action<EndpointOptions>? options = null) => host.Do(stack =>
    {
        var set = new EndpointOptions();
        options?.Invoke(set);
        UdpEndpoint endpoint = stack.Udp.CreateEndpoint(isV6, set);
        if (address is not null)
            Assert.Equal(Errno.None, endpoint.Bind(InetAddress.Parse(address), port));
        return endpoint;
    });

    public static UdpEndpoint UdpAt(this SimHost host, ushort port) => host.Stack.Udp.Endpoints.Single(e => e.LocalPort == port);

    public static Errno SendTo(this SimHost host, UdpEndpoint endpoint, string address, ushort port, byte[] data, int segmentSize = 0) =>
        host.Do(_ => endpoint.Send(data, InetAddress.Parse(address), port, 0, default, segmentSize));

    public static Errno SendTo(this SimHost host, UdpEndpoint endpoint, string address, ushort port, string text) =>
        host.SendTo(endpoint, address, port, System.Text.Encoding.ASCII.GetBytes(text));

    public static Errno Send(this SimHost host, UdpEndpoint endpoint, string text) =>
        host.Do(_ => endpoint.Send(System.Text.Encoding.ASCII.GetBytes(text), default, 0, 0, default));

    public static Errno Connect(this SimHost host, UdpEndpoint endpoint, string address, ushort port) =>
        host.Do(_ => endpoint.Connect(InetAddress.Parse(address), port, 0));

    /// <summary>The text of the next datagram; null when there is none.</summary>
    public static string? Text(this DatagramEndpoint endpoint) => endpoint.Receive(peek: false) is { } datagram ? System.Text.Encoding.ASCII.GetString(datagram.Data) : null;

    /// <summary>Bytes that differ from place to place.</summary>
    public static byte[] Pattern(int length, int seed = 0)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }
}
