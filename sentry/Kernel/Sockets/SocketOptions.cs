using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets;

/// <summary>The options at level SOL_SOCKET (socket(7)). Those that change nothing here are kept and given back.</summary>
[Savable("socket-options", Version = 2)]
public sealed partial class SocketOptions
{
    private const int DefaultBuffer = 212992, MaxBuffer = 2 * 212992, MinSendBuffer = 4608, MinReceiveBuffer = 2304;

    /// <summary>SOF_TIMESTAMPING_LAST of linux/net_tstamp.h, all bits up to it.</summary>
    private const int TimestampingMask = (1 << 19) - 1;

    private const ulong BooleanOptions = (1UL << SO.DEBUG) | (1UL << SO.REUSEADDR) | (1UL << SO.DONTROUTE) | (1UL << SO.BROADCAST) | (1UL << SO.KEEPALIVE) | (1UL << SO.OOBINLINE) |
        (1UL << SO.NO_CHECK) | (1UL << SO.REUSEPORT) | (1UL << SO.PASSCRED) | (1UL << SO.PASSSEC) | (1UL << SO.RXQ_OVFL) | (1UL << SO.WIFI_STATUS) | (1UL << SO.NOFCS) |
        (1UL << SO.LOCK_FILTER) | (1UL << SO.SELECT_ERR_QUEUE);

    [Saved(1)] private ulong _flags;
    [Saved(2)] private int _sendBuffer = DefaultBuffer;
    [Saved(3)] private int _receiveBuffer = DefaultBuffer;
    [Saved(4)] private long _receiveTimeout = -1;
    [Saved(5)] private long _sendTimeout = -1;
    [Saved(6)] private int _lingerOn;
    [Saved(7)] private int _lingerSeconds;
    [Saved(8)] private int _priority;
    [Saved(9)] private int _receiveLowWater = 1;
    [Saved(10)] private int _mark;
    [Saved(11)] private Errno _error;
    [Saved(12, Since = 2)] private int _timestamping;
    [Saved(13, Since = 2)] private int _peekOffset = -1;
    [Saved(14, Since = 2)] private int _busyPoll;
    [Saved(15, Since = 2)] private int _incomingCpu = -1;
    [Saved(16, Since = 2)] private ulong _maxPacingRate = ulong.MaxValue;

    public SocketOptions()
    {
    }

    /// <summary>What a socket has that never set one; not to be changed.</summary>
    internal static SocketOptions Unset { get; } = new();

    /// <summary>SO_SNDBUF as the kernel counts it (twice what was set).</summary>
    public int SendBuffer => _sendBuffer;

    public int ReceiveBuffer => _receiveBuffer;

    /// <summary>SO_RCVTIMEO in ns; negative for none.</summary>
    public long ReceiveTimeout => _receiveTimeout;

    public long SendTimeout => _sendTimeout;

    public bool PassCredentials => Has(SO.PASSCRED);

    /// <summary>Whether a boolean option (its SO_* number) is on. The time stamps are told apart by number: SO_TIMESTAMP and SO_TIMESTAMPNS in their old forms (29, 35),
    /// their new forms (63, 64) as 62 and 61, which are no booleans.</summary>
    public bool Has(int option) => (_flags >> Bit(option) & 1) != 0;

    /// <summary>SO_TIMESTAMPING: SOF_TIMESTAMPING_*.</summary>
    public int Timestamping => _timestamping;

    /// <summary>SO_PEEK_OFF; negative when off.</summary>
    public int PeekOffset
    {
        get => _peekOffset;
        set => _peekOffset = value;
    }

    /// <summary>SO_LINGER in seconds; negative when off.</summary>
    public int Linger => _lingerOn != 0 ? _lingerSeconds : -1;

    /// <summary>SO_ERROR: an error that waits to be told.</summary>
    public Errno PendingError
    {
        get => _error;
        set => _error = value;
    }

    /// <summary>Tells and forgets the pending error.</summary>
    public Errno TakeError()
    {
        Errno error = _error;
        if (error != Errno.None)
            _error = Errno.None;
        return error;
    }

    /// <summary>What an accepted socket takes over from its listener.</summary>
    public void CopyTo(SocketOptions target)
    {
        target._flags = _flags;
        target._sendBuffer = _sendBuffer;
        target._receiveBuffer = _receiveBuffer;
        target._receiveTimeout = _receiveTimeout;
        target._sendTimeout = _sendTimeout;
        target._lingerOn = _lingerOn;
        target._lingerSeconds = _lingerSeconds;
        target._priority = _priority;
        target._receiveLowWater = _receiveLowWater;
        target._mark = _mark;
        target._timestamping = _timestamping;
        target._peekOffset = _peekOffset;
        target._busyPoll = _busyPoll;
        target._incomingCpu = _incomingCpu;
        target._maxPacingRate = _maxPacingRate;
    }

