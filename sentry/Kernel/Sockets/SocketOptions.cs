using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets;

/// <summary>The options at level SOL_SOCKET (socket(7)). Those that change nothing here are kept and given back.</summary>
[Savable("socket-options")]
public sealed partial class SocketOptions
{
    public const int Level = 1;

    private const int Debug = 1, ReuseAddress = 2, Type = 3, Error = 4, DontRoute = 5, Broadcast = 6, SendBufferName = 7, ReceiveBufferName = 8, KeepAlive = 9,
        OutOfBandInline = 10, NoCheck = 11, PriorityName = 12, LingerName = 13, ReusePort = 15, PassCredentialsName = 16, PeerCredentials = 17,
        ReceiveLowWater = 18, SendLowWater = 19, ReceiveTimeoutName = 20, SendTimeoutName = 21, Timestamp = 29, AcceptsConnections = 30, PeerSecurity = 31,
        SendBufferForce = 32, ReceiveBufferForce = 33, PassSecurity = 34, TimestampNs = 35, Mark = 36, Protocol = 38, Domain = 39, ReceiveOverflow = 40,
        PeekOffset = 42, BusyPoll = 46, IncomingCpu = 49, Cookie = 57, ZeroCopy = 60, ReceiveTimeoutNew = 66, SendTimeoutNew = 67;

    private const int DefaultBuffer = 212992, MaxBuffer = 2 * 212992, MinSendBuffer = 4608, MinReceiveBuffer = 2304;
    private const int CapNetAdmin = 12;

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

    public SocketOptions()
    {
    }

    /// <summary>SO_SNDBUF as the kernel counts it (twice what was set).</summary>
    public int SendBuffer => _sendBuffer;

    public int ReceiveBuffer => _receiveBuffer;

    /// <summary>SO_RCVTIMEO in ns; negative for none.</summary>
    public long ReceiveTimeout => _receiveTimeout;

    public long SendTimeout => _sendTimeout;

    public bool PassCredentials => Has(PassCredentialsName);

    /// <summary>Whether a boolean option (its SO_* number) is on.</summary>
    public bool Has(int option) => (_flags >> option & 1) != 0;

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
    }

    internal Errno Set(Task task, int name, ReadOnlySpan<byte> value)
    {
        if (name is ReceiveTimeoutName or SendTimeoutName or ReceiveTimeoutNew or SendTimeoutNew)
            return SetTimeout(name is ReceiveTimeoutName or ReceiveTimeoutNew, value);
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        switch (name)
        {
            case Debug or ReuseAddress or DontRoute or Broadcast or KeepAlive or OutOfBandInline or NoCheck or ReusePort or PassCredentialsName or Timestamp or TimestampNs or
                PassSecurity or ReceiveOverflow or ZeroCopy:
                _flags = number != 0 ? _flags | 1UL << name : _flags & ~(1UL << name);
                return Errno.None;
            case SendBufferName:
                _sendBuffer = (int)Math.Max(MinSendBuffer, Math.Min(2L * Math.Max(0, number), MaxBuffer));
                return Errno.None;
            case ReceiveBufferName:
                _receiveBuffer = (int)Math.Max(MinReceiveBuffer, Math.Min(2L * Math.Max(0, number), MaxBuffer));
                return Errno.None;
            case SendBufferForce or ReceiveBufferForce:
                if (!task.Credentials.Has(CapNetAdmin))
                    return Errno.EPERM;
                int doubled = (int)Math.Max(MinSendBuffer, Math.Min(2L * Math.Max(0, number), 1 << 28));
                if (name == SendBufferForce)
                    _sendBuffer = doubled;
                else
                    _receiveBuffer = doubled;
                return Errno.None;
            case LingerName:
                if (value.Length < 2 * sizeof(int))
                    return Errno.EINVAL;
                _lingerOn = number != 0 ? 1 : 0;
                _lingerSeconds = BinaryPrimitives.ReadInt32LittleEndian(value[4..]);
                return Errno.None;
            case PriorityName:
                if (number is < 0 or > 6 && !task.Credentials.Has(CapNetAdmin))
                    return Errno.EPERM;
                _priority = number;
                return Errno.None;
            case ReceiveLowWater:
                _receiveLowWater = number < 0 ? int.MaxValue : Math.Max(1, number);
                return Errno.None;
            case Mark:
                if (!task.Credentials.Has(CapNetAdmin))
                    return Errno.EPERM;
                _mark = number;
                return Errno.None;
            case BusyPoll or IncomingCpu:
                return Errno.None;
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    internal Result<byte[]> Get(Task task, SocketFile socket, int name)
    {
        switch (name)
        {
            case Debug or ReuseAddress or DontRoute or Broadcast or KeepAlive or OutOfBandInline or NoCheck or ReusePort or PassCredentialsName or Timestamp or TimestampNs or
                PassSecurity or ReceiveOverflow or ZeroCopy:
                return Number(Has(name) ? 1 : 0);
            case Type:
                return Number(socket.Type);
            case Error:
                return Number((int)TakeError());
            case SendBufferName:
                return Number(_sendBuffer);
            case ReceiveBufferName:
                return Number(_receiveBuffer);
            case LingerName:
                return (byte[])[.. Number(_lingerOn), .. Number(_lingerSeconds)];
            case PriorityName:
                return Number(_priority);
            case ReceiveLowWater:
                return Number(_receiveLowWater);
            case SendLowWater:
                return Number(1);
            case ReceiveTimeoutName or ReceiveTimeoutNew:
                return TimeoutBytes(_receiveTimeout);
            case SendTimeoutName or SendTimeoutNew:
                return TimeoutBytes(_sendTimeout);
            case AcceptsConnections:
                return Number(socket.IsListening ? 1 : 0);
            case Mark:
                return Number(_mark);
            case Protocol:
                return Number(socket.Protocol);
            case Domain:
                return Number(socket.Domain);
            case BusyPoll:
                return Number(0);
            case IncomingCpu:
                return Number(0);
            case Cookie:
                return BitConverter.GetBytes(socket.Inode);
            case PeerCredentials:
                SocketCredentials peer = socket.PeerCredentials;
                return (byte[])[.. Number(peer.Pid), .. Number((int)peer.Uid), .. Number((int)peer.Gid)];
            default:
                return socket.GetFamilyOption(task, name) ?? Errno.ENOPROTOOPT;
        }
    }

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

    private static byte[] Number(int value) => BitConverter.GetBytes(value);

    private static byte[] TimeoutBytes(long timeout)
    {
        timeout = Math.Max(0, timeout);
        return [.. BitConverter.GetBytes(timeout / 1_000_000_000), .. BitConverter.GetBytes(timeout % 1_000_000_000 / 1000)];
    }
}
