using System.Diagnostics.CodeAnalysis;

namespace Sentry.Kernel.Tasks;

/// <summary>A guest thread (task_struct).</summary>
[Savable("task")]
public sealed partial class Task : IWaiter, ITimerTarget
{
    [NotSaved("made anew by the restoring platform")] private IGuestThread _thread = null!;
    [NotSaved("re-registered when the call is tried again")] private readonly List<WaitQueue> _waits = [];
    [NotSaved("armed again when the call is tried again")] private KernelTimer? _timer;
    [NotSaved("in the ready list until tried again; a stopped task has none")] private bool _ready;

    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private ThreadGroup _group;
    [Saved(3)] private int _tid;
    [Saved(4)] private MemoryManager _memory;
    [Saved(5)] private FileTable _files;
    [Saved(6)] private FsContext _fs;
    [Saved(7)] private Credentials _credentials;
    [Saved(8)] private CallContext? _call;
    [Saved(9)] private string _name;
    [Saved(10)] private ulong _clearChildTid;
    [Saved(11)] private ulong _robustList;
    [Saved(12)] private SignalState _signals;
    [Saved(13)] private TaskState _state = TaskState.Running;
    [Saved(40)] private SchedulingState _scheduling = new();
    [Saved(41)] private int _parentDeathSignal;
    [Saved(42)] private long _cpuTimeAtSave;
    [NotSaved("taken from _cpuTimeAtSave when the thread is made anew")] private long _cpuTimeBefore;

    [Saved(80)] private SemaphoreUndo? _semaphoreUndo;
    [Saved(81)] private int _memoryPolicy;
    [Saved(82)] private NamespaceSet _namespaces;

    [Saved(90)] private TraceState? _trace;
    [Saved(91)] private SeccompState? _seccomp;

    [Saved(14)] private Task? _vforkParent;
    [Saved(15)] private bool _waitsForVfork;
    [Saved(16)] private ThreadContext? _context;
    [NotSaved("reused from call to call")] private readonly CallContext _spareCall = new();

    public Task(GuestKernel kernel, ThreadGroup group, int tid, MemoryManager memory, FileTable files, FsContext fs, Credentials credentials, SignalState signals, string name)
    {
        _kernel = kernel;
        _group = group;
        _tid = tid;
        _memory = memory;
        _files = files;
        _fs = fs;
        _credentials = credentials;
        _signals = signals;
        _name = name;
        _namespaces = kernel.Namespaces;
    }

    public GuestKernel Kernel => _kernel;

    /// <summary>The network that the task is in.</summary>
    public NetworkNamespace Network => _namespaces.Network;

    /// <summary>Whether a capability (CAP_NET_*) counts for that network: also in the user namespace it belongs to.</summary>
    public bool HasOverNetwork(int capability) => _credentials.HasIn(Network.Owner, capability);

    public ThreadGroup Group => _group;

    /// <summary>The thread id, equal to the process id in the main thread.</summary>
    public int Tid
    {
        get => _tid;
        set => _tid = value;
    }

    /// <summary>The platform's thread under this task.</summary>
    public IGuestThread Thread
    {
        get => _thread;
        set
        {
            _cpuTimeBefore = _thread is null ? _cpuTimeAtSave : CpuTime;
            _thread = value;
            value.Owner = this;
        }
    }

    /// <summary>CPU time used, ns; goes on from where it was across an exec and a restore.</summary>
    public long CpuTime => _cpuTimeBefore + _thread.CpuTime;

    /// <summary>Called before the thread is killed because another takes its place (exec).</summary>
    internal void KeepCpuTime() => _cpuTimeBefore = CpuTime;

    /// <summary>Called when the guest has been stopped for a checkpoint.</summary>
    internal void BeforeSave() => _cpuTimeAtSave = CpuTime;

    public MemoryManager Memory
    {
        get => _memory;
        set => _memory = value;
    }

    public FileTable Files
    {
        get => _files;
        set => _files = value;
    }

    public FsContext Fs
    {
        get => _fs;
        set => _fs = value;
    }

    public Credentials Credentials
    {
        get => _credentials;
        set => _credentials = value;
    }

    /// <summary>comm: at most 15 bytes (prctl(PR_SET_NAME), /proc/self/comm).</summary>
    public string Name
    {
        get => _name;
        set => _name = value;
    }

    /// <summary>set_tid_address(2) and CLONE_CHILD_CLEARTID; 0 for none.</summary>
    public ulong ClearChildTid
    {
        get => _clearChildTid;
        set => _clearChildTid = value;
    }

    /// <summary>set_robust_list(2); 0 for none.</summary>
    public ulong RobustList
    {
        get => _robustList;
        set => _robustList = value;
    }

