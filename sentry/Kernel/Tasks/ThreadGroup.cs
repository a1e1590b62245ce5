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
    [Saved(40)] private bool _dumpable = true;
    [Saved(41)] private bool _childSubreaper;
    [Saved(42)] private bool _hasExecuted;
    [Saved(43)] private uint _personality;
    [Saved(44)] private int _oomScoreAdjustment;
    [Saved(45)] private long _childrenCpuTime;
    [Saved(46)] private long _exitedCpuTime;
    [Saved(20)] private JobState _job = new();
    [NotSaved("waiters re-register when their call is tried again")] private readonly WaitQueue _signalWait = new();
    [NotSaved("waiters re-register when their call is tried again")] private readonly WaitQueue _childWait = new();

    [NotSaved("waiters re-register when their call is tried again")] private readonly WaitQueue _exitWait = new();

    [Saved(14)] private int? _exitStatus;
    [Saved(15)] private int _exitSignal = Signal.SIGCHLD;
    [Saved(16)] private uint _lastUid;

    [Saved(80)] private int _barrierRegistrations;
    [Saved(81)] private SchedulingState? _lastScheduling;
    [Saved(82)] private PidNamespace _pidNamespace;

    [Saved(90)] private List<TraceeExit> _traceeExits = [];
    [Saved(91)] private ThreadGroup? _tracedBy;

    [Saved(60)] private ProcessTimers? _timers;
    [Saved(92)] private CpuLimit? _cpuLimit;

    [Saved(70)] private Terminal? _terminal;
    [Saved(71)] private int _oldForeground;

    public ThreadGroup(GuestKernel kernel, int pid, ThreadGroup? parent, ResourceLimits limits, SignalActions actions)
    {
        _kernel = kernel;
        _pid = pid;
        _parent = parent;
        _limits = limits;
        _actions = actions;
        _pidNamespace = kernel.Namespaces.PidForChildren;
    }

    public GuestKernel Kernel => _kernel;

    /// <summary>The timers of setitimer(2) and timer_create(2), made when first asked for.</summary>
    public ProcessTimers Timers => _timers ??= new ProcessTimers(this);

    /// <summary>RLIMIT_CPU was set, or inherited.</summary>
    internal void FollowCpuLimit()
    {
        if (_cpuLimit is not null || _limits[ResourceLimits.Cpu] is not { Soft: ulong.MaxValue, Hard: ulong.MaxValue })
            (_cpuLimit ??= new CpuLimit(this)).Follow();
    }

    /// <summary>The process has ended.</summary>
    internal void DisarmTimers()
    {
        _timers?.Disarm();
        _cpuLimit?.Disarm();
    }

    /// <summary>Whether <see cref="Timers"/> have been made.</summary>
    internal bool HasTimers => _timers is not null;

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

    /// <summary>Stopped or not, and what the parent has not been told of it.</summary>
    public JobState Job => _job;

    /// <summary>Woken when a signal is queued for the process or one of its tasks (signalfd(2)).</summary>
    public WaitQueue SignalWait => _signalWait;

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

    /// <summary>The controlling terminal; null when there is none.</summary>
    public Terminal? Terminal
    {
        get => _terminal;
        set => _terminal = value;
    }

    /// <summary>In a session leader whose terminal was hung up: the process group that was in the foreground, which hears of the leader's exit.</summary>
    internal int OldForeground
    {
        get => _oldForeground;
        set => _oldForeground = value;
    }

    /// <summary>What the parent is sent when it ends (clone(2)); 0 for nothing.</summary>
    public int ExitSignal
    {
        get => _exitSignal;
        set => _exitSignal = value;
    }

    /// <summary>The real user of the task that exited last, for the parent's siginfo.</summary>
    public uint LastUid
    {
        get => _lastUid;
        set => _lastUid = value;
    }

    /// <summary>What the process will end with (exit_group, a fatal signal), once that is decided.</summary>
    public int? ExitStatus
    {
        get => _exitStatus;
        set => _exitStatus = value;
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

    /// <summary>prctl(PR_SET_DUMPABLE).</summary>
    public bool IsDumpable
    {
        get => _dumpable;
        set => _dumpable = value;
    }

    /// <summary>prctl(PR_SET_CHILD_SUBREAPER): orphaned descendants become its children instead of the first process's.</summary>
    public bool IsChildSubreaper
    {
        get => _childSubreaper;
        set => _childSubreaper = value;
    }

    /// <summary>Set by execve(2); from then on the parent may not move it to another process group (setpgid(2), EACCES).</summary>
    public bool HasExecuted
    {
        get => _hasExecuted;
        set => _hasExecuted = value;
    }

    /// <summary>personality(2).</summary>
    public uint Personality
    {
        get => _personality;
        set => _personality = value;
    }

    /// <summary>Whose process 1 or which other number in it; in the namespaces above it has numbers too.</summary>
    public PidNamespace PidNamespace
    {
        get => _pidNamespace;
        internal set => _pidNamespace = value;
    }

    /// <summary>Whether it is process 1 of its namespace.</summary>
    public bool IsReaper => _pidNamespace.IsFirst ? _pid == 1 : ReferenceEquals(_pidNamespace.Reaper, this);

    /// <summary>Of the thread that exited last.</summary>
    internal SchedulingState? LastScheduling
    {
        get => _lastScheduling;
        set => _lastScheduling = value;
    }

    /// <summary>The MEMBARRIER_CMD_REGISTER_* commands given; until exec.</summary>
    internal int BarrierRegistrations
    {
        get => _barrierRegistrations;
        set => _barrierRegistrations = value;
    }

    /// <summary>/proc/PID/oom_score_adj, -1000 to 1000.</summary>
    public int OomScoreAdjustment
    {
        get => _oomScoreAdjustment;
        set => _oomScoreAdjustment = value;
    }

    /// <summary>CPU time of children that were waited for and of theirs, ns.</summary>
    public long ChildrenCpuTime
    {
        get => _childrenCpuTime;
        set => _childrenCpuTime = value;
    }

    /// <summary>CPU time of the process's threads that have exited, ns.</summary>
    public long ExitedCpuTime
    {
        get => _exitedCpuTime;
        set => _exitedCpuTime = value;
    }

    /// <summary>Ended tracees that were not waited for; processes whose parent is another wait here before that one hears of them.</summary>
    internal List<TraceeExit> TraceeExits => _traceeExits;

    /// <summary>The tracer of the main thread, which has ended, while the parent may not wait for the process.</summary>
    internal ThreadGroup? TracedBy
    {
        get => _tracedBy;
        set => _tracedBy = value;
    }

    /// <summary>What fork(2) hands on besides limits and dispositions.</summary>
    public void InheritFrom(ThreadGroup parent)
    {
        _processGroup = parent._processGroup;
        _session = parent._session;
        _terminal = parent._terminal;
        _executable = parent._executable;
        _dumpable = parent._dumpable;
        _personality = parent._personality;
        _oomScoreAdjustment = parent._oomScoreAdjustment;
    }

    /// <summary>Woken when the process or one of its threads ends (pidfd_open(2)).</summary>
    public WaitQueue ExitWait => _exitWait;

    /// <summary>Woken when a child changes state.</summary>
    public WaitQueue ChildWait => _childWait;

    /// <summary>The process that fork makes of this one.</summary>
    internal ThreadGroup ForkTo(int pid, ThreadGroup? parent, SignalActions actions, int exitSignal) =>
        new(_kernel, pid, parent, _limits.Copy(), actions)
        {
            _processGroup = _processGroup,
            _session = _session,
            _terminal = _terminal,
            _executable = _executable,
            _startTime = _kernel.Clock.Monotonic,
            _dumpable = _dumpable,
            _personality = _personality,
            _oomScoreAdjustment = _oomScoreAdjustment,
            _exitSignal = exitSignal,
            _barrierRegistrations = _barrierRegistrations,
        };
}
