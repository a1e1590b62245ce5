using System.Buffers.Binary;
using Netstack.Stack;
using Sentry.Kernel.Sockets.Settings;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETNEIGHTBL: how neighbours are looked for (ip-ntable(8)).</summary>
internal static class NeighbourTableMessages
{
    private const int Name = 1, Threshold1 = 2, Threshold2 = 3, Threshold3 = 4, Parameters = 6, CollectionInterval = 8;
    private const int Interface = 1, References = 2, Reachable = 3, BaseReachable = 4, Retransmit = 5, Stale = 6, DelayProbe = 7, QueueLength = 8, ApplicationProbes = 9, UnicastProbes = 10, MulticastProbes = 11,
        AnycastDelay = 12, ProxyDelay = 13, ProxyQueue = 14, LockTime = 15, QueueBytes = 16, MulticastReprobes = 17, IntervalProbe = 19;

    internal static Errno Dump(NetlinkRequest request)
    {
        byte family = request.Family();
        List<byte[]> found = [];
        foreach (bool isV6 in (bool[])[false, true])
        {
            if (family != AF.Unspec && family != (isV6 ? AF.Inet6 : AF.Inet))
                continue;
            found.Add(Describe(request, isV6, null));
            foreach (NetworkInterface link in request.Stack().Interfaces)
                found.Add(Describe(request, isV6, link));
        }

        return request.Dump(found, apart: true);
    }

    /// <param name="link">Null: of the table itself.</param>
    private static byte[] Describe(NetlinkRequest request, bool isV6, NetworkInterface? link)
    {
        NetlinkWriter writer = request.Answer(RouteMessage.NewNeighbourTable, NetlinkFlags.Multi);
        writer.Reserve(4)[0] = (byte)(isV6 ? AF.Inet6 : AF.Inet);
        writer.PutString(Name, isV6 ? "ndisc_cache" : "arp_cache");
        if (link is null)
        {
            writer.PutUInt64(CollectionInterval, 30000);
            writer.PutUInt32(Threshold1, 128);
            writer.PutUInt32(Threshold2, 512);
            writer.PutUInt32(Threshold3, 1024);
        }

        uint Value(string name) => uint.Parse(NetworkSysctls.Read(request.Task.Network, $"{(isV6 ? "ipv6" : "ipv4")}/neigh/{link?.Name ?? "default"}/{name}") ?? "0", System.Globalization.CultureInfo.InvariantCulture);
        int parameters = writer.BeginNested(Parameters);
        if (link is not null)
            writer.PutInt32(Interface, link.Index);
        writer.PutUInt32(References, 1);
        writer.PutUInt32(QueueBytes, Value("unres_qlen_bytes"));
        writer.PutUInt32(QueueLength, Value("unres_qlen"));
        writer.PutUInt32(ProxyQueue, Value("proxy_qlen"));
        writer.PutUInt32(ApplicationProbes, Value("app_solicit"));
        writer.PutUInt32(UnicastProbes, Value("ucast_solicit"));
        writer.PutUInt32(MulticastProbes, Value("mcast_solicit"));
        writer.PutUInt32(MulticastReprobes, Value("mcast_resolicit"));
        writer.PutUInt64(Reachable, Value("base_reachable_time_ms"));
        writer.PutUInt64(BaseReachable, Value("base_reachable_time_ms"));
        writer.PutUInt64(Stale, Value("gc_stale_time") * 1000UL);
        writer.PutUInt64(DelayProbe, Value("delay_first_probe_time") * 1000UL);
        writer.PutUInt64(Retransmit, Value("retrans_time_ms"));
        writer.PutUInt64(AnycastDelay, Value("anycast_delay") * 10UL);
        writer.PutUInt64(ProxyDelay, Value("proxy_delay") * 10UL);
        writer.PutUInt64(LockTime, Value("locktime") * 10UL);
        writer.PutUInt64(IntervalProbe, Value("interval_probe_time_ms"));
        writer.EndNested(parameters);
        return writer.ToArray();
    }
}

/// <summary>RTM_GETADDRLABEL: the policy table of RFC 6724 section 2.1.</summary>
internal static class AddressLabelMessages
{
    private const int HeaderSize = 12, Address = 1, Label = 2;

    private static readonly (string Prefix, byte Length, uint Label)[] Labels =
        [("::1", 128, 0), ("::", 96, 3), ("::ffff:0:0", 96, 4), ("2001::", 32, 6), ("2001:10::", 28, 7), ("3ffe::", 16, 12), ("2002::", 16, 2), ("fec0::", 10, 11), ("fc00::", 7, 5), ("::", 0, 1)];

    internal static Errno Dump(NetlinkRequest request)
    {
        if (request.Family() != AF.Inet6)
            return Errno.EOPNOTSUPP;
        List<byte[]> found = [];
        foreach ((string prefix, byte length, uint label) in Labels)
        {
            NetlinkWriter writer = request.Answer(RouteMessage.NewAddressLabel, NetlinkFlags.Multi);
            Span<byte> header = writer.Reserve(HeaderSize);
            header[0] = AF.Inet6;
            header[2] = length;
            BinaryPrimitives.WriteUInt32LittleEndian(header[8..], 0);
            System.Net.IPAddress.Parse(prefix).TryWriteBytes(writer.Put(Address, 16), out _);
            writer.PutUInt32(Label, label);
            found.Add(writer.ToArray());
        }

        return request.Dump(found);
    }
}
