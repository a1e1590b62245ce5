using Netstack.Links;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>The addresses that this agent's sandboxes have in network namespaces of the host: within one agent no probe is needed to know of a copy.</summary>
public sealed class NamespaceLeases
{
    private readonly Lock _lock = new();
    private readonly List<NamespaceLease> _leases = [];

    /// <exception cref="LeaseRefusedException">Another sandbox has one of the addresses in that namespace.</exception>
    internal NamespaceLease Claim(NetworkNamespace place, string lineage, int generation, string holder, IReadOnlyList<InterfaceCidr> addresses)
    {
        ulong inode = HostFile.StatX(place.Descriptor, out StatX stat) == Errno.None ? stat.Inode : 0;
        NamespaceLease claimed = new(this, inode, lineage, generation, holder, [.. addresses.Select(a => a.Address)]);
        lock (_lock)
        {
            foreach (NamespaceLease other in _leases)
            {
                if (other.Namespace != inode || other.Addresses.Intersect(claimed.Addresses).FirstOrDefault(InetAddress.AnyV6) is not { IsAny: false } address)
                    continue;
                if (other.IsYielding && other.Lineage == lineage && generation > other.Generation)
                    continue;
                throw new LeaseRefusedException(other.Lineage == lineage
                    ? $"{address} in {place.Name} belongs to {other.Holder}, another copy of this sandbox (generation {other.Generation}); end it first, or give --new-identity with another --ip"
                    : $"{address} in {place.Name} belongs to {other.Holder}; give another --ip");
            }

            _leases.Add(claimed);
        }

        return claimed;
    }

    internal void Release(NamespaceLease lease)
    {
        lock (_lock)
            _leases.Remove(lease);
    }
}

/// <summary>A sandbox's addresses in a namespace, until it is disposed of.</summary>
internal sealed record NamespaceLease(NamespaceLeases Table, ulong Namespace, string Lineage, int Generation, string Holder, InetAddress[] Addresses) : IDisposable
{
    /// <summary>The sandbox stands still for a checkpoint that ends it.</summary>
    public bool IsYielding { get; set; }

    public void Dispose() => Table.Release(this);
}
