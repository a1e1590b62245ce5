namespace Netstack.Stack;

/// <summary>Neighbour discovery for IPv6 (RFC 4861) and duplicate address detection (RFC 4862).</summary>
[Savable("ndp")]
public sealed partial class NeighbourDiscovery
{
    private static readonly InetAddress AllNodes = new(0xff02_0000_0000_0000, 1), AllRouters = new(0xff02_0000_0000_0000, 2);

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private RouterDiscovery _routers;

    internal NeighbourDiscovery(NetworkStack stack)
    {
        _stack = stack;
        _routers = new RouterDiscovery(stack);
    }

    internal void StartRouterDiscovery(NetworkInterface link) => _routers.Start(link);

    /// <param name="message">From the ICMP header on, its checksum verified.</param>
    internal void Receive(Packet packet, ReadOnlySpan<byte> message, in IpInfo info)
    {
        // Hop limit 255 proves that the message did not come from beyond the link (section 6.1, 7.1).
        if (info.TimeToLive != 255 || info.Interface.IsLoopback)
            return;
        switch (message[0])
        {
            case Icmpv6Type.NeighbourSolicitation when NeighbourMessage.TryParse(message, out NeighbourMessage solicitation):
                OnSolicitation(packet, solicitation, info);
                break;
            case Icmpv6Type.NeighbourAdvertisement when !_stack.IsHeld && NeighbourMessage.TryParse(message, out NeighbourMessage advertisement):
                OnAdvertisement(packet, advertisement, info);
                break;
            case Icmpv6Type.RouterAdvertisement when !_stack.IsHeld && info.Source.IsLinkLocal && RouterAdvertisement.TryParse(message, out RouterAdvertisement? advertisement):
                _routers.OnAdvertisement(info.Interface, info.Source, advertisement!);
                break;
        }
    }

    /// <summary>Asks for the link address of a neighbour.</summary>
    /// <param name="hint">Source of the packet that needs it.</param>
    /// <param name="unicast">Whether the one asked is to confirm what is known of it.</param>
    internal void SendSolicitation(NetworkInterface link, InetAddress target, InetAddress hint, bool unicast)
    {
        InetAddress source = link.FindAddress(hint) is { IsUsable: true } ? hint : _stack.Ip.SelectSourceV6(link, target);
        Send(link, new NeighbourMessage(false, target, source.IsAny ? null : link.Mac), source, unicast ? target : target.SolicitedNode);
    }

    internal void SendDetectionProbe(NetworkInterface link, InetAddress target, ulong nonce) =>
        Send(link, new NeighbourMessage(false, target, null) { Nonce = nonce }, InetAddress.AnyV6, target.SolicitedNode);

    /// <summary>Tells all stations of an address (section 7.2.6).</summary>
    internal void Announce(NetworkInterface link, InetAddress address) =>
        Send(link, new NeighbourMessage(true, address, link.Mac) { IsOverride = true, IsRouter = _stack.Settings.ForwardingV6 }, address, AllNodes);

    internal void SendRouterSolicitation(NetworkInterface link)
    {
        InetAddress source = link.LinkLocal?.Address ?? InetAddress.AnyV6;
        var message = new RouterSolicitation(source.IsAny ? null : link.Mac);
        Packet packet = Packet.Create(message.Size);
        message.WriteTo(packet.Append(message.Size));
        _stack.Ip.SendNeighbourMessage(link, packet, source, AllRouters);
    }

    private void OnSolicitation(Packet packet, in NeighbourMessage message, in IpInfo info)
    {
        NetworkInterface link = info.Interface;
        bool isProbe = info.Source.IsAny;
        if (isProbe && (message.LinkAddress is not null || info.Destination != message.Target.SolicitedNode))
            return;
        if (link.FindAddress(message.Target) is not { } own)
            return;
        if (own.IsTentative)
        {
            // Another station tries to get the same address at the same time (RFC 4862 section 5.4.3); one's own probe may come back.
            if (isProbe && !_stack.IsHeld && !own.IsOwnProbe(message.Nonce))
                FailDetection(link, own, packet);
            return;
        }

        if (!isProbe && message.LinkAddress is { } mac && !_stack.IsHeld)
            Learn(link, info.Source, mac);
        var answer = new NeighbourMessage(true, message.Target, link.Mac)
        {
            IsSolicited = !isProbe,
            IsOverride = true,
            IsRouter = _stack.Settings.ForwardingV6,
        };
        if (isProbe)
            Send(link, answer, message.Target, AllNodes);
        else
            _stack.Ip.SendNeighbourMessage(link, ToPacket(answer), message.Target, info.Source, message.LinkAddress ?? packet.EthernetSource.GetValueOrDefault());
    }

    private void OnAdvertisement(Packet packet, in NeighbourMessage message, in IpInfo info)
    {
        NetworkInterface link = info.Interface;
        if (message.IsSolicited && info.IsGroup)
            return;
        if (link.FindAddress(message.Target) is { } own)
        {
            MacAddress from = message.LinkAddress ?? packet.EthernetSource.GetValueOrDefault();
            if (from == link.Mac)
                return;
            if (own.IsTentative)
                FailDetection(link, own, packet);
            else
                _stack.Host.OnAddressConflict(link, own.Address, from);
            return;
        }

        if (_stack.Ip.Neighbours.Find(link, message.Target) is not { } entry || entry.State is NeighbourState.Permanent or NeighbourState.NoArp)
            return;
        Apply(entry, message);
        if (entry.IsRouter && !message.IsRouter)
            _routers.OnRouterGone(link, message.Target);
        entry.IsRouter = message.IsRouter;
    }

    /// <summary>Section 7.2.5, appendix C.</summary>
    private static void Apply(Neighbour entry, in NeighbourMessage message)
    {
        if (!entry.IsValid)
        {
            if (message.LinkAddress is { } mac)
                entry.Update(mac, message.IsSolicited ? NeighbourState.Reachable : NeighbourState.Stale);
            return;
        }

        bool differs = message.LinkAddress is { } told && told != entry.Mac;
        if (differs && !message.IsOverride)
        {
            if (entry.State == NeighbourState.Reachable)
                entry.Update(entry.Mac, NeighbourState.Stale);
            return;
        }

        if (message.IsSolicited)
            entry.Update(message.LinkAddress ?? entry.Mac, NeighbourState.Reachable);
        else if (differs)
            entry.Update(message.LinkAddress!.Value, NeighbourState.Stale);
    }

    private static Packet ToPacket(in NeighbourMessage message)
    {
        Packet packet = Packet.Create(message.Size);
        message.WriteTo(packet.Append(message.Size));
        return packet;
    }

    private void FailDetection(NetworkInterface link, InterfaceAddress own, Packet packet)
    {
        own.FailDetection();
        _stack.TellAddress(link, own, StackChange.Changed);
        _stack.Host.OnAddressConflict(link, own.Address, packet.EthernetSource.GetValueOrDefault());
    }

    private void Learn(NetworkInterface link, InetAddress address, MacAddress mac)
    {
        if (mac.IsMulticast || address.IsMulticast)
            return;
        Neighbour? entry = _stack.Ip.Neighbours.GetOrCreate(link, address);
        if (entry is null || entry.State is NeighbourState.Permanent or NeighbourState.NoArp)
            return;
        if (!entry.IsValid || entry.Mac != mac)
            entry.Update(mac, NeighbourState.Stale);
    }

    private void Send(NetworkInterface link, in NeighbourMessage message, InetAddress source, InetAddress destination) =>
        _stack.Ip.SendNeighbourMessage(link, ToPacket(message), source, destination);
}
