using Broker.Protocol;
using Gofer.Protocol;
using Sentry.Abi;
using Sentry.Control;
using Sentry.Host;
using Sentry.Kernel;
using Sentry.Kernel.Checkpoint;
using Sentry.Kernel.Files;
using Sentry.Kernel.Signals;
using Sentry.Kernel.Sockets.Host;
using Sentry.Kernel.Tasks;
using Sentry.Platform;
using Sentry.Platform.Notify;

namespace Sentry.Main;

/// <summary>One sandbox from birth to end: takes the agent's requests, owns the kernel and the threads that serve it.</summary>
internal sealed class Sandbox : IDisposable
{
    private readonly ControlChannel _channel;
    private readonly MainClock _clock = new();
    private readonly MainArena _arena = new();
    private readonly EventLoop _loop;
    private readonly IPlatform _platform;
    private readonly MainHost _host;
    private readonly HostWorkers _workers = new(Guarded);
    private GuestKernel _kernel = null!;
    private ProgramStarter _programs = null!;
    private StraceSink? _strace;
    private bool _frozen;
    private bool _over;
    private Action<KeptFrame[]>? _begin;

    public Sandbox(ControlChannel channel, string platform)
    {
        _channel = channel;
        Isolation.RaiseLimits();
        Isolation.EmptyFileTree();
        _loop = new EventLoop(_clock);
        _platform = platform switch
        {
            "notify" => new NotifyPlatform { WatchesEagerly = CallSiteMode == "eager" },
            _ => throw new SentryException($"there is no platform \"{platform}\"; use notify"),
        };
        Isolation.DropPrivileges();
        _host = new MainHost(_platform, _clock, _arena, this);
    }

    /// <summary>Serves until the sandbox ends or the agent goes away.</summary>
    public void Run()
    {
        _channel.Send(new SentryReady { Platform = _platform.Name });
        ControlMessage? first = _channel.ReceiveFrame(out int[] descriptors);
        if (first is null || !Begin(first, descriptors))
            return;
        new Thread(ServeControl) { IsBackground = true, Name = "control" }.Start();
        new Thread(() => Guarded(() => _loop.Run(_kernel))) { IsBackground = true, Name = "events" }.Start();
        _platform.Run(_kernel.Dispatcher, _kernel.Lock);
        _loop.Stop();
    }

    public void OnProgramExited(int pid, int waitStatus)
    {
        TrySend(new ProcessExited { Pid = pid, WaitStatus = waitStatus });
        if (pid != 1)
            return;
        _over = true;
        _platform.Quit();
    }

    public void RunAside(IHostWork work) => _workers.Run(work, _kernel);

    public void OnSavePoint() => TrySend(new SavePointReached());

