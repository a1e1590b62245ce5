using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>An endpoint of the stack as ss(8) and /proc/net see it.</summary>
internal sealed class DiagnosedSocket
{
    private readonly Endpoint _endpoint;
    private readonly DatagramEndpoint? _datagrams;

    internal DiagnosedSocket(TcpEndpoint endpoint)
    {
        _endpoint = Tcp = endpoint;
        IsV6 = endpoint.IsV6;
        State = (int)endpoint.State;
        Source = endpoint.LocalAddress;
        SourcePort = endpoint.LocalPort;
        Destination = endpoint.RemoteAddress;
        DestinationPort = endpoint.RemotePort;
    }

    /// <param name="protocol">Of a raw socket, whose protocol stands in its port's place.</param>
    internal DiagnosedSocket(DatagramEndpoint endpoint, bool isV6, byte? protocol)
    {
        _endpoint = _datagrams = endpoint;
        IsV6 = isV6;
        State = (int)(endpoint.IsConnected ? TcpState.Established : TcpState.Closed);
        Source = endpoint.LocalAddress;
        SourcePort = protocol ?? endpoint.LocalPort;
        Destination = endpoint.RemoteAddress;
        DestinationPort = endpoint.RemotePort;
    }

    internal TcpEndpoint? Tcp { get; }

    internal bool IsV6 { get; }

    /// <summary>TCP_*; a datagram socket is established or closed.</summary>
    internal int State { get; }

    internal InetAddress Source { get; }

    internal ushort SourcePort { get; }

    internal InetAddress Destination { get; }

    internal ushort DestinationPort { get; }

    internal EndpointOptions Options => _endpoint.Options;

    /// <summary>Whether a program may still have it: not of half-open connections and TIME-WAIT.</summary>
    internal bool HasSocket => State is not ((int)TcpState.TimeWait or (int)TcpState.SynReceived or (int)TcpState.NewSynReceived);

    /// <summary>0 when no descriptor leads to it (any more, or yet).</summary>
    internal ulong Inode => _endpoint.Observer is null ? 0 : Options.SocketInode;

    internal ulong Cookie => Options.SocketInode;

    internal uint Uid => HasSocket ? Options.OwnerUid : 0;

    internal (byte Kind, long Remaining, int Retries) Timer => Tcp?.ShownTimer ?? default;

    /// <summary>Bytes to be read and bytes not acknowledged; of a listener, connections that wait and how many may.</summary>
    internal (int Receive, int Send) Queues => Tcp is { } tcp
        ? tcp.State == TcpState.Listen ? tcp.AcceptQueue : HasSocket ? (tcp.Available, tcp.SendQueueLength) : (0, 0)
        : (_datagrams!.QueuedBytes, 0);

    internal SocketMemory Memory => Tcp is { } tcp
        ? HasSocket && tcp.State != TcpState.Listen
            ? new SocketMemory(tcp.Available, Options.ReceiveBuffer, tcp.SendQueueLength - tcp.UnsentLength, Options.SendBuffer, tcp.SendQueueLength, 0)
            : new SocketMemory(0, Options.ReceiveBuffer, 0, Options.SendBuffer, 0, 0)
        : new SocketMemory(_datagrams!.QueuedBytes, Options.ReceiveBuffer, 0, Options.SendBuffer, 0, _datagrams.Dropped);

    /// <summary>Datagrams that found no room.</summary>
    internal int Drops => _datagrams?.Dropped ?? 0;

    /// <summary>RCV_SHUTDOWN 1, SEND_SHUTDOWN 2.</summary>
    internal int ShutdownMask
    {
        get
        {
            if (Tcp is not { } tcp || tcp.State is TcpState.Listen or TcpState.Closed or TcpState.SynSent)
                return 0;
            bool sent = tcp.State is TcpState.FinWait1 or TcpState.FinWait2 or TcpState.Closing or TcpState.LastAck;
            return ((tcp.Poll() & EndpointEvents.RdHup) != 0 ? 1 : 0) | (sent ? 2 : 0);
        }
    }

    internal FilteredSocket ForFilter() => new(IsV6, Source, SourcePort, Destination, DestinationPort, Options.BoundInterface, (uint)Options.Mark, PortChosen: false);
}
