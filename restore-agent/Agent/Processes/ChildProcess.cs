using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>A child of the agent, held by its pidfd so that a reused process id is never signalled.</summary>
public sealed class ChildProcess : IDisposable
{
    private const int KillSignal = 9;

    private readonly Lock _lock = new();
    private int _pidFd;
    private ExitStatus? _status;

    private ChildProcess(SpawnedProcess spawned) => (ProcessId, _pidFd) = (spawned.ProcessId, spawned.PidFd);

    public int ProcessId { get; }

    public int PidFd => _pidFd;

    public static ChildProcess Spawn(SpawnOptions options)
    {
        Result<SpawnedProcess> spawned = ProcessSpawner.Spawn(options);
        if (spawned.IsOk)
            return new ChildProcess(spawned.Value);
        string what = Path.GetFileName(options.Path);
        throw AgentException.Failed(spawned.Error switch
        {
            Errno.ENOENT => $"cannot start {options.Path}: it is missing; build it with eng/build",
            Errno.EPERM or Errno.ENOSPC when options.Namespaces != 0 =>
                $"cannot start {what} in namespaces of its own ({spawned.Error}); snapshot-rpc doctor says what this host lacks",
            _ => $"cannot start {what}: {spawned.Error}",
        });
    }

    /// <summary>Waits until it has ended, and reaps it; null when it still runs after the time.</summary>
    public ExitStatus? WaitForExit(int milliseconds)
    {
        lock (_lock)
        {
            if (_status is not null || _pidFd < 0)
                return _status;
        }

        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = _pidFd, Events = PollDescriptor.In }];
        long end = Environment.TickCount64 + milliseconds;
        while (HostEvents.Poll(poll, (int)Math.Max(0, end - Environment.TickCount64)) is { IsError: true, Error: Errno.EINTR })
        {
        }

        lock (_lock)
        {
            if (_status is null && _pidFd >= 0 && HostProcess.Wait(_pidFd, noHang: true) is { IsOk: true } status)
                _status = status.Value;
            return _status;
        }
    }

    public void Kill()
    {
        lock (_lock)
        {
            if (_status is null && _pidFd >= 0)
                _ = HostProcess.SendSignal(_pidFd, KillSignal);
        }
    }

    /// <summary>Kills it unless it ends by itself within the time, and reaps it.</summary>
    public ExitStatus? End(int graceMilliseconds)
    {
        if (WaitForExit(graceMilliseconds) is { } status)
            return status;
        Kill();
        return WaitForExit(5000);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_pidFd >= 0)
                HostFile.Close(_pidFd);
            _pidFd = -1;
        }
    }
}
