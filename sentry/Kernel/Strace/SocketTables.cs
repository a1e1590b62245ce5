using static Sentry.Kernel.Strace.FlagTables;

namespace Sentry.Kernel.Strace;

/// <summary>Names of levels, options and requests of sockets.</summary>
internal static class SocketTables
{
    internal static readonly FlagTable Level = Enum("SOL_???", (0, "SOL_IP"), (1, "SOL_SOCKET"), (6, "SOL_TCP"), (17, "SOL_UDP"), (41, "SOL_IPV6"), (58, "SOL_ICMPV6"),
        (255, "SOL_RAW"), (263, "SOL_PACKET"), (270, "SOL_NETLINK"));

    internal static readonly FlagTable SocketOption = Enum("SO_???",
        (1, "SO_DEBUG"), (2, "SO_REUSEADDR"), (3, "SO_TYPE"), (4, "SO_ERROR"), (5, "SO_DONTROUTE"), (6, "SO_BROADCAST"), (7, "SO_SNDBUF"), (8, "SO_RCVBUF"),
        (9, "SO_KEEPALIVE"), (10, "SO_OOBINLINE"), (11, "SO_NO_CHECK"), (12, "SO_PRIORITY"), (13, "SO_LINGER"), (15, "SO_REUSEPORT"), (16, "SO_PASSCRED"), (17, "SO_PEERCRED"),
        (18, "SO_RCVLOWAT"), (19, "SO_SNDLOWAT"), (20, "SO_RCVTIMEO_OLD"), (21, "SO_SNDTIMEO_OLD"), (25, "SO_BINDTODEVICE"), (26, "SO_ATTACH_FILTER"), (27, "SO_DETACH_FILTER"),
        (28, "SO_PEERNAME"), (29, "SO_TIMESTAMP_OLD"), (30, "SO_ACCEPTCONN"), (31, "SO_PEERSEC"), (32, "SO_SNDBUFFORCE"), (33, "SO_RCVBUFFORCE"), (34, "SO_PASSSEC"),
        (35, "SO_TIMESTAMPNS_OLD"), (36, "SO_MARK"), (37, "SO_TIMESTAMPING_OLD"), (38, "SO_PROTOCOL"), (39, "SO_DOMAIN"), (40, "SO_RXQ_OVFL"), (41, "SO_WIFI_STATUS"),
        (42, "SO_PEEK_OFF"), (43, "SO_NOFCS"), (44, "SO_LOCK_FILTER"), (45, "SO_SELECT_ERR_QUEUE"), (46, "SO_BUSY_POLL"), (47, "SO_MAX_PACING_RATE"), (48, "SO_BPF_EXTENSIONS"),
        (49, "SO_INCOMING_CPU"), (50, "SO_ATTACH_BPF"), (55, "SO_MEMINFO"), (56, "SO_INCOMING_NAPI_ID"), (57, "SO_COOKIE"), (59, "SO_PEERGROUPS"), (60, "SO_ZEROCOPY"),
        (61, "SO_TXTIME"), (62, "SO_BINDTOIFINDEX"), (63, "SO_TIMESTAMP_NEW"), (64, "SO_TIMESTAMPNS_NEW"), (65, "SO_TIMESTAMPING_NEW"), (66, "SO_RCVTIMEO_NEW"),
        (67, "SO_SNDTIMEO_NEW"), (71, "SO_NETNS_COOKIE"), (72, "SO_BUF_LOCK"));

    private static readonly FlagTable IpOption = Enum("IP_???",
        (1, "IP_TOS"), (2, "IP_TTL"), (3, "IP_HDRINCL"), (4, "IP_OPTIONS"), (6, "IP_RECVOPTS"), (7, "IP_RETOPTS"), (8, "IP_PKTINFO"), (10, "IP_MTU_DISCOVER"), (11, "IP_RECVERR"),
        (12, "IP_RECVTTL"), (13, "IP_RECVTOS"), (14, "IP_MTU"), (15, "IP_FREEBIND"), (19, "IP_TRANSPARENT"), (20, "IP_RECVORIGDSTADDR"), (21, "IP_MINTTL"), (22, "IP_NODEFRAG"),
        (23, "IP_CHECKSUM"), (24, "IP_BIND_ADDRESS_NO_PORT"), (25, "IP_RECVFRAGSIZE"), (32, "IP_MULTICAST_IF"), (33, "IP_MULTICAST_TTL"), (34, "IP_MULTICAST_LOOP"),
        (35, "IP_ADD_MEMBERSHIP"), (36, "IP_DROP_MEMBERSHIP"), (37, "IP_UNBLOCK_SOURCE"), (38, "IP_BLOCK_SOURCE"), (39, "IP_ADD_SOURCE_MEMBERSHIP"),
        (40, "IP_DROP_SOURCE_MEMBERSHIP"), (41, "IP_MSFILTER"), (42, "MCAST_JOIN_GROUP"), (43, "MCAST_BLOCK_SOURCE"), (44, "MCAST_UNBLOCK_SOURCE"), (45, "MCAST_LEAVE_GROUP"),
        (46, "MCAST_JOIN_SOURCE_GROUP"), (47, "MCAST_LEAVE_SOURCE_GROUP"), (48, "MCAST_MSFILTER"), (49, "IP_MULTICAST_ALL"), (50, "IP_UNICAST_IF"));

