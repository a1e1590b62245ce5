using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>What a sandbox is, apart from what it does.</summary>
public sealed record SandboxIdentity
{
    public required string Id { get; init; }

    public required string Name { get; init; }

    public required string RootFolder { get; init; }

    /// <summary>The first program, as the user gave it.</summary>
    public required ProgramOptions Program { get; init; }

    public required string HostName { get; init; }

    /// <summary>In the order in which the gofer has them.</summary>
    public VolumeOptions[] Volumes { get; init; } = [];

    /// <summary>What was asked for; a restored sandbox has the rest from its snapshot.</summary>
    public LimitsSpec? Limits { get; init; }

    /// <summary>What a new sandbox begins with; a restored one has its own.</summary>
    public TmpfsSpec[] Tmpfs { get; init; } = [];

    public string? RestoredFrom { get; init; }

    /// <summary>Its output goes to <see cref="Log"/> and it stays listed when it has ended.</summary>
    public bool Detached { get; init; }

    public string? Log { get; init; }

    public bool Strace { get; init; }

    public int SaveAtCall { get; init; } = -1;

    public DateTimeOffset Created { get; init; }
}

/// <summary>What a sentry has written of its sandbox.</summary>
/// <param name="Reply">Pause and base files.</param>
/// <param name="DataRanges">Where the memory file has data.</param>
public sealed record Dump(Reply Reply, long[] DataRanges);

/// <summary>
/// A sandbox: the sentry and gofer it has at present, the streams of its programs, and its end. The sentry changes when it is restored in
/// place. Starting, executing, signalling and checkpointing exclude each other by <see cref="Gate"/>.
/// </summary>
public sealed class Sandbox(SandboxIdentity identity, Streams streams, SandboxNetwork network)
{
    private const int Killed = 128 + 9, SandboxFailed = 125;
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(30), DumpTimeout = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly Dictionary<int, ExecutedProgram> _programs = [];
    private readonly Dictionary<int, int> _earlyExits = [];
    private readonly TaskCompletionSource<ExitReport> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SentryProcess? _sentry;
    private GoferProcess? _gofer;
    private TaskCompletionSource<long[]>? _dump;
    private bool _stopping;
    private int? _exitWhileStopping;
    private volatile bool _programEnded;
    private volatile bool _detached = identity.Detached;

    public SandboxIdentity Identity { get; } = identity;

    public SandboxNetwork Network => network;

    public SemaphoreSlim Gate { get; } = new(1);

    /// <summary>It has no client of its own, or that client has left it: it stays listed when it has ended.</summary>
    public bool IsDetached => _detached;

    /// <summary>Completes when the first program and with it the sandbox has ended.</summary>
    public Task<ExitReport> Exit => _exit.Task;

    /// <summary>Raised on the test aid's save point; the guest waits meanwhile.</summary>
    public Action<Sandbox>? OnSavePoint { get; init; }

    public string State => _exit.Task.IsCompleted ? "exited" : _sentry is null ? "starting" : "running";

    public string Platform => _sentry?.Platform ?? "";

    public int SentryPid => _exit.Task.IsCompleted ? 0 : _sentry?.ProcessId ?? 0;

    /// <summary>Starts the first program in an empty sentry. The caller holds <see cref="Gate"/>.</summary>
    public async Task<Reply> StartAsync(SentryProcess sentry, GoferProcess gofer, ProgramSpec program, WindowSize? window)
    {
        Adopt(sentry, gofer);
        if (Identity.Program.Terminal)
            program = program with { Terminal = streams.ForTerminal(1, window) };
        using ConnectedNetwork connected = network.Connect(restored: false);
        StartRequest request = new()
        {
            Program = program,
            HostName = Identity.HostName,
            Strace = Identity.Strace,
            SaveAtCall = Identity.SaveAtCall,
            Links = connected.Links,
            HostNetwork = connected.HasBroker,
            Files = network.Files,
            Volumes = Volumes.ToSpecs(Identity.Volumes),
            Tmpfs = Identity.Tmpfs,
            Limits = Identity.Limits,
        };
        int[] descriptors = [gofer.SentryDescriptor, .. streams.ForStart(Identity.Strace), .. connected.Descriptors, .. TerminalOf(program.Terminal, streams)];
        return await BeginAsync(sentry, gofer, request, descriptors).ConfigureAwait(false);
    }