    public void Dispose()
    {
        _platform.Dispose();
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
            TrySend(reply with { Id = first.Id, PauseNanoseconds = _clock.Monotonic - began });
            return reply.Error is null;
        }
        catch (Exception e) when (e is SentryException or Snapshot.State.InvalidImageException)
        {
            TrySend(new Reply { Id = first.Id, Error = e.Message });
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
        RootSetup.Build(_kernel, new GoferClient(descriptors[0]), request.Volumes, request.Tmpfs);
        RootSetup.WriteFiles(_kernel, request.Files);
        LinkSetup.Apply(_kernel.Network, _loop, request.Links, descriptors.AsSpan(links, request.Links.Length), newIdentity: false);
        UseHostNetwork(request.HostNetwork ? descriptors[broker] : -1);
        UseStrace(request.Strace ? descriptors[4] : -1);
        UseCallSites();
        _kernel.Dispatcher.SaveAtCall = request.SaveAtCall;
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
        _kernel = ImageLoader.Load(descriptors[1], new RestoreServices(_host, _clock, image, donated, new GoferClient(descriptors[0])));
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
            LinkDriver[] drivers = LinkSetup.Apply(_kernel.Network, _loop, request.Links, descriptors.AsSpan(links, request.Links.Length), request.NewIdentity);
            UseHostNetwork(request.HostNetwork ? descriptors[broker] : -1);
            _programs.ShowTerminals(request.Terminals);
            Thawer.Start(_kernel);
            LinkSetup.DeliverKept(drivers, request.Kept.Concat(kept));
        };
        if (!request.Hold)
            BeginRestored([]);
        return new Reply { Pid = 1 };
    }

    private Reply Begin(BeginRequest request)
    {
        if (_begin is null)
            return new Reply { Error = "the sandbox goes on already" };
        try
        {
            BeginRestored(request.Kept);
            return new Reply();
        }
        catch (SentryException e)
        {
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

    private KeptFrame[] KeptFrames() => [.. _kernel.Network.Kept.ToArray().Select(k => new KeptFrame(k.Link, k.Frame))];

    private void UseHostNetwork(int broker)
    {
        BrokeredSockets? sockets = broker < 0 ? null : new BrokeredSockets(new BrokerClient(new UnixChannel(broker)), _loop);
        foreach (string lost in HostNetwork.Use(_kernel.Network, sockets))
            _host.Log(lost);
    }

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
        while (_channel.ReceiveFrame(out int[] descriptors) is { } message)
            _platform.Post(() => Serve(message, descriptors));

        // The agent is gone: nobody could ever reach this sandbox again.
        _platform.Post(_platform.Quit);
    });

    private void Serve(ControlMessage message, int[] descriptors)
    {
        // The agent has been told of the end; a checkpoint of what is left, say, would restore to a sandbox without a program.
        if (_over)
            return;
        switch (message)
        {
            case ExecRequest exec when descriptors.Length == (exec.Program.Terminal is { Attached: true } ? 4 : 3):
                TrySend(_programs.Start(exec.Program, descriptors.AsSpan(0, 3), descriptors.AsSpan(3)) with { Id = exec.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case AttachTerminalRequest attach when descriptors.Length == 1:
                TrySend(_programs.AttachTerminal(attach, descriptors[0]) with { Id = attach.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case ResizeRequest resize:
                TrySend(_programs.Resize(resize) with { Id = resize.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case SignalRequest signal:
                TrySend(Signal(signal) with { Id = signal.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case CheckpointRequest checkpoint when descriptors.Length == 2:
                Checkpoint(checkpoint, descriptors[0], descriptors[1]);
                break;
            case BeginRequest begin:
                TrySend(Begin(begin) with { Id = begin.Id });
                _kernel.Dispatcher.RunReady();
                break;
            case KeptFramesRequest kept:
                TrySend(new Reply { Id = kept.Id, KeptFrames = KeptFrames() });
                break;
            case InspectRequest inspect:
                TrySend(new Reply { Id = inspect.Id, Inspection = Inspector.Inspect(_kernel) });
                break;
            default:
                TrySend(new Reply { Id = message.Id, Error = $"the sentry does not understand {message.GetType().Name} with {descriptors.Length} descriptors" });
                break;
        }
    }

    private Reply Signal(SignalRequest request)
    {
        if (request.Signal == 0)
        {
            // Go on: after a checkpoint that came to nothing, or past a save point.
            if (_frozen)
            {
                _kernel.Network.Hold(false);
                Freezer.ResumeAll(_kernel);
            }

            _frozen = false;
            SavePoint.Skip(_kernel);
            return new Reply();
        }

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

    private void Checkpoint(CheckpointRequest request, int stateFile, int memoryFile)
    {
        if (_frozen || _begin is not null)
        {
            TrySend(new Reply { Id = request.Id, Error = "the sandbox is being checkpointed already; wait for that to end" });
            return;
        }

        var checkpoint = new Checkpointer(_kernel, _clock, stateFile, memoryFile);
        try
        {
            Reply reply = checkpoint.Take(request.LeaveRunning);
            _frozen = !request.LeaveRunning;
            TrySend(reply with { Id = request.Id });
        }
        catch (IOException e)
        {
            _kernel.Network.Hold(false);
            Freezer.ResumeAll(_kernel);
            TrySend(new Reply { Id = request.Id, Error = e.Message });
            return;
        }

        // The guest runs on (or stands still); its frozen memory is written beside it.
        new Thread(() => Guarded(() => TrySend(checkpoint.Dump()))) { IsBackground = true, Name = "dump" }.Start();
    }

    private void TrySend(ControlMessage message)
    {
        try
        {
            _channel.Send(message);
        }
        catch (IOException)
        {
            // The agent is gone; the control thread sees the end of the channel and ends the sandbox.
        }
    }

    private static void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            // A thread without which the sandbox would hang: end it with a report instead.
            Console.Error.WriteLine($"sentry: {e}");
            Environment.Exit(3);
        }
    }
}
