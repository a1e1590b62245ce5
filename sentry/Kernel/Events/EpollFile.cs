using System.Buffers.Binary;

namespace Sentry.Kernel.Events;

/// <summary>The flags in an epoll_event's events beside the poll bits (epoll_ctl(2)).</summary>
internal static class EpollFlags
{
    internal const uint EdgeTriggered = 1u << 31, OneShot = 1u << 30, WakeUp = 1u << 29, Exclusive = 1u << 28, Mask = EdgeTriggered | OneShot | WakeUp | Exclusive;
}

/// <summary>A watched file of an epoll set. It refers to the file without keeping it open: when the last descriptor goes, so does the item (epoll(7)).</summary>
[Savable("epoll-item")]
internal sealed partial class EpollItem : IExclusiveWaiter, IFileWatcher, IAfterLoad
{
    [Saved(1)] private EpollFile _epoll;
    [Saved(2)] private FileObject _file;
    [Saved(3)] private int _descriptor;
    [Saved(4)] private uint _events;
    [Saved(5)] private ulong _data;
    [Saved(6)] private bool _isQueued;
    [Saved(7)] private bool _isRemoved;
    [Saved(8)] private bool _isDisarmed;
    [Saved(9)] private EpollItem? _next;

    internal EpollItem(EpollFile epoll, FileObject file, int descriptor)
    {
        _epoll = epoll;
        _file = file;
        _descriptor = descriptor;
    }

    internal FileObject File => _file;

    internal int Descriptor => _descriptor;

    internal uint Events => _events;

    internal ulong Data => _data;

    internal bool IsRemoved => _isRemoved;

    /// <summary>In the set's list of items that may be ready.</summary>
    internal bool IsQueued
    {
        get => _isQueued;
        set => _isQueued = value;
    }

    /// <summary>The item of another file that had the same descriptor number.</summary>
    internal EpollItem? Next
    {
        get => _next;
        set => _next = value;
    }

    /// <summary>What the file is ready for, of what is wanted.</summary>
    internal PollEvents Ready() => _isRemoved || _isDisarmed ? PollEvents.None : _file.Poll() & Wanted;

    private PollEvents Wanted => (PollEvents)(_events & ~EpollFlags.Mask) | PollEvents.Err | PollEvents.Hup;

    /// <summary>EPOLL_CTL_ADD and EPOLL_CTL_MOD; arms a one-shot item again.</summary>
    internal void Watch(uint events, ulong data)
    {
        Unregister();
        _events = events;
        _data = data;
        _isDisarmed = false;
        Register();
        if (Ready() != 0)
            _epoll.Enqueue(this);
    }

    /// <summary>EPOLLONESHOT: reported once, silent until the next EPOLL_CTL_MOD.</summary>
    internal void Disarm() => _isDisarmed = true;

    internal void Remove()
    {
        _isRemoved = true;
        Unregister();
    }

    void IWaiter.OnWake(WaitQueue queue, PollEvents events)
    {
        if (!_isDisarmed)
            _epoll.Enqueue(this);
    }

    bool IExclusiveWaiter.OnWakeExclusive(WaitQueue queue, PollEvents events)
    {
        if (_isDisarmed)
            return false;
        bool waited = !_epoll.WaitQueue!.IsEmpty;
        _epoll.Enqueue(this);
        return waited;
    }

    void IFileWatcher.OnFileReleased(FileObject file)
    {
        _epoll.Forget(this);
        _isRemoved = true;
        file.WaitQueue?.Remove(this);
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links && !_isRemoved)
            Register();
    }

    private void Register()
    {
        if ((_events & EpollFlags.Exclusive) != 0)
            _file.WaitQueue?.AddExclusive(this, Wanted);
        else
            _file.WaitQueue?.Add(this, Wanted);
        _file.AddWatcher(this);
    }

    private void Unregister()
    {
        _file.WaitQueue?.Remove(this);
        _file.RemoveWatcher(this);
    }
}

/// <summary>An interest list with its ready list (epoll(7)).</summary>
[Savable("epoll-file")]
internal sealed partial class EpollFile : FileObject
{
    private const int MaxNesting = 5, Batch = 32;

    [Saved(1)] private Dictionary<int, EpollItem> _items = [];
    [Saved(2)] private Queue<EpollItem> _ready = new();
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();
    [NotSaved("used within a call")] private readonly EpollItem?[] _batch = new EpollItem?[Batch];

    internal EpollFile()
        : base(OpenFlags.ReadWrite)
    {
    }

    public override WaitQueue? WaitQueue => _waiters;

    /// <summary>The file of an item, the <paramref name="place"/>th of those with this descriptor number (kcmp(2)); null for none.</summary>
    internal FileObject? FindTarget(int descriptor, int place)
    {
        EpollItem? item = _items.GetValueOrDefault(descriptor);
        while (item is not null && place-- > 0)
            item = item.Next;
        return item?.File;
    }

