using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>Joining and leaving of multicast groups, with filters on who sends to them (ip(7), ipv6(7), RFC 3678). The names with MCAST_ serve both versions of IP.</summary>
internal static class MulticastOptions
{
    private const int MaxSourcesV4 = 10, MaxSourcesV6 = 64;
    private const int StorageSize = 128;
    private const int RequestSize = 8 + StorageSize, SourceRequestSize = RequestSize + StorageSize, FilterHeaderSize = RequestSize + 8, OldFilterHeaderSize = 16;

    /// <summary>What is asked of one source (ip_mc_source of Linux): it is added to the filter or taken out, whose mode must be this.</summary>
    private readonly record struct SourceChange(bool IsInclude, bool Adds);

    internal static bool IsProtocolIndependent(int name) => name is >= IP.MCAST_JOIN_GROUP and <= IP.MCAST_MSFILTER;

    internal static bool IsMembership(int name) => name is (>= IP.ADD_MEMBERSHIP and <= IP.MSFILTER) or (>= IP.MCAST_JOIN_GROUP and <= IP.MCAST_MSFILTER);

    internal static Errno Set(InetSocket socket, bool isV6, int name, ReadOnlySpan<byte> value)
    {
        if (socket.Endpoint is not DatagramEndpoint endpoint)
            return Errno.EPROTO;
        using StackCall call = socket.Network.Enter();
        if (IsProtocolIndependent(name))
            return SetIndependent(endpoint, isV6, name, value);
        return isV6 ? SetMembershipV6(endpoint, name, value) : SetV4(endpoint, name, value);
    }

    /// <summary>The interface that has an address; null when there is none.</summary>
    internal static NetworkInterface? FindInterface(NetworkStack stack, InetAddress address)
    {
        foreach (NetworkInterface link in stack.Interfaces)
        {
            foreach (InterfaceAddress own in link.Addresses)
            {
                if (own.Address == address)
                    return link;
            }
        }

        return null;
    }

    // ---- the names of each version ---------------------------------------------------------------------------------

    private static Errno SetMembershipV6(DatagramEndpoint endpoint, int name, ReadOnlySpan<byte> value)
    {
        const int size = 20;
        if (value.Length < size)
            return Errno.EINVAL;
        InetAddress group = InetAddress.FromBytes(value[..16]);
        int index = BinaryPrimitives.ReadInt32LittleEndian(value[16..]);
        if (group.IsV4)
            return Errno.EINVAL;
        return name == IPV6.ADD_MEMBERSHIP ? endpoint.JoinGroup(group, index) : endpoint.LeaveGroup(group, index);
    }

    private static Errno SetV4(DatagramEndpoint endpoint, int name, ReadOnlySpan<byte> value)
    {
        if (value.Length < 8)
            return Errno.EINVAL;
        InetAddress group = InetAddress.FromBytes(value[..4]);
        Errno error;
        int index;
        switch (name)
        {
            case IP.ADD_MEMBERSHIP or IP.DROP_MEMBERSHIP:
                // struct ip_mreqn has the interface's number behind struct ip_mreq.
                index = value.Length >= 12 ? BinaryPrimitives.ReadInt32LittleEndian(value[8..]) : 0;
                error = index != 0 ? Errno.None : IndexOf(endpoint, InetAddress.FromBytes(value.Slice(4, 4)), out index);
                if (error != Errno.None)
                    return error;
                return name == IP.ADD_MEMBERSHIP ? endpoint.JoinGroup(group, index) : endpoint.LeaveGroup(group, index);
            case IP.MSFILTER:
                return SetOldFilter(endpoint, value);
            default:
                if (value.Length != 12)
                    return Errno.EINVAL;
                error = IndexOf(endpoint, InetAddress.FromBytes(value.Slice(4, 4)), out index);
                return error != Errno.None ? error : ChangeSource(endpoint, group, index, InetAddress.FromBytes(value.Slice(8, 4)), ChangeOf(name));
        }
    }

    /// <summary>The interface named by one of its addresses; 0 for the routing table's choice. ENODEV.</summary>
    private static Errno IndexOf(DatagramEndpoint endpoint, InetAddress address, out int index)
    {
        index = 0;
        if (address.IsAny)
            return Errno.None;
        if (FindInterface(endpoint.Stack, address) is not { } link)
            return Errno.ENODEV;
        index = link.Index;
        return Errno.None;
    }

    private static SourceChange ChangeOf(int name) => name switch
    {
        IP.ADD_SOURCE_MEMBERSHIP or IP.MCAST_JOIN_SOURCE_GROUP => new SourceChange(IsInclude: true, Adds: true),
        IP.DROP_SOURCE_MEMBERSHIP or IP.MCAST_LEAVE_SOURCE_GROUP => new SourceChange(IsInclude: true, Adds: false),
        IP.BLOCK_SOURCE or IP.MCAST_BLOCK_SOURCE => new SourceChange(IsInclude: false, Adds: true),
        _ => new SourceChange(IsInclude: false, Adds: false),
    };

