using Broker.Protocol;
using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Checkpoint;
using Sentry.Kernel.Events;
using Sentry.Kernel.Files;
using Sentry.Kernel.Signals;
using Sentry.Kernel.Sockets.Host;
using Sentry.Kernel.Tasks;
using Sentry.Platform;
using Sentry.Platform.Notify;

namespace Sentry.Main;

/// <summary>One sandbox from birth to end: takes the agent's requests, owns the kernel and the threads that serve it.</summary>
internal sealed class Sandbox : IHostStreamWatcher, IDisposable
{
    private const int MaxEnds = 256;

    private readonly AgentLink _agent;
    private readonly FlightRecorder _recorder;
    private readonly Queue<ProgramEnd> _ends = [];
    private readonly Dictionary<int, string> _keys = [];
    private readonly MainClock _clock = new();
    private readonly MainArena _arena = new();
    private readonly EventLoop _loop;
    private readonly IPlatform _platform;
    private readonly MainHost _host;
    private readonly HostWorkers _workers;
    private GuestKernel _kernel = null!;
    private GoferClient? _gofer;
    private ProgramStarter _programs = null!;
    private StraceSink? _strace;
    private Checkpointer? _frozenBy;
    private Baton? _baton; // to be taken before the frozen guest goes on
    private bool _over;
    private int _agentsLost;
    private Action<KeptFrame[]>? _begin;
    private LinkDriver[] _links = [];

    /// <param name="listener">Where later agents come; -1 for nowhere.</param>
    /// <param name="record">The file of the flight record; -1 for none.</param>
    public Sandbox(ControlChannel channel, int listener, int record, string platform)
    {
        _agent = new AgentLink(channel, listener);
        _workers = new HostWorkers(Guarded);
        _recorder = new FlightRecorder(record);
        Isolation.RaiseLimits();
        Isolation.EmptyFileTree();
        _loop = new EventLoop(_clock);
        _platform = platform switch
        {
            "notify" => new NotifyPlatform { WatchesEagerly = CallSiteMode == "eager" },
            _ => throw new SentryException($"there is no platform \"{platform}\"; use notify"),
        };
        Isolation.DropPrivileges();
        _host = new MainHost(_platform, _clock, _arena, _recorder, this);
    }

    /// <summary>The kernel, once there is one.</summary>
    public GuestKernel? Kernel => _kernel;

    /// <summary>Serves until the sandbox ends. Without a sandbox yet it ends with the agent.</summary>
    public void Run(ControlChannel channel)
    {
        channel.Send(new SentryReady { Platform = _platform.Name, Build = ControlProtocol.Build.Identity });
        ControlMessage? first = channel.ReceiveFrame(out int[] descriptors);
        if (first is null or EndRequest || !Begin(first, descriptors))
            return;
        new Thread(ServeControl) { IsBackground = true, Name = "control" }.Start();
        new Thread(() => Guarded(() => _loop.Run(_kernel))) { IsBackground = true, Name = "events" }.Start();
        _platform.Run(_kernel.Dispatcher, _kernel.Lock);
        _loop.Stop();
    }

    public void OnProgramExited(int pid, int waitStatus)
    {
        if (pid == 1)
        {
            _recorder.SetEnd(waitStatus);
        }
        else
        {
            _keys.Remove(pid, out string? key);
            _ends.Enqueue(new ProgramEnd(pid, waitStatus, key));
            if (_ends.Count > MaxEnds)
                _ends.Dequeue();
        }

        _agent.Send(new ProcessExited { Pid = pid, WaitStatus = waitStatus });
        if (pid != 1)
            return;
        _over = true;
        _platform.Quit();
    }

    public void RunAside(IHostWork work) => _workers.Run(work, _kernel);

    public void OnSavePoint() => _agent.Send(new SavePointReached());

    public void Dispose()
    {
        _platform.Dispose();
        _agent.Dispose();
        _strace?.Dispose();
        _loop.Dispose();
        _arena.Dispose();
        _clock.Dispose();
    }

