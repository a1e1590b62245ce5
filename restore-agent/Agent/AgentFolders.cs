using RestoreAgent.Api;
using Sentry.Host;

namespace RestoreAgent.Agent;

/// <summary>The agent's folders and programs. Everything it makes is private to the user.</summary>
public sealed class AgentFolders
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    public AgentFolders(string runtime, string state, string programs)
    {
        (Runtime, State, Programs) = (runtime, state, programs);
        MakePrivate(runtime);
        MakePrivate(state);
        foreach (string folder in (string[])[Logs, Work, Networks, Sentries, Sandboxes])
            MakePrivate(folder);
    }

    public string Runtime { get; }

    public string State { get; }

    /// <summary>Where sentry, gofer and broker are.</summary>
    public string Programs { get; }

    public string HttpSocket => UserFolders.HttpSocket(Runtime);

    public string AttachSocket => UserFolders.AttachSocket(Runtime);

    public string Lock => UserFolders.Lock(Runtime);

    public string Logs => Path.Combine(State, "logs");

    /// <summary>The sockets at which running sentries wait for their next agent, and their flight records.</summary>
    public string Sentries => Path.Combine(Runtime, "sentries");

    /// <summary>What a later agent must know of sandboxes.</summary>
    public string Sandboxes => Path.Combine(State, "sandboxes");

    /// <summary>Checkpoints in the making; emptied when the agent starts.</summary>
    public string Work => Path.Combine(State, "work");

    /// <summary>A file for each network namespace that was made, until it is removed.</summary>
    public string Networks => Path.Combine(State, "networks");

    public string Cache => Path.Combine(State, "cache");

    public string Snapshots => Path.Combine(State, "snapshots");

    public string Broker => Path.Combine(Programs, "broker");

    public string BaseHashes => Path.Combine(State, "base-hashes");

    public string Sentry => Path.Combine(Programs, "sentry");

    public string Gofer => Path.Combine(Programs, "gofer");

    /// <summary>The folders of this user and the programs beside the agent's own (or in the folder above, where a build puts a link to it).</summary>
    public static AgentFolders OfUser()
    {
        int user = HostProcess.EffectiveUserId;
        string own = AppContext.BaseDirectory;
        string programs = Environment.GetEnvironmentVariable("SNAPSHOT_PROGRAMS") is { Length: > 0 } given ? Path.GetFullPath(given)
            : ((string[])[own, Path.Combine(own, "../../bin")]).Select(Path.GetFullPath).FirstOrDefault(f => File.Exists(Path.Combine(f, "sentry")))
            ?? throw AgentException.Failed($"the program sentry is not beside {own}; build it with eng/build");
        return new AgentFolders(UserFolders.Runtime(user), UserFolders.State(user), programs);
    }

    // Somebody else's folder under /tmp could hold sockets of theirs, so the owner is checked as well as the mode.
    private static void MakePrivate(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder, Private);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AgentException.Failed($"cannot make the folder {folder}: {e.Message}", e);
        }

        if (HostFile.StatX(HostFile.AtFdCwd, HostPath.FromText(folder), 0x100, 0xFFF, out StatX stat) != 0 || stat.UserId != HostProcess.EffectiveUserId)
            throw AgentException.Failed($"the folder {folder} belongs to another user; remove it or set SNAPSHOT_RUNTIME_DIR and SNAPSHOT_STATE_DIR");
        if ((stat.Mode & 0x3F) != 0)
            File.SetUnixFileMode(folder, Private);
    }
}
