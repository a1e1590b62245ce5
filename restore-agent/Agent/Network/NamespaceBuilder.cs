using Netstack.Links;
using Netstack.Wire;

namespace RestoreAgent.Agent.Network;

/// <summary>Makes the network of a sandbox whose link ends in a network namespace of the host.</summary>
internal sealed class NamespaceBuilder(NetworkPlan plan, string sandboxId, IReadOnlyList<string> names, AgentFolders folders, NamespaceLeases leases, ILogger logger)
{
    private const string LinkName = "eth0", UsualAddress = "10.0.2.15/24", NamespacePrefix = "snapshot-";

    /// <summary>An earlier agent has built it: namespace and device are there.</summary>
    public bool Adopts { get; init; }

    public SandboxNetwork Build()
    {
        bool own = plan.Options.Namespace == NetworkNamespace.New;
        NetworkNamespace place = own && Adopts ? NetworkNamespace.OpenNamed(NameOf(sandboxId)) : own ? MakeNamespace() : NetworkNamespace.Open(plan.Options.Namespace!);
        NetworkLoop? loop = null;
        FrameCapture? capture = null;
        SandboxNetwork? network = null;
        DeviceLink? link = null;
        NamespaceLease? lease = null;
        try
        {
            LinkSettings settings = MakeSettings(own);
            string lineage = NetworkService.LineageOf(plan);
            lease = leases.Claim(place, lineage, NetworkService.GenerationOf(plan), names[0], settings.Addresses);
            Task unused = own || Adopts ? Task.CompletedTask : LinkProbe.StartAsync(place, plan.Saved is null || plan.IsHandedOver ? null : plan.Options.Bridge, settings.Addresses);
            InterfaceCidr[] hostSide = plan.Options.Bridge is null ? [.. settings.Gateways.Select(g => new InterfaceCidr(g, PrefixFor(settings, g)))] : [];
            HostDeviceOptions device = new(HostDevice.NameFor(sandboxId, 0), settings.Mac, hostSide, plan.Options.Bridge, settings.Mtu);
            capture = plan.Options.Capture is { } path ? new FrameCapture(path) : null;
            if (capture is not null || plan.Publish.Count > 0)
                loop = new NetworkLoop($"sandbox {names[0]}", logger);
            (NetworkLoop? serving, FrameCapture? capturing) = (loop, capture);
            link = new DeviceLink(settings, place, device, plan.Options.Link == NetworkPlan.Veth,
                made => capturing is null ? null : serving!.Invoke(() => new DeviceCapture(serving, place, made.Name, capturing, LinkName)),
                ended => serving!.Invoke(ended.Close),
                lease,
                isMade: Adopts);
            network = new SandboxNetwork(plan, lineage, NetworkService.GenerationOf(plan), [link])
            {
                Files = SeedFiles.ForNamespace(names, link, plan.NameServers, place.Name),
                PublishLoop = loop,
                AddressesAreFree = unused,
            };
            network.Own(place);
            network.Own(lease);
            if (loop is not null)
                network.Own(loop);
            if (capture is not null)
                network.Own(capture);
            foreach (PublishSpec spec in plan.Publish)
                network.Publish(() => PublishedPort.Open(loop!, spec, settings.Addresses[0].Address, new NamespaceDialer(loop!, place)));
            if (own)
                network.Own(new Forgotten(() => Forget(place.Name)));
            return network;
        }
        catch
        {
            if (network is not null)
            {
                network.Dispose();
            }
            else
            {
                link?.Close();
                loop?.Dispose();
                capture?.Dispose();
                lease?.Dispose();
                place.Dispose();
            }

            throw;
        }
    }

    /// <summary>The namespaces of an agent that was killed before it could remove them, but for these sandboxes; they are forgotten by this.</summary>
    public static IReadOnlyList<string> TakeLeftOvers(AgentFolders folders, IReadOnlyList<string> sandboxIds)
    {
        HashSet<string> kept = [.. sandboxIds.Select(NameOf)];
        List<string> found = [];
        foreach (string file in Directory.EnumerateFiles(folders.Networks))
        {
            string name = Path.GetFileName(file);
            if (kept.Contains(name))
                continue;
            if (name.StartsWith(NamespacePrefix, StringComparison.Ordinal))
                found.Add(name);
            File.Delete(file);
        }

        return found;
    }

    private NetworkNamespace MakeNamespace()
    {
        string name = NameOf(sandboxId);
        File.WriteAllBytes(Path.Combine(folders.Networks, name), []);
        try
        {
            NetworkNamespace made = NetworkNamespace.CreateNamed(name);
            using RouteNetlink netlink = new(made);
            netlink.SetUp(netlink.Find("lo") ?? 1);
            return made;
        }
        catch
        {
            Forget(name);
            throw;
        }
    }

    private static string NameOf(string sandboxId) => NamespacePrefix + sandboxId[..12];

    private void Forget(string name) => File.Delete(Path.Combine(folders.Networks, name));

    private LinkSettings MakeSettings(bool own)
    {
        SavedLink? saved = plan.Saved?.Links.FirstOrDefault(l => l.Name == LinkName);
        InterfaceCidr? v4 = plan.Address ?? NetworkService.SavedCidr(saved, isV4: true), v6 = plan.AddressV6 ?? NetworkService.SavedCidr(saved, isV4: false);
        if (v4 is null && v6 is null)
        {
            if (!own)
                throw AgentException.Invalid("a link in a network namespace needs an address: give --ip ADDRESS/PREFIX" + (plan.Options.NewIdentity ? ", another than the saved sandbox has" : ""));
            InterfaceCidr.TryParse(UsualAddress, out InterfaceCidr usual);
            v4 = usual;
        }

        InterfaceCidr[] addresses = [.. (InterfaceCidr?[])[v4, v6] is var both ? both.Where(a => a is not null).Select(a => a!.Value) : []];
        List<InetAddress> gateways = [.. plan.Gateways];
        foreach (string text in saved?.Gateways ?? [])
        {
            if (InetAddress.TryParse(text, out InetAddress kept) && !gateways.Exists(g => g.IsV4 == kept.IsV4))
                gateways.Add(kept);
        }

        if (plan.Options.Bridge is null && saved is null)
        {
            foreach (InterfaceCidr address in addresses.Where(a => !gateways.Exists(g => g.IsV4 == a.Address.IsV4)))
                gateways.Add(address.Subnet.Host(1) == address.Address ? address.Subnet.Host(2) : address.Subnet.Host(1));
        }

        MacAddress mac = plan.Mac ?? NetworkService.SavedMac(saved);
        return new LinkSettings(LinkName, mac, addresses, [.. gateways], saved?.Mtu ?? 1500);
    }

    private static int PrefixFor(LinkSettings settings, InetAddress gateway)
    {
        foreach (InterfaceCidr address in settings.Addresses)
        {
            if (address.Address.IsV4 == gateway.IsV4)
                return address.Subnet.Contains(gateway) ? address.Prefix : throw AgentException.Invalid($"the gateway {gateway} is not of {address.Subnet}");
        }

        throw AgentException.Invalid($"the gateway {gateway} is of an IP version in which the sandbox has no address");
    }

    private sealed class Forgotten(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
