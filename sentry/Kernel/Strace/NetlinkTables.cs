namespace Sentry.Kernel.Strace;

/// <summary>How an attribute's value is written.</summary>
internal enum NetlinkValue
{
    Hex,
    U8,
    U16,
    U32,
    U64,
    Text,
    Address,
    LinkAddress,

    /// <summary>An interface by its number.</summary>
    Interface,
}

/// <summary>Names of netlink's messages and attributes, as strace(1) writes them.</summary>
internal static class NetlinkTables
{
    internal static readonly FlagTable Protocol = Enum("NETLINK_???", (0, "NETLINK_ROUTE"), (2, "NETLINK_USERSOCK"), (4, "NETLINK_SOCK_DIAG"), (6, "NETLINK_XFRM"), (9, "NETLINK_AUDIT"),
        (12, "NETLINK_NETFILTER"), (15, "NETLINK_KOBJECT_UEVENT"), (16, "NETLINK_GENERIC"));

    internal static readonly FlagTable Option = Enum("NETLINK_???", (1, "NETLINK_ADD_MEMBERSHIP"), (2, "NETLINK_DROP_MEMBERSHIP"), (3, "NETLINK_PKTINFO"), (4, "NETLINK_BROADCAST_ERROR"),
        (5, "NETLINK_NO_ENOBUFS"), (8, "NETLINK_LISTEN_ALL_NSID"), (9, "NETLINK_LIST_MEMBERSHIPS"), (10, "NETLINK_CAP_ACK"), (11, "NETLINK_EXT_ACK"), (12, "NETLINK_GET_STRICT_CHK"));

    internal static readonly FlagTable ControlType = Enum("NLMSG_???", (1, "NLMSG_NOOP"), (2, "NLMSG_ERROR"), (3, "NLMSG_DONE"), (4, "NLMSG_OVERRUN"));

    private static readonly (ulong, string)[] CommonFlags = [(1, "NLM_F_REQUEST"), (2, "NLM_F_MULTI"), (4, "NLM_F_ACK"), (8, "NLM_F_ECHO"), (0x10, "NLM_F_DUMP_INTR"), (0x20, "NLM_F_DUMP_FILTERED")];

    internal static readonly FlagTable GetFlags = new("NLM_F_???", [.. CommonFlags, (0x300, "NLM_F_DUMP"), (0x100, "NLM_F_ROOT"), (0x200, "NLM_F_MATCH"), (0x400, "NLM_F_ATOMIC")]);

    internal static readonly FlagTable NewFlags = new("NLM_F_???", [.. CommonFlags, (0x100, "NLM_F_REPLACE"), (0x200, "NLM_F_EXCL"), (0x400, "NLM_F_CREATE"), (0x800, "NLM_F_APPEND")]);

    internal static readonly FlagTable AckFlags = new("NLM_F_???", [.. CommonFlags, (0x100, "NLM_F_CAPPED"), (0x200, "NLM_F_ACK_TLVS")]);

    internal static readonly FlagTable PlainFlags = new("NLM_F_???", CommonFlags);

    internal static readonly FlagTable DiagnosisType = Enum("SOCK_DIAG_???", (18, "TCPDIAG_GETSOCK"), (20, "SOCK_DIAG_BY_FAMILY"), (21, "SOCK_DESTROY"));

    internal static readonly FlagTable GenericType = Enum("GENERIC_FAMILY_???", (16, "nlctrl"));

    internal static readonly FlagTable RouteMessage = Enum("RTM_???",
        (16, "RTM_NEWLINK"), (17, "RTM_DELLINK"), (18, "RTM_GETLINK"), (19, "RTM_SETLINK"), (20, "RTM_NEWADDR"), (21, "RTM_DELADDR"), (22, "RTM_GETADDR"),
        (24, "RTM_NEWROUTE"), (25, "RTM_DELROUTE"), (26, "RTM_GETROUTE"), (28, "RTM_NEWNEIGH"), (29, "RTM_DELNEIGH"), (30, "RTM_GETNEIGH"),
        (32, "RTM_NEWRULE"), (33, "RTM_DELRULE"), (34, "RTM_GETRULE"), (36, "RTM_NEWQDISC"), (37, "RTM_DELQDISC"), (38, "RTM_GETQDISC"),
        (40, "RTM_NEWTCLASS"), (41, "RTM_DELTCLASS"), (42, "RTM_GETTCLASS"), (44, "RTM_NEWTFILTER"), (45, "RTM_DELTFILTER"), (46, "RTM_GETTFILTER"),
        (58, "RTM_GETMULTICAST"), (62, "RTM_GETANYCAST"), (64, "RTM_NEWNEIGHTBL"), (66, "RTM_GETNEIGHTBL"), (67, "RTM_SETNEIGHTBL"),
        (72, "RTM_NEWADDRLABEL"), (73, "RTM_DELADDRLABEL"), (74, "RTM_GETADDRLABEL"), (80, "RTM_NEWNETCONF"), (81, "RTM_DELNETCONF"), (82, "RTM_GETNETCONF"),
        (88, "RTM_NEWNSID"), (89, "RTM_DELNSID"), (90, "RTM_GETNSID"), (92, "RTM_NEWSTATS"), (94, "RTM_GETSTATS"), (104, "RTM_NEWNEXTHOP"), (105, "RTM_DELNEXTHOP"), (106, "RTM_GETNEXTHOP"));

