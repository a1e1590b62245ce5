using System.Buffers.Binary;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>Dumps of routes, and the message that describes one.</summary>
internal static class RouteQueries
{
    /// <summary>struct rtmsg.</summary>
    internal const int HeaderSize = 12;

    /// <summary>RT_TABLE_COMPAT: the number of the table does not fit its byte.</summary>
    private const byte CompatTable = 252;

    private const uint LinkDown = 0x10;

    /// <summary>struct rtnexthop.</summary>
    internal const int NextHopSize = 8;

    internal static readonly AttributePolicy Policy = new(RouteAttribute.Known,
        new AttributeRule(RouteAttribute.Destination, AttributeKind.Unspecified, 4), new AttributeRule(RouteAttribute.Source, AttributeKind.Unspecified, 4),
        new AttributeRule(RouteAttribute.InputInterface, AttributeKind.U32), new AttributeRule(RouteAttribute.OutputInterface, AttributeKind.U32),
        new AttributeRule(RouteAttribute.Gateway, AttributeKind.Unspecified, 4), new AttributeRule(RouteAttribute.Priority, AttributeKind.U32),
        new AttributeRule(RouteAttribute.PreferredSource, AttributeKind.Unspecified, 4), new AttributeRule(RouteAttribute.Metrics, AttributeKind.Nested),
        new AttributeRule(RouteAttribute.MultiPath, AttributeKind.Unspecified, 8), new AttributeRule(RouteAttribute.Flow, AttributeKind.U32), new AttributeRule(RouteAttribute.Table, AttributeKind.U32),
        new AttributeRule(RouteAttribute.Mark, AttributeKind.U32), new AttributeRule(RouteAttribute.Preference, AttributeKind.U8), new AttributeRule(RouteAttribute.Expires, AttributeKind.U32),
        new AttributeRule(RouteAttribute.Uid, AttributeKind.U32), new AttributeRule(RouteAttribute.Protocol, AttributeKind.U8), new AttributeRule(RouteAttribute.SourcePort, AttributeKind.U16),
        new AttributeRule(RouteAttribute.DestinationPort, AttributeKind.U16), new AttributeRule(RouteAttribute.NextHopId, AttributeKind.U32));

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        uint table = 0;
        byte protocol = 0, type = 0;
        int link = 0;
        bool filtered = false;
        if (request.IsStrict && request.Body.Length >= HeaderSize)
        {
            Errno error = ReadFilter(request, out table, out protocol, out type, out link);
            if (error != Errno.None)
                return error;
            filtered = table != 0 || protocol != 0 || type != 0 || link != 0;
            if (table > RouteTable.Local && !request.Stack().Routes.HasTable(table))
                return family == AF.Unspec ? request.Dump([]) : request.Refuse(Errno.ENOENT, family == AF.Inet6 ? "ipv6: FIB table does not exist" : "ipv4: FIB table does not exist");
            if ((request.UInt32(8) & RouteAttribute.Cloned) != 0)
                return request.Dump([]);
        }

        // Cached routes are not listed: there are none (ip route show cache).
        if (request.Body.Length >= HeaderSize && (request.UInt32(8) & RouteAttribute.Cloned) != 0)
            return request.Dump([]);
        ushort flags = (ushort)(NetlinkFlags.Multi | (filtered ? NetlinkFlags.DumpFiltered : 0));
        List<byte[]> found = [];
        foreach (bool isV6 in (bool[])[false, true])
        {
            if (family != AF.Unspec && family != (isV6 ? AF.Inet6 : AF.Inet))
                continue;
            foreach (RouteEntry route in request.Stack().Routes.Dump(isV6, table))
            {
                if ((protocol == 0 || route.Protocol == protocol) && (type == 0 || route.Type == type) && (link == 0 || route.InterfaceIndex == link))
                    found.Add(Describe(request.Answer(RouteMessage.NewRoute, flags), request.Stack(), route).ToArray());
            }
        }

