namespace Netstack.Stack;

/// <summary>Packets that leave by an interface: the neighbour's address, segmentation and checksums that the driver does not do, the Ethernet header.</summary>
internal static class LinkOutput
{
    /// <summary>Sends a packet from its IP header on to a next hop.</summary>
    public static Errno Send(NetworkInterface link, Packet packet, InetAddress nextHop, byte routeType)
    {
        packet.Interface = link;
        if (link.IsLoopback)
        {
            Loop(link, packet, routeType);
            return Errno.None;
        }

        if (routeType == RouteType.Broadcast)
        {
            Transmit(link, packet, MacAddress.Broadcast);
            return Errno.None;
        }

        if (nextHop.IsMulticast)
        {
            Transmit(link, packet, MacAddress.OfMulticast(nextHop));
            return Errno.None;
        }

        NeighbourTable neighbours = link.Stack.Ip.Neighbours;
        if (link.Stack.IsHeld)
        {
            // Only what is known already: resolving would change state.
            if (neighbours.Find(link, nextHop) is { IsValid: true } known)
                Transmit(link, packet, known.Mac);
            return Errno.None;
        }

        if (neighbours.GetOrCreate(link, nextHop) is not { } neighbour)
            return Errno.ENOBUFS;
        neighbour.Send(packet);
        return Errno.None;
    }

    /// <summary>Sends a packet (from its IP or ARP header on) to a station.</summary>
    public static void Transmit(NetworkInterface link, Packet packet, MacAddress to)
    {
        if (packet.SegmentSize > 0 && (packet.Length > link.MaxSegmentedLength || packet.TransportProtocol != IpProtocol.Tcp))
        {
            foreach (Packet segment in Segmentation.Split(packet))
                TransmitWhole(link, segment, to);
            return;
        }

        TransmitWhole(link, packet, to);
    }

    /// <summary>Sends a frame that a packet socket made. On loopback it comes in again, as if from a wire.</summary>
    public static void SendFrame(NetworkInterface link, Packet frame, PacketEndpoint sender)
    {
        frame.Interface = link;
        frame.LinkOffset = frame.Start;
        if (EthernetHeader.TryParse(frame.Head, out EthernetHeader ethernet))
            frame.Protocol = ethernet.Type >= EtherType.FirstType ? ethernet.Type : EtherType.Llc;
        link.Stack.Raw.Tap(frame, link, outgoing: true, sender);
        if (link.IsLoopback)
        {
            link.Counters.SentPackets++;
            link.Counters.SentBytes += (ulong)frame.Length;
            link.Stack.Loop(frame);
        }
        else if (link.Driver is { } driver && driver.Transmit(frame))
        {
            link.Counters.SentPackets++;
            link.Counters.SentBytes += (ulong)frame.Length;
        }
        else
        {
            link.Counters.SendDropped++;
        }
    }

    private static void TransmitWhole(NetworkInterface link, Packet packet, MacAddress to)
    {
        if (packet.Checksum == ChecksumState.Partial && !link.OffloadsChecksum)
            Segmentation.CompleteChecksum(packet);
        EthernetHeader.Write(packet.Prepend(EthernetHeader.Size), to, link.Mac, packet.Protocol);
        packet.LinkOffset = packet.Start;
        if (link.Stack.IsHeld)
        {
            link.Driver?.Transmit(packet);
            return;
        }

        if (link.Stack.Raw.HasTaps)
            link.Stack.Raw.Tap(packet, link, outgoing: true);
        int length = packet.Length;
        if (link is { IsUp: true, Driver: { } driver } && driver.Transmit(packet))
        {
            link.Counters.SentPackets += (ulong)packet.SegmentCount;
            link.Counters.SentBytes += (ulong)length;
        }
        else
        {
            link.Counters.SendDropped++;
        }
    }

    private static void Loop(NetworkInterface link, Packet packet, byte routeType)
    {
        InterfaceCounters counters = link.Counters;
        counters.SentPackets++;
        counters.ReceivedPackets++;
        ulong length = (ulong)(packet.Length + EthernetHeader.Size);
        counters.SentBytes += length;
        counters.ReceivedBytes += length;
        packet.Type = routeType switch
        {
            RouteType.Broadcast => PacketType.Broadcast,
            RouteType.Multicast => PacketType.Multicast,
            _ => PacketType.Host,
        };
        if (link.Stack.Raw.HasTaps)
            TapLooped(link, packet);
        link.Stack.Loop(packet);
    }

    /// <summary>Loopback frames have an Ethernet header of zeros, and are seen going out and coming in.</summary>
    private static void TapLooped(NetworkInterface link, Packet packet)
    {
        Packet frame = packet.Clone();
        EthernetHeader.Write(frame.Prepend(EthernetHeader.Size), default, default, packet.Protocol);
        frame.LinkOffset = frame.Start;
        link.Stack.Raw.Tap(frame, link, outgoing: true);
        link.Stack.Raw.Tap(frame, link, outgoing: false);
    }
}