    /// <summary>Mask, pending signals, alternate stack.</summary>
    public SignalState Signals => _signals;

    /// <summary>The System V objects that it sees.</summary>
    public IpcNamespace Ipc => _namespaces.Ipc;

    /// <summary>What it sees of the system; its user namespace is in its credentials, its process ids are its process's.</summary>
    public NamespaceSet Namespaces
    {
        get => _namespaces;
        set => _namespaces = value;
    }

    /// <summary>The tree of mounts that it sees.</summary>
    public MountNamespace Mounts => _namespaces.Mounts;

    public UserNamespace UserNamespace => _credentials.UserNamespace ?? _kernel.Namespaces.User;

    /// <summary>Its thread id as it sees it itself.</summary>
    public int OwnTid => PidNamespace.ToLocal(_tid);

    /// <summary>Whose numbers its process ids are.</summary>
    public PidNamespace PidNamespace => _group.PidNamespace;

    /// <summary>set_mempolicy(2), as <see cref="Memory.MemoryPolicy"/> packs it.</summary>
    internal int MemoryPolicy
    {
        get => _memoryPolicy;
        set => _memoryPolicy = value;
    }

    /// <summary>What semop(2) with SEM_UNDO will do when the task ends; null for nothing.</summary>
    internal SemaphoreUndo? SemaphoreUndo
    {
        get => _semaphoreUndo;
        set => _semaphoreUndo = value;
    }

    /// <summary>Policy, priority, affinity, timer slack; a child begins with <see cref="SchedulingState.ForChild"/>.</summary>
    public SchedulingState Scheduling
    {
        get => _scheduling;
        set => _scheduling = value;
    }

    /// <summary>prctl(PR_SET_PDEATHSIG): sent to the task when its parent exits; 0 for none. Not inherited; an exec that gains privileges clears it.</summary>
    public int ParentDeathSignal
    {
        get => _parentDeathSignal;
        set => _parentDeathSignal = value;
    }

    public TaskState State
    {
        get => _state;
        set => _state = value;
    }

    /// <summary>The call this task is in; only meaningful within handlers and while blocked.</summary>
    public CallContext Call => _call!;

    /// <summary>Whether the task is in a call that waits.</summary>
    public bool IsBlocked => _state == TaskState.Blocked;

    /// <summary>As <see cref="IsBlocked"/>, also when a checkpoint has rewound the call and the thread has not made it again yet. To be asked by whoever looks for
    /// tasks that wait, since threads that go on after a checkpoint come back to their calls one after the other, between the calls of others.</summary>
    internal bool IsInCall => IsBlocked || (_state == TaskState.Running && _call is { Suspended: true });

    /// <summary>What ptrace(2) has made of it; null when nobody traces it.</summary>
    public TraceState? Trace
    {
        get => _trace;
        set => _trace = value;
    }

    /// <summary>What its calls must pass; null for nothing.</summary>
    internal SeccompState? Seccomp
    {
        get => _seccomp;
        set => _seccomp = value;
    }

    /// <summary>The mode of seccomp(2), 0 for none, and how many filters there are.</summary>
    public (int Mode, int Count) Filters => (_seccomp?.Mode ?? 0, _seccomp?.Count ?? 0);

    /// <summary>The task that waits in vfork until this one execs or exits.</summary>
    public Task? VforkParent
    {
        get => _vforkParent;
        set => _vforkParent = value;
    }

    /// <summary>Stopped after its vfork until the child lets go of the memory.</summary>
    public bool WaitsForVfork
    {
        get => _waitsForVfork;
        set => _waitsForVfork = value;
    }

    /// <summary>The registers, while a checkpoint is taken or restored.</summary>
    public ThreadContext? Context
    {
        get => _context;
        set => _context = value;
    }

    /// <summary>Begins a call: a fresh context without garbage.</summary>
    internal CallContext BeginCall(int number, in SyscallArgs args)
    {
        CallContext call = _spareCall;
        call.Number = number;
        call.Args = args;
        call.State = null;
        call.Deadline = -1;
        call.TimedOut = false;
        call.Suspended = false;
        _call = call;
        return call;
    }

    /// <summary>The call in progress or suspended by a checkpoint, if any.</summary>
    internal CallContext? CurrentCall
    {
        get => _call;
        set => _call = value;
    }

    // ---- waiting -------------------------------------------------------------------------------------------------

    /// <summary>Registers for a wake-up; any number of queues before <see cref="Block"/>.</summary>
    public void WaitOn(WaitQueue queue, PollEvents events = PollEvents.All)
    {
        queue.Add(this, events);
        _waits.Add(queue);
    }

