using System.Globalization;

namespace Sentry.Kernel.Strace;

/// <summary>Addresses, messages and ancillary data of sockets.</summary>
internal static class SocketStructs
{
    /// <summary>struct msghdr and struct mmsghdr.</summary>
    private const int HeaderSize = 56, VectorEntrySize = 64;

    private const int MaxMessages = 32;

    /// <summary>sockaddr of the length in argument <paramref name="lengthIndex"/>.</summary>
    internal static ArgumentFormat SocketAddressIn(int lengthIndex) => new((p, i) => SocketAddress(p, p[i], (long)p[lengthIndex]));

    /// <summary>A sockaddr that comes out, with its length behind a pointer in the next argument.</summary>
    internal static readonly ArgumentFormat SocketAddressOut = new((p, i) =>
    {
        if (p.Result.IsError || p[i] == 0 || !p.Task.TryRead(p[i + 1], out int length))
            p.Address(p[i]);
        else
            SocketAddress(p, p[i], length);
    }, OnExit: true);

    private static void SocketAddress(CallPrinter p, ulong address, long length)
    {
        Span<byte> bytes = stackalloc byte[128];
        bytes.Clear();
        int size = (int)Math.Clamp(length, 0, 128);
        if (address == 0 || size < 2 || p.Task.Memory.Read(address, bytes[..size]) < size)
        {
            p.Address(address);
            return;
        }

        ushort family = CallPrinter.UShort(bytes, 0);
        p.Append("{sa_family=").Flags(family, FlagTables.Family);
        int port = bytes[2] << 8 | bytes[3];
        switch (family)
        {
            case 1 when size > 2 && bytes[2] == 0:
                p.Append(", sun_path=@").Quote(bytes[3..size]);
                break;
            case 1 when size > 2:
                int end = bytes[2..size].IndexOf((byte)0);
                p.Append(", sun_path=").Quote(bytes.Slice(2, end < 0 ? size - 2 : end));
                break;
            case 2:
                p.Append(string.Create(CultureInfo.InvariantCulture, $", sin_port=htons({port}), sin_addr=inet_addr(\"{bytes[4]}.{bytes[5]}.{bytes[6]}.{bytes[7]}\")"));
                break;
            case 10:
                p.Append(string.Create(CultureInfo.InvariantCulture,
                    $", sin6_port=htons({port}), sin6_flowinfo=htonl({CallPrinter.UInt(bytes, 4)}), inet_pton(AF_INET6, \"{new System.Net.IPAddress(bytes.Slice(8, 16))}\", &sin6_addr), sin6_scope_id={CallPrinter.UInt(bytes, 24)}"));
                break;
            case 17 when size >= 12:
                p.Append(string.Create(CultureInfo.InvariantCulture,
                    $", sll_protocol=htons(0x{port:x}), sll_ifindex={CallPrinter.Int(bytes, 4)}, sll_hatype={CallPrinter.UShort(bytes, 8)}, sll_pkttype={bytes[10]}, sll_halen={bytes[11]}"));
                break;
            case 16 when size >= 12:
                p.Append(string.Create(CultureInfo.InvariantCulture, $", nl_pid={CallPrinter.Int(bytes, 4)}, nl_groups={CallPrinter.UInt(bytes, 8):x8}"));
                break;
        }

        p.Append("}");
    }

    /// <summary>msghdr of sendmsg (everything on entry) or recvmsg (after the call).</summary>
    internal static ArgumentFormat MessageHeader(bool outgoing) => new((p, i) =>
    {
        Span<byte> bytes = stackalloc byte[HeaderSize];
        if (!outgoing && p.Result.IsError)
        {
            if (p.TryStruct(p[i], bytes))
                p.Append("{msg_namelen=").Append((long)CallPrinter.UInt(bytes, 8)).Append("}");
            return;
        }

        Message(p, p[i], outgoing ? long.MaxValue : p.Result.Value);
    }, OnExit: !outgoing);

    /// <summary>The array of mmsghdr of sendmmsg or recvmmsg, as many as were sent or received, after the call.</summary>
    internal static readonly ArgumentFormat MessageVector = new((p, i) =>
    {
        if (p.Result.IsError)
        {
            p.Address(p[i]);
            return;
        }

        p.Append("[");
        for (long k = 0; k < Math.Min(p.Result.Value, MaxMessages); k++)
        {
            ulong entry = p[i] + (ulong)(k * VectorEntrySize);
            if (!p.Task.TryRead(entry + HeaderSize, out uint length))
                break;
            p.Append(k > 0 ? ", {msg_hdr=" : "{msg_hdr=");
            Message(p, entry, length);
            p.Append(", msg_len=").Append((long)length).Append("}");
        }

        p.Append(p.Result.Value > MaxMessages ? ", ...]" : "]");
    }, OnExit: true);