    /// <summary>Restores into an empty sentry; programs that were started by exec in this very sandbox keep their streams. The caller holds <see cref="Gate"/>.</summary>
    /// <param name="inPlace">The state is one that this sandbox saved itself.</param>
    /// <param name="handOver">Ends the saved sandbox, which stands still, as the last thing before this one goes on; gives what came for it meanwhile.</param>
    public async Task<Reply> RestoreAsync(SentryProcess sentry, GoferProcess gofer, int stateFile, int memoryFile, WindowSize? window, bool inPlace, Func<Task<KeptFrame[]>>? handOver = null)
    {
        KeyValuePair<int, ExecutedProgram>[] programs;
        lock (_lock)
            programs = [.. _programs.OrderBy(p => p.Key)];
        Adopt(sentry, gofer);
        using ConnectedNetwork connected = network.Connect(restored: true);
        List<(TerminalSpec Terminal, Streams Streams)> terminals = [.. programs.Where(p => p.Value.HasTerminal).Select(p => (p.Value.Streams.ForTerminal(p.Key, null), p.Value.Streams))];
        if (Identity.Program.Terminal)
            terminals.Insert(0, (streams.ForTerminal(1, window), streams));
        bool changes = !inPlace && (network.IsNewIdentity || network.ChangesFiles);
        RestoreRequest request = new()
        {
            ExecStreams = [.. programs.Select(p => p.Key)],
            Limits = Identity.Limits,
            Terminals = [.. terminals.Select(t => t.Terminal)],
            Strace = Identity.Strace,
            SaveAtCall = Identity.SaveAtCall,
            Links = connected.Links,
            HostNetwork = connected.HasBroker,
            Hold = handOver is not null || !network.AddressesAreFree.IsCompletedSuccessfully,
            Kept = inPlace ? [] : network.Kept,
            NewIdentity = !inPlace && network.IsNewIdentity,
            HostName = !inPlace && network.IsNewIdentity ? Identity.HostName : null,
            Files = changes ? network.Files : [],
        };
        List<int> descriptors = [gofer.SentryDescriptor, stateFile, memoryFile, .. streams.ForStart(false)];
        foreach ((_, ExecutedProgram program) in programs)
            descriptors.AddRange(program.Streams.ForStart(false));
        if (Identity.Strace)
            descriptors.Add(streams.ForStart(true)[3]);
        descriptors.AddRange(connected.Descriptors);
        foreach ((TerminalSpec terminal, Streams shown) in terminals)
            descriptors.AddRange(TerminalOf(terminal, shown));
        Reply reply = await BeginAsync(sentry, gofer, request, [.. descriptors]).ConfigureAwait(false);
        if (!request.Hold)
            return reply;

        // The sentry was made ready while others on the link were asked; an answer ends it before it has said a word there.
        await network.AddressesAreFree.ConfigureAwait(false);
        KeptFrame[] kept = handOver is null ? [] : await handOver().ConfigureAwait(false);
        await sentry.RequestAsync(new BeginRequest { Kept = kept }, [], RequestTimeout).ConfigureAwait(false);
        return reply;
    }

    /// <summary>What has come for a guest that stands still since its state was written.</summary>
    public async Task<KeptFrame[]> KeptFramesAsync() => (await Running().RequestAsync(new KeptFramesRequest(), [], RequestTimeout).ConfigureAwait(false)).KeptFrames;

    /// <summary>Starts a further program, whose streams are then the sandbox's.</summary>
    public async Task<ExecutedProgram> ExecAsync(ProgramSpec program, Streams programStreams, bool terminal, WindowSize? window)
    {
        if (terminal)
            program = program with { Terminal = programStreams.ForTerminal(0, window) };
        await Gate.WaitAsync().ConfigureAwait(false);
        try
        {
            Reply reply = await Running().RequestAsync(new ExecRequest { Program = program },
                [.. programStreams.ForStart(false), .. TerminalOf(program.Terminal, programStreams)], RequestTimeout).ConfigureAwait(false);
            ExecutedProgram started = new(reply.Pid, programStreams) { HasTerminal = terminal };
            lock (_lock)
            {
                if (_earlyExits.Remove(reply.Pid, out int status))
                    started.End(Report(status));
                else if (_exit.Task.IsCompleted)
                    started.End(new ExitReport { ExitCode = Killed });
                else
                    _programs[reply.Pid] = started;
            }

            return started;
        }
        catch
        {
            programStreams.Dispose();
            throw;
        }
        finally
        {
            Gate.Release();
        }
    }

