using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>Ancillary data of datagrams, both ways (socket(7), ip(7), ipv6(7), udp(7)), in the order in which Linux has it.</summary>
internal static class DatagramAncillary
{
    /// <summary>Bits of SO_TIMESTAMPING (linux/net_tstamp.h).</summary>
    private const int RxSoftware = 1 << 3, Software = 1 << 4;

    private const int PacketInfoSize = 12, PacketInfoV6Size = 20;

    // ---- what is told of a received datagram ---------------------------------------------------------------------

    internal static void Describe(InetSocket socket, Datagram datagram, int dropped, ReceiveRequest request)
    {
        DescribeTime(socket, datagram.Realtime, request);
        if (dropped > 0 && socket.HasOption(SO.RXQ_OVFL))
            request.Control.Add(new ControlMessage(SOL.SOCKET, SO.RXQ_OVFL, SocketOptions.Number(dropped)));
        if (datagram.SegmentSize > 0)
            request.Control.Add(new ControlMessage(SOL.UDP, UDP.GRO, SocketOptions.Number(datagram.SegmentSize)));
        InetAncillary told = socket.Ancillary;
        if ((told & InetAncillary.AnyV6) != 0)
            DescribeV6(datagram, told, request);
        if ((told & InetAncillary.AnyV4) != 0 && datagram.Destination.IsV4)
            DescribeV4(socket, datagram, told, request);
    }

    /// <summary>SO_TIMESTAMP, SO_TIMESTAMPNS and software stamps of SO_TIMESTAMPING.</summary>
    internal static void DescribeTime(SocketFile socket, long realtime, ReceiveRequest request)
    {
        foreach (int option in (ReadOnlySpan<int>)[SO.TIMESTAMP_OLD, SO.TIMESTAMPNS_OLD, SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW])
        {
            if (!socket.HasOption(option))
                continue;
            byte[] stamp = new byte[16];
            WriteTime(stamp, realtime, option is SO.TIMESTAMP_OLD or SO.TIMESTAMP_NEW ? 1000 : 1);
            request.Control.Add(new ControlMessage(SOL.SOCKET, option, stamp));
        }

        int stamping = socket.Timestamping;
        if ((stamping & Software) == 0 || (stamping & RxSoftware) == 0)
            return;
        byte[] stamps = new byte[48];
        WriteTime(stamps, realtime, 1);
        request.Control.Add(new ControlMessage(SOL.SOCKET, SO.TIMESTAMPING_OLD, stamps));
    }

    private static void WriteTime(Span<byte> to, long realtime, int divisor)
    {
        BinaryPrimitives.WriteInt64LittleEndian(to, realtime / 1_000_000_000);
        BinaryPrimitives.WriteInt64LittleEndian(to[8..], realtime % 1_000_000_000 / divisor);
    }

