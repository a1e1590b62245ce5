namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>NETLINK_ROUTE (rtnetlink(7)): links, addresses, routes, neighbours and rules of the network.</summary>
internal sealed class RouteProtocol : NetlinkProtocol
{
    private const int LastMessage = 123;

    private delegate Errno Handler(NetlinkRequest request);

    /// <summary>What is done for one request; null where there is none of that kind.</summary>
    private readonly record struct Row(Handler? Do, Handler? Dump = null);

    private static readonly Dictionary<int, Row> Rows = new()
    {
        [RouteMessage.NewLink] = new(LinkChanges.New),
        [RouteMessage.DeleteLink] = new(LinkChanges.Delete),
        [RouteMessage.GetLink] = new(LinkQueries.Get, LinkQueries.Dump),
        [RouteMessage.SetLink] = new(LinkChanges.Set),
        [RouteMessage.NewAddress] = new(AddressChanges.New),
        [RouteMessage.DeleteAddress] = new(AddressChanges.Delete),
        [RouteMessage.GetAddress] = new(AddressQueries.Get, AddressQueries.Dump),
        [RouteMessage.NewRoute] = new(RouteChanges.New),
        [RouteMessage.DeleteRoute] = new(RouteChanges.Delete),
        [RouteMessage.GetRoute] = new(RouteLookups.Get, RouteQueries.Dump),
        [RouteMessage.NewNeighbour] = new(NeighbourMessages.New),
        [RouteMessage.DeleteNeighbour] = new(NeighbourMessages.Delete),
        [RouteMessage.GetNeighbour] = new(NeighbourMessages.Get, NeighbourMessages.Dump),
        [RouteMessage.NewRule] = new(RuleMessages.New),
        [RouteMessage.DeleteRule] = new(RuleMessages.Delete),
        [RouteMessage.GetRule] = new(null, RuleMessages.Dump),
        [RouteMessage.GetQueueing] = new(null, QueueingMessages.Dump),
        [RouteMessage.GetClass] = new(null, static request => request.Dump([])),
        [RouteMessage.GetFilter] = new(null, static request => request.Dump([])),
        [RouteMessage.GetMulticast] = new(null, GroupMessages.Dump),
        [RouteMessage.GetAnycast] = new(null, static request => request.Dump([])),
        [RouteMessage.GetNeighbourTable] = new(null, NeighbourTableMessages.Dump),
        [RouteMessage.GetAddressLabel] = new(null, AddressLabelMessages.Dump),
        [RouteMessage.GetConfiguration] = new(ConfigurationMessages.Get, ConfigurationMessages.Dump),
        [RouteMessage.GetNamespaceId] = new(NamespaceMessages.Get, static request => request.Dump([])),
        [RouteMessage.GetStatistics] = new(StatisticsMessages.Get, StatisticsMessages.Dump),
        [RouteMessage.GetNextHop] = new(null, static request => request.Dump([])),
    };

    internal override int Number => NetlinkProtocols.Route;

    internal override int GroupCount => RouteGroup.Max;

    internal override bool AnyoneMayListen => true;

    internal override Errno Handle(NetlinkRequest request)
    {
        if (request.Type > LastMessage)
            return Errno.EOPNOTSUPP;
        if (request.Body.Length < 1)
            return Errno.None;
        bool gets = (request.Type & 3) == RouteMessage.GetKind;
        if (!gets && !request.MayConfigure)
            return Errno.EPERM;
        Row row = Rows.GetValueOrDefault(request.Type);
        Handler? handler = gets && (request.Flags & NetlinkFlags.Dump) != 0 ? row.Dump : row.Do;
        if (handler is null)
            return Errno.EOPNOTSUPP;
        NetworkNamespace network = request.Task.Network;
        using (network.Enter())
        {
            // Notifications of what the request changes bear its sequence number, and go to who asked if it wants them (NLM_F_ECHO).
            network.RouteNotifier.Cause = gets ? null : request;
            Errno error = handler(request);
            network.RouteNotifier.Cause = null;
            return error;
        }
    }
}
