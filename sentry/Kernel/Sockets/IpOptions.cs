using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>The options of SOL_IP (ip(7)).</summary>
internal static class IpOptions
{
    private const byte EcnMask = 3;

    internal static Errno Set(Task task, InetSocket socket, int name, ReadOnlySpan<byte> value)
    {
        if (MulticastOptions.IsMembership(name))
            return MulticastOptions.Set(socket, isV6: false, name, value);
        EndpointOptions options = socket.Ip;
        int number = InetSocket.ReadNumber(value);
        bool on = number != 0;
        switch (name)
        {
            case IP.TOS:
                // TCP keeps the ECN bits to itself (__ip_sock_set_tos).
                options.TypeOfService = socket.Type == SocketType.Stream ? (byte)((number & ~EcnMask) | (options.TypeOfService & EcnMask)) : (byte)number;
                return Errno.None;
            case IP.TTL:
                if (value.Length < 1 || number is not -1 and (< 1 or > 255))
                    return Errno.EINVAL;
                options.TimeToLive = number;
                return Errno.None;
            case IP.HDRINCL:
                if (socket is not RawSocket { Type: SocketType.Raw } raw)
                    return Errno.ENOPROTOOPT;
                raw.Raw.IncludesHeader = on;
                return Errno.None;
            case IP.MTU_DISCOVER:
                if (number is < 0 or > (int)PathMtuMode.Omit)
                    return Errno.EINVAL;
                options.PathMtu = (PathMtuMode)number;
                return Errno.None;
            case IP.RECVERR:
                options.ReceiveErrors = on;
                if (!on)
                    socket.ClearErrors();
                return Errno.None;
            case IP.FREEBIND:
                if (value.Length < 1)
                    return Errno.EINVAL;
                options.FreeBind = on;
                return Errno.None;
            case IP.TRANSPARENT:
                if (on && !task.HasOverNetwork(Capability.CAP_NET_RAW) && !task.HasOverNetwork(Capability.CAP_NET_ADMIN))
                    return Errno.EPERM;
                options.Transparent = on;
                return Errno.None;
            case IP.UNICAST_IF:
                if (value.Length != sizeof(int))
                    return Errno.EINVAL;
                return SetUnicastInterface(socket, BinaryPrimitives.ReadInt32BigEndian(value));
            case IP.MULTICAST_TTL:
                if (socket.Type == SocketType.Stream || value.Length < 1 || number is < -1 or > 255)
                    return Errno.EINVAL;
                options.MulticastTimeToLive = number == -1 ? 1 : number;
                return Errno.None;
            case IP.MULTICAST_LOOP:
                if (value.Length < 1)
                    return Errno.EINVAL;
                options.MulticastLoop = on;
                return Errno.None;
            case IP.MULTICAST_ALL:
                if (value.Length < 1 || number is not (0 or 1))
                    return Errno.EINVAL;
                options.MulticastAll = on;
                return Errno.None;
            case IP.MULTICAST_IF:
                return SetMulticastInterface(socket, value);
            case IP.OPTIONS:
                return SetIpOptions(socket, value);
            default:
                if (FlagOf(name) is not { } flag)
                    return Errno.ENOPROTOOPT;
                socket.Ancillary = on ? socket.Ancillary | flag : socket.Ancillary & ~flag;
                return Errno.None;
        }
    }

    internal static Result<byte[]> Get(InetSocket socket, int name, ReadOnlySpan<byte> given)
    {
        EndpointOptions options = socket.Ip;
        switch (name)
        {
            case IP.TOS:
                return Number(options.TypeOfService);
            case IP.TTL:
                return Number(options.TimeToLive < 0 ? socket.Network.Stack.Settings.DefaultTimeToLive : options.TimeToLive);
            case IP.HDRINCL:
                return Number(socket is RawSocket { Type: SocketType.Raw, Raw.IncludesHeader: true } ? 1 : 0);
            case IP.MTU_DISCOVER:
                return Number((int)options.PathMtu);
            case IP.MTU:
                return PathMtu(socket);
            case IP.RECVERR:
                return Number(options.ReceiveErrors ? 1 : 0);
            case IP.FREEBIND:
                return Number(options.FreeBind ? 1 : 0);
            case IP.TRANSPARENT:
                return Number(options.Transparent ? 1 : 0);
            case IP.UNICAST_IF:
                byte[] index = new byte[sizeof(int)];
                BinaryPrimitives.WriteInt32BigEndian(index, socket.UnicastInterface);
                return index;
            case IP.MULTICAST_TTL:
                return Number(options.MulticastTimeToLive);
            case IP.MULTICAST_LOOP:
                return Number(options.MulticastLoop ? 1 : 0);
            case IP.MULTICAST_ALL:
                return Number(options.MulticastAll ? 1 : 0);
            case IP.MULTICAST_IF:
                return options.MulticastSource.ToBytes();
            case IP.MSFILTER or IP.MCAST_MSFILTER:
                return MulticastOptions.GetFilter(socket, isV6: false, name, given);
            case IP.OPTIONS:
                return options.IpOptions ?? [];
            default:
                return FlagOf(name) is { } flag ? Number((socket.Ancillary & flag) != 0 ? 1 : 0) : Errno.ENOPROTOOPT;
        }
    }