    private static void Message(CallPrinter p, ulong address, long shown)
    {
        Span<byte> bytes = stackalloc byte[HeaderSize];
        if (!p.TryStruct(address, bytes))
            return;
        uint nameLength = CallPrinter.UInt(bytes, 8);
        p.Append("{msg_name=");
        SocketAddress(p, CallPrinter.ULong(bytes, 0), nameLength);
        p.Append(", msg_namelen=").Append((long)nameLength).Append(", msg_iov=");
        Structs.IoVectorArray(p, CallPrinter.ULong(bytes, 16), CallPrinter.ULong(bytes, 24), shown);
        p.Append(", msg_iovlen=").Append(CallPrinter.ULong(bytes, 24));
        ulong control = CallPrinter.ULong(bytes, 32), controlLength = CallPrinter.ULong(bytes, 40);
        if (control != 0 && controlLength >= 16)
            ControlMessages(p, control, controlLength);
        p.Append(", msg_controllen=").Append(controlLength).Append(", msg_flags=").Flags(CallPrinter.UInt(bytes, 48), FlagTables.Message).Append("}");
    }

    private static void ControlMessages(CallPrinter p, ulong address, ulong length)
    {
        Span<byte> header = stackalloc byte[16];
        p.Append(", msg_control=[");
        ulong end = address + length;
        bool first = true;
        while (address + 16 <= end && p.Task.Memory.Read(address, header) == 16)
        {
            ulong size = CallPrinter.ULong(header, 0);
            int level = CallPrinter.Int(header, 8), type = CallPrinter.Int(header, 12);
            if (size < 16 || size > end - address)
                break;
            p.Append(first ? "" : ", ").Append("{cmsg_len=").Append(size).Append(", cmsg_level=").Flags((uint)level, SocketTables.Level).Append(", cmsg_type=");
            first = false;
            if (level == 1 && type == 1)
            {
                p.Append("SCM_RIGHTS, cmsg_data=[");
                for (ulong at = 16; at + 4 <= size && p.Task.TryRead(address + at, out int fd); at += 4)
                    p.Append(at > 16 ? ", " : "").Append((long)fd);
                p.Append("]");
            }
            else if (level == 1 && type == 2 && size >= 28 && p.Task.TryRead(address + 16, out int pid) && p.Task.TryRead(address + 20, out uint uid)
                && p.Task.TryRead(address + 24, out uint gid))
            {
                p.Append("SCM_CREDENTIALS, cmsg_data={pid=").Append((long)pid).Append(", uid=").Append((long)uid).Append(", gid=").Append((long)gid).Append("}");
            }
            else
            {
                OtherControl(p, level, type, address + 16, size - 16);
            }

            p.Append("}");
            address += (size + 7) & ~7UL;
        }

        p.Append("]");
    }

    private static void OtherControl(CallPrinter p, int level, int type, ulong address, ulong size)
    {
        if (SocketTables.ControlTypesOf(level) is { } table)
            p.Flags((uint)type, table);
        else
            p.Hex((uint)type);
        p.Append(", cmsg_data=");
        Span<byte> bytes = stackalloc byte[20];
        switch (level, type)
        {
            case (SOL.IP, IP.PKTINFO) when size >= 12 && p.Task.Memory.TryReadAll(address, bytes[..12]):
                p.Append(string.Create(CultureInfo.InvariantCulture, $"{{ipi_ifindex={CallPrinter.Int(bytes, 0)}, ipi_spec_dst={SocketFormats.InetText(bytes[4..])}, ipi_addr={SocketFormats.InetText(bytes[8..])}}}"));
                break;
            case (SOL.IPV6, IPV6.PKTINFO) when size >= 20 && p.Task.Memory.TryReadAll(address, bytes):
                p.Append(string.Create(CultureInfo.InvariantCulture, $"{{inet_pton(AF_INET6, \"{new System.Net.IPAddress(bytes[..16])}\", &ipi6_addr), ipi6_ifindex={CallPrinter.Int(bytes, 16)}}}"));
                break;
            default:
                if (size == sizeof(int))
                    Arguments.IntCell(p, address);
                else
                    p.HexData(address, (long)size);
                break;
        }
    }
}

