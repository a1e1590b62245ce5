using System.Buffers.Binary;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Host;

/// <summary>Addresses and options of the host's sockets, as far as the kernel must know them.</summary>
internal static class HostSocketNames
{
    /// <summary>Options of SOL_SOCKET that the host acts on; the others are the sandbox's own affair.</summary>
    internal static bool IsHostOption(int name) => name is SO.REUSEADDR or SO.REUSEPORT or SO.BROADCAST or SO.DONTROUTE or SO.KEEPALIVE or SO.OOBINLINE or SO.NO_CHECK or SO.LINGER or SO.SNDBUF or SO.RCVBUF
        or SO.RCVLOWAT or SO.TIMESTAMP_OLD or SO.TIMESTAMPNS_OLD or SO.TIMESTAMP_NEW or SO.TIMESTAMPNS_NEW or SO.RXQ_OVFL;

    /// <summary>Options beyond SOL_SOCKET. What names descriptors or changes the socket's nature is left out.</summary>
    internal static bool IsHostLevel(int level, int name)
    {
        const int tcpUpperLayer = 31, tcpRepair = 19, tcpFastOpen = 23, tcpFastOpenConnect = 30;
        return level switch
        {
            SOL.TCP => name is not (tcpUpperLayer or tcpRepair or tcpFastOpen or tcpFastOpenConnect),
            SOL.IP or SOL.IPV6 or SOL.UDP => true,
            _ => false,
        };
    }

    internal static int FamilyOf(ReadOnlySpan<byte> address) => BinaryPrimitives.ReadUInt16LittleEndian(address);

    /// <summary>The port of a sockaddr_in or sockaddr_in6; 0 when it is too short for one.</summary>
    internal static int PortOf(ReadOnlySpan<byte> address) => address.Length >= 4 ? BinaryPrimitives.ReadUInt16BigEndian(address[2..]) : 0;

    /// <summary>ADDRESS:PORT for people.</summary>
    internal static string Format(ReadOnlySpan<byte> address)
    {
        const int sizeV4 = 16, sizeV6 = 28;
        if (address.Length >= sizeV6 && FamilyOf(address) == AF.Inet6)
            return $"[{InetAddress.FromBytes(address.Slice(8, 16))}]:{PortOf(address)}";
        return address.Length >= sizeV4 && FamilyOf(address) == AF.Inet ? $"{InetAddress.FromBytes(address.Slice(4, 4))}:{PortOf(address)}" : "*";
    }
}
