using RestoreAgent.Agent.Network;
using RestoreAgent.Agent.Processes;
using RestoreAgent.Api;
using Sentry.Control;

namespace RestoreAgent.Agent.Sandboxes;

/// <summary>What a sentry has written of its sandbox.</summary>
/// <param name="Reply">Pause and base files.</param>
/// <param name="DataRanges">Where the memory file has data.</param>
public sealed record Dump(Reply Reply, long[] DataRanges);

/// <summary>
/// A sandbox: the sentry and gofer it has at present, the streams of its programs, and its end. The sentry changes when it is restored in
/// place. Starting, executing, signalling and checkpointing exclude each other by <see cref="Gate"/>.
/// </summary>
public sealed class Sandbox(SandboxIdentity identity, Streams streams, SandboxNetwork network, bool isDetached)
{
    /// <summary>The exit code when the sandbox, not its program, failed.</summary>
    public const int SandboxFailed = 125;

    private const int Killed = 128 + 9;
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(30), DumpTimeout = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly ExecutedPrograms _programs = new();
    private readonly TaskCompletionSource<ExitReport> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SentryProcess? _sentry;
    private GoferProcess? _gofer;
    private TaskCompletionSource<long[]>? _dump;
    private bool _stopping;
    private int? _exitWhileStopping;
    private volatile bool _programEnded;
    private volatile bool _detached = isDetached;
    private volatile bool _isFollowed;

    public SandboxIdentity Identity { get; } = identity;

    public SandboxNetwork Network => network;

    public SemaphoreSlim Gate { get; } = new(1);

    /// <summary>It has no client of its own, or that client has left it: it stays listed when it has ended.</summary>
    public bool IsDetached => _detached;

    /// <summary>Completes when the first program and with it the sandbox has ended.</summary>
    public Task<ExitReport> Exit => _exit.Task;

    /// <summary>Completes some time after <see cref="Exit"/>, when no process and no file of its sentry and gofer is left.</summary>
    public Task Released => _released.Task;

    /// <summary>Raised on the test aid's save point; the guest waits meanwhile.</summary>
    public Action<Sandbox>? OnSavePoint { get; init; }

    /// <summary>Told whenever what a later agent must know has changed.</summary>
    public Action<Sandbox>? OnChanged { get; init; }

    /// <summary>The log of the sentry that failed.</summary>
    public string? CrashLog { get; set; }

    /// <summary>The name of the sandbox that goes on, or is to, in its place.</summary>
    public string? Successor { get; set; }

    /// <summary>By which a later agent finds the sentry.</summary>
    public string? SentryId => _sentry?.Id;

    public string State => _exit.Task.IsCompleted ? "exited" : _sentry is null ? "starting" : _sentry.Refusal is null ? "running" : "unreachable";

    public string Platform => _sentry?.Platform ?? "";

    public int SentryPid => _exit.Task.IsCompleted ? 0 : _sentry?.ProcessId ?? 0;

    /// <summary>Starts the first program in an empty sentry. The caller holds <see cref="Gate"/>.</summary>
    public async Task<Reply> StartAsync(SentryProcess sentry, GoferProcess gofer, ProgramSpec program, WindowSize? window)
    {
        Adopt(sentry, gofer);
        if (Identity.Program.Terminal)
            program = program with { Terminal = streams.ForTerminal(1, window) };
        using ConnectedNetwork connected = network.Connect(restored: false);
        StartRequest request = SandboxRequests.Start(Identity, network, connected, program);
        int[] descriptors = [gofer.SentryDescriptor, .. streams.ForStart(Identity.Strace), .. connected.Descriptors, .. TerminalOf(program.Terminal, streams)];
        return await BeginAsync(sentry, gofer, request, descriptors).ConfigureAwait(false);
    }

