namespace Sentry.Kernel.Files;

/// <summary>F_SEAL_* of memfd_create(2).</summary>
[Flags]
public enum FileSeals
{
    None = 0,
    Seal = 1,
    Shrink = 2,
    Grow = 4,
    Write = 8,
    FutureWrite = 16,
    Exec = 32,
}

/// <summary>A regular file whose bytes are kernel state (tmpfs, overlay, memfd).</summary>
[Savable("memory-file")]
public partial class MemoryFile : Inode
{
    [Saved(1)] private FileData? _data;
    [Saved(2)] private FileSeals _seals = FileSeals.Seal;
    [Saved(3)] private bool _everWritable;
    [Saved(4)] private ExtendedAttributes? _extended;
    [Saved(5)] private long _charged;

    public MemoryFile(FileSystem fileSystem, uint mode, uint uid, uint gid)
        : base(fileSystem, mode, uid, gid)
    {
    }

    protected MemoryFile(FileSystem fileSystem, ulong number, uint mode, uint uid, uint gid)
        : base(fileSystem, number, mode, uid, gid)
    {
    }

    /// <summary>Its bytes; made when first asked for.</summary>
    public FileData Data => _data ??= MakeData();

    /// <summary>Whether anything has asked for its bytes.</summary>
    protected bool HasData => _data is not null;

    /// <summary>What it holds at first: nothing.</summary>
    protected virtual FileData MakeData() => new(FileSystem.Kernel.FileData);

    public FileSeals Seals
    {
        get => _seals;
        set => _seals = value;
    }

    /// <summary>Whether it was ever opened for writing: from then on shared mappings need the file's own pages.</summary>
    internal bool EverWritable => _everWritable;

    public override long Size => _data?.Size ?? 0;

    public override long Blocks => (_data?.AllocatedBytes ?? 0) / 512;

    /// <summary>Called before content or attributes change (copy-up).</summary>
    protected internal virtual Errno PrepareChange() => Errno.None;

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags)
    {
        if ((flags & OpenFlags.AccessMode) != OpenFlags.ReadOnly)
        {
            Errno error = PrepareChange();
            if (error != Errno.None)
                return error;
            _everWritable = true;
        }

        return new RegularFile(path, this, flags);
    }

    public override Errno Truncate(long length)
    {
        if ((length < Size && (_seals & FileSeals.Shrink) != 0) || (length > Size && (_seals & FileSeals.Grow) != 0))
            return Errno.EPERM;
        bool cuts = length < Size;
        Errno error = PrepareChange();
        if (error == Errno.None)
            error = Data.Truncate(length);
        Settle();
        if (error != Errno.None)
            return error;
        TouchModified();
        if (cuts && Data.IsMapped)
            CutMappings.Apply(FileSystem.Kernel, this, length);
        return Errno.None;
    }

    public override Errno SetAttributes(in AttributeChange change)
    {
        Errno error = PrepareChange();
        return error != Errno.None ? error : base.SetAttributes(change);
    }

    public override ExtendedAttributes ExtendedAttributes => _extended ??= LoadExtendedAttributes();

    /// <summary>Those it has at first.</summary>
    protected virtual ExtendedAttributes LoadExtendedAttributes() => new();

    protected internal override Errno PrepareAttributeChange() => PrepareChange();

    /// <summary>A change of the content takes the file's capabilities away (capabilities(7)).</summary>
    internal void DropCapabilities() => _extended?.Remove(Files.ExtendedAttributes.CapabilityName);

    /// <summary>A write by somebody without CAP_FSETID takes set-user-id and set-group-id away.</summary>
    internal void DropPrivilegeBits()
    {
        Mode &= ~S.ISUID;
        if ((Mode & 0x8) != 0)
            Mode &= ~S.ISGID;
    }

    protected override void OnEvicted()
    {
        _data?.Dispose();
        Settle();
    }

    /// <summary>How far from <paramref name="start"/> towards <paramref name="end"/> the file system has room; ENOSPC when not for one byte.</summary>
    internal Result<long> Reach(long start, long end)
    {
        if (FileSystem.Quota is not { } quota)
            return end;
        long reached = Data.Reach(start, end, quota.Free);
        return reached > start ? reached : Errno.ENOSPC;
    }

    /// <summary>Counts what the last change took or gave back.</summary>
    internal void Settle()
    {
        if (FileSystem.Quota is not { } quota)
            return;
        long now = _data?.AllocatedBytes ?? 0;
        quota.Charge(now - _charged);
        _charged = now;
    }
}

