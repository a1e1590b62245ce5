using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Netlink;
using Sentry.Kernel.Sockets.Netlink.Diagnosis;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>/proc/net/tcp, udp, raw, icmp, unix, netlink, packet and those of IPv6.</summary>
internal static class SocketTables
{
    /// <summary>Widths to which lines of IPv4 are filled (TMPSZ of tcp_ipv4.c, seq_setwidth of udp.c).</summary>
    private const int TcpWidth = 149, DatagramWidth = 127;

    /// <summary>Where a kernel address would be (%pK).</summary>
    private const string Pointer = "0000000000000000";

    private const string Columns = "local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

    private const string ColumnsV6 = "local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

    internal static readonly string DatagramHeader = ("   sl  " + Columns + " ref pointer drops").PadRight(DatagramWidth) + "\n";

    internal const string DatagramHeaderV6 = "  sl  " + ColumnsV6 + " ref pointer drops\n";

    private const string RawHeader = "  sl  " + Columns + " ref pointer drops\n";

    internal static string Tcp(NetworkNamespace network, bool isV6)
    {
        var text = new StringBuilder(isV6 ? "  sl  " + ColumnsV6 + "\n" : ("  sl  " + Columns).PadRight(TcpWidth) + "\n");
        int number = 0;
        foreach (TcpEndpoint endpoint in network.Stack.Tcp.Endpoints)
        {
            if (endpoint.IsV6 != isV6)
                continue;
            var socket = new DiagnosedSocket(endpoint);
            int start = text.Length;
            text.Append(CultureInfo.InvariantCulture, $"{number++,4}: ");
            AppendTcp(text, socket, endpoint);
            if (isV6)
                text.Append('\n');
            else
                text.EndPadded(start, TcpWidth);
        }

        return text.ToString();
    }

    private static void AppendTcp(StringBuilder text, DiagnosedSocket socket, TcpEndpoint endpoint)
    {
        AppendEnds(text, socket);
        (byte timer, long remaining, int retries) = socket.Timer;
        (int receive, int send) = socket.Queues;
        bool listens = endpoint.State == TcpState.Listen;
        text.Append(CultureInfo.InvariantCulture, $" {socket.State:X2} {(listens ? 0 : send):X8}:{receive:X8} {timer:X2}:{(timer == 0 ? 0 : Clock(remaining)):X8} {(timer == 2 ? 0 : retries):X8} {socket.Uid,5} ");
        if (!socket.HasSocket)
        {
            text.Append(CultureInfo.InvariantCulture, $"{0,8} 0 {(endpoint.State == TcpState.TimeWait ? 3 : 1)} {Pointer}");
            return;
        }

        ReadOnlySpan<byte> info = endpoint.GetInfo();
        uint timeout = BinaryPrimitives.ReadUInt32LittleEndian(info[8..]), acknowledge = BinaryPrimitives.ReadUInt32LittleEndian(info[12..]);
        uint threshold = BinaryPrimitives.ReadUInt32LittleEndian(info[76..]), window = BinaryPrimitives.ReadUInt32LittleEndian(info[80..]);
        const uint infinite = 0x7fffffff;
        text.Append(CultureInfo.InvariantCulture, $"{info[3],8} {socket.Inode} {(timer == 0 ? 1 : 2)} {Pointer} ");
        if (listens)
            text.Append("100 0 0 10 0");
        else
            text.Append(CultureInfo.InvariantCulture, $"{timeout / 10000} {acknowledge / 10000} 0 {window} {(threshold >= infinite ? -1 : (int)threshold)}");
    }

    /// <summary>Both ends, in the order of bytes of the machine as Linux shows them.</summary>
    private static void AppendEnds(StringBuilder text, DiagnosedSocket socket)
    {
        AppendEnd(text, socket.IsV6, socket.Source, socket.SourcePort);
        text.Append(' ');
        AppendEnd(text, socket.IsV6, socket.Destination, socket.DestinationPort);
    }

    private static void AppendEnd(StringBuilder text, bool isV6, InetAddress address, ushort port)
    {
        Span<byte> bytes = stackalloc byte[16];
        bytes.Clear();
        if (isV6)
            address.WriteV6(bytes);
        else
            address.WriteTo(bytes);
        for (int i = 0; i < (isV6 ? 16 : 4); i += 4)
            text.Append(BinaryPrimitives.ReadUInt32LittleEndian(bytes[i..]).ToString("X8", CultureInfo.InvariantCulture));
        text.Append(':').Append(port.ToString("X4", CultureInfo.InvariantCulture));
    }

    /// <summary>Hundredths of a second.</summary>
    private static long Clock(long nanoseconds) => (nanoseconds + 9_999_999) / 10_000_000;

