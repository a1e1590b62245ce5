using Netstack.Stack;
using Netstack.Wire;
using Sentry.Control;
using Sentry.Kernel.Sockets;
using Sentry.Kernel.Sockets.Host;

namespace Sentry.Main;

/// <summary>What <c>inspect</c> shows of a sandbox's sockets of IP, and what a checkpoint would make of them.</summary>
internal static class SocketInspector
{
    private const int Most = 256;

    /// <param name="count">How many there are; not all need be listed.</param>
    public static SocketInspection[] Inspect(NetworkNamespace network, out int count)
    {
        List<SocketInspection> sockets = [];
        count = 0;
        foreach (HostSocketDescription host in HostNetwork.Describe(network))
        {
            // All of those that a checkpoint loses are listed: users are to know.
            if (count++ < Most || host.Loss is not null)
                sockets.Add(new SocketInspection { Protocol = host.Protocol, State = host.State, Local = host.Local, Remote = host.Remote, Lost = host.Loss });
        }

        foreach (TcpEndpoint tcp in network.Stack.Tcp.Endpoints)
        {
            if (count++ < Most)
                sockets.Add(new SocketInspection { Protocol = "tcp", State = Name(tcp.State), Local = Format(tcp.LocalAddress, tcp.LocalPort), Remote = Format(tcp.RemoteAddress, tcp.RemotePort) });
        }

        foreach (UdpEndpoint udp in network.Stack.Udp.Endpoints)
        {
            if (count++ < Most)
                sockets.Add(new SocketInspection { Protocol = "udp", State = udp.IsConnected ? "ESTAB" : "UNCONN", Local = Format(udp.LocalAddress, udp.LocalPort), Remote = Format(udp.RemoteAddress, udp.RemotePort) });
        }

        return [.. sockets];
    }

    /// <summary>As ss(8) names states.</summary>
    private static string Name(TcpState state) => state switch
    {
        TcpState.Established => "ESTAB",
        TcpState.SynSent => "SYN-SENT",
        TcpState.SynReceived or TcpState.NewSynReceived => "SYN-RECV",
        TcpState.FinWait1 => "FIN-WAIT-1",
        TcpState.FinWait2 => "FIN-WAIT-2",
        TcpState.TimeWait => "TIME-WAIT",
        TcpState.CloseWait => "CLOSE-WAIT",
        TcpState.LastAck => "LAST-ACK",
        TcpState.Listen => "LISTEN",
        TcpState.Closing => "CLOSING",
        _ => "UNCONN",
    };

    private static string Format(InetAddress address, ushort port) =>
        $"{(address.IsAny ? "*" : address.IsV4 ? address.ToString() : $"[{address}]")}:{(port == 0 ? "*" : port.ToString(System.Globalization.CultureInfo.InvariantCulture))}";
}
