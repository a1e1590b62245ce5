using RestoreAgent.Api;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>The process that serves a sandbox's root file system to its sentry. It ends when the sentry's end of the socket closes, whatever becomes of the agent.</summary>
public sealed class GoferProcess : IDisposable
{
    private const int ExitGrace = 1000;

    private readonly ChildProcess _process;
    private readonly UnixChannel? _sentryEnd;

    private GoferProcess(ChildProcess process, UnixChannel? sentryEnd) => (_process, _sentryEnd) = (process, sentryEnd);

    /// <summary>The socket to hand to the sentry.</summary>
    public int SentryDescriptor => _sentryEnd?.Descriptor ?? -1;

    public ProcessIdentity? Identity => _process.Identity;

    /// <summary>One that an earlier agent started; null when it has gone.</summary>
    public static GoferProcess? Find(ProcessIdentity? identity) => ChildProcess.Find(identity) is { } process ? new GoferProcess(process, null) : null;

    /// <summary>How it ended, in one line, once its end has been noticed.</summary>
    public string DescribeEnd() => _process.WaitForExit(ExitGrace) switch
    {
        null => "the gofer has closed its socket",
        { } status when ChildProcess.IsUnknown(status) => "the gofer has died",
        { Signaled: true } status => $"the gofer was killed by signal {status.Code}",
        { } status => $"the gofer ended with status {status.Code}",
    };

    public static GoferProcess Start(AgentFolders folders, string rootFolder, IEnumerable<VolumeOptions> volumes)
    {
        Result<(UnixChannel First, UnixChannel Second)> pair = UnixChannel.CreatePair();
        if (pair.IsError)
            throw AgentException.Failed($"cannot make a socket pair: {pair.Error}");
        using UnixChannel theirs = pair.Value.Second;
        try
        {
            using Streams streams = Streams.Null(Path.Combine(folders.Logs, "gofer.log"));
            ChildProcess process = ChildProcess.Spawn(new SpawnOptions
            {
                Path = HostPath.FromText(folders.Gofer),
                Arguments =
                [
                    "gofer", "--fd", "3", "--root", HostPath.FromText(rootFolder),
                    .. volumes.SelectMany(v => (string[])[v.ReadOnly ? "--read-only-volume" : "--volume", HostPath.FromText(v.Source)]),
                ],
                Environment = ProcessEnvironment.ForPrograms,
                Descriptors = [streams.Input, streams.Output, streams.Error, theirs.Descriptor],
                Namespaces = Isolation.Gofer,
                NewSession = true,
                WorkingDirectory = "/",
            });
            return new GoferProcess(process, pair.Value.First);
        }
        catch
        {
            pair.Value.First.Dispose();
            throw;
        }
    }

    /// <summary>Closes the agent's copy of the sentry's end, once the sentry has it.</summary>
    public void HandedOver() => _sentryEnd?.Dispose();

    /// <summary>Waits for the process to end, killing it when it does not.</summary>
    public void Dispose()
    {
        _sentryEnd?.Dispose();
        _process.End(ExitGrace);
        _process.Dispose();
    }
}
