namespace Netstack.Stack;

/// <summary>How <see cref="RoutingTable.Add"/> treats routes that are there already: NLM_F_* of netlink(7).</summary>
[Flags]
public enum RouteAddMode
{
    None = 0,

    /// <summary>NLM_F_CREATE: without it a route must be there to be replaced (ENOENT).</summary>
    Create = 1,

    /// <summary>NLM_F_EXCL: EEXIST when one of the same destination and metric is there.</summary>
    Exclusive = 2,

    /// <summary>NLM_F_REPLACE.</summary>
    Replace = 4,

    /// <summary>NLM_F_APPEND: behind those of the same destination and metric.</summary>
    Append = 8,
}

/// <summary>The routes (rtnetlink(7)); lookups are longest prefix first, then lowest metric, in the tables that the rules say. The routes of the local
/// table and the connected ones follow from the interfaces' addresses.</summary>
[Savable("routing-table")]
public sealed partial class RoutingTable : IAfterLoad
{
    private const int MaxEntries = 65536;

    [Saved(1)] private NetworkStack _stack;
    [Saved(3)] private List<RouteEntry> _entries = [];
    [Saved(20)] private RoutingRules _rules = new();
    [NotSaved("rebuilt from the entries")] private readonly RouteIndex _local = new();
    [NotSaved("rebuilt from the entries")] private readonly RouteIndex _main = new();
    [NotSaved("rebuilt from the entries")] private readonly Dictionary<uint, RouteIndex> _others = [];

    internal RoutingTable(NetworkStack stack) => _stack = stack;

    /// <summary>Changes with every change of routes, addresses, interfaces and path MTUs: routes kept by endpoints are looked up again. Never 0.</summary>
    [field: Saved(2)] public int Generation { get; private set; } = 1;

    /// <summary>Which table is asked when.</summary>
    public RoutingRules Rules => _rules;

    /// <summary>All routes of all tables, in no order.</summary>
    public IReadOnlyList<RouteEntry> Entries => _entries;

    /// <summary>Whether there is a table of that number.</summary>
    public bool HasTable(uint table) => table is RouteTable.Main or RouteTable.Local or RouteTable.Default or RouteTable.Unspecified || _others.ContainsKey(table);

    /// <summary>The routes of a family and table in the order in which Linux shows them.</summary>
    /// <param name="table">RT_TABLE_*; 0 for all.</param>
    public List<RouteEntry> Dump(bool isV6, uint table = RouteTable.Unspecified)
    {
        var order = Comparer<RouteEntry>.Create((a, b) =>
        {
            int difference = a.Table.CompareTo(b.Table);
            if (difference == 0)
                difference = isV6 ? CompareAsTree(a, b) : CompareByAddress(a, b);
            return difference != 0 ? difference : a.Metric.CompareTo(b.Metric);
        });
        return [.. _entries.Where(e => e.IsV6 == isV6 && (table == RouteTable.Unspecified || e.Table == table)).Order(order)];
    }

    private static int CompareByAddress(RouteEntry a, RouteEntry b)
    {
        int order = a.Destination.CompareTo(b.Destination);
        return order != 0 ? order : b.Prefix.CompareTo(a.Prefix);
    }

    /// <summary>The tables of IPv6 are trees that are walked from their leaves: a network comes behind those within it.</summary>
    private static int CompareAsTree(RouteEntry a, RouteEntry b)
    {
        if (a.Prefix == b.Prefix || !(a.Prefix > b.Prefix ? a.Destination.IsWithin(b.Destination, b.Prefix) : b.Destination.IsWithin(a.Destination, a.Prefix)))
            return a.Destination.CompareTo(b.Destination);
        return b.Prefix.CompareTo(a.Prefix);
    }

