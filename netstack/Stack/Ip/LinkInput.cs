namespace Netstack.Stack;

/// <summary>Frames that come in by an interface: to whom they are, packet sockets, the network protocol.</summary>
internal static class LinkInput
{
    public static void Receive(NetworkStack stack, NetworkInterface link, Packet frame)
    {
        if (!link.IsUp)
            return;
        frame.Interface = link;
        frame.LinkOffset = frame.Start;
        frame.ArrivalTime = stack.Now;
        if (!EthernetHeader.TryParse(frame.Head, out EthernetHeader ethernet))
        {
            if (!stack.IsHeld)
                link.Counters.ReceiveErrors++;
            return;
        }

        frame.Type = TypeOf(link, ethernet.Destination);
        frame.Protocol = ethernet.Type >= EtherType.FirstType ? ethernet.Type : EtherType.Llc;

        // What a network card would filter out is not seen by anyone.
        if (frame.Type == PacketType.OtherHost && !link.IsPromiscuous)
            return;
        if (!stack.IsHeld)
            Count(stack, link, frame);

        // A tag with VLAN 0 is a priority (802.1Q section 6.9); other VLANs are other networks.
        if (frame.Type == PacketType.OtherHost || (ethernet.IsTagged && ethernet.VlanId != 0))
            return;
        frame.Start += ethernet.Length;
        frame.NetworkOffset = frame.Start;
        switch (frame.Protocol)
        {
            case EtherType.Ipv4:
                if (stack.IsHeld)
                    stack.Ip.V4.ReceiveHeld(link, frame);
                else
                    stack.Ip.V4.Receive(link, frame, looped: false);
                break;
            case EtherType.Ipv6 when link.HasIpv6:
                if (stack.IsHeld)
                    stack.Ip.V6.ReceiveHeld(link, frame);
                else
                    stack.Ip.V6.Receive(link, frame, looped: false);
                break;
            case EtherType.Arp:
                stack.Ip.Arp.Receive(link, frame, ethernet.Source);
                break;
        }
    }

    private static void Count(NetworkStack stack, NetworkInterface link, Packet frame)
    {
        InterfaceCounters counters = link.Counters;
        counters.ReceivedPackets++;
        counters.ReceivedBytes += (ulong)frame.Length;
        if (frame.Type == PacketType.Multicast)
            counters.Multicast++;
        if (stack.Raw.HasTaps)
            stack.Raw.Tap(frame, link, outgoing: false);
    }

    private static PacketType TypeOf(NetworkInterface link, MacAddress destination)
    {
        if (destination == link.Mac)
            return PacketType.Host;
        if (!destination.IsMulticast)
            return PacketType.OtherHost;
        return destination.IsBroadcast ? PacketType.Broadcast : PacketType.Multicast;
    }
}
