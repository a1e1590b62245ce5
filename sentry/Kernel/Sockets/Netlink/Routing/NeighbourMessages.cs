using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_NEWNEIGH, RTM_DELNEIGH and RTM_GETNEIGH: ARP's entries and those of neighbour discovery.</summary>
internal static class NeighbourMessages
{
    /// <summary>struct ndmsg.</summary>
    private const int HeaderSize = 12;

    private static readonly AttributePolicy Policy = new(NeighbourAttribute.Known,
        new AttributeRule(NeighbourAttribute.Interface, AttributeKind.U32), new AttributeRule(NeighbourAttribute.Master, AttributeKind.U32),
        new AttributeRule(NeighbourAttribute.Protocol, AttributeKind.U8), new AttributeRule(NeighbourAttribute.ExtendedFlags, AttributeKind.U32), new AttributeRule(NeighbourAttribute.Probes, AttributeKind.U32));

    private static bool IsFamily(byte family) => family is AF.Inet or AF.Inet6;

    internal static Errno New(NetlinkRequest request)
    {
        Errno error = Read(request, out AttributeTable attributes, out NetworkInterface? link);
        if (error != Errno.None)
            return error;
        if (attributes.Has(NeighbourAttribute.LinkAddress) && attributes[NeighbourAttribute.LinkAddress].Length < 6)
            return request.Refuse(Errno.EINVAL, "Invalid link address");
        error = ReadAddress(request, attributes, out InetAddress address);
        if (error != Errno.None)
            return error;
        byte flags = request.Body[10];
        if ((flags & NeighbourAttribute.Proxy) != 0)
            return request.Refuse(Errno.EOPNOTSUPP, "Proxy neighbours are not supported");
        var state = (NeighbourState)BinaryPrimitives.ReadUInt16LittleEndian(request.Body[8..]);
        NeighbourTable table = request.Stack().Ip.Neighbours;
        MacAddress? mac = attributes.Has(NeighbourAttribute.LinkAddress) ? MacAddress.FromBytes(attributes[NeighbourAttribute.LinkAddress]) : null;
        if (mac is null && state is NeighbourState.Permanent or NeighbourState.Reachable or NeighbourState.Stale && table.Find(link!, address) is not { IsValid: true })
            return request.Refuse(Errno.EINVAL, "No link layer address given");
        if ((flags & NeighbourAttribute.Use) != 0)
            state = NeighbourState.None;
        return table.Set(link!, address, mac, state, request.AddMode(), (flags & NeighbourAttribute.Router) != 0);
    }

    internal static Errno Delete(NetlinkRequest request)
    {
        Errno error = Read(request, out AttributeTable attributes, out NetworkInterface? link);
        if (error == Errno.None)
            error = ReadAddress(request, attributes, out InetAddress address) is var bad && bad != Errno.None ? bad : request.Stack().Ip.Neighbours.Remove(link!, address);
        return error;
    }