    /// <summary>Restores into an empty sentry; programs that were started by exec in this very sandbox keep their streams. The caller holds <see cref="Gate"/>.</summary>
    /// <param name="inPlace">The state is one that this sandbox saved itself.</param>
    /// <param name="handOver">Has the sentry go on in place of the saved sandbox, which stands still.</param>
    public async Task<Reply> RestoreAsync(SentryProcess sentry, GoferProcess gofer, int stateFile, int memoryFile, WindowSize? window, bool inPlace, Func<SentryProcess, Task>? handOver = null)
    {
        ExecutedProgram[] programs = _programs.Running();
        Adopt(sentry, gofer);
        using ConnectedNetwork connected = network.Connect(restored: true);
        List<(TerminalSpec Terminal, Streams Streams)> terminals = [.. programs.Where(p => p.HasTerminal).Select(p => (p.Streams.ForTerminal(p.Pid, null), p.Streams))];
        if (Identity.Program.Terminal)
            terminals.Insert(0, (streams.ForTerminal(1, window), streams));
        bool hold = handOver is not null || !network.AddressesAreFree.IsCompletedSuccessfully;
        RestoreRequest request = SandboxRequests.Restore(Identity, network, connected, programs, [.. terminals.Select(t => t.Terminal)], hold, inPlace);
        List<int> descriptors = [gofer.SentryDescriptor, stateFile, memoryFile, .. streams.ForStart(false)];
        foreach (ExecutedProgram program in programs)
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
        await (handOver is null ? BeginAsync(sentry, [], []) : handOver(sentry)).ConfigureAwait(false);
        return reply;
    }

    /// <summary>Lets a restored guest go on that was held.</summary>
    public static Task BeginAsync(SentryProcess sentry, KeptFrame[] kept, int[] baton) => sentry.RequestAsync(new BeginRequest { Kept = kept }, baton, RequestTimeout);

    /// <summary>This guest, which stands still, goes on from now on only if the other has not: what has come for it.</summary>
    public async Task<KeptFrame[]> HandOverAsync(string successor, Baton baton)
    {
        Successor = successor;
        OnChanged?.Invoke(this);
        return (await Running().RequestAsync(new HandOverRequest(), [baton.Descriptor], RequestTimeout).ConfigureAwait(false)).KeptFrames;
    }

    /// <summary>What has come for a guest that stands still since its state was written.</summary>
    public async Task<KeptFrame[]> KeptFramesAsync() => (await Running().RequestAsync(new KeptFramesRequest(), [], RequestTimeout).ConfigureAwait(false)).KeptFrames;

