using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;
using Sentry.Control;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A sandbox's network for as long as the sandbox lives, whatever sentries it has: links, published ports, the capture, the broker.</summary>
public sealed class SandboxNetwork(NetworkPlan plan, string lineage, int generation, IReadOnlyList<SandboxLink> links) : IDisposable
{
    private readonly List<PublishedPort> _published = [];
    private readonly List<PublishSpec> _ports = [];
    private readonly List<IDisposable> _owned = [];
    private readonly HashSet<string> _savedLinks = [.. plan.Image?.Links.Select(l => l.Name) ?? []];
    private int _disposed;

    public NetworkPlan Plan => plan;

    public string Mode => plan.Mode;

    public IReadOnlyList<SandboxLink> Links => links;

    /// <summary>Files that tell programs of this network.</summary>
    public SeedFile[] Files { get; init; } = [];

    /// <summary>Whether the first restore makes the sandbox another than the saved one.</summary>
    public bool IsNewIdentity => plan.Options.NewIdentity;

    /// <summary>Makes host sockets for the sandbox; null unless the mode is host.</summary>
    public BrokerProcess? Broker { get; init; }

    /// <summary>Fails when an address turns out to be in use on the link: a restored sandbox is not let loose before.</summary>
    public Task AddressesAreFree { get; init; } = Task.CompletedTask;

    /// <summary>Where the published ports are served.</summary>
    public NetworkLoop? PublishLoop { get; init; }

    /// <summary>As <c>ps</c> shows it.</summary>
    public string[] Summary => links.Count == 0 ? [plan.Mode] : [.. links.Select(l => l.Summary)];

    /// <summary>Something that goes with the network.</summary>
    public void Own(IDisposable owned) => _owned.Add(owned);

    public void Publish(Func<PublishedPort> open)
    {
        PublishedPort port = PublishLoop!.Invoke(open);
        _published.Add(port);
        _ports.Add(port.Spec);
    }

    /// <summary>Frees the published ports.</summary>
    public void Unpublish()
    {
        PublishedPort[] ports = [.. _published];
        _published.Clear();
        if (ports.Length > 0)
            PublishLoop!.Invoke(() => Array.ForEach(ports, p => p.Close()));
    }

    /// <summary>Whether a restored sandbox's files about its network are out of date.</summary>
    public bool ChangesFiles => plan.Image?.Mode != plan.Mode || (plan.Image.Links.Length == 0 && links.Count > 0);

    /// <summary>The links for a start or restore and the descriptors that go with them.</summary>
    /// <param name="restored">The state that comes into the sentry has these links already.</param>
    public ConnectedNetwork Connect(bool restored)
    {
        List<int> descriptors = [];
        try
        {
            foreach (SandboxLink link in links)
                descriptors.Add(link.Connect());
            if (Broker is not null)
                descriptors.Add(Broker.Start());
        }
        catch
        {
            foreach (int descriptor in descriptors)
                HostFile.Close(descriptor);
            throw;
        }

        NetworkLink[] messages = [.. links.Select(l => l.ToMessage(restored && _savedLinks.Contains(l.Settings.Name)))];
        foreach (SandboxLink link in links)
            _savedLinks.Add(link.Settings.Name); // in every state that this sandbox saves from now on
        return new ConnectedNetwork(messages, [.. descriptors], Broker is not null);
    }

    /// <summary>What came for the saved sandbox after its state was written; nothing for one with a new identity.</summary>
    public KeptFrame[] Kept => [.. (plan.Saved?.Links ?? []).SelectMany(l => (l.Kept ?? []).Select(f => new KeptFrame(l.Name, f)))];

    /// <summary>New descriptors for the links of a running sentry whose agent has gone; null when those it has still work.</summary>
    public ConnectedNetwork? Reconnect()
    {
        if (links.Count == 0 || links.Any(l => l is not SwitchLink))
            return null;
        List<int> descriptors = [];
        foreach (SandboxLink link in links)
            descriptors.Add(link.Connect());
        return new ConnectedNetwork([.. links.Select(l => l.ToMessage(true))], [.. descriptors], false);
    }

    public void Hold()
    {
        foreach (SandboxLink link in links)
            link.Hold();
    }

    public void GoOn()
    {
        foreach (SandboxLink link in links)
            link.GoOn();
    }

    /// <param name="kept">What came after the state was written.</param>
    public SavedNetwork Save(KeptFrame[] kept) => new()
    {
        Mode = plan.Mode,
        Lineage = lineage,
        Generation = generation,
        Links = [.. links.Select(l => l.Save() with { Kept = FramesOf(l, kept) })],
        Options = plan.Options with
        {
            Mode = plan.Mode,
            Publish = _ports.Count > 0 ? [.. _ports.Select(p => p.ToString())] : null,
            Capture = null,
            NewIdentity = false,
            Address = null,
            AddressV6 = null,
            Mac = null,
            Gateways = null,
        },
    };

    private static byte[][]? FramesOf(SandboxLink link, KeptFrame[] kept)
    {
        byte[][] frames = [.. kept.Where(k => k.Link == link.Settings.Name).Select(k => k.Frame)];
        return frames.Length > 0 ? frames : null;
    }

    public NetworkDetails Describe(SocketInspection[] sockets, int socketCount) => new()
    {
        Mode = plan.Mode,
        Links = [.. links.Select(l => l.Describe())],
        Published = [.. _published.Select(p => p.Spec.ToString())],
        Outbound = plan.Mode == NetworkPlan.Host || plan.Rights.Outside,
        Generation = generation,
        Connections = [.. sockets.Select(ToDetails)],
        ConnectionCount = socketCount,
    };

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        Unpublish();
        foreach (SandboxLink link in links)
            link.Close();
        Broker?.Dispose();
        for (int i = _owned.Count - 1; i >= 0; i--)
            _owned[i].Dispose();
    }

    private static ConnectionDetails ToDetails(SocketInspection socket) =>
        new() { Protocol = socket.Protocol, State = socket.State, Local = socket.Local, Remote = socket.Remote, Lost = socket.Lost };
}

/// <summary>What a sentry is told of links, and this process's copies of the descriptors, which end with this object.</summary>
/// <param name="Descriptors">One for each link, then the broker's socket.</param>
public sealed record ConnectedNetwork(NetworkLink[] Links, int[] Descriptors, bool HasBroker) : IDisposable
{
    public void Dispose()
    {
        foreach (int descriptor in Descriptors)
            HostFile.Close(descriptor);
    }
}
