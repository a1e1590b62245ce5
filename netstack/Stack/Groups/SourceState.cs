namespace Netstack.Stack;

/// <summary>Which sources of a group an interface wants: those listed, or all but those (RFC 3376 section 3.2, RFC 3810 section 4.2).</summary>
[Savable("source-state")]
public sealed partial class SourceState
{
    [Saved(1)] private bool _isInclude;
    [Saved(2)] private List<InetAddress> _sources = [];

    internal SourceState(bool isInclude, List<InetAddress> sources)
    {
        _isInclude = isInclude;
        _sources = sources;
    }

    public bool IsInclude => _isInclude;

    public IReadOnlyList<InetAddress> Sources => _sources;

    /// <summary>No source at all: the interface is not in the group.</summary>
    internal static SourceState Nothing => new(true, []);

    /// <summary>All sources.</summary>
    internal static SourceState Everything => new(false, []);

    /// <summary>What several sockets want together.</summary>
    /// <param name="filters">Of each; null wants all.</param>
    internal static SourceState Merge(IEnumerable<GroupSourceFilter?> filters)
    {
        HashSet<InetAddress>? excluded = null;
        HashSet<InetAddress> included = [];
        foreach (GroupSourceFilter? filter in filters)
        {
            if (filter is { IsInclude: true })
                included.UnionWith(filter.Sources);
            else if (excluded is null)
                excluded = [.. filter?.Sources ?? []];
            else
                excluded.IntersectWith(filter?.Sources ?? []);
        }

        if (excluded is null)
            return new SourceState(true, Sorted(included));
        excluded.ExceptWith(included);
        return new SourceState(false, Sorted(excluded));
    }

    /// <summary>What is said of it in answer to a query.</summary>
    internal GroupRecord Current(InetAddress group) => new(_isInclude ? GroupRecordType.IsInclude : GroupRecordType.IsExclude, group, _sources);

    /// <summary>What is said of it as news.</summary>
    internal GroupRecord Changed(InetAddress group) => new(_isInclude ? GroupRecordType.ToInclude : GroupRecordType.ToExclude, group, _sources);

    /// <summary>What has changed since another state (RFC 3376 section 5.1).</summary>
    internal List<GroupRecord> Since(SourceState before, InetAddress group)
    {
        if (before._isInclude != _isInclude)
            return [Changed(group)];
        List<InetAddress> added = [.. _sources.Except(before._sources)], lost = [.. before._sources.Except(_sources)];
        List<GroupRecord> records = [];
        if ((_isInclude ? added : lost) is { Count: > 0 } allowed)
            records.Add(new GroupRecord(GroupRecordType.AllowNew, group, allowed));
        if ((_isInclude ? lost : added) is { Count: > 0 } blocked)
            records.Add(new GroupRecord(GroupRecordType.BlockOld, group, blocked));
        return records;
    }

    private static List<InetAddress> Sorted(HashSet<InetAddress> sources) => [.. sources.Order()];
}
