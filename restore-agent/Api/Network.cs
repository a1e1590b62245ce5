namespace RestoreAgent.Api;

/// <summary>The network of a new sandbox. What is left out is as usual; of a restored sandbox as it was.</summary>
public sealed record NetworkOptions
{
    /// <summary>none (loopback only), sandbox (a network of its own stack) or host (the host's sockets); null for none, or sandbox where something else here asks for it.</summary>
    public string? Mode { get; init; }

    /// <summary>Ports of the host that lead to ports of the sandbox, [IP:]HOST:GUEST[/udp]; the IP is 127.0.0.1 when left out. In a restore these take the
    /// place of those it had.</summary>
    public string[]? Publish { get; init; }

    /// <summary>Names of switches in the agent on which sandboxes reach each other by name; one interface for each. Empty for a switch of its own.</summary>
    public string[]? Nets { get; init; }

    /// <summary>ADDRESS/PREFIX of the first interface.</summary>
    public string? Address { get; init; }

    /// <summary>IPv6 ADDRESS/PREFIX of the first interface.</summary>
    public string? AddressV6 { get; init; }

    /// <summary>aa:bb:cc:dd:ee:ff of the first interface.</summary>
    public string? Mac { get; init; }

    /// <summary>Default gateways, one of each IP version.</summary>
    public string[]? Gateways { get; init; }

    /// <summary>Name servers: for /etc/resolv.conf with a network namespace, else for the switch's own server to ask.</summary>
    public string[]? NameServers { get; init; }

    /// <summary>A network namespace by path or name, in which the sandbox's link ends; "new" makes one. Needs CAP_NET_ADMIN.</summary>
    public string? Namespace { get; init; }

    /// <summary>With a namespace: a bridge in it to plug the link into.</summary>
    public string? Bridge { get; init; }

    /// <summary>With a namespace: tap (the default) or veth.</summary>
    public string? Link { get; init; }

    /// <summary>Without a namespace: whether the sandbox may open connections to other hosts; it may not unless this is true.</summary>
    public bool? Outbound { get; init; }

    /// <summary>Without a namespace: whether the gateway's address leads to this host's loopback and its own addresses may be reached.</summary>
    public bool? HostLoopback { get; init; }

    /// <summary>A file for every frame of the sandbox's links (pcapng).</summary>
    public string? Capture { get; init; }

    /// <summary>Of a restored sandbox: it is another than the one that was saved, with a MAC and addresses of its own; inherited connections are reset.</summary>
    public bool NewIdentity { get; init; }
}

/// <summary>How a sandbox is connected.</summary>
public sealed record NetworkDetails
{
    /// <summary>none, sandbox or host.</summary>
    public required string Mode { get; init; }

    public LinkDetails[] Links { get; set; } = [];

    /// <summary>As [IP]:HOST:GUEST[/udp].</summary>
    public string[] Published { get; set; } = [];

    public bool Outbound { get; init; }

    /// <summary>How often the sandbox was restored, counted along its copies.</summary>
    public int Generation { get; init; }

    public ConnectionDetails[] Connections { get; set; } = [];

    /// <summary>How many connections there are, when not all are listed.</summary>
    public int ConnectionCount { get; init; }
}

/// <summary>An interface of a sandbox.</summary>
public sealed record LinkDetails
{
    public required string Name { get; init; }

    /// <summary>switch, tap or veth.</summary>
    public required string Kind { get; init; }

    /// <summary>The net of that name; null for a switch of the sandbox's own.</summary>
    public string? Net { get; init; }

    /// <summary>The network namespace of the host's side.</summary>
    public string? Namespace { get; init; }

    /// <summary>The host's interface.</summary>
    public string? Device { get; init; }

    public required string Mac { get; init; }

    public string[] Addresses { get; set; } = [];

    public string[] Gateways { get; set; } = [];

    /// <summary>Frames that found no room, and (of a switch) that used another sandbox's address.</summary>
    public long Dropped { get; init; }

    public long Refused { get; init; }
}

/// <summary>A socket of a sandbox's network.</summary>
public sealed record ConnectionDetails
{
    /// <summary>tcp or udp.</summary>
    public required string Protocol { get; init; }

    public required string State { get; init; }

    public required string Local { get; init; }

    public required string Remote { get; init; }

    /// <summary>Whether a checkpoint loses it, and how: null when it goes on.</summary>
    public string? Lost { get; init; }
}
