namespace Sentry.Kernel.Namespaces;

/// <summary>Process ids of their own (pid_namespaces(7)). Everywhere in the kernel ids are those of the first namespace; a namespace knows the numbers that its
/// processes, threads, process groups and sessions have in it.</summary>
[Savable("pid-namespace")]
public sealed partial class PidNamespace : Namespace
{
    private const int MaxLevel = 32, FirstReusedPid = 300;

    [Saved(1)] private PidNamespace? _parent;
    [Saved(2)] private int _level;
    [Saved(3)] private ThreadGroup? _reaper;
    [Saved(4)] private int _lastPid;
    [Saved(5)] private SortedDictionary<int, int> _kernelIds = [];
    [Saved(6)] private SortedDictionary<int, int> _localIds = [];
    [Saved(7)] private bool _isDead;

    /// <summary>The first one: ids are the kernel's.</summary>
    internal PidNamespace(GuestKernel kernel, UserNamespace owner)
        : base(kernel, owner)
    {
    }

    private PidNamespace(PidNamespace parent, UserNamespace owner)
        : base(parent.Kernel, owner)
    {
        _parent = parent;
        _level = parent._level + 1;
    }

    /// <summary>ENOSPC when they are nested too deep.</summary>
    internal static Result<PidNamespace> Make(PidNamespace parent, UserNamespace owner) => parent._level >= MaxLevel ? Errno.ENOSPC : new PidNamespace(parent, owner);

    public override NamespaceKinds Kind => NamespaceKinds.Pid;

    public PidNamespace? Parent => _parent;

    public int Level => _level;

    public bool IsFirst => _parent is null;

    /// <summary>Its process 1; null before there is one, and in the first namespace, where the kernel knows.</summary>
    public ThreadGroup? Reaper => _reaper;

    /// <summary>Its process 1 has ended: no process can be made in it any more.</summary>
    public bool IsDead => _isDead;

    /// <summary>The number given last (kernel.ns_last_pid).</summary>
    public int LastPid
    {
        get => IsFirst ? Kernel.LastPid : _lastPid;
        set
        {
            if (IsFirst)
                Kernel.LastPid = value;
            else
                _lastPid = value;
        }
    }

    /// <summary>Whether it is <paramref name="other"/> or below it.</summary>
    public bool IsWithin(PidNamespace other)
    {
        for (PidNamespace? at = this; at is not null; at = at._parent)
        {
            if (ReferenceEquals(at, other))
                return true;
        }

        return false;
    }

    /// <summary>The number in this namespace of an id of the kernel; 0 for one that is not seen here.</summary>
    public int ToLocal(int id) => IsFirst ? id : _localIds.GetValueOrDefault(id);

    /// <summary>The kernel's id of a number here; -1, which nothing has, for none.</summary>
    public int ToKernel(int number) => IsFirst ? number : _kernelIds.GetValueOrDefault(number, -1);

    /// <summary>Gives a new id of the kernel a number here and in the namespaces above. <paramref name="wanted"/>: that number here, 0 for the next. EEXIST, EAGAIN.</summary>
    internal Errno Add(int id, int wanted = 0)
    {
        for (PidNamespace at = this; !at.IsFirst; at = at._parent!)
        {
            int number = at.Choose(wanted);
            wanted = 0;
            if (number < 0)
            {
                for (PidNamespace undo = this; !ReferenceEquals(undo, at); undo = undo._parent!)
                    undo.Remove(id);
                return number == -1 ? Errno.EEXIST : Errno.EAGAIN;
            }

            at._kernelIds[number] = id;
            at._localIds[id] = number;
        }

        return Errno.None;
    }

    private int Choose(int wanted)
    {
        if (wanted > 0)
        {
            Forget(wanted);
            return _kernelIds.ContainsKey(wanted) ? -1 : wanted;
        }

        int limit = Kernel.Settings.PidLimit;
        for (int tries = 0; tries < limit; tries++)
        {
            _lastPid = _lastPid >= limit - 1 ? FirstReusedPid : _lastPid + 1;
            Forget(_lastPid);
            if (!_kernelIds.ContainsKey(_lastPid))
                return _lastPid;
        }

        return -2;
    }

    /// <summary>Frees a number that nothing has any more; numbers of process groups and sessions outlive their first process.</summary>
    private void Forget(int number)
    {
        if (_kernelIds.TryGetValue(number, out int id) && !Kernel.IsIdInUse(id))
            Remove(id);
    }

    private void Remove(int id)
    {
        if (_localIds.Remove(id, out int number))
            _kernelIds.Remove(number);
    }

    /// <summary>Its process 1 is there.</summary>
    internal void SetReaper(ThreadGroup group) => _reaper = group;

    internal void MarkDead() => _isDead = true;
}