    private bool Begin(ControlMessage first, int[] descriptors)
    {
        long began = _clock.Monotonic;
        try
        {
            Reply reply = first switch
            {
                StartRequest start => Start(start, descriptors),
                RestoreRequest restore => Restore(restore, descriptors),
                _ => new Reply { Error = "the sentry has no program yet: send start or restore" },
            };
            if (_gofer?.Refusal is { } refusal)
                reply = new Reply { Error = refusal };
            if (reply.Error is null && _begin is null)
                _recorder.SetBegun();
            _agent.Send(reply with { Id = first.Id, PauseNanoseconds = _clock.Monotonic - began });
            return reply.Error is null;
        }
        catch (Exception e) when (e is SentryException or Snapshot.State.InvalidImageException || _gofer?.Refusal is not null)
        {
            _agent.Send(new Reply { Id = first.Id, Error = _gofer?.Refusal ?? e.Message });
            return false;
        }
    }

    private Reply Start(StartRequest request, int[] descriptors)
    {
        int links = request.Strace ? 5 : 4;
        int broker = links + request.Links.Length, terminalAt = broker + (request.HostNetwork ? 1 : 0);
        int[] terminal = request.Program.Terminal is { Attached: true } ? [descriptors[^1]] : [];
        if (descriptors.Length != terminalAt + terminal.Length)
            return new Reply { Error = "the start request came without its descriptors" };
        _kernel = new GuestKernel(_host) { HostName = HostPath.FromText(request.HostName) };
        ResourceBounds.Apply(_kernel, request.Limits);
        _gofer = new GoferClient(descriptors[0]);
        RootSetup.Build(_kernel, _gofer, request.Volumes, request.Tmpfs);
        WatchGofer(descriptors[0]);
        RootSetup.WriteFiles(_kernel, request.Files);
        _links = LinkSetup.Apply(_kernel.Network, _loop, request.Links, descriptors.AsSpan(links, request.Links.Length), newIdentity: false);
        UseHostNetwork(request.HostNetwork ? descriptors[broker] : -1);
        UseStrace(request.Strace ? descriptors[4] : -1);
        UseCallSites();
        _kernel.Dispatcher.SaveAtCall = request.SaveAtCall;
        _kernel.Dispatcher.CrashAtCall = request.CrashAtCall;
        _programs = new ProgramStarter(_kernel, _loop);
        return _programs.Start(request.Program, descriptors.AsSpan(1, 3), terminal);
    }

    private Reply Restore(RestoreRequest request, int[] descriptors)
    {
        int streams = 3 * (1 + request.ExecStreams.Length);
        int links = 3 + streams + (request.Strace ? 1 : 0);
        int broker = links + request.Links.Length, terminals = request.Terminals.Count(t => t.Attached);
        if (descriptors.Length != broker + (request.HostNetwork ? 1 : 0) + terminals)
            return new Reply { Error = "the restore request came without its descriptors" };
        var image = new MainImage(descriptors[2]);
        var donated = new DonatedStreams(_loop, request, descriptors.AsSpan(3, streams), descriptors.AsSpan(descriptors.Length - terminals));
        _gofer = new GoferClient(descriptors[0]);
        _kernel = ImageLoader.Load(descriptors[1], new RestoreServices(_host, _clock, image, donated, _gofer));
        WatchGofer(descriptors[0]);
        _programs = new ProgramStarter(_kernel, _loop);
        RootSetup.Adopt();
        RootSetup.WriteFiles(_kernel, request.Files);
        if (request.NewIdentity && request.HostName is { } name)
            _kernel.HostName = HostPath.FromText(name);
        UseStrace(request.Strace ? descriptors[links - 1] : -1);
        UseCallSites();
        _kernel.Dispatcher.SaveAtCall = request.SaveAtCall;
        ResourceBounds.Apply(_kernel, request.Limits);
        lock (_kernel.Lock)
        {
            RootSetup.ReattachVolumes(_kernel);
            Thawer.Rebuild(_kernel, image, image.Length);
        }

        _begin = kept =>
        {
            _links = LinkSetup.Apply(_kernel.Network, _loop, request.Links, descriptors.AsSpan(links, request.Links.Length), request.NewIdentity);
            UseHostNetwork(request.HostNetwork ? descriptors[broker] : -1);
            _programs.ShowTerminals(request.Terminals);
            Thawer.Start(_kernel);
            LinkSetup.DeliverKept(_links, request.Kept.Concat(kept));
        };
        if (!request.Hold)
            BeginRestored([]);
        return new Reply { Pid = 1 };
    }

    private Reply Begin(BeginRequest request, int[] descriptors)
    {
        using Baton? baton = descriptors.Length > 0 ? new Baton(descriptors[0]) : null;
        if (_begin is null)
            return new Reply { Error = "the sandbox goes on already" };
        if (baton?.TryTake() == false)
            return new Reply { Error = "the sandbox that was saved has gone on itself" };
        try
        {
            BeginRestored(request.Kept);
            _recorder.SetBegun();
            return new Reply();
        }
        catch (SentryException e)
        {
            baton?.PutBack();
            return new Reply { Error = e.Message };
        }
    }

