using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_NEWADDR and RTM_DELADDR.</summary>
internal static class AddressChanges
{
    private const int HeaderSize = AddressQueries.HeaderSize;
    private const uint Forever = uint.MaxValue;
    private const long Second = 1_000_000_000;

    /// <summary>What users may set of IFA_F_*.</summary>
    private const uint SettableV4 = AddressFlags.NoPrefixRoute, SettableV6 = AddressFlags.NoDad | AddressFlags.HomeAddress | AddressFlags.ManageTemporary | AddressFlags.NoPrefixRoute | AddressFlags.Optimistic;

    internal static Errno New(NetlinkRequest request) => request.Family() switch
    {
        AF.Inet => NewV4(request),
        AF.Inet6 => NewV6(request),
        _ => Errno.EOPNOTSUPP,
    };

    private static Errno NewV4(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, AddressQueries.Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        int prefix = request.Body[1];
        if (prefix > 32)
            return request.Refuse(Errno.EINVAL, "ipv4: Invalid prefix length");
        if (attributes.Address(AddressAttribute.Local) is not { Size: 4 } local)
            return request.Refuse(Errno.EINVAL, "ipv4: Local address is not supplied");
        if (request.Stack().FindInterface(request.Int32(4)) is not { } link)
            return request.Refuse(Errno.ENODEV, "ipv4: Device not found");
        InetAddress peer = attributes.Address(AddressAttribute.Address) ?? local;
        var address = new InterfaceAddress
        {
            Address = local,
            Peer = peer == local ? default : peer,
            Prefix = prefix,
            Scope = request.Body[3],
            Flags = attributes.UInt32(AddressAttribute.Flags, request.Body[2]) & SettableV4,
            Broadcast = attributes.Address(AddressAttribute.Broadcast) ?? InetAddress.AnyV4,
            Label = attributes.Text(AddressAttribute.Label) ?? link.Name,
            Protocol = attributes.Byte(AddressAttribute.Protocol),
            RoutePriority = attributes.UInt32(AddressAttribute.Metric),
        };
        error = ReadLifetimes(request, attributes, "ipv4: address lifetime invalid", out uint valid, out uint preferred);
        if (error != Errno.None)
            return error;
        InterfaceAddress? there = link.Addresses.FirstOrDefault(a => a.Address == local && a.Prefix == prefix && a.Peer == address.Peer);
        if (there is not null)
        {
            if (request.Has(NetlinkFlags.Exclusive) || !request.Has(NetlinkFlags.Replace))
                return request.Refuse(Errno.EEXIST, "ipv4: Address already assigned");
            Renew(link, there, valid, preferred);
            return Errno.None;
        }

        SetLifetimes(link, address, valid, preferred);
        return link.AddAddress(address) switch
        {
            Errno.EEXIST => request.Refuse(Errno.EEXIST, "ipv4: Address already assigned"),
            Errno.EINVAL => request.Refuse(Errno.EINVAL, "ipv4: Invalid scope value"),
            var other => other,
        };
    }

