using Netstack.Stack;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Netlink.Routing;

namespace Sentry.Kernel.Sockets;

/// <summary>The network that tasks see (network_namespaces(7)): a stack, and the one kernel timer behind all of its timers. Tasks
/// reach theirs through <see cref="Task.Network"/>.</summary>
[Savable("network-namespace")]
public sealed partial class NetworkNamespace : Namespace, ITimerTarget, IAfterLoad
{
    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private NetworkStack _stack;
    [Saved(20)] private Netlink.NetlinkTable _netlink = new();
    [Saved(21)] private SortedDictionary<ulong, SocketFile> _sockets = [];
    [Saved(22)] private InterfaceConfiguration _allInterfaces = new();
    [Saved(23)] private InterfaceConfiguration _newInterfaces = new();
    [Saved(24)] private SortedDictionary<string, string> _keptSettings = [];
    [NotSaved("given again by the sentry")] private Host.IHostSockets? _hostSockets;
    [NotSaved("in the image beside the state, which they came after")] private KeptFrames _kept = new();
    [NotSaved("observes the stack anew")] private RouteNotifier _routeNotifier = null!;
    [NotSaved("armed again in the activation phase")] private KernelTimer? _timer;
    [NotSaved("of the timer")] private long _armedFor = long.MaxValue;

    internal NetworkNamespace(GuestKernel kernel, UserNamespace owner, bool isFirst)
        : base(kernel, owner)
    {
        _kernel = kernel;
        _stack = new NetworkStack(kernel.Host);
        if (!isFirst)
        {
            // Only a sandbox begins with its loopback interface up.
            _stack.Loopback.IsUp = false;
            _stack.Loopback.RemoveAddress(InetAddress.LoopbackV4);
        }

        Observe();
    }

    public override NamespaceKinds Kind => NamespaceKinds.Network;

    public NetworkStack Stack => _stack;

    internal Netlink.NetlinkTable Netlink => _netlink;

    /// <summary>Makes sockets of AF_INET and AF_INET6 in the place of the stack; null unless the sandbox has the host's network.</summary>
    internal Host.IHostSockets? HostSockets
    {
        get => _hostSockets;
        set => _hostSockets = value;
    }

    /// <summary>Tells those who listen by rtnetlink(7) of changes.</summary>
    internal RouteNotifier RouteNotifier => _routeNotifier;

    /// <summary>Settings below /proc/sys/net that nothing acts on and that were written, by their paths.</summary>
    internal SortedDictionary<string, string> KeptSettings => _keptSettings;

    /// <summary>The settings under conf/all.</summary>
    internal InterfaceConfiguration AllInterfaces => _allInterfaces;

    /// <summary>The settings under conf/default, with which new interfaces begin.</summary>
    internal InterfaceConfiguration NewInterfaces => _newInterfaces;

    /// <summary>All open sockets, of every family, by inode number: for /proc/net and sock_diag(7).</summary>
    internal SortedDictionary<ulong, SocketFile> Sockets => _sockets;

    /// <summary>Begins a call of the stack; every use of an endpoint that may send or look at the time is made within: <c>using (network.Enter()) …</c>.</summary>
    public StackCall Enter()
    {
        _stack.Enter(_kernel.Clock.Monotonic);
        return new StackCall(this);
    }

    /// <summary>A frame has come in by an interface, as <see cref="NetworkStack.Receive"/> takes it.</summary>
    public void Receive(NetworkInterface from, Packet frame)
    {
        _stack.Receive(from, frame, _kernel.Clock.Monotonic);
        ArmTimer();
    }

    /// <summary>Holds the stack still while the sandbox stands still, from the moment its state is written: what comes in must not change what is in the image;
    /// peers wait at a zero window. Off: connections go on, with the frames that were kept.</summary>
    public void Hold(bool on)
    {
        _stack.Enter(_kernel.Clock.Monotonic);
        _stack.IsHeld = on;
        Leave();
        if (!on)
            _kept.Release();
    }

    /// <summary>The frames that came while the stack was held; they belong to whoever goes on from the image.</summary>
    public KeptFrames Kept => _kept;

    public bool IsHeld => _stack.IsHeld;

    internal void Leave()
    {
        _stack.Leave();
        ArmTimer();
    }

    void ITimerTarget.OnTimer(KernelTimer timer)
    {
        _armedFor = long.MaxValue;
        _stack.RunTimers(_kernel.Clock.Monotonic);
        ArmTimer();
    }

    /// <summary>A wake-up costs a host call: it is asked for only when one is needed earlier than the last that was asked for. One that comes too
    /// early, because its timer was moved, finds nothing to do and asks for the next.</summary>
    private void ArmTimer()
    {
        long next = _stack.NextDeadline;
        if (next >= _armedFor)
            return;
        _armedFor = next;
        _kernel.Timers.Arm(_timer ??= new KernelTimer(this), next);
    }

    private void Observe()
    {
        _routeNotifier = new RouteNotifier(this);
        _stack.AddObserver(_routeNotifier);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links)
            Observe();

        // Owners of stack timers arm them in the same phase, in no order: at once, so that what they arm later is asked for by the first call.
        if (phase == RestorePhase.Activation)
            _kernel.Timers.Arm(_timer ??= new KernelTimer(this), _armedFor = _kernel.Clock.Monotonic);
    }
}

/// <summary>A call of the stack in progress; disposing of it ends the call.</summary>
public readonly ref struct StackCall(NetworkNamespace network)
{
    public void Dispose() => network.Leave();
}