    /// <summary>Adds a route: EINVAL, EEXIST, ENOENT, ENODEV, ENETDOWN, ENETUNREACH or EHOSTUNREACH (the gateway is not on a link), ENOMEM.</summary>
    public Errno Add(RouteEntry entry, RouteAddMode mode = RouteAddMode.Create | RouteAddMode.Exclusive)
    {
        entry.Gateway = entry.Gateway.IsAny ? Any(entry.IsV6) : entry.Gateway;
        entry.PreferredSource = entry.PreferredSource.IsAny ? Any(entry.IsV6) : entry.PreferredSource;
        Errno error = Check(entry);
        if (error != Errno.None)
            return error;

        RouteEntry? same = FindSame(entry, exact: false);
        RouteEntry? exact = FindSame(entry, exact: true);
        if (same is not null && mode.HasFlag(RouteAddMode.Exclusive))
            return Errno.EEXIST;
        if (mode.HasFlag(RouteAddMode.Replace) && same is not null)
        {
            if (exact is not null && !ReferenceEquals(exact, same))
                return Errno.EEXIST;
            Put(entry, same);
            Take(same);
            Changed(entry, StackChange.Changed);
            return Errno.None;
        }

        if (exact is not null)
            return Errno.EEXIST;
        if (!mode.HasFlag(RouteAddMode.Create))
            return Errno.ENOENT;
        if (_entries.Count >= MaxEntries)
            return Errno.ENOMEM;
        Put(entry, mode.HasFlag(RouteAddMode.Append) ? null : same);
        Changed(entry, StackChange.Added);
        return Errno.None;
    }

    /// <summary>Deletes the first route that matches: ESRCH when none does. What the pattern leaves out (0, unspecified, RT_SCOPE_NOWHERE) matches all.</summary>
    public Errno Delete(RouteEntry pattern)
    {
        if (Index(pattern.Table).Find(pattern.Destination, pattern.Prefix) is not { } entries)
            return Errno.ESRCH;
        foreach (RouteEntry entry in entries)
        {
            if ((pattern.Metric != 0 && pattern.Metric != entry.Metric)
                || (pattern.Type != RouteType.Unspecified && pattern.Type != entry.Type)
                || (!pattern.IsV6 && pattern.Scope != RouteScope.Nowhere && pattern.Scope != entry.Scope)
                || (pattern.Protocol != RouteProtocol.Unspecified && pattern.Protocol != entry.Protocol)
                || (pattern.InterfaceIndex != 0 && !entry.LeavesBy(pattern.InterfaceIndex))
                || (!pattern.Gateway.IsAny && pattern.Gateway != entry.Gateway)
                || (!pattern.PreferredSource.IsAny && pattern.PreferredSource != entry.PreferredSource)
                || pattern.TypeOfService != entry.TypeOfService)
                continue;
            Remove(entry);
            return Errno.None;
        }

        return Errno.ESRCH;
    }

    /// <summary>The best route; null when there is none.</summary>
    /// <param name="boundInterface">Only routes by this interface; 0 for all.</param>
    /// <param name="source">The sender's address as far as it is known, for the rules.</param>
    public RouteEntry? Lookup(InetAddress destination, int boundInterface = 0, InetAddress source = default)
    {
        if (!_rules.AreUsual)
            return LookupByRules(destination, boundInterface, source);
        RouteEntry? found = _local.Lookup(destination, boundInterface) ?? _main.Lookup(destination, boundInterface);
        return found ?? (destination.IsV4 && _others.TryGetValue(RouteTable.Default, out RouteIndex? last) ? last.Lookup(destination, boundInterface) : null);
    }

    private RouteEntry? LookupByRules(InetAddress destination, int boundInterface, InetAddress source)
    {
        string output = boundInterface == 0 ? "" : _stack.FindInterface(boundInterface)?.Name ?? "";
        uint from = 0;
        foreach (RoutingRule rule in _rules.List)
        {
            if (rule.IsV6 != destination.IsV6 || rule.Priority < from || !rule.Matches(destination, source, output))
                continue;
            switch (rule.Action)
            {
                case RuleAction.Goto:
                    from = rule.Target;
                    continue;
                case RuleAction.Nop:
                    continue;
                case RuleAction.Blackhole or RuleAction.Unreachable or RuleAction.Prohibit:
                    return new RouteEntry { Destination = Any(rule.IsV6), Type = rule.Action, Gateway = Any(rule.IsV6), PreferredSource = Any(rule.IsV6) };
            }

            RouteEntry? found = Index(rule.Table).Lookup(destination, boundInterface);
            if (found is not null && found.Type != RouteType.Throw && found.Prefix > rule.SuppressPrefix)
                return found;
        }

        return null;
    }

