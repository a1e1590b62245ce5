using System.Buffers.Binary;
using Netstack.Stack;
using Sentry.Kernel.Sockets.Settings;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETLINK, and the message that describes a link.</summary>
internal static class LinkQueries
{
    /// <summary>struct ifinfomsg.</summary>
    internal const int HeaderSize = 16;

    internal const byte Bridge = 7;

    /// <summary>What a GET request may say; changes have a policy of their own.</summary>
    private static readonly AttributePolicy Policy = new(LinkAttribute.Known,
        new AttributeRule(LinkAttribute.Name, AttributeKind.Text, 15), new AttributeRule(LinkAttribute.AlternativeName, AttributeKind.Text, 127),
        new AttributeRule(LinkAttribute.ExtendedMask, AttributeKind.U32), new AttributeRule(LinkAttribute.Master, AttributeKind.U32),
        new AttributeRule(LinkAttribute.Info, AttributeKind.Nested), new AttributeRule(LinkAttribute.TargetNamespace, AttributeKind.U32));

    private static readonly AttributePolicy InfoPolicy = new(5, new AttributeRule(LinkAttribute.InfoKind, AttributeKind.Text, 64));

    internal static Errno Get(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, request.IsStrict, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (request.IsStrict && (request.Body[1] != 0 || BinaryPrimitives.ReadUInt16LittleEndian(request.Body[2..]) != 0 || request.UInt32(8) != 0 || request.UInt32(12) != 0))
            return request.Refuse(Errno.EINVAL, "Invalid values in header for get link request");
        if (attributes.Has(LinkAttribute.TargetNamespace))
            return request.Refuse(Errno.EINVAL, "Invalid target network namespace id");
        error = Find(request, attributes, out NetworkInterface? link);
        if (error == Errno.None)
            request.Reply(Describe(request.Answer(RouteMessage.NewLink), link!, attributes.UInt32(LinkAttribute.ExtendedMask)));
        return error;
    }

    /// <summary>The interface that a request names by number, name or alternative name: EINVAL when by none, ENODEV.</summary>
    internal static Errno Find(NetlinkRequest request, AttributeTable attributes, out NetworkInterface? link)
    {
        int index = request.Int32(4);
        link = null;
        if (index > 0)
            link = request.Stack().FindInterface(index);
        else if ((attributes.Text(LinkAttribute.Name) ?? attributes.Text(LinkAttribute.AlternativeName)) is { } name)
            link = request.Stack().FindByAnyName(name);
        else
            return Errno.EINVAL;
        return link is null ? Errno.ENODEV : Errno.None;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family == Bridge)
            return request.Dump([]);
        Errno error = request.Parse(HeaderSize, Policy, request.IsStrict, out AttributeTable attributes);
        if (error != Errno.None && request.IsStrict)
            return error;
        if (request.IsStrict)
        {
            if (request.Body[1] != 0 || BinaryPrimitives.ReadUInt16LittleEndian(request.Body[2..]) != 0 || request.UInt32(8) != 0 || request.UInt32(12) != 0)
                return request.Refuse(Errno.EINVAL, "Invalid values in header for link dump");
            if (request.Int32(4) != 0)
                return request.Refuse(Errno.EINVAL, "Filter by device index not supported for link dumps");
        }

        string? kind = null;
        if (attributes.Has(LinkAttribute.Info) && attributes.ParseNested(request, LinkAttribute.Info, InfoPolicy, strict: false, out AttributeTable info) == Errno.None)
            kind = info.Text(LinkAttribute.InfoKind);
        bool filtered = kind is not null || attributes.Has(LinkAttribute.Master);
        ushort flags = (ushort)(NetlinkFlags.Multi | (filtered ? NetlinkFlags.DumpFiltered : 0));
        List<byte[]> found = [];
        foreach (NetworkInterface link in request.Stack().Interfaces)
        {
            // Nothing has a master here.
            if (attributes.UInt32(LinkAttribute.Master) != 0 || (kind is not null && kind != link.Attributes.Kind))
                continue;
            NetlinkWriter writer = request.Answer(RouteMessage.NewLink, flags);
            found.Add((family == AF.Inet6 ? DescribeV6(writer, link) : Describe(writer, link, attributes.UInt32(LinkAttribute.ExtendedMask))).ToArray());
        }

