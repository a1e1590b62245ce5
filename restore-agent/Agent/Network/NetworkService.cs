using Netstack.Links;
using Netstack.Wire;
using RestoreAgent.Agent.Processes;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>The networks of this agent: makes what a sandbox asked for, or says in one line why not.</summary>
public sealed class NetworkService(AgentFolders folders, ILogger<NetworkService> logger)
{
    private const string PrivateSubnet = "10.0.2.0/24", PrivateAddress = "10.0.2.15", PrivateName = "sandbox";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, SwitchNetwork> _nets = [];
    private readonly NamespaceLeases _leases = new();

    /// <summary>Makes the network of a new sandbox: its addresses are taken and its ports listen when this returns.</summary>
    /// <param name="names">The sandbox's name and host name.</param>
    public SandboxNetwork Create(NetworkPlan plan, string sandboxId, IReadOnlyList<string> names)
    {
        try
        {
            return plan.Mode switch
            {
                NetworkPlan.Sandbox when plan.UsesNamespace => new NamespaceBuilder(plan, sandboxId, names, folders, _leases, logger).Build(),
                NetworkPlan.Sandbox => CreateAtSwitches(plan, names),
                NetworkPlan.Host => new SandboxNetwork(plan, LineageOf(plan), GenerationOf(plan), []) { Broker = BrokerProcess.Prepare(folders), Files = SeedFiles.ForHost(names) },
                _ => new SandboxNetwork(plan, LineageOf(plan), GenerationOf(plan), []) { Files = SeedFiles.ForLoopback(names) },
            };
        }
        catch (LeaseRefusedException e)
        {
            throw AgentException.Conflict(e.Message);
        }
    }

    /// <summary>The network of a sandbox that an earlier agent started. What cannot be had again, the sandbox goes on without.</summary>
    public SandboxNetwork Adopt(SavedNetwork? saved, string sandboxId, IReadOnlyList<string> names)
    {
        // The same life goes on: what is made again counts as no new generation.
        NetworkPlan plan = NetworkPlan.Make(null, saved is null ? null : saved with { Generation = saved.Generation - 1 });
        try
        {
            return plan is { Mode: NetworkPlan.Sandbox, UsesNamespace: true }
                ? new NamespaceBuilder(plan, sandboxId, names, folders, _leases, logger) { Adopts = true }.Build()
                : Create(plan, sandboxId, names);
        }
        catch (AgentException e)
        {
            logger.LogWarning("the sandbox {Sandbox} goes on without the agent's side of its network: {Reason}", names[0], e.Message);
            return new SandboxNetwork(plan, LineageOf(plan), GenerationOf(plan), []);
        }
    }

    /// <summary>Removes what an agent that was killed has left on the host, but for these sandboxes.</summary>
    public void RemoveLeftOvers(IReadOnlyList<string> sandboxIds)
    {
        foreach (string name in NamespaceBuilder.TakeLeftOvers(folders, sandboxIds))
            NetworkNamespace.RemoveLeftOver(name);
    }

    internal static string LineageOf(NetworkPlan plan) => plan.Saved?.Lineage ?? Guid.NewGuid().ToString("N");

    internal static int GenerationOf(NetworkPlan plan) => plan.Saved is { } saved ? saved.Generation + 1 : 0;

    /// <summary>A random unicast address of local administration.</summary>
    internal static MacAddress RandomMac()
    {
        Span<byte> bytes = stackalloc byte[6];
        HostEvents.FillRandom(bytes);
        bytes[0] = (byte)((bytes[0] & 0xfc) | 2);
        return MacAddress.FromBytes(bytes);
    }

    internal static MacAddress SavedMac(SavedLink? saved) => saved is not null && MacAddress.TryParse(saved.Mac, out MacAddress mac) ? mac : RandomMac();

    internal static InterfaceCidr? SavedCidr(SavedLink? saved, bool isV4)
    {
        foreach (string text in saved?.Addresses ?? [])
        {
            if (InterfaceCidr.TryParse(text, out InterfaceCidr cidr) && cidr.Address.IsV4 == isV4)
                return cidr;
        }

        return null;
    }

