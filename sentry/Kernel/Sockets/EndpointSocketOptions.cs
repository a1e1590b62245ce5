using System.Buffers.Binary;
using System.Text;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>The options of SOL_SOCKET that the network stack acts on (socket(7)).</summary>
internal static class EndpointSocketOptions
{
    private const int MinSendBuffer = 4608, MinReceiveBuffer = 2304, MaxForced = 1 << 28;
    private const int MaxInterfaceName = 16;

    /// <summary>Null: not one of these.</summary>
    internal static Errno? Set(Task task, EndpointSocket socket, int name, ReadOnlySpan<byte> value)
    {
        EndpointOptions options = socket.Ip;
        StackSettings settings = socket.Network.Stack.Settings;
        if (name == SO.BINDTODEVICE)
            return BindToDevice(task, socket, value);
        if (name == SO.ATTACH_FILTER)
            return AttachFilter(task, socket, value);
        if (value.Length < sizeof(int))
            return name is SO.RCVTIMEO_OLD or SO.SNDTIMEO_OLD or SO.RCVTIMEO_NEW or SO.SNDTIMEO_NEW ? null : Errno.EINVAL;
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        bool on = number != 0;
        switch (name)
        {
            case SO.REUSEADDR:
                options.ReuseAddress = on;
                break;
            case SO.REUSEPORT:
                options.ReusePort = on;
                break;
            case SO.BROADCAST:
                options.Broadcast = on;
                break;
            case SO.DONTROUTE:
                options.DontRoute = on;
                break;
            case SO.KEEPALIVE:
                options.KeepAlive = on;
                socket.OnOptionsChanged();
                break;
            case SO.OOBINLINE:
                options.OutOfBandInline = on;
                socket.OnOptionsChanged();
                break;
            case SO.NO_CHECK:
                options.NoChecksum = on;
                break;
            case SO.LINGER:
                if (value.Length < 2 * sizeof(int))
                    return Errno.EINVAL;
                // Switched off, the time is kept and shown.
                int kept = options.Linger >= 0 ? options.Linger : ~options.Linger;
                options.Linger = on ? Math.Max(0, BinaryPrimitives.ReadInt32LittleEndian(value[4..])) : ~kept;
                break;
            case SO.SNDBUF:
                SetSendBuffer(socket, SocketOptions.DoubleBuffer(number, MinSendBuffer, 2 * settings.WmemMax));
                break;
            case SO.RCVBUF:
                SetReceiveBuffer(socket, SocketOptions.DoubleBuffer(number, MinReceiveBuffer, 2 * settings.RmemMax));
                break;
            case SO.SNDBUFFORCE or SO.RCVBUFFORCE:
                if (!task.Credentials.Has(Capability.CAP_NET_ADMIN))
                    return Errno.EPERM;
                if (name == SO.SNDBUFFORCE)
                    SetSendBuffer(socket, SocketOptions.DoubleBuffer(number, MinSendBuffer, MaxForced));
                else
                    SetReceiveBuffer(socket, SocketOptions.DoubleBuffer(number, MinReceiveBuffer, MaxForced));
                break;
            case SO.BUF_LOCK:
                if ((number & ~3) != 0)
                    return Errno.EINVAL;
                options.SendBufferLocked = (number & 1) != 0;
                options.ReceiveBufferLocked = (number & 2) != 0;
                break;
            case SO.RCVLOWAT:
                options.ReceiveLowWater = number < 0 ? int.MaxValue : Math.Max(1, number);
                socket.OnOptionsChanged();
                break;
            case SO.PRIORITY:
                Errno error = SocketOptions.CheckPriority(task, number);
                if (error != Errno.None)
                    return error;
                options.Priority = number;
                break;
            case SO.MARK:
                if (!SocketOptions.MayMark(task))
                    return Errno.EPERM;
                options.Mark = number;
                break;
            case SO.BINDTOIFINDEX:
                if (number < 0)
                    return Errno.EINVAL;
                return BindToInterface(task, socket, number);
            case SO.DETACH_FILTER:
                return socket.SetFilter(null);
            case SO.PEEK_OFF when socket.Type == SocketType.Raw:
                return Errno.EOPNOTSUPP;
            default:
                return null;
        }

        return Errno.None;
    }

