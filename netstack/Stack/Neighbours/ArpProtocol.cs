namespace Netstack.Stack;

/// <summary>ARP (RFC 826), with conflict detection (RFC 5227).</summary>
[Savable("arp")]
public sealed partial class ArpProtocol
{
    [Saved(1)] private NetworkStack _stack;

    internal ArpProtocol(NetworkStack stack) => _stack = stack;

    /// <param name="packet">Start is behind the Ethernet header.</param>
    internal void Receive(NetworkInterface link, Packet packet, MacAddress frameSource)
    {
        if (!ArpPacket.TryParse(packet.Head, out ArpPacket arp) || arp.Operation is not (ArpPacket.Request or ArpPacket.Reply))
            return;
        if (arp.Target.IsLoopback || arp.Target.IsMulticast || arp.Sender.IsMulticast || arp.Sender.IsBroadcast || arp.SenderMac.IsMulticast)
            return;
        bool toUs = IsOurs(link, arp.Target);
        if (arp.SenderMac == link.Mac)
            return;
        if (!arp.Sender.IsAny && IsOurs(link, arp.Sender))
        {
            // Another station says that it has an address of ours (RFC 5227 section 2.4).
            _stack.Host.OnAddressConflict(link, arp.Sender, arp.SenderMac);
            return;
        }

        if (arp.Operation == ArpPacket.Request && toUs)
        {
            // A probe (sender 0.0.0.0) is answered too: it asks whether the address is taken.
            if (!arp.Sender.IsAny && !_stack.IsHeld)
                Learn(link, arp, NeighbourState.Stale, create: true);
            Send(link, new ArpPacket(ArpPacket.Reply, link.Mac, arp.Target, arp.SenderMac, arp.Sender), frameSource);
            return;
        }

        if (!arp.Sender.IsAny && !_stack.IsHeld)
        {
            bool solicited = arp.Operation == ArpPacket.Reply && packet.Type == PacketType.Host && toUs;
            Learn(link, arp, solicited ? NeighbourState.Reachable : NeighbourState.Stale, create: false);
        }
    }

    /// <summary>Asks who has an address.</summary>
    /// <param name="hint">Source of the packet that needs it.</param>
    /// <param name="to">To whom: null for all.</param>
    internal void SendRequest(NetworkInterface link, InetAddress target, InetAddress hint, MacAddress? to)
    {
        InetAddress source = hint.IsV4 && !hint.IsAny && link.FindAddress(hint) is not null ? hint : _stack.Ip.SelectSourceV4(link, target, RouteScope.Link);
        Send(link, new ArpPacket(ArpPacket.Request, link.Mac, source, default, target), to ?? MacAddress.Broadcast);
    }

    /// <summary>Tells all stations of an address (gratuitous ARP, RFC 5227 section 2.3: a request for itself).</summary>
    internal void Announce(NetworkInterface link, InetAddress address)
    {
        Send(link, new ArpPacket(ArpPacket.Request, link.Mac, address, default, address), MacAddress.Broadcast);
        Send(link, new ArpPacket(ArpPacket.Reply, link.Mac, address, MacAddress.Broadcast, address), MacAddress.Broadcast);
    }

    private static void Send(NetworkInterface link, ArpPacket arp, MacAddress to)
    {
        Packet packet = Packet.Create(ArpPacket.Size);
        arp.WriteTo(packet.Append(ArpPacket.Size));
        packet.Protocol = EtherType.Arp;
        packet.NetworkOffset = packet.Start;
        link.TransmitTo(packet, to);
    }

    private bool IsOurs(NetworkInterface link, InetAddress address)
    {
        // arp_ignore 0: an address of any interface is answered for on all.
        if (link.FindAddress(address) is not null)
            return true;
        return _stack.Routes.LookupLocal(address) is { Type: RouteType.Local } && !address.IsLoopback;
    }

    private void Learn(NetworkInterface link, in ArpPacket arp, NeighbourState state, bool create)
    {
        Neighbour? entry = create ? _stack.Ip.Neighbours.GetOrCreate(link, arp.Sender) : _stack.Ip.Neighbours.Find(link, arp.Sender);
        if (entry is null || entry.State is NeighbourState.Permanent or NeighbourState.NoArp)
            return;
        if (entry.IsValid && entry.Mac == arp.SenderMac)
        {
            if (state == NeighbourState.Reachable)
                entry.Update(arp.SenderMac, state);
            return;
        }

        // Of two answers at once the first is kept (locktime), but an announcement counts.
        bool gratuitous = arp.Sender == arp.Target;
        if (entry.IsValid && entry.IsLocked && !gratuitous)
            return;
        entry.Update(arp.SenderMac, state);
    }
}
