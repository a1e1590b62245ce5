namespace Sentry.Kernel.Tasks;

/// <summary>A process: the tasks that share a process id (signal_struct).</summary>
[Savable("thread-group")]
public sealed partial class ThreadGroup
{
    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private int _pid;
    [Saved(3)] private ThreadGroup? _parent;
    [Saved(4)] private List<ThreadGroup> _children = [];
    [Saved(5)] private List<Task> _tasks = [];
    [Saved(6)] private ResourceLimits _limits;
    [Saved(7)] private SignalActions _actions;
    [Saved(8)] private PendingSignals _pending = new();
    [Saved(9)] private int _processGroup;
    [Saved(10)] private int _session;
    [Saved(11)] private int? _waitStatus;
    [Saved(12)] private string _executable = "";
    [Saved(13)] private long _startTime;
    [NotSaved("waiters re-register when their call is tried again")] private readonly WaitQueue _childWait = new();

    public ThreadGroup(GuestKernel kernel, int pid, ThreadGroup? parent, ResourceLimits limits, SignalActions actions)
    {
        _kernel = kernel;
        _pid = pid;
        _parent = parent;
        _limits = limits;
        _actions = actions;
    }

    public GuestKernel Kernel => _kernel;

    public int Pid => _pid;

    /// <summary>Null in the first process and in those started by <c>exec</c>.</summary>
    public ThreadGroup? Parent
    {
        get => _parent;
        set => _parent = value;
    }

    public List<ThreadGroup> Children => _children;

    /// <summary>The living tasks; the first is the leader unless it has exited.</summary>
    public List<Task> Tasks => _tasks;

    public ResourceLimits Limits
    {
        get => _limits;
        set => _limits = value;
    }

    public SignalActions Actions
    {
        get => _actions;
        set => _actions = value;
    }

    /// <summary>Signals sent to the process as a whole.</summary>
    public PendingSignals Pending => _pending;

    public int ProcessGroup
    {
        get => _processGroup;
        set => _processGroup = value;
    }

    public int Session
    {
        get => _session;
        set => _session = value;
    }

    /// <summary>The status that wait4(2) reports, once it is a zombie.</summary>
    public int? WaitStatus
    {
        get => _waitStatus;
        set => _waitStatus = value;
    }

    /// <summary>Absolute path of the running program, for /proc/PID/exe.</summary>
    public string Executable
    {
        get => _executable;
        set => _executable = value;
    }

    /// <summary>Guest monotonic ns.</summary>
    public long StartTime
    {
        get => _startTime;
        set => _startTime = value;
    }

    /// <summary>Woken when a child changes state.</summary>
    public WaitQueue ChildWait => _childWait;
}
