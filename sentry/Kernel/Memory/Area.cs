namespace Sentry.Kernel.Memory;

/// <summary>A mapping of a guest address space (vm_area_struct): [Start, End) with one protection and one source.</summary>
[Savable("area")]
public sealed partial class Area
{
    [Saved(1)] private ulong _start;
    [Saved(2)] private ulong _end;
    [Saved(3)] private MemoryProtection _protection;
    [Saved(4)] private bool _shared;
    [Saved(5)] private FileObject? _file;
    [Saved(6)] private ulong _fileOffset;
    [Saved(7)] private AreaKind _kind;
    [Saved(8)] private bool _noReserve;
    [Saved(9)] private string _name = "";
    [Saved(10)] private AreaFlags _flags;
    [Saved(11)] private int _policy;

    public Area(ulong start, ulong end, MemoryProtection protection, bool shared, FileObject? file, ulong fileOffset, AreaKind kind)
    {
        _start = start;
        _end = end;
        _protection = protection;
        _shared = shared;
        _file = file;
        _fileOffset = fileOffset;
        _kind = kind;
    }

    public ulong Start
    {
        get => _start;
        internal set => _start = value;
    }

    public ulong End
    {
        get => _end;
        internal set => _end = value;
    }

    public ulong Length => _end - _start;

    public MemoryProtection Protection
    {
        get => _protection;
        internal set => _protection = value;
    }

    /// <summary>MAP_SHARED.</summary>
    public bool IsShared => _shared;

    /// <summary>Null for private anonymous memory. The area holds one reference.</summary>
    public FileObject? File => _file;

    /// <summary>Offset in <see cref="File"/> of the byte at Start.</summary>
    public ulong FileOffset
    {
        get => _fileOffset;
        internal set => _fileOffset = value;
    }

    /// <summary>What /proc/PID/maps calls it.</summary>
    public AreaKind Kind => _kind;

    /// <summary>Locked, sealed, not for children, ….</summary>
    public AreaFlags Flags
    {
        get => _flags;
        set => _flags = value;
    }

    /// <summary>As <see cref="MemoryPolicy"/> packs it; 0 for the task's.</summary>
    internal int Policy
    {
        get => _policy;
        set => _policy = value;
    }

    public bool Has(AreaFlags flag) => (_flags & flag) != 0;

    public bool NoReserve
    {
        get => _noReserve;
        internal set => _noReserve = value;
    }

    /// <summary>prctl(PR_SET_VMA_ANON_NAME).</summary>
    public string Name
    {
        get => _name;
        set => _name = value;
    }

    /// <summary>The offset in the file of a byte at an address.</summary>
    internal ulong OffsetOf(ulong address) => _fileOffset + (address - _start);

    /// <summary>A second area of the same kind for [start, end), which lies within this one; takes a reference to the file.</summary>
    internal Area Slice(ulong start, ulong end)
    {
        _file?.AddReference();
        return new Area(start, end, _protection, _shared, _file, _file is null ? 0 : OffsetOf(start), _kind) { _noReserve = _noReserve, _name = _name, _flags = _flags, _policy = _policy };
    }

    /// <summary>Whether the area that begins where this one ends could be one with it.</summary>
    internal bool CanMerge(Area next) =>
        _end == next._start && _protection == next._protection && _shared == next._shared && ReferenceEquals(_file, next._file) && _kind == next._kind
        && _noReserve == next._noReserve && _name == next._name && _flags == next._flags && _policy == next._policy && (_file is null || OffsetOf(_end) == next._fileOffset);
}

/// <summary>What was asked for a mapping (VM_*).</summary>
[Flags]
public enum AreaFlags
{
    None = 0,

    /// <summary>mlock(2), MAP_LOCKED.</summary>
    Locked = 1,

    /// <summary>MLOCK_ONFAULT: locked as pages come.</summary>
    LockOnFault = 2,

    /// <summary>MADV_DONTFORK: a child does not get it.</summary>
    DontFork = 4,

    /// <summary>MADV_WIPEONFORK: a child gets zeros.</summary>
    WipeOnFork = 8,

    /// <summary>MADV_DONTDUMP: not in core files.</summary>
    DontDump = 16,

    /// <summary>mseal(2): stays as it is.</summary>
    Sealed = 32,

    /// <summary>MAP_GROWSDOWN: grows when the page below is touched.</summary>
    GrowsDown = 64,
}

/// <summary>Areas with a name of their own.</summary>
public enum AreaKind
{
    Plain,
    Heap,
    Stack,
    Vdso,
    ClockPage,
}
