namespace Netstack.Stack;

/// <summary>What became of a link, an address, a route or a neighbour.</summary>
public enum StackChange
{
    Added,
    Changed,
    Removed,
}

/// <summary>Told of every change of configuration, as the multicast groups of rtnetlink(7) are. It must not call back into the stack from within.
/// Not saved: who observes says so again after a restore.</summary>
public interface IStackObserver
{
    /// <summary>RTM_NEWLINK, RTM_DELLINK.</summary>
    void OnLink(NetworkInterface link, StackChange change);

    /// <summary>RTM_NEWADDR, RTM_DELADDR.</summary>
    void OnAddress(NetworkInterface link, InterfaceAddress address, StackChange change);

    /// <summary>RTM_NEWROUTE, RTM_DELROUTE. Linux tells only of routes of table main and local; so does this.</summary>
    void OnRoute(RouteEntry route, StackChange change);

    /// <summary>RTM_NEWRULE, RTM_DELRULE.</summary>
    void OnRule(RoutingRule rule, StackChange change)
    {
    }

    /// <summary>RTM_NEWNEIGH, RTM_DELNEIGH.</summary>
    void OnNeighbour(Neighbour neighbour, StackChange change);
}