    private static Errno NewV6(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, AddressQueries.Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        InetAddress? given = attributes.Address(AddressAttribute.Address), local = attributes.Address(AddressAttribute.Local);
        if ((local ?? given) is not { Size: 16 } own)
            return Errno.EINVAL;
        int prefix = request.Body[1];
        error = ReadLifetimes(request, attributes, "ipv6: address lifetime invalid", out uint valid, out uint preferred);
        if (error != Errno.None)
            return error;
        if (request.Stack().FindInterface(request.Int32(4)) is not { } link)
            return request.Refuse(Errno.ENODEV, "ipv6: Unable to find the interface");
        uint flags = attributes.UInt32(AddressAttribute.Flags, request.Body[2]) & SettableV6;
        if (link.FindAddress(own) is { } there)
        {
            if (request.Has(NetlinkFlags.Exclusive) || !request.Has(NetlinkFlags.Replace))
                return request.Refuse(Errno.EEXIST, "ipv6: address already assigned");
            Renew(link, there, valid, preferred);
            return Errno.None;
        }

        if (prefix > 128)
            return request.Refuse(Errno.EINVAL, "ipv6: Invalid prefix length");
        if (!link.HasIpv6)
            return request.Refuse(Errno.EACCES, "ipv6: IPv6 is disabled on this device");
        if (own.IsAny)
            return request.Refuse(Errno.EADDRNOTAVAIL, "ipv6: Invalid address");
        if (own.IsMulticast)
            return request.Refuse(Errno.EADDRNOTAVAIL, "ipv6: Cannot assign multicast address without \"IFA_F_MCAUTOJOIN\" flag");
        if (own.IsLoopback && !link.IsLoopback)
            return request.Refuse(Errno.EADDRNOTAVAIL, "ipv6: Cannot assign loopback address on this device");
        var address = new InterfaceAddress
        {
            Address = own,
            Peer = local is not null && given is { Size: 16 } peer && peer != own ? peer : default,
            Prefix = prefix,
            Flags = flags,
            Protocol = attributes.Byte(AddressAttribute.Protocol),
            RoutePriority = attributes.UInt32(AddressAttribute.Metric),
        };
        SetLifetimes(link, address, valid, preferred);
        return link.AddAddress(address);
    }

    internal static Errno Delete(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return Errno.EOPNOTSUPP;
        Errno error = request.Parse(HeaderSize, AddressQueries.Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (request.Stack().FindInterface(request.Int32(4)) is not { } link)
            return request.Refuse(Errno.ENODEV, family == AF.Inet ? "ipv4: Device not found" : "ipv6: Unable to find the interface");
        int prefix = request.Body[1];
        InetAddress? local = attributes.Address(AddressAttribute.Local), given = attributes.Address(AddressAttribute.Address);
        string? label = attributes.Text(AddressAttribute.Label);
        if (family == AF.Inet6 && (local ?? given) is not { Size: 16 })
            return Errno.EINVAL;
        foreach (InterfaceAddress address in link.AddressesInOrder(family == AF.Inet6))
        {
            bool matches = family == AF.Inet6
                ? address.Address == (local ?? given) && address.Prefix == prefix
                : (local is null || address.Address == local) && (label is null || address.Label == label) &&
                    (given is not { } wanted || (address.Prefix == prefix && wanted.IsWithin(address.HasPeer ? address.Peer : address.Address, prefix)));
            if (matches)
                return link.RemoveAddress(address.Address, address.Prefix);
        }

        return request.Refuse(Errno.EADDRNOTAVAIL, family == AF.Inet ? "ipv4: Address not found" : "ipv6: address not found");
    }

    // ---- lifetimes -----------------------------------------------------------------------------------------------

    private static Errno ReadLifetimes(NetlinkRequest request, AttributeTable attributes, string message, out uint valid, out uint preferred)
    {
        valid = preferred = Forever;
        if (!attributes.Has(AddressAttribute.CacheInfo))
            return Errno.None;
        ReadOnlySpan<byte> info = attributes[AddressAttribute.CacheInfo];
        preferred = BinaryPrimitives.ReadUInt32LittleEndian(info);
        valid = BinaryPrimitives.ReadUInt32LittleEndian(info[4..]);
        return valid == 0 || preferred > valid ? request.Refuse(Errno.EINVAL, message) : Errno.None;
    }

    private static void SetLifetimes(NetworkInterface link, InterfaceAddress address, uint valid, uint preferred)
    {
        long now = link.Stack.Now;
        address.ValidUntil = valid == Forever ? 0 : now + (valid * Second);
        address.PreferredUntil = preferred is Forever or 0 ? 0 : now + (preferred * Second);
        address.Flags &= ~(AddressFlags.Deprecated | AddressFlags.Permanent);
        if (valid == Forever)
            address.Flags |= AddressFlags.Permanent;
        if (preferred == 0)
            address.Flags |= AddressFlags.Deprecated;
    }

    private static void Renew(NetworkInterface link, InterfaceAddress address, uint valid, uint preferred)
    {
        SetLifetimes(link, address, valid, preferred);
        link.RenewAddress(address);
    }
}
