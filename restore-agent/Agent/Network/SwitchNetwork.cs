using Netstack.Links;
using Netstack.Wire;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A sandbox at a switch.</summary>
public sealed class SwitchMember(SandboxPort port, IReadOnlyList<string> names, OutboundRights rights, IReadOnlyList<InetAddress> servers)
{
    public SandboxPort Port => port;

    public Lease Lease { get; set; } = null!;

    /// <summary>Its name and host name.</summary>
    public IReadOnlyList<string> Names => names;

    public OutboundRights Rights => rights;

    /// <summary>Name servers that were asked for; none for the host's.</summary>
    public IReadOnlyList<InetAddress> Servers => servers;

    public int Connect()
    {
        Lease.IsYielding = false;
        return port.Connect();
    }

    public void Hold()
    {
        Lease.IsYielding = true;
        port.Hold();
    }

    public void GoOn()
    {
        Lease.IsYielding = false;
        port.GoOn();
    }
}

/// <summary>
/// An Ethernet in the agent: a switch, the sandboxes at it, their leases and the gateway. With a name several sandboxes share it; without it
/// is one sandbox's own. It has a thread; what is not of the loop is thread-safe.
/// </summary>
public sealed class SwitchNetwork : INameSource
{
    // A checkpoint and the restore after it take a tenth of a second; what a sender has sent so long ago it has sent again by itself.
    private const long Remembrance = 3_000_000_000;

    private readonly Action<SwitchNetwork> _unused;
    private readonly Lock _lock = new();
    private readonly LearningSwitch _switch = new();
    private readonly List<SwitchMember> _members = [];
    private readonly List<SwitchMember> _left = [];
    private readonly LeaseTable _leases;
    private readonly NameServer _server;
    private readonly Outbound _outbound;
    private int _users = 1;

    /// <summary>Used by whoever made it until <see cref="Release"/>.</summary>
    public SwitchNetwork(string? name, GatewayAddresses addresses, ILogger logger, Action<SwitchNetwork> unused)
    {
        (Name, Addresses, _unused) = (name, addresses, unused);
        _leases = new LeaseTable(name ?? "of this sandbox", addresses.Subnet, addresses.SubnetV6, [addresses.Gateway, addresses.Names, addresses.GatewayV6]);
        Loop = new NetworkLoop($"net {name}", logger);
        try
        {
            (Gateway, _server, _outbound) = Loop.Invoke(() =>
            {
                Gateway gateway = new(Loop, _switch, addresses);
                Outbound outbound = new(gateway, new OutboundPolicy(addresses, RightsOf), frame => gateway.Send(frame.Span));
                return (gateway, new NameServer(gateway, this), outbound);
            });
        }
        catch
        {
            Loop.Dispose();
            throw;
        }
    }

    /// <summary>Null for a switch of one sandbox's own.</summary>
    public string? Name { get; }

    public GatewayAddresses Addresses { get; }

    public NetworkLoop Loop { get; }

    public Gateway Gateway { get; }

    /// <summary>One user more; false when the last has gone already.</summary>
    public bool TryUse()
    {
        lock (_lock)
        {
            if (_users == 0)
                return false;
            _users++;
            return true;
        }
    }

    /// <summary>One user less; the last ends the network.</summary>
    public void Release()
    {
        lock (_lock)
        {
            if (--_users > 0)
                return;
        }

        _unused(this);
        Loop.Invoke(() =>
        {
            _outbound.Abort();
            _server.Close();
        });
        Loop.Dispose();
    }

    /// <summary>Plugs a sandbox in. On the loop's thread, as are all below.</summary>
    /// <exception cref="LeaseRefusedException">It may not have its addresses.</exception>
    public SwitchMember Add(LinkIdentity identity, IReadOnlyList<string> names, OutboundRights rights, IReadOnlyList<InetAddress> servers)
    {
        SandboxPort port = new(Loop, _switch, names[0]);
        SwitchMember member = new(port, names, rights, servers);
        foreach (SwitchMember left in _left.Where(l => identity.ConflictsWith(l.Lease.Identity) && !identity.IsLaterThan(l.Lease.Identity)).ToArray())
            End(left);
        try
        {
            (member.Lease, Lease? replaced) = _leases.Claim(identity, names[0], member);
            if (replaced?.Owner is SwitchMember before)
            {
                _members.Remove(before);
                _left.Remove(before);
                before.Port.YieldTo(port);
            }
        }
        catch
        {
            port.Close();
            throw;
        }

        _switch.Own(port.Port!, identity.Mac);
        foreach (InetAddress address in (InetAddress[])[identity.Address, identity.AddressV6])
        {
            if (!address.IsAny)
                _switch.Own(port.Port!, address);
        }

        _members.Add(member);
        return member;
    }

    /// <summary>Free addresses, or those asked for.</summary>
    public (InetAddress Address, InetAddress AddressV6) Choose(InetAddress wanted, InetAddress wantedV6) => _leases.Choose(wanted, wantedV6);

    /// <summary>Unplugs a sandbox. One that stood still for a checkpoint keeps its place for a few seconds: what comes for it meanwhile is for the sandbox that is
    /// restored from that checkpoint, and anyone else who wants its addresses gets them.</summary>
    public void Remove(SwitchMember member)
    {
        if (!_members.Remove(member))
        {
            member.Port.Close();
            return;
        }

        if (!member.Lease.IsYielding)
        {
            End(member);
            return;
        }

        member.Port.Leave();
        _left.Add(member);
        Loop.At(NetworkLoop.Now + Remembrance, () =>
        {
            if (_left.Contains(member))
                End(member);
        });
    }

    private void End(SwitchMember member)
    {
        member.Port.Close();
        _left.Remove(member);
        _leases.Release(member.Lease);
        foreach (InetAddress address in (InetAddress[])[member.Lease.Identity.Address, member.Lease.Identity.AddressV6])
            _outbound.Abort(address);
    }

    IReadOnlyList<InetAddress>? INameSource.Find(string name)
    {
        if (Name is not null && name.EndsWith("." + Name, StringComparison.OrdinalIgnoreCase))
            name = name[..^(Name.Length + 1)];
        List<InetAddress> found =
        [
            .. _members.Where(m => m.Names.Contains(name, StringComparer.OrdinalIgnoreCase))
                .SelectMany(m => (InetAddress[])[m.Lease.Identity.Address, m.Lease.Identity.AddressV6]).Where(a => !a.IsAny),
        ];
        if (found.Count > 0)
            return found;
        return name.Equals("gateway", StringComparison.OrdinalIgnoreCase) ? [Addresses.Gateway, Addresses.GatewayV6] : null;
    }

    string? INameSource.NameOf(InetAddress address)
    {
        string suffix = Name is null ? "" : "." + Name;
        return MemberOf(address) is { } member ? member.Names[0] + suffix : address == Addresses.Gateway || address == Addresses.GatewayV6 ? "gateway" + suffix : null;
    }

    IReadOnlyList<InetAddress>? INameSource.ServersFor(InetAddress source) =>
        MemberOf(source) is not { Rights.Outside: true } member ? null : member.Servers.Count > 0 ? member.Servers : HostResolver.Servers;

    private OutboundRights RightsOf(InetAddress source) => MemberOf(source)?.Rights ?? default;

    private SwitchMember? MemberOf(InetAddress address) => _members.Find(m => m.Lease.Identity.Address == address || m.Lease.Identity.AddressV6 == address);
}
