using Netstack.Stack;
using Sentry.Kernel.Sockets.Host;

namespace Sentry.Kernel.Sockets;

/// <summary>AF_INET and AF_INET6 (ip(7), ipv6(7)).</summary>
internal sealed class InetFamily(bool isV6) : SocketFamily
{
    public override int Domain => isV6 ? AF.Inet6 : AF.Inet;

    public override Result<SocketFile> Create(Task task, int type, int protocol, OpenFlags status)
    {
        if (protocol is < 0 or > IPPROTO.MPTCP)
            return Errno.EINVAL;
        NetworkNamespace network = task.Network;
        if (network.HostSockets is { } host)
            return HostNetwork.Create(task, host, isV6, type, protocol, status);
        NetworkStack stack = network.Stack;
        var options = new EndpointOptions { OwnerUid = task.Credentials.FsUid, V6Only = isV6 && stack.Settings.BindV6Only };
        switch (type)
        {
            case SocketType.Stream when protocol is IPPROTO.IP or IPPROTO.TCP:
                return new TcpSocket(task, isV6, stack.Tcp.CreateEndpoint(isV6, options), status);
            case SocketType.Datagram when protocol is IPPROTO.IP or IPPROTO.UDP:
                return new UdpSocket(task, isV6, stack.Udp.CreateEndpoint(isV6, options), status);
            case SocketType.Datagram when protocol == IPPROTO.UDPLITE:
                return new UdpSocket(task, isV6, stack.UdpLite.CreateEndpoint(isV6, options), status);
            case SocketType.Datagram when protocol == (isV6 ? IPPROTO.ICMPV6 : IPPROTO.ICMP):
                if (!MayPing(task, stack.Settings))
                    return Errno.EACCES;
                return new RawSocket(task, isV6, protocol, stack.Raw.CreatePing(isV6, options), SocketType.Datagram, status);
            case SocketType.Raw when protocol is not IPPROTO.IP and < IPPROTO.MAX:
                if (!task.HasOverNetwork(Capability.CAP_NET_RAW))
                    return Errno.EPERM;
                return new RawSocket(task, isV6, protocol, stack.Raw.CreateRaw(isV6, (byte)protocol, options), SocketType.Raw, status);
            case SocketType.Stream or SocketType.Datagram or SocketType.Raw:
                return Errno.EPROTONOSUPPORT;
            default:
                return Errno.ESOCKTNOSUPPORT;
        }
    }

    /// <summary>net.ipv4.ping_group_range: groups whose members may make ping sockets (icmp(7)).</summary>
    private static bool MayPing(Task task, StackSettings settings)
    {
        uint first = settings.PingGroupRange[0], last = settings.PingGroupRange[1];
        bool Within(uint gid) => gid >= first && gid <= last;
        return Within(task.Credentials.EffectiveGid) || task.Credentials.Groups.Any(Within);
    }
}
