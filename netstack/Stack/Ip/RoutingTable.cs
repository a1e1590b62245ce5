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

/// <summary>The routes (rtnetlink(7)); lookups are longest prefix first, then lowest metric. Users change table main alone; the local table and
/// connected routes follow from the interfaces' addresses.</summary>
[Savable("routing-table")]
public sealed partial class RoutingTable : IAfterLoad
{
    private const int MaxEntries = 65536;

    [Saved(1)] private NetworkStack _stack;
    [Saved(3)] private List<RouteEntry> _entries = [];
    [NotSaved("rebuilt from the entries")] private readonly Dictionary<(InetAddress Network, int Prefix), List<RouteEntry>> _local = [];
    [NotSaved("rebuilt from the entries")] private readonly Dictionary<(InetAddress Network, int Prefix), List<RouteEntry>> _main = [];
    [NotSaved("rebuilt from the entries")] private readonly int[] _localPrefixes = new int[33 + 129];
    [NotSaved("rebuilt from the entries")] private readonly int[] _mainPrefixes = new int[33 + 129];

    internal RoutingTable(NetworkStack stack) => _stack = stack;

    /// <summary>Changes with every change of routes, addresses, interfaces and path MTUs: routes kept by endpoints are looked up again. Never 0.</summary>
    [field: Saved(2)] public int Generation { get; private set; } = 1;

    /// <summary>All routes of tables main and local, in no order.</summary>
    public IReadOnlyList<RouteEntry> Entries => _entries;

    /// <summary>Whether there is a table of that number.</summary>
    public bool HasTable(uint table) => table is RouteTable.Main or RouteTable.Local or RouteTable.Default or RouteTable.Unspecified || _entries.Exists(e => e.Table == table);

