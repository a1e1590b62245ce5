namespace Sentry.Kernel;

/// <summary>The whole state of a sandbox: the root of what a checkpoint saves. Everything in it is used under <see cref="Lock"/>.</summary>
[Savable("kernel", Version = 2)]
public sealed partial class GuestKernel : IAfterLoad
{
    /// <summary>What kernel.pid_max is at first.</summary>
    public const int MaxPid = 32768;

    private const int FirstReusedPid = 300;

    [NotSaved("given by the restoring sentry")] private IKernelHost _host = null!;
    [NotSaved("timers are armed again by their owners")] private TimerQueue _timers = null!;
    [NotSaved("a checkpoint is taken when none is ready")] private readonly Queue<Task> _readyTasks = new();
    [NotSaved("blocked calls register again when they are tried again")] private readonly FutexTable _futexes = new();
    [NotSaved("set by the restoring sentry when asked for")] private Strace.StraceLog? _strace;
    [NotSaved("serves the restored kernel as it did the first")] private Dispatcher _dispatcher;
    [NotSaved("the restoring sentry's")] private IImageMemory? _imageMemory;
    [NotSaved("filled in anew by each call")] private readonly MessageScratch _messages = new();
    [NotSaved("found again by what programs do")] private CallSites? _callSites;
    [NotSaved("a lock")] private readonly System.Threading.Lock _lock = new();

    [Saved(1)] private GuestClock _clock;
    [Saved(2)] private SortedDictionary<int, Task> _tasks = [];
    [Saved(3)] private SortedDictionary<int, ThreadGroup> _processes = [];
    [Saved(4)] private int _lastPid;
    [Saved(5)] private SortedDictionary<int, long> _unimplemented = [];
    [Saved(8)] private ulong _nextAnonymousInode = 1;
    [Saved(9)] private FileObject? _vdsoFile;
    [Saved(10)] private ulong _vdsoLength;
    [Saved(11)] private Vdso.ClockPage? _clockPage;
    [Saved(90)] private Vdso.ClockPage? _silentClockPage;
    [Saved(40)] private int _cpuCount = Math.Clamp(Environment.ProcessorCount, 1, 64);
    [Saved(41)] private long _memorySize = 4L << 30;
    [Saved(21)] private FileDataRegistry _fileData;
    [Saved(60)] private UnixNames _unixNames = new();
    [Saved(70)] private Terminal? _console;
    [Saved(71)] private List<TerminalBridge> _bridges = [];
    [NotSaved("a checkpoint is taken when there is none")] private readonly Queue<IDeferredWork> _deferred = new();
    [Saved(81)] private KernelSettings _settings = new();
    [Saved(85)] private ulong _nextNamespace = 4026532200;
    [Saved(86)] private MountRegistry _mountRegistry = new();
    [Saved(87)] private bool _pidsWrapped;
    [Saved(88)] private NamespaceSet _namespaces;
    [Saved(89)] private NamespaceFileSystem? _namespaceFiles;
    [Saved(91)] private SandboxLimits _limits = new();
    [NotSaved("looks anew")] private MemoryWatch? _memoryWatch;
    [Saved(82)] private int _fileWatches;
    [Saved(83)] private uint _renameCookie;
    [Saved(84)] private SortedDictionary<uint, int> _inotifyInstances = [];

    public GuestKernel(IKernelHost host)
    {
        _host = host;
        _clock = new GuestClock(host.Clock);
        _timers = new TimerQueue(host.Clock, _clock);
        _fileData = new FileDataRegistry(host.Arena);
        _namespaces = new NamespaceSet(this);
        _dispatcher = new Dispatcher(this);
    }

    /// <summary>Takes guest events to their handlers.</summary>
    public Dispatcher Dispatcher => _dispatcher;

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
    public MountNamespace Mounts => _namespaces.Mounts;

    /// <summary>What all mounts share.</summary>
    public MountRegistry MountRegistry => _mountRegistry;

    /// <summary>The namespaces that the sandbox began with.</summary>
    public NamespaceSet Namespaces => _namespaces;

