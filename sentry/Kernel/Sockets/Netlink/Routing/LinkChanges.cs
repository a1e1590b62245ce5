using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_NEWLINK, RTM_SETLINK and RTM_DELLINK.</summary>
internal static class LinkChanges
{
    private const int HeaderSize = LinkQueries.HeaderSize, MaxLinks = 1024;

    private static readonly AttributePolicy Policy = new(LinkAttribute.Known,
        new AttributeRule(LinkAttribute.Address, AttributeKind.Binary, 32), new AttributeRule(LinkAttribute.Broadcast, AttributeKind.Binary, 32),
        new AttributeRule(LinkAttribute.Name, AttributeKind.Text, 15), new AttributeRule(LinkAttribute.Mtu, AttributeKind.U32), new AttributeRule(LinkAttribute.Link, AttributeKind.U32),
        new AttributeRule(LinkAttribute.Master, AttributeKind.U32), new AttributeRule(LinkAttribute.QueueLength, AttributeKind.U32), new AttributeRule(LinkAttribute.OperationalState, AttributeKind.U8),
        new AttributeRule(LinkAttribute.LinkMode, AttributeKind.U8), new AttributeRule(LinkAttribute.Info, AttributeKind.Nested), new AttributeRule(LinkAttribute.NamespacePid, AttributeKind.U32),
        new AttributeRule(LinkAttribute.NamespaceDescriptor, AttributeKind.U32), new AttributeRule(LinkAttribute.Alias, AttributeKind.Binary, 255), new AttributeRule(LinkAttribute.FamilySpecific, AttributeKind.Nested),
        new AttributeRule(LinkAttribute.Group, AttributeKind.U32), new AttributeRule(LinkAttribute.Carrier, AttributeKind.U8), new AttributeRule(LinkAttribute.ProtocolDown, AttributeKind.U8),
        new AttributeRule(LinkAttribute.SendQueues, AttributeKind.U32), new AttributeRule(LinkAttribute.ReceiveQueues, AttributeKind.U32), new AttributeRule(LinkAttribute.NewInterfaceIndex, AttributeKind.U32),
        new AttributeRule(LinkAttribute.AlternativeName, AttributeKind.Text, 127), new AttributeRule(LinkAttribute.ExtendedMask, AttributeKind.U32));

    private static readonly AttributePolicy InfoPolicy = new(5, new AttributeRule(LinkAttribute.InfoKind, AttributeKind.Text, 64), new AttributeRule(LinkAttribute.InfoData, AttributeKind.Nested));

    private static readonly AttributePolicy PeerPolicy = new(1, new AttributeRule(LinkAttribute.VethPeer, AttributeKind.Unspecified, LinkQueries.HeaderSize));

    private static readonly AttributePolicy FamiliesPolicy = new(AF.Inet6, new AttributeRule(AF.Inet, AttributeKind.Nested), new AttributeRule(AF.Inet6, AttributeKind.Nested));

    private static readonly AttributePolicy FamilyV6Policy = new(10, new AttributeRule(LinkAttribute.AddressGenerationV6, AttributeKind.U8));

    internal static Errno New(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        string? kind = null;
        AttributeTable? info = null;
        if (attributes.Has(LinkAttribute.Info))
        {
            error = attributes.ParseNested(request, LinkAttribute.Info, InfoPolicy, strict: false, out info);
            if (error != Errno.None)
                return error;
            kind = info.Text(LinkAttribute.InfoKind);
        }

        int index = request.Int32(4);
        if (index < 0)
            return request.Refuse(Errno.EINVAL, "ifindex can't be negative");
        error = LinkQueries.Find(request, attributes, out NetworkInterface? link);
        if (link is not null)
        {
            if (request.Has(NetlinkFlags.Exclusive))
                return Errno.EEXIST;
            if (request.Has(NetlinkFlags.Replace) || (kind is not null && (kind != link.Attributes.Kind || info!.Has(LinkAttribute.InfoData))))
                return Errno.EOPNOTSUPP;
            return Change(request, attributes, link);
        }

        if (!request.Has(NetlinkFlags.Create))
            return index == 0 && attributes.Has(LinkAttribute.Group) && !attributes.Has(LinkAttribute.Name) ? ChangeGroup(request, attributes) : Errno.ENODEV;
        if (attributes.Has(LinkAttribute.Map) || attributes.Has(LinkAttribute.ProtocolInfo))
            return Errno.EOPNOTSUPP;
        return Create(request, attributes, kind, info, index);
    }

