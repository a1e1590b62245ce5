using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>inet_diag (sock_diag(7), "IPv4 and IPv6 sockets"): TCP, UDP and raw sockets.</summary>
internal static class InetDiagnosis
{
    private const int RequestSize = 56, IdOffset = 8;
    private const int Bytecode = 1;
    private const byte RawProtocol = IpProtocol.Raw;

    private static readonly AttributePolicy Policy = new(3, new AttributeRule(Bytecode, AttributeKind.Binary), new AttributeRule(3, AttributeKind.U32));

    internal static Errno Handle(NetlinkRequest request)
    {
        ReadOnlySpan<byte> body = request.Body;
        if (body.Length < RequestSize)
            return Errno.EINVAL;
        byte family = body[0], protocol = body[1], extensions = body[2];
        uint states = BinaryPrimitives.ReadUInt32LittleEndian(body[4..]);
        if (request.Has(NetlinkFlags.Dump))
        {
            Errno error = AttributeTable.Parse(request, NetlinkLayout.Header + RequestSize, request.Bytes.Length, Policy, strict: false, out AttributeTable attributes);
            if (error != Errno.None)
                return error;
            FilterProgram? filter = null;
            if (attributes.Has(Bytecode) && !FilterProgram.Check(attributes[Bytecode], request.MayConfigure).TryGet(out filter, out error))
                return error;
            if (!IsKnown(protocol))
                return request.Dump([], error: Errno.ENOENT);
            return request.Dump(List(request, family, protocol, extensions, states, ReadId(family, body), filter), apart: true);
        }

        return IsKnown(protocol) ? GetOne(request, family, protocol, extensions, ReadId(family, body)) : Errno.ENOENT;
    }

    private static bool IsKnown(byte protocol) => protocol is IpProtocol.Tcp or IpProtocol.Udp or IpProtocol.UdpLite or RawProtocol;

    private static List<byte[]> List(NetlinkRequest request, byte family, byte protocol, byte extensions, uint states, in SocketId wanted, FilterProgram? filter)
    {
        List<byte[]> found = [];
        foreach (DiagnosedSocket socket in All(request, protocol))
        {
            bool matches = socket.IsV6 == (family == AF.Inet6) && (states >> socket.State & 1) != 0 &&
                (wanted.SourcePort == 0 || wanted.SourcePort == socket.SourcePort) && (wanted.DestinationPort == 0 || wanted.DestinationPort == socket.DestinationPort) &&
                (filter is null || filter.Matches(socket.ForFilter()));
            if (matches)
                found.Add(Describe(request, socket, extensions, NetlinkFlags.Multi).ToArray());
        }

        return found;
    }

    /// <summary>A connection with exactly these ends, else whoever listens at the near end.</summary>
    private static Errno GetOne(NetlinkRequest request, byte family, byte protocol, byte extensions, in SocketId wanted)
    {
        DiagnosedSocket? best = null;
        foreach (DiagnosedSocket socket in All(request, protocol))
        {
            if (socket.IsV6 != (family == AF.Inet6) || socket.SourcePort != wanted.SourcePort)
                continue;
            bool exact = socket.DestinationPort == wanted.DestinationPort && socket.Destination == wanted.Destination && socket.Source == wanted.Source;
            bool listens = socket.DestinationPort == 0 && (socket.Source == wanted.Source || socket.Source.IsAny);
            if (exact || (listens && best is null))
                best = socket;
            if (exact)
                break;
        }

        if (best is null)
            return Errno.ENOENT;
        Errno error = DiagnosisProtocol.CheckCookie(best.Cookie, wanted.Cookie);
        if (error == Errno.None)
            request.Reply(Describe(request, best, extensions, 0));
        return error;
    }

    private static IEnumerable<DiagnosedSocket> All(NetlinkRequest request, byte protocol)
    {
        NetworkStack stack = request.Task.Network.Stack;
        return protocol switch
        {
            IpProtocol.Tcp => stack.Tcp.Endpoints.Select(e => new DiagnosedSocket(e)),
            IpProtocol.UdpLite => stack.UdpLite.Endpoints.Select(e => new DiagnosedSocket(e, e.IsV6, null)),
            IpProtocol.Udp => stack.Udp.Endpoints.Select(e => new DiagnosedSocket(e, e.IsV6, null)),
            _ => stack.Raw.RawEndpoints.Where(e => !e.IsPing).Select(e => new DiagnosedSocket(e, e.IsV6, e.Protocol)),
        };
    }

    /// <summary>struct inet_diag_sockid.</summary>
    private readonly record struct SocketId(InetAddress Source, ushort SourcePort, InetAddress Destination, ushort DestinationPort, ulong Cookie);

    private static SocketId ReadId(byte family, ReadOnlySpan<byte> body)
    {
        ReadOnlySpan<byte> id = body[IdOffset..];
        int size = family == AF.Inet6 ? 16 : 4;
        return new SocketId(InetAddress.FromBytes(id.Slice(4, size)), BinaryPrimitives.ReadUInt16BigEndian(id), InetAddress.FromBytes(id.Slice(20, size)),
            BinaryPrimitives.ReadUInt16BigEndian(id[2..]), BinaryPrimitives.ReadUInt64LittleEndian(id[40..]));
    }

