using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Settings;

/// <summary>A setting that every interface has (net.ipv4.conf.*, net.ipv6.conf.*).</summary>
/// <param name="Name">As the file in /proc/sys is called.</param>
/// <param name="Index">Place in the array that rtnetlink shows (IPV4_DEVCONF_*, DEVCONF_*); -1 for none.</param>
/// <param name="Default">Of conf/default and new interfaces.</param>
internal sealed record InterfaceSetting(string Name, int Index, int Default)
{
    /// <summary>Of conf/all.</summary>
    internal int OfAll { get; init; } = Default;

    internal int OfLoopback { get; init; } = Default;

    internal int Min { get; init; } = int.MinValue;

    internal int Max { get; init; } = int.MaxValue;

    /// <summary>What the array counts in its unit: 1000 where /proc/sys counts seconds and the array milliseconds.</summary>
    internal int Factor { get; init; } = 1;

    /// <summary>Shown as an unsigned number.</summary>
    internal bool IsUnsigned { get; init; }
}

/// <summary>The settings of interfaces: the stack acts on forwarding, disable_ipv6, accept_ra, hop_limit and mtu, the others are kept (ip-sysctl of the kernel's documentation).</summary>
internal static class InterfaceSettings
{
    private const int ArraySizeV4 = 33, ArraySizeV6 = 60;

    internal static readonly InterfaceSetting[] V4 =
    [
        new("accept_local", 22, 0), new("accept_redirects", 3, 1), new("accept_source_route", 8, 1) { OfAll = 0 }, new("arp_accept", 20, 0), new("arp_announce", 17, 0),
        new("arp_evict_nocarrier", 32, 1) { Min = 0, Max = 1 }, new("arp_filter", 12, 0), new("arp_ignore", 18, 0), new("arp_notify", 21, 0), new("bc_forwarding", 31, 0), new("bootp_relay", 9, 0),
        new("disable_policy", 15, 0) { OfLoopback = 1 }, new("disable_xfrm", 14, 0) { OfLoopback = 1 }, new("drop_gratuitous_arp", 30, 0), new("drop_unicast_in_l2_multicast", 29, 0),
        new("force_igmp_version", 16, 0), new("forwarding", 0, 0), new("igmpv2_unsolicited_report_interval", 26, 10000), new("igmpv3_unsolicited_report_interval", 27, 1000),
        new("ignore_routes_with_linkdown", 28, 0), new("log_martians", 10, 0), new("mc_forwarding", 1, 0), new("medium_id", 13, 0), new("promote_secondaries", 19, 0), new("proxy_arp", 2, 0),
        new("proxy_arp_pvlan", 24, 0), new("route_localnet", 25, 0), new("rp_filter", 7, 0), new("secure_redirects", 4, 1), new("send_redirects", 5, 1), new("shared_media", 6, 1),
        new("src_valid_mark", 23, 0), new("tag", 11, 0),
    ];