    /// <summary>The entry of the local table for an address: this host's own, a broadcast address; null for others.</summary>
    internal RouteEntry? LookupLocal(InetAddress destination) => _local.Lookup(destination, 0);

    /// <summary>Adds a rule: EEXIST with <see cref="RouteAddMode.Exclusive"/> when one like it is there, ENOSPC.</summary>
    public Errno AddRule(RoutingRule rule, RouteAddMode mode)
    {
        if (mode.HasFlag(RouteAddMode.Exclusive) && _rules.List.Any(r => r.Priority == rule.Priority && r.IsSame(rule)))
            return Errno.EEXIST;
        Errno error = _rules.Add(rule);
        if (error != Errno.None)
            return error;
        Touch();
        _stack.TellRule(rule, StackChange.Added);
        return Errno.None;
    }

    public void RemoveRule(RoutingRule rule)
    {
        _rules.Remove(rule);
        Touch();
        _stack.TellRule(rule, StackChange.Removed);
    }

    internal void Remove(RouteEntry entry)
    {
        Take(entry);
        Changed(entry, StackChange.Removed);
    }

    /// <summary>Routes that follow from addresses have changed from one list to another.</summary>
    internal void Apply(List<RouteEntry> before, List<RouteEntry> after)
    {
        var wanted = after.Select(r => r.Identity).ToHashSet();
        foreach (RouteEntry old in before)
        {
            if (!wanted.Contains(old.Identity) && FindIdentical(old) is { } there)
                Remove(there);
        }

        var had = before.Select(r => r.Identity).ToHashSet();
        foreach (RouteEntry added in after)
        {
            if (had.Contains(added.Identity) || FindIdentical(added) is not null)
                continue;
            Put(added, null);
            Changed(added, StackChange.Added);
        }

        Touch();
    }

    /// <summary>An interface goes down or away: its routes go, but (as Linux does) not the local ones of IPv4. Routes with other ways lose one.</summary>
    internal void RemoveOf(int interfaceIndex)
    {
        foreach (RouteEntry entry in _entries.FindAll(e => e.LeavesBy(interfaceIndex) && (e.IsV6 || e.Scope != RouteScope.Host)))
        {
            RouteNextHop[] left = entry.NextHops is null ? [] : Array.FindAll(entry.NextHops, h => h.InterfaceIndex != interfaceIndex);
            if (left.Length > 0)
            {
                RouteEntry rest = entry.WithNextHops(left);
                Put(rest, entry);
                Take(entry);
                continue;
            }

            Remove(entry);
        }
    }

