using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>What Linux says of an interface, for netlink, ioctls and /sys.</summary>
internal static class LinkState
{
    /// <summary>IF_OPER_* of RFC 2863: what the state of a link is called, by its number.</summary>
    internal static readonly string[] OperationalNames = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

    private const int MaxEthernetMtu = 65535;

    /// <summary>IFF_* (netdevice(7)).</summary>
    internal static uint Flags(NetworkInterface link)
    {
        LinkAttributes attributes = link.Attributes;
        uint flags = link.IsLoopback ? LinkFlags.Loopback : LinkFlags.Broadcast | (attributes.NoMulticast ? 0 : LinkFlags.Multicast);
        if (attributes.Kind == LinkKinds.Dummy || attributes.NoArp)
            flags |= LinkFlags.NoArp;
        if (link.IsUp)
            flags |= LinkFlags.Up;
        if (link.HasCarrier)
            flags |= LinkFlags.Running | LinkFlags.LowerUp;
        if (attributes.IsPromiscuous)
            flags |= LinkFlags.Promiscuous;
        if (attributes.IsAllMulticast)
            flags |= LinkFlags.AllMulticast;
        return flags;
    }

    /// <summary>IF_OPER_*: loopback and dummy links do not know when they are up.</summary>
    internal static byte Operational(NetworkInterface link)
    {
        const byte unknown = 0, down = 2, lowerLayerDown = 3, up = 6;
        if (!link.IsUp)
            return down;
        if (!link.HasCarrier)
            return link.Virtual?.Peer is not null ? lowerLayerDown : down;
        return link.IsLoopback || link.Attributes.Kind == LinkKinds.Dummy ? unknown : up;
    }

    /// <summary>Smallest and largest MTU that may be set; a largest of 0 is none.</summary>
    internal static (int Min, int Max) MtuRange(NetworkInterface link) =>
        link.IsLoopback || link.Attributes.Kind == LinkKinds.Dummy ? (0, 0) : (NetworkInterface.MinMtu, MaxEthernetMtu);

    internal static MacAddress Broadcast(NetworkInterface link) => link.Attributes.Broadcast ?? (link.IsLoopback ? default : MacAddress.Broadcast);

    /// <summary>The queueing discipline: there are no queues, and before the first time it is up not even that.</summary>
    internal static string Queueing(NetworkInterface link) => link.IsUp || link.Attributes.WasUp ? "noqueue" : "noop";

    /// <summary>The interface of that name or alternative name.</summary>
    internal static NetworkInterface? FindByAnyName(this NetworkStack stack, string name)
    {
        if (stack.FindInterface(name) is { } found)
            return found;
        foreach (NetworkInterface link in stack.Interfaces)
        {
            if (link.Attributes.AlternativeNames.Contains(name))
                return link;
        }

        return null;
    }
}

/// <summary>Kinds of links that can be made (IFLA_INFO_KIND).</summary>
internal static class LinkKinds
{
    internal const string Dummy = "dummy", Veth = "veth";
}
