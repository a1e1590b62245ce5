using System.Globalization;
using static Sentry.Kernel.Strace.Arguments;

namespace Sentry.Kernel.Strace;

/// <summary>How calls on sockets are written: options by name with their values in their own shape, requests on interfaces.</summary>
internal static class SocketFormats
{
    private const int InterfaceNameSize = 16;

    internal static void Add(CallFormats.AddFormat add)
    {
        ArgumentFormat family = Flags(FlagTables.Family), type = Flags(FlagTables.SocketType), message = Flags(FlagTables.Message);
        ArgumentFormat protocol = new((p, i) =>
        {
            if (p[0] is AF.Inet or AF.Inet6)
                p.Flags((uint)p[i], FlagTables.InetProtocol);
            else if (p[0] == AF.Netlink)
                p.Flags((uint)p[i], NetlinkTables.Protocol);
            else if (p[0] == AF.Packet)
                p.Append("htons(").Hex(System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((ushort)p[i])).Append(")");
            else
                p.Append((long)(int)p[i]);
        });
        ArgumentFormat length = Out(IntCell);
        ArgumentFormat level = Flags(SocketTables.Level);
        ArgumentFormat option = new((p, i) =>
        {
            if (SocketTables.OptionsOf((int)p[i - 1]) is { } table)
                p.Flags((uint)p[i], table);
            else
                p.Hex((uint)p[i]);
        });
        add(Sysno.socket, family, type, protocol);
        add(Sysno.socketpair, family, type, protocol, FdPair);
        add(Sysno.connect, Fd, SocketStructs.SocketAddressIn(2), Int);
        add(Sysno.bind, Fd, SocketStructs.SocketAddressIn(2), Int);
        add(Sysno.listen, Fd, Int);
        add(Sysno.accept, Fd, SocketStructs.SocketAddressOut, length);
        add(Sysno.accept4, Fd, SocketStructs.SocketAddressOut, length, type);
        add(Sysno.getsockname, Fd, SocketStructs.SocketAddressOut, length);
        add(Sysno.getpeername, Fd, SocketStructs.SocketAddressOut, length);
        add(Sysno.sendto, Fd, MessageIn, ULong, message, SocketStructs.SocketAddressIn(5), UInt);
        add(Sysno.recvfrom, Fd, MessageOut, ULong, message, SocketStructs.SocketAddressOut, length);
        add(Sysno.sendmsg, Fd, SocketStructs.MessageHeader(outgoing: true), message);
        add(Sysno.recvmsg, Fd, SocketStructs.MessageHeader(outgoing: false), message);
        add(Sysno.sendmmsg, Fd, SocketStructs.MessageVector, UInt, message);
        add(Sysno.recvmmsg, Fd, SocketStructs.MessageVector, UInt, message, In(Structs.Timespec));
        add(Sysno.shutdown, Fd, Flags(FlagTables.Shutdown));
        add(Sysno.setsockopt, Fd, level, option, new ArgumentFormat((p, i) => PrintOption(p, p[i], (long)p[4])), UInt);
        add(Sysno.getsockopt, Fd, level, option, new ArgumentFormat(PrintOptionOut, OnExit: true), length);
    }

    private static void PrintOptionOut(CallPrinter p, int index)
    {
        if (p.Result.IsError || !p.Task.TryRead(p[4], out int length))
            p.Address(p[index]);
        else if ((int)p[1] == SOL.SOCKET && (int)p[2] == SO.ERROR && length == sizeof(int) && p.Task.TryRead(p[index], out int error))
            p.Append("[").Append(error == 0 ? "0" : ((Errno)error).ToString()).Append("]");
        else
            PrintOption(p, p[index], length);
    }

