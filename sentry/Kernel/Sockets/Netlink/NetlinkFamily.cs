namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>AF_NETLINK (netlink(7)).</summary>
internal sealed class NetlinkFamily : SocketFamily
{
    public override int Domain => AF.Netlink;

    public override Result<SocketFile> Create(Task task, int type, int protocol, OpenFlags status)
    {
        if (type is not (SocketType.Raw or SocketType.Datagram))
            return Errno.ESOCKTNOSUPPORT;
        if (NetlinkProtocol.Find(protocol) is not { } handler)
            return Errno.EPROTONOSUPPORT;
        return new NetlinkSocket(task, type, handler, status);
    }
}

/// <summary>What is behind the sockets of one protocol of AF_NETLINK: answers requests, or nothing but other sockets. Has no state of its own.</summary>
internal abstract class NetlinkProtocol
{
    private static readonly NetlinkProtocol?[] Protocols = new NetlinkProtocol?[NetlinkProtocols.Max];

    static NetlinkProtocol()
    {
        Add(new Routing.RouteProtocol());
        Add(new UserProtocol());
        Add(new Diagnosis.DiagnosisProtocol());
        Add(new UeventProtocol());
        Add(new GenericProtocol());
    }

    /// <summary>NETLINK_*.</summary>
    internal abstract int Number { get; }

    /// <summary>Multicast groups, numbered from 1.</summary>
    internal virtual int GroupCount => 32;

    /// <summary>Whether anybody may join groups (NL_CFG_F_NONROOT_RECV).</summary>
    internal virtual bool AnyoneMayListen => false;

    /// <summary>Whether anybody may send to others than the kernel (NL_CFG_F_NONROOT_SEND).</summary>
    internal virtual bool AnyoneMaySend => false;

    /// <summary>Whether the kernel is there to be sent to, as port 0.</summary>
    internal virtual bool HasKernel => true;

    /// <summary>Whether datagrams from programs to a group go to its members.</summary>
    internal virtual Errno CheckGroup(Task task, int group) => Errno.None;

    /// <summary>Does what a request says; answers go to its socket. The error, or success, is acknowledged as the request wants.</summary>
    internal abstract Errno Handle(NetlinkRequest request);

    /// <summary>Null is EPROTONOSUPPORT.</summary>
    internal static NetlinkProtocol? Find(int number) => (uint)number < NetlinkProtocols.Max ? Protocols[number] : null;

    /// <summary>Those that have a kernel end, for /proc/net/netlink.</summary>
    internal static IEnumerable<NetlinkProtocol> WithKernel => Protocols.OfType<NetlinkProtocol>().Where(p => p.HasKernel);

    private static void Add(NetlinkProtocol protocol) => Protocols[protocol.Number] = protocol;
}

/// <summary>NETLINK_USERSOCK: nobody but other programs.</summary>
internal sealed class UserProtocol : NetlinkProtocol
{
    internal override int Number => NetlinkProtocols.User;

    internal override bool AnyoneMaySend => true;

    internal override bool HasKernel => false;

    internal override Errno Handle(NetlinkRequest request) => Errno.ECONNREFUSED;
}

/// <summary>NETLINK_KOBJECT_UEVENT: there are no devices that come or go, so listeners hear nothing of the kernel. Programs (udevd) may send to group 2.</summary>
internal sealed class UeventProtocol : NetlinkProtocol
{
    internal override int Number => NetlinkProtocols.Uevent;

    internal override bool AnyoneMayListen => true;

    internal override Errno Handle(NetlinkRequest request) => Errno.None;
}
