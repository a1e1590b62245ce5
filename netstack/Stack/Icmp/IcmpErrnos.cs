namespace Netstack.Stack;

/// <summary>What ICMP errors mean to sockets (icmp_err_convert and icmpv6_err_convert of Linux; RFC 1122 section 4.2.3.9).</summary>
internal static class IcmpErrnos
{
    private static readonly (Errno Error, bool IsHard)[] Unreachable =
    [
        (Errno.ENETUNREACH, false), (Errno.EHOSTUNREACH, false), (Errno.ENOPROTOOPT, true), (Errno.ECONNREFUSED, true), (Errno.EMSGSIZE, false),
        (Errno.EOPNOTSUPP, false), (Errno.ENETUNREACH, true), (Errno.EHOSTDOWN, true), (Errno.ENONET, true), (Errno.ENETUNREACH, true),
        (Errno.EHOSTUNREACH, true), (Errno.ENETUNREACH, false), (Errno.EHOSTUNREACH, false), (Errno.EHOSTUNREACH, true), (Errno.EHOSTUNREACH, true),
        (Errno.EHOSTUNREACH, true),
    ];

    private static readonly (Errno Error, bool IsHard)[] UnreachableV6 =
    [
        (Errno.ENETUNREACH, false), (Errno.EACCES, true), (Errno.EHOSTUNREACH, false), (Errno.EHOSTUNREACH, false), (Errno.ECONNREFUSED, true),
        (Errno.EACCES, true), (Errno.EACCES, true),
    ];

    /// <summary>None for messages that are not errors or that hosts ignore.</summary>
    public static (Errno Error, bool IsHard) OfV4(byte type, byte code) => type switch
    {
        IcmpType.Unreachable when code < Unreachable.Length => Unreachable[code],
        IcmpType.TimeExceeded => (Errno.EHOSTUNREACH, false),
        IcmpType.ParameterProblem => (Errno.EPROTO, true),
        _ => (Errno.None, false),
    };

    /// <summary>None for messages that are not errors.</summary>
    public static (Errno Error, bool IsHard) OfV6(byte type, byte code) => type switch
    {
        Icmpv6Type.Unreachable => code < UnreachableV6.Length ? UnreachableV6[code] : (Errno.EPROTO, false),
        Icmpv6Type.PacketTooBig => (Errno.EMSGSIZE, false),
        Icmpv6Type.TimeExceeded => (Errno.EHOSTUNREACH, false),
        Icmpv6Type.ParameterProblem => (Errno.EPROTO, true),
        _ => (Errno.None, false),
    };
}
