using System.Buffers.Binary;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>The requests by which route(8) and arp(8) change routes and neighbours (struct rtentry of net/route.h, arp(7)).</summary>
internal static class RouteRequests
{
    private const int RouteSize = 120, RouteSizeV6 = 80, NeighbourSize = 68, DeviceNameSize = 16;
    private const ushort RouteGateway = 2, RouteHost = 4, RouteReject = 0x200;
    private const int NeighbourComplete = 2, NeighbourPermanent = 4, NeighbourPublished = 8;

    internal static SyscallResult ChangeRoute(Task caller, int domain, bool add, ulong argument)
    {
        if (!caller.HasOverNetwork(Capability.CAP_NET_ADMIN))
            return Errno.EPERM;
        NetworkStack stack = caller.Network.Stack;
        Errno error = domain == AF.Inet6 ? ReadRouteV6(caller, argument, out RouteEntry entry) : ReadRoute(caller, stack, argument, out entry);
        if (error != Errno.None)
            return error;
        if (!add)
        {
            entry.Protocol = RouteProtocol.Unspecified;
            entry.Type = RouteType.Unspecified;
            entry.Scope = RouteScope.Nowhere;
        }

        error = add ? stack.Routes.Add(entry) : stack.Routes.Delete(entry);
        return error == Errno.None ? SyscallResult.Ok : error;
    }