    internal Errno Set(Task task, SocketFile socket, int name, ReadOnlySpan<byte> value)
    {
        if (name is SO.RCVTIMEO_OLD or SO.SNDTIMEO_OLD or SO.RCVTIMEO_NEW or SO.SNDTIMEO_NEW)
            return SetTimeout(name is SO.RCVTIMEO_OLD or SO.RCVTIMEO_NEW, value);
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        if (IsBoolean(name))
        {
            SetFlag(Bit(name), number != 0);
            return Errno.None;
        }

        switch (name)
        {
            case SO.TIMESTAMP_OLD or SO.TIMESTAMPNS_OLD or SO.TIMESTAMP_NEW or SO.TIMESTAMPNS_NEW:
                // Microseconds or nanoseconds, old or new layout: the last one set counts (sock_set_timestamp).
                foreach (int other in (ReadOnlySpan<int>)[SO.TIMESTAMP_OLD, SO.TIMESTAMPNS_OLD, SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW])
                    SetFlag(Bit(other), number != 0 && other == name);
                return Errno.None;
            case SO.TIMESTAMPING_OLD or SO.TIMESTAMPING_NEW:
                if ((number & ~TimestampingMask) != 0)
                    return Errno.EINVAL;
                _timestamping = number;
                return Errno.None;
            case SO.SNDBUF:
                _sendBuffer = DoubleBuffer(number, MinSendBuffer, MaxBuffer);
                return Errno.None;
            case SO.RCVBUF:
                _receiveBuffer = DoubleBuffer(number, MinReceiveBuffer, MaxBuffer);
                return Errno.None;
            case SO.SNDBUFFORCE or SO.RCVBUFFORCE:
                if (!task.Credentials.Has(Capability.CAP_NET_ADMIN))
                    return Errno.EPERM;
                if (name == SO.SNDBUFFORCE)
                    _sendBuffer = DoubleBuffer(number, MinSendBuffer, 1 << 28);
                else
                    _receiveBuffer = DoubleBuffer(number, MinReceiveBuffer, 1 << 28);
                return Errno.None;
            case SO.LINGER:
                if (value.Length < 2 * sizeof(int))
                    return Errno.EINVAL;
                _lingerOn = number != 0 ? 1 : 0;
                _lingerSeconds = BinaryPrimitives.ReadInt32LittleEndian(value[4..]);
                return Errno.None;
            case SO.PRIORITY:
                Errno error = CheckPriority(task, number);
                if (error == Errno.None)
                    _priority = number;
                return error;
            case SO.RCVLOWAT:
                _receiveLowWater = number < 0 ? int.MaxValue : Math.Max(1, number);
                return Errno.None;
            case SO.MARK:
                if (!MayMark(task))
                    return Errno.EPERM;
                _mark = number;
                return Errno.None;
            case SO.PEEK_OFF:
                _peekOffset = number;
                return Errno.None;
            case SO.BUSY_POLL:
                if (number < 0)
                    return Errno.EINVAL;
                if (number > _busyPoll && !task.Credentials.Has(Capability.CAP_NET_ADMIN))
                    return Errno.EPERM;
                _busyPoll = number;
                return Errno.None;
            case SO.INCOMING_CPU:
                _incomingCpu = number;
                return Errno.None;
            case SO.MAX_PACING_RATE:
                _maxPacingRate = value.Length >= sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(value) : (uint)number == uint.MaxValue ? ulong.MaxValue : (uint)number;
                return Errno.None;
            case SO.ZEROCOPY when socket is not (TcpSocket or UdpSocket):
                return Errno.EOPNOTSUPP;
            case SO.ZEROCOPY when number is < 0 or > 1:
                return Errno.EINVAL;
            case SO.ZEROCOPY:
                SetFlag(SO.ZEROCOPY, number != 0);
                return Errno.None;
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    internal Result<byte[]> Get(SocketFile socket, int name)
    {
        if (IsBoolean(name) || name is SO.TIMESTAMP_OLD or SO.TIMESTAMPNS_OLD or SO.TIMESTAMP_NEW or SO.TIMESTAMPNS_NEW)
            return Number(Has(name) ? 1 : 0);
        switch (name)
        {
            case SO.TYPE:
                return Number(socket.Type);
            case SO.ERROR:
                return Number((int)TakeError());
            case SO.SNDBUF:
                return Number(_sendBuffer);
            case SO.RCVBUF:
                return Number(_receiveBuffer);
            case SO.LINGER:
                return (byte[])[.. Number(_lingerOn), .. Number(_lingerSeconds)];
            case SO.PRIORITY:
                return Number(_priority);
            case SO.RCVLOWAT:
                return Number(_receiveLowWater);
            case SO.SNDLOWAT:
                return Number(1);
            case SO.RCVTIMEO_OLD or SO.RCVTIMEO_NEW:
                return TimeoutBytes(_receiveTimeout);
            case SO.SNDTIMEO_OLD or SO.SNDTIMEO_NEW:
                return TimeoutBytes(_sendTimeout);
            case SO.ACCEPTCONN:
                return Number(socket.IsListening ? 1 : 0);
            case SO.MARK:
                return Number(_mark);
            case SO.PROTOCOL:
                return Number(socket.Protocol);
            case SO.DOMAIN:
                return Number(socket.Domain);
            case SO.TIMESTAMPING_OLD or SO.TIMESTAMPING_NEW:
                return (byte[])[.. Number(_timestamping), .. Number(0)];
            case SO.PEEK_OFF:
                return Number(_peekOffset);
            case SO.BUSY_POLL:
                return Number(_busyPoll);
            case SO.INCOMING_CPU:
                return Number(_incomingCpu);
            case SO.MAX_PACING_RATE:
                return BitConverter.GetBytes(_maxPacingRate);
            case SO.ZEROCOPY:
                return Number(Has(SO.ZEROCOPY) ? 1 : 0);
            case SO.INCOMING_NAPI_ID:
                return Number(0);
            case SO.BPF_EXTENSIONS:
                return Number(64);
            case SO.COOKIE:
                return BitConverter.GetBytes(socket.Inode);
            case SO.NETNS_COOKIE:
                return BitConverter.GetBytes(1UL);
            case SO.PEERCRED:
                SocketCredentials peer = socket.PeerCredentials;
                return (byte[])[.. Number(peer.Pid), .. Number((int)peer.Uid), .. Number((int)peer.Gid)];
            case SO.PEERNAME:
                return socket.GetPeerName();
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    /// <summary>SO_SNDBUF and SO_RCVBUF: at most the limit, then doubled for bookkeeping, not below the minimum (socket(7)).</summary>
    internal static int DoubleBuffer(int number, int minimum, int maximum) => (int)Math.Max(minimum, Math.Min(2L * Math.Max(0, number), maximum));

    internal static Errno CheckPriority(Task task, int priority) =>
        priority is < 0 or > 6 && !task.HasOverNetwork(Capability.CAP_NET_ADMIN) && !task.HasOverNetwork(Capability.CAP_NET_RAW) ? Errno.EPERM : Errno.None;

    internal static bool MayMark(Task task) => task.HasOverNetwork(Capability.CAP_NET_ADMIN) || task.HasOverNetwork(Capability.CAP_NET_RAW);

    internal static byte[] Number(int value) => BitConverter.GetBytes(value);

    private static bool IsBoolean(int name) => (uint)name < 64 && (BooleanOptions >> name & 1) != 0;

    private static int Bit(int option) => option switch
    {
        SO.TIMESTAMP_NEW => 62,
        SO.TIMESTAMPNS_NEW => 61,
        _ => option & 63,
    };

    private void SetFlag(int bit, bool on) => _flags = on ? _flags | 1UL << bit : _flags & ~(1UL << bit);

    private Errno SetTimeout(bool receive, ReadOnlySpan<byte> value)
    {
        if (value.Length < 16)
            return Errno.EINVAL;
        long seconds = BinaryPrimitives.ReadInt64LittleEndian(value), microseconds = BinaryPrimitives.ReadInt64LittleEndian(value[8..]);
        if ((ulong)microseconds >= 1_000_000)
            return Errno.EDOM;
        long timeout = new Timeval { Seconds = Math.Max(0, seconds), Microseconds = seconds < 0 ? 0 : microseconds }.ToNanoseconds();

        // Zero means no timeout; a negative one means not to wait at all.
        if (seconds >= 0 && timeout == 0)
            timeout = -1;
        if (receive)
            _receiveTimeout = timeout;
        else
            _sendTimeout = timeout;
        return Errno.None;
    }

    private static byte[] TimeoutBytes(long timeout)
    {
        timeout = Math.Max(0, timeout);
        return [.. BitConverter.GetBytes(timeout / 1_000_000_000), .. BitConverter.GetBytes(timeout % 1_000_000_000 / 1000)];
    }
}