    public override string Describe() => "anon_inode:[eventpoll]";

    public override Result<FileStatus> GetStatus() => AnonymousInode.Status;

    /// <summary>Ready to be read when an epoll_wait would report something. Items that turn out not to be ready leave the list.</summary>
    public override PollEvents Poll()
    {
        while (_ready.TryPeek(out EpollItem? item))
        {
            if (item.Ready() != 0)
                return PollEvents.ReadMask;
            _ready.Dequeue();
            item.IsQueued = false;
        }

        return PollEvents.None;
    }

    internal EpollItem? Find(int descriptor, FileObject file)
    {
        EpollItem? item = _items.GetValueOrDefault(descriptor);
        while (item is not null && item.File != file)
            item = item.Next;
        return item;
    }

    internal Errno Add(int descriptor, FileObject file, uint events, ulong data)
    {
        if (Find(descriptor, file) is not null)
            return Errno.EEXIST;
        if (file is EpollFile nested && (nested.Reaches(this, 0) || nested.Depth(0) >= MaxNesting))
            return Errno.ELOOP;
        var item = new EpollItem(this, file, descriptor) { Next = _items.GetValueOrDefault(descriptor) };
        _items[descriptor] = item;
        item.Watch(events, data);
        return Errno.None;
    }

    internal void Remove(EpollItem item)
    {
        item.Remove();
        Forget(item);
    }

    /// <summary>Takes the item off the interest list.</summary>
    internal void Forget(EpollItem item)
    {
        EpollItem? first = _items.GetValueOrDefault(item.Descriptor);
        if (first == item)
        {
            if (item.Next is { } next)
                _items[item.Descriptor] = next;
            else
                _items.Remove(item.Descriptor);
            return;
        }

        while (first is not null && first.Next != item)
            first = first.Next;
        if (first is not null)
            first.Next = item.Next;
    }

    /// <summary>The item may be ready.</summary>
    internal void Enqueue(EpollItem item)
    {
        if (!item.IsQueued)
        {
            item.IsQueued = true;
            _ready.Enqueue(item);
        }

        _waiters.Wake(PollEvents.ReadMask);
    }

    /// <summary>Reports up to <paramref name="limit"/> ready items as epoll_event at an address; how many. Level-triggered items stay in the list, at its end.</summary>
    internal Result<int> Collect(Task task, ulong address, int limit)
    {
        const int size = 12;
        int reported = 0, left = _ready.Count;
        Span<byte> bytes = stackalloc byte[size * Batch];
        while (left > 0 && reported < limit)
        {
            // Several are written to the guest at once: each write is a call to the host.
            int count = 0;
            for (; left > 0 && count < Batch && reported + count < limit; left--)
            {
                EpollItem item = _ready.Dequeue();
                item.IsQueued = false;
                PollEvents events = item.Ready();
                if (events == 0)
                    continue;
                BinaryPrimitives.WriteUInt32LittleEndian(bytes[(count * size)..], (uint)events);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes[((count * size) + 4)..], item.Data);
                _batch[count++] = item;
            }

            int written = task.Memory.Write(address + (ulong)(reported * size), bytes[..(count * size)]) / size;
            for (int i = 0; i < count; i++)
            {
                EpollItem item = _batch[i]!;
                _batch[i] = null;
                if (i < written && (item.Events & EpollFlags.OneShot) != 0)
                {
                    item.Disarm();
                }
                else if (i >= written || (item.Events & EpollFlags.EdgeTriggered) == 0)
                {
                    item.IsQueued = true;
                    _ready.Enqueue(item);
                }
            }

            reported += written;
            if (written < count)
                return reported > 0 ? reported : Errno.EFAULT;
        }

        return reported;
    }

    protected override void OnRelease()
    {
        foreach (EpollItem first in _items.Values)
        {
            for (EpollItem? item = first; item is not null; item = item.Next)
                item.Remove();
        }

        _items.Clear();
        _ready.Clear();
    }

    private bool Reaches(EpollFile target, int depth)
    {
        if (this == target || depth > MaxNesting)
            return true;
        foreach (EpollItem item in _items.Values)
        {
            if (item.File is EpollFile nested && nested.Reaches(target, depth + 1))
                return true;
        }

        return false;
    }

    private int Depth(int depth)
    {
        int deepest = 1;
        if (depth > MaxNesting)
            return deepest;
        foreach (EpollItem item in _items.Values)
        {
            if (item.File is EpollFile nested)
                deepest = Math.Max(deepest, 1 + nested.Depth(depth + 1));
        }

        return deepest;
    }
}
