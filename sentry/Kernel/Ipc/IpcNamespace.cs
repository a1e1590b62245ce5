namespace Sentry.Kernel.Ipc;

/// <summary>The System V objects and message queues that tasks see (ipc_namespaces(7)).</summary>
[Savable("ipc-namespace")]
public sealed partial class IpcNamespace : Namespace
{
    [Saved(1)] private IpcIds _segments = new(4096);
    [Saved(2)] private IpcIds _semaphores = new(32000);
    [Saved(3)] private IpcIds _queues = new(32000);
    [Saved(4)] private ulong _segmentSizeLimit = ulong.MaxValue - (1UL << 24);
    [Saved(5)] private ulong _segmentPageLimit = ulong.MaxValue - (1UL << 24);
    [Saved(6)] private int _messageSizeLimit = 8192;
    [Saved(7)] private int _queueSizeLimit = 16384;
    [Saved(8)] private int _setSizeLimit = 32000;
    [Saved(9)] private int _semaphoreLimit = 1024000000;
    [Saved(10)] private int _operationLimit = 500;

    internal IpcNamespace(GuestKernel kernel, UserNamespace owner)
        : base(kernel, owner)
    {
    }

    public override NamespaceKinds Kind => NamespaceKinds.Ipc;

    internal IpcIds Segments => _segments;

    internal IpcIds Semaphores => _semaphores;

    internal IpcIds Queues => _queues;

    /// <summary>kernel.shmmax, bytes.</summary>
    internal ulong SegmentSizeLimit
    {
        get => _segmentSizeLimit;
        set => _segmentSizeLimit = value;
    }

    /// <summary>kernel.shmall, pages of all segments together.</summary>
    internal ulong SegmentPageLimit
    {
        get => _segmentPageLimit;
        set => _segmentPageLimit = value;
    }

    /// <summary>kernel.msgmax, bytes of a message.</summary>
    internal int MessageSizeLimit
    {
        get => _messageSizeLimit;
        set => _messageSizeLimit = value;
    }

    /// <summary>kernel.msgmnb, bytes that a new queue holds.</summary>
    internal int QueueSizeLimit
    {
        get => _queueSizeLimit;
        set => _queueSizeLimit = value;
    }

    /// <summary>The first number of kernel.sem: semaphores of a set.</summary>
    internal int SetSizeLimit
    {
        get => _setSizeLimit;
        set => _setSizeLimit = value;
    }

    /// <summary>The second number of kernel.sem: semaphores of all sets.</summary>
    internal int SemaphoreLimit
    {
        get => _semaphoreLimit;
        set => _semaphoreLimit = value;
    }

    /// <summary>The third number of kernel.sem: operations of one semop(2).</summary>
    internal int OperationLimit
    {
        get => _operationLimit;
        set => _operationLimit = value;
    }

    // ---- POSIX message queues ------------------------------------------------------------------------------------

    [Saved(20)] private MqueueFileSystem? _mqueues;
    [Saved(21)] private Mount? _mqueueMount;
    [Saved(22)] private int _mqueueLimit = 256;
    [Saved(23)] private int _longestQueue = 10;
    [Saved(24)] private int _largestQueueMessage = 8192;
    [Saved(25)] private int _defaultQueueLength = 10;
    [Saved(26)] private int _defaultQueueMessageSize = 8192;
    [Saved(27)] private int _mqueueCount;
    [Saved(28)] private SortedDictionary<uint, ulong> _queueCharges = [];

    /// <summary>fs.mqueue.queues_max.</summary>
    internal int MqueueLimit
    {
        get => _mqueueLimit;
        set => _mqueueLimit = value;
    }

    /// <summary>fs.mqueue.msg_max.</summary>
    internal int LongestQueue
    {
        get => _longestQueue;
        set => _longestQueue = value;
    }

    /// <summary>fs.mqueue.msgsize_max.</summary>
    internal int LargestQueueMessage
    {
        get => _largestQueueMessage;
        set => _largestQueueMessage = value;
    }

    /// <summary>fs.mqueue.msg_default.</summary>
    internal int DefaultQueueLength
    {
        get => _defaultQueueLength;
        set => _defaultQueueLength = value;
    }

    /// <summary>fs.mqueue.msgsize_default.</summary>
    internal int DefaultQueueMessageSize
    {
        get => _defaultQueueMessageSize;
        set => _defaultQueueMessageSize = value;
    }

    /// <summary>Queues that exist, with a name or open.</summary>
    internal int MqueueCount => _mqueueCount;

    /// <summary>The queues as files; made when first asked for.</summary>
    internal Dentry GetMqueueRoot(GuestKernel kernel) => (_mqueues ??= new MqueueFileSystem(kernel, this)).Root;

    /// <summary>The mount that mq_open(2) works on, which no path leads to.</summary>
    internal Mount GetMqueueMount(GuestKernel kernel)
    {
        Dentry root = GetMqueueRoot(kernel);
        return _mqueueMount ??= kernel.MountRegistry.MakeInternal(root.Inode.FileSystem, root);
    }

    /// <summary>What a user's queues take of RLIMIT_MSGQUEUE.</summary>
    internal ulong QueueChargeOf(uint uid) => _queueCharges.GetValueOrDefault(uid);

    internal void AddQueueCharge(uint uid, ulong charge)
    {
        _mqueueCount++;
        _queueCharges[uid] = QueueChargeOf(uid) + charge;
    }

    internal void DropQueueCharge(uint uid, ulong charge)
    {
        _mqueueCount--;
        ulong left = QueueChargeOf(uid) - charge;
        if (left == 0)
            _queueCharges.Remove(uid);
        else
            _queueCharges[uid] = left;
    }
}