/// <summary>A symbolic link kept in memory.</summary>
[Savable("memory-symlink")]
public partial class MemorySymlink : Inode
{
    [Saved(1)] private string _target;
    [Saved(2)] private ExtendedAttributes? _extended;

    public MemorySymlink(FileSystem fileSystem, string target, uint uid, uint gid)
        : base(fileSystem, S.IFLNK | 0x1FF, uid, gid)
    {
        _target = target;
    }

    protected MemorySymlink(FileSystem fileSystem, ulong number, string target, uint uid, uint gid)
        : base(fileSystem, number, S.IFLNK | 0x1FF, uid, gid)
    {
        _target = target;
    }

    public override long Size => _target.Length;

    public override long Blocks => 0;

    public override Result<string> ReadLink(Task? caller) => _target;

    public override ExtendedAttributes ExtendedAttributes => _extended ??= LoadExtendedAttributes();

    /// <summary>Those it has at first.</summary>
    protected virtual ExtendedAttributes LoadExtendedAttributes() => new();

    protected internal override Errno PrepareAttributeChange() => PrepareChange();

    /// <summary>Called before attributes or links change (copy-up).</summary>
    protected internal virtual Errno PrepareChange() => Errno.None;

    public override Errno SetAttributes(in AttributeChange change)
    {
        Errno error = PrepareChange();
        return error != Errno.None ? error : base.SetAttributes(change);
    }
}

/// <summary>A device node, a FIFO or a socket's name.</summary>
[Savable("memory-special")]
public partial class MemorySpecial : Inode
{
    [Saved(1)] private FileObject? _bound;

    public MemorySpecial(FileSystem fileSystem, uint mode, uint uid, uint gid, ulong device)
        : base(fileSystem, mode, uid, gid)
    {
        SpecialDevice = device;
    }

    protected MemorySpecial(FileSystem fileSystem, ulong number, uint mode, uint uid, uint gid, ulong device)
        : base(fileSystem, number, mode, uid, gid)
    {
        SpecialDevice = device;
    }

    [Saved(2)] private Pipe? _pipe;
    [Saved(3)] private List<FifoOpen> _openers = [];
    [Saved(4)] private ExtendedAttributes? _extended;

    public override ExtendedAttributes ExtendedAttributes => _extended ??= new ExtendedAttributes();

    /// <summary>What all who open the FIFO share.</summary>
    internal Pipe Pipe => _pipe ??= new Pipe();

    public override FileObject? BoundSocket
    {
        get => _bound;
        set => _bound = value;
    }

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => (Mode & S.IFMT) switch
    {
        S.IFCHR => CharacterDevices.Open(caller, path, this, flags),
        S.IFIFO => OpenFifo(caller, path, flags),
        _ => Errno.ENXIO,
    };

    /// <summary>EAGAIN with a <see cref="FifoOpen"/> in the caller's call: it waits for the other end.</summary>
    private Result<FileObject> OpenFifo(Task? caller, in VfsPath path, OpenFlags flags)
    {
        OpenFlags access = flags & OpenFlags.AccessMode;
        bool reads = access != OpenFlags.WriteOnly, writes = access != OpenFlags.ReadOnly;
        _openers.RemoveAll(opener => !opener.IsWaiting);
        bool peer = (reads && writes) || (reads ? Pipe.Writers > 0 : Pipe.Readers > 0) || _openers.Exists(opener => opener.IsReader != reads);
        if (!peer && (flags & OpenFlags.NonBlock) != 0 && !reads)
            return Errno.ENXIO;
        if (!peer && (flags & OpenFlags.NonBlock) == 0 && caller?.CurrentCall is { } call)
        {
            var opener = new FifoOpen(caller, path, flags);
            _openers.Add(opener);
            call.State = opener;
            return Errno.EAGAIN;
        }

        var file = new FifoFile(path, this, Pipe, flags);
        foreach (FifoOpen opener in _openers)
        {
            if (opener.IsReader ? writes : reads)
                opener.Grant(Pipe);
        }

        Pipe.Waiters.Wake();
        return file;
    }
}
