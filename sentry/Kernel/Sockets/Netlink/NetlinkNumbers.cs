namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>Protocols of AF_NETLINK (netlink(7)), as far as there are any.</summary>
internal static class NetlinkProtocols
{
    public const int Route = 0, User = 2, SocketDiagnosis = 4, Uevent = 15, Generic = 16, Max = 32;
}

/// <summary>Types of messages below <see cref="Min"/>, which all protocols share (netlink(7)).</summary>
internal static class MessageType
{
    public const ushort Noop = 1, Error = 2, Done = 3, Overrun = 4, Min = 16;
}

/// <summary>nlmsg_flags (netlink(7)); the upper bits mean one thing in a GET, another in a NEW request, another in an acknowledgement.</summary>
internal static class NetlinkFlags
{
    public const ushort Request = 1, Multi = 2, Ack = 4, Echo = 8, DumpFiltered = 0x20,
        Root = 0x100, Match = 0x200, Dump = Root | Match,
        Replace = 0x100, Exclusive = 0x200, Create = 0x400, Append = 0x800,
        Bulk = 0x200,
        Capped = 0x100, AckAttributes = 0x200;
}

/// <summary>Attributes of an extended acknowledgement (NETLINK_EXT_ACK).</summary>
internal static class AckAttribute
{
    public const int Message = 1, Offset = 2, Cookie = 3, MissingType = 5, MissingNest = 6;
}

/// <summary>Sizes and alignment of messages and attributes.</summary>
internal static class NetlinkLayout
{
    /// <summary>struct nlmsghdr.</summary>
    public const int Header = 16;

    /// <summary>struct nlattr.</summary>
    public const int Attribute = 4;

    /// <summary>struct sockaddr_nl.</summary>
    public const int Address = 12;

    /// <summary>Of nla_type: the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.</summary>
    public const int Nested = 0x8000, TypeMask = 0x3fff;

    public static int Align(int length) => (length + 3) & ~3;
}