    // ---- the names of both -----------------------------------------------------------------------------------------

    private static Errno SetIndependent(DatagramEndpoint endpoint, bool isV6, int name, ReadOnlySpan<byte> value)
    {
        if (name == IP.MCAST_MSFILTER)
            return SetFilter(endpoint, isV6, value);
        bool withSource = name is not (IP.MCAST_JOIN_GROUP or IP.MCAST_LEAVE_GROUP);
        if (value.Length < (withSource ? SourceRequestSize : RequestSize))
            return Errno.EINVAL;
        int index = BinaryPrimitives.ReadInt32LittleEndian(value);
        if (!TryReadStorage(value[8..], isV6, out InetAddress group))
            return withSource ? Errno.EADDRNOTAVAIL : Errno.EINVAL;
        if (name == IP.MCAST_JOIN_GROUP)
            return endpoint.JoinGroup(group, index);
        if (name == IP.MCAST_LEAVE_GROUP)
            return endpoint.LeaveGroup(group, index);
        return TryReadStorage(value[RequestSize..], isV6, out InetAddress source) ? ChangeSource(endpoint, group, index, source, ChangeOf(name)) : Errno.EADDRNOTAVAIL;
    }

    /// <summary>struct sockaddr_storage with an address of that version.</summary>
    private static bool TryReadStorage(ReadOnlySpan<byte> storage, bool isV6, out InetAddress address)
    {
        address = isV6 ? InetEndpointAddress.ReadV6(storage).Address : InetEndpointAddress.ReadV4(storage).Address;
        return InetEndpointAddress.FamilyOf(storage) == (isV6 ? AF.Inet6 : AF.Inet);
    }

    // ---- what they do ----------------------------------------------------------------------------------------------

    private static Errno ChangeSource(DatagramEndpoint endpoint, InetAddress group, int index, InetAddress source, SourceChange change)
    {
        if (!group.IsMulticast)
            return Errno.EINVAL;
        if (change is { IsInclude: true, Adds: true })
        {
            Errno joined = endpoint.JoinGroup(group, index, new GroupSourceFilter { IsInclude = true, Sources = [source] });
            if (joined != Errno.EADDRINUSE)
                return joined;
        }

        int found = endpoint.Options.Memberships.FindIndex(m => m.Group == group && (index == 0 || m.InterfaceIndex == index));
        if (found < 0)
            return change.IsInclude ? Errno.EADDRNOTAVAIL : Errno.EINVAL;
        GroupMembership membership = endpoint.Options.Memberships[found];
        GroupSourceFilter filter = endpoint.Options.FindSourceFilter(membership) ?? new GroupSourceFilter();
        if (filter.IsInclude != change.IsInclude)
        {
            // Only a filter of no sources changes its mode.
            if (filter.Sources.Count > 0)
                return Errno.EINVAL;
            filter.IsInclude = change.IsInclude;
        }

        if (change.Adds)
        {
            if (filter.Sources.Contains(source))
                return Errno.EADDRNOTAVAIL;
            if (filter.Sources.Count >= (group.IsV4 ? MaxSourcesV4 : MaxSourcesV6))
                return Errno.ENOBUFS;
            filter.Sources.Add(source);
        }
        else
        {
            if (!filter.Sources.Contains(source))
                return Errno.EADDRNOTAVAIL;
            if (filter is { IsInclude: true, Sources.Count: 1 })
                return endpoint.LeaveGroup(group, membership.InterfaceIndex);
            filter.Sources.Remove(source);
        }

        endpoint.SetSourceFilter(membership, filter);
        return Errno.None;
    }

    /// <summary>struct ip_msfilter: group, interface, mode, how many, sources.</summary>
    private static Errno SetOldFilter(DatagramEndpoint endpoint, ReadOnlySpan<byte> value)
    {
        if (value.Length < OldFilterHeaderSize)
            return Errno.EINVAL;
        uint mode = BinaryPrimitives.ReadUInt32LittleEndian(value[8..]), count = BinaryPrimitives.ReadUInt32LittleEndian(value[12..]);
        if (count > MaxSourcesV4)
            return Errno.ENOBUFS;
        if (mode > 1 || value.Length < OldFilterHeaderSize + ((int)count * 4))
            return Errno.EINVAL;
        var sources = new List<InetAddress>((int)count);
        for (int i = 0; i < count; i++)
            sources.Add(InetAddress.FromBytes(value.Slice(OldFilterHeaderSize + (i * 4), 4)));
        Errno error = IndexOf(endpoint, InetAddress.FromBytes(value.Slice(4, 4)), out int index);
        return error != Errno.None ? error : Replace(endpoint, InetAddress.FromBytes(value[..4]), index, mode == 1, sources);
    }

