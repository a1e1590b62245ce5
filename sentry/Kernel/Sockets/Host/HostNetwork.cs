namespace Sentry.Kernel.Sockets.Host;

/// <summary>A socket of the host, for people.</summary>
/// <param name="Loss">What a checkpoint and restore make of it; null when nothing is lost.</param>
public sealed record HostSocketDescription(string Protocol, string State, string Local, string Remote, string? Loss);

/// <summary>The host's network in the place of the sandbox's own (--network host): AF_INET and AF_INET6 are made by the host then.</summary>
public static class HostNetwork
{
    /// <summary>Has sockets made by the host from now on, or (null) by the sandbox's own stack, and gives those of an image their place. Under the kernel lock.</summary>
    /// <returns>A line for the log for each socket that cannot be had again.</returns>
    public static List<string> Use(NetworkNamespace network, IHostSockets? sockets)
    {
        network.HostSockets = sockets;
        List<string> lost = [];
        foreach (SocketFile socket in network.Sockets.Values)
        {
            if (socket is HostSocket host && host.Reopen(sockets) is { } line)
                lost.Add(line);
        }

        return lost;
    }

    /// <summary>The sandbox's sockets of the host.</summary>
    public static IEnumerable<HostSocketDescription> Describe(NetworkNamespace network)
    {
        foreach (SocketFile socket in network.Sockets.Values)
        {
            if (socket is HostSocket host)
            {
                string state = host.IsListening ? "LISTEN" : host.IsConnected ? "ESTAB" : "UNCONN";
                yield return new HostSocketDescription(host.Type == SocketType.Stream ? "tcp" : "udp", state, HostSocketNames.Format(host.LocalName), HostSocketNames.Format(host.PeerName), host.Loss);
            }
        }
    }

    internal static Result<SocketFile> Create(Task task, IHostSockets sockets, bool isV6, int type, int protocol, OpenFlags status)
    {
        int domain = isV6 ? AF.Inet6 : AF.Inet;
        switch (type)
        {
            case SocketType.Stream when protocol is IPPROTO.IP or IPPROTO.TCP:
            case SocketType.Datagram when protocol is IPPROTO.IP or IPPROTO.UDP || protocol == (isV6 ? IPPROTO.ICMPV6 : IPPROTO.ICMP):
                break;
            case SocketType.Raw:
                return Errno.EPERM; // the host's traffic is not the sandbox's to see
            case SocketType.Stream or SocketType.Datagram:
                return Errno.EPROTONOSUPPORT;
            default:
                return Errno.ESOCKTNOSUPPORT;
        }

        Result<IHostSocket> made = sockets.Create(domain, type, protocol);
        if (made.IsError)
            return made.Error;
        int shown = protocol != IPPROTO.IP ? protocol : type == SocketType.Stream ? IPPROTO.TCP : IPPROTO.UDP;
        return new HostSocket(task, isV6, type, shown, made.Value, status);
    }
}