    /// <summary>Null: not one of these.</summary>
    internal static Result<byte[]>? Get(EndpointSocket socket, int name)
    {
        EndpointOptions options = socket.Ip;
        switch (name)
        {
            case SO.REUSEADDR:
                return Flag(options.ReuseAddress);
            case SO.REUSEPORT:
                return Flag(options.ReusePort);
            case SO.BROADCAST:
                return Flag(options.Broadcast);
            case SO.DONTROUTE:
                return Flag(options.DontRoute);
            case SO.KEEPALIVE:
                return Flag(options.KeepAlive);
            case SO.OOBINLINE:
                return Flag(options.OutOfBandInline);
            case SO.NO_CHECK:
                return Flag(options.NoChecksum);
            case SO.LINGER:
                return (byte[])[.. SocketOptions.Number(options.Linger >= 0 ? 1 : 0), .. SocketOptions.Number(options.Linger >= 0 ? options.Linger : ~options.Linger)];
            case SO.SNDBUF:
                return SocketOptions.Number(options.SendBuffer);
            case SO.RCVBUF:
                return SocketOptions.Number(options.ReceiveBuffer);
            case SO.BUF_LOCK:
                return SocketOptions.Number((options.SendBufferLocked ? 1 : 0) | (options.ReceiveBufferLocked ? 2 : 0));
            case SO.RCVLOWAT:
                return SocketOptions.Number(options.ReceiveLowWater);
            case SO.PRIORITY:
                return SocketOptions.Number(options.Priority);
            case SO.MARK:
                return SocketOptions.Number(options.Mark);
            case SO.ERROR:
                return SocketOptions.Number((int)socket.Endpoint.TakeError());
            case SO.BINDTOIFINDEX:
                return SocketOptions.Number(options.BoundInterface);
            case SO.BINDTODEVICE:
                return socket.Network.Stack.FindInterface(options.BoundInterface) is { } bound ? Encoding.Latin1.GetBytes(bound.Name + "\0") : Array.Empty<byte>();
            case SO.MEMINFO:
                return MemoryInfo(socket);
            default:
                return null;
        }
    }

    private static byte[] Flag(bool on) => SocketOptions.Number(on ? 1 : 0);

    /// <summary>SK_MEMINFO_* of linux/sock_diag.h, nine numbers.</summary>
    private static byte[] MemoryInfo(EndpointSocket socket)
    {
        (int receive, int send, int dropped) = socket.MemoryInUse;
        int[] values = [receive, socket.Ip.ReceiveBuffer, 0, socket.Ip.SendBuffer, 0, send, 0, 0, dropped];
        byte[] bytes = new byte[values.Length * sizeof(int)];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * sizeof(int)), values[i]);
        return bytes;
    }

    private static void SetSendBuffer(EndpointSocket socket, int size)
    {
        socket.Ip.SendBuffer = size;
        socket.Ip.SendBufferLocked = true;
        socket.OnOptionsChanged();
    }

    private static void SetReceiveBuffer(EndpointSocket socket, int size)
    {
        socket.Ip.ReceiveBuffer = size;
        socket.Ip.ReceiveBufferLocked = true;
        socket.OnOptionsChanged();
    }

    private static Errno BindToDevice(Task task, EndpointSocket socket, ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> name = value[..Math.Min(value.Length, MaxInterfaceName - 1)];
        int end = name.IndexOf((byte)0);
        if (end >= 0)
            name = name[..end];
        if (name.Length == 0)
            return BindToInterface(task, socket, 0);
        NetworkInterface? found = socket.Network.Stack.FindInterface(Encoding.Latin1.GetString(name));
        return found is null ? Errno.ENODEV : BindToInterface(task, socket, found.Index);
    }

    private static Errno BindToInterface(Task task, EndpointSocket socket, int index)
    {
        // A socket that is not bound to an interface may be by anyone; to change that takes a capability (socket(7)).
        if (socket.Ip.BoundInterface != 0 && !task.HasOverNetwork(Capability.CAP_NET_RAW))
            return Errno.EPERM;
        if (index != 0 && socket.Network.Stack.FindInterface(index) is null)
            return Errno.ENODEV;
        socket.Ip.BoundInterface = index;
        return Errno.None;
    }

    /// <summary>struct sock_fprog: how many instructions, and where they are.</summary>
    internal static Errno ReadFilter(Task task, ReadOnlySpan<byte> value, out byte[] program)
    {
        const int size = 16, instruction = 8, maxInstructions = 4096;
        program = [];
        if (value.Length != size)
            return Errno.EINVAL;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(value);
        ulong address = BinaryPrimitives.ReadUInt64LittleEndian(value[8..]);
        if (count is 0 or > maxInstructions)
            return Errno.EINVAL;
        program = new byte[count * instruction];
        return task.Memory.TryReadAll(address, program) ? Errno.None : Errno.EFAULT;
    }

    private static Errno AttachFilter(Task task, EndpointSocket socket, ReadOnlySpan<byte> value)
    {
        Errno error = ReadFilter(task, value, out byte[] program);
        if (error != Errno.None)
            return error;
        return socket.HasOption(SO.LOCK_FILTER) ? Errno.EPERM : socket.SetFilter(program);
    }
}