    internal static readonly InterfaceSetting[] V6 =
    [
        new("accept_dad", 27, 1) { OfAll = 0, OfLoopback = -1 }, new("accept_ra", 3, 1), new("accept_ra_defrtr", 17, 1), new("accept_ra_from_local", 33, 0), new("accept_ra_min_hop_limit", 38, 1),
        new("accept_ra_min_lft", 58, 0), new("accept_ra_mtu", 35, 1), new("accept_ra_pinfo", 18, 1), new("accept_ra_rt_info_max_plen", 21, 0), new("accept_ra_rt_info_min_plen", 49, 0),
        new("accept_ra_rtr_pref", 19, 1), new("accept_redirects", 4, 1), new("accept_source_route", 24, 0), new("accept_untracked_na", 57, 0) { Min = 0, Max = 2 },
        new("addr_gen_mode", 47, 0) { Min = 0, Max = 3 }, new("autoconf", 5, 1), new("dad_transmits", 6, 1), new("disable_ipv6", 26, 0), new("disable_policy", 48, 0),
        new("drop_unicast_in_l2_multicast", 40, 0), new("drop_unsolicited_na", 41, 0), new("enhanced_dad", 46, 1), new("force_mld_version", 16, 0), new("force_tllao", 28, 0),
        new("forwarding", 0, 0), new("hop_limit", 1, 64) { Min = 1, Max = 255 }, new("ignore_routes_with_linkdown", 39, 0), new("ioam6_enabled", 53, 0) { Min = 0, Max = 1 }, new("ioam6_id", 54, 65535) { Min = 0, Max = 65535 },
        new("ioam6_id_wide", 55, -1) { IsUnsigned = true }, new("keep_addr_on_down", 42, 0), new("max_addresses", 15, 16), new("max_desync_factor", 14, 600), new("mc_forwarding", 25, 0),
        new("mldv1_unsolicited_report_interval", 30, 10000), new("mldv2_unsolicited_report_interval", 31, 1000), new("mtu", 2, 1280) { Min = 1280 }, new("ndisc_evict_nocarrier", 56, 1) { Min = 0, Max = 1 },
        new("ndisc_notify", 29, 0), new("ndisc_tclass", 50, 0) { Min = 0, Max = 255 }, new("optimistic_dad", 23, 0), new("proxy_ndp", 22, 0), new("ra_defrtr_metric", 52, 1024) { Min = 1 },
        new("regen_max_retry", 13, 3), new("router_probe_interval", 20, 60) { Factor = 1000 }, new("router_solicitation_delay", 9, 1) { Factor = 1000 },
        new("router_solicitation_interval", 8, 4) { Factor = 1000 }, new("router_solicitation_max_interval", 43, 3600) { Factor = 1000 }, new("router_solicitations", 7, -1) { Min = -1 },
        new("rpl_seg_enabled", 51, 0), new("seg6_enabled", 44, 0), new("seg6_require_hmac", 45, 0), new("suppress_frag_ndisc", 32, 1), new("temp_prefered_lft", 12, 86400), new("temp_valid_lft", 11, 604800),
        new("use_oif_addrs_only", 37, 0), new("use_optimistic", 34, 0), new("use_tempaddr", 10, 0) { OfLoopback = -1 },
    ];

    internal static readonly InterfaceSetting[] NeighboursV4 = Neighbours(locktime: 100, retransmit: 100);

    internal static readonly InterfaceSetting[] NeighboursV6 = Neighbours(locktime: 0, retransmit: 250);

    private static InterfaceSetting[] Neighbours(int locktime, int retransmit) =>
    [
        new("anycast_delay", -1, 100), new("app_solicit", -1, 0) { Min = 0 }, new("base_reachable_time", -1, 30), new("base_reachable_time_ms", -1, 30000), new("delay_first_probe_time", -1, 5),
        new("gc_stale_time", -1, 60), new("interval_probe_time_ms", -1, 5000) { Min = 1 }, new("locktime", -1, locktime), new("mcast_resolicit", -1, 0) { Min = 0 }, new("mcast_solicit", -1, 3) { Min = 0 },
        new("proxy_delay", -1, 80), new("proxy_qlen", -1, 64) { Min = 0 }, new("retrans_time", -1, retransmit), new("retrans_time_ms", -1, 1000), new("ucast_solicit", -1, 3) { Min = 0 },
        new("unres_qlen", -1, 101) { Min = 0 }, new("unres_qlen_bytes", -1, 212992) { Min = 0 },
    ];

    private static readonly Dictionary<string, InterfaceSetting> ByNameV4 = V4.ToDictionary(s => s.Name), ByNameV6 = V6.ToDictionary(s => s.Name);

    /// <summary>IPV4_DEVCONF_* of an interface, from the first.</summary>
    internal static int[] ArrayV4(NetworkInterface link) => ToArray(V4, ArraySizeV4, s => Get(link, isV6: false, s));

    /// <summary>DEVCONF_* of an interface.</summary>
    internal static int[] ArrayV6(NetworkInterface link) => ToArray(V6, ArraySizeV6, s => Get(link, isV6: true, s));

    private static int[] ToArray(InterfaceSetting[] settings, int size, Func<InterfaceSetting, int> value)
    {
        var array = new int[size];
        foreach (InterfaceSetting setting in settings)
        {
            if (setting.Index >= 0)
                array[setting.Index] = unchecked(value(setting) * setting.Factor);
        }

        return array;
    }

    internal static InterfaceSetting? Find(bool isV6, string name) => (isV6 ? ByNameV6 : ByNameV4).GetValueOrDefault(name);

    internal static int Get(NetworkInterface link, bool isV6, string name) => Get(link, isV6, (isV6 ? ByNameV6 : ByNameV4)[name]);