    /// <summary>Starts a further program, whose streams are then the sandbox's.</summary>
    public async Task<ExecutedProgram> ExecAsync(ProgramSpec program, Streams programStreams, bool terminal, WindowSize? window, bool hasClient, string? key)
    {
        if (terminal)
            program = program with { Terminal = programStreams.ForTerminal(0, window) };
        await Gate.WaitAsync().ConfigureAwait(false);
        try
        {
            Reply reply = await Running().RequestAsync(new ExecRequest { Program = program, Key = key },
                [.. programStreams.ForStart(false), .. TerminalOf(program.Terminal, programStreams)], RequestTimeout).ConfigureAwait(false);
            ExecutedProgram started = new(reply.Pid, programStreams) { HasTerminal = terminal, HasClient = hasClient, IsFollowed = true, Key = key };
            _programs.Add(started);
            OnChanged?.Invoke(this);
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

    /// <summary>The client that started it, or a program in it, leaves it.</summary>
    public void Detach(int pid)
    {
        if (pid == 1)
            _detached = true;
        else if (FindProgram(pid) is { } program)
            program.HasClient = false;
        OnChanged?.Invoke(this);
    }

    /// <summary>A program that was started by exec and runs, or ended without an agent; null when there is none with that process id.</summary>
    public ExecutedProgram? FindProgram(int pid) => _programs.Find(pid);

    /// <summary>The process id of a program by what its client calls it; null when there is none, or it has ended before this agent.</summary>
    public int? FindByKey(string key) => Identity.Id == key ? 1 : _programs.FindByKey(key)?.Pid;

    /// <summary>Goes on with the sentry that an earlier agent started for it; asks it what has happened meanwhile.</summary>
    public async Task AdoptAsync(SentryProcess sentry, GoferProcess? gofer, RecordedProgram[] programs)
    {
        _programs.Add(programs);
        Adopt(sentry, gofer);
        if (await sentry.AdoptAsync(RequestTimeout).ConfigureAwait(false) is not { } adoption)
            return;
        _programs.Update(adoption);
        Successor = null; // else it would have ended with the agent before
        using ConnectedNetwork? connected = network.Reconnect();
        if (connected is not null)
            await sentry.RequestAsync(new ConnectLinksRequest { Links = connected.Links }, connected.Descriptors, RequestTimeout).ConfigureAwait(false);
    }

    /// <summary>A client that waits for the end of this sandbox, or of a program in it, has come back to a later agent.</summary>
    public void OnFollowed(int pid)
    {
        if (pid == 1)
            _isFollowed = true;
        else if (FindProgram(pid) is { } program)
            program.IsFollowed = true;
    }

    /// <summary>Ends what clients had started that have not come back to this agent.</summary>
    public void EndWithoutClients()
    {
        const int Kill = 9;
        if (_exit.Task.IsCompleted)
            return;
        if (!_detached && !_isFollowed)
        {
            this.Kill("its client did not come back");
            return;
        }

        foreach (ExecutedProgram program in _programs.TakeUnfollowed())
            _ = SignalAsync(program.Pid, Kill).ContinueWith(t => _ = t.Exception, TaskScheduler.Default);
    }

    /// <summary>What a later agent must know.</summary>
    public SandboxRecord ToRecord()
    {
        lock (_lock)
        {
            return new SandboxRecord
            {
                Identity = Identity,
                BootId = ProcessIdentity.BootId,
                IsDetached = _detached,
                SentryId = _sentry?.Id,
                Platform = Platform,
                Sentry = _sentry?.Identity,
                Gofer = _gofer?.Identity,
                Programs = _programs.ToRecord(),
                Network = network.Save([]),
                Successor = Successor,
                Exit = _exit.Task.IsCompletedSuccessfully ? _exit.Task.Result : null,
                CrashLog = CrashLog,
            };
        }
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
        lock (_lock)
        {
            if (_exit.Task.IsCompleted)
                return;
            streams.Dispose();
            sentry = _sentry;
            _programs.EndAll();
            _exit.TrySetResult(report);
        }

        OnChanged?.Invoke(this);
        sentry?.Close();
        if (report.ExitCode == Killed)
            sentry?.Kill();
        _ = Task.Run(async () =>
        {
            if (sentry is not null)
                await sentry.Ended.ConfigureAwait(false);
            ReleaseGofer();
            _released.TrySetResult();
        });
        network.Dispose();
    }

    /// <summary>The end that a wait status tells.</summary>
    public static ExitReport Report(int waitStatus) => (waitStatus & 0x7F) == 0
        ? new ExitReport { ExitCode = (waitStatus >> 8) & 0xFF }
        : new ExitReport { ExitCode = 128 + (waitStatus & 0x7F) };

    /// <summary>The end of one whose successor goes on.</summary>
    public ExitReport ReportMove() => new() { ExitCode = 0, Reason = $"went on as {Successor}" };

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

    private void Adopt(SentryProcess sentry, GoferProcess? gofer)
    {
        lock (_lock)
        {
            (_sentry, _gofer) = (sentry, gofer);
            _stopping = false;
            _programs.OnOtherSentry();
        }

        OnChanged?.Invoke(this);
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

        if (sentry.ProgramEnd is { } status)
        {
            Finish(sentry.HasMoved ? ReportMove() : Report(status));
            return;
        }

        CrashLog = sentry.CrashLog;
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
                    _programs.OnExited(exited);
                }

                break;
            case HelperLost:
                _ = Task.Run(() => Finish(new ExitReport { ExitCode = SandboxFailed, Reason = _gofer?.DescribeEnd() ?? "the gofer has died" }));
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
