using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Processes;

/// <summary>A process that this agent or one before it has started, held by its pidfd so that a reused process id is never signalled.</summary>
public sealed class ChildProcess : IDisposable
{
    private const int KillSignal = 9;
    private const int UnknownCode = -1;

    private readonly Lock _lock = new();
    private readonly bool _isChild;
    private int _pidFd;
    private ExitStatus? _status;

    private ChildProcess(int processId, int pidFd, bool isChild) => (ProcessId, _pidFd, _isChild) = (processId, pidFd, isChild);

    public int ProcessId { get; }

    public int PidFd => _pidFd;

    public static ChildProcess Spawn(SpawnOptions options)
    {
        Result<SpawnedProcess> spawned = ProcessSpawner.Spawn(options);
        if (spawned.IsOk)
            return new ChildProcess(spawned.Value.ProcessId, spawned.Value.PidFd, isChild: true);
        string what = Path.GetFileName(options.Path);
        throw AgentException.Failed(spawned.Error switch
        {
            Errno.ENOENT => $"cannot start {options.Path}: it is missing; build it with eng/build",
            Errno.EPERM or Errno.ENOSPC when options.Namespaces != 0 =>
                $"cannot start {what} in namespaces of its own ({spawned.Error}); snapshot-rpc doctor says what this host lacks",
            _ => $"cannot start {what}: {spawned.Error}",
        });
    }

    /// <summary>A process that an earlier agent started; null when it has gone.</summary>
    public static ChildProcess? Find(ProcessIdentity? identity)
    {
        if (identity is null || HostProcess.OpenPidFd(identity.ProcessId) is not { IsOk: true } opened)
            return null;

        // Compared after it is held: from here on the id stays this process's.
        if (ProcessIdentity.Of(identity.ProcessId) == identity)
            return new ChildProcess(identity.ProcessId, opened.Value, isChild: false);
        HostFile.Close(opened.Value);
        return null;
    }

    /// <summary>For a record; null when it has ended.</summary>
    public ProcessIdentity? Identity => ProcessIdentity.Of(ProcessId);

    /// <summary>Whether how it ended cannot be told.</summary>
    public static bool IsUnknown(ExitStatus status) => !status.Signaled && status.Code == UnknownCode;

    /// <summary>Waits until it has ended, and reaps it; null when it still runs after the time. A negative time waits for ever.</summary>
    public ExitStatus? WaitForExit(int milliseconds)
    {
        lock (_lock)
        {
            if (_status is not null || _pidFd < 0)
                return _status;
        }

        Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = _pidFd, Events = PollDescriptor.In }];
        long end = Environment.TickCount64 + milliseconds;
        while (HostEvents.Poll(poll, milliseconds < 0 ? -1 : (int)Math.Max(0, end - Environment.TickCount64)) is { IsError: true, Error: Errno.EINTR })
        {
        }

        lock (_lock)
        {
            if (_status is not null || _pidFd < 0)
                return _status;
            if (_isChild && HostProcess.Wait(_pidFd, noHang: true) is { IsOk: true } status)
                _status = status.Value;
            else if (!_isChild && (poll[0].Ready & PollDescriptor.In) != 0)
                _status = StatusOfOther();
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

    private ExitStatus StatusOfOther() => HostProcess.GetExitStatus(_pidFd) switch
    {
        null => new ExitStatus(ProcessId, false, UnknownCode),
        { } status when (status & 0x7f) != 0 => new ExitStatus(ProcessId, true, status & 0x7f),
        { } status => new ExitStatus(ProcessId, false, (status >> 8) & 0xff),
    };

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
