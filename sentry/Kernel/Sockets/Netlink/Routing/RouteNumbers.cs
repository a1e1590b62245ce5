namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_* of rtnetlink(7): in fours, of which the lower bits say what is done.</summary>
internal static class RouteMessage
{
    public const ushort NewLink = 16, DeleteLink = 17, GetLink = 18, SetLink = 19,
        NewAddress = 20, DeleteAddress = 21, GetAddress = 22,
        NewRoute = 24, DeleteRoute = 25, GetRoute = 26,
        NewNeighbour = 28, DeleteNeighbour = 29, GetNeighbour = 30,
        NewRule = 32, DeleteRule = 33, GetRule = 34,
        NewQueueing = 36, GetQueueing = 38, GetClass = 42, GetFilter = 46,
        GetMulticast = 58, GetAnycast = 62,
        NewNeighbourTable = 64, GetNeighbourTable = 66,
        NewAddressLabel = 72, GetAddressLabel = 74,
        NewConfiguration = 80, GetConfiguration = 82,
        NewNamespaceId = 88, GetNamespaceId = 90,
        NewStatistics = 92, GetStatistics = 94,
        GetNextHop = 106;

    /// <summary>Of the lower bits: get.</summary>
    public const int GetKind = 2;
}

/// <summary>RTNLGRP_*: whom changes are told.</summary>
internal static class RouteGroup
{
    public const int Link = 1, Neighbour = 3, AddressV4 = 5, RouteV4 = 7, RuleV4 = 8, AddressV6 = 9, RouteV6 = 11, InterfaceV6 = 12, RuleV6 = 19,
        ConfigurationV4 = 24, ConfigurationV6 = 25, Max = 37;
}

/// <summary>IFLA_*.</summary>
internal static class LinkAttribute
{
    public const int Address = 1, Broadcast = 2, Name = 3, Mtu = 4, Link = 5, Queueing = 6, Statistics = 7, Master = 10, ProtocolInfo = 12, QueueLength = 13, Map = 14, OperationalState = 16,
        LinkMode = 17, Info = 18, NamespacePid = 19, Alias = 20, Statistics64 = 23, FamilySpecific = 26, Group = 27, NamespaceDescriptor = 28, ExtendedMask = 29, Promiscuity = 30,
        SendQueues = 31, ReceiveQueues = 32, Carrier = 33, CarrierChanges = 35, ProtocolDown = 39, SegmentsMax = 40, SegmentedSizeMax = 41, Xdp = 43, TargetNamespace = 46, CarrierUp = 47,
        CarrierDown = 48, NewInterfaceIndex = 49, MinMtu = 50, MaxMtu = 51, PropertyList = 52, AlternativeName = 53, PermanentAddress = 54, JoinedSizeMax = 58,
        TsoSizeMax = 59, TsoSegmentsMax = 60, AllMulticast = 61, Known = 61;

    /// <summary>IFLA_INFO_*, within <see cref="Info"/>.</summary>
    public const int InfoKind = 1, InfoData = 2;

    /// <summary>VETH_INFO_PEER, within <see cref="InfoData"/>.</summary>
    public const int VethPeer = 1;

    /// <summary>IFLA_INET_CONF, IFLA_INET6_*.</summary>
    public const int ConfigurationV4 = 1, FlagsV6 = 1, ConfigurationV6 = 2, StatisticsV6 = 3, CacheInfoV6 = 5, IcmpStatisticsV6 = 6, TokenV6 = 7, AddressGenerationV6 = 8;

    /// <summary>RTEXT_FILTER_SKIP_STATS, of <see cref="ExtendedMask"/>.</summary>
    public const uint SkipStatistics = 8;
}

/// <summary>IFF_*.</summary>
internal static class LinkFlags
{
    public const uint Up = 1, Broadcast = 2, Loopback = 8, Running = 0x40, NoArp = 0x80, Promiscuous = 0x100, AllMulticast = 0x200, Multicast = 0x1000, LowerUp = 0x10000;
}

/// <summary>IFA_*.</summary>
internal static class AddressAttribute
{
    public const int Address = 1, Local = 2, Label = 3, Broadcast = 4, CacheInfo = 6, Multicast = 7, Flags = 8, Metric = 9, TargetNamespace = 10, Protocol = 11, Known = 11;
}

/// <summary>RTA_*.</summary>
internal static class RouteAttribute
{
    public const int Destination = 1, Source = 2, InputInterface = 3, OutputInterface = 4, Gateway = 5, Priority = 6, PreferredSource = 7, Metrics = 8, MultiPath = 9, Flow = 11, CacheInfo = 12,
        Table = 15, Mark = 16, Via = 18, NewDestination = 19, Preference = 20, EncapsulationType = 21, Encapsulation = 22, Expires = 23, Uid = 25, TtlPropagate = 26, Protocol = 27, SourcePort = 28,
        DestinationPort = 29, NextHopId = 30, Known = 30;

    /// <summary>RTAX_LOCK, RTAX_MTU and how many there are.</summary>
    public const int MetricLock = 1, MetricMtu = 2, MetricCongestion = 16, MetricMax = 17;

    /// <summary>RTM_F_*.</summary>
    public const uint Cloned = 0x200, LookupTable = 0x1000, FibMatch = 0x2000;
}

/// <summary>NDA_*.</summary>
internal static class NeighbourAttribute
{
    public const int Destination = 1, LinkAddress = 2, CacheInfo = 3, Probes = 4, Interface = 8, Master = 9, Protocol = 12, ExtendedFlags = 15, Known = 15;

    /// <summary>NTF_*.</summary>
    public const byte Use = 1, Proxy = 8, ExternallyLearned = 0x10, Router = 0x80;
}