        return request.Dump(found, filtered: filtered, apart: true);
    }

    /// <summary>ip_valid_fib_dump_req.</summary>
    private static Errno ReadFilter(NetlinkRequest request, out uint table, out byte protocol, out byte type, out int link)
    {
        ReadOnlySpan<byte> body = request.Body;
        (table, protocol, type, link) = (body[4], body[5], body[7], 0);
        Errno error = request.Parse(HeaderSize, Policy, strict: true, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (body[1] != 0 || body[2] != 0 || body[3] != 0)
            return request.Refuse(Errno.EINVAL, "Invalid values in header for FIB dump request");
        if ((request.UInt32(8) & ~(RouteAttribute.Cloned | 0x800)) != 0)
            return request.Refuse(Errno.EINVAL, "Invalid flags for FIB dump request");
        table = attributes.UInt32(RouteAttribute.Table, table);
        link = attributes.Int32(RouteAttribute.OutputInterface);
        if (link != 0 && request.Stack().FindInterface(link) is null)
            return Errno.ENODEV;
        for (int attribute = 1; attribute <= RouteAttribute.Known; attribute++)
        {
            if (attributes.Has(attribute) && attribute is not (RouteAttribute.Table or RouteAttribute.OutputInterface))
                return request.Refuse(Errno.EINVAL, "Unsupported attribute in dump request");
        }

        return Errno.None;
    }

    /// <summary>RTM_NEWROUTE of an entry of the table.</summary>
    internal static NetlinkWriter Describe(NetlinkWriter writer, NetworkStack stack, RouteEntry route)
    {
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = (byte)(route.IsV6 ? AF.Inet6 : AF.Inet);
        header[1] = (byte)route.Prefix;
        header[3] = route.TypeOfService;
        header[4] = ShortTable(route.Table);
        header[5] = route.Protocol;
        header[6] = route.IsV6 ? RouteScope.Universe : route.Scope;
        header[7] = route.Type;
        bool linkDown = route.InterfaceIndex != 0 && stack.FindInterface(route.InterfaceIndex) is { IsUp: true, HasCarrier: false };
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], route.Flags | (linkDown ? LinkDown : 0));
        writer.PutUInt32(RouteAttribute.Table, route.Table);
        if (route.Prefix > 0)
            writer.PutAddress(RouteAttribute.Destination, route.Destination);
        if (route.IsV6)
            DescribeV6(writer, stack, route);
        else
            DescribeV4(writer, route);
        return writer;
    }

    internal static byte ShortTable(uint table) => table < 256 ? (byte)table : CompatTable;

    private static void DescribeV4(NetlinkWriter writer, RouteEntry route)
    {
        if (route.Metric != 0)
            writer.PutUInt32(RouteAttribute.Priority, route.Metric);
        PutMetrics(writer, route);
        if (!route.PreferredSource.IsAny)
            writer.PutAddress(RouteAttribute.PreferredSource, route.PreferredSource);
        if (route.NextHops is { } hops)
        {
            PutNextHops(writer, hops);
            return;
        }

        if (route.HasGateway)
            writer.PutAddress(RouteAttribute.Gateway, route.Gateway);
        if (route.InterfaceIndex != 0)
            writer.PutInt32(RouteAttribute.OutputInterface, route.InterfaceIndex);
    }

    /// <summary>RTA_MULTIPATH: struct rtnexthop for each way, with its gateway behind it.</summary>
    private static void PutNextHops(NetlinkWriter writer, RouteNextHop[] hops)
    {
        int nest = writer.BeginNested(RouteAttribute.MultiPath);
        foreach (RouteNextHop hop in hops)
        {
            int before = writer.Length;
            Span<byte> head = writer.Reserve(NextHopSize);
            head[2] = (byte)hop.Flags;
            head[3] = (byte)(hop.Weight - 1);
            BinaryPrimitives.WriteInt32LittleEndian(head[4..], hop.InterfaceIndex);
            if (!hop.Gateway.IsAny)
                writer.PutAddress(RouteAttribute.Gateway, hop.Gateway);
            writer.PatchLength(before);
        }

        writer.EndNested(nest);
    }

    private static void DescribeV6(NetlinkWriter writer, NetworkStack stack, RouteEntry route)
    {
        if (!route.PreferredSource.IsAny)
            writer.PutAddress(RouteAttribute.PreferredSource, route.PreferredSource);
        PutMetrics(writer, route);
        writer.PutUInt32(RouteAttribute.Priority, route.Metric);
        if (route.NextHops is { } hops)
        {
            PutNextHops(writer, hops);
        }
        else
        {
            if (route.HasGateway)
                writer.PutAddress(RouteAttribute.Gateway, route.Gateway);
            writer.PutInt32(RouteAttribute.OutputInterface, route.InterfaceIndex);
        }

        Span<byte> cache = writer.Put(RouteAttribute.CacheInfo, 32);
        if (route.Expires != 0)
            BinaryPrimitives.WriteInt32LittleEndian(cache[8..], (int)RouteRequests.Centiseconds(Math.Max(0, route.Expires - stack.Now)));
        writer.PutByte(RouteAttribute.Preference, route.Preference);
    }

    private static void PutMetrics(NetlinkWriter writer, RouteEntry route)
    {
        if (route.Metrics is not { } metrics)
            return;
        int nest = writer.BeginNested(RouteAttribute.Metrics);
        for (int i = 1; i < metrics.Length; i++)
        {
            if (metrics[i] != 0)
                writer.PutUInt32(i, metrics[i]);
        }

        writer.EndNested(nest);
    }

    internal static int GroupOf(RouteEntry route) => route.IsV6 ? RouteGroup.RouteV6 : RouteGroup.RouteV4;
}
