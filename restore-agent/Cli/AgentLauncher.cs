using System.Collections;
using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;

namespace SnapshotRpc;

/// <summary>Reaches the user's agent and starts one where none runs.</summary>
public static class AgentLauncher
{
    private const int ReadOnly = 0, WriteOnly = 1, Create = 0x40, Append = 0x400, PrivateFile = 0x180, PrivateFolder = 0x1C0;
    private const int StartTimeoutMilliseconds = 60_000, PollMilliseconds = 5;

    public static string RuntimeFolder { get; } = UserFolders.Runtime(HostProcess.EffectiveUserId);

    /// <summary>Connects to one of the agent's sockets.</summary>
    public static UnixChannel Connect(string socket, bool start = true)
    {
        Result<UnixChannel> connected = TryConnect(socket);
        if (connected.IsOk)
            return connected.Value;
        if (!start)
            throw new CliException("no agent runs; snapshot-rpc agent start starts one");
        if (connected.Error is not (Errno.ENOENT or Errno.ECONNREFUSED))
            throw new CliException($"cannot connect to {socket}: {connected.Error}");
        return Start(socket);
    }

    /// <summary>Starts an agent and waits until it answers at a socket. Several clients may do so at once: one of the agents stays.</summary>
    public static UnixChannel Start(string socket)
    {
        string program = FindProgram();
        long end = Environment.TickCount64 + StartTimeoutMilliseconds;
        while (true)
        {
            (SpawnedProcess agent, string log) = Spawn(program);
            bool exited = false;
            while (!exited || Runs())
            {
                if (TryConnect(socket) is { IsOk: true } connected)
                    return connected.Value;
                if (Environment.TickCount64 > end)
                    throw new CliException($"the agent does not answer at {socket}; see {log}");

                // An agent that finds another one running ends with 0. That one is about to answer, or about to end: then it takes another try.
                if (!exited && HostProcess.Wait(agent.PidFd, noHang: true) is { IsOk: true } status)
                {
                    if (status.Value.Signaled || status.Value.Code != 0)
                        throw new CliException($"the agent does not start: {LastLine(log) ?? "see " + log}");
                    exited = true;
                }

                Thread.Sleep(PollMilliseconds);
            }

            HostFile.Close(agent.PidFd);
        }
    }

    /// <summary>Whether an agent lives, seen by the lock that it holds.</summary>
    public static bool Runs()
    {
        const int ReadWrite = 2, SharedNow = 1 | 4;
        Result<int> file = HostFile.Open(HostPath.FromText(UserFolders.Lock(RuntimeFolder)), ReadWrite | HostFile.OCloexec);
        if (file.IsError)
            return false;
        bool runs = HostFile.Lock(file.Value, SharedNow) != Errno.None;
        HostFile.Close(file.Value);
        return runs;
    }

    private static (SpawnedProcess Agent, string Log) Spawn(string program)
    {
        string folder = Path.Combine(UserFolders.State(HostProcess.EffectiveUserId), "logs"), log = Path.Combine(folder, "agent.log");
        Directory.CreateDirectory(folder, (UnixFileMode)PrivateFolder);
        Result<int> output = HostFile.Open(HostPath.FromText(log), WriteOnly | Create | Append | HostFile.OCloexec, PrivateFile);
        if (output.IsError)
            throw new CliException($"cannot write the agent's log {log}: {output.Error}");
        Result<int> input = HostFile.Open("/dev/null", ReadOnly | HostFile.OCloexec);
        Result<SpawnedProcess> spawned = ProcessSpawner.Spawn(new SpawnOptions
        {
            Path = HostPath.FromText(program),
            Arguments = ["restore-agent"],
            Environment = [.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(e => HostPath.FromText($"{e.Key}={e.Value}"))],
            Descriptors = [input.IsOk ? input.Value : -1, output.Value, output.Value],
            NewSession = true,
            WorkingDirectory = "/",
        });
        HostFile.Close(output.Value);
        if (input.IsOk)
            HostFile.Close(input.Value);
        return spawned.IsOk ? (spawned.Value, log) : throw new CliException($"cannot start {program}: {spawned.Error}");
    }

    private static Result<UnixChannel> TryConnect(string socket)
    {
        Result<UnixChannel> connected = UnixChannel.Connect(HostPath.FromText(socket));
        if (connected.IsError)
            return connected;
        Result<PeerCredentials> peer = connected.Value.GetPeer();
        if (peer.IsOk && peer.Value.UserId == HostProcess.EffectiveUserId)
            return connected;
        connected.Value.Dispose();
        throw new CliException($"the agent at {socket} belongs to another user; set SNAPSHOT_RUNTIME_DIR to a folder of yours");
    }

    private static string FindProgram()
    {
        string own = Path.GetDirectoryName(Environment.ProcessPath) ?? "/";
        return ((string[])[own, Path.Combine(own, "../../bin")]).Select(f => Path.GetFullPath(Path.Combine(f, "restore-agent"))).FirstOrDefault(File.Exists)
            ?? throw new CliException($"no agent runs and restore-agent is not in {own}; build it with eng/build");
    }

    private static string? LastLine(string log)
    {
        try
        {
            return File.ReadLines(log).LastOrDefault(l => !string.IsNullOrWhiteSpace(l))?.Trim();
        }
        catch (IOException)
        {
            return null;
        }
    }
}