    /// <summary>Joins a further end with the terminal of a program. The descriptor stays the caller's.</summary>
    public Task JoinAsync(int pid, int terminal, WindowSize? window) => Running().RequestAsync(
        new AttachTerminalRequest { Pid = pid, Rows = window?.Rows ?? 0, Columns = window?.Columns ?? 0 }, [terminal], RequestTimeout);

    public Task ResizeAsync(int pid, WindowSize window) => Running().RequestAsync(
        new ResizeRequest { Pid = pid, Rows = window.Rows, Columns = window.Columns }, [], RequestTimeout);

    /// <summary>The client that started it leaves it.</summary>
    public void Detach() => _detached = true;

    /// <summary>A program that was started by exec and runs; null when there is none with that process id.</summary>
    public ExecutedProgram? FindProgram(int pid)
    {
        lock (_lock)
            return _programs.GetValueOrDefault(pid);
    }

    public async Task SignalAsync(int pid, int signal)
    {
        await Gate.WaitAsync().ConfigureAwait(false);
        SentryProcess? sentry = null;
        try
        {
            sentry = Running();
            await sentry.RequestAsync(new SignalRequest { Pid = pid, Signal = signal }, [], RequestTimeout).ConfigureAwait(false);
        }
        catch (AgentException) when (sentry is not null && (sentry.Ended.IsCompleted || _exit.Task.IsCompleted))
        {
            // The signal arrived: it ended the sandbox before the answer came.
        }
        finally
        {
            Gate.Release();
        }
    }

    public async Task<SandboxInspection> InspectAsync()
    {
        Reply reply = await Running().RequestAsync(new InspectRequest(), [], RequestTimeout).ConfigureAwait(false);
        return reply.Inspection ?? new SandboxInspection();
    }

    /// <summary>Has the sentry write state and memory into two open files. With <paramref name="stop"/> the guest then stands still until
    /// <see cref="GoOnAsync"/> or <see cref="StopAsync"/>, else it goes on. The caller holds <see cref="Gate"/>.</summary>
    public async Task<Dump> DumpAsync(int stateFile, int memoryFile, bool stop)
    {
        SentryProcess sentry = Running();
        TaskCompletionSource<long[]> dump = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _dump = dump;
            _stopping = stop;
            _exitWhileStopping = null;
        }