    private static void DescribeV6(Datagram datagram, InetAncillary told, ReceiveRequest request)
    {
        if ((told & InetAncillary.PacketInfoV6) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.PKTINFO, PacketInfoV6(datagram)));
        if (datagram.Destination.IsV4)
            return;
        if ((told & InetAncillary.HopLimit) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.HOPLIMIT, SocketOptions.Number(datagram.TimeToLive)));
        if ((told & InetAncillary.TrafficClass) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.TCLASS, SocketOptions.Number(datagram.TypeOfService)));
        if ((told & InetAncillary.OldPacketInfoV6) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.PKTINFO_2292, PacketInfoV6(datagram)));
        if ((told & InetAncillary.OldHopLimit) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.HOPLIMIT_2292, SocketOptions.Number(datagram.TimeToLive)));
        if ((told & InetAncillary.OriginalDestinationV6) != 0)
            request.Control.Add(new ControlMessage(SOL.IPV6, IPV6.RECVORIGDSTADDR, new InetEndpointAddress(datagram.Destination, datagram.DestinationPort, 0).Format(isV6: true)));
    }

    private static byte[] PacketInfoV6(Datagram datagram)
    {
        byte[] info = new byte[PacketInfoV6Size];
        datagram.Destination.WriteV6(info);
        BinaryPrimitives.WriteInt32LittleEndian(info.AsSpan(16), datagram.InterfaceIndex);
        return info;
    }

    private static void DescribeV4(InetSocket socket, Datagram datagram, InetAncillary told, ReceiveRequest request)
    {
        if ((told & InetAncillary.PacketInfo) != 0)
        {
            byte[] info = new byte[PacketInfoSize];
            BinaryPrimitives.WriteInt32LittleEndian(info, datagram.InterfaceIndex);
            LocalAddress(socket.Network.Stack, datagram).WriteTo(info.AsSpan(4));
            datagram.Destination.WriteTo(info.AsSpan(8));
            request.Control.Add(new ControlMessage(SOL.IP, IP.PKTINFO, info));
        }

        if ((told & InetAncillary.TimeToLive) != 0)
            request.Control.Add(new ControlMessage(SOL.IP, IP.TTL, SocketOptions.Number(datagram.TimeToLive)));
        if ((told & InetAncillary.TypeOfService) != 0)
            request.Control.Add(new ControlMessage(SOL.IP, IP.TOS, [datagram.TypeOfService]));
        if ((told & InetAncillary.OriginalDestination) != 0)
            request.Control.Add(new ControlMessage(SOL.IP, IP.RECVORIGDSTADDR, new InetEndpointAddress(datagram.Destination, datagram.DestinationPort, 0).Format(isV6: false)));
    }

    /// <summary>ipi_spec_dst: the destination itself, or what an answer to a group or broadcast address would come from.</summary>
    private static InetAddress LocalAddress(NetworkStack stack, Datagram datagram)
    {
        if (stack.Ip.IsLocal(datagram.Destination))
            return datagram.Destination;
        if (stack.FindInterface(datagram.InterfaceIndex) is { } link)
        {
            foreach (InterfaceAddress address in link.Addresses)
            {
                if (address.Address.IsV4)
                    return address.Address;
            }
        }

        return InetAddress.AnyV4;
    }

    /// <summary>IP_RECVERR, IPV6_RECVERR: struct sock_extended_err and who reported it.</summary>
    internal static void DescribeError(InetSocket socket, Datagram entry, ReceiveRequest request)
    {
        const byte icmp = 2, icmpv6 = 3;
        DescribeTime(socket, entry.Realtime, request);
        if (entry.ExtendedError is not { } error)
            return;

        // Of an error that came by ICMP the offender is told, of a local one nobody.
        bool hasOffender = error[4] is icmp or icmpv6;
        byte[] offender = socket.IsV6
            ? (hasOffender ? new InetEndpointAddress(entry.Source, 0, 0).Format(isV6: true) : new byte[InetEndpointAddress.SizeV6])
            : (hasOffender ? new InetEndpointAddress(entry.Source, 0, 0).Format(isV6: false) : new byte[InetEndpointAddress.SizeV4]);
        request.Control.Add(socket.IsV6 && error[4] != icmp
            ? new ControlMessage(SOL.IPV6, IPV6.RECVERR, [.. error, .. offender])
            : new ControlMessage(socket.IsV6 ? SOL.IPV6 : SOL.IP, socket.IsV6 ? IPV6.RECVERR : IP.RECVERR, [.. error, .. offender]));
    }

    // ---- what is asked for a datagram to be sent -----------------------------------------------------------------

    internal static Errno Parse(Task task, InetSocket socket, List<ControlMessage> messages, out DatagramControl control, out int segmentSize)
    {
        control = new DatagramControl();
        segmentSize = 0;
        foreach (ControlMessage message in messages)
        {
            Errno error = message.Level switch
            {
                SOL.SOCKET => ParseSocket(task, message),
                SOL.IP => ParseV4(message, ref control),
                SOL.IPV6 when socket.IsV6 => ParseV6(socket, message, ref control),
                SOL.UDP when socket is UdpSocket => ParseSegment(message, out segmentSize),
                _ => Errno.None,
            };
            if (error != Errno.None)
                return error;
        }

        return Errno.None;
    }

    private static Errno ParseSocket(Task task, ControlMessage message)
    {
        switch (message.Type)
        {
            case SO.MARK:
                if (!SocketOptions.MayMark(task))
                    return Errno.EPERM;
                return message.Data.Length == sizeof(uint) ? Errno.None : Errno.EINVAL;
            case SO.TIMESTAMPING_OLD or SO.TIMESTAMPING_NEW:
                return message.Data.Length == sizeof(uint) ? Errno.None : Errno.EINVAL;
            default:
                return Errno.EINVAL;
        }
    }

    private static Errno ParseV4(ControlMessage message, ref DatagramControl control)
    {
        ReadOnlySpan<byte> data = message.Data;
        switch (message.Type)
        {
            case IP.PKTINFO:
                if (data.Length != PacketInfoSize)
                    return Errno.EINVAL;
                int index = BinaryPrimitives.ReadInt32LittleEndian(data);
                InetAddress source = InetAddress.FromBytes(data.Slice(4, 4));
                control = control with { InterfaceIndex = index != 0 ? index : control.InterfaceIndex, Source = source.IsAny ? control.Source : source };
                return Errno.None;
            case IP.TTL:
                if (data.Length != sizeof(int) || BinaryPrimitives.ReadInt32LittleEndian(data) is < 1 or > 255)
                    return Errno.EINVAL;
                control = control with { TimeToLive = BinaryPrimitives.ReadInt32LittleEndian(data) };
                return Errno.None;
            case IP.TOS:
                if (data.Length is not (1 or sizeof(int)))
                    return Errno.EINVAL;
                int tos = InetSocket.ReadNumber(data);
                if (tos is < 0 or > 255)
                    return Errno.EINVAL;
                control = control with { TypeOfService = tos };
                return Errno.None;
            default:
                return Errno.EINVAL;
        }
    }

    private static Errno ParseV6(InetSocket socket, ControlMessage message, ref DatagramControl control)
    {
        ReadOnlySpan<byte> data = message.Data;
        switch (message.Type)
        {
            case IPV6.PKTINFO or IPV6.PKTINFO_2292:
                if (data.Length < PacketInfoV6Size)
                    return Errno.EINVAL;
                int index = BinaryPrimitives.ReadInt32LittleEndian(data[16..]);
                if (index != 0 && socket.Ip.BoundInterface != 0 && index != socket.Ip.BoundInterface)
                    return Errno.EINVAL;
                if (index != 0 && socket.Network.Stack.FindInterface(index) is null)
                    return Errno.ENODEV;
                InetAddress source = InetAddress.FromBytes(data[..16]);
                control = control with { InterfaceIndex = index != 0 ? index : control.InterfaceIndex, Source = source.IsAny ? control.Source : source };
                return Errno.None;
            case IPV6.HOPLIMIT or IPV6.HOPLIMIT_2292:
                if (data.Length != sizeof(int) || BinaryPrimitives.ReadInt32LittleEndian(data) is < -1 or > 255)
                    return Errno.EINVAL;
                control = control with { TimeToLive = BinaryPrimitives.ReadInt32LittleEndian(data) };
                return Errno.None;
            case IPV6.TCLASS:
                if (data.Length != sizeof(int) || BinaryPrimitives.ReadInt32LittleEndian(data) is < -1 or > 255)
                    return Errno.EINVAL;
                control = control with { TypeOfService = BinaryPrimitives.ReadInt32LittleEndian(data) };
                return Errno.None;
            case IPV6.DONTFRAG:
                return data.Length == sizeof(int) && BinaryPrimitives.ReadInt32LittleEndian(data) is 0 or 1 ? Errno.None : Errno.EINVAL;
            default:
                return Errno.EINVAL;
        }
    }

    private static Errno ParseSegment(ControlMessage message, out int segmentSize)
    {
        segmentSize = 0;
        if (message.Type != UDP.SEGMENT)
            return Errno.EINVAL;
        if (message.Data.Length != sizeof(ushort))
            return Errno.EINVAL;
        segmentSize = BinaryPrimitives.ReadUInt16LittleEndian(message.Data);
        return Errno.None;
    }
}
