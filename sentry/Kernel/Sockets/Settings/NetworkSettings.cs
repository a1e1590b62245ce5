using Netstack.Stack;
using static Sentry.Kernel.Sockets.Settings.NetworkSetting;

namespace Sentry.Kernel.Sockets.Settings;

/// <summary>Everything below /proc/sys/net that is not of one interface (ip-sysctl, net of the kernel's documentation). What the stack acts on is in its
/// <see cref="StackSettings"/>; the rest keeps its value.</summary>
internal static class NetworkSettings
{
    private const long Byte = 255, MaxPort = 65535;
    private const int MinReceiveBuffer = 2304, MinSendBuffer = 4608;

    internal static readonly NetworkSetting[] All =
    [
        Kept("core/busy_poll", 0, 0), Kept("core/busy_read", 0, 0), KeptText("core/default_qdisc", "pfifo_fast"), Kept("core/dev_weight", 64, 1), Kept("core/message_burst", 10), Kept("core/message_cost", 5),
        Kept("core/netdev_budget", 300), Kept("core/netdev_max_backlog", 1000), Kept("core/optmem_max", 131072, 0), Kept("core/rps_sock_flow_entries", 0, 0),
        Number("core/rmem_default", s => s.RmemDefault, (s, v) => s.RmemDefault = (int)v, MinReceiveBuffer), Number("core/rmem_max", s => s.RmemMax, (s, v) => s.RmemMax = (int)v, MinReceiveBuffer),
        Number("core/somaxconn", s => s.MaxBacklog, (s, v) => s.MaxBacklog = (int)v, 0),
        Kept("core/tstamp_allow_data", 1, 0, 1), Kept("core/txrehash", 1, 0, 1), Kept("core/warnings", 0),
        Number("core/wmem_default", s => s.WmemDefault, (s, v) => s.WmemDefault = (int)v, MinSendBuffer), Number("core/wmem_max", s => s.WmemMax, (s, v) => s.WmemMax = (int)v, MinSendBuffer),

        Kept("ipv4/fib_multipath_hash_fields", 7, 1, 255), Kept("ipv4/fib_multipath_hash_policy", 0, 0, 3), Kept("ipv4/fib_multipath_use_neigh", 0, 0, 1), Kept("ipv4/fib_notify_on_flag_change", 0, 0, 2),
        Kept("ipv4/fwmark_reflect", 0, 0, Byte), Kept("ipv4/icmp_echo_enable_probe", 0, 0, 1), Number("ipv4/icmp_echo_ignore_all", s => s.EchoIgnoreAll, (s, v) => s.EchoIgnoreAll = (int)v, 0, 1),
        Switch("ipv4/icmp_echo_ignore_broadcasts", s => s.EchoIgnoreBroadcasts, (s, v) => s.EchoIgnoreBroadcasts = v, 1), Kept("ipv4/icmp_errors_use_inbound_ifaddr", 0, 0, 1),
        Kept("ipv4/icmp_ignore_bogus_error_responses", 1, 0, 1), Number("ipv4/icmp_msgs_burst", s => s.IcmpMessageBurst, (s, v) => s.IcmpMessageBurst = (int)v, 0),
        Number("ipv4/icmp_msgs_per_sec", s => s.IcmpMessagesPerSecond, (s, v) => s.IcmpMessagesPerSecond = (int)v, 0), Number("ipv4/icmp_ratelimit", s => s.IcmpRateLimit, (s, v) => s.IcmpRateLimit = (int)v),
        Number("ipv4/icmp_ratemask", s => s.IcmpRateMask, (s, v) => s.IcmpRateMask = (int)v), Kept("ipv4/igmp_link_local_mcast_reports", 1, 0, Byte),
        Number("ipv4/igmp_max_memberships", s => s.MaxMemberships, (s, v) => s.MaxMemberships = (int)v), Kept("ipv4/igmp_max_msf", 10), Kept("ipv4/igmp_qrv", 2, 1),
        Kept("ipv4/inet_peer_maxttl", 600), Kept("ipv4/inet_peer_minttl", 120), Kept("ipv4/inet_peer_threshold", 65664), Kept("ipv4/ip_autobind_reuse", 0, 0, 1),
        Number("ipv4/ip_default_ttl", s => s.DefaultTimeToLive, (s, v) => s.DefaultTimeToLive = (int)v, 1, 255), Kept("ipv4/ip_dynaddr", 0, 0, Byte), Kept("ipv4/ip_early_demux", 1, 0, Byte),
        Text("ipv4/ip_forward", n => n.Stack.Settings.Forwarding ? "1" : "0", (n, t) => SetForwarding(n, t)), Kept("ipv4/ip_forward_update_priority", 1, 0, 1), Kept("ipv4/ip_forward_use_pmtu", 0, 0, Byte),
        Numbers("ipv4/ip_local_port_range", 2, s => [s.PortRangeFirst, s.PortRangeLast], (s, v) => (s.PortRangeFirst, s.PortRangeLast) = ((int)v[0], (int)v[1]), 1, MaxPort,
            static (s, v) => v[0] <= v[1] && v[0] >= s.UnprivilegedPortStart),
        KeptText("ipv4/ip_local_reserved_ports", ""), Number("ipv4/ip_no_pmtu_disc", s => s.NoPathMtuDiscovery, (s, v) => s.NoPathMtuDiscovery = (int)v, 0, 3),
        Switch("ipv4/ip_nonlocal_bind", s => s.NonlocalBind, (s, v) => s.NonlocalBind = v),
        Numbers("ipv4/ip_unprivileged_port_start", 1, s => [s.UnprivilegedPortStart], (s, v) => s.UnprivilegedPortStart = (int)v[0], 0, MaxPort, static (s, v) => v[0] <= s.PortRangeFirst),
        Number("ipv4/ipfrag_high_thresh", s => s.FragmentMemory, (s, v) => s.FragmentMemory = (int)v, 0), Kept("ipv4/ipfrag_low_thresh", 3145728, 0), Kept("ipv4/ipfrag_max_dist", 64, 0),
        Kept("ipv4/ipfrag_secret_interval", 0), Number("ipv4/ipfrag_time", s => s.FragmentTime, (s, v) => s.FragmentTime = (int)v), Kept("ipv4/nexthop_compat_mode", 1, 0, 1),
        Text("ipv4/ping_group_range", static n => $"{n.Stack.Settings.PingGroupRange[0]}\t{n.Stack.Settings.PingGroupRange[1]}", SetPingGroups), Kept("ipv4/raw_l3mdev_accept", 1, 0, 1),
        Order("ipv4/route/flush", static n => n.Stack.Ip.PathMtus.Clear()), Kept("ipv4/route/error_burst", 1250), Kept("ipv4/route/error_cost", 250), Kept("ipv4/route/gc_elasticity", 8), Kept("ipv4/route/gc_interval", 60),
        Kept("ipv4/route/gc_min_interval", 0), Kept("ipv4/route/gc_min_interval_ms", 500), Kept("ipv4/route/gc_thresh", -1), Kept("ipv4/route/gc_timeout", 300), Kept("ipv4/route/max_size", int.MaxValue),
        Kept("ipv4/route/min_adv_mss", 256), Number("ipv4/route/min_pmtu", s => s.MinPathMtu, (s, v) => s.MinPathMtu = (int)v, 68), Number("ipv4/route/mtu_expires", s => s.PathMtuExpires, (s, v) => s.PathMtuExpires = (int)v),
        Kept("ipv4/route/redirect_load", 20), Kept("ipv4/route/redirect_number", 9), Kept("ipv4/route/redirect_silence", 20480),
        .. Tcp,
        Kept("ipv4/udp_early_demux", 1, 0, Byte), KeptNumbers("ipv4/udp_mem", [188418, 251225, 376836], 0), Kept("ipv4/udp_rmem_min", 4096, 1), Kept("ipv4/udp_wmem_min", 4096, 1),

        Kept("ipv6/anycast_src_echo_reply", 0, 0, Byte), Kept("ipv6/auto_flowlabels", 1, 0, 3), Switch("ipv6/bindv6only", s => s.BindV6Only, (s, v) => s.BindV6Only = v),
        Kept("ipv6/fib_multipath_hash_fields", 7, 1, 255), Kept("ipv6/fib_multipath_hash_policy", 0, 0, 3), Kept("ipv6/fib_notify_on_flag_change", 0, 0, 2), Kept("ipv6/flowlabel_consistency", 1, 0, Byte),
        Kept("ipv6/flowlabel_reflect", 0, 0, 7), Kept("ipv6/flowlabel_state_ranges", 0, 0, Byte), Kept("ipv6/fwmark_reflect", 0, 0, Byte), Kept("ipv6/icmp/echo_ignore_all", 0, 0, 1),
        Kept("ipv6/icmp/echo_ignore_anycast", 0, 0, 1), Kept("ipv6/icmp/echo_ignore_multicast", 0, 0, 1), Kept("ipv6/icmp/error_anycast_as_unicast", 0, 0, 1), Kept("ipv6/icmp/ratelimit", 1000),
        KeptText("ipv6/icmp/ratemask", "0-1,3-127"), Kept("ipv6/idgen_delay", 1), Kept("ipv6/idgen_retries", 3), Kept("ipv6/ip6frag_high_thresh", 4194304, 0), Kept("ipv6/ip6frag_low_thresh", 3145728, 0),
        Kept("ipv6/ip6frag_secret_interval", 0), Number("ipv6/ip6frag_time", s => s.FragmentTimeV6, (s, v) => s.FragmentTimeV6 = (int)v), Switch("ipv6/ip_nonlocal_bind", s => s.NonlocalBindV6, (s, v) => s.NonlocalBindV6 = v),
        Kept("ipv6/max_dst_opts_length", int.MaxValue), Kept("ipv6/max_dst_opts_number", 8), Kept("ipv6/max_hbh_length", int.MaxValue), Kept("ipv6/max_hbh_opts_number", 8), Kept("ipv6/mld_max_msf", 64), Kept("ipv6/mld_qrv", 2, 1),
        Order("ipv6/route/flush", static n => n.Stack.Ip.PathMtus.Clear()), Kept("ipv6/route/gc_elasticity", 9), Kept("ipv6/route/gc_interval", 30), Kept("ipv6/route/gc_min_interval", 0), Kept("ipv6/route/gc_min_interval_ms", 500),
        Kept("ipv6/route/gc_thresh", 1024), Kept("ipv6/route/gc_timeout", 60), Kept("ipv6/route/max_size", int.MaxValue), Kept("ipv6/route/min_adv_mss", 1220), Kept("ipv6/route/mtu_expires", 600),
        Kept("ipv6/route/skip_notify_on_dev_down", 0, 0, 1), Kept("ipv6/seg6_flowlabel", 0),

        Kept(UnixQueueLength, 10, 0),
    ];

