namespace Netstack.Stack;

/// <summary>The neighbours of all interfaces: ARP's and those of neighbour discovery.</summary>
[Savable("neighbour-table")]
public sealed partial class NeighbourTable
{
    /// <summary>retrans_time, delay_first_probe_time, in ns; probes by unicast or multicast before giving up.</summary>
    internal const long RetransmitTime = 1_000_000_000, DelayTime = 5_000_000_000;

    internal const long BaseReachableTime = 30_000_000_000, MinReachableTime = BaseReachableTime / 2;

    internal const int MaxProbes = 3;

    /// <summary>gc_thresh3.</summary>
    private const int MaxEntries = 1024;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<(int Interface, InetAddress Address), Neighbour> _entries = [];

    internal NeighbourTable(NetworkStack stack) => _stack = stack;

    public IReadOnlyCollection<Neighbour> Entries => _entries.Values;

    public Neighbour? Find(NetworkInterface link, InetAddress address) => _entries.GetValueOrDefault((link.Index, address));

    /// <summary>Adds or changes an entry as a user says (RTM_NEWNEIGH): ENOENT without <see cref="RouteAddMode.Create"/>, EEXIST with Exclusive, EINVAL, ENOBUFS.</summary>
    /// <param name="mac">Null: to be found out.</param>
    /// <param name="state">Permanent, NoArp, Reachable, Stale, Probe, or None to start resolving.</param>
    public Errno Set(NetworkInterface link, InetAddress address, MacAddress? mac, NeighbourState state, RouteAddMode mode, bool isRouter = false)
    {
        if (address.IsAny || link.IsLoopback || (address.IsV6 && !link.HasIpv6))
            return Errno.EINVAL;
        Neighbour? entry = Find(link, address);
        if (entry is null && !mode.HasFlag(RouteAddMode.Create))
            return Errno.ENOENT;
        if (entry is not null && mode.HasFlag(RouteAddMode.Exclusive))
            return Errno.EEXIST;
        entry ??= Create(link, address);
        if (entry is null)
            return Errno.ENOBUFS;
        entry.IsRouter = isRouter;
        if (state is NeighbourState.Permanent or NeighbourState.NoArp or NeighbourState.Reachable or NeighbourState.Stale or NeighbourState.Delay)
        {
            if (mac is null && !entry.IsValid)
                return Errno.EINVAL;
            entry.Update(mac ?? entry.Mac, state);
            return Errno.None;
        }

        if (mac is { } known)
            entry.Update(known, NeighbourState.Stale);
        entry.StartProbing();
        return Errno.None;
    }

    /// <summary>ENOENT when it is not there.</summary>
    public Errno Remove(NetworkInterface link, InetAddress address)
    {
        if (!_entries.Remove((link.Index, address), out Neighbour? entry))
            return Errno.ENOENT;
        entry.Drop();
        _stack.TellNeighbour(entry, StackChange.Removed);
        return Errno.None;
    }

    /// <summary>Takes out what was learned on an interface, and (as Linux does when a link goes down) static entries too.</summary>
    public void Flush(NetworkInterface link)
    {
        foreach (Neighbour entry in _entries.Values.Where(e => ReferenceEquals(e.Interface, link)).ToList())
            Remove(link, entry.Address);
    }

    /// <summary>Takes out what was learned on an interface: it leads to another link now. What is being asked for goes on being asked for.</summary>
    public void Forget(NetworkInterface link)
    {
        foreach (Neighbour entry in _entries.Values.Where(e => ReferenceEquals(e.Interface, link)).ToList())
        {
            if (entry.State is NeighbourState.Reachable or NeighbourState.Stale or NeighbourState.Delay or NeighbourState.Probe or NeighbourState.Failed)
                Remove(link, entry.Address);
        }
    }

    /// <summary>The entry, made when it is not there; null when the table is full of entries in use.</summary>
    internal Neighbour? GetOrCreate(NetworkInterface link, InetAddress address) => Find(link, address) ?? Create(link, address);

    /// <summary>A random time around the base (RFC 4861 section 6.3.2).</summary>
    internal long RandomReachableTime() => MinReachableTime + (long)(_stack.NextRandom64() % BaseReachableTime);

    private Neighbour? Create(NetworkInterface link, InetAddress address)
    {
        if (_entries.Count >= MaxEntries && !Evict())
            return null;
        var entry = new Neighbour(this, link, address);
        _entries.Add((link.Index, address), entry);
        return entry;
    }

    /// <summary>Takes out the entry that was longest unused, of those that are not being resolved or static.</summary>
    private bool Evict()
    {
        Neighbour? oldest = null;
        foreach (Neighbour entry in _entries.Values)
        {
            if (entry.State is NeighbourState.Stale or NeighbourState.Failed or NeighbourState.None or NeighbourState.Reachable
                && (oldest is null || entry.Used < oldest.Used))
                oldest = entry;
        }

        if (oldest is null)
            return false;
        Remove(oldest.Interface, oldest.Address);
        return true;
    }
}
