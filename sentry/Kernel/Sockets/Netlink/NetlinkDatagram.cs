namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>One or several messages that are received together, and where they came from.</summary>
[Savable("netlink-datagram")]
internal sealed partial class NetlinkDatagram
{
    /// <summary>What Linux charges for a message beside its bytes (skb truesize); counts against SO_RCVBUF.</summary>
    private const int Overhead = 576;

    [Saved(1)] private byte[] _bytes;
    [Saved(2)] private uint _port;
    [Saved(3)] private int _group;
    [Saved(4)] private SocketCredentials _credentials;

    /// <param name="bytes">The messages; shared by all who receive them, never changed.</param>
    /// <param name="port">The sender's port id; 0 is the kernel.</param>
    /// <param name="group">The group it was sent to; 0 for none.</param>
    /// <param name="credentials">The sender's.</param>
    internal NetlinkDatagram(byte[] bytes, uint port, int group, SocketCredentials credentials)
    {
        _bytes = bytes;
        _port = port;
        _group = group;
        _credentials = credentials;
    }

    internal byte[] Bytes => _bytes;

    internal uint Port => _port;

    internal int Group => _group;

    internal SocketCredentials Credentials => _credentials;

    internal int Charge => _bytes.Length + Overhead;
}

/// <summary>A list on its way to a socket that asked for it. The list itself was made when it was asked for, so that it is one state of
/// the kernel, also across a checkpoint; what the socket reads next is cut from it to the size of its buffer.</summary>
[Savable("netlink-dump")]
internal sealed partial class NetlinkDump
{
    /// <summary>NLMSG_GOODSIZE: a page less what the host kernel's own bookkeeping takes.</summary>
    private const int UsualSize = 3776;

    /// <summary>The most that one read gets (32 KiB less the same).</summary>
    internal const int MaxSize = 32448;

    [Saved(1)] private Queue<byte[]> _messages = new();
    [Saved(2)] private byte[] _done;
    [Saved(3)] private int _minimum;
    [Saved(4)] private bool _apart;

    /// <param name="messages">The list; flags and sequence are filled in.</param>
    /// <param name="done">The message that ends it (NLMSG_DONE).</param>
    /// <param name="minimumSize">What the longest message may need; 0 for the usual.</param>
    /// <param name="apart">The end is not joined to messages before it.</param>
    internal NetlinkDump(List<byte[]> messages, byte[] done, int minimumSize, bool apart)
    {
        _messages = new Queue<byte[]>(messages);
        _done = done;
        _minimum = Math.Max(UsualSize, minimumSize);
        _apart = apart;
    }

    /// <summary>The next datagram.</summary>
    /// <param name="receiverSize">The largest buffer that the receiver has read with.</param>
    /// <param name="last">It ends the list.</param>
    internal byte[] Next(int receiverSize, out bool last)
    {
        int size = receiverSize > _minimum ? receiverSize : _minimum;
        List<byte[]> parts = [];
        int length = 0;
        while (_messages.TryPeek(out byte[]? message) && (length + message.Length <= size || length == 0))
        {
            parts.Add(_messages.Dequeue());
            length += message.Length;
        }

        last = _messages.Count == 0 && (length == 0 || (!_apart && length + _done.Length <= size));
        if (last)
        {
            parts.Add(_done);
            length += _done.Length;
        }

        var datagram = new byte[length];
        int at = 0;
        foreach (byte[] part in parts)
        {
            part.CopyTo(datagram, at);
            at += part.Length;
        }

        return datagram;
    }
}
