using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_NEWROUTE and RTM_DELROUTE.</summary>
internal static class RouteChanges
{
    private const int HeaderSize = RouteQueries.HeaderSize;
    private const byte MaxType = 11;

    private static readonly AttributePolicy MetricsPolicy = new(RouteAttribute.MetricMax,
        [.. Enumerable.Range(1, RouteAttribute.MetricMax).Select(i => i == RouteAttribute.MetricCongestion ? new AttributeRule(i, AttributeKind.Text, 16) : new AttributeRule(i, AttributeKind.U32))]);

    internal static Errno New(NetlinkRequest request)
    {
        Errno error = Read(request, out RouteEntry? entry);
        if (error != Errno.None)
            return error;
        error = entry!.IsV6 ? CheckV6(request, entry) : CheckV4(request, entry);
        if (error != Errno.None)
            return error;
        RouteAddMode mode = request.AddMode();

        // IPv6 makes routes even when not told to; it only warns.
        if (entry.IsV6 && !mode.HasFlag(RouteAddMode.Replace))
            mode |= RouteAddMode.Create;
        return Explain(request, entry, request.Stack().Routes.Add(entry, mode));
    }

    internal static Errno Delete(NetlinkRequest request)
    {
        Errno error = Read(request, out RouteEntry? pattern);
        if (error != Errno.None)
            return error;
        if (!request.Stack().Routes.HasTable(pattern!.Table))
            return request.Refuse(Errno.ESRCH, "FIB table does not exist");
        return request.Stack().Routes.Delete(pattern);
    }

    private static Errno Read(NetlinkRequest request, out RouteEntry? entry)
    {
        entry = null;
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return Errno.EOPNOTSUPP;
        Errno error = request.Parse(HeaderSize, RouteQueries.Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        bool isV6 = family == AF.Inet6;
        ReadOnlySpan<byte> body = request.Body;
        int prefix = body[1];
        if (prefix > (isV6 ? 128 : 32) || body[2] != 0)
            return isV6 ? Errno.EINVAL : request.Refuse(Errno.EINVAL, "Invalid prefix length");
        if (body[7] > MaxType)
            return request.Refuse(Errno.EINVAL, "Invalid route type");
        if (attributes.Has(RouteAttribute.NextHopId))
            return request.Refuse(Errno.EINVAL, "Nexthop id does not exist");
        InetAddress any = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        InetAddress destination = Address(attributes, RouteAttribute.Destination, isV6) ?? any;
        if (!isV6 && destination.Network(prefix) != destination)
            return request.Refuse(Errno.EINVAL, "Invalid prefix for given prefix length");
        entry = new RouteEntry
        {
            Destination = destination.Network(prefix),
            Prefix = prefix,
            TypeOfService = body[3],
            Table = attributes.UInt32(RouteAttribute.Table, body[4]) is var table && table != 0 ? table : RouteTable.Main,
            Protocol = body[5],
            Scope = body[6],
            Type = body[7],
            Flags = request.UInt32(8) & RouteEntry.OnLinkFlag,
            Metric = attributes.UInt32(RouteAttribute.Priority),
            InterfaceIndex = attributes.Int32(RouteAttribute.OutputInterface),
            Gateway = Address(attributes, RouteAttribute.Gateway, isV6) ?? any,
            PreferredSource = Address(attributes, RouteAttribute.PreferredSource, isV6) ?? any,
            Preference = attributes.Byte(RouteAttribute.Preference),
        };
        if (isV6 && attributes.Has(RouteAttribute.Expires))
            entry.Expires = request.Stack().Now + (attributes.UInt32(RouteAttribute.Expires) * 1_000_000_000L);
        if (attributes.Has(RouteAttribute.MultiPath))
        {
            error = ReadNextHops(request, attributes[RouteAttribute.MultiPath], isV6, entry);
            if (error != Errno.None)
                return error;
        }

        return attributes.Has(RouteAttribute.Metrics) ? ReadMetrics(request, attributes, entry) : Errno.None;
    }

    private static Errno ReadNextHops(NetlinkRequest request, ReadOnlySpan<byte> rest, bool isV6, RouteEntry entry)
    {
        List<RouteNextHop> hops = [];
        while (rest.Length >= RouteQueries.NextHopSize)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(rest);
            if (length < RouteQueries.NextHopSize || length > rest.Length)
                return request.Refuse(Errno.EINVAL, "Invalid nexthop configuration - extra data after nexthops");
            var hop = new RouteNextHop { InterfaceIndex = BinaryPrimitives.ReadInt32LittleEndian(rest[4..]), Weight = rest[3] + 1, Flags = rest[2] & RouteEntry.OnLinkFlag, Gateway = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4 };
            var reader = new AttributeReader(rest[RouteQueries.NextHopSize..length]);
            while (reader.MoveNext())
            {
                if (reader.Type == RouteAttribute.Gateway && reader.Value.Length >= (isV6 ? 16 : 4))
                    hop.Gateway = InetAddress.FromBytes(reader.Value[..(isV6 ? 16 : 4)]);
            }

            hops.Add(hop);
            rest = rest[Math.Min(rest.Length, NetlinkLayout.Align(length))..];
        }

        if (hops.Count == 0)
            return request.Refuse(Errno.EINVAL, "Invalid nexthop configuration - no valid nexthops");
        if (hops.Count == 1)
            (entry.InterfaceIndex, entry.Gateway, entry.Flags) = (hops[0].InterfaceIndex, hops[0].Gateway, hops[0].Flags);
        else
            entry.NextHops = [.. hops];
        return Errno.None;
    }