    internal static readonly FlagTable LinkType = Enum("ARPHRD_???", (0, "ARPHRD_NETROM"), (1, "ARPHRD_ETHER"), (772, "ARPHRD_LOOPBACK"));

    internal static readonly FlagTable LinkFlags = new("IFF_???",
    [
        (1, "IFF_UP"), (2, "IFF_BROADCAST"), (4, "IFF_DEBUG"), (8, "IFF_LOOPBACK"), (0x10, "IFF_POINTOPOINT"), (0x40, "IFF_RUNNING"), (0x80, "IFF_NOARP"),
        (0x100, "IFF_PROMISC"), (0x200, "IFF_ALLMULTI"), (0x1000, "IFF_MULTICAST"), (0x10000, "IFF_LOWER_UP"), (0x20000, "IFF_DORMANT"),
    ]);

    internal static readonly FlagTable AddressFlags = new("IFA_F_???",
    [
        (1, "IFA_F_SECONDARY"), (2, "IFA_F_NODAD"), (4, "IFA_F_OPTIMISTIC"), (8, "IFA_F_DADFAILED"), (0x10, "IFA_F_HOMEADDRESS"), (0x20, "IFA_F_DEPRECATED"),
        (0x40, "IFA_F_TENTATIVE"), (0x80, "IFA_F_PERMANENT"),
    ]);

    internal static readonly FlagTable Scope = Enum("RT_SCOPE_???", (0, "RT_SCOPE_UNIVERSE"), (200, "RT_SCOPE_SITE"), (253, "RT_SCOPE_LINK"), (254, "RT_SCOPE_HOST"), (255, "RT_SCOPE_NOWHERE"));

    internal static readonly FlagTable Table = Enum("RT_TABLE_???", (0, "RT_TABLE_UNSPEC"), (252, "RT_TABLE_COMPAT"), (253, "RT_TABLE_DEFAULT"), (254, "RT_TABLE_MAIN"), (255, "RT_TABLE_LOCAL"));

    internal static readonly FlagTable RouteProtocol = Enum("RTPROT_???", (0, "RTPROT_UNSPEC"), (1, "RTPROT_REDIRECT"), (2, "RTPROT_KERNEL"), (3, "RTPROT_BOOT"), (4, "RTPROT_STATIC"), (9, "RTPROT_RA"));

    internal static readonly FlagTable RouteType = Enum("RTN_???", (0, "RTN_UNSPEC"), (1, "RTN_UNICAST"), (2, "RTN_LOCAL"), (3, "RTN_BROADCAST"), (4, "RTN_ANYCAST"), (5, "RTN_MULTICAST"),
        (6, "RTN_BLACKHOLE"), (7, "RTN_UNREACHABLE"), (8, "RTN_PROHIBIT"), (9, "RTN_THROW"));

    internal static readonly FlagTable RouteFlags = new("RTM_F_???",
        [(1, "RTNH_F_DEAD"), (2, "RTNH_F_PERVASIVE"), (4, "RTNH_F_ONLINK"), (0x10, "RTNH_F_LINKDOWN"), (0x100, "RTM_F_NOTIFY"), (0x200, "RTM_F_CLONED"), (0x800, "RTM_F_PREFIX"), (0x1000, "RTM_F_LOOKUP_TABLE"), (0x2000, "RTM_F_FIB_MATCH")]);

    internal static readonly FlagTable NeighbourState = new("NUD_???",
        [(0, "NUD_NONE"), (1, "NUD_INCOMPLETE"), (2, "NUD_REACHABLE"), (4, "NUD_STALE"), (8, "NUD_DELAY"), (0x10, "NUD_PROBE"), (0x20, "NUD_FAILED"), (0x40, "NUD_NOARP"), (0x80, "NUD_PERMANENT")]);

    internal static readonly FlagTable NeighbourFlags = new("NTF_???", [(1, "NTF_USE"), (2, "NTF_SELF"), (4, "NTF_MASTER"), (8, "NTF_PROXY"), (0x10, "NTF_EXT_LEARNED"), (0x80, "NTF_ROUTER")]);

