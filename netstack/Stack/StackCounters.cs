namespace Netstack.Stack;

/// <summary>Counters of /proc/net/snmp, snmp6 and netstat (RFC 1213, RFC 4022 and Linux's own).</summary>
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

    public StackCounters()
    {
    }
}
