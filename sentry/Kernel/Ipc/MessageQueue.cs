namespace Sentry.Kernel.Ipc;

/// <summary>A message of a System V queue.</summary>
[Savable("sysv-message")]
internal sealed partial class SysvMessage
{
    [Saved(1)] public long Type;
    [Saved(2)] public byte[] Text;

    internal SysvMessage(long type, byte[] text)
    {
        Type = type;
        Text = text;
    }
}

/// <summary>What a task waits for in msgsnd(2) or msgrcv(2).</summary>
[Savable("message-wait")]
internal sealed partial class MessageWait : CallState
{
    [Saved(1)] public MessageQueue Queue;

    internal MessageWait(MessageQueue queue) => Queue = queue;
}

/// <summary>A System V message queue (msgget(2)).</summary>
[Savable("message-queue")]
internal sealed partial class MessageQueue : IpcObject
{
    [Saved(1)] private List<SysvMessage> _messages = [];
    [Saved(2)] private long _bytes;
    [Saved(3)] private long _limit;
    [Saved(4)] private long _sendTime;
    [Saved(5)] private long _receiveTime;
    [Saved(6)] private int _lastSender;
    [Saved(7)] private int _lastReceiver;

    internal MessageQueue(Task creator, int key, int flags, int limit)
        : base(creator, key, flags)
    {
        _limit = limit;
    }

    internal int Count => _messages.Count;

    /// <summary>Of the texts in it.</summary>
    internal long Bytes => _bytes;

    /// <summary>msg_qbytes.</summary>
    internal long Limit
    {
        get => _limit;
        set => _limit = value;
    }

    internal long SendTime => _sendTime;

    internal long ReceiveTime => _receiveTime;

    internal int LastSender => _lastSender;

    internal int LastReceiver => _lastReceiver;

    /// <summary>Whether a text of that length fits; as many empty messages as bytes are allowed.</summary>
    internal bool HasRoom(int length) => _bytes + length <= _limit && _messages.Count + 1 <= _limit;

    internal void Send(Task task, SysvMessage message)
    {
        _messages.Add(message);
        _bytes += message.Text.Length;
        _sendTime = Now(task);
        _lastSender = task.Group.Pid;
        Waiters.Wake();
    }

    /// <summary>The message that msgrcv(2) takes: of any type for 0, of one type, of all but one, or the lowest type up to a bound; null for none.</summary>
    internal SysvMessage? Find(long type, bool except)
    {
        SysvMessage? lowest = null;
        foreach (SysvMessage message in _messages)
        {
            if (type == 0 || (type > 0 && (message.Type == type) != except))
                return message;
            if (type < 0 && message.Type <= (type == long.MinValue ? long.MaxValue : -type) && (lowest is null || message.Type < lowest.Type))
                lowest = message;
        }

        return lowest;
    }

    /// <summary>MSG_COPY: the message at a place; null beyond the last.</summary>
    internal SysvMessage? At(long index) => index >= 0 && index < _messages.Count ? _messages[(int)index] : null;

    internal void Take(Task task, SysvMessage message)
    {
        _messages.Remove(message);
        _bytes -= message.Text.Length;
        _receiveTime = Now(task);
        _lastReceiver = task.Group.Pid;
        Waiters.Wake();
    }
}