    internal const string UnixQueueLength = "unix/max_dgram_qlen";

    private static NetworkSetting[] Tcp =>
    [
        Switch("ipv4/tcp_abort_on_overflow", s => s.AbortOnOverflow, (s, v) => s.AbortOnOverflow = v), Kept("ipv4/tcp_adv_win_scale", 1, -31, 31), Kept("ipv4/tcp_app_win", 31, 0, 31), Kept("ipv4/tcp_autocorking", 1, 0, Byte),
        Text("ipv4/tcp_allowed_congestion_control", static _ => string.Join(' ', TcpLayer.CongestionControls)), Text("ipv4/tcp_available_congestion_control", static _ => string.Join(' ', TcpLayer.CongestionControls)),
        Number("ipv4/tcp_base_mss", s => s.BaseMss, (s, v) => s.BaseMss = (int)v), Number("ipv4/tcp_challenge_ack_limit", s => s.ChallengeAckLimit, (s, v) => s.ChallengeAckLimit = (int)v, 0),
        Kept("ipv4/tcp_comp_sack_delay_ns", 1000000, 0), Kept("ipv4/tcp_comp_sack_nr", 44, 0, Byte), Kept("ipv4/tcp_comp_sack_slack_ns", 100000, 0),
        Text("ipv4/tcp_congestion_control", static n => n.Stack.Settings.CongestionControl, SetCongestionControl),
        Switch("ipv4/tcp_dsack", s => s.DuplicateSack, (s, v) => s.DuplicateSack = v), Kept("ipv4/tcp_early_demux", 1, 0, Byte), Number("ipv4/tcp_early_retrans", s => s.EarlyRetransmit, (s, v) => s.EarlyRetransmit = (int)v, 0, 4),
        Number("ipv4/tcp_ecn", s => s.Ecn, (s, v) => s.Ecn = (int)v, 0, 2), Kept("ipv4/tcp_ecn_fallback", 1, 0, 1), Kept("ipv4/tcp_fack", 0, 0, Byte), Kept("ipv4/tcp_fastopen", 0, 0),
        Kept("ipv4/tcp_fastopen_blackhole_timeout_sec", 0, 0), KeptText("ipv4/tcp_fastopen_key", "00000000-00000000-00000000-00000000", isPrivate: true),
        Number("ipv4/tcp_fin_timeout", s => s.FinTimeout, (s, v) => s.FinTimeout = (int)v), Switch("ipv4/tcp_frto", s => s.Frto, (s, v) => s.Frto = v), Kept("ipv4/tcp_fwmark_accept", 0, 0, Byte), Kept("ipv4/tcp_invalid_ratelimit", 500),
        Number("ipv4/tcp_keepalive_intvl", s => s.KeepAliveInterval, (s, v) => s.KeepAliveInterval = (int)v), Number("ipv4/tcp_keepalive_probes", s => s.KeepAliveProbes, (s, v) => s.KeepAliveProbes = (int)v, 0, Byte),
        Number("ipv4/tcp_keepalive_time", s => s.KeepAliveTime, (s, v) => s.KeepAliveTime = (int)v), Kept("ipv4/tcp_l3mdev_accept", 0, 0, 1), Kept("ipv4/tcp_limit_output_bytes", 1048576), Kept("ipv4/tcp_low_latency", 0),
        Number("ipv4/tcp_max_orphans", s => s.MaxOrphans, (s, v) => s.MaxOrphans = (int)v), Kept("ipv4/tcp_max_reordering", 300), Number("ipv4/tcp_max_syn_backlog", s => s.MaxSynBacklog, (s, v) => s.MaxSynBacklog = (int)v),
        Number("ipv4/tcp_max_tw_buckets", s => s.MaxTimeWait, (s, v) => s.MaxTimeWait = (int)v), KeptNumbers("ipv4/tcp_mem", [94209, 125612, 188418], 0), Kept("ipv4/tcp_migrate_req", 0, 0, 1), Kept("ipv4/tcp_min_rtt_wlen", 300, 0, 86400),
        Kept("ipv4/tcp_min_snd_mss", 48, 48, 65535), Number("ipv4/tcp_min_tso_segs", s => s.MinTsoSegments, (s, v) => s.MinTsoSegments = (int)v, 1, Byte),
        Switch("ipv4/tcp_moderate_rcvbuf", s => s.ModerateReceiveBuffer, (s, v) => s.ModerateReceiveBuffer = v), Kept("ipv4/tcp_mtu_probe_floor", 48), Number("ipv4/tcp_mtu_probing", s => s.MtuProbingMode, (s, v) => s.MtuProbingMode = (int)v, 0, Byte),
        Switch("ipv4/tcp_no_metrics_save", s => s.NoMetricsSave, (s, v) => s.NoMetricsSave = v), Kept("ipv4/tcp_no_ssthresh_metrics_save", 1, 0, 1),
        Number("ipv4/tcp_notsent_lowat", s => s.NotSentLowWater, (s, v) => s.NotSentLowWater = (uint)v, 0, uint.MaxValue), Number("ipv4/tcp_orphan_retries", s => s.OrphanRetries, (s, v) => s.OrphanRetries = (int)v, 0, Byte),
        Number("ipv4/tcp_pacing_ca_ratio", s => s.PacingRatio, (s, v) => s.PacingRatio = (int)v, 0, 1000), Number("ipv4/tcp_pacing_ss_ratio", s => s.PacingSlowStartRatio, (s, v) => s.PacingSlowStartRatio = (int)v, 0, 1000),
        Kept("ipv4/tcp_probe_interval", 600, 0), Kept("ipv4/tcp_probe_threshold", 8, 0), Kept("ipv4/tcp_recovery", 1, 0, Byte), Kept("ipv4/tcp_reflect_tos", 0, 0, 1),
        Number("ipv4/tcp_reordering", s => s.Reordering, (s, v) => s.Reordering = (int)v), Kept("ipv4/tcp_retrans_collapse", 1, 0, Byte),
        Number("ipv4/tcp_retries1", s => s.Retries1, (s, v) => s.Retries1 = (int)v, 0, Byte), Number("ipv4/tcp_retries2", s => s.Retries2, (s, v) => s.Retries2 = (int)v, 0, Byte), Switch("ipv4/tcp_rfc1337", s => s.Rfc1337, (s, v) => s.Rfc1337 = v),
        Numbers("ipv4/tcp_rmem", 3, s => [.. s.ReceiveBuffer.Select(v => (long)v)], (s, v) => s.ReceiveBuffer = [.. v.Select(n => (int)n)], 1, int.MaxValue), Switch("ipv4/tcp_sack", s => s.Sack, (s, v) => s.Sack = v),
        Switch("ipv4/tcp_slow_start_after_idle", s => s.SlowStartAfterIdle, (s, v) => s.SlowStartAfterIdle = v), Kept("ipv4/tcp_stdurg", 0, 0, Byte),
        Number("ipv4/tcp_syn_retries", s => s.SynRetries, (s, v) => s.SynRetries = (int)v, 1, 127), Number("ipv4/tcp_synack_retries", s => s.SynAckRetries, (s, v) => s.SynAckRetries = (int)v, 0, Byte),
        Number("ipv4/tcp_syncookies", s => s.SynCookies, (s, v) => s.SynCookies = (int)v, 0, Byte), Kept("ipv4/tcp_thin_linear_timeouts", 0, 0, Byte), Switch("ipv4/tcp_timestamps", s => s.Timestamps, (s, v) => s.Timestamps = v),
        Kept("ipv4/tcp_tso_rtt_log", 9, 0, Byte), Number("ipv4/tcp_tso_win_divisor", s => s.TsoWindowDivisor, (s, v) => s.TsoWindowDivisor = (int)v, 0, Byte),
        Number("ipv4/tcp_tw_reuse", s => s.TimeWaitReuse, (s, v) => s.TimeWaitReuse = (int)v, 0, 2), Switch("ipv4/tcp_window_scaling", s => s.WindowScaling, (s, v) => s.WindowScaling = v),
        Numbers("ipv4/tcp_wmem", 3, s => [.. s.SendBuffer.Select(v => (long)v)], (s, v) => s.SendBuffer = [.. v.Select(n => (int)n)], 1, int.MaxValue), Kept("ipv4/tcp_workaround_signed_windows", 0, 0, Byte),
    ];

    private static Errno SetForwarding(NetworkNamespace network, string text)
    {
        if (!TryParse(text.Trim(), out long value))
            return Errno.EINVAL;
        return InterfaceSettings.SetCommon(network, all: true, isV6: false, InterfaceSettings.Find(isV6: false, "forwarding")!, (int)value);
    }

    /// <summary>A range whose end is before its begin is empty, and shown as 1 0.</summary>
    private static Errno SetPingGroups(NetworkNamespace network, string text)
    {
        string[] words = text.Split([' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries);
        if (words.Length != 2 || !TryParse(words[0], out long low) || !TryParse(words[1], out long high) || low < 0 || high < 0 || low > int.MaxValue || high > int.MaxValue)
            return Errno.EINVAL;
        network.Stack.Settings.PingGroupRange = high < low ? [1, 0] : [(uint)low, (uint)high];
        return Errno.None;
    }

    private static Errno SetCongestionControl(NetworkNamespace network, string text)
    {
        string name = text.Trim();
        if (!TcpLayer.CongestionControls.Contains(name))
            return Errno.ENOENT;
        network.Stack.Settings.CongestionControl = name;
        return Errno.None;
    }
}
