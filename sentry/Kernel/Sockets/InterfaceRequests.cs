using System.Buffers.Binary;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>The requests of netdevice(7) that any socket takes: what interfaces there are, how they are set up, and changes of that.</summary>
internal static class InterfaceRequests
{
    /// <summary>struct ifreq: a name of 16 bytes and a union.</summary>
    private const int RequestSize = 40, NameSize = 16, ValueOffset = 16;

    private const ushort FlagUp = 1, FlagBroadcast = 2, FlagLoopback = 8, FlagRunning = 0x40, FlagPromiscuous = 0x100, FlagAllMulticast = 0x200, FlagMulticast = 0x1000;

    /// <summary>ENOTTY when the request is none of these, nor of routes and neighbours.</summary>
    internal static SyscallResult Handle(Task caller, int domain, uint request, ulong argument)
    {
        using StackCall call = caller.Network.Enter();
        NetworkStack stack = caller.Network.Stack;
        switch (request)
        {
            case SIOC.GIFCONF:
                return List(caller, stack, argument);
            case SIOC.ADDRT or SIOC.DELRT:
                return RouteRequests.ChangeRoute(caller, domain, request == SIOC.ADDRT, argument);
            case SIOC.GARP or SIOC.SARP or SIOC.DARP:
                return RouteRequests.Neighbour(caller, request, argument);
            case SIOC.SIFADDR or SIOC.DIFADDR when domain == AF.Inet6:
                return ChangeAddressV6(caller, stack, request == SIOC.SIFADDR, argument);
            case (>= SIOC.GIFNAME and <= SIOC.SIFNAME) or SIOC.SIFHWADDR or SIOC.GIFHWADDR or SIOC.GIFINDEX or SIOC.GIFTXQLEN or SIOC.SIFTXQLEN or SIOC.ETHTOOL or SIOC.GIFMAP or SIOC.SIFMAP
                or SIOC.ADDMULTI or SIOC.DELMULTI or SIOC.DIFADDR or SIOC.GMIIPHY:
                break;
            default:
                return Errno.ENOTTY;
        }

        Span<byte> bytes = stackalloc byte[RequestSize];
        if (!caller.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        NetworkInterface? link = request == SIOC.GIFNAME ? stack.FindInterface(BinaryPrimitives.ReadInt32LittleEndian(bytes[ValueOffset..])) : stack.FindInterface(NameOf(bytes, out _));
        if (link is null)
            return Errno.ENODEV;
        bool isChange = request is SIOC.SIFLINK or SIOC.SIFFLAGS or SIOC.SIFADDR or SIOC.SIFDSTADDR or SIOC.SIFBRDADDR or SIOC.SIFNETMASK or SIOC.SIFMETRIC or SIOC.SIFMTU or SIOC.SIFNAME or SIOC.SIFHWADDR
            or SIOC.SIFTXQLEN or SIOC.SIFMAP or SIOC.ADDMULTI or SIOC.DELMULTI or SIOC.DIFADDR;
        if (isChange && !caller.HasOverNetwork(Capability.CAP_NET_ADMIN))
            return Errno.EPERM;
        Errno error = request == SIOC.ETHTOOL ? EthtoolRequests.Answer(caller, link, BinaryPrimitives.ReadUInt64LittleEndian(bytes[ValueOffset..]))
            : isChange ? Change(stack, link, request, bytes) : Tell(link, request, bytes);
        if (error != Errno.None)
            return error;
        return isChange || request == SIOC.ETHTOOL || caller.Memory.TryWriteAll(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }

    /// <summary>The name in a struct ifreq, without what follows a colon; that makes it a label of an address (eth0:1).</summary>
    internal static string NameOf(ReadOnlySpan<byte> bytes, out string label)
    {
        ReadOnlySpan<byte> name = bytes[..(NameSize - 1)];
        int end = name.IndexOf((byte)0);
        label = Encoding.Latin1.GetString(end < 0 ? name : name[..end]);
        int colon = label.IndexOf(':');
        return colon < 0 ? label : label[..colon];
    }

    // ---- telling -----------------------------------------------------------------------------------------------------

    /// <summary>SIOCGIFCONF: interfaces with an IPv4 address; how many bytes there would be when no buffer is given.</summary>
    private static SyscallResult List(Task caller, NetworkStack stack, ulong argument)
    {
        Span<byte> header = stackalloc byte[16];
        if (!caller.Memory.TryReadAll(argument, header))
            return Errno.EFAULT;
        int room = BinaryPrimitives.ReadInt32LittleEndian(header);
        ulong buffer = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        int used = 0;
        Span<byte> entry = stackalloc byte[RequestSize];
        foreach (NetworkInterface link in stack.Interfaces)
        {
            foreach (InterfaceAddress address in link.Addresses)
            {
                if (!address.Address.IsV4)
                    continue;
                if (buffer != 0)
                {
                    if (used + RequestSize > room)
                        break;
                    entry.Clear();
                    Encoding.Latin1.GetBytes(address.Label.Length > 0 ? address.Label : link.Name, entry);
                    new InetEndpointAddress(address.Address, 0, 0).Format(isV6: false).CopyTo(entry[ValueOffset..]);
                    if (!caller.Memory.TryWriteAll(buffer + (ulong)used, entry))
                        return Errno.EFAULT;
                }

                used += RequestSize;
            }
        }

        return caller.TryWrite(argument, used) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static Errno Tell(NetworkInterface link, uint request, Span<byte> bytes)
    {
        Span<byte> value = bytes[ValueOffset..];
        InterfaceAddress? address = null;
        if (request is SIOC.GIFADDR or SIOC.GIFNETMASK or SIOC.GIFBRDADDR or SIOC.GIFDSTADDR)
        {
            NameOf(bytes, out string label);
            address = FindAddress(link, label);
            if (address is null)
                return Errno.EADDRNOTAVAIL;
        }

        switch (request)
        {
            case SIOC.GIFNAME:
                bytes[..NameSize].Clear();
                Encoding.Latin1.GetBytes(link.Name, bytes);
                break;
            case SIOC.GIFFLAGS:
                BinaryPrimitives.WriteUInt16LittleEndian(value, FlagsOf(link));
                break;
            case SIOC.GIFADDR or SIOC.GIFDSTADDR:
                PutAddress(value, address!.Address);
                break;
            case SIOC.GIFNETMASK:
                PutAddress(value, InetAddress.FromV4(MaskOf(address!.Prefix)));
                break;
            case SIOC.GIFBRDADDR:
                PutAddress(value, address!.Broadcast);
                break;
            case SIOC.GIFMETRIC:
                BinaryPrimitives.WriteInt32LittleEndian(value, 0);
                break;
            case SIOC.GIFMTU:
                BinaryPrimitives.WriteInt32LittleEndian(value, link.Mtu);
                break;
            case SIOC.GIFINDEX:
                BinaryPrimitives.WriteInt32LittleEndian(value, link.Index);
                break;
            case SIOC.GIFTXQLEN:
                BinaryPrimitives.WriteInt32LittleEndian(value, link.TransmitQueueLength);
                break;
            case SIOC.GIFHWADDR:
                value[..16].Clear();
                BinaryPrimitives.WriteUInt16LittleEndian(value, (ushort)link.Kind);
                link.Mac.WriteTo(value[2..]);
                break;
            case SIOC.GIFMAP:
                value.Clear();
                break;
            default:
                return Errno.EOPNOTSUPP;
        }

        return Errno.None;
    }

    private static ushort FlagsOf(NetworkInterface link)
    {
        int flags = link.IsLoopback ? FlagLoopback : FlagBroadcast | FlagMulticast;
        if (link.IsUp)
            flags |= FlagUp;
        if (link.IsRunning)
            flags |= FlagRunning;
        if (link.IsPromiscuous)
            flags |= FlagPromiscuous;
        if (link.AllMulticast > 0)
            flags |= FlagAllMulticast;
        return (ushort)flags;
    }

    private static InterfaceAddress? FindAddress(NetworkInterface link, string label)
    {
        foreach (InterfaceAddress address in link.Addresses)
        {
            if (address.Address.IsV4 && (address.Label == label || (address.Label.Length == 0 && label == link.Name)))
                return address;
        }

        return null;
    }

    private static void PutAddress(Span<byte> value, InetAddress address) => new InetEndpointAddress(address, 0, 0).Format(isV6: false).CopyTo(value);

    internal static uint MaskOf(int prefix) => prefix == 0 ? 0 : uint.MaxValue << (32 - prefix);

    // ---- changing ----------------------------------------------------------------------------------------------------

    private static Errno Change(NetworkStack stack, NetworkInterface link, uint request, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> value = bytes[ValueOffset..];
        int number = BinaryPrimitives.ReadInt32LittleEndian(value);
        switch (request)
        {
            case SIOC.SIFFLAGS:
                return ChangeFlags(link, bytes, (ushort)number);
            case SIOC.SIFADDR or SIOC.SIFNETMASK or SIOC.SIFBRDADDR or SIOC.SIFDSTADDR or SIOC.DIFADDR:
                return ChangeAddress(link, request, bytes);
            case SIOC.SIFMTU:
                return link.SetMtu(number);
            case SIOC.SIFTXQLEN:
                if (number < 0)
                    return Errno.EINVAL;
                link.TransmitQueueLength = number;
                return Errno.None;
            case SIOC.SIFHWADDR:
                if (link.IsLoopback)
                    return Errno.EOPNOTSUPP;
                MacAddress mac = MacAddress.FromBytes(value[2..]);
                if (BinaryPrimitives.ReadUInt16LittleEndian(value) != (ushort)link.Kind)
                    return Errno.EINVAL;
                if (mac.IsMulticast || mac == default)
                    return Errno.EADDRNOTAVAIL;
                link.Mac = mac;
                return Errno.None;
            case SIOC.SIFNAME:
                NameOf(value, out string name);
                return link.Rename(name);
            default:
                return Errno.EOPNOTSUPP;
        }
    }

    private static Errno ChangeFlags(NetworkInterface link, ReadOnlySpan<byte> bytes, ushort flags)
    {
        NameOf(bytes, out string label);
        if (label != link.Name)
        {
            // A label is no interface: taken down, its address goes.
            if (FindAddress(link, label) is not { } address)
                return Errno.EADDRNOTAVAIL;
            return (flags & FlagUp) != 0 ? Errno.None : link.RemoveAddress(address.Address, address.Prefix);
        }

        bool promiscuous = (flags & FlagPromiscuous) != 0, allMulticast = (flags & FlagAllMulticast) != 0;
        if (promiscuous != link.IsPromiscuous)
            link.Promiscuity += promiscuous ? 1 : -1;
        if (allMulticast != link.AllMulticast > 0)
            link.AllMulticast += allMulticast ? 1 : -1;
        link.IsUp = (flags & FlagUp) != 0;
        return Errno.None;
    }

    /// <summary>An address, its mask or its broadcast address, of the label that is named (devinet_ioctl of Linux).</summary>
    private static Errno ChangeAddress(NetworkInterface link, uint request, ReadOnlySpan<byte> bytes)
    {
        NameOf(bytes, out string label);
        InterfaceAddress? old = FindAddress(link, label);
        if (InetEndpointAddress.FamilyOf(bytes[ValueOffset..]) != AF.Inet)
            return Errno.EINVAL;
        InetAddress given = InetEndpointAddress.ReadV4(bytes[ValueOffset..]).Address;
        if (request != SIOC.SIFADDR && old is null)
            return Errno.EADDRNOTAVAIL;
        if (request == SIOC.DIFADDR || (request == SIOC.SIFADDR && given.IsAny))
            return old is null ? Errno.None : link.RemoveAddress(old.Address, old.Prefix);

        var changed = new InterfaceAddress { Address = old?.Address ?? given, Prefix = old?.Prefix ?? 0, Broadcast = old?.Broadcast ?? InetAddress.AnyV4, Label = label, Scope = link.IsLoopback ? RouteScope.Host : RouteScope.Universe };
        switch (request)
        {
            case SIOC.SIFADDR:
                if (!TryGetClass(given, out int prefix))
                    return Errno.EINVAL;
                changed.Address = given;
                changed.Prefix = prefix;
                changed.Broadcast = link.IsLoopback || prefix > 30 ? InetAddress.AnyV4 : InetAddress.FromV4(given.V4 | ~MaskOf(prefix));
                break;
            case SIOC.SIFNETMASK:
                uint mask = given.V4;
                if ((~mask & (~mask + 1)) != 0)
                    return Errno.EINVAL;
                changed.Prefix = System.Numerics.BitOperations.PopCount(mask);

                // The broadcast address follows when it was that of the old mask.
                if (!old!.Broadcast.IsAny && changed.Prefix < 31 && old.Broadcast.V4 == (old.Address.V4 | ~MaskOf(old.Prefix)))
                    changed.Broadcast = InetAddress.FromV4(old.Address.V4 | ~mask);
                break;
            case SIOC.SIFBRDADDR:
                changed.Broadcast = given;
                break;
            default:
                return Errno.EOPNOTSUPP;
        }

        if (old is not null)
            link.RemoveAddress(old.Address, old.Prefix);
        return link.AddAddress(changed);
    }

    /// <summary>The prefix of an address that comes without a mask, by its class (RFC 791 section 2.3).</summary>
    private static bool TryGetClass(InetAddress address, out int prefix)
    {
        prefix = (address.V4 >> 28) switch
        {
            < 8 => 8,
            < 12 => 16,
            < 14 => 24,
            _ => -1,
        };
        return prefix >= 0;
    }

    /// <summary>struct in6_ifreq: address, prefix length, interface.</summary>
    private static SyscallResult ChangeAddressV6(Task caller, NetworkStack stack, bool add, ulong argument)
    {
        Span<byte> bytes = stackalloc byte[24];
        if (!caller.HasOverNetwork(Capability.CAP_NET_ADMIN))
            return Errno.EPERM;
        if (!caller.Memory.TryReadAll(argument, bytes))
            return Errno.EFAULT;
        InetAddress address = InetAddress.FromBytes(bytes[..16]);
        int prefix = BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]);
        if (stack.FindInterface(BinaryPrimitives.ReadInt32LittleEndian(bytes[20..])) is not { } link)
            return Errno.ENODEV;
        if (prefix is < 0 or > 128 || address.IsV4)
            return Errno.EINVAL;
        byte scope = address.IsLinkLocal ? RouteScope.Link : address.IsLoopback ? RouteScope.Host : RouteScope.Universe;
        Errno error = add ? link.AddAddress(new InterfaceAddress { Address = address, Prefix = prefix, Scope = scope }) : link.RemoveAddress(address, prefix);
        return error == Errno.None ? SyscallResult.Ok : error;
    }
}