    private static void PrintOption(CallPrinter p, ulong address, long length)
    {
        Span<byte> bytes = stackalloc byte[64];
        int level = (int)p[1], name = (int)p[2], shown = (int)Math.Clamp(length, 0, bytes.Length);
        if (address == 0 || p.Task.Memory.Read(address, bytes[..shown]) < shown)
        {
            p.Address(address);
            return;
        }

        bytes = bytes[..shown];
        switch (level, name)
        {
            case (SOL.SOCKET, SO.LINGER) when shown == 8:
                p.Append("{l_onoff=").Append((long)CallPrinter.Int(bytes, 0)).Append(", l_linger=").Append((long)CallPrinter.Int(bytes, 4)).Append("}");
                break;
            case (SOL.SOCKET, SO.RCVTIMEO_OLD or SO.SNDTIMEO_OLD or SO.RCVTIMEO_NEW or SO.SNDTIMEO_NEW) when shown == 16:
                p.Append("{tv_sec=").Append(CallPrinter.Long(bytes, 0)).Append(", tv_usec=").Append(CallPrinter.Long(bytes, 8)).Append("}");
                break;
            case (SOL.SOCKET, SO.ATTACH_FILTER) when shown == 16:
                p.Append("{len=").Append((long)CallPrinter.UShort(bytes, 0)).Append(", filter=").Address(CallPrinter.ULong(bytes, 8)).Append("}");
                break;
            case (SOL.SOCKET, SO.PEERCRED) when shown == 12:
                p.Append("{pid=").Append((long)CallPrinter.Int(bytes, 0)).Append(", uid=").Append((long)CallPrinter.UInt(bytes, 4)).Append(", gid=").Append((long)CallPrinter.UInt(bytes, 8)).Append("}");
                break;
            case (SOL.SOCKET, SO.BINDTODEVICE) or (SOL.TCP, TCP.CONGESTION or TCP.ULP):
                int end = bytes.IndexOf((byte)0);
                p.Quote(end < 0 ? bytes : bytes[..end]);
                break;
            case (SOL.IP, IP.ADD_MEMBERSHIP or IP.DROP_MEMBERSHIP or IP.MULTICAST_IF) when shown >= 8:
                p.Append("{imr_multiaddr=").Append(InetText(bytes)).Append(shown >= 12 ? ", imr_address=" : ", imr_interface=").Append(InetText(bytes[4..]));
                if (shown >= 12)
                    p.Append(", imr_ifindex=").Append((long)CallPrinter.Int(bytes, 8));
                p.Append("}");
                break;
            case (SOL.IPV6, IPV6.ADD_MEMBERSHIP or IPV6.DROP_MEMBERSHIP) when shown >= 20:
                p.Append("{inet_pton(AF_INET6, \"").Append(new System.Net.IPAddress(bytes[..16]).ToString()).Append("\", &ipv6mr_multiaddr), ipv6mr_interface=").Append((long)CallPrinter.Int(bytes, 16)).Append("}");
                break;
            case (SOL.PACKET, PACKET.ADD_MEMBERSHIP or PACKET.DROP_MEMBERSHIP) when shown >= 16:
                p.Append("{mr_ifindex=").Append((long)CallPrinter.Int(bytes, 0)).Append(", mr_type=").Append((long)CallPrinter.UShort(bytes, 4)).Append(", mr_alen=").Append((long)CallPrinter.UShort(bytes, 6)).Append("}");
                break;
            default:
                if (length == sizeof(int))
                    IntCell(p, address);
                else
                    p.Data(address, length);
                break;
        }
    }

    internal static string InetText(ReadOnlySpan<byte> address) => string.Create(CultureInfo.InvariantCulture, $"inet_addr(\"{address[0]}.{address[1]}.{address[2]}.{address[3]}\")");

    /// <summary>The argument of a request on sockets; false when it is none.</summary>
    internal static bool TryPrintRequest(CallPrinter p, uint request, ulong address)
    {
        switch (request)
        {
            case SIOC.SETOWN_FIO or SIOC.SPGRP:
            case SIOC.GETOWN_FIO or SIOC.GPGRP or SIOC.ATMARK or SIOC.OUTQNSD when !p.Result.IsError:
                IntCell(p, address);
                return true;
            case (>= SIOC.GIFNAME and <= SIOC.SIFHWADDR and not SIOC.GIFCONF) or SIOC.GIFHWADDR or SIOC.GIFINDEX or SIOC.GIFTXQLEN or SIOC.SIFTXQLEN or SIOC.DIFADDR:
                return TryPrintInterface(p, request, address);
            default:
                return false;
        }
    }

    private static bool TryPrintInterface(CallPrinter p, uint request, ulong address)
    {
        Span<byte> bytes = stackalloc byte[32];
        if (address == 0 || p.Task.Memory.Read(address, bytes) < bytes.Length)
            return false;
        int end = bytes[..InterfaceNameSize].IndexOf((byte)0);
        p.Append("{ifr_name=").Quote(bytes[..(end < 0 ? InterfaceNameSize : end)]);
        bool isSetter = request is SIOC.SIFLINK or SIOC.SIFFLAGS or SIOC.SIFADDR or SIOC.SIFDSTADDR or SIOC.SIFBRDADDR or SIOC.SIFNETMASK or SIOC.SIFMETRIC or SIOC.SIFMTU or SIOC.SIFHWADDR or SIOC.SIFTXQLEN;
        ReadOnlySpan<byte> value = bytes[InterfaceNameSize..];
        if (isSetter || !p.Result.IsError)
        {
            switch (request)
            {
                case SIOC.GIFFLAGS or SIOC.SIFFLAGS:
                    p.Append(", ifr_flags=").Flags(CallPrinter.UShort(value, 0), SocketTables.InterfaceFlags);
                    break;
                case >= SIOC.GIFADDR and <= SIOC.SIFNETMASK:
                    p.Append(", ifr_addr={sa_family=").Flags(CallPrinter.UShort(value, 0), FlagTables.Family).Append(", sin_addr=").Append(InetText(value[4..])).Append("}");
                    break;
                case SIOC.GIFHWADDR or SIOC.SIFHWADDR:
                    p.Append(", ifr_hwaddr={sa_family=").Append((long)CallPrinter.UShort(value, 0)).Append(", sa_data=").Append(Convert.ToHexStringLower(value.Slice(2, 6))).Append("}");
                    break;
                case SIOC.GIFINDEX or SIOC.GIFNAME:
                    p.Append(", ifr_ifindex=").Append((long)CallPrinter.Int(value, 0));
                    break;
                case SIOC.GIFMTU or SIOC.SIFMTU:
                    p.Append(", ifr_mtu=").Append((long)CallPrinter.Int(value, 0));
                    break;
                case SIOC.GIFTXQLEN or SIOC.SIFTXQLEN:
                    p.Append(", ifr_qlen=").Append((long)CallPrinter.Int(value, 0));
                    break;
                case SIOC.GIFMETRIC or SIOC.SIFMETRIC:
                    p.Append(", ifr_metric=").Append((long)CallPrinter.Int(value, 0));
                    break;
            }
        }

        p.Append("}");
        return true;
    }
}