    private static Errno ReadRoute(Task caller, NetworkStack stack, ulong argument, out RouteEntry entry)
    {
        entry = new RouteEntry();
        Span<byte> bytes = stackalloc byte[RouteSize];
        if (!caller.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(bytes[56..]);
        if (InetEndpointAddress.FamilyOf(bytes[8..]) != AF.Inet)
            return Errno.EAFNOSUPPORT;
        uint mask = (flags & RouteHost) != 0 ? uint.MaxValue : InetEndpointAddress.ReadV4(bytes[40..]).Address.V4;
        uint destination = InetEndpointAddress.ReadV4(bytes[8..]).Address.V4;
        if ((~mask & (~mask + 1)) != 0 || (destination & ~mask) != 0)
            return Errno.EINVAL;
        entry.Destination = InetAddress.FromV4(destination);
        entry.Prefix = System.Numerics.BitOperations.PopCount(mask);
        entry.Mtu = (int)Math.Min(int.MaxValue, BinaryPrimitives.ReadUInt64LittleEndian(bytes[96..]));
        int metric = BinaryPrimitives.ReadInt16LittleEndian(bytes[80..]);
        if (metric > 0)
            entry.Metric = (uint)metric - 1;
        ulong device = BinaryPrimitives.ReadUInt64LittleEndian(bytes[88..]);
        if (device != 0)
        {
            if (!caller.Memory.ReadString(device, DeviceNameSize).TryGet(out string? name, out Errno error))
                return error;
            if (stack.FindInterface(name) is not { } link)
                return Errno.ENODEV;
            entry.InterfaceIndex = link.Index;
        }

        if ((flags & RouteReject) != 0)
        {
            entry.Type = RouteType.Unreachable;
            entry.Scope = RouteScope.Host;
            return Errno.None;
        }

        InetAddress gateway = InetEndpointAddress.ReadV4(bytes[24..]).Address;
        bool hasGateway = (flags & RouteGateway) != 0 && InetEndpointAddress.FamilyOf(bytes[24..]) == AF.Inet && !gateway.IsAny;
        if ((flags & RouteGateway) != 0 && !hasGateway)
            return Errno.EINVAL;
        entry.Gateway = hasGateway ? gateway : InetAddress.AnyV4;
        entry.Scope = hasGateway ? RouteScope.Universe : RouteScope.Link;
        if (!hasGateway && entry.InterfaceIndex == 0)
            return Errno.ENODEV;
        if (entry.InterfaceIndex == 0 && stack.Routes.Lookup(gateway) is { } way)
            entry.InterfaceIndex = way.InterfaceIndex;
        return Errno.None;
    }

    /// <summary>struct in6_rtmsg of linux/ipv6_route.h.</summary>
    private static Errno ReadRouteV6(Task caller, ulong argument, out RouteEntry entry)
    {
        entry = new RouteEntry();
        Span<byte> bytes = stackalloc byte[RouteSizeV6];
        if (!caller.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        int prefix = BinaryPrimitives.ReadUInt16LittleEndian(bytes[52..]);
        uint metric = BinaryPrimitives.ReadUInt32LittleEndian(bytes[56..]), flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes[72..]);
        if (prefix > 128)
            return Errno.EINVAL;
        entry.Destination = InetAddress.FromBytes(bytes[..16]).Network(prefix);
        entry.Prefix = prefix;
        entry.Metric = metric == 0 ? RouteEntry.UserMetricV6 : metric;
        entry.InterfaceIndex = BinaryPrimitives.ReadInt32LittleEndian(bytes[76..]);
        if ((flags & RouteReject) != 0)
            entry.Type = RouteType.Unreachable;
        else if ((flags & RouteGateway) != 0)
            entry.Gateway = InetAddress.FromBytes(bytes.Slice(32, 16));
        return Errno.None;
    }

    /// <summary>SIOCGARP, SIOCSARP, SIOCDARP: struct arpreq.</summary>
    internal static SyscallResult Neighbour(Task caller, uint request, ulong argument)
    {
        if (request != SIOC.GARP && !caller.HasOverNetwork(Capability.CAP_NET_ADMIN))
            return Errno.EPERM;
        Span<byte> bytes = stackalloc byte[NeighbourSize];
        if (!caller.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        if (InetEndpointAddress.FamilyOf(bytes) != AF.Inet)
            return Errno.EPFNOSUPPORT;
        NetworkStack stack = caller.Network.Stack;
        InetAddress address = InetEndpointAddress.ReadV4(bytes).Address;
        int flags = BinaryPrimitives.ReadInt32LittleEndian(bytes[32..]);
        if ((flags & NeighbourPublished) != 0)
            return Errno.EINVAL;
        NetworkInterface? link = FindLink(stack, bytes.Slice(52, DeviceNameSize), address);
        if (link is null)
            return bytes[52] != 0 ? Errno.ENODEV : request == SIOC.GARP ? Errno.ENXIO : Errno.EINVAL;
        Errno error;
        switch (request)
        {
            case SIOC.GARP:
                if (stack.Ip.Neighbours.Find(link, address) is not { } found)
                    return Errno.ENXIO;
                bytes.Slice(16, 16).Clear();
                BinaryPrimitives.WriteUInt16LittleEndian(bytes[16..], (ushort)link.Kind);
                found.Mac.WriteTo(bytes[18..]);
                BinaryPrimitives.WriteInt32LittleEndian(bytes[32..], found.State == NeighbourState.Permanent ? NeighbourPermanent | NeighbourComplete : found.IsValid ? NeighbourComplete : 0);
                bytes.Slice(52, DeviceNameSize).Clear();
                Encoding.Latin1.GetBytes(link.Name, bytes[52..]);
                return caller.Memory.TryWriteAll(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
            case SIOC.SARP:
                NeighbourState state = (flags & NeighbourPermanent) != 0 ? NeighbourState.Permanent : NeighbourState.Stale;
                error = stack.Ip.Neighbours.Set(link, address, MacAddress.FromBytes(bytes[18..]), state, RouteAddMode.Create | RouteAddMode.Replace);
                break;
            default:
                error = stack.Ip.Neighbours.Remove(link, address);
                if (error == Errno.ENOENT)
                    error = Errno.ENXIO;
                break;
        }

        return error == Errno.None ? SyscallResult.Ok : error;
    }

    private static NetworkInterface? FindLink(NetworkStack stack, ReadOnlySpan<byte> name, InetAddress address)
    {
        if (name[0] != 0)
        {
            int end = name.IndexOf((byte)0);
            return stack.FindInterface(Encoding.Latin1.GetString(end < 0 ? name : name[..end]));
        }

        return stack.Routes.Lookup(address) is { } way ? stack.FindInterface(way.InterfaceIndex) : null;
    }
}