    // ---- struct inet_diag_msg and its attributes --------------------------------------------------------------------

    private const int MessageSize = 72;
    private const int Memory = 1, Info = 2, Congestion = 4, TypeOfService = 5, TrafficClass = 6, SocketMemoryInfo = 7, Shutdown = 8, V6Only = 11, Mark = 15, ClassId = 17, SocketOptionBits = 22;

    private static bool Wants(byte extensions, int attribute) => (extensions >> (attribute - 1) & 1) != 0;

    private static NetlinkWriter Describe(NetlinkRequest request, DiagnosedSocket socket, byte extensions, ushort flags)
    {
        NetlinkWriter writer = request.Answer(DiagnosisProtocol.ByFamily, flags);
        Span<byte> message = writer.Reserve(MessageSize);
        (byte timer, long remaining, int retries) = socket.Timer;
        message[0] = (byte)(socket.IsV6 ? AF.Inet6 : AF.Inet);
        message[1] = (byte)socket.State;
        message[2] = timer;
        message[3] = (byte)retries;
        BinaryPrimitives.WriteUInt16BigEndian(message[4..], socket.SourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(message[6..], socket.DestinationPort);
        WriteAddress(message[8..], socket.IsV6, socket.Source);
        WriteAddress(message[24..], socket.IsV6, socket.Destination);
        BinaryPrimitives.WriteInt32LittleEndian(message[40..], socket.Options.BoundInterface);
        BinaryPrimitives.WriteUInt64LittleEndian(message[44..], socket.Cookie);
        BinaryPrimitives.WriteInt32LittleEndian(message[52..], (int)(remaining / 1_000_000));
        BinaryPrimitives.WriteInt32LittleEndian(message[56..], socket.Queues.Receive);
        BinaryPrimitives.WriteInt32LittleEndian(message[60..], socket.Queues.Send);
        BinaryPrimitives.WriteUInt32LittleEndian(message[64..], socket.Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(message[68..], (uint)socket.Inode);
        if (socket.HasSocket)
            PutAttributes(request, writer, socket, extensions);
        return writer;
    }

    private static void PutAttributes(NetlinkRequest request, NetlinkWriter writer, DiagnosedSocket socket, byte extensions)
    {
        EndpointOptions options = socket.Options;
        writer.PutByte(Shutdown, (byte)socket.ShutdownMask);
        if (Wants(extensions, TypeOfService))
            writer.PutByte(TypeOfService, options.TypeOfService);
        if (socket.IsV6)
        {
            if (Wants(extensions, TrafficClass))
                writer.PutByte(TrafficClass, options.TrafficClass);
            if (socket.State is (int)TcpState.Listen or (int)TcpState.Closed)
                writer.PutByte(V6Only, (byte)(options.V6Only ? 1 : 0));
        }

        if (request.MayConfigure)
            writer.PutInt32(Mark, options.Mark);
        if (Wants(extensions, TrafficClass))
            writer.PutInt32(ClassId, options.Priority);
        writer.Put(SocketOptionBits, [OptionBits(socket), 0]);
        SocketMemory memory = socket.Memory;
        if (Wants(extensions, Memory))
        {
            Span<byte> value = writer.Put(Memory, 16);
            BinaryPrimitives.WriteInt32LittleEndian(value, memory.Received);
            BinaryPrimitives.WriteInt32LittleEndian(value[4..], memory.Queued);
            BinaryPrimitives.WriteInt32LittleEndian(value[12..], memory.Sent);
        }

        if (Wants(extensions, SocketMemoryInfo))
            DiagnosisProtocol.PutMemory(writer, SocketMemoryInfo, memory);
        if (socket.Tcp is not { } tcp)
            return;
        if (Wants(extensions, Info))
            writer.Put(Info, tcp.GetInfo());
        if (Wants(extensions, Congestion))
            writer.PutString(Congestion, tcp.TcpOptions.Congestion ?? tcp.Stack.Settings.CongestionControl);
    }

    /// <summary>struct inet_diag_sockopt, first byte: recverr, is_icsk, freebind, hdrincl, mc_loop, transparent, mc_all.</summary>
    private static byte OptionBits(DiagnosedSocket socket)
    {
        EndpointOptions options = socket.Options;
        int bits = (options.ReceiveErrors ? 1 : 0) | (socket.Tcp is not null ? 2 : 0) | (options.FreeBind ? 4 : 0) | (options.MulticastLoop ? 0x10 : 0) | (options.Transparent ? 0x20 : 0)
            | (options.MulticastAll && !socket.IsV6 ? 0x40 : 0);
        return (byte)bits;
    }

    private static void WriteAddress(Span<byte> destination, bool isV6, InetAddress address)
    {
        if (isV6)
            address.WriteV6(destination);
        else
            address.WriteTo(destination);
    }
}