    internal static readonly Dictionary<int, (string Name, NetlinkValue Value)> Link = Attributes("IFLA_",
        (1, "ADDRESS", NetlinkValue.LinkAddress), (2, "BROADCAST", NetlinkValue.LinkAddress), (3, "IFNAME", NetlinkValue.Text), (4, "MTU", NetlinkValue.U32), (5, "LINK", NetlinkValue.U32),
        (6, "QDISC", NetlinkValue.Text), (7, "STATS", NetlinkValue.Hex), (10, "MASTER", NetlinkValue.U32), (13, "TXQLEN", NetlinkValue.U32), (14, "MAP", NetlinkValue.Hex),
        (16, "OPERSTATE", NetlinkValue.U8), (17, "LINKMODE", NetlinkValue.U8), (18, "LINKINFO", NetlinkValue.Hex), (19, "NET_NS_PID", NetlinkValue.U32), (20, "IFALIAS", NetlinkValue.Text),
        (23, "STATS64", NetlinkValue.Hex), (26, "AF_SPEC", NetlinkValue.Hex), (27, "GROUP", NetlinkValue.U32), (28, "NET_NS_FD", NetlinkValue.U32), (29, "EXT_MASK", NetlinkValue.U32),
        (30, "PROMISCUITY", NetlinkValue.U32), (31, "NUM_TX_QUEUES", NetlinkValue.U32), (32, "NUM_RX_QUEUES", NetlinkValue.U32), (33, "CARRIER", NetlinkValue.U8),
        (35, "CARRIER_CHANGES", NetlinkValue.U32), (37, "LINK_NETNSID", NetlinkValue.U32), (39, "PROTO_DOWN", NetlinkValue.U8), (40, "GSO_MAX_SEGS", NetlinkValue.U32), (41, "GSO_MAX_SIZE", NetlinkValue.U32),
        (43, "XDP", NetlinkValue.Hex), (47, "CARRIER_UP_COUNT", NetlinkValue.U32), (48, "CARRIER_DOWN_COUNT", NetlinkValue.U32), (50, "MIN_MTU", NetlinkValue.U32), (51, "MAX_MTU", NetlinkValue.U32),
        (53, "ALT_IFNAME", NetlinkValue.Text), (58, "GRO_MAX_SIZE", NetlinkValue.U32), (59, "TSO_MAX_SIZE", NetlinkValue.U32), (60, "TSO_MAX_SEGS", NetlinkValue.U32), (61, "ALLMULTI", NetlinkValue.U32));

    internal static readonly Dictionary<int, (string Name, NetlinkValue Value)> Address = Attributes("IFA_",
        (1, "ADDRESS", NetlinkValue.Address), (2, "LOCAL", NetlinkValue.Address), (3, "LABEL", NetlinkValue.Text), (4, "BROADCAST", NetlinkValue.Address), (5, "ANYCAST", NetlinkValue.Address),
        (6, "CACHEINFO", NetlinkValue.Hex), (7, "MULTICAST", NetlinkValue.Address), (8, "FLAGS", NetlinkValue.U32), (9, "RT_PRIORITY", NetlinkValue.U32), (11, "PROTO", NetlinkValue.Hex));

    internal static readonly Dictionary<int, (string Name, NetlinkValue Value)> Route = Attributes("RTA_",
        (1, "DST", NetlinkValue.Address), (2, "SRC", NetlinkValue.Address), (3, "IIF", NetlinkValue.Interface), (4, "OIF", NetlinkValue.Interface), (5, "GATEWAY", NetlinkValue.Address),
        (6, "PRIORITY", NetlinkValue.U32), (7, "PREFSRC", NetlinkValue.Address), (8, "METRICS", NetlinkValue.Hex), (9, "MULTIPATH", NetlinkValue.Hex), (11, "FLOW", NetlinkValue.U32),
        (12, "CACHEINFO", NetlinkValue.Hex), (15, "TABLE", NetlinkValue.U32), (16, "MARK", NetlinkValue.U32), (20, "PREF", NetlinkValue.U8), (25, "UID", NetlinkValue.U32));

    internal static readonly Dictionary<int, (string Name, NetlinkValue Value)> Neighbour = Attributes("NDA_",
        (1, "DST", NetlinkValue.Address), (2, "LLADDR", NetlinkValue.LinkAddress), (3, "CACHEINFO", NetlinkValue.Hex), (4, "PROBES", NetlinkValue.U32), (8, "IFINDEX", NetlinkValue.Interface), (9, "MASTER", NetlinkValue.U32));

    internal static readonly Dictionary<int, (string Name, NetlinkValue Value)> Ack = Attributes("NLMSGERR_ATTR_",
        (1, "MSG", NetlinkValue.Text), (2, "OFFS", NetlinkValue.U32), (3, "COOKIE", NetlinkValue.Hex), (5, "MISS_TYPE", NetlinkValue.U32));

    private static FlagTable Enum(string unknown, params (ulong, string)[] names) => new(unknown, names, isEnum: true);

    private static Dictionary<int, (string, NetlinkValue)> Attributes(string prefix, params (int Number, string Name, NetlinkValue Value)[] rows) =>
        rows.ToDictionary(r => r.Number, r => (prefix + r.Name, r.Value));
}
