using System.Buffers.Binary;
using System.Text;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>The options of SOL_TCP (tcp(7)).</summary>
internal static class TcpSocketOptions
{
    private const int MinSegment = 88, MaxSegment = 32767, MaxKeepTime = 32767, MaxProbes = 127, MaxLinger2 = 120, NameSize = 16;

    /// <summary>RTO at the beginning and at most, seconds (TCP_TIMEOUT_INIT, TCP_RTO_MAX).</summary>
    private const int FirstTimeout = 1, LastTimeout = 120;

    internal static Errno Set(Task task, TcpSocket socket, int name, ReadOnlySpan<byte> value)
    {
        TcpOptions options = socket.Tcp.TcpOptions;
        if (name == TCP.CONGESTION)
            return SetCongestionControl(socket, value);
        if (name == TCP.ULP)
            return value.Length < 1 ? Errno.EINVAL : Errno.ENOENT;
        if (value.Length < sizeof(int))
            return Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        bool on = number != 0;
        switch (name)
        {
            case TCP.NODELAY:
                options = options with { NoDelay = on };
                break;
            case TCP.CORK:
                options = options with { Cork = on };
                break;
            case TCP.QUICKACK:
                socket.SetQuickAck(on);
                return Errno.None;
            case TCP.MAXSEG:
                if (number is not 0 and (< MinSegment or > MaxSegment))
                    return Errno.EINVAL;
                options = options with { MaxSegment = number };
                break;
            case TCP.KEEPIDLE:
                if (number is < 1 or > MaxKeepTime)
                    return Errno.EINVAL;
                options = options with { KeepIdle = number };
                break;
            case TCP.KEEPINTVL:
                if (number is < 1 or > MaxKeepTime)
                    return Errno.EINVAL;
                options = options with { KeepInterval = number };
                break;
            case TCP.KEEPCNT:
                if (number is < 1 or > MaxProbes)
                    return Errno.EINVAL;
                options = options with { KeepCount = number };
                break;
            case TCP.SYNCNT:
                if (number is < 1 or > MaxProbes)
                    return Errno.EINVAL;
                options = options with { SynCount = number };
                break;
            case TCP.LINGER2:
                options = options with { Linger2 = number < 0 ? -1 : Math.Min(number, MaxLinger2) };
                break;
            case TCP.DEFER_ACCEPT:
                options = options with { DeferAccept = DeferredSeconds(number) };
                break;
            case TCP.WINDOW_CLAMP:
                if (number == 0 && socket.Tcp.State != TcpState.Closed)
                    return Errno.EINVAL;
                options = options with { WindowClamp = number == 0 ? 0 : Math.Max(number, SocketMinReceiveBuffer / 2) };
                break;
            case TCP.USER_TIMEOUT:
                if (number < 0)
                    return Errno.EINVAL;
                options = options with { UserTimeout = number };
                break;
            case TCP.NOTSENT_LOWAT:
                options = options with { NotSentLowWater = (uint)number };
                break;
            case TCP.REPAIR:
                return Errno.EPERM;
            case TCP.FASTOPEN:
                if (number < 0 || socket.Tcp.State is not (TcpState.Closed or TcpState.Listen))
                    return Errno.EINVAL;
                socket.FastOpenQueue = number;
                return Errno.None;
            case TCP.FASTOPEN_CONNECT:
                return number is 0 or 1 ? Errno.EOPNOTSUPP : Errno.EINVAL;
            case TCP.THIN_LINEAR_TIMEOUTS or TCP.THIN_DUPACK:
                return number is 0 or 1 ? Errno.None : Errno.EINVAL;
            case TCP.INQ:
                if (number is not (0 or 1))
                    return Errno.EINVAL;
                socket.TellsQueue = on;
                return Errno.None;
            default:
                return Errno.ENOPROTOOPT;
        }

        socket.Tcp.SetOptions(options);
        socket.OnOptionsChanged();
        return Errno.None;
    }

    private const int SocketMinReceiveBuffer = 2304;