    internal static Errno Set(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out AttributeTable attributes);
        if (error == Errno.None)
            error = LinkQueries.Find(request, attributes, out NetworkInterface? link) is { } missing && missing != Errno.None ? missing : Change(request, attributes, link!);
        return error;
    }

    internal static Errno Delete(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (request.Int32(4) <= 0 && !attributes.Has(LinkAttribute.Name) && !attributes.Has(LinkAttribute.AlternativeName) && attributes.Has(LinkAttribute.Group))
            return DeleteGroup(request, attributes.UInt32(LinkAttribute.Group));
        error = LinkQueries.Find(request, attributes, out NetworkInterface? link);
        if (error != Errno.None)
            return error;
        return link!.Virtual is null ? Errno.EOPNOTSUPP : Remove(link);
    }

    /// <summary>Takes a link out; of a pair both ends go.</summary>
    private static Errno Remove(NetworkInterface link)
    {
        NetworkInterface? peer = link.Virtual?.Peer;
        link.Stack.RemoveInterface(link);
        if (peer is not null)
            peer.Stack.RemoveInterface(peer);
        return Errno.None;
    }

    private static Errno DeleteGroup(NetlinkRequest request, uint group)
    {
        if (group == 0)
            return Errno.EPERM;
        List<NetworkInterface> members = [.. request.Stack().Interfaces.Where(l => l.Attributes.Group == group)];
        if (members.Count == 0)
            return Errno.ENODEV;
        if (members.Exists(l => l.Virtual is null))
            return Errno.EOPNOTSUPP;
        foreach (NetworkInterface link in members)
        {
            if (request.Stack().FindInterface(link.Index) is not null)
                Remove(link);
        }

        return Errno.None;
    }

    private static Errno ChangeGroup(NetlinkRequest request, AttributeTable attributes)
    {
        foreach (NetworkInterface link in request.Stack().Interfaces.ToList())
        {
            if (link.Attributes.Group != attributes.UInt32(LinkAttribute.Group))
                continue;
            Errno error = Change(request, attributes, link);
            if (error != Errno.None)
                return error;
        }

        return Errno.None;
    }

    // ---- making links --------------------------------------------------------------------------------------------

    private static Errno Create(NetlinkRequest request, AttributeTable attributes, string? kind, AttributeTable? info, int index)
    {
        if (kind is not (LinkKinds.Dummy or LinkKinds.Veth))
            return request.Refuse(Errno.EOPNOTSUPP, "Unknown device type");
        if (index != 0 && request.Stack().FindInterface(index) is not null)
            return Errno.EBUSY;
        if (request.Stack().Interfaces.Count >= MaxLinks)
            return Errno.ENFILE;
        if (attributes.Has(LinkAttribute.NamespacePid) || attributes.Has(LinkAttribute.NamespaceDescriptor))
            return Errno.EINVAL;
        Errno error = CheckNew(request, attributes);
        if (error != Errno.None)
            return error;
        if (kind == LinkKinds.Dummy)
        {
            NetworkInterface dummy = Add(request, attributes, kind, "dummy");
            DummyLink.Attach(dummy);
            return Settle(request, attributes, dummy);
        }

        AttributeTable? peerAttributes = null;
        if (info!.Has(LinkAttribute.InfoData))
        {
            error = info.ParseNested(request, LinkAttribute.InfoData, PeerPolicy, strict: false, out AttributeTable data);
            if (error != Errno.None)
                return error;
            if (data.Has(LinkAttribute.VethPeer))
            {
                int start = data.OffsetOf(LinkAttribute.VethPeer) + NetlinkLayout.Attribute;
                error = AttributeTable.Parse(request, start + HeaderSize, start + data[LinkAttribute.VethPeer].Length, Policy, strict: false, out peerAttributes);
                if (error == Errno.None)
                    error = CheckNew(request, peerAttributes);
                if (error != Errno.None)
                    return error;
                if (attributes.Text(LinkAttribute.Name) is { } name && peerAttributes.Text(LinkAttribute.Name) == name)
                    return Errno.EEXIST;
            }
        }

        // As in Linux the peer comes first.
        NetworkInterface peer = Add(request, peerAttributes, kind, "veth");
        NetworkInterface link = Add(request, attributes, kind, "veth");
        VethLink.Join(link, peer);
        link.Attributes.CarrierDowns = peer.Attributes.CarrierDowns = 1;
        if (peerAttributes is not null)
            Settle(request, peerAttributes, peer);
        return Settle(request, attributes, link);
    }

    private static Errno CheckNew(NetlinkRequest request, AttributeTable attributes)
    {
        if (attributes.Text(LinkAttribute.Name) is { } name)
        {
            if (!IsName(name))
                return Errno.EINVAL;
            if (request.Stack().FindByAnyName(name) is not null)
                return Errno.EEXIST;
        }

        if (attributes.Has(LinkAttribute.Address) && CheckMac(attributes[LinkAttribute.Address]) is var error && error != Errno.None)
            return error;
        if (attributes.Has(LinkAttribute.Mtu) && attributes.UInt32(LinkAttribute.Mtu) is < NetworkInterface.MinMtu or > NetworkInterface.MaxMtu)
            return request.Refuse(Errno.EINVAL, attributes.UInt32(LinkAttribute.Mtu) < NetworkInterface.MinMtu ? "mtu less than device minimum" : "mtu greater than device maximum");
        return Errno.None;
    }

    private static NetworkInterface Add(NetlinkRequest request, AttributeTable? attributes, string kind, string prefix)
    {
        NetworkStack stack = request.Stack();
        string? name = attributes?.Text(LinkAttribute.Name);
        for (int number = 0; name is null; number++)
        {
            string candidate = prefix + number.ToString(System.Globalization.CultureInfo.InvariantCulture);
            if (stack.FindByAnyName(candidate) is null)
                name = candidate;
        }

        MacAddress mac = attributes is not null && attributes.Has(LinkAttribute.Address) ? MacAddress.FromBytes(attributes[LinkAttribute.Address]) : RandomMac(request.Kernel);
        int mtu = attributes?.Int32(LinkAttribute.Mtu, 1500) ?? 1500;
        return stack.AddInterface(name, InterfaceKind.Ethernet, mac, mtu, link =>
        {
            link.Attributes.Kind = kind;
            link.Attributes.Queues = kind == LinkKinds.Veth ? (uint)request.Kernel.CpuCount : 1;
            request.Task.Network.NewInterfaces.CopyTo(link.Attributes.Configuration);
        });
    }

    /// <summary>Locally administered, not a group (eth_random_addr).</summary>
    private static MacAddress RandomMac(GuestKernel kernel)
    {
        Span<byte> bytes = stackalloc byte[6];
        kernel.Host.FillRandom(bytes);
        bytes[0] = (byte)((bytes[0] & 0xfe) | 2);
        return MacAddress.FromBytes(bytes);
    }

    /// <summary>What else a new link was given.</summary>
    private static Errno Settle(NetlinkRequest request, AttributeTable attributes, NetworkInterface link)
    {
        if (attributes.Has(LinkAttribute.QueueLength))
            link.TransmitQueueLength = attributes.Int32(LinkAttribute.QueueLength);
        if (attributes.Has(LinkAttribute.Group))
            link.Attributes.Group = attributes.UInt32(LinkAttribute.Group);
        uint flags = request.UInt32(8), change = request.UInt32(12);
        return change != 0 || flags != 0 ? SetFlags(request, link, flags, change) : Errno.None;
    }

    // ---- changing a link -----------------------------------------------------------------------------------------

    private static Errno Change(NetlinkRequest request, AttributeTable attributes, NetworkInterface link)
    {
        if (attributes.Has(LinkAttribute.Map))
            return Errno.EOPNOTSUPP;
        if (attributes.Int32(LinkAttribute.Master) is var master && master != 0)
            return link.Stack.FindInterface(master) is null ? Errno.EINVAL : Errno.EOPNOTSUPP;
        if (attributes.Has(LinkAttribute.ProtocolDown))
            return request.Refuse(Errno.EOPNOTSUPP, "Protodown not supported by device");
        if (attributes.Has(LinkAttribute.NamespacePid) || attributes.Has(LinkAttribute.NamespaceDescriptor))
            return Errno.EINVAL;
        Errno error = Errno.None;
        if (attributes.Has(LinkAttribute.Address))
            error = SetMac(attributes[LinkAttribute.Address], link);
        if (error == Errno.None && attributes.Has(LinkAttribute.Mtu))
            error = SetMtu(request, link, attributes.Int32(LinkAttribute.Mtu));
        if (error == Errno.None && attributes.Has(LinkAttribute.Group) && (request.Int32(4) > 0 || attributes.Has(LinkAttribute.Name)))
            link.Attributes.Group = attributes.UInt32(LinkAttribute.Group);

        // A name beside a number is a new one; alone it says which link is meant.
        if (error == Errno.None && request.Int32(4) > 0 && attributes.Text(LinkAttribute.Name) is { Length: > 0 } name)
            error = Rename(link, name);
        if (error == Errno.None && attributes.Has(LinkAttribute.Alias))
            link.Attributes.Alias = attributes.Text(LinkAttribute.Alias)!;
        if (error == Errno.None && attributes.Has(LinkAttribute.Broadcast))
        {
            if (attributes[LinkAttribute.Broadcast].Length < 6)
                return Errno.EINVAL;
            link.Attributes.Broadcast = MacAddress.FromBytes(attributes[LinkAttribute.Broadcast]);
        }

        uint flags = request.UInt32(8), change = request.UInt32(12);
        if (error == Errno.None && (flags != 0 || change != 0))
            error = SetFlags(request, link, flags, change);
        if (error == Errno.None && attributes.Has(LinkAttribute.QueueLength))
        {
            if (attributes.Int32(LinkAttribute.QueueLength) < 0)
                return Errno.EINVAL;
            link.TransmitQueueLength = attributes.Int32(LinkAttribute.QueueLength);
        }

        if (error == Errno.None && attributes.Has(LinkAttribute.Carrier))
            return Errno.EOPNOTSUPP;
        return error == Errno.None && attributes.Has(LinkAttribute.FamilySpecific) ? SetFamilies(request, attributes, link) : error;
    }

    private static Errno CheckMac(ReadOnlySpan<byte> address)
    {
        if (address.Length < 6)
            return Errno.EINVAL;
        MacAddress mac = MacAddress.FromBytes(address);
        return mac.IsMulticast || mac.Value == 0 ? Errno.EADDRNOTAVAIL : Errno.None;
    }

    internal static Errno SetMac(ReadOnlySpan<byte> address, NetworkInterface link)
    {
        Errno error = CheckMac(address);
        if (error == Errno.None)
            link.Mac = MacAddress.FromBytes(address);
        return error;
    }

    internal static Errno SetMtu(NetlinkRequest? request, NetworkInterface link, int mtu)
    {
        (int min, int max) = LinkState.MtuRange(link);
        if (mtu == link.Mtu)
            return Errno.None;
        if (mtu < min || mtu < 0)
            return request?.Refuse(Errno.EINVAL, "mtu less than device minimum") ?? Errno.EINVAL;
        if (max > 0 && mtu > max)
            return request?.Refuse(Errno.EINVAL, "mtu greater than device maximum") ?? Errno.EINVAL;
        return link.SetMtu(mtu);
    }

    internal static bool IsName(string name) => name.Length is > 0 and < 16 && name is not ("." or "..") && name.AsSpan().IndexOfAny('/', ':') < 0 && !name.Any(char.IsWhiteSpace);

    internal static Errno Rename(NetworkInterface link, string name)
    {
        if (name == link.Name)
            return Errno.None;
        if (!IsName(name))
            return Errno.EINVAL;
        return link.Stack.FindByAnyName(name) is not null ? Errno.EEXIST : link.Rename(name);
    }

    /// <summary>IFF_*: of those in <paramref name="change"/> (0 for all) what users may set.</summary>
    internal static Errno SetFlags(NetlinkRequest? request, NetworkInterface link, uint flags, uint change)
    {
        LinkAttributes attributes = link.Attributes;
        uint before = LinkState.Flags(link);
        uint wanted = change == 0 ? flags : (before & ~change) | (flags & change);
        bool promiscuous = (wanted & LinkFlags.Promiscuous) != 0, allMulticast = (wanted & LinkFlags.AllMulticast) != 0;
        if (!link.IsLoopback)
        {
            attributes.NoArp = (wanted & LinkFlags.NoArp) != 0;
            attributes.NoMulticast = (wanted & LinkFlags.Multicast) == 0;
        }

        if (promiscuous != attributes.IsPromiscuous)
        {
            attributes.IsPromiscuous = promiscuous;
            link.Promiscuity += promiscuous ? 1 : -1;
        }

        if (allMulticast != attributes.IsAllMulticast)
        {
            attributes.IsAllMulticast = allMulticast;
            link.AllMulticast += allMulticast ? 1 : -1;
        }

        link.IsUp = (wanted & LinkFlags.Up) != 0;
        return Errno.None;
    }

    private static Errno SetFamilies(NetlinkRequest request, AttributeTable attributes, NetworkInterface link)
    {
        Errno error = attributes.ParseNested(request, LinkAttribute.FamilySpecific, FamiliesPolicy, strict: false, out AttributeTable families);
        if (error != Errno.None || !families.Has(AF.Inet6))
            return error;
        error = families.ParseNested(request, AF.Inet6, FamilyV6Policy, strict: false, out AttributeTable v6);
        if (error != Errno.None || !v6.Has(LinkAttribute.AddressGenerationV6))
            return error;
        byte mode = v6.Byte(LinkAttribute.AddressGenerationV6);
        if (mode > 3)
            return Errno.EINVAL;
        link.Attributes.Configuration.V6["addr_gen_mode"] = mode;
        return Errno.None;
    }
}
