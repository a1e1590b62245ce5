using System.CommandLine;
using RestoreAgent.Api;

namespace SnapshotRpc;

/// <summary>The options of run and restore about the sandbox's network.</summary>
public sealed class NetworkArguments
{
    private readonly Option<string?> _mode = new("--network") { Description = "none: loopback only; sandbox: a network of its own; host: the host's sockets", HelpName = "MODE" };
    private readonly Option<string[]> _publish = List("--publish", "A port of this host that leads to one of the sandbox, [IP:]HOST:GUEST[/udp], from 127.0.0.1 without an IP; repeatable", "PORTS", "-p");
    private readonly Option<string[]> _nets = List("--net", "A switch between sandboxes, on which they find each other by name; repeatable", "NAME");
    private readonly Option<string?> _address = new("--ip") { Description = "The sandbox's address", HelpName = "ADDRESS/PREFIX" };
    private readonly Option<string?> _addressV6 = new("--ip6") { Description = "The sandbox's IPv6 address", HelpName = "ADDRESS/PREFIX" };
    private readonly Option<string?> _mac = new("--mac") { Description = "The sandbox's MAC address", HelpName = "MAC" };
    private readonly Option<string[]> _gateways = List("--gateway", "The way to other networks; once for each IP version", "ADDRESS");
    private readonly Option<string[]> _nameServers = List("--dns", "A name server, instead of the host's; repeatable", "ADDRESS");
    private readonly Option<string?> _namespace = new("--netns") { Description = "End the sandbox's link in a network namespace of the host: its name, its path, or new", HelpName = "NAMESPACE" };
    private readonly Option<string?> _bridge = new("--bridge") { Description = "With --netns: plug the link into a bridge there", HelpName = "BRIDGE" };
    private readonly Option<string?> _link = new("--link") { Description = "With --netns: tap or veth; default tap", HelpName = "KIND" };
    private readonly Option<bool> _outbound = new("--outbound") { Description = "Let the sandbox open connections to other hosts" };
    private readonly Option<bool> _hostLoopback = new("--host-loopback") { Description = "Let the gateway's address lead to this host's loopback" };
    private readonly Option<string?> _capture = new("--pcap") { Description = "Write every frame of the sandbox's links to a pcapng file", HelpName = "FILE" };
    private readonly Option<bool> _newIdentity = new("--new-identity") { Description = "A new MAC and new addresses; inherited connections are reset" };
    private readonly bool _restores;

    /// <param name="restores">Of restore; else of run.</param>
    public NetworkArguments(bool restores) => _restores = restores;

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_mode, _publish, _nets, _address, _addressV6, _mac, _gateways, _nameServers, _namespace, _bridge, _link, _outbound, _hostLoopback, _capture])
            command.Options.Add(option);
        if (_restores)
            command.Options.Add(_newIdentity);
    }

    /// <summary>Null when nothing was asked for.</summary>
    public NetworkOptions? Read(ParseResult result)
    {
        NetworkOptions options = new()
        {
            Mode = result.GetValue(_mode),
            Publish = Given(result, _publish),
            Nets = Given(result, _nets),
            Address = result.GetValue(_address),
            AddressV6 = result.GetValue(_addressV6),
            Mac = result.GetValue(_mac),
            Gateways = Given(result, _gateways),
            NameServers = Given(result, _nameServers),
            Namespace = PlaceOf(result.GetValue(_namespace)),
            Bridge = result.GetValue(_bridge),
            Link = result.GetValue(_link),
            Outbound = Given(result, _outbound),
            HostLoopback = Given(result, _hostLoopback),
            Capture = result.GetValue(_capture) is { } file ? Path.GetFullPath(file) : null,
            NewIdentity = _restores && result.GetValue(_newIdentity),
        };
        return options == new NetworkOptions() ? null : options;
    }

    // The agent has another working directory.
    private static string? PlaceOf(string? place) => place is not null && place.Contains('/', StringComparison.Ordinal) ? Path.GetFullPath(place) : place;

    private static string[]? Given(ParseResult result, Option<string[]> option) => result.GetValue(option) is { Length: > 0 } values ? values : null;

    private static bool? Given(ParseResult result, Option<bool> option) => result.GetResult(option) is { Implicit: false } ? result.GetValue(option) : null;

    private static Option<string[]> List(string name, string description, string help, params string[] aliases) =>
        new(name, aliases) { Description = description, HelpName = help, DefaultValueFactory = _ => [] };
}
