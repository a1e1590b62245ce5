using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>The process that makes sockets of the host for a sandbox with --network host. Each sentry of the sandbox gets a connection of its own.</summary>
public sealed class BrokerProcess : IDisposable
{
    private const int ExitGrace = 1000;

    private readonly AgentFolders _folders;
    private ChildProcess? _process;

    private BrokerProcess(AgentFolders folders) => _folders = folders;

    public static BrokerProcess Prepare(AgentFolders folders) => File.Exists(folders.Broker) ? new BrokerProcess(folders)
        : throw AgentException.Failed($"cannot start {folders.Broker}: it is missing; build it with eng/build");

    /// <summary>Starts a broker, in place of the one before; its socket is for a sentry and closed by the caller when it was handed over.</summary>
    public int Start()
    {
        Dispose();
        Result<(UnixChannel First, UnixChannel Second)> pair = UnixChannel.CreatePair(packets: true);
        if (pair.IsError)
            throw AgentException.Failed($"cannot make a socket pair: {pair.Error}");
        using UnixChannel theirs = pair.Value.Second;
        try
        {
            using Streams streams = Streams.Null(Path.Combine(_folders.Logs, "broker.log"));
            _process = ChildProcess.Spawn(new SpawnOptions
            {
                Path = HostPath.FromText(_folders.Broker),
                Arguments = ["broker", "--fd", "3"],
                Environment = ProcessEnvironment.ForPrograms,
                Descriptors = [streams.Input, streams.Output, streams.Error, theirs.Descriptor],
                Namespaces = Isolation.Broker,
                NewSession = true,
                WorkingDirectory = "/",
            });
            return pair.Value.First.Detach();
        }
        catch
        {
            pair.Value.First.Dispose();
            throw;
        }
    }

    /// <summary>It ends when the sentry's end of its socket closes, or is killed.</summary>
    public void Dispose()
    {
        _process?.End(ExitGrace);
        _process?.Dispose();
        _process = null;
    }
}