    private static InetAddress? Address(AttributeTable attributes, int type, bool isV6)
    {
        ReadOnlySpan<byte> value = attributes[type];
        int size = isV6 ? 16 : 4;
        return value.Length < size ? null : InetAddress.FromBytes(value[..size]);
    }

    private static Errno ReadMetrics(NetlinkRequest request, AttributeTable attributes, RouteEntry entry)
    {
        Errno error = attributes.ParseNested(request, RouteAttribute.Metrics, MetricsPolicy, strict: false, out AttributeTable metrics);
        if (error != Errno.None)
            return error;
        var values = new uint[RouteAttribute.MetricMax + 1];
        for (int i = 1; i < values.Length; i++)
        {
            if (!metrics.Has(i))
                continue;
            if (i == RouteAttribute.MetricCongestion)
                return request.Refuse(Errno.EINVAL, "Unknown tcp congestion algorithm");
            values[i] = metrics.UInt32(i);
        }

        entry.Metrics = values;
        entry.Mtu = (int)Math.Min(values[RouteAttribute.MetricMtu], NetworkInterface.MaxMtu);
        return Errno.None;
    }

    private static Errno CheckV4(NetlinkRequest request, RouteEntry entry)
    {
        if (entry.Refuses || entry.Type == RouteType.Throw)
        {
            if (entry.HasGateway || entry.InterfaceIndex != 0)
                return request.Refuse(Errno.EINVAL, "Gateway, device and multipath can not be specified for this route type");
            return Errno.None;
        }

        // The scope of a route must be wider than what its type implies (fib_props).
        byte narrowest = entry.Type switch
        {
            RouteType.Unspecified => RouteScope.Nowhere,
            RouteType.Local => RouteScope.Host,
            RouteType.Broadcast => RouteScope.Link,
            _ => RouteScope.Universe,
        };
        if (entry.Type == RouteType.Unspecified || entry.Scope == RouteScope.Nowhere || entry.Scope < narrowest)
            return request.Refuse(Errno.EINVAL, "Invalid scope");
        if (entry.Scope == RouteScope.Host && entry.HasGateway)
            return request.Refuse(Errno.EINVAL, "Route with host scope can not have a gateway");
        if ((entry.Flags & RouteEntry.OnLinkFlag) != 0 && entry.HasGateway && entry.InterfaceIndex == 0)
            return request.Refuse(Errno.ENODEV, "Nexthop device required for onlink");
        if (!entry.PreferredSource.IsAny && !request.Stack().Ip.IsLocal(entry.PreferredSource))
            return request.Refuse(Errno.EINVAL, "Invalid prefsrc address");
        return Errno.None;
    }

    private static Errno CheckV6(NetlinkRequest request, RouteEntry entry)
    {
        if (entry.Type == RouteType.Unspecified)
            entry.Type = RouteType.Unicast;
        if (entry.Refuses || entry.Type == RouteType.Throw)
        {
            entry.InterfaceIndex = 0;
            entry.Gateway = InetAddress.AnyV6;
            return Errno.None;
        }

        if (!entry.PreferredSource.IsAny && !request.Stack().Ip.IsLocal(entry.PreferredSource))
            return request.Refuse(Errno.EINVAL, "Invalid source address");
        if (!entry.HasGateway)
            return Errno.None;
        if (entry.Gateway.IsMulticast || entry.Gateway.IsLoopback)
            return request.Refuse(Errno.EINVAL, "Invalid gateway address");
        if (request.Stack().Ip.IsLocal(entry.Gateway))
            return request.Refuse(Errno.EINVAL, "Gateway can not be a local address");
        return entry.Gateway.IsLinkLocal && entry.InterfaceIndex == 0 ? request.Refuse(Errno.EINVAL, "Egress device not specified") : Errno.None;
    }

    private static Errno Explain(NetlinkRequest request, RouteEntry entry, Errno error) => (error, entry.IsV6) switch
    {
        (Errno.ENETUNREACH, false) => request.Refuse(error, "Nexthop has invalid gateway"),
        (Errno.ENETDOWN, false) => request.Refuse(error, "Device for nexthop is not up"),
        (Errno.ENETDOWN, true) => request.Refuse(error, "Nexthop device is not up"),
        (Errno.ENOENT, true) => request.Refuse(error, "Can not replace route - no match found"),
        _ => error,
    };
}
