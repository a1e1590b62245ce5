using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETADDR, and the message that describes an address.</summary>
internal static class AddressQueries
{
    /// <summary>struct ifaddrmsg.</summary>
    internal const int HeaderSize = 8;

    private const uint Forever = uint.MaxValue;

    internal static readonly AttributePolicy Policy = new(AddressAttribute.Known,
        new AttributeRule(AddressAttribute.Address, AttributeKind.Unspecified, 4), new AttributeRule(AddressAttribute.Local, AttributeKind.Unspecified, 4),
        new AttributeRule(AddressAttribute.Label, AttributeKind.Text, 15), new AttributeRule(AddressAttribute.Broadcast, AttributeKind.Unspecified, 4),
        new AttributeRule(AddressAttribute.CacheInfo, AttributeKind.Unspecified, 16), new AttributeRule(AddressAttribute.Flags, AttributeKind.U32),
        new AttributeRule(AddressAttribute.Metric, AttributeKind.U32), new AttributeRule(AddressAttribute.TargetNamespace, AttributeKind.U32), new AttributeRule(AddressAttribute.Protocol, AttributeKind.U8));

    /// <summary>One address of IPv6; IPv4 has no such request.</summary>
    internal static Errno Get(NetlinkRequest request)
    {
        if (request.Family() != AF.Inet6)
            return Errno.EOPNOTSUPP;
        Errno error = request.Parse(HeaderSize, Policy, request.IsStrict, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if ((attributes.Address(AddressAttribute.Local) ?? attributes.Address(AddressAttribute.Address)) is not { Size: 16 } wanted)
            return Errno.EINVAL;
        int index = request.Int32(4);
        foreach (NetworkInterface link in request.Stack().Interfaces)
        {
            if ((index == 0 || link.Index == index) && link.FindAddress(wanted) is { } found)
            {
                request.Reply(Describe(request.Answer(RouteMessage.NewAddress), link, found));
                return Errno.None;
            }
        }

        return Errno.EADDRNOTAVAIL;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        int index = 0;
        if (request.IsStrict)
        {
            Errno error = request.Parse(HeaderSize, Policy, strict: true, out AttributeTable attributes);
            if (error != Errno.None)
                return error;
            string name = family == AF.Inet6 ? "ipv6: " : "ipv4: ";
            if (request.Body[1] != 0 || request.Body[2] != 0 || request.Body[3] != 0)
                return request.Refuse(Errno.EINVAL, name + "Invalid values in header for address dump request");
            if (attributes.Has(AddressAttribute.TargetNamespace))
                return request.Refuse(Errno.EINVAL, name + "Invalid target network namespace id");
            index = request.Int32(4);
            if (index != 0 && request.Stack().FindInterface(index) is null)
                return request.Dump([], error: Errno.ENODEV);
        }

        ushort flags = (ushort)(NetlinkFlags.Multi | (index != 0 ? NetlinkFlags.DumpFiltered : 0));
        List<byte[]> found = [];
        foreach (bool isV6 in (bool[])[false, true])
        {
            if (family != AF.Unspec && family != (isV6 ? AF.Inet6 : AF.Inet))
                continue;
            foreach (NetworkInterface link in request.Stack().Interfaces)
            {
                if (index != 0 && link.Index != index)
                    continue;
                foreach (InterfaceAddress address in link.AddressesInOrder(isV6))
                    found.Add(Describe(request.Answer(RouteMessage.NewAddress, flags), link, address).ToArray());
            }
        }

        return request.Dump(found, filtered: index != 0, apart: family != AF.Inet6);
    }

    internal static NetlinkWriter Describe(NetlinkWriter writer, NetworkInterface link, InterfaceAddress address)
    {
        bool isV4 = address.Address.IsV4;
        Span<byte> header = writer.Reserve(HeaderSize);
        header[0] = (byte)(isV4 ? AF.Inet : AF.Inet6);
        header[1] = (byte)address.Prefix;
        header[2] = (byte)address.Flags;
        header[3] = address.Scope;
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link.Index);
        if (isV4)
        {
            writer.PutAddress(AddressAttribute.Address, address.HasPeer ? address.Peer : address.Address);
            writer.PutAddress(AddressAttribute.Local, address.Address);
            if (!address.Broadcast.IsAny)
                writer.PutAddress(AddressAttribute.Broadcast, address.Broadcast);
            if (address.Label.Length > 0)
                writer.PutString(AddressAttribute.Label, address.Label);
            if (address.Protocol != 0)
                writer.PutByte(AddressAttribute.Protocol, address.Protocol);
            writer.PutUInt32(AddressAttribute.Flags, address.Flags);
            if (address.RoutePriority != 0)
                writer.PutUInt32(AddressAttribute.Metric, address.RoutePriority);
            PutCacheInfo(writer, link, address);
            return writer;
        }

        if (address.HasPeer)
            writer.PutAddress(AddressAttribute.Local, address.Address);
        writer.PutAddress(AddressAttribute.Address, address.HasPeer ? address.Peer : address.Address);
        if (address.RoutePriority != 0)
            writer.PutUInt32(AddressAttribute.Metric, address.RoutePriority);
        PutCacheInfo(writer, link, address);
        writer.PutUInt32(AddressAttribute.Flags, address.Flags);
        if (address.Protocol != 0)
            writer.PutByte(AddressAttribute.Protocol, address.Protocol);
        return writer;
    }

    /// <summary>struct ifa_cacheinfo: seconds left, hundredths of seconds since the start.</summary>
    private static void PutCacheInfo(NetlinkWriter writer, NetworkInterface link, InterfaceAddress address)
    {
        Span<byte> info = writer.Put(AddressAttribute.CacheInfo, 16);
        bool permanent = (address.Flags & AddressFlags.Permanent) != 0 && address.ValidUntil == 0;
        BinaryPrimitives.WriteUInt32LittleEndian(info, permanent && address.PreferredUntil == 0 && !address.IsDeprecated ? Forever : Left(address.PreferredUntil, address.IsDeprecated));
        BinaryPrimitives.WriteUInt32LittleEndian(info[4..], permanent ? Forever : Left(address.ValidUntil, over: false));
        BinaryPrimitives.WriteUInt32LittleEndian(info[8..], RouteRequests.Centiseconds(address.Created));
        BinaryPrimitives.WriteUInt32LittleEndian(info[12..], RouteRequests.Centiseconds(address.Updated));

        uint Left(long until, bool over) => until == 0 ? over ? 0 : Forever : (uint)Math.Max(0, (until - link.Stack.Now + 999_999_999) / 1_000_000_000);
    }

    internal static int GroupOf(InetAddress address) => address.IsV4 ? RouteGroup.AddressV4 : RouteGroup.AddressV6;
}
