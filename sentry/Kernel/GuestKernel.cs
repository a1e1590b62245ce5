namespace Sentry.Kernel;

/// <summary>The whole state of a sandbox: the root of what a checkpoint saves. Everything in it is used under <see cref="Lock"/>.</summary>
[Savable("kernel")]
public sealed partial class GuestKernel : IAfterLoad
{
    [NotSaved("given by the restoring sentry")] private IKernelHost _host = null!;
    [NotSaved("timers are armed again by their owners")] private TimerQueue _timers = null!;
    [NotSaved("a checkpoint is taken when none is ready")] private readonly Queue<Task> _readyTasks = new();
    [NotSaved("blocked calls register again when they are tried again")] private readonly FutexTable _futexes = new();
    [NotSaved("set by the restoring sentry when asked for")] private Strace.StraceLog? _strace;
    [NotSaved("a lock")] private readonly System.Threading.Lock _lock = new();

    [Saved(1)] private GuestClock _clock;
    [Saved(2)] private SortedDictionary<int, Task> _tasks = [];
    [Saved(3)] private SortedDictionary<int, ThreadGroup> _processes = [];
    [Saved(4)] private int _lastPid;
    [Saved(5)] private SortedDictionary<int, long> _unimplemented = [];
    [Saved(6)] private string _hostName = "sandbox";
    [Saved(7)] private string _domainName = "(none)";
    [Saved(8)] private ulong _nextAnonymousInode = 1;
    [Saved(40)] private int _cpuCount = Math.Clamp(Environment.ProcessorCount, 1, 64);
    [Saved(41)] private long _memorySize = 4L << 30;
    [Saved(20)] private MountNamespace _mounts = new();
    [Saved(21)] private FileDataRegistry _fileData;

    public GuestKernel(IKernelHost host)
    {
        _host = host;
        _clock = new GuestClock(host.Clock);
        _timers = new TimerQueue(host.Clock, _clock);
        _fileData = new FileDataRegistry(host.Arena);
    }

    public IKernelHost Host => _host;

    public System.Threading.Lock Lock => _lock;

    public GuestClock Clock => _clock;

    public TimerQueue Timers => _timers;

    /// <summary>All living tasks by thread id.</summary>
    public SortedDictionary<int, Task> Tasks => _tasks;

    /// <summary>All processes that have not been waited for, by process id; includes zombies.</summary>
    public SortedDictionary<int, ThreadGroup> Processes => _processes;

    /// <summary>How often the guest made each call that is not implemented; shown by <c>inspect</c>.</summary>
    public SortedDictionary<int, long> Unimplemented => _unimplemented;

    /// <summary>The tree of files.</summary>
    public MountNamespace Mounts => _mounts;

    /// <summary>All file data in memory.</summary>
    public FileDataRegistry FileData => _fileData;

    public string HostName
    {
        get => _hostName;
        set => _hostName = value;
    }

    public string DomainName
    {
        get => _domainName;
        set => _domainName = value;
    }

    /// <summary>Prints every call and signal; null when off.</summary>
    public Strace.StraceLog? Strace
    {
        get => _strace;
        set => _strace = value;
    }

    /// <summary>CPUs that guests see; as many as where the sandbox began, also after a restore elsewhere, as programs ask once.</summary>
    public int CpuCount
    {
        get => _cpuCount;
        set => _cpuCount = value;
    }

    /// <summary>Bytes of memory that guests are told the machine has (sysinfo(2), /proc/meminfo).</summary>
    public long MemorySize
    {
        get => _memorySize;
        set => _memorySize = value;
    }

    /// <summary>The number shown in <c>pipe:[N]</c>, <c>socket:[N]</c>.</summary>
    public ulong NewAnonymousInode() => _nextAnonymousInode++;

    /// <summary>The process id given last.</summary>
    internal int LastPid
    {
        get => _lastPid;
        set => _lastPid = value;
    }

    internal FutexTable Futexes => _futexes;

    internal Queue<Task> ReadyTasks => _readyTasks;

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Host)
            return;
        _host = context.Get<IKernelHost>();
        _timers = new TimerQueue(_host.Clock, _clock);
    }

    /// <summary>Answers a task's call and forgets it.</summary>
    internal void Complete(Task task, SyscallResult result)
    {
        task.CurrentCall = null;
        task.State = TaskState.Running;
        task.Thread.Return(result.Value);
    }
}
