namespace Netstack.Stack;

/// <summary>FR_ACT_*: what a rule does.</summary>
public static class RuleAction
{
    public const byte ToTable = 1, Goto = 2, Nop = 3, Blackhole = 6, Unreachable = 7, Prohibit = 8;
}

/// <summary>A rule of policy routing (ip-rule(8)): which table is asked for which packets. Once in the list it is not changed.</summary>
[Savable("routing-rule")]
public sealed partial class RoutingRule
{
    [Saved(1)] public bool IsV6;

    /// <summary>The smaller comes first.</summary>
    [Saved(2)] public uint Priority;

    /// <summary>FR_ACT_*.</summary>
    [Saved(3)] public byte Action = RuleAction.ToTable;

    [Saved(4)] public uint Table;
    [Saved(5)] public InetAddress Source;
    [Saved(6)] public int SourcePrefix;
    [Saved(7)] public InetAddress Destination;
    [Saved(8)] public int DestinationPrefix;
    [Saved(9)] public byte TypeOfService;
    [Saved(10)] public uint Mark;
    [Saved(11)] public uint Mask;

    /// <summary>Name of the interface that packets come in by, "lo" for those of this host; empty for any.</summary>
    [Saved(12)] public string Input = "";

    /// <summary>Of the interface that the sender is bound to.</summary>
    [Saved(13)] public string Output = "";

    /// <summary>FIB_RULE_INVERT.</summary>
    [Saved(14)] public bool IsInverted;

    /// <summary>Routes with a prefix not longer than this do not count; -1 for none.</summary>
    [Saved(15)] public int SuppressPrefix = -1;

    /// <summary>RTPROT_*: who made it.</summary>
    [Saved(16)] public byte Protocol;

    /// <summary>Of a goto: the priority where it goes on.</summary>
    [Saved(17)] public uint Target;

    public RoutingRule()
    {
    }

    /// <summary>Whether another does the same for the same packets.</summary>
    public bool IsSame(RoutingRule other) =>
        IsV6 == other.IsV6 && Action == other.Action && Table == other.Table && Source == other.Source && SourcePrefix == other.SourcePrefix && Destination == other.Destination &&
        DestinationPrefix == other.DestinationPrefix && TypeOfService == other.TypeOfService && Mark == other.Mark && Mask == other.Mask && Input == other.Input && Output == other.Output &&
        IsInverted == other.IsInverted && SuppressPrefix == other.SuppressPrefix && Target == other.Target;

    /// <summary>Whether it is for a packet that this host sends, which has no mark.</summary>
    internal bool Matches(InetAddress destination, InetAddress source, string output)
    {
        bool matches = (SourcePrefix == 0 || (!source.IsAny && source.IsWithin(Source, SourcePrefix))) && (DestinationPrefix == 0 || destination.IsWithin(Destination, DestinationPrefix)) &&
            Input is "" or "lo" && (Output.Length == 0 || Output == output) && (Mark & Mask) == 0 && TypeOfService == 0;
        return matches != IsInverted;
    }
}

/// <summary>The rules of policy routing: to begin with local, main and (of IPv4) default.</summary>
[Savable("routing-rules")]
public sealed partial class RoutingRules
{
    private const uint LocalPriority = 0, MainPriority = 32766, DefaultPriority = 32767;
    private const int MaxRules = 4096;

    [Saved(1)] private List<RoutingRule> _list = [];
    [NotSaved("found out when asked for")] private bool? _usual;

    internal RoutingRules()
    {
        Insert(Kernel(false, LocalPriority, RouteTable.Local));
        Insert(Kernel(false, MainPriority, RouteTable.Main));
        Insert(Kernel(false, DefaultPriority, RouteTable.Default));
        Insert(Kernel(true, LocalPriority, RouteTable.Local));
        Insert(Kernel(true, MainPriority, RouteTable.Main));
    }

    /// <summary>By priority, of both families.</summary>
    public IReadOnlyList<RoutingRule> List => _list;

    /// <summary>Whether anybody has changed them.</summary>
    public bool HasUserRules => !AreUsual;

    /// <summary>Whether they are those that there are to begin with, so that nothing need be compared.</summary>
    internal bool AreUsual => _usual ??= _list.Count == 5 && _list.TrueForAll(r => r.Protocol == RouteProtocol.Kernel);

    /// <summary>What a rule gets that is given no priority: one less than that of the second.</summary>
    public uint NextPriority(bool isV6)
    {
        List<RoutingRule> own = _list.FindAll(r => r.IsV6 == isV6);
        return own.Count > 1 && own[1].Priority > 0 ? own[1].Priority - 1 : 0;
    }

    /// <summary>ENOSPC when there are too many.</summary>
    internal Errno Add(RoutingRule rule)
    {
        if (_list.Count >= MaxRules)
            return Errno.ENOSPC;
        Insert(rule);
        _usual = null;
        return Errno.None;
    }

    internal bool Remove(RoutingRule rule)
    {
        _usual = null;
        return _list.Remove(rule);
    }

    private void Insert(RoutingRule rule)
    {
        int position = _list.FindIndex(r => r.IsV6 == rule.IsV6 && r.Priority > rule.Priority);
        if (position < 0)
            position = rule.IsV6 ? _list.Count : _list.FindIndex(r => r.IsV6) is var first and >= 0 ? first : _list.Count;
        _list.Insert(position, rule);
    }

    private static RoutingRule Kernel(bool isV6, uint priority, uint table) => new()
    {
        IsV6 = isV6,
        Priority = priority,
        Table = table,
        Protocol = RouteProtocol.Kernel,
        Source = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4,
        Destination = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4,
    };
}
