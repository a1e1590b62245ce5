using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;
using Sentry.Kernel.Sockets.Settings;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETQDISC: no interface has queues (noqueue).</summary>
internal static class QueueingMessages
{
    /// <summary>struct tcmsg.</summary>
    private const int HeaderSize = 20;

    private const int Kind = 1, Statistics = 3, Statistics2 = 7, HardwareOffload = 12;
    private const int Basic = 1, Queue = 3;

    internal static Errno Dump(NetlinkRequest request)
    {
        if (request.Body.Length < HeaderSize)
            return Errno.EINVAL;
        int index = request.Int32(4);
        List<byte[]> found = [];
        foreach (NetworkInterface link in request.Stack().Interfaces)
        {
            if ((index == 0 || link.Index == index) && LinkState.Queueing(link) == "noqueue")
                found.Add(Describe(request, link));
        }

        return request.Dump(found, apart: true);
    }

    private static byte[] Describe(NetlinkRequest request, NetworkInterface link)
    {
        const uint root = 0xffffffff;
        NetlinkWriter writer = request.Answer(RouteMessage.NewQueueing, NetlinkFlags.Multi);
        Span<byte> header = writer.Reserve(HeaderSize);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], root);
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], 2);
        writer.PutString(Kind, "noqueue");
        writer.PutByte(HardwareOffload, 0);
        int statistics = writer.BeginNested(Statistics2);
        writer.Put(Basic, 16);
        writer.Put(Queue, 20);
        writer.EndNested(statistics);
        writer.Put(Statistics, 40);
        return writer.ToArray();
    }
}

/// <summary>RTM_GETMULTICAST: the groups that interfaces are in.</summary>
internal static class GroupMessages
{
    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return Errno.EOPNOTSUPP;
        int index = request.Body.Length >= AddressQueries.HeaderSize ? request.Int32(4) : 0;
        List<byte[]> found = [];
        foreach (NetworkInterface link in request.Stack().Interfaces)
        {
            foreach (InterfaceGroup group in link.Groups.List.Reverse())
            {
                if (group.Group.IsV6 == (family == AF.Inet6) && (index == 0 || index == link.Index))
                    found.Add(Describe(request, family, link, group.Group));
            }
        }

        return request.Dump(found);
    }

    private static byte[] Describe(NetlinkRequest request, byte family, NetworkInterface link, InetAddress group)
    {
        NetlinkWriter writer = request.Answer(RouteMessage.GetMulticast, NetlinkFlags.Multi);
        Span<byte> header = writer.Reserve(AddressQueries.HeaderSize);
        header[0] = family;
        header[1] = (byte)group.Bits;
        header[2] = (byte)AddressFlags.Permanent;
        header[3] = group.IsV4 && !group.IsLinkLocalMulticast ? RouteScope.Universe : group.IsV4 ? RouteScope.Link : RouteScope.Universe;
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link.Index);
        writer.PutAddress(AddressAttribute.Multicast, group);
        Span<byte> cache = writer.Put(AddressAttribute.CacheInfo, 16);
        cache[..8].Fill(0xff);
        return writer.ToArray();
    }
}

/// <summary>RTM_GETNETCONF: a few of the settings of interfaces.</summary>
internal static class ConfigurationMessages
{
    private const int HeaderSize = 4;
    private const int Index = 1;

    /// <summary>NETCONFA_* beside the index, as each family tells them.</summary>
    private static readonly (int Attribute, string Name)[] ShownV4 =
        [(2, "forwarding"), (3, "rp_filter"), (4, "mc_forwarding"), (8, "bc_forwarding"), (5, "proxy_arp"), (6, "ignore_routes_with_linkdown")];

    private static readonly (int Attribute, string Name)[] ShownV6 = [(2, "forwarding"), (4, "mc_forwarding"), (5, "proxy_ndp"), (6, "ignore_routes_with_linkdown")];

    private static readonly AttributePolicy Policy = new(9, new AttributeRule(Index, AttributeKind.U32));

    internal static Errno Get(NetlinkRequest request)
    {
        byte family = request.Family();
        if (family is not (AF.Inet or AF.Inet6))
            return Errno.EOPNOTSUPP;
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (!attributes.Has(Index))
            return Errno.EINVAL;
        int index = attributes.Int32(Index);
        if (index is not (-1 or -2) && request.Stack().FindInterface(index) is null)
            return Errno.EINVAL;
        request.Reply(Describe(request.Answer(RouteMessage.NewConfiguration), request.Task.Network, family == AF.Inet6, index));
        return Errno.None;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        List<byte[]> found = [];
        foreach (bool isV6 in (bool[])[false, true])
        {
            if (family != AF.Unspec && family != (isV6 ? AF.Inet6 : AF.Inet))
                continue;
            foreach (int index in (int[])[.. request.Stack().Interfaces.Select(l => l.Index), -1, -2])
                found.Add(Describe(request.Answer(RouteMessage.NewConfiguration, NetlinkFlags.Multi), request.Task.Network, isV6, index).ToArray());
        }

        return request.Dump(found, apart: family == AF.Unspec);
    }

    /// <param name="index">Of an interface; -1 of all, -2 of new ones.</param>
    internal static NetlinkWriter Describe(NetlinkWriter writer, NetworkNamespace network, bool isV6, int index)
    {
        writer.Reserve(HeaderSize)[0] = (byte)(isV6 ? AF.Inet6 : AF.Inet);
        writer.PutInt32(Index, index);
        NetworkInterface? link = index > 0 ? network.Stack.FindInterface(index) : null;
        foreach ((int attribute, string name) in isV6 ? ShownV6 : ShownV4)
        {
            InterfaceSetting setting = InterfaceSettings.Find(isV6, name)!;
            writer.PutInt32(attribute, link is not null ? InterfaceSettings.Get(link, isV6, setting) : InterfaceSettings.GetCommon(network, index == -1, isV6, setting));
        }

        return writer;
    }
}

/// <summary>RTM_GETNSID: no other network namespace has a number here.</summary>
internal static class NamespaceMessages
{
    private const int HeaderSize = 4;
    private const int Id = 1, Pid = 2, Descriptor = 3;

    private static readonly AttributePolicy Policy = new(5, new AttributeRule(Id, AttributeKind.U32), new AttributeRule(Pid, AttributeKind.U32), new AttributeRule(Descriptor, AttributeKind.U32));

    internal static Errno Get(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out AttributeTable attributes);
        if (error != Errno.None)
            return error;
        if (attributes.Has(Pid))
        {
            if (!request.Kernel.Tasks.ContainsKey(attributes.Int32(Pid)))
                return request.Refuse(Errno.ESRCH, "Peer netns reference is invalid");
        }
        else if (attributes.Has(Descriptor))
        {
            if (!request.Task.TryGetFile(attributes.Int32(Descriptor), out _))
                return request.Refuse(Errno.EBADF, "Peer netns reference is invalid");
        }
        else if (!attributes.Has(Id))
        {
            return request.Refuse(Errno.EINVAL, "Peer netns reference is missing");
        }
        else
        {
            return request.Refuse(Errno.ENOENT, "Peer netns reference is invalid");
        }

        NetlinkWriter writer = request.Answer(RouteMessage.NewNamespaceId);
        writer.Reserve(HeaderSize);
        writer.PutInt32(Id, -1);
        request.Reply(writer);
        return Errno.None;
    }
}
