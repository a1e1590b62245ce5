namespace RestoreAgent.Api;

/// <summary>Where a user's agent listens and keeps its things; client and agent must find the same places.</summary>
public static class UserFolders
{
    /// <summary>The folder of the sockets: SNAPSHOT_RUNTIME_DIR, else below the login's runtime folder, else /tmp/snapshot-UID.</summary>
    public static string Runtime(int userId)
    {
        if (Value("SNAPSHOT_RUNTIME_DIR") is { } given)
            return Path.GetFullPath(given);
        if (Value("XDG_RUNTIME_DIR") is { } runtime && Directory.Exists(runtime))
            return Path.Combine(runtime, "snapshot");
        string login = $"/run/user/{userId}";
        return Directory.Exists(login) ? Path.Combine(login, "snapshot") : $"/tmp/snapshot-{userId}";
    }

    /// <summary>The folder of snapshots, caches and logs: SNAPSHOT_STATE_DIR, else XDG_STATE_HOME/snapshot, else ~/.local/state/snapshot.</summary>
    public static string State(int userId)
    {
        if (Value("SNAPSHOT_STATE_DIR") is { } given)
            return Path.GetFullPath(given);
        if (Value("XDG_STATE_HOME") is { } state)
            return Path.Combine(state, "snapshot");
        return Value("HOME") is { } home ? Path.Combine(home, ".local/state/snapshot") : $"/var/tmp/snapshot-{userId}";
    }

    public static string HttpSocket(string runtimeFolder) => Path.Combine(runtimeFolder, "agent.sock");

    public static string AttachSocket(string runtimeFolder) => Path.Combine(runtimeFolder, "attach.sock");

    /// <summary>The file that an agent holds a lock on (flock(2)) for as long as it lives.</summary>
    public static string Lock(string runtimeFolder) => Path.Combine(runtimeFolder, "agent.lock");

    private static string? Value(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