    private static readonly FlagTable Ipv6Option = Enum("IPV6_???",
        (1, "IPV6_ADDRFORM"), (2, "IPV6_2292PKTINFO"), (7, "IPV6_CHECKSUM"), (8, "IPV6_2292HOPLIMIT"), (11, "IPV6_FLOWINFO"), (16, "IPV6_UNICAST_HOPS"), (17, "IPV6_MULTICAST_IF"),
        (18, "IPV6_MULTICAST_HOPS"), (19, "IPV6_MULTICAST_LOOP"), (20, "IPV6_ADD_MEMBERSHIP"), (21, "IPV6_DROP_MEMBERSHIP"), (23, "IPV6_MTU_DISCOVER"), (24, "IPV6_MTU"),
        (25, "IPV6_RECVERR"), (26, "IPV6_V6ONLY"), (29, "IPV6_MULTICAST_ALL"), (42, "MCAST_JOIN_GROUP"), (43, "MCAST_BLOCK_SOURCE"), (44, "MCAST_UNBLOCK_SOURCE"),
        (45, "MCAST_LEAVE_GROUP"), (46, "MCAST_JOIN_SOURCE_GROUP"), (47, "MCAST_LEAVE_SOURCE_GROUP"), (48, "MCAST_MSFILTER"), (49, "IPV6_RECVPKTINFO"), (50, "IPV6_PKTINFO"),
        (51, "IPV6_RECVHOPLIMIT"), (52, "IPV6_HOPLIMIT"), (60, "IPV6_RECVPATHMTU"), (61, "IPV6_PATHMTU"), (62, "IPV6_DONTFRAG"), (66, "IPV6_RECVTCLASS"), (67, "IPV6_TCLASS"),
        (70, "IPV6_AUTOFLOWLABEL"), (74, "IPV6_RECVORIGDSTADDR"), (75, "IPV6_TRANSPARENT"), (76, "IPV6_UNICAST_IF"), (78, "IPV6_FREEBIND"));

    private static readonly FlagTable TcpOption = Enum("TCP_???",
        (1, "TCP_NODELAY"), (2, "TCP_MAXSEG"), (3, "TCP_CORK"), (4, "TCP_KEEPIDLE"), (5, "TCP_KEEPINTVL"), (6, "TCP_KEEPCNT"), (7, "TCP_SYNCNT"), (8, "TCP_LINGER2"),
        (9, "TCP_DEFER_ACCEPT"), (10, "TCP_WINDOW_CLAMP"), (11, "TCP_INFO"), (12, "TCP_QUICKACK"), (13, "TCP_CONGESTION"), (14, "TCP_MD5SIG"), (18, "TCP_USER_TIMEOUT"),
        (19, "TCP_REPAIR"), (23, "TCP_FASTOPEN"), (24, "TCP_TIMESTAMP"), (25, "TCP_NOTSENT_LOWAT"), (26, "TCP_CC_INFO"), (30, "TCP_FASTOPEN_CONNECT"), (31, "TCP_ULP"),
        (35, "TCP_ZEROCOPY_RECEIVE"), (36, "TCP_INQ"));

    private static readonly FlagTable UdpOption = Enum("UDP_???", (1, "UDP_CORK"), (100, "UDP_ENCAP"), (103, "UDP_SEGMENT"), (104, "UDP_GRO"));

    private static readonly FlagTable PacketOption = Enum("PACKET_???",
        (1, "PACKET_ADD_MEMBERSHIP"), (2, "PACKET_DROP_MEMBERSHIP"), (5, "PACKET_RX_RING"), (6, "PACKET_STATISTICS"), (8, "PACKET_AUXDATA"), (9, "PACKET_ORIGDEV"),
        (10, "PACKET_VERSION"), (11, "PACKET_HDRLEN"), (12, "PACKET_RESERVE"), (13, "PACKET_TX_RING"), (14, "PACKET_LOSS"), (15, "PACKET_VNET_HDR"), (17, "PACKET_TIMESTAMP"),
        (18, "PACKET_FANOUT"), (20, "PACKET_QDISC_BYPASS"), (23, "PACKET_IGNORE_OUTGOING"));

