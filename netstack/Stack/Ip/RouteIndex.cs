namespace Netstack.Stack;

/// <summary>The routes of one table by their destinations, for lookups of the longest prefix.</summary>
internal sealed class RouteIndex
{
    private readonly Dictionary<(InetAddress Network, int Prefix), List<RouteEntry>> _entries = [];
    private readonly int[] _prefixes = new int[33 + 129];

    public bool IsEmpty => _entries.Count == 0;

    /// <summary>The routes to a network, the best first; null when there is none.</summary>
    public List<RouteEntry>? Find(InetAddress network, int prefix) => _entries.GetValueOrDefault((network, prefix));

    /// <summary>The best route to an address.</summary>
    /// <param name="boundInterface">Only routes by this interface; 0 for all.</param>
    public RouteEntry? Lookup(InetAddress destination, int boundInterface)
    {
        int first = destination.IsV4 ? 0 : 33;
        for (int prefix = destination.Bits; prefix >= 0; prefix--)
        {
            if (_prefixes[first + prefix] == 0 || !_entries.TryGetValue((destination.Network(prefix), prefix), out List<RouteEntry>? entries))
                continue;
            foreach (RouteEntry entry in entries)
            {
                if ((boundInterface == 0 || entry.LeavesBy(boundInterface) || entry.Refuses) && entry.TypeOfService == 0)
                    return entry;
            }
        }

        return null;
    }

    /// <summary>Puts a route in before another of its destination and metric, or behind those that are not worse.</summary>
    public void Put(RouteEntry entry, RouteEntry? before)
    {
        if (!_entries.TryGetValue((entry.Destination, entry.Prefix), out List<RouteEntry>? entries))
        {
            entries = [];
            _entries.Add((entry.Destination, entry.Prefix), entries);
        }

        int position = before is null ? entries.FindIndex(e => e.Metric > entry.Metric) : entries.IndexOf(before);
        entries.Insert(position < 0 ? entries.Count : position, entry);
        _prefixes[Slot(entry.Destination, entry.Prefix)]++;
    }

    public void Take(RouteEntry entry)
    {
        List<RouteEntry> entries = _entries[(entry.Destination, entry.Prefix)];
        entries.Remove(entry);
        if (entries.Count == 0)
            _entries.Remove((entry.Destination, entry.Prefix));
        _prefixes[Slot(entry.Destination, entry.Prefix)]--;
    }

    private static int Slot(InetAddress address, int prefix) => address.IsV4 ? prefix : 33 + prefix;
}