    internal static Result<byte[]> Get(TcpSocket socket, int name)
    {
        TcpOptions options = socket.Tcp.TcpOptions;
        StackSettings settings = socket.Network.Stack.Settings;
        switch (name)
        {
            case TCP.NODELAY:
                return Number(options.NoDelay ? 1 : 0);
            case TCP.CORK:
                return Number(options.Cork ? 1 : 0);
            case TCP.QUICKACK:
                return Number(socket.Tcp.IsQuickAck ? 1 : 0);
            case TCP.MAXSEG:
                return Number(socket.Tcp.MaxSegment);
            case TCP.KEEPIDLE:
                return Number(options.KeepIdle > 0 ? options.KeepIdle : settings.KeepAliveTime);
            case TCP.KEEPINTVL:
                return Number(options.KeepInterval > 0 ? options.KeepInterval : settings.KeepAliveInterval);
            case TCP.KEEPCNT:
                return Number(options.KeepCount > 0 ? options.KeepCount : settings.KeepAliveProbes);
            case TCP.SYNCNT:
                return Number(options.SynCount > 0 ? options.SynCount : settings.SynRetries);
            case TCP.LINGER2:
                return Number(options.Linger2 == 0 ? settings.FinTimeout : options.Linger2);
            case TCP.DEFER_ACCEPT:
                return Number(options.DeferAccept);
            case TCP.WINDOW_CLAMP:
                return Number(options.WindowClamp > 0 ? options.WindowClamp : socket.Tcp.WindowClamp);
            case TCP.INFO:
                return Info(socket);
            case TCP.CONGESTION:
                byte[] text = new byte[NameSize];
                Encoding.ASCII.GetBytes(socket.Tcp.CongestionControl, text);
                return text;
            case TCP.USER_TIMEOUT:
                return Number(options.UserTimeout);
            case TCP.NOTSENT_LOWAT:
                return Number((int)options.NotSentLowWater);
            case TCP.REPAIR or TCP.THIN_LINEAR_TIMEOUTS or TCP.THIN_DUPACK or TCP.FASTOPEN_CONNECT or TCP.FASTOPEN_NO_COOKIE or TCP.SAVE_SYN or TCP.TX_DELAY:
                return Number(0);
            case TCP.FASTOPEN:
                return Number(socket.FastOpenQueue);
            case TCP.TIMESTAMP:
                using (socket.Network.Enter())
                    return Number((int)(socket.Network.Stack.Now / 1_000_000));
            case TCP.CC_INFO or TCP.ULP:
                return Array.Empty<byte>();
            case TCP.INQ:
                return Number(socket.TellsQueue ? 1 : 0);
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    private static byte[] Info(TcpSocket socket)
    {
        using StackCall call = socket.Network.Enter();
        return socket.Tcp.GetInfo();
    }

    private static Errno SetCongestionControl(TcpSocket socket, ReadOnlySpan<byte> value)
    {
        if (value.Length < 1)
            return Errno.EINVAL;
        ReadOnlySpan<byte> name = value[..Math.Min(value.Length, NameSize - 1)];
        int end = name.IndexOf((byte)0);
        if (end >= 0)
            name = name[..end];
        string text = Encoding.Latin1.GetString(name);
        if (!TcpLayer.CongestionControls.Contains(text))
            return Errno.ENOENT;
        socket.Tcp.SetOptions(socket.Tcp.TcpOptions with { Congestion = text });
        socket.OnOptionsChanged();
        return Errno.None;
    }

    /// <summary>TCP_DEFER_ACCEPT is kept as a number of SYN-ACKs; given back is how long those take (secs_to_retrans, retrans_to_secs of Linux).</summary>
    private static int DeferredSeconds(int seconds)
    {
        int total = 0;
        for (int timeout = FirstTimeout; total < seconds; timeout = Math.Min(timeout * 2, LastTimeout))
            total += timeout;
        return total;
    }

    private static byte[] Number(int value) => SocketOptions.Number(value);
}
