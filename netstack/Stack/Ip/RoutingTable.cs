namespace Netstack.Stack;

/// <summary>The routes (rtnetlink(7)); lookups are longest prefix first, then lowest metric. Table main alone can be changed; local routes follow from
/// the interfaces' addresses.</summary>
[Savable("routing-table")]
public sealed partial class RoutingTable
{
    [Saved(1)] private NetworkStack _stack;

    internal RoutingTable(NetworkStack stack) => _stack = stack;

    /// <summary>Changes with every change of routes, addresses and interfaces: routes kept by endpoints are looked up again.</summary>
    [field: Saved(2)] public int Generation { get; private set; }
}
