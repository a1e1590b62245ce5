using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>Tells the groups of rtnetlink(7) what changes in the network.</summary>
internal sealed class RouteNotifier : IStackObserver
{
    private readonly NetworkNamespace _network;

    internal RouteNotifier(NetworkNamespace network)
    {
        _network = network;
        foreach (NetworkInterface link in network.Stack.Interfaces)
        {
            _known[link.Index] = (LinkState.Flags(link), link.HasCarrier);
            link.Attributes.WasUp |= link.IsUp;
        }
    }

    /// <summary>Flags of a link that are told with its coming: all (ifi_change).</summary>
    private const uint AllFlags = uint.MaxValue;

    private readonly Dictionary<int, (uint Flags, bool Carrier)> _known = [];

    /// <summary>The request that is being done, whose sequence number notifications bear; null when the stack changes by itself.</summary>
    internal NetlinkRequest? Cause { get; set; }

    public void OnLink(NetworkInterface link, StackChange change)
    {
        (uint flags, bool hadCarrier) = _known.GetValueOrDefault(link.Index);
        uint now = LinkState.Flags(link);
        LinkAttributes attributes = link.Attributes;
        if (link.IsUp)
            attributes.WasUp = true;
        if (link.HasCarrier != hadCarrier && change == StackChange.Changed && !link.IsLoopback)
        {
            if (link.HasCarrier)
                attributes.CarrierUps++;
            else
                attributes.CarrierDowns++;
        }

        if (change == StackChange.Removed)
            _known.Remove(link.Index);
        else
            _known[link.Index] = (now, link.HasCarrier);
        if (Listens(RouteGroup.Link))
        {
            uint changed = change == StackChange.Changed ? flags ^ now : AllFlags;
            Send(RouteGroup.Link, LinkQueries.Describe(Begin(change == StackChange.Removed ? RouteMessage.DeleteLink : RouteMessage.NewLink), link, 0, changed));
        }

        // What happens to one end of a pair is seen as carrier at the other.
        if (change == StackChange.Changed && link.Virtual?.Peer is { } peer && _known.TryGetValue(peer.Index, out (uint Flags, bool Carrier) other) && other.Carrier != peer.HasCarrier)
            OnLink(peer, StackChange.Changed);
    }

    public void OnAddress(NetworkInterface link, InterfaceAddress address, StackChange change)
    {
        int group = AddressQueries.GroupOf(address.Address);
        if (Listens(group))
            Send(group, AddressQueries.Describe(Begin(change == StackChange.Removed ? RouteMessage.DeleteAddress : RouteMessage.NewAddress), link, address));
    }

    public void OnRoute(RouteEntry route, StackChange change)
    {
        int group = RouteQueries.GroupOf(route);
        if (!Listens(group))
            return;
        ushort flags = change switch
        {
            StackChange.Changed => NetlinkFlags.Replace,
            StackChange.Added when Cause is { } cause && cause.Type == RouteMessage.NewRoute => (ushort)(cause.Flags & (NetlinkFlags.Exclusive | NetlinkFlags.Create | NetlinkFlags.Append)),
            _ => 0,
        };
        Send(group, RouteQueries.Describe(Begin(change == StackChange.Removed ? RouteMessage.DeleteRoute : RouteMessage.NewRoute, flags), _network.Stack, route));
    }

    public void OnRule(RoutingRule rule, StackChange change)
    {
        int group = rule.IsV6 ? RouteGroup.RuleV6 : RouteGroup.RuleV4;
        if (Listens(group))
            Send(group, RuleMessages.Describe(Begin(change == StackChange.Removed ? RouteMessage.DeleteRule : RouteMessage.NewRule), rule));
    }

    public void OnNeighbour(Neighbour neighbour, StackChange change)
    {
        if (Listens(RouteGroup.Neighbour))
            Send(RouteGroup.Neighbour, NeighbourMessages.Describe(Begin(change == StackChange.Removed ? RouteMessage.DeleteNeighbour : RouteMessage.NewNeighbour), neighbour));
    }

    /// <summary>A setting of interfaces has changed.</summary>
    internal void OnConfiguration(int index, bool isV6)
    {
        int group = isV6 ? RouteGroup.ConfigurationV6 : RouteGroup.ConfigurationV4;
        if (Listens(group))
            Send(group, ConfigurationMessages.Describe(Begin(RouteMessage.NewConfiguration), _network, isV6, index));
    }

    private bool Echoes => Cause is { } cause && cause.Has(NetlinkFlags.Echo);

    private bool Listens(int group) => Echoes || _network.Netlink.HasListeners(NetlinkProtocols.Route, group);

    private NetlinkWriter Begin(ushort type, ushort flags = 0) => Cause is { } cause ? cause.Answer(type, flags) : new NetlinkWriter(type, flags, 0, 0);

    private void Send(int group, NetlinkWriter message)
    {
        var datagram = new NetlinkDatagram(message.ToArray(), 0, group, default);
        bool echoes = Echoes;
        _network.Netlink.Broadcast(NetlinkProtocols.Route, group, datagram, echoes ? Cause!.Socket.Port : 0);
        if (echoes)
            Cause!.Socket.DeliverFromKernel(datagram.Bytes);
    }
}
