namespace Sentry.Kernel.Sockets;

/// <summary>An address family (AF_UNIX, AF_INET, …): how its sockets are made. The seam by which a network stack adds its own.</summary>
public abstract class SocketFamily
{
    private static readonly SocketFamily?[] Families = new SocketFamily?[AF.Max];

    static SocketFamily()
    {
        Register(new UnixFamily());
        Register(new Netlink.NetlinkFamily());
        Register(new InetFamily(isV6: false));
        Register(new InetFamily(isV6: true));
        Register(new PacketFamily());
    }

    /// <summary>AF_*.</summary>
    public abstract int Domain { get; }

    /// <summary>socket(2). <paramref name="type"/> is SOCK_* without flags, <paramref name="status"/> O_NONBLOCK or nothing.</summary>
    public abstract Result<SocketFile> Create(Task task, int type, int protocol, OpenFlags status);

    /// <summary>socketpair(2): a family without pairs says so only of sockets that it can make.</summary>
    public virtual Result<(SocketFile First, SocketFile Second)> CreatePair(Task task, int type, int protocol, OpenFlags status)
    {
        if (!Create(task, type, protocol, status).TryGet(out SocketFile? socket, out Errno error))
            return error;
        socket.Release();
        return Errno.EOPNOTSUPP;
    }

    /// <summary>Called once per family, when the sentry starts.</summary>
    public static void Register(SocketFamily family) => Families[family.Domain] = family;

    /// <summary>Null is EAFNOSUPPORT.</summary>
    internal static SocketFamily? Find(int domain) => (uint)domain < (uint)Families.Length ? Families[domain] : null;
}

/// <summary>Address families (socket(2)).</summary>
public static class AF
{
    public const int Unspec = 0, Unix = 1, Inet = 2, Inet6 = 10, Netlink = 16, Packet = 17, Max = 46;
}

/// <summary>Socket types (socket(2)).</summary>
public static class SocketType
{
    public const int Stream = 1, Datagram = 2, Raw = 3, SeqPacket = 5, Mask = 0xf;
}

/// <summary>Flags of send(2) and recv(2).</summary>
public static class MessageFlags
{
    public const int OutOfBand = 1, Peek = 2, DontRoute = 4, ControlTruncated = 8, Probe = 0x10, Truncated = 0x20, DontWait = 0x40, EndOfRecord = 0x80, WaitAll = 0x100,
        Confirm = 0x800, ErrorQueue = 0x2000, NoSignal = 0x4000, More = 0x8000, WaitForOne = 0x10000, ZeroCopy = 0x4000000, CloseOnExec = 0x40000000;
}
