using Netstack.Links;
using Netstack.Wire;
using RestoreAgent.Api;

namespace RestoreAgent.Agent.Network;

/// <summary>What a request for a network comes to, checked, with an image's network worked in.</summary>
public sealed class NetworkPlan
{
    public const string None = "none", Sandbox = "sandbox", Host = "host";
    public const string Tap = "tap", Veth = "veth";

    private const int LongestNet = 32;

    private NetworkPlan(NetworkOptions options, string mode, SavedNetwork? saved)
    {
        (Options, Mode) = (options, mode);
        Saved = options.NewIdentity ? null : saved;
        Image = saved;
        Publish = [.. (options.Publish ?? []).Where(p => p != None).Select(PublishSpec.Parse)];
        Nets = [.. options.Nets ?? []];
        Address = ParseCidr(options.Address, isV4: true);
        AddressV6 = ParseCidr(options.AddressV6, isV4: false);
        if (options.Mac is { } mac)
            Mac = MacAddress.TryParse(mac, out MacAddress parsed) && !parsed.IsMulticast && parsed.Value != 0 ? parsed : throw AgentException.Invalid($"'{mac}' is no MAC address of one station: write aa:bb:cc:dd:ee:ff");
        Gateways = ParseAddresses(options.Gateways, "gateway");
        NameServers = ParseAddresses(options.NameServers, "name server");
        Check();
    }

    public NetworkOptions Options { get; }

    public string Mode { get; }

    /// <summary>The identity to go on with; null for a new one.</summary>
    public SavedNetwork? Saved { get; }

    /// <summary>What is in the image, whatever becomes of its identity.</summary>
    public SavedNetwork? Image { get; }

    public IReadOnlyList<PublishSpec> Publish { get; }

    public IReadOnlyList<string> Nets { get; }

    public InterfaceCidr? Address { get; }

    public InterfaceCidr? AddressV6 { get; }

    public MacAddress? Mac { get; }

    public IReadOnlyList<InetAddress> Gateways { get; }

    public IReadOnlyList<InetAddress> NameServers { get; }

    /// <summary>Nobody else can have the saved addresses: the sandbox that had them has just stopped for this one.</summary>
    public bool IsHandedOver { get; private init; }

    public bool UsesNamespace => Options.Namespace is not null;

    public OutboundRights Rights => new(Options.Outbound ?? false, Options.HostLoopback ?? false);

    /// <summary>Works out a request; <paramref name="saved"/> is the image's network in a restore.</summary>
    /// <param name="handedOver">The saved sandbox stands still and is never to go on: its addresses are free.</param>
    public static NetworkPlan Make(NetworkOptions? asked, SavedNetwork? saved, bool handedOver = false)
    {
        NetworkOptions options = Merge(asked ?? new NetworkOptions(), saved?.Options);
        bool sandbox = options.Nets is { Length: > 0 } || options.Publish is { Length: > 0 } || options.Namespace is not null || options.Address is not null || options.AddressV6 is not null
            || options.Outbound == true || options.HostLoopback == true;
        string mode = options.Mode ?? (sandbox ? Sandbox : None);
        if (mode is not (None or Sandbox or Host))
            throw AgentException.Invalid($"'{mode}' is no network: none, sandbox or host");
        return new NetworkPlan(options, mode, saved) { IsHandedOver = handedOver };
    }