    private static Errno Read(NetlinkRequest request, out AttributeTable attributes, out NetworkInterface? link)
    {
        link = null;
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out attributes);
        if (error != Errno.None)
            return error;
        if (!attributes.Has(NeighbourAttribute.Destination))
            return request.Refuse(Errno.EINVAL, "Network address not specified");
        int index = request.Int32(4);
        if (index != 0 && (link = request.Stack().FindInterface(index)) is null)
            return Errno.ENODEV;
        if (!IsFamily(request.Family()))
            return Errno.EAFNOSUPPORT;
        return link is null ? request.Refuse(Errno.EINVAL, "Device not specified") : Errno.None;
    }

    private static Errno ReadAddress(NetlinkRequest request, AttributeTable attributes, out InetAddress address)
    {
        int size = request.Family() == AF.Inet6 ? 16 : 4;
        ReadOnlySpan<byte> value = attributes[NeighbourAttribute.Destination];
        address = default;
        if (value.Length < size)
            return request.Refuse(Errno.EINVAL, "Invalid network address");
        address = InetAddress.FromBytes(value[..size]);
        return Errno.None;
    }

    internal static Errno Get(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, request.IsStrict, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (!IsFamily(request.Family()))
            return request.Refuse(Errno.EAFNOSUPPORT, "Unsupported family in header for neighbor get request");
        if (!attributes.Has(NeighbourAttribute.Destination))
            return request.RefuseMissing(Errno.EINVAL, null, NeighbourAttribute.Destination);
        error = ReadAddress(request, attributes, out InetAddress address);
        if (error != Errno.None)
            return error;
        int index = request.Int32(4);
        if (index == 0)
            return request.Refuse(Errno.EINVAL, "No device specified");
        if (request.Stack().FindInterface(index) is not { } link)
            return request.Refuse(Errno.ENODEV, "Unknown device ifindex");
        if (request.Stack().Ip.Neighbours.Find(link, address) is not { } found)
            return request.Refuse(Errno.ENOENT, "Neighbour entry not found");
        request.Reply(Describe(request.Answer(RouteMessage.NewNeighbour), found));
        return Errno.None;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family == LinkQueries.Bridge)
            return request.Dump([]);
        int index = 0;
        bool proxies = false;
        if (request.Body.Length >= HeaderSize)
        {
            Errno error = request.Parse(HeaderSize, Policy, request.IsStrict, out AttributeTable attributes);
            if (error != Errno.None && request.IsStrict)
                return error;
            if (request.IsStrict && (request.Body[1] != 0 || request.Int32(4) != 0 || BinaryPrimitives.ReadUInt16LittleEndian(request.Body[8..]) != 0 || request.Body[11] != 0))
                return request.Refuse(Errno.EINVAL, "Invalid values in header for neighbor dump request");
            index = attributes.Int32(NeighbourAttribute.Interface);
            proxies = (request.Body[10] & NeighbourAttribute.Proxy) != 0;
            if (attributes.Int32(NeighbourAttribute.Master) != 0 || proxies)
                return request.Dump([]);
        }

        ushort flags = (ushort)(NetlinkFlags.Multi | (index != 0 ? NetlinkFlags.DumpFiltered : 0));
        IEnumerable<Neighbour> found = request.Stack().Ip.Neighbours.Entries
            .Where(n => (family == AF.Unspec || family == (n.Address.IsV6 ? AF.Inet6 : AF.Inet)) && (index == 0 || n.Interface.Index == index))
            .OrderBy(n => n.Address.IsV6).ThenBy(n => n.Interface.Index).ThenBy(n => n.Address);
        return request.Dump([.. found.Select(n => Describe(request.Answer(RouteMessage.NewNeighbour, flags), n).ToArray())], filtered: index != 0);
    }

    internal static NetlinkWriter Describe(NetlinkWriter writer, Neighbour neighbour)
    {
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = (byte)(neighbour.Address.IsV6 ? AF.Inet6 : AF.Inet);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], neighbour.Interface.Index);
        BinaryPrimitives.WriteUInt16LittleEndian(header[8..], (ushort)neighbour.State);
        header[10] = neighbour.IsRouter ? NeighbourAttribute.Router : (byte)0;
        header[11] = neighbour.Address.IsMulticast ? RouteType.Multicast : RouteType.Unicast;
        writer.PutAddress(NeighbourAttribute.Destination, neighbour.Address);
        if (neighbour.IsValid)
            writer.PutMac(NeighbourAttribute.LinkAddress, neighbour.Mac);
        writer.PutInt32(NeighbourAttribute.Probes, neighbour.Probes);
        long now = neighbour.Interface.Stack.Now;
        Span<byte> cache = writer.Put(NeighbourAttribute.CacheInfo, 16);
        BinaryPrimitives.WriteUInt32LittleEndian(cache, RouteRequests.Centiseconds(now - neighbour.Confirmed));
        BinaryPrimitives.WriteUInt32LittleEndian(cache[4..], RouteRequests.Centiseconds(now - neighbour.Used));
        BinaryPrimitives.WriteUInt32LittleEndian(cache[8..], RouteRequests.Centiseconds(now - neighbour.Updated));
        return writer;
    }
}