        if (stop)
            network.Hold();
        try
        {
            Reply reply = await sentry.RequestAsync(new CheckpointRequest { LeaveRunning = !stop }, [stateFile, memoryFile], DumpTimeout).ConfigureAwait(false);
            long[] ranges = await dump.Task.WaitAsync(DumpTimeout).ConfigureAwait(false);
            return new Dump(reply, ranges);
        }
        catch
        {
            network.GoOn();
            CatchUp(sentry);
            throw;
        }
        finally
        {
            lock (_lock)
                _dump = null;
        }
    }

    /// <summary>Lets a guest that stands still after a dump go on.</summary>
    public async Task GoOnAsync()
    {
        SentryProcess sentry = Running();
        try
        {
            await sentry.RequestAsync(new SignalRequest(), [], RequestTimeout).ConfigureAwait(false);
        }
        finally
        {
            network.GoOn();
            CatchUp(sentry);
        }
    }

    /// <summary>Ends the sentry of a guest that stands still after a dump; the sandbox itself lives until it is restored or finished.</summary>
    public async Task StopAsync()
    {
        SentryProcess sentry = Running();
        sentry.Close();
        await sentry.Ended.ConfigureAwait(false);
        ReleaseGofer();
    }

    /// <summary>Ends the sandbox at once.</summary>
    public void Kill(string? reason = null) => Finish(new ExitReport { ExitCode = Killed, Reason = reason });

    /// <summary>The sandbox has ended: says so to all who wait and lets everything it held go. Only the first call counts.</summary>
    public void Finish(ExitReport report)
    {
        SentryProcess? sentry;
        List<ExecutedProgram> programs;
        lock (_lock)
        {
            if (_exit.Task.IsCompleted)
                return;
            streams.Dispose();
            programs = [.. _programs.Values];
            _programs.Clear();
            sentry = _sentry;
            foreach (ExecutedProgram program in programs)
                program.End(new ExitReport { ExitCode = Killed });
            _exit.TrySetResult(report);
        }

        sentry?.Close();
        if (report.ExitCode == Killed)
            sentry?.Kill();
        _ = Task.Run(async () =>
        {
            if (sentry is not null)
                await sentry.Ended.ConfigureAwait(false);
            ReleaseGofer();
        });
        network.Dispose();
    }

    private static ExitReport Report(int waitStatus) => (waitStatus & 0x7F) == 0
        ? new ExitReport { ExitCode = (waitStatus >> 8) & 0xFF }
        : new ExitReport { ExitCode = 128 + (waitStatus & 0x7F) };

    private static int[] TerminalOf(TerminalSpec? terminal, Streams streams) => terminal is null ? [] : streams.TerminalDescriptors;

    // While a dump that stops the guest was made, the program's or the sentry's end was set aside: it counts when the guest goes on after all.
    private void CatchUp(SentryProcess sentry)
    {
        int? status;
        lock (_lock)
        {
            _stopping = false;
            status = _exitWhileStopping;
        }

        if (status is { } ended)
            Finish(Report(ended));
        else if (sentry.Ended.IsCompletedSuccessfully)
            Finish(new ExitReport { ExitCode = SandboxFailed, Reason = sentry.Ended.Result });
    }

    private async Task<Reply> BeginAsync(SentryProcess sentry, GoferProcess gofer, ControlMessage request, int[] descriptors)
    {
        try
        {
            return await sentry.RequestAsync(request, descriptors, RequestTimeout).ConfigureAwait(false);
        }
        catch (AgentException) when (_programEnded)
        {
            return new Reply { Pid = 1 }; // a program so short that its end overtook the reply
        }
        finally
        {
            gofer.HandedOver();
        }
    }

    private SentryProcess Running()
    {
        SentryProcess? sentry = _sentry;
        return sentry is not null && !_exit.Task.IsCompleted ? sentry : throw AgentException.Conflict($"the sandbox {Identity.Name} is not running");
    }

    private void Adopt(SentryProcess sentry, GoferProcess gofer)
    {
        lock (_lock)
        {
            (_sentry, _gofer) = (sentry, gofer);
            _stopping = false;
            _earlyExits.Clear();
        }

        sentry.SetHandler(OnEvent);
        _ = sentry.Ended.ContinueWith(ended => OnSentryEnded(sentry, ended.Result), TaskScheduler.Default);
    }

    private void ReleaseGofer()
    {
        GoferProcess? gofer;
        lock (_lock)
            (gofer, _gofer) = (_gofer, null);
        gofer?.Dispose();
    }

    private void OnSentryEnded(SentryProcess sentry, string reason)
    {
        lock (_lock)
        {
            _dump?.TrySetException(AgentException.Failed(reason));
            if (_stopping || _sentry != sentry)
                return;
        }

        Finish(new ExitReport { ExitCode = SandboxFailed, Reason = reason });
    }

    private void OnEvent(ControlMessage message)
    {
        switch (message)
        {
            case ProcessExited { Pid: 1 } exited:
                lock (_lock)
                {
                    if (_stopping)
                    {
                        _exitWhileStopping = exited.WaitStatus;
                        return;
                    }
                }

                _programEnded = true;
                Finish(Report(exited.WaitStatus));
                break;
            case ProcessExited exited:
                lock (_lock)
                {
                    if (_stopping)
                        return;
                    if (_programs.Remove(exited.Pid, out ExecutedProgram? program))
                        program.End(Report(exited.WaitStatus));
                    else
                        _earlyExits[exited.Pid] = exited.WaitStatus;
                }

                break;
            case DumpFinished finished:
                lock (_lock)
                {
                    if (finished.Error is null)
                        _dump?.TrySetResult(finished.DataRanges);
                    else
                        _dump?.TrySetException(AgentException.Failed(finished.Error));
                }

                break;
            case SavePointReached:
                OnSavePoint?.Invoke(this);
                break;
        }
    }
}

/// <summary>A program that was started in a running sandbox.</summary>
public sealed class ExecutedProgram(int pid, Streams streams)
{
    private readonly TaskCompletionSource<ExitReport> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public int Pid { get; } = pid;

    public Streams Streams { get; } = streams;

    public bool HasTerminal { get; init; }

    public Task<ExitReport> Exit => _exit.Task;

    /// <summary>It has ended: its streams are closed here, then those who wait are told.</summary>
    public void End(ExitReport report)
    {
        Streams.Dispose();
        _exit.TrySetResult(report);
    }
}
