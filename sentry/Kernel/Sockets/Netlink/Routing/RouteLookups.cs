using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETROUTE of one destination: how packets to it would go (ip route get).</summary>
internal static class RouteLookups
{
    private const int HeaderSize = RouteQueries.HeaderSize;

    /// <summary>RTCF_LOCAL, RTCF_BROADCAST, RTCF_MULTICAST.</summary>
    private const uint LocalFlag = 0x80000000, BroadcastFlag = 0x10000000, MulticastFlag = 0x20000000;

    internal static Errno Get(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return Errno.EOPNOTSUPP;
        Errno error = request.Parse(HeaderSize, RouteQueries.Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        bool isV6 = family == AF.Inet6;
        InetAddress any = isV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        InetAddress destination = attributes.Address(RouteAttribute.Destination) ?? any, source = attributes.Address(RouteAttribute.Source) ?? any;
        if (destination.IsV6 != isV6 || source.IsV6 != isV6)
            return Errno.EINVAL;
        int output = attributes.Int32(RouteAttribute.OutputInterface), input = attributes.Int32(RouteAttribute.InputInterface);
        if (output != 0 && request.Stack().FindInterface(output) is not { IsUp: true })
            return request.Stack().FindInterface(output) is null ? Errno.ENODEV : Errno.ENETUNREACH;
        if (input != 0 && request.Stack().FindInterface(input) is null)
            return Errno.ENODEV;

        // As if a packet had come in: only for addresses of this host, as nothing is forwarded.
        if (input != 0 && !request.Stack().Ip.IsLocal(destination))
            return isV6 ? Errno.ENETUNREACH : request.Stack().Settings.Forwarding ? Errno.EINVAL : Errno.EHOSTUNREACH;
        RouteEntry? entry = request.Stack().Routes.Lookup(destination, output, source);
        if ((request.UInt32(8) & RouteAttribute.FibMatch) != 0)
        {
            if (entry is null)
                return Errno.ENETUNREACH;
            request.Reply(RouteQueries.Describe(request.Answer(RouteMessage.NewRoute), request.Stack(), entry));
            return Errno.None;
        }

        if (!request.Stack().Ip.FindRoute(destination, source, output).TryGet(out Route route, out error))
            return error;
        // Without rules of users tables main and local are one in Linux, called main.
        bool asksTable = (request.UInt32(8) & RouteAttribute.LookupTable) != 0 && request.Stack().Routes.Rules.HasUserRules;
        request.Reply(isV6
            ? DescribeV6(request, destination, source, route, entry)
            : DescribeV4(request, destination, source, route, asksTable ? entry?.Table ?? RouteTable.Main : RouteTable.Main));
        return Errno.None;
    }

    /// <summary>rt_fill_info.</summary>
    private static NetlinkWriter DescribeV4(NetlinkRequest request, InetAddress destination, InetAddress source, in Route route, uint table)
    {
        NetlinkWriter writer = request.Answer(RouteMessage.NewRoute);
        Span<byte> header = writer.Reserve(HeaderSize);
        uint flags = RouteAttribute.Cloned | route.Type switch
        {
            RouteType.Local => LocalFlag,
            RouteType.Broadcast => LocalFlag | BroadcastFlag,
            RouteType.Multicast => MulticastFlag,
            _ => 0,
        };
        header[0] = AF.Inet;
        header[1] = 32;
        header[2] = source.IsAny ? (byte)0 : (byte)32;
        header[3] = request.Body[3];
        header[4] = RouteQueries.ShortTable(table);
        header[7] = route.Type;
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], flags);
        writer.PutUInt32(RouteAttribute.Table, table);
        writer.PutAddress(RouteAttribute.Destination, destination);
        if (!source.IsAny)
            writer.PutAddress(RouteAttribute.Source, source);
        writer.PutInt32(RouteAttribute.OutputInterface, route.Interface.Index);
        if (source.IsAny && !route.Source.IsAny)
            writer.PutAddress(RouteAttribute.PreferredSource, route.Source);
        if (route.NextHop != destination && route.Type == RouteType.Unicast)
            writer.PutAddress(RouteAttribute.Gateway, route.NextHop);
        if (route.Mtu != route.Interface.Mtu)
        {
            int metrics = writer.BeginNested(RouteAttribute.Metrics);
            writer.PutInt32(RouteAttribute.MetricMtu, route.Mtu);
            writer.EndNested(metrics);
        }

        writer.PutUInt32(RouteAttribute.Uid, request.Task.Credentials.Uid);
        writer.Put(RouteAttribute.CacheInfo, 32);
        return writer;
    }

    /// <summary>rt6_fill_node of a lookup.</summary>
    private static NetlinkWriter DescribeV6(NetlinkRequest request, InetAddress destination, InetAddress source, in Route route, RouteEntry? entry)
    {
        NetlinkWriter writer = request.Answer(RouteMessage.NewRoute);
        Span<byte> header = writer.Reserve(HeaderSize);
        uint table = entry?.Table ?? RouteTable.Main;
        header[0] = AF.Inet6;
        header[1] = 128;
        header[2] = 128;
        header[4] = RouteQueries.ShortTable(table);
        header[5] = entry?.Protocol ?? (byte)0;
        header[7] = route.Type;
        writer.PutUInt32(RouteAttribute.Table, table);
        writer.PutAddress(RouteAttribute.Destination, destination);
        writer.PutAddress(RouteAttribute.Source, source);
        writer.PutAddress(RouteAttribute.PreferredSource, source.IsAny ? route.Source : source);
        writer.PutUInt32(RouteAttribute.Priority, entry?.Metric ?? 0);
        if (route.NextHop != destination && route.Type == RouteType.Unicast)
            writer.PutAddress(RouteAttribute.Gateway, route.NextHop);
        writer.PutInt32(RouteAttribute.OutputInterface, route.Interface.Index);
        writer.Put(RouteAttribute.CacheInfo, 32);
        writer.PutByte(RouteAttribute.Preference, entry?.Preference ?? 0);
        return writer;
    }
}