    private SandboxNetwork CreateAtSwitches(NetworkPlan plan, IReadOnlyList<string> names)
    {
        string lineage = LineageOf(plan);
        int generation = GenerationOf(plan);
        List<SandboxLink> links = [];
        FrameCapture? capture = plan.Options.Capture is { } path ? new FrameCapture(path) : null;
        try
        {
            string?[] nets = plan.Nets.Count > 0 ? [.. plan.Nets] : [null];
            for (int i = 0; i < nets.Length; i++)
                links.Add(Plug(plan, nets[i], i, lineage, generation, names, capture));
            SwitchNetwork first = ((SwitchLink)links[0]).Network;
            SandboxNetwork network = new(plan, lineage, generation, links) { Files = SeedFiles.ForSwitch(names, links), PublishLoop = first.Loop };
            if (capture is not null)
                network.Own(capture);
            try
            {
                InetAddress address = links[0].Settings.Addresses[0].Address;
                foreach (PublishSpec spec in plan.Publish)
                    network.Publish(() => PublishedPort.Open(first.Loop, spec, address, first.Gateway));
                return network;
            }
            catch
            {
                network.Dispose();
                throw;
            }
        }
        catch
        {
            foreach (SandboxLink link in links)
                link.Close();
            capture?.Dispose();
            throw;
        }
    }

    private SwitchLink Plug(NetworkPlan plan, string? net, int index, string lineage, int generation, IReadOnlyList<string> names, FrameCapture? capture)
    {
        string name = $"eth{index}";
        bool first = index == 0;
        SavedLink? saved = plan.Saved?.Links.FirstOrDefault(l => l.Name == name);
        InterfaceCidr? wanted = SavedCidr(saved, isV4: true) ?? (first ? plan.Address : null), wantedV6 = SavedCidr(saved, isV4: false) ?? (first ? plan.AddressV6 : null);
        InetAddress gateway = first ? plan.Gateways.FirstOrDefault(g => g.IsV4, InetAddress.AnyV4) : InetAddress.AnyV4;
        if (gateway.IsAny && saved?.Gateways.FirstOrDefault(g => g.Contains('.', StringComparison.Ordinal)) is { } kept)
            InetAddress.TryParse(kept, out gateway);
        SwitchNetwork network = Use(net, wanted, wantedV6, gateway);
        try
        {
            SwitchMember member = network.Loop.Invoke(() =>
            {
                InetAddress preferred = wanted?.Address ?? (net is null && network.Addresses.Subnet.ToString() == PrivateSubnet ? InetAddress.Parse(PrivateAddress) : InetAddress.AnyV4);
                (InetAddress address, InetAddress addressV6) = network.Choose(preferred, wantedV6?.Address ?? InetAddress.AnyV6);
                MacAddress mac = first && plan.Mac is { } given ? given : SavedMac(saved);
                SwitchMember added = network.Add(new LinkIdentity(lineage, generation, mac, address, addressV6), names, plan.Rights, plan.NameServers);
                if (capture is not null)
                    added.Port.Capture = (capture, capture.AddLink(name));
                return added;
            });
            LinkIdentity identity = member.Lease.Identity;
            LinkSettings settings = new(
                name,
                identity.Mac,
                [new InterfaceCidr(identity.Address, network.Addresses.Subnet.Prefix), new InterfaceCidr(identity.AddressV6, network.Addresses.SubnetV6.Prefix)],
                first ? [network.Addresses.Gateway, network.Addresses.GatewayV6] : []);
            return new SwitchLink(settings, network, member);
        }
        catch
        {
            network.Release();
            throw;
        }
    }

    /// <summary>The net of a name, made when nobody uses it yet, or one for a sandbox alone.</summary>
    private SwitchNetwork Use(string? net, InterfaceCidr? wanted, InterfaceCidr? wantedV6, InetAddress gateway)
    {
        lock (_lock)
        {
            if (net is not null && _nets.TryGetValue(net, out SwitchNetwork? known) && known.TryUse())
                return known;
            int attempt = 0;
            while (wanted is null && _nets.Values.Any(n => n.Addresses.Subnet.Equals(Subnet.OfName(net ?? PrivateName, attempt))))
                attempt++;
            Subnet subnet = wanted?.Subnet ?? (net is null ? Parse(PrivateSubnet) : Subnet.OfName(net, attempt));
            Subnet subnetV6 = wantedV6?.Subnet ?? Subnet.OfNameV6(net ?? PrivateName, attempt);
            if (!gateway.IsAny && !subnet.Contains(gateway))
                throw AgentException.Invalid($"the gateway {gateway} is not of {subnet}");
            SwitchNetwork made = new(net, GatewayAddresses.Of(subnet, subnetV6, gateway), logger, Forget);
            if (net is not null)
                _nets[net] = made;
            return made;
        }
    }

    private void Forget(SwitchNetwork network)
    {
        lock (_lock)
        {
            if (network.Name is { } name && _nets.TryGetValue(name, out SwitchNetwork? current) && current == network)
                _nets.Remove(name);
        }
    }

    private static Subnet Parse(string cidr) => new(InetAddress.Parse(cidr[..cidr.IndexOf('/', StringComparison.Ordinal)]), int.Parse(cidr.AsSpan(cidr.IndexOf('/', StringComparison.Ordinal) + 1), null));
}
