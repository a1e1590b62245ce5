using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2). Has no state of its own.</summary>
internal sealed class IcmpV4
{
    // RFC 1812 section 4.3.2.3: as much of the packet as fits 576 bytes.
    private const int MaxError = 576;

    // Plateaus for routers that do not say their MTU (RFC 1191 section 7.1).
    private static readonly int[] Plateaus = [32000, 17914, 8166, 4352, 2002, 1492, 576, 296, 216, 128, 68];

    private readonly NetworkStack _stack;

    public IcmpV4(NetworkStack stack) => _stack = stack;

    private StackCounters Counters => _stack.Counters;

    /// <param name="packet">From the ICMP header on.</param>
    public void Receive(Packet packet, in IpInfo info)
    {
        Counters.IcmpReceived++;
        packet.Flatten();
        if (!IcmpHeader.TryParse(packet.Head, out IcmpHeader header))
        {
            Counters.IcmpErrors++;
            return;
        }

        if (packet.Checksum == ChecksumState.Unknown && InternetChecksum.Finish(InternetChecksum.Add(0, packet.Head)) != 0)
        {
            Counters.IcmpErrors++;
            Counters.IcmpChecksumErrors++;
            return;
        }

        Count(Counters.IcmpReceivedTypes, header.Type);
        switch (header.Type)
        {
            case IcmpType.Echo:
                OnEcho(packet, header, info);
                break;
            case IcmpType.Timestamp:
                OnTimestamp(packet, header, info);
                break;
            case IcmpType.EchoReply:
                _stack.Raw.ReceiveEchoReply(packet, info, header.Identifier);
                break;
            case IcmpType.Unreachable or IcmpType.TimeExceeded or IcmpType.ParameterProblem:
                OnError(packet, header, info);
                break;
        }
    }

    /// <summary>Answers a packet with an error, where that is allowed (RFC 1122 section 3.2.2).</summary>
    /// <param name="packet">Its NetworkOffset is at the IP header.</param>
    /// <param name="rest">The second four bytes of the ICMP header.</param>
    public void SendError(Packet packet, byte type, byte code, uint rest)
    {
        if (packet.Type is not PacketType.Host || packet.NetworkOffset < 0)
            return;
        packet.Start = packet.NetworkOffset;
        ReadOnlySpan<byte> head = packet.Head;
        if (!Ipv4Header.TryParseQuoted(head, out Ipv4Header header) || header.FragmentOffset != 0)
            return;
        InetAddress to = header.Source;
        if (to.IsAny || to.IsMulticast || _stack.Ip.IsBroadcast(to) || header.Destination.IsMulticast || _stack.Ip.IsBroadcast(header.Destination))
            return;
        if (header.Protocol == IpProtocol.Icmp && head.Length > header.HeaderLength && IcmpType.IsError(head[header.HeaderLength]))
            return;
        if ((_stack.Settings.IcmpRateMask >> type & 1) != 0 && !_stack.Ip.Limiter.Allow(to))
            return;

        InetAddress from = _stack.Ip.IsLocal(header.Destination) ? header.Destination : InetAddress.AnyV4;
        if (!_stack.Ip.FindRoute(to, from).TryGet(out Route route, out _))
            return;
        if (from.IsAny)
            from = route.Source;
        int quoted = Math.Min(packet.Length, MaxError - Ipv4Header.Size - IcmpHeader.Size);
        Packet error = Packet.Create(IcmpHeader.Size + quoted);
        new IcmpHeader(type, code, rest).WriteTo(error.Append(IcmpHeader.Size));
        packet.CopyTo(0, error.Append(quoted));

        // Precedence "internetwork control", as routers have it (RFC 1812 section 4.3.2.5).
        byte service = (byte)(header.TypeOfService & 0x1e | 0xc0);
        Send(error, route, from, to, service);
    }

    /// <summary>No neighbour answers for the next hop of a packet.</summary>
    /// <param name="packet">From the IP header on.</param>
    public void OnUnreachable(Packet packet)
    {
        if (!Ipv4Header.TryParseQuoted(packet.Head, out Ipv4Header header))
            return;
        if (!_stack.Ip.IsLocal(header.Source))
        {
            packet.Type = PacketType.Host;
            SendError(packet, IcmpType.Unreachable, IcmpType.HostUnreachable, 0);
            return;
        }

        if (header.FragmentOffset != 0)
            return;
        byte[] transport = Quote(packet, header.HeaderLength);
        _stack.Ip.TellError(header.Protocol, new TransportError(Errno.EHOSTUNREACH, false, TransportError.OriginIcmp, IcmpType.Unreachable, IcmpType.HostUnreachable, 0,
            header.Source, header.Destination, header.Source, transport));
    }