    /// <summary>struct group_filter: interface, group, mode, how many, sources.</summary>
    private static Errno SetFilter(DatagramEndpoint endpoint, bool isV6, ReadOnlySpan<byte> value)
    {
        if (value.Length < FilterHeaderSize)
            return Errno.EINVAL;
        uint mode = BinaryPrimitives.ReadUInt32LittleEndian(value[RequestSize..]), count = BinaryPrimitives.ReadUInt32LittleEndian(value[(RequestSize + 4)..]);
        if (count > (isV6 ? MaxSourcesV6 : MaxSourcesV4))
            return Errno.ENOBUFS;
        if (mode > 1 || value.Length < FilterHeaderSize + ((int)count * StorageSize) || !TryReadStorage(value[8..], isV6, out InetAddress group))
            return Errno.EINVAL;
        var sources = new List<InetAddress>((int)count);
        for (int i = 0; i < count; i++)
        {
            if (!TryReadStorage(value[(FilterHeaderSize + (i * StorageSize))..], isV6, out InetAddress source))
                return Errno.EADDRNOTAVAIL;
            sources.Add(source);
        }

        return Replace(endpoint, group, BinaryPrimitives.ReadInt32LittleEndian(value), mode == 1, sources);
    }

    private static Errno Replace(DatagramEndpoint endpoint, InetAddress group, int index, bool isInclude, List<InetAddress> sources)
    {
        if (!group.IsMulticast)
            return Errno.EINVAL;
        int found = endpoint.Options.Memberships.FindIndex(m => m.Group == group && (index == 0 || m.InterfaceIndex == index));
        if (found < 0)
            return Errno.EINVAL;
        GroupMembership membership = endpoint.Options.Memberships[found];
        if (isInclude && sources.Count == 0)
            return endpoint.LeaveGroup(group, membership.InterfaceIndex);
        endpoint.SetSourceFilter(membership, new GroupSourceFilter { IsInclude = isInclude, Sources = sources });
        return Errno.None;
    }

    // ---- telling -----------------------------------------------------------------------------------------------------

    /// <summary>IP_MSFILTER, MCAST_MSFILTER: the question names the group and how many sources there is room for.</summary>
    internal static Result<byte[]> GetFilter(InetSocket socket, bool isV6, int name, ReadOnlySpan<byte> given)
    {
        if (socket.Endpoint is not DatagramEndpoint endpoint)
            return Errno.EPROTO;
        bool isOld = name == IP.MSFILTER;
        int headerSize = isOld ? OldFilterHeaderSize : FilterHeaderSize;
        if (given.Length < headerSize)
            return Errno.EINVAL;
        InetAddress group;
        int index;
        if (isOld)
        {
            group = InetAddress.FromBytes(given[..4]);
            Errno error = IndexOf(endpoint, InetAddress.FromBytes(given.Slice(4, 4)), out index);
            if (error != Errno.None)
                return error;
        }
        else
        {
            index = BinaryPrimitives.ReadInt32LittleEndian(given);
            if (!TryReadStorage(given[8..], isV6, out group))
                return Errno.EINVAL;
        }

        if (!group.IsMulticast)
            return Errno.EINVAL;
        int found = endpoint.Options.Memberships.FindIndex(m => m.Group == group && (index == 0 || m.InterfaceIndex == index));
        if (found < 0)
            return Errno.EADDRNOTAVAIL;
        GroupSourceFilter filter = endpoint.Options.FindSourceFilter(endpoint.Options.Memberships[found]) ?? new GroupSourceFilter();
        int room = (int)Math.Min((uint)filter.Sources.Count, BinaryPrimitives.ReadUInt32LittleEndian(given[(headerSize - 4)..]));
        int size = isOld ? 4 : StorageSize;
        byte[] answer = new byte[headerSize + (room * size)];
        given[..headerSize].CopyTo(answer);
        BinaryPrimitives.WriteInt32LittleEndian(answer.AsSpan(headerSize - 8), filter.IsInclude ? 1 : 0);
        BinaryPrimitives.WriteInt32LittleEndian(answer.AsSpan(headerSize - 4), filter.Sources.Count);
        for (int i = 0; i < room; i++)
        {
            Span<byte> place = answer.AsSpan(headerSize + (i * size));
            if (isOld)
                filter.Sources[i].WriteTo(place);
            else
                new InetEndpointAddress(filter.Sources[i], 0, 0).Format(isV6).CopyTo(place);
        }

        return answer;
    }
}