    internal static int Get(NetworkInterface link, bool isV6, InterfaceSetting setting) => (isV6, setting.Name) switch
    {
        (true, "disable_ipv6") => link.DisableIpv6 ? 1 : 0,
        (true, "mtu") => link.Attributes.Configuration.V6.GetValueOrDefault("mtu", link.Mtu),
        _ => (isV6 ? link.Attributes.Configuration.V6 : link.Attributes.Configuration.V4).GetValueOrDefault(setting.Name, link.IsLoopback ? setting.OfLoopback : setting.Default),
    };

    /// <summary>EINVAL outside the setting's range.</summary>
    internal static Errno Set(NetworkNamespace network, NetworkInterface link, bool isV6, InterfaceSetting setting, int value)
    {
        if (value < setting.Min || value > setting.Max)
            return Errno.EINVAL;
        if (isV6 && setting.Name == "mtu" && value > link.Mtu)
            return Errno.EINVAL;
        if (isV6 && setting.Name == "disable_ipv6")
        {
            link.DisableIpv6 = value != 0;
            return Errno.None;
        }

        (isV6 ? link.Attributes.Configuration.V6 : link.Attributes.Configuration.V4)[setting.Name] = value;
        if (isV6 && setting.Name == "hop_limit")
            network.Stack.Settings.DefaultHopLimit = value;
        Tell(network, link.Index, isV6, setting);
        return Errno.None;
    }

    /// <summary>Of conf/all or conf/default.</summary>
    internal static int GetCommon(NetworkNamespace network, bool all, bool isV6, InterfaceSetting setting)
    {
        StackSettings settings = network.Stack.Settings;
        InterfaceConfiguration configuration = all ? network.AllInterfaces : network.NewInterfaces;
        return (all, isV6, setting.Name) switch
        {
            (true, false, "forwarding") => settings.Forwarding ? 1 : 0,
            (true, true, "forwarding") => settings.ForwardingV6 ? 1 : 0,
            (true, true, "disable_ipv6") => settings.DisableIpv6 ? 1 : 0,
            (true, true, "accept_ra") => settings.AcceptRouterAdvertisements ? 1 : 0,
            _ => (isV6 ? configuration.V6 : configuration.V4).GetValueOrDefault(setting.Name, all ? setting.OfAll : setting.Default),
        };
    }

    /// <summary>Of conf/all, which for forwarding and disable_ipv6 sets every interface too, or of conf/default.</summary>
    internal static Errno SetCommon(NetworkNamespace network, bool all, bool isV6, InterfaceSetting setting, int value)
    {
        if (value < setting.Min || value > setting.Max)
            return Errno.EINVAL;
        InterfaceConfiguration configuration = all ? network.AllInterfaces : network.NewInterfaces;
        (isV6 ? configuration.V6 : configuration.V4)[setting.Name] = value;
        if (all)
            SetAll(network, isV6, setting, value);
        Tell(network, all ? -1 : -2, isV6, setting);
        return Errno.None;
    }

    private static void SetAll(NetworkNamespace network, bool isV6, InterfaceSetting setting, int value)
    {
        StackSettings settings = network.Stack.Settings;
        switch (setting.Name)
        {
            case "forwarding":
                if (isV6)
                    settings.ForwardingV6 = value != 0;
                else
                    settings.Forwarding = value != 0;
                (isV6 ? network.NewInterfaces.V6 : network.NewInterfaces.V4)[setting.Name] = value;
                foreach (NetworkInterface link in network.Stack.Interfaces)
                    (isV6 ? link.Attributes.Configuration.V6 : link.Attributes.Configuration.V4)[setting.Name] = value;
                break;
            case "disable_ipv6" when isV6:
                settings.DisableIpv6 = value != 0;
                network.NewInterfaces.V6[setting.Name] = value;
                foreach (NetworkInterface link in network.Stack.Interfaces)
                    link.DisableIpv6 = value != 0;
                break;
            case "accept_ra" when isV6:
                settings.AcceptRouterAdvertisements = value != 0;
                break;
            case "hop_limit" when isV6:
                settings.DefaultHopLimit = value;
                break;
        }
    }

    /// <summary>RTM_NEWNETCONF, for the few settings that it is about.</summary>
    private static void Tell(NetworkNamespace network, int index, bool isV6, InterfaceSetting setting)
    {
        if (setting.Name is "forwarding" or "rp_filter" or "mc_forwarding" or "proxy_arp" or "proxy_ndp" or "bc_forwarding" or "ignore_routes_with_linkdown")
            network.RouteNotifier.OnConfiguration(index, isV6);
    }
}
