using RestoreAgent.Api;
using Snapshot.Images;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>The sandboxes of this agent, by name.</summary>
public sealed class SandboxTable
{
    private const int LongestName = 64;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Sandbox> _byName = [];

    public int Count
    {
        get
        {
            lock (_lock)
                return _byName.Count;
        }
    }

    /// <summary>Checks a name, or makes one up that begins the id.</summary>
    public static string NameFor(string? name, string id) =>
        name is null ? id[..8]
        : name.Length <= LongestName && SnapshotNames.IsValid(name) ? name
        : throw AgentException.Invalid($"'{name}' is no sandbox name: it has 1 to {LongestName} letters, digits, '.', '_' or '-' and starts and ends with a letter or digit");

    public void Add(Sandbox sandbox)
    {
        lock (_lock)
        {
            if (!_byName.TryAdd(sandbox.Identity.Name, sandbox))
                throw Taken(sandbox.Identity.Name);
        }
    }

    public bool Contains(string name)
    {
        lock (_lock)
            return _byName.ContainsKey(name);
    }

    public static AgentException Taken(string name) => AgentException.Conflict($"there is a sandbox {name} already; choose another --name or remove it with snapshot-rpc rm");

    public void Remove(Sandbox sandbox)
    {
        lock (_lock)
        {
            if (_byName.TryGetValue(sandbox.Identity.Name, out Sandbox? current) && current == sandbox)
                _byName.Remove(sandbox.Identity.Name);
        }
    }

    /// <summary>By name, id or a unique beginning of an id of at least four digits.</summary>
    public Sandbox Get(string name)
    {
        lock (_lock)
        {
            if (_byName.TryGetValue(name, out Sandbox? sandbox))
                return sandbox;
            Sandbox[] found = name.Length < 4 ? [] : [.. _byName.Values.Where(s => s.Identity.Id.StartsWith(name, StringComparison.Ordinal))];
            return found.Length == 1 ? found[0] : throw AgentException.NotFound($"there is no sandbox {name}; snapshot-rpc ps lists them");
        }
    }

    public Sandbox[] All()
    {
        lock (_lock)
            return [.. _byName.Values.OrderBy(s => s.Identity.Created)];
    }

    public static SandboxSummary Summarize(Sandbox sandbox) => new()
    {
        Id = sandbox.Identity.Id,
        Name = sandbox.Identity.Name,
        State = sandbox.State,
        Arguments = sandbox.Identity.Program.Arguments,
        RootFolder = sandbox.Identity.RootFolder,
        Platform = sandbox.Platform,
        Created = sandbox.Identity.Created,
        SentryPid = sandbox.SentryPid,
        Networks = sandbox.Network.Summary,
        RestoredFrom = sandbox.Identity.RestoredFrom,
        Exit = sandbox.Exit.IsCompletedSuccessfully ? sandbox.Exit.Result : null,
    };
}