    /// <summary>What a connected socket knows of its path (IP_MTU, IPV6_MTU): ENOTCONN without a peer.</summary>
    internal static Result<byte[]> PathMtu(InetSocket socket)
    {
        if (socket.ConnectedPeer is not { } peer)
            return Errno.ENOTCONN;
        using StackCall call = socket.Network.Enter();
        if (!socket.Network.Stack.Ip.FindRoute(peer, socket.BoundAddress, socket.Ip.BoundInterface).TryGet(out Route route, out Errno error))
            return error;
        return Number(socket.Network.Stack.Ip.PathMtu(route, peer));
    }

    internal static Errno SetUnicastInterface(InetSocket socket, int index)
    {
        if (index != 0 && socket.Network.Stack.FindInterface(index) is null)
            return Errno.EADDRNOTAVAIL;
        if (index != 0 && socket.Ip.BoundInterface != 0)
            return Errno.EINVAL;
        socket.UnicastInterface = index;
        return Errno.None;
    }

    /// <summary>struct ip_mreqn, struct ip_mreq, or an address alone.</summary>
    private static Errno SetMulticastInterface(InetSocket socket, ReadOnlySpan<byte> value)
    {
        if (socket.Type == SocketType.Stream || value.Length < 4)
            return Errno.EINVAL;
        InetAddress address = InetAddress.FromBytes(value.Slice(value.Length >= 8 ? 4 : 0, 4));
        int index = value.Length >= 12 ? BinaryPrimitives.ReadInt32LittleEndian(value[8..]) : 0;
        if (index == 0 && !address.IsAny)
        {
            if (MulticastOptions.FindInterface(socket.Network.Stack, address) is not { } found)
                return Errno.EADDRNOTAVAIL;
            index = found.Index;
        }
        else if (index != 0 && socket.Network.Stack.FindInterface(index) is null)
        {
            return Errno.EADDRNOTAVAIL;
        }

        if (index != 0 && socket.Ip.BoundInterface != 0 && socket.Ip.BoundInterface != index)
            return Errno.EINVAL;
        socket.Ip.MulticastInterface = index;
        socket.Ip.MulticastSource = address;
        return Errno.None;
    }

    /// <summary>IP_OPTIONS: what stands in the IPv4 header behind its fixed part, padded to words.</summary>
    private static Errno SetIpOptions(InetSocket socket, ReadOnlySpan<byte> value)
    {
        const int maxLength = 40, endOfList = 0, noOperation = 1;
        if (value.Length > maxLength)
            return Errno.EINVAL;
        for (int at = 0; at < value.Length;)
        {
            if (value[at] == endOfList)
                break;
            if (value[at] == noOperation)
            {
                at++;
                continue;
            }

            if (at + 1 >= value.Length || value[at + 1] < 2 || at + value[at + 1] > value.Length)
                return Errno.EINVAL;
            at += value[at + 1];
        }

        byte[] padded = new byte[(value.Length + 3) & ~3];
        value.CopyTo(padded);
        socket.Ip.IpOptions = padded.Length == 0 ? null : padded;
        return Errno.None;
    }

    private static InetAncillary? FlagOf(int name) => name switch
    {
        IP.PKTINFO => InetAncillary.PacketInfo,
        IP.RECVTTL => InetAncillary.TimeToLive,
        IP.RECVTOS => InetAncillary.TypeOfService,
        IP.RECVORIGDSTADDR => InetAncillary.OriginalDestination,
        IP.BIND_ADDRESS_NO_PORT => InetAncillary.BindAddressNoPort,
        IP.NODEFRAG => InetAncillary.NoDefragment,
        _ => null,
    };

    private static byte[] Number(int value) => SocketOptions.Number(value);
}
