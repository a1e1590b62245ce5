namespace Netstack.Stack;

/// <summary>IP_PMTUDISC_* of ip(7).</summary>
public enum PathMtuMode : byte
{
    Dont,
    Want,
    Do,
    Probe,
    Interface,
    Omit,
}

/// <summary>A multicast group that a socket has joined.</summary>
/// <param name="Group">The group.</param>
/// <param name="InterfaceIndex">On which interface.</param>
public readonly record struct GroupMembership(InetAddress Group, int InterfaceIndex);

/// <summary>Who may send to a group that a socket has joined (RFC 3678): only, or all but, some sources.</summary>
[Savable("group-source-filter")]
public sealed partial class GroupSourceFilter
{
    [Saved(1)] public InetAddress Group;
    [Saved(2)] public int InterfaceIndex;
    [Saved(3)] public bool IsInclude;
    [Saved(4)] public List<InetAddress> Sources = [];

    public GroupSourceFilter()
    {
    }
}

/// <summary>Options of an endpoint that the stack acts on (socket(7), ip(7), ipv6(7)). The kernel's sockets set them; an accepted connection has a
/// copy of its listener's.</summary>
[Savable("endpoint-options")]
public sealed partial class EndpointOptions
{
    public const int DefaultBuffer = 212992;

    [Saved(1)] public bool ReuseAddress;
    [Saved(2)] public bool ReusePort;
    [Saved(3)] public bool Broadcast;
    [Saved(4)] public bool KeepAlive;
    [Saved(5)] public bool DontRoute;
    [Saved(6)] public bool OutOfBandInline;
    [Saved(7)] public bool V6Only;
    [Saved(8)] public bool FreeBind;
    [Saved(9)] public bool Transparent;

    /// <summary>SO_LINGER in seconds; when off the complement of what it was last, which is negative.</summary>
    [Saved(10)] public int Linger = -1;

    /// <summary>SO_SNDBUF and SO_RCVBUF as the kernel counts them, in bytes.</summary>
    [Saved(11)] public int SendBuffer = DefaultBuffer;

    [Saved(12)] public int ReceiveBuffer = DefaultBuffer;

    /// <summary>Set by the user, so that it is not tuned automatically.</summary>
    [Saved(13)] public bool SendBufferLocked;

    [Saved(14)] public bool ReceiveBufferLocked;
    [Saved(15)] public int ReceiveLowWater = 1;

    /// <summary>SO_BINDTODEVICE, as an interface index; 0 for none.</summary>
    [Saved(16)] public int BoundInterface;

    [Saved(17)] public int Mark;
    [Saved(18)] public int Priority;

    /// <summary>IP_TTL and IPV6_UNICAST_HOPS; -1 for the default.</summary>
    [Saved(19)] public int TimeToLive = -1;

    [Saved(20)] public int HopLimit = -1;
    [Saved(21)] public int MulticastTimeToLive = 1;
    [Saved(22)] public int MulticastHopLimit = 1;
    [Saved(23)] public bool MulticastLoop = true;
    [Saved(24)] public bool MulticastLoopV6 = true;
    [Saved(25)] public bool MulticastAll = true;
    [Saved(26)] public int MulticastInterface;
    [Saved(27)] public int MulticastInterfaceV6;
    [Saved(28)] public InetAddress MulticastSource = InetAddress.AnyV4;

    /// <summary>IP_TOS and IPV6_TCLASS.</summary>
    [Saved(29)] public byte TypeOfService;

    [Saved(30)] public byte TrafficClass;
    [Saved(31)] public PathMtuMode PathMtu = PathMtuMode.Want;
    [Saved(32)] public PathMtuMode PathMtuV6 = PathMtuMode.Want;

    /// <summary>IP_RECVERR and IPV6_RECVERR.</summary>
    [Saved(33)] public bool ReceiveErrors;

    [Saved(34)] public bool ReceiveErrorsV6;
    [Saved(35)] private List<GroupMembership>? _memberships;

    /// <summary>UDP: SO_NO_CHECK.</summary>
    [Saved(36)] public bool NoChecksum;

    /// <summary>IPV6_MTU / IPV6_USE_MIN_MTU and flow label are not acted on; IPV6_AUTOFLOWLABEL is off.</summary>
    [Saved(37)] public uint OwnerUid;

    /// <summary>The socket's inode number, shown by /proc/net and sock_diag.</summary>
    [Saved(38)] public ulong SocketInode;

    /// <summary>UDP_GRO: datagrams cut by segmentation offload are received in one piece.</summary>
    [Saved(39)] public bool UdpReceiveSegments;

    /// <summary>IP_OPTIONS, padded to four bytes; null for none.</summary>
    [Saved(40)] public byte[]? IpOptions;

    /// <summary>Of memberships that have one.</summary>
    [Saved(41)] private List<GroupSourceFilter>? _sourceFilters;

    public EndpointOptions()
    {
    }

    /// <summary>Made when it is first asked for: a connection has none.</summary>
    public List<GroupMembership> Memberships => _memberships ??= [];

    /// <summary>The filter of a membership; null lets all sources through.</summary>
    public GroupSourceFilter? FindSourceFilter(GroupMembership membership) => _sourceFilters?.Find(f => f.Group == membership.Group && f.InterfaceIndex == membership.InterfaceIndex);

    /// <summary>Gives a membership a filter, or (null) takes it away.</summary>
    public void SetSourceFilter(GroupMembership membership, GroupSourceFilter? filter)
    {
        _sourceFilters?.RemoveAll(f => f.Group == membership.Group && f.InterfaceIndex == membership.InterfaceIndex);
        if (filter is null)
            return;
        filter.Group = membership.Group;
        filter.InterfaceIndex = membership.InterfaceIndex;
        (_sourceFilters ??= []).Add(filter);
    }

    /// <summary>Whether a packet to a group is wanted: of a group joined on that interface as its filter says, of others with IP_MULTICAST_ALL (ip(7)).</summary>
    public bool WantsGroup(InetAddress group, int interfaceIndex, InetAddress source)
    {
        var membership = new GroupMembership(group, interfaceIndex);
        if (_memberships is null || !_memberships.Contains(membership))
            return MulticastAll;
        return FindSourceFilter(membership) is not { } filter || filter.Sources.Contains(source) == filter.IsInclude;
    }

    /// <summary>What an accepted connection takes over; its owner, inode and memberships are its own.</summary>
    public EndpointOptions Copy()
    {
        var copy = (EndpointOptions)MemberwiseClone();
        copy._memberships = null;
        copy._sourceFilters = null;
        copy.SocketInode = 0;
        return copy;
    }
}
