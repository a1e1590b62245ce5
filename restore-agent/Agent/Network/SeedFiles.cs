using System.Text;
using Netstack.Wire;
using Sentry.Control;

namespace RestoreAgent.Agent.Network;

/// <summary>The files that tell a sandbox's programs of its network: hosts(5) and resolv.conf(5).</summary>
public static class SeedFiles
{
    private const string Hosts = "/etc/hosts", Resolver = "/etc/resolv.conf", Loopback = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

    /// <summary>With the names of the nets as search list, so that a sandbox is found by its bare name.</summary>
    public static SeedFile[] ForSwitch(IReadOnlyList<string> names, IReadOnlyList<SandboxLink> links)
    {
        SwitchNetwork[] networks = [.. links.OfType<SwitchLink>().Select(l => l.Network)];
        string search = string.Join(' ', networks.Where(n => n.Name is not null).Select(n => n.Name));
        string resolver = string.Concat(networks.Select(n => n.Addresses.Names).Distinct().Select(a => $"nameserver {a}\n")) + (search.Length > 0 ? $"search {search}\n" : "");
        return [HostsFile(names, links.Count > 0 ? links[0] : null), new SeedFile { Path = Resolver, Content = resolver }];
    }

    /// <summary>With the name servers that were given, else those of the host that can be reached from a namespace.</summary>
    public static SeedFile[] ForNamespace(IReadOnlyList<string> names, SandboxLink link, IReadOnlyList<InetAddress> servers, string namespaceName)
    {
        IEnumerable<InetAddress> chosen = servers.Count > 0 ? servers : HostResolver.Parse(HostResolver.TextFor(namespaceName)).Where(a => !a.IsLoopback);
        return [HostsFile(names, link), new SeedFile { Path = Resolver, Content = string.Concat(chosen.Select(a => $"nameserver {a}\n")) }];
    }

    /// <summary>The host's own, with the sandbox's name added.</summary>
    public static SeedFile[] ForHost(IReadOnlyList<string> names)
    {
        List<SeedFile> files = [new SeedFile { Path = Resolver, Content = HostResolver.TextFor(null) }];
        if (File.Exists(Hosts))
            files.Add(new SeedFile { Path = Hosts, Content = $"{File.ReadAllText(Hosts).TrimEnd('\n')}\n127.0.1.1\t{string.Join(' ', names.Distinct())}\n" });
        return [.. files];
    }

    /// <summary>Without a network the sandbox's own name leads to an address of its loopback, as Debian has it of hosts without one.</summary>
    public static SeedFile[] ForLoopback(IReadOnlyList<string> names) =>
        [new SeedFile { Path = Hosts, Content = $"{Loopback}127.0.1.1\t{string.Join(' ', names.Distinct())}\n" }];

    private static SeedFile HostsFile(IReadOnlyList<string> names, SandboxLink? link)
    {
        StringBuilder text = new(Loopback);
        foreach (var address in link?.Settings.Addresses ?? [])
            text.Append(address.Address).Append('\t').AppendJoin(' ', names.Distinct()).Append('\n');
        return new SeedFile { Path = Hosts, Content = text.ToString() };
    }
}
