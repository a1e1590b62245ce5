namespace Netstack.Stack;

/// <summary>What a host learns from routers: default routes, prefixes, addresses made of them (RFC 4861 section 6.3, RFC 4862 section 5.5).</summary>
[Savable("router-discovery")]
public sealed partial class RouterDiscovery : IStackTimerTarget, IAfterLoad
{
    private const int MaxSolicitations = 3, MaxRouters = 16, MaxAutonomous = 16;
    private const long SolicitationInterval = 4_000_000_000, Second = 1_000_000_000;

    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Dictionary<int, int> _solicitationsLeft = [];
    [Saved(3)] private long _deadline;
    [NotSaved("armed again from the deadline")] private StackTimer? _timer;

    internal RouterDiscovery(NetworkStack stack) => _stack = stack;

    /// <summary>An interface has come up: asks for routers when their word is taken.</summary>
    internal void Start(NetworkInterface link)
    {
        if (!Accepts || link.IsLoopback)
            return;
        _solicitationsLeft[link.Index] = MaxSolicitations;
        ArmAt(_stack.Now + Second + (_stack.NextRandom() % Second));
    }

    internal void OnAdvertisement(NetworkInterface link, InetAddress router, RouterAdvertisement advertisement)
    {
        if (!Accepts)
            return;
        _solicitationsLeft.Remove(link.Index);
        if (advertisement.LinkAddress is { } mac && _stack.Ip.Neighbours.GetOrCreate(link, router) is { } entry)
        {
            if (entry.State is not (NeighbourState.Permanent or NeighbourState.NoArp) && (!entry.IsValid || entry.Mac != mac))
                entry.Update(mac, NeighbourState.Stale);
            entry.IsRouter = true;
        }

        UpdateRoute(link, InetAddress.AnyV6, 0, router, advertisement.RouterLifetime == 0 ? 0 : (uint)advertisement.RouterLifetime, advertisement.Mtu);
        foreach (AdvertisedPrefix prefix in advertisement.Prefixes)
        {
            if (prefix.Prefix.IsLinkLocal || prefix.Prefix.IsMulticast)
                continue;
            if (prefix.OnLink)
                UpdateRoute(link, prefix.Prefix, prefix.Length, InetAddress.AnyV6, prefix.ValidLifetime, 0);
            if (prefix.Autonomous)
                UpdateAddress(link, prefix);
        }

        ArmNext();
    }

    /// <summary>A neighbour says that it is no router any more (RFC 4861 section 7.2.5).</summary>
    internal void OnRouterGone(NetworkInterface link, InetAddress router)
    {
        foreach (RouteEntry entry in _stack.Routes.Entries.Where(e => IsLearned(e, link) && e.Gateway == router).ToList())
            _stack.Routes.Remove(entry);
    }

    public void OnTimer(StackTimer timer)
    {
        _deadline = 0;
        foreach ((int index, int left) in _solicitationsLeft.ToList())
        {
            if (_stack.FindInterface(index) is not { IsUp: true, HasIpv6: true } link || left == 0)
            {
                _solicitationsLeft.Remove(index);
                continue;
            }

            // Duplicate address detection comes first.
            if (link.LinkLocal is null)
                continue;
            _stack.Ip.Ndp.SendRouterSolicitation(link);
            _solicitationsLeft[index] = left - 1;
        }

        foreach (RouteEntry entry in _stack.Routes.Entries.Where(e => e.Expires != 0 && e.Expires <= _stack.Now).ToList())
            _stack.Routes.Remove(entry);
        ArmNext();
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _deadline != 0)
            ArmAt(_deadline);
    }

    private bool Accepts => _stack.Settings.AcceptRouterAdvertisements && !_stack.Settings.ForwardingV6;

    private static bool IsLearned(RouteEntry entry, NetworkInterface link) =>
        entry.IsV6 && entry.InterfaceIndex == link.Index && (entry.Protocol == RouteProtocol.RouterAdvertisement || entry.Expires != 0);

    private void UpdateRoute(NetworkInterface link, InetAddress destination, int prefix, InetAddress gateway, uint lifetime, int mtu)
    {
        RouteEntry? known = _stack.Routes.Entries.FirstOrDefault(e => IsLearned(e, link) && e.Destination == destination && e.Prefix == prefix && e.Gateway == gateway);
        if (lifetime == 0)
        {
            if (known is not null)
                _stack.Routes.Remove(known);
            return;
        }

        long expires = lifetime == uint.MaxValue ? 0 : _stack.Now + (lifetime * Second);
        if (known is not null)
        {
            known.Expires = expires;
            return;
        }

        if (_stack.Routes.Entries.Count(e => IsLearned(e, link)) >= MaxRouters)
            return;
        _stack.Routes.Add(new RouteEntry
        {
            Destination = destination,
            Prefix = prefix,
            Gateway = gateway,
            InterfaceIndex = link.Index,
            Protocol = RouteProtocol.RouterAdvertisement,
            Metric = RouteEntry.UserMetricV6,
            Expires = expires,
            Mtu = mtu >= NetworkInterface.MinMtuV6 && mtu <= link.Mtu ? mtu : 0,
        });
    }

    /// <summary>RFC 4862 section 5.5.3.</summary>
    private void UpdateAddress(NetworkInterface link, in AdvertisedPrefix prefix)
    {
        const long twoHours = 7200;
        if (prefix.Length != 64 || prefix.PreferredLifetime > prefix.ValidLifetime)
            return;
        var address = new InetAddress(prefix.Prefix.High, link.Mac.LinkLocal.Low);
        InterfaceAddress? known = link.FindAddress(address);
        if (known is null)
        {
            if (prefix.ValidLifetime == 0 || link.Addresses.Count(a => a.ValidUntil != 0) >= MaxAutonomous)
                return;
            link.AddAddress(new InterfaceAddress
            {
                Address = address,
                Prefix = 64,
                Flags = AddressFlags.ManageTemporary | AddressFlags.NoPrefixRoute,
                ValidUntil = Until(prefix.ValidLifetime),
                PreferredUntil = Until(prefix.PreferredLifetime),
            });
            return;
        }

        if (known.ValidUntil == 0 || known.IsTentative)
            return;
        long left = (known.ValidUntil - _stack.Now) / Second;
        if (prefix.ValidLifetime > twoHours || prefix.ValidLifetime > left)
            known.ValidUntil = Until(prefix.ValidLifetime);
        else if (left > twoHours)
            known.ValidUntil = _stack.Now + (twoHours * Second);
        known.PreferredUntil = Until(prefix.PreferredLifetime);
        if (prefix.PreferredLifetime > 0)
            known.Flags &= ~AddressFlags.Deprecated;
        known.Updated = _stack.Now;
        known.ArmLifetime();
    }

    private long Until(uint lifetime) => _stack.Now + (lifetime == uint.MaxValue ? long.MaxValue / 4 : (lifetime * Second) + 1);

    private void ArmNext()
    {
        long next = long.MaxValue;
        if (_solicitationsLeft.Count > 0)
            next = _stack.Now + SolicitationInterval;
        foreach (RouteEntry entry in _stack.Routes.Entries)
        {
            if (entry.Expires != 0)
                next = Math.Min(next, Math.Max(entry.Expires, _stack.Now + 1));
        }

        if (next != long.MaxValue)
            ArmAt(next);
    }

    private void ArmAt(long deadline)
    {
        _deadline = deadline;
        _stack.Timers.Arm(_timer ??= new StackTimer(this), deadline);
    }
}