    /// <summary>Lets a restored guest go on, and its links be.</summary>
    private void BeginRestored(KeptFrame[] kept)
    {
        Action<KeptFrame[]> begin = _begin!;
        _begin = null;
        lock (_kernel.Lock)
            begin(kept);
    }

    private KeptFrame[] KeptFrames()
    {
        // What the event loop has not got to yet would end with this process.
        foreach (LinkDriver link in _links)
            link.Drain();
        return [.. _kernel.Network.Kept.ToArray().Select(k => new KeptFrame(k.Link, k.Frame))];
    }

    private void UseHostNetwork(int broker)
    {
        BrokeredSockets? sockets = null;
        if (broker >= 0)
        {
            var channel = new UnixChannel(broker);
            if (BrokerGreeting.Check(channel) is { } refusal)
                throw new SentryException(refusal);
            sockets = new BrokeredSockets(new BrokerClient(channel), _loop);
        }

        foreach (string lost in HostNetwork.Use(_kernel.Network, sockets))
            _host.Log(lost);
    }

    private void WatchGofer(int socket) => new MainStream(socket, _loop).Watch(this, PollEvents.None);

    void IHostStreamWatcher.OnReady(PollEvents events) => _agent.Send(new HelperLost());

    private void UseStrace(int descriptor)
    {
        if (descriptor < 0)
            return;
        _strace = new StraceSink(descriptor);
        _kernel.Strace = new Sentry.Kernel.Strace.StraceLog(_strace);
    }

    // For finding out whether a fault lies there: 0 leaves system-call instructions as they are, eager rewrites every one that is met twice.
    private static string? CallSiteMode => Environment.GetEnvironmentVariable("SENTRY_CALL_SITES");

    private void UseCallSites()
    {
        if (CallSiteMode != "0")
            _kernel.UseCallSites(CallSiteMode == "eager");
    }

    private void ServeControl() => Guarded(() =>
    {
        while (_agent.Receive(out int[] descriptors, () => _platform.Post(OnAgentLost)) is { } message)
            _platform.Post(() => Serve(message, descriptors));
        _platform.Post(_platform.Quit);
    });

    // A checkpoint that the agent had not finished has come to nothing: the guest goes on. A restore that was held is nobody's: whether its addresses
    // are free was not known yet.
    private void OnAgentLost()
    {
        _agentsLost++;
        if (_begin is not null)
        {
            _platform.Quit();
        }
        else if (!TryGoOn())
        {
            _recorder.SetMoved();
            _platform.Quit();
        }
    }

