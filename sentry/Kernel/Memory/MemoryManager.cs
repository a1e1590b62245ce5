using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Sentry.Kernel.Memory;

/// <summary>An address space as the kernel knows it: its areas, its heap, and the way to its bytes. Shared by the threads of a process
/// and by a vfork child until it execs.</summary>
[Savable("mm")]
public sealed partial class MemoryManager
{
    [NotSaved("made anew by the restoring platform")] private IAddressSpace _space = null!;
    [NotSaved("belongs to the call in hand")] private ICallMailbox? _mailbox;
    [NotSaved("undone before a checkpoint")] private TextPatches? _patches;
    [NotSaved("what is mapped from the image this sandbox was restored from; a checkpoint writes its own")] private ImageRanges _imageRanges = new();

    [NotSaved("a checkpoint has every thread stopped, and so with its changes made")] private readonly List<(ulong Start, ulong End, IGuestThread By)> _leaving = [];

    [Saved(1)] private AreaMap _areas = new();
    [Saved(2)] private int _users = 1;
    [Saved(3)] private ulong _breakStart;
    [Saved(4)] private ulong _break;
    [Saved(5)] private ulong _mappingTop;
    [Saved(6)] private byte[] _auxiliaryVector = [];
    [Saved(7)] private ulong _argumentsStart;
    [Saved(8)] private ulong _argumentsEnd;
    [Saved(9)] private ulong _environmentStart;
    [Saved(10)] private ulong _environmentEnd;
    [Saved(11)] private ulong _stackTop;
    [Saved(12)] private ImageRange[] _savedRanges = [];
    [Saved(13)] private ulong _limit;
    [Saved(80)] private AreaFlags _futureFlags;
    [Saved(81)] private InodeFile? _program;
    [Saved(82)] private SortedDictionary<ulong, AioContext> _aioContexts = [];

    public MemoryManager(IAddressSpace space, ulong limit)
    {
        _space = space;
        _limit = limit;
        _mappingTop = limit;
    }

    /// <summary>The mappings.</summary>
    public AreaMap Areas => _areas;

    /// <summary>A range is free from now on, but the thread that unmaps it on the host does so only when it runs again. What another thread mapped there
    /// before that would be taken away, so no place is found there until then.</summary>
    internal void AddLeaving(ulong start, ulong end, IGuestThread by)
    {
        if (_users < 2)
            return;
        _leaving.RemoveAll(static range => range.By.State != GuestThreadState.Running);
        _leaving.Add((start, end, by));
    }

    /// <summary>Where a range that others are yet to unmap begins within [start, end); 0 when there is none.</summary>
    internal ulong FindLeaving(ulong start, ulong end, IGuestThread on)
    {
        for (int i = _leaving.Count - 1; i >= 0; i--)
        {
            (ulong Start, ulong End, IGuestThread By) range = _leaving[i];
            if (!ReferenceEquals(range.By, on) && range.By.State != GuestThreadState.Running)
                _leaving.RemoveAt(i);
            else if (!ReferenceEquals(range.By, on) && range.Start < end && start < range.End)
                return range.Start;
        }

        return 0;
    }

    /// <summary>Private memory that is mapped from the restored image.</summary>
    public ImageRanges ImageRanges
    {
        get => _imageRanges;
        set => _imageRanges = value;
    }

    /// <summary>Where the image being written (or read) has this space's private memory.</summary>
    public ImageRange[] SavedRanges
    {
        get => _savedRanges;
        set => _savedRanges = value;
    }

    /// <summary>Guest addresses end here.</summary>
    public ulong Limit => _limit;

    /// <summary>Start of the heap, after the program's data.</summary>
    public ulong BreakStart
    {
        get => _breakStart;
        set => _breakStart = value;
    }

    /// <summary>The program break (brk(2)).</summary>
    public ulong Break
    {
        get => _break;
        set => _break = value;
    }

    /// <summary>mmap places below this.</summary>
    public ulong MappingTop
    {
        get => _mappingTop;
        set => _mappingTop = value;
    }

    public ulong StackTop
    {
        get => _stackTop;
        set => _stackTop = value;
    }

