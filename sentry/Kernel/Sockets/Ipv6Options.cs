using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>The options of SOL_IPV6 (ipv6(7), RFC 3493, RFC 3542).</summary>
internal static class Ipv6Options
{
    /// <summary>RFC 8200 section 5.</summary>
    private const int MinMtu = 1280;

    internal static Errno Set(Task task, InetSocket socket, int name, ReadOnlySpan<byte> value)
    {
        if (name is IPV6.ADD_MEMBERSHIP or IPV6.DROP_MEMBERSHIP || MulticastOptions.IsProtocolIndependent(name))
            return MulticastOptions.Set(socket, isV6: true, name, value);
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        EndpointOptions options = socket.Ip;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        bool on = number != 0;
        switch (name)
        {
            case IPV6.V6ONLY:
                if (socket.IsBound)
                    return Errno.EINVAL;
                options.V6Only = on;
                return Errno.None;
            case IPV6.UNICAST_HOPS:
                if (number is < -1 or > 255)
                    return Errno.EINVAL;
                options.HopLimit = number;
                return Errno.None;
            case IPV6.MULTICAST_HOPS:
                if (socket.Type == SocketType.Stream)
                    return Errno.ENOPROTOOPT;
                if (number is < -1 or > 255)
                    return Errno.EINVAL;
                options.MulticastHopLimit = number == -1 ? 1 : number;
                return Errno.None;
            case IPV6.MULTICAST_LOOP:
                if (number is not (0 or 1))
                    return Errno.EINVAL;
                options.MulticastLoopV6 = on;
                return Errno.None;
            case IPV6.MULTICAST_ALL:
                options.MulticastAll = on;
                return Errno.None;
            case IPV6.MULTICAST_IF:
                return SetMulticastInterface(socket, number);
            case IPV6.MTU_DISCOVER:
                if (number is < 0 or > (int)PathMtuMode.Omit)
                    return Errno.EINVAL;
                options.PathMtuV6 = (PathMtuMode)number;
                return Errno.None;
            case IPV6.DONTFRAG:
                options.PathMtuV6 = on ? PathMtuMode.Do : PathMtuMode.Want;
                return Errno.None;
            case IPV6.MTU:
                return number != 0 && number < MinMtu ? Errno.EINVAL : Errno.None;
            case IPV6.RECVERR:
                options.ReceiveErrorsV6 = on;
                if (!on)
                    socket.ClearErrors();
                return Errno.None;
            case IPV6.TCLASS:
                if (number is < -1 or > 255)
                    return Errno.EINVAL;
                options.TrafficClass = (byte)Math.Max(0, number);
                return Errno.None;
            case IPV6.FREEBIND:
                options.FreeBind = on;
                return Errno.None;
            case IPV6.TRANSPARENT:
                if (on && !task.HasOverNetwork(Capability.CAP_NET_RAW) && !task.HasOverNetwork(Capability.CAP_NET_ADMIN))
                    return Errno.EPERM;
                options.Transparent = on;
                return Errno.None;
            case IPV6.UNICAST_IF:
                return IpOptions.SetUnicastInterface(socket, BinaryPrimitives.ReadInt32BigEndian(value));
            case IPV6.CHECKSUM:
                return SetChecksum(socket, number);
            case IPV6.ADDRFORM:
                return Errno.EADDRNOTAVAIL;
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
            case IPV6.V6ONLY:
                return Number(options.V6Only ? 1 : 0);
            case IPV6.UNICAST_HOPS:
                return Number(options.HopLimit < 0 ? socket.Network.Stack.Settings.DefaultHopLimit : options.HopLimit);
            case IPV6.MULTICAST_HOPS:
                return Number(options.MulticastHopLimit);
            case IPV6.MULTICAST_LOOP:
                return Number(options.MulticastLoopV6 ? 1 : 0);
            case IPV6.MULTICAST_ALL:
                return Number(options.MulticastAll ? 1 : 0);
            case IPV6.MULTICAST_IF:
                return Number(options.MulticastInterfaceV6);
            case IPV6.MTU_DISCOVER:
                return Number((int)options.PathMtuV6);
            case IPV6.DONTFRAG:
                return Number(options.PathMtuV6 == PathMtuMode.Do ? 1 : 0);
            case IPV6.MTU:
                return IpOptions.PathMtu(socket);
            case IPV6.RECVERR:
                return Number(options.ReceiveErrorsV6 ? 1 : 0);
            case IPV6.TCLASS:
                return Number(options.TrafficClass);
            case IPV6.FREEBIND:
                return Number(options.FreeBind ? 1 : 0);
            case IPV6.TRANSPARENT:
                return Number(options.Transparent ? 1 : 0);
            case IPV6.UNICAST_IF:
                byte[] index = new byte[sizeof(int)];
                BinaryPrimitives.WriteInt32BigEndian(index, socket.UnicastInterface);
                return index;
            case IPV6.CHECKSUM:
                return socket is RawSocket { Type: SocketType.Raw } raw ? Number(raw.Raw.ChecksumOffset) : Errno.ENOPROTOOPT;
            case IPV6.ADDR_PREFERENCES:
                return Number(0x0100); // IPV6_PREFER_SRC_PUBTMP_DEFAULT
            case IP.MCAST_MSFILTER:
                return MulticastOptions.GetFilter(socket, isV6: true, name, given);
            default:
                return FlagOf(name) is { } flag ? Number((socket.Ancillary & flag) != 0 ? 1 : 0) : Errno.ENOPROTOOPT;
        }
    }

    private static Errno SetMulticastInterface(InetSocket socket, int index)
    {
        if (socket.Type == SocketType.Stream)
            return Errno.ENOPROTOOPT;
        if (index < 0)
            return Errno.EINVAL;
        if (index != 0)
        {
            if (socket.Network.Stack.FindInterface(index) is null)
                return Errno.ENODEV;
            if (socket.Ip.BoundInterface != 0 && socket.Ip.BoundInterface != index)
                return Errno.EINVAL;
        }

        socket.Ip.MulticastInterfaceV6 = index;
        return Errno.None;
    }

    /// <summary>IPV6_CHECKSUM (RFC 3542 section 3.1): not of ICMPv6, whose checksum is the stack's own affair.</summary>
    private static Errno SetChecksum(InetSocket socket, int offset)
    {
        if (socket is not RawSocket { Type: SocketType.Raw } raw)
            return Errno.ENOPROTOOPT;
        if (raw.Protocol == IPPROTO.ICMPV6 || (offset > 0 && (offset & 1) != 0))
            return Errno.EINVAL;
        raw.Raw.ChecksumOffset = offset < 0 ? -1 : offset;
        return Errno.None;
    }

    private static InetAncillary? FlagOf(int name) => name switch
    {
        IPV6.RECVPKTINFO => InetAncillary.PacketInfoV6,
        IPV6.RECVHOPLIMIT => InetAncillary.HopLimit,
        IPV6.RECVTCLASS => InetAncillary.TrafficClass,
        IPV6.RECVORIGDSTADDR => InetAncillary.OriginalDestinationV6,
        IPV6.PKTINFO_2292 => InetAncillary.OldPacketInfoV6,
        IPV6.HOPLIMIT_2292 => InetAncillary.OldHopLimit,
        IPV6.RECVPATHMTU => InetAncillary.ReceivePathMtu,
        IPV6.AUTOFLOWLABEL => InetAncillary.AutoFlowLabel,
        IPV6.FLOWINFO_SEND => InetAncillary.FlowInfoSend,
        _ => null,
    };

    private static byte[] Number(int value) => SocketOptions.Number(value);
}