    /// <summary>Remembers a queue that the task was put on by other means than <see cref="WaitOn"/>, so that <see cref="ClearWaits"/> takes it off.</summary>
    internal void TrackWait(WaitQueue queue) => _waits.Add(queue);

    /// <summary>The task was moved from one tracked queue to another (futex requeue).</summary>
    internal void ReplaceWait(WaitQueue from, WaitQueue to) => _waits[_waits.IndexOf(from)] = to;

    /// <summary>Ends a try that must wait: the handler returns this. It is tried again when a queue named by <see cref="WaitOn"/> wakes, or when
    /// <see cref="CallContext.Deadline"/> passes (with TimedOut set).</summary>
    public SyscallResult Block(InterruptMode mode)
    {
        Call.InterruptMode = mode;
        if (Call.Deadline >= 0)
            _kernel.Timers.Arm(_timer ??= new KernelTimer(this), Call.Deadline);
        return SyscallResult.Blocked;
    }

    /// <summary>The usual end of a read- or write-like try that met EAGAIN: EAGAIN itself when the file is non-blocking, else waits for the file.</summary>
    public SyscallResult WaitForFile(FileObject file, PollEvents events, bool dontWait = false)
    {
        if (dontWait || file.IsNonBlocking || file.WaitQueue is null || Call.TimedOut)
            return Errno.EAGAIN;
        WaitOn(file.WaitQueue, events);
        long timeout = file.WaitTimeout(events);
        Call.SetTimeoutOnce(_kernel.Clock.Monotonic, timeout);
        return Block(timeout >= 0 ? InterruptMode.Interrupt : InterruptMode.Restart);
    }

    /// <summary>Answers a blocked task directly, without another try (futex wake, a hand-over). The task must be blocked.</summary>
    public void CompleteBlocked(SyscallResult result)
    {
        ClearWaits();
        _kernel.Dispatcher.Complete(this, result);
    }

    /// <summary>Takes the task off all wait queues and its timer.</summary>
    public void ClearWaits()
    {
        foreach (WaitQueue queue in _waits)
            queue.Remove(this);
        _waits.Clear();
        if (_timer is not null)
            _kernel.Timers.Cancel(_timer);
    }

    void IWaiter.OnWake(WaitQueue queue, PollEvents events) => MakeReady();

    void ITimerTarget.OnTimer(KernelTimer timer)
    {
        if (_call is null)
            return;
        _call.TimedOut = true;
        MakeReady();
    }

    /// <summary>Has a blocked call tried again soon (after the event in hand).</summary>
    public void MakeReady()
    {
        if (_ready || _state != TaskState.Blocked)
            return;
        _ready = true;
        _kernel.ReadyTasks.Enqueue(this);
    }

    internal bool TakeReady()
    {
        bool was = _ready;
        _ready = false;
        return was;
    }

    // ---- guest memory, in the words handlers use -----------------------------------------------------------------

    /// <summary>Copies a plain struct in; false is EFAULT.</summary>
    public bool TryRead<T>(ulong address, out T value)
        where T : unmanaged => _memory.TryRead(address, out value);

    /// <summary>Copies a plain struct out; false is EFAULT.</summary>
    public bool TryWrite<T>(ulong address, in T value)
        where T : unmanaged => _memory.TryWrite(address, in value);

    /// <summary>The file behind a descriptor; false is EBADF.</summary>
    public bool TryGetFile(int fd, [NotNullWhen(true)] out FileObject? file)
    {
        file = _files.Get(fd);
        return file is not null;
    }

    /// <summary>Puts a new file at the lowest free descriptor within RLIMIT_NOFILE. On EMFILE the file is released.</summary>
    public Result<int> AddFile(FileObject file, bool closeOnExec)
    {
        file.AddReference();
        Result<int> fd = _files.Add(file, closeOnExec, (int)Math.Min(int.MaxValue, _group.Limits[ResourceLimits.NoFile].Soft));
        file.Release();
        return fd;
    }

    /// <summary>The task that clone makes of this one.</summary>
    internal Task ForkTo(ThreadGroup group, int tid, MemoryManager memory, FileTable files, FsContext fs, bool keepAltStack) =>
        new(_kernel, group, tid, memory, files, fs, _credentials, _signals.ForChild(keepAltStack), _name) { _scheduling = _scheduling.ForChild(), _memoryPolicy = _memoryPolicy, _namespaces = _namespaces, _seccomp = _seccomp };
}

/// <summary>What a task is doing, as far as the kernel's own bookkeeping goes.</summary>
public enum TaskState
{
    /// <summary>In guest code or in a call's first try.</summary>
    Running,

    /// <summary>Parked in a call.</summary>
    Blocked,

    /// <summary>Its exit has begun; it runs no guest code any more.</summary>
    Dead,
}