    /// <summary>/proc/PID/auxv.</summary>
    public byte[] AuxiliaryVector
    {
        get => _auxiliaryVector;
        set => _auxiliaryVector = value;
    }

    /// <summary>Guest range of the argument strings, for /proc/PID/cmdline.</summary>
    public (ulong Start, ulong End) Arguments
    {
        get => (_argumentsStart, _argumentsEnd);
        set => (_argumentsStart, _argumentsEnd) = value;
    }

    /// <summary>Guest range of the environment strings, for /proc/PID/environ.</summary>
    public (ulong Start, ulong End) EnvironmentStrings
    {
        get => (_environmentStart, _environmentEnd);
        set => (_environmentStart, _environmentEnd) = value;
    }

    /// <summary>mlockall(2) with MCL_FUTURE: what new areas begin with.</summary>
    public AreaFlags FutureFlags
    {
        get => _futureFlags;
        set => _futureFlags = value;
    }

    /// <summary>Bytes locked by mlock(2) and its kin (VmLck).</summary>
    public ulong LockedBytes
    {
        get
        {
            ulong bytes = 0;
            foreach (Area area in _areas.All)
                bytes += area.Has(AreaFlags.Locked) ? area.Length : 0;
            return bytes;
        }
    }

    /// <summary>Tasks that use this space.</summary>
    public int Users => _users;

    public void AddUser() => _users++;

    /// <summary>The last one lets go of the mapped files.</summary>
    public void RemoveUser()
    {
        if (--_users > 0)
            return;
        foreach (Area area in _areas.Remove(0, ulong.MaxValue))
            area.File?.Release();
        SetProgram(null);
        foreach (AioContext context in _aioContexts.Values)
            context.Destroy();
        _aioContexts.Clear();
    }

    /// <summary>The contexts of io_setup(2) by their ids, addresses in this space.</summary>
    internal SortedDictionary<ulong, AioContext> AioContexts => _aioContexts;

    /// <summary>The file that is executed (/proc/PID/exe); nobody may write to it.</summary>
    public InodeFile? Program => _program;

    internal void SetProgram(FileObject? file)
    {
        if (_program is not null)
        {
            _program.Inode.DropExecution();
            _program.Release();
        }

        _program = file as InodeFile;
        if (_program is not null)
        {
            _program.AddReference();
            _program.Inode.AddExecution();
        }
    }

    /// <summary>What fork gives the child: the same areas over the child's copy of the memory.</summary>
    public MemoryManager Copy(IAddressSpace space)
    {
        var copy = new MemoryManager(space, _limit)
        {
            _imageRanges = _imageRanges.Copy(),
            _breakStart = _breakStart,
            _break = _break,
            _mappingTop = _mappingTop,
            _auxiliaryVector = _auxiliaryVector,
            _argumentsStart = _argumentsStart,
            _argumentsEnd = _argumentsEnd,
            _environmentStart = _environmentStart,
            _environmentEnd = _environmentEnd,
            _stackTop = _stackTop,
            _patches = _patches?.Copy(),
        };
        copy.SetProgram(_program);
        foreach (Area area in _areas.All)
        {
            // Locks are not inherited (mlock(2)).
            Area same = area.Slice(area.Start, area.End);
            same.Flags &= ~(AreaFlags.Locked | AreaFlags.LockOnFault);
            copy._areas.Insert(same);
        }

        return copy;
    }

    /// <summary>What identifies a futex or the like in memory that processes share: the mapped file and the offset in it; false for private memory.</summary>
    public bool TryGetSharedKey(ulong address, [NotNullWhen(true)] out FileObject? file, out ulong offset)
    {
        Area? area = _areas.Find(address);
        file = area is { IsShared: true } ? area.File : null;
        offset = file is null ? 0 : area!.OffsetOf(address);
        return file is not null;
    }

    /// <summary>The platform's side.</summary>
    public IAddressSpace Space
    {
        get => _space;
        set => _space = value;
    }

    /// <summary>What has been rewritten of the program's text; null for nothing.</summary>
    internal TextPatches? Patches
    {
        get => _patches;
        set => _patches = value;
    }

