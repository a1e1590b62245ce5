namespace Netstack.Links;

/// <summary>
/// Who a sandbox is on a network. It travels in the image, with the generation: one more at each restore, so that of all copies of a
/// sandbox the order is known.
/// </summary>
/// <param name="Lineage">Made once, the same in all copies.</param>
/// <param name="Generation">How often it was restored.</param>
public sealed record LinkIdentity(string Lineage, int Generation, MacAddress Mac, InetAddress Address, InetAddress AddressV6)
{
    /// <summary>Whether both cannot be on one network.</summary>
    public bool ConflictsWith(LinkIdentity other) =>
        Mac == other.Mac || (!Address.IsAny && Address == other.Address) || (!AddressV6.IsAny && AddressV6 == other.AddressV6);

    /// <summary>Whether it is a later copy of the same sandbox.</summary>
    public bool IsLaterThan(LinkIdentity other) => Lineage == other.Lineage && Generation > other.Generation;
}

/// <summary>An address in use.</summary>
public sealed class Lease
{
    internal Lease(LinkIdentity identity, string holder, object owner) => (Identity, Holder, Owner) = (identity, holder, owner);

    public LinkIdentity Identity { get; }

    /// <summary>The sandbox's name.</summary>
    public string Holder { get; }

    /// <summary>Its port or whatever its network keeps of it.</summary>
    public object Owner { get; }

    /// <summary>The holder stands still for a checkpoint after which it ends: a later generation may take its place.</summary>
    public bool IsYielding { get; set; }
}

/// <summary>Why a lease is refused, in one line.</summary>
public sealed class LeaseRefusedException(string message) : Exception(message);

/// <summary>The addresses of one network and who has them: the fence against two copies of one sandbox.</summary>
/// <param name="reserved">The network's own: gateway, server of names.</param>
public sealed class LeaseTable(string network, Subnet subnet, Subnet subnetV6, IReadOnlyCollection<InetAddress> reserved)
{
    // The first addresses of a net are left to its gateway and to people who give addresses by hand.
    private const int FirstHost = 10;

    private readonly List<Lease> _leases = [];
    private int _last = subnet.Hosts > 2 * FirstHost ? FirstHost - 1 : 0;

    public Subnet Subnet { get; } = subnet;

    public Subnet SubnetV6 { get; } = subnetV6;

    public IReadOnlyList<Lease> Leases => _leases;

    /// <summary>An address that nobody has, and with it the IPv6 address of the same number.</summary>
    /// <param name="wanted">The address asked for; unspecified for any.</param>
    public (InetAddress Address, InetAddress AddressV6) Choose(InetAddress wanted, InetAddress wantedV6)
    {
        InetAddress address = wanted.IsAny ? Free() : wanted;
        int number = (int)(address.Low - Subnet.Network.Low);
        InetAddress addressV6 = wantedV6.IsAny ? SubnetV6.Host(number) : wantedV6;
        return (address, addressV6);
    }

    /// <summary>Gives an identity its addresses, or refuses them.</summary>
    /// <returns>The lease, and the one of an earlier generation whose place it took.</returns>
    /// <exception cref="LeaseRefusedException">Another has one of the addresses, or they are not of this network.</exception>
    public (Lease Lease, Lease? Replaced) Claim(LinkIdentity identity, string holder, object owner)
    {
        Check(identity.Address, Subnet);
        Check(identity.AddressV6, SubnetV6);
        Lease? replaced = null;
        foreach (Lease other in _leases)
        {
            if (!identity.ConflictsWith(other.Identity))
                continue;
            if (!other.IsYielding || !identity.IsLaterThan(other.Identity))
                throw new LeaseRefusedException(Refusal(identity, other));
            replaced = other;
        }

        if (replaced is not null)
            _leases.Remove(replaced);
        Lease lease = new(identity, holder, owner);
        _leases.Add(lease);
        return (lease, replaced);
    }

    public void Release(Lease lease) => _leases.Remove(lease);

    private string Refusal(LinkIdentity identity, Lease other)
    {
        InetAddress what = identity.Address.IsAny ? identity.AddressV6 : identity.Address;
        return other.Identity.Lineage == identity.Lineage
            ? $"{what} on net {network} belongs to {other.Holder}, another copy of this sandbox (generation {other.Identity.Generation}); end it first, or give --new-identity"
            : $"{what} on net {network} belongs to {other.Holder}; give another --ip, or --new-identity for a restored sandbox";
    }

    private void Check(InetAddress address, Subnet subnet)
    {
        if (address.IsAny)
            return;
        if (!subnet.Contains(address))
            throw new LeaseRefusedException($"{address} is not of net {network}, which is {subnet}; give an --ip of it, or --new-identity for a restored sandbox");
        if (reserved.Contains(address) || address == subnet.Network || (address.IsV4 && address == subnet.Last && subnet.Prefix < 31))
            throw new LeaseRefusedException($"{address} is one of net {network}'s own addresses; give another --ip");
    }

    private InetAddress Free()
    {
        for (int tries = 0; tries < Subnet.Hosts; tries++)
        {
            _last = _last >= Subnet.Hosts ? 1 : _last + 1;
            InetAddress candidate = Subnet.Host(_last);
            if (!reserved.Contains(candidate) && !_leases.Exists(l => l.Identity.Address == candidate))
                return candidate;
        }

        throw new LeaseRefusedException($"net {network} has no address left of {Subnet}");
    }
}
