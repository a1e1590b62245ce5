namespace Netstack.Stack;

/// <summary>Which addresses a socket may be bound to, and which bindings exclude each other; the same for all transports.</summary>
internal static class BindRules
{
    /// <summary>EAFNOSUPPORT, EINVAL (a mapped address of an IPv6-only socket, link-local without an interface), ENODEV, EADDRNOTAVAIL.</summary>
    /// <param name="scope">Interface of a link-local address, which the socket is then bound to; 0 for none.</param>
    /// <param name="groups">Whether group and broadcast addresses are allowed.</param>
    public static Errno Check(NetworkStack stack, EndpointOptions options, bool isV6, InetAddress address, int scope, bool groups = true)
    {
        if (!isV6 && address.IsV6)
            return Errno.EAFNOSUPPORT;
        if (isV6 && address.IsV4 && options.V6Only)
            return Errno.EINVAL;
        if (address is { IsV6: true } && (address.IsLinkLocal || address.IsLinkLocalMulticast))
        {
            if (scope != 0)
            {
                if (stack.FindInterface(scope) is null)
                    return Errno.ENODEV;
                options.BoundInterface = scope;
            }

            if (options.BoundInterface == 0)
                return Errno.EINVAL;
        }

        if (address.IsAny || options.FreeBind || options.Transparent || (address.IsV4 ? stack.Settings.NonlocalBind : stack.Settings.NonlocalBindV6))
            return Errno.None;
        if (address.IsMulticast || stack.Ip.IsBroadcast(address))
            return groups ? Errno.None : Errno.EADDRNOTAVAIL;
        if (address is { IsV6: true, IsLinkLocal: true })
            return stack.FindInterface(options.BoundInterface)?.FindAddress(address) is { IsUsable: true } ? Errno.None : Errno.EADDRNOTAVAIL;
        return stack.Ip.IsLocal(address) ? Errno.None : Errno.EADDRNOTAVAIL;
    }

    /// <summary>Whether one packet could be for both of two bound addresses (inet_rcv_saddr_equal). An unspecified IPv6 address is IPv4's too, unless it is of IPv6 only.</summary>
    public static bool Overlap(InetAddress first, bool firstV6Only, InetAddress second, bool secondV6Only)
    {
        if (first == second)
            return true;
        if (first.IsV4 == second.IsV4)
            return first.IsAny || second.IsAny;
        InetAddress six = first.IsV6 ? first : second;
        bool only = first.IsV6 ? firstV6Only : secondV6Only;
        return six.IsAny && !only;
    }
}