    internal static byte[] Quote(Packet packet, int headers)
    {
        const int maxQuote = 512;
        byte[] transport = new byte[Math.Clamp(packet.Length - headers, 0, maxQuote)];
        packet.CopyTo(headers, transport);
        return transport;
    }

    internal static void Count(SortedDictionary<int, long> types, byte type) => types[type] = types.GetValueOrDefault(type) + 1;

    private void OnEcho(Packet packet, in IcmpHeader header, in IpInfo info)
    {
        if (_stack.Settings.EchoIgnoreAll != 0 || (info.IsGroup && _stack.Settings.EchoIgnoreBroadcasts))
            return;
        Packet reply = Packet.Create(packet.Length);
        packet.CopyTo(0, reply.Append(packet.Length));
        (header with { Type = IcmpType.EchoReply, Code = 0 }).WriteTo(reply.Head);
        Reply(reply, info);
    }

    private void OnTimestamp(Packet packet, in IcmpHeader header, in IpInfo info)
    {
        const int size = 20;
        const long day = 86_400_000;
        if (packet.Length < size || info.IsGroup || header.Code != 0)
            return;
        Packet reply = Packet.Create(size);
        Span<byte> message = reply.Append(size);
        packet.CopyTo(0, message);
        (header with { Type = IcmpType.TimestampReply }).WriteTo(message);
        uint milliseconds = (uint)(_stack.Realtime / 1_000_000 % day);
        BinaryPrimitives.WriteUInt32BigEndian(message[12..], milliseconds);
        BinaryPrimitives.WriteUInt32BigEndian(message[16..], milliseconds);
        Reply(reply, info);
    }

    private void Reply(Packet reply, in IpInfo info)
    {
        InetAddress source = info.IsGroup && !_stack.Ip.IsLocal(info.Destination) ? InetAddress.AnyV4 : info.Destination;
        if (_stack.Ip.FindRoute(info.Source, source).TryGet(out Route route, out _))
            Send(reply, route, source.IsAny ? route.Source : source, info.Source, info.TypeOfService);
    }

    private void Send(Packet message, in Route route, InetAddress source, InetAddress destination, byte service)
    {
        byte type = message.Head[0];
        InternetChecksum.Write(message.Head[IcmpHeader.ChecksumOffset..], InternetChecksum.Finish(message.Sum(0)));
        Counters.IcmpSent++;
        Count(Counters.IcmpSentTypes, type);
        _stack.Ip.Send(message, route, source, destination, new IpSendOptions(IpProtocol.Icmp, _stack.Settings.DefaultTimeToLive, service));
    }

    private void OnError(Packet packet, in IcmpHeader header, in IpInfo info)
    {
        ReadOnlySpan<byte> quoted = packet.Head[IcmpHeader.Size..];
        if (info.IsGroup || !Ipv4Header.TryParseQuoted(quoted, out Ipv4Header inner) || quoted.Length < inner.HeaderLength + 8)
        {
            Counters.IcmpErrors++;
            return;
        }

        // It must be about a packet of this host (RFC 5927 section 4); the transports look closer.
        (Errno error, bool isHard) = IcmpErrnos.OfV4(header.Type, header.Code);
        if (error == Errno.None || inner.FragmentOffset != 0 || !_stack.Ip.IsLocal(inner.Source))
            return;
        int mtu = 0;
        if (header is { Type: IcmpType.Unreachable, Code: IcmpType.FragmentationNeeded })
            mtu = NextMtu((int)(header.Rest & 0xffff), inner.TotalLength);
        byte[] transport = quoted[inner.HeaderLength..].ToArray();
        var told = new TransportError(error, isHard, TransportError.OriginIcmp, header.Type, header.Code, mtu, inner.Source, inner.Destination, info.Source, transport)
        {
            Interface = info.Interface,
        };
        _stack.Ip.TellError(inner.Protocol, told);
    }

    private static int NextMtu(int told, int length)
    {
        if (told != 0)
            return told;
        foreach (int plateau in Plateaus)
        {
            if (plateau < length)
                return plateau;
        }

        return Plateaus[^1];
    }
}
