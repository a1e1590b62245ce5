namespace Netstack.Stack;

/// <summary>ICMP for IPv6 (RFC 4443). Has no state of its own.</summary>
internal sealed class IcmpV6
{
    private readonly NetworkStack _stack;

    public IcmpV6(NetworkStack stack) => _stack = stack;

    private StackCounters Counters => _stack.Counters;

    /// <param name="packet">From the ICMP header on.</param>
    public void Receive(Packet packet, in IpInfo info)
    {
        Counters.Icmp6Received++;
        packet.Flatten();
        if (!Verify(packet, info, out IcmpHeader header))
            return;
        IcmpV4.Count(Counters.Icmp6ReceivedTypes, header.Type);
        switch (header.Type)
        {
            case Icmpv6Type.Echo:
                OnEcho(packet, header, info);
                break;
            case Icmpv6Type.EchoReply:
                _stack.Raw.ReceiveEchoReply(packet, info, header.Identifier);
                break;
            case Icmpv6Type.Unreachable or Icmpv6Type.PacketTooBig or Icmpv6Type.TimeExceeded or Icmpv6Type.ParameterProblem:
                OnError(packet, header, info);
                break;
            case Icmpv6Type.ListenerQuery or Icmpv6Type.ListenerReport or Icmpv6Type.ListenerDone:
                // MLD is of the link: from a link-local address, with hop limit 1 (RFC 3810 section 5.1.14).
                if (info.Source.IsLinkLocal && info.TimeToLive == 1)
                    info.Interface.Groups.ReceiveMld(packet.Head);
                break;
            case >= Icmpv6Type.RouterSolicitation and <= Icmpv6Type.NeighbourAdvertisement:
                _stack.Ip.Ndp.Receive(packet, packet.Head, info);
                break;
        }
    }

    /// <summary>Of a paused sandbox: only solicitations are answered.</summary>
    public void ReceiveHeld(Packet packet, in IpInfo info)
    {
        packet.Flatten();
        if (packet.Length > 0 && packet.Head[0] == Icmpv6Type.NeighbourSolicitation && IsChecksumRight(packet, info))
            _stack.Ip.Ndp.Receive(packet, packet.Head, info);
    }

    /// <summary>Answers a packet with an error, where that is allowed (RFC 4443 section 2.4).</summary>
    /// <param name="packet">Its NetworkOffset is at the IP header.</param>
    /// <param name="rest">The second four bytes of the ICMP header.</param>
    public void SendError(Packet packet, byte type, byte code, uint rest)
    {
        if (packet.NetworkOffset < 0)
            return;
        packet.Start = packet.NetworkOffset;
        if (!Ipv6Header.TryParseQuoted(packet.Head, out Ipv6Header header))
            return;
        InetAddress to = header.Source;
        bool isGroup = header.Destination.IsMulticast || packet.Type is not PacketType.Host;

        // Section 2.4(e.3): of groups only "packet too big" and unknown options.
        if (isGroup && type != Icmpv6Type.PacketTooBig && !(type == Icmpv6Type.ParameterProblem && code == 2))
            return;
        if (to.IsAny || to.IsMulticast || IsAboutError(packet.Head, header) || !_stack.Ip.Limiter.Allow(to))
            return;

        InetAddress from = !header.Destination.IsMulticast && _stack.Ip.IsLocal(header.Destination) ? header.Destination : InetAddress.AnyV6;
        int scope = to.IsLinkLocal ? packet.Interface?.Index ?? 0 : 0;
        if (packet.Interface is { IsLoopback: true })
            scope = 0;
        if (!_stack.Ip.FindRoute(to, from, scope).TryGet(out Route route, out _))
            return;
        if (from.IsAny)
            from = route.Source;
        int quoted = Math.Min(packet.Length, NetworkInterface.MinMtuV6 - Ipv6Header.Size - IcmpHeader.Size);
        Packet error = Packet.Create(IcmpHeader.Size + quoted);
        new IcmpHeader(type, code, rest).WriteTo(error.Append(IcmpHeader.Size));
        packet.CopyTo(0, error.Append(quoted));
        Send(error, route, from, to, 0);
    }

    /// <summary>No neighbour answers for the next hop of a packet.</summary>
    /// <param name="packet">From the IP header on.</param>
    public void OnUnreachable(Packet packet)
    {
        if (!Ipv6Header.TryParseQuoted(packet.Head, out Ipv6Header header))
            return;
        if (!_stack.Ip.IsLocal(header.Source))
        {
            packet.Type = PacketType.Host;
            SendError(packet, Icmpv6Type.Unreachable, Icmpv6Type.AddressUnreachable, 0);
            return;
        }

        if (!Ipv6Extensions.TryFindUpperLayer(packet.Head, header.NextHeader, out byte protocol, out int offset))
            return;
        byte[] transport = IcmpV4.Quote(packet, offset);
        _stack.Ip.TellError(protocol, new TransportError(Errno.EHOSTUNREACH, false, TransportError.OriginIcmp6, Icmpv6Type.Unreachable, Icmpv6Type.AddressUnreachable, 0,
            header.Source, header.Destination, header.Source, transport));
    }

