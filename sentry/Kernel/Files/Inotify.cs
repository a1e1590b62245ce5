using System.Buffers.Binary;

namespace Sentry.Kernel.Files;

/// <summary>An event that waits to be read (struct inotify_event).</summary>
[Savable("inotify-event")]
internal sealed partial class InotifyEvent
{
    [Saved(1)] public int Watch;
    [Saved(2)] public uint Mask;
    [Saved(3)] public uint Cookie;

    /// <summary>Empty for an event of the watched file itself.</summary>
    [Saved(4)] public string Name;

    internal InotifyEvent(int watch, uint mask, uint cookie, string name)
    {
        Watch = watch;
        Mask = mask;
        Cookie = cookie;
        Name = name;
    }

    internal bool IsSame(InotifyEvent other) => Watch == other.Watch && Mask == other.Mask && Cookie == other.Cookie && Name == other.Name;

    /// <summary>Bytes of the record: header and name with its NUL, padded to headers.</summary>
    internal int Size => 16 + (Name.Length == 0 ? 0 : (Name.Length + 1 + 15) & ~15);
}

/// <summary>A watch of an inotify instance.</summary>
[Savable("inotify-watch")]
internal sealed partial class InotifyWatch : FileWatch
{
    private const uint ExcludeUnlinked = 0x04000000, OneShot = 0x80000000;

    [Saved(1)] private InotifyFile _instance;
    [Saved(2)] private int _descriptor;

    internal InotifyWatch(InotifyFile instance, int descriptor, in VfsPath path, uint mask)
        : base(path, mask)
    {
        _instance = instance;
        _descriptor = descriptor;
    }

    internal int Descriptor => _descriptor;

    internal override bool WantsUnlinked => (Mask & ExcludeUnlinked) == 0;

    internal override void OnEvent(uint mask, uint cookie, string? name)
    {
        if ((Mask & mask & FileEvent.All) == 0)
            return;
        _instance.Enqueue(_descriptor, mask & (FileEvent.All | FileEvent.IsDirectory), cookie, name ?? "");
        if ((Mask & OneShot) != 0)
            _instance.Remove(this);
    }

    internal override void OnGone(uint lastEvent)
    {
        if (lastEvent == FileEvent.Unmount || (Mask & lastEvent) != 0)
            _instance.Enqueue(_descriptor, lastEvent, 0, "");
        _instance.Remove(this);
    }
}

/// <summary>An inotify instance (inotify_init(2)).</summary>
[Savable("inotify-file")]
internal sealed partial class InotifyFile : FileObject
{
    private const uint FionRead = 0x541B;

    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private SortedDictionary<int, InotifyWatch> _watches = [];
    [Saved(3)] private Queue<InotifyEvent> _events = new();
    [Saved(4)] private int _lastDescriptor;
    [Saved(5)] private InotifyEvent? _newest;
    [Saved(6)] private uint _owner;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal override bool RaisesSignals => true;

    internal InotifyFile(Task creator, OpenFlags flags)
        : base(OpenFlags.ReadOnly | flags)
    {
        _kernel = creator.Kernel;
        _owner = creator.Credentials.Uid;
        _kernel.CountInotify(_owner, 1);
    }

    internal SortedDictionary<int, InotifyWatch> Watches => _watches;

    public override WaitQueue? WaitQueue => _waiters;

    public override PollEvents Poll() => _events.Count > 0 ? PollEvents.ReadMask : PollEvents.None;

    public override string Describe() => "anon_inode:inotify";