    private void Serve(ControlMessage message, int[] descriptors)
    {
        // The agent has been told of the end; a checkpoint of what is left, say, would restore to a sandbox without a program.
        if (_over)
            return;
        switch (message)
        {
            case ExecRequest exec when descriptors.Length == (exec.Program.Terminal is { Attached: true } ? 4 : 3):
                Reply started = _programs.Start(exec.Program, descriptors.AsSpan(0, 3), descriptors.AsSpan(3));
                if (exec.Key is not null && started.Error is null)
                    _keys[started.Pid] = exec.Key;
                _agent.Send(started with { Id = exec.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case AttachTerminalRequest attach when descriptors.Length == 1:
                _agent.Send(_programs.AttachTerminal(attach, descriptors[0]) with { Id = attach.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case ResizeRequest resize:
                _agent.Send(_programs.Resize(resize) with { Id = resize.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case SignalRequest signal:
                _agent.Send(Signal(signal) with { Id = signal.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case CheckpointRequest checkpoint when descriptors.Length == 2:
                Checkpoint(checkpoint, descriptors[0], descriptors[1]);
                break;
            case BeginRequest begin when descriptors.Length <= 1:
                _agent.Send(Begin(begin, descriptors) with { Id = begin.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case KeptFramesRequest kept:
                _agent.Send(new Reply { Id = kept.Id, KeptFrames = KeptFrames() });
                break;
            case HandOverRequest handOver when descriptors.Length == 1 && _frozenBy is not null && _baton is null:
                _baton = new Baton(descriptors[0]);
                _agent.Send(new Reply { Id = handOver.Id, KeptFrames = KeptFrames() });
                break;
            case AdoptRequest adopt:
                _agent.Send(new Reply { Id = adopt.Id, Adoption = Describe() });
                break;
            case ConnectLinksRequest connect when descriptors.Length == connect.Links.Length:
                _agent.Send(ConnectLinks(connect, descriptors) with { Id = connect.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case EndRequest:
                _platform.Quit();
                break;
            case InspectRequest inspect:
                _agent.Send(new Reply { Id = inspect.Id, Inspection = Inspector.Inspect(_kernel) });
                break;
            default:
                _agent.Send(new Reply { Id = message.Id, Error = $"the sentry does not understand {message.GetType().Name} with {descriptors.Length} descriptors" });
                break;
        }
    }

    private Reply Signal(SignalRequest request)
    {
        if (request.Signal == 0)
            return TryGoOn() ? new Reply() : new Reply { Error = "the sandbox has gone on elsewhere" };

        if (!Abi.Signal.IsValid(request.Signal))
            return new Reply { Error = $"there is no signal {request.Signal}" };
        if (request.Pid == 0)
        {
            foreach (ThreadGroup group in _kernel.Processes.Values.ToArray())
                SignalDelivery.SendToProcess(group, SignalInfo.Kernel(request.Signal));
            return new Reply();
        }

        if (!_kernel.Processes.TryGetValue(request.Pid, out ThreadGroup? process))
            return new Reply { Error = $"there is no process {request.Pid} in the sandbox" };
        SignalDelivery.SendToProcess(process, SignalInfo.Kernel(request.Signal));
        return new Reply();
    }

    /// <summary>After a checkpoint that came to nothing, or past a save point. False when the guest goes on elsewhere.</summary>
    private bool TryGoOn()
    {
        if (_baton?.TryTake() == false)
            return false;
        _baton?.Dispose();
        _baton = null;
        _frozenBy?.GoOn();
        _frozenBy = null;
        SavePoint.Skip(_kernel);
        return true;
    }

    private Adoption Describe() => new()
    {
        Build = ControlProtocol.Build.Identity,
        Platform = _platform.Name,
        Programs = [.. _kernel.Processes.Values.Where(g => g.Parent is null && g.Pid != 1 && g.WaitStatus is null).Select(g => new RunningProgram(g.Pid, _keys.GetValueOrDefault(g.Pid)))],
        Ends = [.. _ends],
    };

    private Reply ConnectLinks(ConnectLinksRequest request, int[] descriptors)
    {
        try
        {
            _links = LinkSetup.Apply(_kernel.Network, _loop, request.Links, descriptors, newIdentity: false);
            return new Reply();
        }
        catch (SentryException e)
        {
            return new Reply { Error = e.Message };
        }
    }

    private void Checkpoint(CheckpointRequest request, int stateFile, int memoryFile)
    {
        if (_frozenBy is not null || _begin is not null)
        {
            _agent.Send(new Reply { Id = request.Id, Error = "the sandbox is being checkpointed already; wait for that to end" });
            return;
        }

        var checkpoint = new Checkpointer(_kernel, _clock, stateFile, memoryFile);
        try
        {
            Reply reply = checkpoint.Take(request.LeaveRunning);
            _frozenBy = request.LeaveRunning ? null : checkpoint;
            _agent.Send(reply with { Id = request.Id });
        }
        catch (IOException e)
        {
            checkpoint.GoOn();
            _agent.Send(new Reply { Id = request.Id, Error = e.Message });
            return;
        }

        // The guest runs on (or stands still); its frozen memory is written beside it.
        int agent = _agentsLost;
        new Thread(() => Guarded(() =>
        {
            DumpFinished finished = checkpoint.Dump();
            _platform.Post(() => Finish(checkpoint, finished, agent));
        }))
        { IsBackground = true, Name = "dump" }.Start();
    }

    /// <summary>A guest whose memory could not be written goes on; the agent that asked for it, if it is still there, is told.</summary>
    private void Finish(Checkpointer checkpoint, DumpFinished finished, int agent)
    {
        if (finished.Error is not null && _frozenBy == checkpoint)
        {
            checkpoint.GoOn();
            _frozenBy = null;
        }

        if (agent == _agentsLost)
            _agent.Send(finished);
    }

    private void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            // A thread without which the sandbox would hang: end it with a report instead.
            CrashReport.Write(_kernel, e);
            Environment.Exit(CrashReport.ExitCode);
        }
    }
}