    internal static string Udp(UdpLayer layer, bool isV6) =>
        Datagrams(isV6, isV6 ? DatagramHeaderV6 : DatagramHeader, padded: !isV6, numberWidth: 5, layer.Endpoints.Where(e => e.IsV6 == isV6).Select(e => new DiagnosedSocket(e, isV6, null)));

    internal static string Raw(NetworkNamespace network, bool isV6, bool pings)
    {
        IEnumerable<DiagnosedSocket> found = network.Stack.Raw.RawEndpoints.Where(e => e.IsV6 == isV6 && e.IsPing == pings && (!pings || e.LocalPort != 0))
            .Select(e => new DiagnosedSocket(e, isV6, pings ? null : e.Protocol));
        if (pings)
            return Datagrams(isV6, isV6 ? DatagramHeaderV6 : RawHeader.TrimEnd('\n').PadRight(DatagramWidth) + "\n", padded: !isV6, numberWidth: 5, found);
        return Datagrams(isV6, isV6 ? DatagramHeaderV6 : RawHeader, padded: false, numberWidth: isV6 ? 5 : 4, found);
    }

    private static string Datagrams(bool isV6, string header, bool padded, int numberWidth, IEnumerable<DiagnosedSocket> sockets)
    {
        var text = new StringBuilder(header);
        foreach (DiagnosedSocket socket in sockets)
        {
            int start = text.Length;
            text.Append(socket.SourcePort.ToString(CultureInfo.InvariantCulture).PadLeft(numberWidth)).Append(": ");
            AppendEnds(text, socket);
            text.Append(CultureInfo.InvariantCulture, $" {socket.State:X2} {0:X8}:{socket.Queues.Receive:X8} 00:00000000 00000000 {socket.Uid,5} {0,8} {socket.Inode} 2 {Pointer} {socket.Drops}");
            text = padded ? text.EndPadded(start, DatagramWidth) : text.Append('\n');
        }

        return text.ToString();
    }

    internal static string Unix(NetworkNamespace network)
    {
        const int acceptsConnections = 0x10000;
        var text = new StringBuilder("Num       RefCount Protocol Flags    Type St Inode Path\n");
        foreach (SocketFile each in network.Sockets.Values)
        {
            if (each is not UnixSocket socket)
                continue;

            // SS_UNCONNECTED, SS_CONNECTED; one that waits to be accepted has no descriptor yet (SS_CONNECTING).
            int state = socket.References == 0 ? 2 : socket.DiagnosedState == 1 ? 3 : 1;
            text.Append(CultureInfo.InvariantCulture, $"{Pointer}: {(socket.Peer is null ? 2 : 3):X8} {0:X8} {(socket.IsListening ? acceptsConnections : 0):X8} {socket.Type:X4} {state:X2} {(socket.References == 0 ? 0 : socket.Inode),5}");
            if (socket.Name is { } name)
                text.Append(' ').Append(name[0] == '\0' ? name.Replace('\0', '@') : name);
            text.Append('\n');
        }

        return text.ToString();
    }

    internal static string Netlink(NetworkNamespace network)
    {
        var text = new StringBuilder("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
        foreach (NetlinkProtocol protocol in NetlinkProtocol.WithKernel)
            Append(protocol.Number, 0, 0, 0, 0, 0, 0);
        foreach (NetlinkSocket socket in network.Netlink.Sockets)
            Append(socket.Protocol, socket.Port, (uint)socket.Groups[0], socket.QueuedBytes, socket.IsDumping ? 1 : 0, socket.Drops, socket.Inode);
        return text.ToString();

        void Append(int protocol, uint port, uint groups, int queued, int dumping, int drops, ulong inode) =>
            text.Append(CultureInfo.InvariantCulture, $"{Pointer} {protocol,-3} {port,-10} {groups:x8} {queued,-8} {0,-8} {dumping,-5} {2,-8} {drops,-8} {inode,-8}\n");
    }

    internal static string Packet(NetworkNamespace network)
    {
        var text = new StringBuilder("sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
        foreach (PacketEndpoint endpoint in network.Stack.Raw.PacketEndpoints)
        {
            int type = endpoint.IsCooked ? SocketType.Datagram : SocketType.Raw;
            text.Append(CultureInfo.InvariantCulture,
                $"{Pointer} {3,-6} {type,-4} {endpoint.Protocol:x4}   {endpoint.InterfaceIndex,-5} {1,1} {endpoint.QueuedBytes,-6} {endpoint.Options.OwnerUid,-6} {endpoint.Options.SocketInode,-6}\n");
        }

        return text.ToString();
    }
}