    internal void Touch()
    {
        if (++Generation == 0)
            Generation = 1;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Links)
            return;
        foreach (RouteEntry entry in _entries)
            IndexEntry(entry, null);
    }

    private static InetAddress Any(bool isV6) => isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;

    private RouteIndex Index(uint table)
    {
        if (table is RouteTable.Local or RouteTable.Main)
            return table == RouteTable.Local ? _local : _main;
        if (!_others.TryGetValue(table, out RouteIndex? index))
            index = new RouteIndex();
        return index;
    }

    private RouteEntry? FindIdentical(RouteEntry entry) =>
        Index(entry.Table).Find(entry.Destination, entry.Prefix)?.Find(e => e.Identity == entry.Identity);

    private RouteEntry? FindSame(RouteEntry entry, bool exact)
    {
        if (Index(entry.Table).Find(entry.Destination, entry.Prefix) is not { } entries)
            return null;
        return entries.Find(e => e.Metric == entry.Metric && e.TypeOfService == entry.TypeOfService
            && (!exact || (e.Gateway == entry.Gateway && e.InterfaceIndex == entry.InterfaceIndex && e.NextHops.AsSpan().SequenceEqual(entry.NextHops) && e.Type == entry.Type
                && e.Scope == entry.Scope && e.PreferredSource == entry.PreferredSource)));
    }

    private Errno Check(RouteEntry entry)
    {
        if (entry.Prefix < 0 || entry.Prefix > entry.Destination.Bits || entry.Destination.Network(entry.Prefix) != entry.Destination)
            return Errno.EINVAL;
        if (entry.Type is RouteType.Unspecified or > RouteType.Throw)
            return Errno.EINVAL;
        if (entry.IsV6 && entry.Metric == 0)
            entry.Metric = RouteEntry.UserMetricV6;
        if (entry.Refuses || entry.Type == RouteType.Throw)
        {
            entry.InterfaceIndex = entry.IsV6 ? 1 : 0;
            return entry.HasGateway ? Errno.EINVAL : Errno.None;
        }

        if (!entry.PreferredSource.IsAny && !_stack.Ip.IsLocal(entry.PreferredSource))
            return Errno.EINVAL;
        if (entry.NextHops is null)
            return entry.HasGateway ? CheckGateway(entry) : CheckInterface(entry);
        for (int i = 0; i < entry.NextHops.Length; i++)
        {
            // Each way is looked at as if it were the only one.
            RouteNextHop hop = entry.NextHops[i];
            var alone = new RouteEntry { Destination = entry.Destination, Prefix = entry.Prefix, Gateway = hop.Gateway.IsAny ? Any(entry.IsV6) : hop.Gateway, InterfaceIndex = hop.InterfaceIndex, Flags = hop.Flags };
            Errno error = alone.HasGateway ? CheckGateway(alone) : CheckInterface(alone);
            if (error != Errno.None)
                return error;
            entry.NextHops[i].InterfaceIndex = alone.InterfaceIndex;
            entry.NextHops[i].Gateway = alone.Gateway;
        }

        entry.InterfaceIndex = entry.NextHops[0].InterfaceIndex;
        return Errno.None;
    }

    private Errno CheckInterface(RouteEntry entry)
    {
        if (entry.InterfaceIndex == 0 || _stack.FindInterface(entry.InterfaceIndex) is not { } link)
            return Errno.ENODEV;
        return link.IsUp ? Errno.None : Errno.ENETDOWN;
    }

    /// <summary>A gateway must be a neighbour by what the table says (fib_check_nh), or be declared one (RTNH_F_ONLINK).</summary>
    private Errno CheckGateway(RouteEntry entry)
    {
        if (entry.Gateway.IsV6 != entry.IsV6 || entry.Gateway.IsMulticast || (entry.IsV6 && _stack.Ip.IsLocal(entry.Gateway)))
            return Errno.EINVAL;
        if (entry.InterfaceIndex != 0)
        {
            Errno error = CheckInterface(entry);
            if (error != Errno.None)
                return error;
        }

        if ((entry.Flags & RouteEntry.OnLinkFlag) != 0)
            return entry.InterfaceIndex == 0 ? Errno.EINVAL : Errno.None;
        if (entry.Gateway is { IsV6: true, IsLinkLocal: true })
            return entry.InterfaceIndex == 0 ? Errno.EINVAL : Errno.None;
        if (Lookup(entry.Gateway, entry.InterfaceIndex) is not { } way || way.HasGateway || way.Type is not (RouteType.Unicast or RouteType.Local))
            return entry.IsV6 ? Errno.EHOSTUNREACH : Errno.ENETUNREACH;
        entry.InterfaceIndex = way.InterfaceIndex;
        return Errno.None;
    }

    /// <summary>Puts a route in before another of its destination and metric, or behind them all. Both lists have the same order, so that it survives a restore.</summary>
    private void Put(RouteEntry entry, RouteEntry? before)
    {
        if (before is null)
            _entries.Add(entry);
        else
            _entries.Insert(_entries.IndexOf(before), entry);
        IndexEntry(entry, before);
    }

    private void IndexEntry(RouteEntry entry, RouteEntry? before)
    {
        RouteIndex index = Index(entry.Table);
        if (entry.Table is not (RouteTable.Local or RouteTable.Main))
            _others[entry.Table] = index;
        index.Put(entry, before);
    }

    private void Take(RouteEntry entry)
    {
        _entries.Remove(entry);
        RouteIndex index = Index(entry.Table);
        index.Take(entry);
        if (index.IsEmpty)
            _others.Remove(entry.Table);
    }

    private void Changed(RouteEntry entry, StackChange change)
    {
        Touch();
        _stack.TellRoute(entry, change);
    }
}