    /// <summary>While a handler runs: memory that came along with its call.</summary>
    internal ICallMailbox? Mailbox
    {
        get => _mailbox;
        set => _mailbox = value;
    }

    /// <summary>Copies from guest memory; returns the bytes copied, short at an unreadable page.</summary>
    public int Read(ulong address, Span<byte> destination)
    {
        if (destination.Length == 0)
            return 0;
        if (_mailbox is { } mailbox)
        {
            if (mailbox.Read(address, destination) is var came && came == destination.Length)
                return came;
            mailbox.Flush(); // it may be about to read what it has written
        }

        return IsMapped(address, destination.Length, MemoryProtection.Read) ? _space.ReadMapped(address, destination) : _space.Read(address, destination);
    }

    /// <summary>Copies to guest memory; returns the bytes copied, short at an unwritable page.</summary>
    public int Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (source.Length == 0)
            return 0;
        if (_mailbox is { } mailbox && IsPlainData(address, source.Length) && mailbox.Write(address, source))
            return source.Length;
        return IsMapped(address, source.Length, MemoryProtection.Write) ? _space.WriteMapped(address, source) : _space.Write(address, source);
    }

    /// <summary>Reads a plain struct of <see cref="Abi"/>; false is EFAULT.</summary>
    public bool TryRead<T>(ulong address, out T value)
        where T : unmanaged
    {
        value = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref value, 1));
        return Read(address, bytes) == bytes.Length;
    }

    /// <summary>Writes a plain struct of <see cref="Abi"/>; false is EFAULT.</summary>
    public bool TryWrite<T>(ulong address, in T value)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(in value, 1));
        return Write(address, bytes) == bytes.Length;
    }

    /// <summary>All of the bytes or false.</summary>
    public bool TryReadAll(ulong address, Span<byte> destination) => Read(address, destination) == destination.Length;

    public bool TryWriteAll(ulong address, ReadOnlySpan<byte> source) => Write(address, source) == source.Length;

    /// <summary>Reads a NUL-terminated byte string of at most <paramref name="limit"/> bytes with its NUL, each byte a char of the result
    /// (Latin-1; file names are bytes). EFAULT, or <paramref name="tooLong"/> when there is no NUL in time.</summary>
    public Result<string> ReadString(ulong address, int limit, Errno tooLong = Errno.ENAMETOOLONG)
    {
        Span<byte> page = stackalloc byte[512];
        System.Text.StringBuilder? longer = null;
        int total = 0;
        while (total < limit)
        {
            // Never across a page border: the next page may not be there and need not be.
            int want = (int)Math.Min((ulong)Math.Min(page.Length, limit - total), 4096 - (address & 4095));
            int got = _mailbox?.Read(address, page[..want]) ?? 0;
            if (got == 0)
                got = Read(address, page[..want]);
            if (got <= 0)
                return Errno.EFAULT;
            int end = page[..got].IndexOf((byte)0);
            ReadOnlySpan<byte> piece = page[..(end < 0 ? got : end)];
            if (end >= 0 && longer is null)
                return System.Text.Encoding.Latin1.GetString(piece);
            longer ??= new System.Text.StringBuilder();
            longer.Append(System.Text.Encoding.Latin1.GetString(piece));
            if (end >= 0)
                return longer.ToString();
            total += got;
            address += (ulong)got;
        }

        return tooLong;
    }

    /// <summary>Whether a range lies in one area that allows that. What does not may still be accessible: the host finds out.</summary>
    private bool IsMapped(ulong address, int length, MemoryProtection protection) =>
        _areas.Find(address) is { } area && (area.Protection & protection) != 0 && (ulong)length <= area.End - address;

    /// <summary>Whether a range is private zero-based memory that the program may write: storing there cannot fail.</summary>
    private bool IsPlainData(ulong address, int length) =>
        _areas.Find(address) is { File: null } area && (area.Protection & MemoryProtection.Write) != 0 && (ulong)length <= area.End - address;

    /// <summary>A path argument: at most PATH_MAX bytes with the NUL, else ENAMETOOLONG.</summary>
    public Result<string> ReadPath(ulong address) => ReadString(address, 4096);
}
