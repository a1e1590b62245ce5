using System.Globalization;
using System.Text;

namespace Sentry.Kernel.Ipc;

/// <summary>POSIX message queues as a file system (mq_overview(7)); one for each IPC namespace.</summary>
[Savable("mqueue-filesystem")]
internal sealed partial class MqueueFileSystem : FileSystem
{
    [Saved(1)] private IpcNamespace _space;
    [Saved(2)] private Dentry _root;

    internal MqueueFileSystem(GuestKernel kernel, IpcNamespace space)
        : base(kernel, "mqueue")
    {
        _space = space;
        _root = new Dentry(new MqueueDirectory(this));
    }

    internal IpcNamespace Space => _space;

    internal Dentry Root => _root;

    public override string TypeName => "mqueue";

    public override FileSystemStatus GetStatus() => new(0x19800202, 4096, 0, 0, 0, 0, 255);
}

/// <summary>Where queues have their names; nothing else can be made in it.</summary>
[Savable("mqueue-directory")]
internal sealed partial class MqueueDirectory : MemoryDirectory
{
    internal MqueueDirectory(MqueueFileSystem fileSystem)
        : base(fileSystem, S.IFDIR | 0x3FF, 0, 0)
    {
    }

    /// <summary>A queue of default size (open(2) with O_CREAT in a mounted mqueue file system).</summary>
    public override Result<Inode> Create(string name, in NewNode node)
    {
        if (!S.IsRegular(node.Mode))
            return Errno.EPERM;
        IpcNamespace limits = ((MqueueFileSystem)FileSystem).Space;
        return Add(name, node, new MqueueLimits(limits.DefaultQueueLength, limits.DefaultQueueMessageSize));
    }

    internal MqueueInode Add(string name, in NewNode node, MqueueLimits limits)
    {
        var made = new MqueueInode((MqueueFileSystem)FileSystem, node.Mode, node.Uid, node.Gid, limits);
        Insert(name, made);
        TouchModified();
        return made;
    }

    public override Errno Link(string name, Inode target) => Errno.EPERM;

    public override Errno Rename(string oldName, Inode child, Inode newParent, string newName, Inode? replaced, bool exchange) => Errno.EPERM;
}

/// <summary>mq_maxmsg and mq_msgsize.</summary>
internal readonly record struct MqueueLimits(long Messages, long MessageSize)
{
    /// <summary>What RLIMIT_MSGQUEUE counts of a queue: the texts, and for each message a header and a node of the priority tree (getrlimit(2)).</summary>
    internal ulong Charge => ((ulong)Messages * 96) + ((ulong)Messages * (ulong)MessageSize);
}

/// <summary>A message of a POSIX queue.</summary>
[Savable("mqueue-message")]
internal sealed partial class MqueueMessage
{
    [Saved(1)] public uint Priority;
    [Saved(2)] public byte[] Text;

    internal MqueueMessage(uint priority, byte[] text)
    {
        Priority = priority;
        Text = text;
    }
}

/// <summary>Who is told of a message that comes to an empty queue (mq_notify(3)).</summary>
[Savable("mqueue-notification")]
internal sealed partial class MqueueNotification
{
    [Saved(1)] public ThreadGroup Group;

    /// <summary>0: nothing is sent (SIGEV_NONE).</summary>
    [Saved(2)] public int Signal;

    [Saved(3)] public ulong Value;

    internal MqueueNotification(ThreadGroup group, int signal, ulong value)
    {
        Group = group;
        Signal = signal;
        Value = value;
    }
}

/// <summary>What a task waits for in mq_receive or mq_send; a message that a receiver waits for notifies nobody.</summary>
[Savable("mqueue-wait")]
internal sealed partial class MqueueWait : CallState
{
    [Saved(1)] public MqueueInode Queue;
    [Saved(2)] public bool Receives;

    internal MqueueWait(MqueueInode queue, bool receives)
    {
        Queue = queue;
        Receives = receives;
    }
}

/// <summary>A POSIX message queue.</summary>
[Savable("mqueue")]
internal sealed partial class MqueueInode : Inode
{
    [Saved(1)] private long _maxMessages;
    [Saved(2)] private long _messageSize;
    [Saved(3)] private List<MqueueMessage> _messages = [];
    [Saved(4)] private MqueueNotification? _notification;
    [Saved(5)] private uint _creator;
    [NotSaved("blocked calls register again when they are tried again")] private readonly WaitQueue _waiters = new();