    /// <summary>Namespaces as files.</summary>
    public NamespaceFileSystem NamespaceFiles => _namespaceFiles ??= new NamespaceFileSystem(this);

    /// <summary>The number of a new namespace, in the range where Linux has them.</summary>
    internal ulong NewNamespaceNumber() => ++_nextNamespace;

    /// <summary>System V objects and message queues of the first namespace.</summary>
    public IpcNamespace Ipc => _namespaces.Ipc;

    /// <summary>All file data in memory.</summary>
    public FileDataRegistry FileData => _fileData;

    public string HostName
    {
        get => _namespaces.Uts.HostName;
        set => _namespaces.Uts.HostName = value;
    }

    public string DomainName
    {
        get => _namespaces.Uts.DomainName;
        set => _namespaces.Uts.DomainName = value;
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

    /// <summary>What the sandbox may use.</summary>
    public SandboxLimits Limits => _limits;

    /// <summary>To be called when limits have been set: guests are told of so many processors and so much memory.</summary>
    public void ApplyLimits()
    {
        if (_limits.Cpus > 0)
            _cpuCount = Math.Min(_limits.Cpus, 64);
        if (_limits.Memory > 0)
            _memorySize = _limits.Memory;
        (_memoryWatch ??= new MemoryWatch(this)).Follow();
    }

    /// <summary>The number shown in <c>pipe:[N]</c>, <c>socket:[N]</c>.</summary>
    public ulong NewAnonymousInode() => _nextAnonymousInode++;

    /// <summary>The memory file of the image this sandbox was restored from; null in one that was started.</summary>
    public IImageMemory? ImageMemory => _imageMemory;

    /// <summary>The vDSO's pages, mapped into every program; null when there is none.</summary>
    public FileObject? VdsoFile => _vdsoFile;

    public ulong VdsoLength => _vdsoLength;

    /// <summary>The page behind the vDSO; null when the vDSO has none (in sandboxes that older versions began).</summary>
    /// <summary>What programs in a time namespace map behind the vDSO: where its offsets count, a page that makes the vDSO ask the kernel.</summary>
    internal Vdso.ClockPage? ClockPageOf(TimeNamespace time)
    {
        if (_clockPage is null || (time.MonotonicOffset == 0 && time.BootOffset == 0))
            return _clockPage;
        if (_silentClockPage is null)
        {
            _silentClockPage = new Vdso.ClockPage(_host.Arena);
            _silentClockPage.AddReference();
        }

        return _silentClockPage;
    }

    /// <summary>Gives programs a vDSO: an ELF image of whole pages, with the clock page behind it.</summary>
    public void UseVdso(ReadOnlySpan<byte> image)
    {
        RegularFile file = AnonymousFileSystem.CreateFile(this, "[vdso]", 0x16d);
        file.AddReference();
        Result<long> written = file.WriteAt(null!, new UserBuffer(image.ToArray()), 0);
        if (written.IsError || written.Value != image.Length)
            throw new InvalidOperationException($"the vDSO does not fit the file arena: {written.Error}");
        _vdsoFile = file;
        _vdsoLength = (ulong)image.Length;
        _clockPage = new Vdso.ClockPage(_host.Arena);
        _clockPage.AddReference();
        _clock.Page = _clockPage;
    }

    /// <summary>The process id that the next process gets, for streams that are named by it.</summary>
    public int PeekNextPid()
    {
        int last = _lastPid, next = NewPid();
        _lastPid = last;
        return next;
    }

    /// <summary>Memory for MAP_SHARED|MAP_ANONYMOUS: a nameless file of that length.</summary>
    internal Result<FileObject> CreateSharedMemory(long length)
    {
        RegularFile file = AnonymousFileSystem.CreateFile(this, "dev/zero");
        Errno error = file.Truncate(length);
        return error == Errno.None ? file : error;
    }

    /// <summary>What was set below /proc/sys.</summary>
    public KernelSettings Settings => _settings;

    /// <summary>How many <see cref="FileWatch"/>es there are.</summary>
    internal int FileWatches
    {
        get => _fileWatches;
        set => _fileWatches = value;
    }

    /// <summary>What ties IN_MOVED_FROM to IN_MOVED_TO (inotify(7)).</summary>
    internal uint NewRenameCookie() => ++_renameCookie;

    /// <summary>Counts inotify instances of a user; how many there are now.</summary>
    internal int CountInotify(uint uid, int change)
    {
        int count = _inotifyInstances.GetValueOrDefault(uid) + change;
        if (count == 0)
            _inotifyInstances.Remove(uid);
        else
            _inotifyInstances[uid] = count;
        return count;
    }

    /// <summary>The process id given last.</summary>
    internal int LastPid
    {
        get => _lastPid;
        set => _lastPid = value;
    }

    /// <summary>The terminal of the first program, where it has one: /dev/console.</summary>
    public Terminal? Console
    {
        get => _console;
        internal set => _console = value;
    }

    /// <summary>The terminals that are joined with someone outside.</summary>
    public List<TerminalBridge> Bridges => _bridges;

    /// <summary>Has something done after the event in hand, by whoever may change more than it may itself (<see cref="IWaiter.OnWake"/>).</summary>
    internal void Defer(IDeferredWork work) => _deferred.Enqueue(work);

    internal bool HasDeferred => _deferred.Count > 0;

    /// <summary>Does what was deferred.</summary>
    internal void RunDeferred()
    {
        while (_deferred.TryDequeue(out IDeferredWork? work))
            work.Run();
    }

    /// <summary>A program started from outside has ended.</summary>
    internal void ReportExit(int pid, int waitStatus)
    {
        if (_bridges.Find(b => b.ProcessId == pid) is { } bridge)
            bridge.OnProgramEnded(waitStatus);
        else
            _host.OnProgramExited(pid, waitStatus);
    }

    /// <summary>Rewrites programs' system-call instructions; null where the platform cannot or nobody wants it.</summary>
    internal CallSites? CallSites => _callSites;

    /// <summary>Has programs' system-call instructions rewritten from now on, if the platform can; for tests <paramref name="eager"/>, as soon as one is met again.</summary>
    public void UseCallSites(bool eager = false) => _callSites = _host.Platform.HasCallSites ? new CallSites(this, eager) : null;

    internal UnixNames UnixNames => _unixNames;

    /// <summary>The sandbox's network.</summary>
    public NetworkNamespace Network => _namespaces.Network;

    internal FutexTable Futexes => _futexes;

    internal MessageScratch Messages => _messages;

    internal Queue<Task> ReadyTasks => _readyTasks;

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation)
            ApplyLimits();
        if (phase != RestorePhase.Host)
            return;
        _host = context.Get<IKernelHost>();
        _imageMemory = context.Get<IImageMemory>();
        _clock.Page = _clockPage;
        _timers = new TimerQueue(_host.Clock, _clock);
        _dispatcher = new Dispatcher(this);
    }

    /// <summary>The next free process id, as Linux gives them: ascending, then from the low end again; -1 when all are taken.</summary>
    internal int NewPid()
    {
        for (int tries = 0; tries < _settings.PidLimit; tries++)
        {
            if (_lastPid >= _settings.PidLimit - 1)
                (_lastPid, _pidsWrapped) = (FirstReusedPid - 1, true);
            _lastPid++;
            if (!_tasks.ContainsKey(_lastPid) && !_processes.ContainsKey(_lastPid) && !(_pidsWrapped && IsIdInUse(_lastPid)))
                return _lastPid;
        }

        return -1;
    }

    /// <summary>Whether a thread, a process, a process group or a session has this id.</summary>
    internal bool IsIdInUse(int id)
    {
        if (_tasks.ContainsKey(id) || _processes.ContainsKey(id))
            return true;
        foreach (ThreadGroup process in _processes.Values)
        {
            if (process.ProcessGroup == id || process.Session == id)
                return true;
        }

        return false;
    }

    internal void CountUnimplemented(int number)
    {
        // Numbers beyond the table are counted together: a hostile guest must not fill memory with counters.
        int key = Math.Clamp(number, -1, Sysno.Count);
        _unimplemented[key] = _unimplemented.GetValueOrDefault(key) + 1;
    }
}