        return request.Dump(found, filtered: filtered, apart: family != AF.Inet6);
    }

    private static void PutHeader(NetlinkWriter writer, byte family, NetworkInterface link, uint change)
    {
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = family;
        BinaryPrimitives.WriteUInt16LittleEndian(header[2..], (ushort)link.Kind);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], LinkState.Flags(link));
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], change);
    }

    /// <summary>RTM_NEWLINK with everything in the order of rtnl_fill_ifinfo.</summary>
    /// <param name="extendedMask">IFLA_EXT_MASK of the request.</param>
    /// <param name="change">ifi_change: the flags that a notification is about.</param>
    internal static NetlinkWriter Describe(NetlinkWriter writer, NetworkInterface link, uint extendedMask, uint change = 0)
    {
        LinkAttributes attributes = link.Attributes;
        PutHeader(writer, AF.Unspec, link, change);
        writer.PutString(LinkAttribute.Name, link.Name);
        writer.PutInt32(LinkAttribute.QueueLength, link.TransmitQueueLength);
        writer.PutByte(LinkAttribute.OperationalState, LinkState.Operational(link));
        writer.PutByte(LinkAttribute.LinkMode, 0);
        (int min, int max) = LinkState.MtuRange(link);
        writer.PutInt32(LinkAttribute.Mtu, link.Mtu);
        writer.PutInt32(LinkAttribute.MinMtu, min);
        writer.PutInt32(LinkAttribute.MaxMtu, max);
        writer.PutUInt32(LinkAttribute.Group, attributes.Group);
        writer.PutInt32(LinkAttribute.Promiscuity, link.Promiscuity);
        writer.PutInt32(LinkAttribute.AllMulticast, link.AllMulticast);
        PutCapabilities(writer, link);
        writer.PutByte(LinkAttribute.Carrier, (byte)(link.HasCarrier ? 1 : 0));
        writer.PutUInt32(LinkAttribute.CarrierChanges, attributes.CarrierUps + attributes.CarrierDowns);
        writer.PutUInt32(LinkAttribute.CarrierUp, attributes.CarrierUps);
        writer.PutUInt32(LinkAttribute.CarrierDown, attributes.CarrierDowns);
        writer.PutByte(LinkAttribute.ProtocolDown, 0);
        writer.PutMac(LinkAttribute.Address, link.Mac);
        writer.PutMac(LinkAttribute.Broadcast, LinkState.Broadcast(link));
        if (attributes.Alias.Length > 0)
            writer.PutString(LinkAttribute.Alias, attributes.Alias);
        StatisticsMessages.Put64(writer, LinkAttribute.Statistics64, link.Counters);
        StatisticsMessages.Put32(writer, LinkAttribute.Statistics, link.Counters);
        int xdp = writer.BeginNested(LinkAttribute.Xdp);
        writer.PutByte(2, 0);
        writer.EndNested(xdp);
        if (attributes.Kind is { } kind)
        {
            int info = writer.BeginNested(LinkAttribute.Info);
            writer.PutString(LinkAttribute.InfoKind, kind);
            writer.EndNested(info);
        }

        if (link.Virtual?.Peer is { } peer)
            writer.PutInt32(LinkAttribute.Link, peer.Index);
        writer.PutString(LinkAttribute.Queueing, LinkState.Queueing(link));
        PutFamilies(writer, link, (extendedMask & LinkAttribute.SkipStatistics) != 0);
        writer.Put(LinkAttribute.Map, 32);
        if (attributes.AlternativeNames.Count > 0)
        {
            int properties = writer.BeginNested(LinkAttribute.PropertyList | NetlinkLayout.Nested);
            foreach (string name in attributes.AlternativeNames)
                writer.PutString(LinkAttribute.AlternativeName, name);
            writer.EndNested(properties);
        }

        return writer;
    }

    private static void PutCapabilities(NetlinkWriter writer, NetworkInterface link)
    {
        const uint segments = 65535, size = 65536, tsoSize = 524280;
        uint queues = link.Attributes.Queues;
        writer.PutUInt32(LinkAttribute.SendQueues, queues);
        writer.PutUInt32(LinkAttribute.SegmentsMax, segments);
        writer.PutUInt32(LinkAttribute.SegmentedSizeMax, size);
        writer.PutUInt32(LinkAttribute.JoinedSizeMax, size);
        writer.PutUInt32(LinkAttribute.TsoSizeMax, tsoSize);
        writer.PutUInt32(LinkAttribute.TsoSegmentsMax, segments);
        writer.PutUInt32(LinkAttribute.ReceiveQueues, queues);
    }

    /// <summary>IFLA_AF_SPEC: the settings of IPv4 and IPv6 as arrays.</summary>
    private static void PutFamilies(NetlinkWriter writer, NetworkInterface link, bool skipStatistics)
    {
        int families = writer.BeginNested(LinkAttribute.FamilySpecific);
        int v4 = writer.BeginNested(AF.Inet);
        PutNumbers(writer, LinkAttribute.ConfigurationV4, InterfaceSettings.ArrayV4(link));
        writer.EndNested(v4);
        int v6 = writer.BeginNested(AF.Inet6);
        PutProtocolV6(writer, link, skipStatistics);
        writer.EndNested(v6);
        writer.EndNested(families);
    }

    private static void PutProtocolV6(NetlinkWriter writer, NetworkInterface link, bool skipStatistics)
    {
        writer.PutUInt32(LinkAttribute.FlagsV6, 0);
        Span<byte> cache = writer.Put(LinkAttribute.CacheInfoV6, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(cache, 65535);
        BinaryPrimitives.WriteUInt32LittleEndian(cache[8..], 30000);
        BinaryPrimitives.WriteUInt32LittleEndian(cache[12..], 1000);
        PutNumbers(writer, LinkAttribute.ConfigurationV6, InterfaceSettings.ArrayV6(link));
        if (!skipStatistics)
        {
            const int ipCounters = 38, icmpCounters = 7;
            BinaryPrimitives.WriteUInt64LittleEndian(writer.Put(LinkAttribute.StatisticsV6, 8 * ipCounters), ipCounters);
            BinaryPrimitives.WriteUInt64LittleEndian(writer.Put(LinkAttribute.IcmpStatisticsV6, 8 * icmpCounters), icmpCounters);
        }

        writer.Put(LinkAttribute.TokenV6, 16);
        writer.PutByte(LinkAttribute.AddressGenerationV6, (byte)InterfaceSettings.Get(link, isV6: true, "addr_gen_mode"));
    }

    /// <summary>RTM_NEWLINK of family AF_INET6 (inet6_fill_ifinfo).</summary>
    internal static NetlinkWriter DescribeV6(NetlinkWriter writer, NetworkInterface link)
    {
        PutHeader(writer, AF.Inet6, link, 0);
        writer.PutString(LinkAttribute.Name, link.Name);
        writer.PutMac(LinkAttribute.Address, link.Mac);
        writer.PutInt32(LinkAttribute.Mtu, link.Mtu);
        if (link.Virtual?.Peer is { } peer)
            writer.PutInt32(LinkAttribute.Link, peer.Index);
        writer.PutByte(LinkAttribute.OperationalState, LinkState.Operational(link));
        int protocol = writer.BeginNested(LinkAttribute.ProtocolInfo);
        PutProtocolV6(writer, link, skipStatistics: false);
        writer.EndNested(protocol);
        return writer;
    }

    private static void PutNumbers(NetlinkWriter writer, int type, ReadOnlySpan<int> numbers)
    {
        Span<byte> bytes = writer.Put(type, 4 * numbers.Length);
        for (int i = 0; i < numbers.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(bytes[(4 * i)..], numbers[i]);
    }
}