    private static readonly FlagTable RawOption = Enum("RAW_???", (1, "ICMP_FILTER"));

    private static readonly FlagTable ControlType = Enum("SCM_???", (1, "SCM_RIGHTS"), (2, "SCM_CREDENTIALS"), (29, "SO_TIMESTAMP_OLD"), (35, "SO_TIMESTAMPNS_OLD"),
        (37, "SO_TIMESTAMPING_OLD"), (40, "SO_RXQ_OVFL"), (63, "SO_TIMESTAMP_NEW"), (64, "SO_TIMESTAMPNS_NEW"), (65, "SO_TIMESTAMPING_NEW"));

    /// <summary>Requests of ioctl(2): names and, where the argument is a struct ifreq, what is in its union.</summary>
    internal static readonly FlagTable Request = Enum("",
        (0x8901, "FIOSETOWN"), (0x8902, "SIOCSPGRP"), (0x8903, "FIOGETOWN"), (0x8904, "SIOCGPGRP"), (0x8905, "SIOCATMARK"), (0x8906, "SIOCGSTAMP_OLD"), (0x8907, "SIOCGSTAMPNS_OLD"),
        (0x80108906, "SIOCGSTAMP_NEW"), (0x80108907, "SIOCGSTAMPNS_NEW"), (0x890b, "SIOCADDRT"), (0x890c, "SIOCDELRT"), (0x8910, "SIOCGIFNAME"), (0x8911, "SIOCSIFLINK"),
        (0x8912, "SIOCGIFCONF"), (0x8913, "SIOCGIFFLAGS"), (0x8914, "SIOCSIFFLAGS"), (0x8915, "SIOCGIFADDR"), (0x8916, "SIOCSIFADDR"), (0x8917, "SIOCGIFDSTADDR"),
        (0x8918, "SIOCSIFDSTADDR"), (0x8919, "SIOCGIFBRDADDR"), (0x891a, "SIOCSIFBRDADDR"), (0x891b, "SIOCGIFNETMASK"), (0x891c, "SIOCSIFNETMASK"), (0x891d, "SIOCGIFMETRIC"),
        (0x891e, "SIOCSIFMETRIC"), (0x8921, "SIOCGIFMTU"), (0x8922, "SIOCSIFMTU"), (0x8923, "SIOCSIFNAME"), (0x8924, "SIOCSIFHWADDR"), (0x8927, "SIOCGIFHWADDR"),
        (0x8931, "SIOCADDMULTI"), (0x8932, "SIOCDELMULTI"), (0x8933, "SIOCGIFINDEX"), (0x8936, "SIOCDIFADDR"), (0x8938, "SIOCGIFCOUNT"), (0x8942, "SIOCGIFTXQLEN"),
        (0x8943, "SIOCSIFTXQLEN"), (0x8946, "SIOCETHTOOL"), (0x894b, "SIOCOUTQNSD"), (0x8953, "SIOCDARP"), (0x8954, "SIOCGARP"), (0x8955, "SIOCSARP"), (0x8970, "SIOCGIFMAP"),
        (0x8971, "SIOCSIFMAP"));

    internal static readonly FlagTable InterfaceFlags = new("IFF_???", [(1, "IFF_UP"), (2, "IFF_BROADCAST"), (4, "IFF_DEBUG"), (8, "IFF_LOOPBACK"), (0x10, "IFF_POINTOPOINT"),
        (0x20, "IFF_NOTRAILERS"), (0x40, "IFF_RUNNING"), (0x80, "IFF_NOARP"), (0x100, "IFF_PROMISC"), (0x200, "IFF_ALLMULTI"), (0x1000, "IFF_MULTICAST")]);

    /// <summary>The options of a level; null when none is known.</summary>
    internal static FlagTable? OptionsOf(int level) => level switch
    {
        SOL.SOCKET => SocketOption,
        SOL.IP => IpOption,
        SOL.IPV6 => Ipv6Option,
        SOL.TCP => TcpOption,
        SOL.UDP => UdpOption,
        SOL.PACKET => PacketOption,
        SOL.RAW or SOL.ICMPV6 => RawOption,
        SOL.NETLINK => NetlinkTables.Option,
        _ => null,
    };

    /// <summary>Types of ancillary data are options of their level, but for SOL_SOCKET.</summary>
    internal static FlagTable? ControlTypesOf(int level) => level == SOL.SOCKET ? ControlType : OptionsOf(level);
}