    public override string DescribeDetails()
    {
        var text = new System.Text.StringBuilder();
        foreach (InotifyWatch watch in _watches.Values)
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"inotify wd:{watch.Descriptor:x} ino:{watch.Inode.Number:x} sdev:{watch.Inode.FileSystem.Device:x} mask:{watch.Mask:x} ignored_mask:0 \n");
        return text.ToString();
    }

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;

    internal InotifyWatch? Find(Inode inode)
    {
        foreach (InotifyWatch watch in _watches.Values)
        {
            if (ReferenceEquals(watch.Inode, inode))
                return watch;
        }

        return null;
    }

    internal int Add(in VfsPath path, uint mask)
    {
        var watch = new InotifyWatch(this, ++_lastDescriptor, path, mask);
        _watches.Add(watch.Descriptor, watch);
        watch.Attach();
        return watch.Descriptor;
    }

    /// <summary>The watch ends: IN_IGNORED is its last event.</summary>
    internal void Remove(InotifyWatch watch)
    {
        if (!_watches.Remove(watch.Descriptor))
            return;
        watch.Detach();
        Enqueue(watch.Descriptor, FileEvent.Ignored, 0, "");
    }

    internal void Enqueue(int watch, uint mask, uint cookie, string name)
    {
        var made = new InotifyEvent(watch, mask, cookie, name);

        // An event equal to the one before it is not told twice (inotify(7)).
        if (_events.Count > 0 && _newest is { } last && made.IsSame(last))
            return;
        if (_events.Count >= _kernel.Settings.InotifyEvents)
        {
            if (_newest is { Mask: FileEvent.Overflow })
                return;
            made = new InotifyEvent(-1, FileEvent.Overflow, 0, "");
        }

        _newest = made;
        _events.Enqueue(made);
        _waiters.Wake(PollEvents.ReadMask);
    }

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (_events.Count == 0)
            return Errno.EAGAIN;
        long done = 0;
        while (_events.TryPeek(out InotifyEvent? next) && next.Size <= destination.Length - done)
        {
            byte[] record = new byte[next.Size];
            BinaryPrimitives.WriteInt32LittleEndian(record, next.Watch);
            BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(4), next.Mask);
            BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), next.Cookie);
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(12), record.Length - 16);
            System.Text.Encoding.Latin1.GetBytes(next.Name, record.AsSpan(16));
            if (destination.CopyOut(record, done) < record.Length)
                return done > 0 ? done : Errno.EFAULT;
            _events.Dequeue();
            done += record.Length;
        }

        return done > 0 ? done : Errno.EINVAL;
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        if (request != FionRead)
            return Errno.ENOTTY;
        int bytes = 0;
        foreach (InotifyEvent waiting in _events)
            bytes += waiting.Size;
        return caller.TryWrite(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    protected override void OnRelease()
    {
        foreach (InotifyWatch watch in _watches.Values)
            watch.Detach();
        _watches.Clear();
        _events.Clear();
        _kernel.CountInotify(_owner, -1);
    }
}

/// <summary>System calls: inotify_init, inotify_init1, inotify_add_watch, inotify_rm_watch.</summary>
internal static class InotifySyscalls
{
    private const uint OnlyDirectory = 0x01000000, DontFollow = 0x02000000, ExcludeUnlinked = 0x04000000, MaskCreate = 0x10000000, MaskAdd = 0x20000000, OneShot = 0x80000000;

    internal static SyscallResult InotifyInit(Task task, in SyscallArgs args) => Make(task, 0);

    internal static SyscallResult InotifyInit1(Task task, in SyscallArgs args) => Make(task, (OpenFlags)args.I0);

    private static SyscallResult Make(Task task, OpenFlags flags)
    {
        if ((flags & ~(OpenFlags.NonBlock | OpenFlags.CloseOnExec)) != 0)
            return Errno.EINVAL;
        if (task.Kernel.CountInotify(task.Credentials.Uid, 0) >= task.Kernel.Settings.InotifyInstances)
            return Errno.EMFILE;
        return task.AddFile(new InotifyFile(task, flags & OpenFlags.NonBlock), (flags & OpenFlags.CloseOnExec) != 0);
    }

    internal static SyscallResult InotifyAddWatch(Task task, in SyscallArgs args)
    {
        uint mask = (uint)args.A2;
        if ((mask & FileEvent.All) == 0 || (mask & (MaskAdd | MaskCreate)) == (MaskAdd | MaskCreate))
            return Errno.EINVAL;
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not InotifyFile instance)
            return Errno.EINVAL;
        WalkFlags walk = ((mask & DontFollow) != 0 ? WalkFlags.NoFollow : 0) | ((mask & OnlyDirectory) != 0 ? WalkFlags.MustBeDirectory : 0);
        if (!task.Memory.ReadPath(args.A1).TryGet(out string? path, out Errno error) || !PathWalker.Walk(task, path, walk).TryGet(out VfsPath place, out error))
            return error;
        error = place.Inode.CheckAccess(task.Credentials, FileAccessMask.Read);
        if (error != Errno.None)
            return error;
        uint kept = mask & (FileEvent.All | ExcludeUnlinked | OneShot);
        if (instance.Find(place.Inode) is { } there)
        {
            if ((mask & MaskCreate) != 0)
                return Errno.EEXIST;
            there.Mask = (mask & MaskAdd) != 0 ? there.Mask | kept : kept;
            return there.Descriptor;
        }

        return instance.Watches.Count >= task.Kernel.Settings.InotifyWatches ? Errno.ENOSPC : instance.Add(place, kept);
    }

    internal static SyscallResult InotifyRmWatch(Task task, in SyscallArgs args)
    {
        if (!task.TryGetFile(args.I0, out FileObject? file))
            return Errno.EBADF;
        if (file is not InotifyFile instance || !instance.Watches.TryGetValue(args.I1, out InotifyWatch? watch))
            return Errno.EINVAL;
        instance.Remove(watch);
        return SyscallResult.Ok;
    }
}