    // A kind of option that is given takes the place of the image's; a place to be connected to takes that of any other place.
    private static NetworkOptions Merge(NetworkOptions asked, NetworkOptions? saved)
    {
        if (saved is null)
            return asked;
        bool moved = asked.Mode is not null || asked.Nets is not null || asked.Namespace is not null;
        bool otherKind = moved && (asked.Mode ?? Sandbox) != (saved.Mode ?? Sandbox);
        return new NetworkOptions
        {
            Mode = asked.Mode ?? (moved ? null : saved.Mode),
            Nets = moved ? asked.Nets : saved.Nets,
            Namespace = moved ? asked.Namespace : saved.Namespace,
            Bridge = moved ? asked.Bridge : asked.Bridge ?? saved.Bridge,
            Link = moved ? asked.Link : asked.Link ?? saved.Link,
            Publish = asked.Publish ?? (otherKind ? null : saved.Publish),
            Outbound = asked.Outbound ?? (otherKind || asked.Namespace is not null ? null : saved.Outbound),
            HostLoopback = asked.HostLoopback ?? (otherKind || asked.Namespace is not null ? null : saved.HostLoopback),
            NameServers = asked.NameServers ?? (otherKind ? null : saved.NameServers),
            Address = asked.Address,
            AddressV6 = asked.AddressV6,
            Mac = asked.Mac,
            Gateways = asked.Gateways,
            Capture = asked.Capture,
            NewIdentity = asked.NewIdentity,
        };
    }

    private static InterfaceCidr? ParseCidr(string? text, bool isV4)
    {
        if (text is null)
            return null;
        string what = isV4 ? "IPv4" : "IPv6", example = isV4 ? "10.1.2.3/24" : "fd00::3/64";
        return InterfaceCidr.TryParse(text, out InterfaceCidr cidr) && cidr.Address.IsV4 == isV4 ? cidr
            : throw AgentException.Invalid($"'{text}' is no {what} address of a host with its prefix length: write for instance {example}");
    }

    private static InetAddress[] ParseAddresses(string[]? texts, string what) =>
    [
        .. (texts ?? []).Select(t => InetAddress.TryParse(t, out InetAddress address) && !address.IsAny && !address.IsMulticast ? address
            : throw AgentException.Invalid($"'{t}' is no address of a {what}")),
    ];

    private void Check()
    {
        if (Mode != Sandbox)
        {
            string? wrong = Nets.Count > 0 ? "--net" : UsesNamespace ? "--netns" : Publish.Count > 0 ? "--publish" : Address is not null ? "--ip" : AddressV6 is not null ? "--ip6" : Mac is not null ? "--mac"
                : Gateways.Count > 0 ? "--gateway" : Options.Capture is not null ? "--pcap" : Options.Outbound == true ? "--outbound" : null;
            if (wrong is not null)
                throw AgentException.Invalid($"{wrong} needs --network sandbox, not {Mode}");
        }

        if (UsesNamespace && Nets.Count > 0)
            throw AgentException.Invalid("--net is a switch in the agent and --netns a namespace of the host: give one of them");
        if (!UsesNamespace && (Options.Bridge is not null || Options.Link is not null))
            throw AgentException.Invalid("--bridge and --link are about a namespace of the host: give --netns");
        if (UsesNamespace && (Options.Outbound is not null || Options.HostLoopback is not null))
            throw AgentException.Invalid("--outbound and --host-loopback are about the agent's own network; in a namespace its routes decide");
        if (Options.Link is not (null or Tap or Veth))
            throw AgentException.Invalid($"'{Options.Link}' is no kind of link: tap or veth");
        if (Nets.FirstOrDefault(n => n.Length > LongestNet || !Snapshot.Images.SnapshotNames.IsValid(n)) is { } net)
            throw AgentException.Invalid($"'{net}' is no name of a net: 1 to {LongestNet} letters, digits, '.', '_' or '-'");
        if (Nets.Distinct().Count() != Nets.Count)
            throw AgentException.Invalid("a net is named twice");
        if (Gateways.GroupBy(g => g.IsV4).Any(g => g.Count() > 1))
            throw AgentException.Invalid("one gateway of each IP version can be given");
        if (Saved is { Links.Length: > 0 } && (Address is not null || AddressV6 is not null || Mac is not null))
            throw AgentException.Invalid("a restored sandbox keeps its addresses: give --new-identity with --ip, --ip6 or --mac");
    }
}
