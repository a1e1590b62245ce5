namespace Netstack.Stack;

/// <summary>What /proc/sys/net sets (ip-sysctl of the kernel's documentation).</summary>
[Savable("stack-settings")]
public sealed partial class StackSettings
{
    [Saved(1)] public int PortRangeFirst = 32768;
    [Saved(2)] public int PortRangeLast = 60999;
    [Saved(3)] public int DefaultTimeToLive = 64;
    [Saved(4)] public int DefaultHopLimit = 64;
    [Saved(5)] public bool Forwarding;
    [Saved(6)] public bool ForwardingV6;
    [Saved(7)] public int MaxBacklog = 4096;
    [Saved(8)] public int MaxSynBacklog = 1024;
    [Saved(9)] public int SynRetries = 6;
    [Saved(10)] public int SynAckRetries = 5;

    /// <summary>tcp_retries1 and tcp_retries2.</summary>
    [Saved(11)] public int Retries1 = 3;

    [Saved(12)] public int Retries2 = 15;

    /// <summary>Seconds.</summary>
    [Saved(13)] public int KeepAliveTime = 7200;

    [Saved(14)] public int KeepAliveInterval = 75;
    [Saved(15)] public int KeepAliveProbes = 9;
    [Saved(16)] public int FinTimeout = 60;

    /// <summary>0 never, 1 under flood, 2 always.</summary>
    [Saved(17)] public int SynCookies = 1;

    [Saved(18)] public bool Timestamps = true;
    [Saved(19)] public bool WindowScaling = true;
    [Saved(20)] public bool Sack = true;

    /// <summary>tcp_ecn: 0 off, 1 ask and accept, 2 accept.</summary>
    [Saved(21)] public int Ecn = 2;

    /// <summary>cubic or reno.</summary>
    [Saved(22)] public string CongestionControl = "cubic";

    /// <summary>tcp_rmem and tcp_wmem: minimum, default, maximum in bytes.</summary>
    [Saved(23)] public int[] ReceiveBuffer = [4096, 131072, 6291456];

    [Saved(24)] public int[] SendBuffer = [4096, 16384, 4194304];
    [Saved(25)] public bool ModerateReceiveBuffer = true;
    [Saved(26)] public bool SlowStartAfterIdle = true;
    [Saved(27)] public bool Rfc1337;
    [Saved(28)] public int TimeWaitReuse = 2;
    [Saved(29)] public int MaxOrphans = 16384;
    [Saved(30)] public bool BindV6Only;
    [Saved(31)] public int RmemMax = 212992;
    [Saved(32)] public int WmemMax = 212992;
    [Saved(33)] public int RmemDefault = 212992;
    [Saved(34)] public int WmemDefault = 212992;
    [Saved(35)] public bool AbortOnOverflow;
    [Saved(36)] public bool NoMetricsSave;
    [Saved(37)] public int EchoIgnoreAll;
    [Saved(38)] public bool EchoIgnoreBroadcasts = true;
    [Saved(39)] public uint[] PingGroupRange = [1, 0];
    [Saved(40)] public int UnprivilegedPortStart = 1024;
    [Saved(42)] public int BaseMss = 1024;

    /// <summary>net.ipv6.conf.all.disable_ipv6 and default.disable_ipv6; set by <see cref="NetworkStack.DisableIpv6"/>.</summary>
    [Saved(43)] public bool DisableIpv6;

    /// <summary>icmp_ratelimit (ms between two errors to one host), icmp_ratemask (types it is about), icmp_msgs_per_sec and icmp_msgs_burst.</summary>
    [Saved(44)] public int IcmpRateLimit = 1000;

    [Saved(45)] public int IcmpRateMask = 6168;
    [Saved(46)] public int IcmpMessagesPerSecond = 1000;
    [Saved(47)] public int IcmpMessageBurst = 50;

    /// <summary>ipfrag_high_thresh: bytes of fragments that wait for the others.</summary>
    [Saved(48)] public int FragmentMemory = 4 << 20;

    /// <summary>ipfrag_time and ip6frag_time, seconds.</summary>
    [Saved(49)] public int FragmentTime = 30;

    [Saved(50)] public int FragmentTimeV6 = 60;

    /// <summary>route.mtu_expires, seconds, and route.min_pmtu, bytes.</summary>
    [Saved(51)] public int PathMtuExpires = 600;

    [Saved(52)] public int MinPathMtu = 552;

    /// <summary>net.ipv6.conf.all.accept_ra.</summary>
    [Saved(53)] public bool AcceptRouterAdvertisements = true;

    /// <summary>igmp_max_memberships of a socket.</summary>
    [Saved(54)] public int MaxMemberships = 20;

    /// <summary>ip_nonlocal_bind and ipv6.ip_nonlocal_bind.</summary>
    [Saved(55)] public bool NonlocalBind;

    [Saved(56)] public bool NonlocalBindV6;

    /// <summary>ip_no_pmtu_disc.</summary>
    [Saved(57)] public int NoPathMtuDiscovery;

    /// <summary>tcp_reordering, tcp_early_retrans, tcp_frto, tcp_dsack.</summary>
    [Saved(70)] public int Reordering = 3;

    [Saved(71)] public int EarlyRetransmit = 3;
    [Saved(72)] public bool Frto = true;
    [Saved(73)] public bool DuplicateSack = true;

    /// <summary>tcp_orphan_retries, tcp_max_tw_buckets.</summary>
    [Saved(74)] public int OrphanRetries;

    [Saved(75)] public int MaxTimeWait = 16384;

    /// <summary>tcp_min_tso_segs, tcp_tso_win_divisor, tcp_pacing_ss_ratio, tcp_pacing_ca_ratio.</summary>
    [Saved(76)] public int MinTsoSegments = 2;

    [Saved(77)] public int TsoWindowDivisor = 3;
    [Saved(78)] public int PacingSlowStartRatio = 200;
    [Saved(79)] public int PacingRatio = 120;

    /// <summary>tcp_notsent_lowat.</summary>
    [Saved(80)] public uint NotSentLowWater = uint.MaxValue;

    /// <summary>tcp_challenge_ack_limit, in a second; int.MaxValue for none.</summary>
    [Saved(81)] public int ChallengeAckLimit = int.MaxValue;

    /// <summary>tcp_mtu_probing: 0 never, 1 when segments vanish, 2 always.</summary>
    [Saved(82)] public int MtuProbingMode;

    public StackSettings()
    {
    }
}
