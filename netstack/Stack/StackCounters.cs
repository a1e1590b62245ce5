namespace Netstack.Stack;

/// <summary>Counters of /proc/net/snmp, snmp6 and netstat (RFC 1213, RFC 4022 and Linux's own). Those of IP, ICMP and UDP are of IPv4 alone; the ones
/// of IPv6 are named so. TCP's are of both.</summary>
[Savable("stack-counters")]
public sealed partial class StackCounters
{
    [Saved(1)] public long IpReceived;
    [Saved(2)] public long IpHeaderErrors;
    [Saved(3)] public long IpAddressErrors;
    [Saved(4)] public long IpUnknownProtocols;
    [Saved(5)] public long IpDelivered;
    [Saved(6)] public long IpSent;
    [Saved(7)] public long IpNoRoutes;
    [Saved(8)] public long ReassemblyRequired;
    [Saved(9)] public long ReassemblyOk;
    [Saved(10)] public long ReassemblyFailed;
    [Saved(11)] public long ReassemblyTimeouts;
    [Saved(12)] public long FragmentsOk;
    [Saved(13)] public long FragmentsFailed;
    [Saved(14)] public long FragmentsCreated;
    [Saved(15)] public long IcmpReceived;
    [Saved(16)] public long IcmpErrors;
    [Saved(17)] public long IcmpSent;
    [Saved(18)] public long UdpReceived;
    [Saved(19)] public long UdpNoPorts;
    [Saved(20)] public long UdpErrors;
    [Saved(21)] public long UdpSent;
    [Saved(22)] public long UdpReceiveBufferErrors;
    [Saved(23)] public long UdpChecksumErrors;
    [Saved(24)] public long TcpActiveOpens;
    [Saved(25)] public long TcpPassiveOpens;
    [Saved(26)] public long TcpAttemptFails;
    [Saved(27)] public long TcpEstablishedResets;
    [Saved(28)] public long TcpSegmentsReceived;
    [Saved(29)] public long TcpSegmentsSent;
    [Saved(30)] public long TcpRetransmitted;
    [Saved(31)] public long TcpReceiveErrors;
    [Saved(32)] public long TcpResetsSent;
    [Saved(33)] public long TcpChecksumErrors;
    [Saved(34)] public long SynCookiesSent;
    [Saved(35)] public long SynCookiesReceived;
    [Saved(36)] public long SynCookiesFailed;
    [Saved(37)] public long ListenOverflows;
    [Saved(38)] public long ListenDrops;
    [Saved(39)] public long ChallengeAcks;
    [Saved(40)] public long Timeouts;
    [Saved(41)] public long FastRetransmits;
    [Saved(42)] public long LossProbes;
    [Saved(43)] public long DelayedAcks;
    [Saved(44)] public long OutOfOrderQueued;
    [Saved(45)] public long PawsDropped;
    [Saved(46)] public long AbortsOnTimeout;
    [Saved(47)] public long AbortsOnClose;
    [Saved(48)] public long AbortsOnData;
    [Saved(49)] public long TimeWaited;
    [Saved(50)] public long IpForwarded;
    [Saved(51)] public long IpDiscardedIn;
    [Saved(52)] public long IpDiscardedOut;
    [Saved(53)] public long IpTruncated;
    [Saved(54)] public long IpMulticastIn;
    [Saved(55)] public long IpMulticastOut;
    [Saved(56)] public long IpBroadcastIn;
    [Saved(57)] public long IpBroadcastOut;
    [Saved(58)] public long Ip6Received;
    [Saved(59)] public long Ip6HeaderErrors;
    [Saved(60)] public long Ip6AddressErrors;
    [Saved(61)] public long Ip6UnknownProtocols;
    [Saved(62)] public long Ip6Delivered;
    [Saved(63)] public long Ip6Sent;
    [Saved(64)] public long Ip6NoRoutes;
    [Saved(65)] public long ReassemblyRequiredV6;
    [Saved(66)] public long ReassemblyOkV6;
    [Saved(67)] public long ReassemblyFailedV6;
    [Saved(68)] public long ReassemblyTimeoutsV6;
    [Saved(69)] public long FragmentsOkV6;
    [Saved(70)] public long FragmentsFailedV6;
    [Saved(71)] public long FragmentsCreatedV6;
    [Saved(72)] public long Icmp6Received;
    [Saved(73)] public long Icmp6Errors;
    [Saved(74)] public long Icmp6Sent;
    [Saved(75)] public long Udp6Received;
    [Saved(76)] public long Udp6NoPorts;
    [Saved(77)] public long Udp6Errors;
    [Saved(78)] public long Udp6Sent;
    [Saved(79)] public long Udp6ReceiveBufferErrors;
    [Saved(80)] public long Udp6ChecksumErrors;
    [Saved(81)] public long Ip6Forwarded;
    [Saved(82)] public long Ip6DiscardedIn;
    [Saved(83)] public long Ip6DiscardedOut;
    [Saved(84)] public long Ip6Truncated;
    [Saved(85)] public long Ip6MulticastIn;
    [Saved(86)] public long Ip6MulticastOut;
    [Saved(87)] public long IcmpChecksumErrors;
    [Saved(88)] public long Icmp6ChecksumErrors;
    [Saved(89)] public long IcmpRateLimited;

    /// <summary>Messages by type (IcmpMsg of /proc/net/snmp, Icmp6InTypeN of snmp6).</summary>
    [Saved(90)] public SortedDictionary<int, long> IcmpReceivedTypes = [];

    [Saved(91)] public SortedDictionary<int, long> IcmpSentTypes = [];
    [Saved(92)] public SortedDictionary<int, long> Icmp6ReceivedTypes = [];
    [Saved(93)] public SortedDictionary<int, long> Icmp6SentTypes = [];

    public StackCounters()
    {
    }
}
