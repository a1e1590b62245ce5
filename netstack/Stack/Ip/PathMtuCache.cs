namespace Netstack.Stack;

/// <summary>Path MTUs that were learned (RFC 1191, RFC 8201), each for a time.</summary>
[Savable("path-mtus")]
public sealed partial class PathMtuCache : IStackTimerTarget, IAfterLoad
{
    private const int MaxEntries = 1024;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<InetAddress, (int Mtu, long Expires)> _entries = [];
    [NotSaved("armed again for the earliest entry")] private StackTimer? _timer;

    internal PathMtuCache(NetworkStack stack) => _stack = stack;

    /// <summary>Destinations, what is known of them, and until when (stack time).</summary>
    public IReadOnlyDictionary<InetAddress, (int Mtu, long Expires)> Entries => _entries;

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _entries.Clear();
        _stack.Routes.Touch();
    }

    /// <summary>The smaller of the MTU given and what is known of the destination.</summary>
    internal int Limit(InetAddress destination, int mtu) =>
        _entries.Count > 0 && _entries.TryGetValue(destination, out (int Mtu, long Expires) known) ? Math.Min(known.Mtu, mtu) : mtu;

    /// <summary>A router says that packets to a destination may have so many bytes, and a transport has found that it is about a packet of its own.</summary>
    internal void Update(InetAddress destination, int mtu)
    {
        int least = destination.IsV4 ? _stack.Settings.MinPathMtu : NetworkInterface.MinMtuV6;
        if (destination.IsV4 && mtu < NetworkInterface.MinMtu)
            return;
        mtu = Math.Max(mtu, least);
        if (_entries.TryGetValue(destination, out (int Mtu, long Expires) known) && known.Mtu <= mtu)
            return;
        if (_entries.Count >= MaxEntries)
            _entries.Remove(_entries.MinBy(e => e.Value.Expires).Key);
        long expires = _stack.Now + (_stack.Settings.PathMtuExpires * 1_000_000_000L);
        _entries[destination] = (mtu, expires);
        _stack.Routes.Touch();
        if (_timer is not { IsArmed: true } || _timer.Deadline > expires)
            _stack.Timers.Arm(_timer ??= new StackTimer(this), expires);
    }

    public void OnTimer(StackTimer timer)
    {
        foreach (InetAddress destination in _entries.Where(e => e.Value.Expires <= _stack.Now).Select(e => e.Key).ToList())
            _entries.Remove(destination);
        _stack.Routes.Touch();
        Arm();
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            Arm();
    }

    private void Arm()
    {
        if (_entries.Count > 0)
            _stack.Timers.Arm(_timer ??= new StackTimer(this), _entries.Min(e => e.Value.Expires));
    }
}