    internal MqueueInode(MqueueFileSystem fileSystem, uint mode, uint uid, uint gid, MqueueLimits limits)
        : base(fileSystem, mode, uid, gid)
    {
        _maxMessages = limits.Messages;
        _messageSize = limits.MessageSize;
        _creator = uid;
        fileSystem.Space.AddQueueCharge(uid, limits.Charge);
    }

    internal MqueueLimits Limits => new(_maxMessages, _messageSize);

    /// <summary>mq_curmsgs.</summary>
    internal int Count => _messages.Count;

    internal bool IsFull => _messages.Count >= _maxMessages;

    internal WaitQueue Waiters => _waiters;

    internal MqueueNotification? Notification
    {
        get => _notification;
        set => _notification = value;
    }

    /// <summary>As long as the text that reading it gives.</summary>
    public override long Size => 80;

    public override long Blocks => 0;

    public override Result<FileObject> Open(Task? caller, in VfsPath path, OpenFlags flags) => new MqueueFile(path, this, flags);

    /// <summary>O_TRUNC does nothing.</summary>
    public override Errno Truncate(long length) => Errno.None;

    /// <summary>Puts a message behind those of its priority and above; there is room.</summary>
    internal void Send(Task sender, MqueueMessage message)
    {
        int place = _messages.Count;
        while (place > 0 && _messages[place - 1].Priority < message.Priority)
            place--;
        _messages.Insert(place, message);
        TouchModified();
        if (_messages.Count == 1 && _notification is { } notification && !HasReceiver())
        {
            _notification = null;
            if (notification.Signal != 0)
                SignalDelivery.SendToProcess(notification.Group, SignalInfo.Message(notification.Signal, sender.Group.Pid, sender.Credentials.Uid, notification.Value));
        }

        _waiters.Wake(PollEvents.In);
    }

    /// <summary>The oldest message of the highest priority; there is one.</summary>
    internal MqueueMessage Receive()
    {
        MqueueMessage message = _messages[0];
        _messages.RemoveAt(0);
        AccessTime = FileSystem.Now;
        _waiters.Wake(PollEvents.Out);
        return message;
    }

    internal string Describe()
    {
        long bytes = 0;
        foreach (MqueueMessage message in _messages)
            bytes += message.Text.Length;
        int kind = _notification is null ? 0 : _notification.Signal == 0 ? 1 : 0;
        return string.Create(CultureInfo.InvariantCulture,
            $"QSIZE:{bytes,-10} NOTIFY:{kind,-5} SIGNO:{_notification?.Signal ?? 0,-5} NOTIFY_PID:{_notification?.Group.Pid ?? 0,-6}\n");
    }

    private bool HasReceiver()
    {
        foreach (Task task in FileSystem.Kernel.Tasks.Values)
        {
            if (task.IsInCall && task.CurrentCall?.State is MqueueWait { Receives: true } wait && ReferenceEquals(wait.Queue, this))
                return true;
        }

        return false;
    }

    protected override void OnEvicted() => ((MqueueFileSystem)FileSystem).Space.DropQueueCharge(_creator, Limits.Charge);
}

/// <summary>An open message queue; reading it as a file gives one line about it.</summary>
[Savable("mqueue-file")]
internal sealed partial class MqueueFile : InodeFile
{
    [Saved(1)] private MqueueInode _queue;

    internal MqueueFile(in VfsPath path, MqueueInode queue, OpenFlags flags)
        : base(path, flags)
    {
        _queue = queue;
    }

    internal MqueueInode Queue => _queue;

    public override WaitQueue? WaitQueue => _queue.Waiters;

    public override PollEvents Poll() =>
        (_queue.Count > 0 ? PollEvents.ReadMask : PollEvents.None) | (_queue.IsFull ? PollEvents.None : PollEvents.WriteMask);

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        Result<long> moved = ReadAt(caller, destination, Offset);
        if (moved.IsOk)
            Offset += moved.Value;
        return moved;
    }

    public override Result<long> ReadAt(Task caller, in UserBuffer destination, long offset)
    {
        byte[] text = Encoding.Latin1.GetBytes(_queue.Describe());
        if (offset >= text.Length || destination.Length == 0)
            return 0;
        int moved = destination.CopyOut(text.AsSpan((int)offset));
        return moved > 0 ? moved : Errno.EFAULT;
    }

    /// <summary>A process that closes a descriptor of the queue is no longer told (mq_close(3)).</summary>
    public override void OnDescriptorClosed(ThreadGroup group)
    {
        base.OnDescriptorClosed(group);
        if (ReferenceEquals(_queue.Notification?.Group, group))
            _queue.Notification = null;
    }
}