    public void CountSent(byte type)
    {
        Counters.Icmp6Sent++;
        IcmpV4.Count(Counters.Icmp6SentTypes, type);
    }

    private static bool IsAboutError(ReadOnlySpan<byte> packet, in Ipv6Header header) =>
        Ipv6Extensions.TryFindUpperLayer(packet, header.NextHeader, out byte protocol, out int offset) && protocol == IpProtocol.Icmpv6
        && offset < packet.Length && (Icmpv6Type.IsError(packet[offset]) || packet[offset] == Icmpv6Type.Redirect);

    private static bool IsChecksumRight(Packet packet, in IpInfo info)
    {
        ulong sum = InternetChecksum.PseudoHeader(info.Source, info.Destination, IpProtocol.Icmpv6, packet.Length);
        return InternetChecksum.Finish(InternetChecksum.Add(sum, packet.Head)) == 0;
    }

    private bool Verify(Packet packet, in IpInfo info, out IcmpHeader header)
    {
        // Messages of MLDv1 and of no body are shorter than eight bytes in no case.
        if (!IcmpHeader.TryParse(packet.Head, out header))
        {
            Counters.Icmp6Errors++;
            return false;
        }

        if (packet.Checksum == ChecksumState.Unknown && !IsChecksumRight(packet, info))
        {
            Counters.Icmp6Errors++;
            Counters.Icmp6ChecksumErrors++;
            return false;
        }

        return true;
    }

    private void OnEcho(Packet packet, in IcmpHeader header, in IpInfo info)
    {
        if (_stack.Settings.EchoIgnoreAll != 0 || info.Source.IsAny || info.Source.IsMulticast)
            return;
        InetAddress source = info.Destination.IsMulticast ? InetAddress.AnyV6 : info.Destination;
        int scope = info.Source.IsLinkLocal && !info.Interface.IsLoopback ? info.Interface.Index : 0;
        if (!_stack.Ip.FindRoute(info.Source, source, scope).TryGet(out Route route, out _))
            return;
        Packet reply = Packet.Create(packet.Length);
        packet.CopyTo(0, reply.Append(packet.Length));
        (header with { Type = Icmpv6Type.EchoReply, Code = 0 }).WriteTo(reply.Head);
        Send(reply, route, source.IsAny ? route.Source : source, info.Source, info.TypeOfService);
    }

    private void Send(Packet message, in Route route, InetAddress source, InetAddress destination, byte trafficClass)
    {
        ulong sum = InternetChecksum.PseudoHeader(source, destination, IpProtocol.Icmpv6, message.Length);
        InternetChecksum.Write(message.Head[IcmpHeader.ChecksumOffset..], InternetChecksum.Finish(InternetChecksum.Combine(sum, message.Sum(0))));
        CountSent(message.Head[0]);
        _stack.Ip.Send(message, route, source, destination, new IpSendOptions(IpProtocol.Icmpv6, _stack.Settings.DefaultHopLimit, trafficClass));
    }

    private void OnError(Packet packet, in IcmpHeader header, in IpInfo info)
    {
        ReadOnlySpan<byte> quoted = packet.Head[IcmpHeader.Size..];
        if (!Ipv6Header.TryParseQuoted(quoted, out Ipv6Header inner) || !Ipv6Extensions.TryFindUpperLayer(quoted, inner.NextHeader, out byte protocol, out int offset)
            || quoted.Length < offset + 8)
        {
            Counters.Icmp6Errors++;
            return;
        }

        (Errno error, bool isHard) = IcmpErrnos.OfV6(header.Type, header.Code);
        if (error == Errno.None || (info.IsGroup && header.Type != Icmpv6Type.PacketTooBig) || !_stack.Ip.IsLocal(inner.Source))
            return;
        int mtu = header.Type == Icmpv6Type.PacketTooBig ? (int)Math.Min(header.Rest, int.MaxValue) : 0;
        byte[] transport = quoted[offset..].ToArray();
        var told = new TransportError(error, isHard, TransportError.OriginIcmp6, header.Type, header.Code, mtu, inner.Source, inner.Destination, info.Source, transport)
        {
            Interface = info.Interface,
        };
        _stack.Ip.TellError(protocol, told);
    }
}