    /// <summary>The routes of a family and table in the order in which Linux shows them.</summary>
    /// <param name="table">RT_TABLE_*; 0 for all.</param>
    public List<RouteEntry> Dump(bool isV6, uint table = RouteTable.Unspecified)
    {
        List<RouteEntry> found = _entries.FindAll(e => e.IsV6 == isV6 && (table == RouteTable.Unspecified || e.Table == table));
        found.Sort((a, b) =>
        {
            int order = a.Table.CompareTo(b.Table);
            if (order == 0)
                order = a.Destination.CompareTo(b.Destination);
            if (order == 0)
                order = b.Prefix.CompareTo(a.Prefix);
            return order != 0 ? order : a.Metric.CompareTo(b.Metric);
        });
        return found;
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
        if (!Index(pattern.Table).TryGetValue((pattern.Destination, pattern.Prefix), out List<RouteEntry>? entries))
            return Errno.ESRCH;
        foreach (RouteEntry entry in entries)
        {
            if ((pattern.Metric != 0 && pattern.Metric != entry.Metric)
                || (pattern.Type != RouteType.Unspecified && pattern.Type != entry.Type)
                || (!pattern.IsV6 && pattern.Scope != RouteScope.Nowhere && pattern.Scope != entry.Scope)
                || (pattern.Protocol != RouteProtocol.Unspecified && pattern.Protocol != entry.Protocol)
                || (pattern.InterfaceIndex != 0 && pattern.InterfaceIndex != entry.InterfaceIndex)
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
    public RouteEntry? Lookup(InetAddress destination, int boundInterface = 0) =>
        Lookup(_local, _localPrefixes, destination, boundInterface) ?? Lookup(_main, _mainPrefixes, destination, boundInterface);

    /// <summary>The entry of the local table for an address: this host's own, a broadcast address; null for others.</summary>
    internal RouteEntry? LookupLocal(InetAddress destination) => Lookup(_local, _localPrefixes, destination, 0);

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

    /// <summary>An interface goes down or away: its routes go, but (as Linux does) not the local ones of IPv4.</summary>
    internal void RemoveOf(int interfaceIndex)
    {
        foreach (RouteEntry entry in _entries.FindAll(e => e.InterfaceIndex == interfaceIndex && (e.IsV6 || e.Scope != RouteScope.Host)))
            Remove(entry);
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

    private static int Slot(InetAddress address, int prefix) => address.IsV4 ? prefix : 33 + prefix;

    private static RouteEntry? Lookup(Dictionary<(InetAddress, int), List<RouteEntry>> index, int[] prefixes, InetAddress destination, int boundInterface)
    {
        int first = destination.IsV4 ? 0 : 33;
        for (int prefix = destination.Bits; prefix >= 0; prefix--)
        {
            if (prefixes[first + prefix] == 0 || !index.TryGetValue((destination.Network(prefix), prefix), out List<RouteEntry>? entries))
                continue;
            foreach (RouteEntry entry in entries)
            {
                if ((boundInterface == 0 || entry.InterfaceIndex == boundInterface || entry.Refuses) && entry.TypeOfService == 0)
                    return entry;
            }
        }

        return null;
    }

    private Dictionary<(InetAddress, int), List<RouteEntry>> Index(uint table) => table == RouteTable.Local ? _local : _main;

    private RouteEntry? FindIdentical(RouteEntry entry) =>
        Index(entry.Table).GetValueOrDefault((entry.Destination, entry.Prefix))?.Find(e => e.Identity == entry.Identity);

    private RouteEntry? FindSame(RouteEntry entry, bool exact)
    {
        if (!Index(entry.Table).TryGetValue((entry.Destination, entry.Prefix), out List<RouteEntry>? entries))
            return null;
        return entries.Find(e => e.Metric == entry.Metric && e.TypeOfService == entry.TypeOfService
            && (!exact || (e.Gateway == entry.Gateway && e.InterfaceIndex == entry.InterfaceIndex && e.Type == entry.Type
                && e.Scope == entry.Scope && e.PreferredSource == entry.PreferredSource)));
    }

    private Errno Check(RouteEntry entry)
    {
        if (entry.Prefix < 0 || entry.Prefix > entry.Destination.Bits || entry.Destination.Network(entry.Prefix) != entry.Destination)
            return Errno.EINVAL;
        if (entry.Table != RouteTable.Main || entry.Type is RouteType.Unspecified or > RouteType.Prohibit or RouteType.Anycast)
            return Errno.EINVAL;
        if (entry.IsV6 && entry.Metric == 0)
            entry.Metric = RouteEntry.UserMetricV6;
        if (entry.Refuses)
        {
            entry.InterfaceIndex = entry.IsV6 ? 1 : 0;
            return entry.HasGateway ? Errno.EINVAL : Errno.None;
        }

        if (!entry.PreferredSource.IsAny && !_stack.Ip.IsLocal(entry.PreferredSource))
            return Errno.EINVAL;
        return entry.HasGateway ? CheckGateway(entry) : CheckInterface(entry);
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
        if (entry.Gateway.IsV6 != entry.IsV6 || entry.Gateway.IsMulticast || _stack.Ip.IsLocal(entry.Gateway))
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
        if (Lookup(entry.Gateway, entry.InterfaceIndex) is not { } way || way.Type != RouteType.Unicast || way.HasGateway)
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
        Dictionary<(InetAddress, int), List<RouteEntry>> index = Index(entry.Table);
        if (!index.TryGetValue((entry.Destination, entry.Prefix), out List<RouteEntry>? entries))
        {
            entries = [];
            index.Add((entry.Destination, entry.Prefix), entries);
        }

        int position = before is null ? entries.FindIndex(e => e.Metric > entry.Metric) : entries.IndexOf(before);
        entries.Insert(position < 0 ? entries.Count : position, entry);
        (entry.Table == RouteTable.Local ? _localPrefixes : _mainPrefixes)[Slot(entry.Destination, entry.Prefix)]++;
    }

    private void Take(RouteEntry entry)
    {
        _entries.Remove(entry);
        Dictionary<(InetAddress, int), List<RouteEntry>> index = Index(entry.Table);
        List<RouteEntry> entries = index[(entry.Destination, entry.Prefix)];
        entries.Remove(entry);
        if (entries.Count == 0)
            index.Remove((entry.Destination, entry.Prefix));
        (entry.Table == RouteTable.Local ? _localPrefixes : _mainPrefixes)[Slot(entry.Destination, entry.Prefix)]--;
    }

    private void Changed(RouteEntry entry, StackChange change)
    {
        Touch();
        _stack.TellRoute(entry, change);
    }
}
