using System.Globalization;
using Netstack.Stack;
using Sentry.Kernel.Sockets.Netlink.Routing;
using Sentry.Kernel.Sockets.Settings;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>The files of /sys/class/net/NAME (the kernel's ABI documentation, sysfs-class-net).</summary>
public static class LinkFiles
{
    private const uint ReadOnly = 0x124, ReadWrite = 0x1A4;

    private delegate Result<string> Reader(NetworkInterface link);

    private delegate Errno Writer(NetworkNamespace network, NetworkInterface link, string text);

    private sealed record Row(string Path, Reader Read, Writer? Write = null);

    private static readonly Row[] Rows =
    [
        new("addr_assign_type", static l => Number(l.IsLoopback ? 0 : l.Virtual is null ? 0 : 1)), new("addr_len", static _ => "6"), new("address", static l => l.Mac.ToString()),
        new("broadcast", static l => LinkState.Broadcast(l).ToString()), new("carrier", static l => l.IsUp ? Number(l.HasCarrier ? 1 : 0) : Errno.EINVAL),
        new("carrier_changes", static l => Number(l.Attributes.CarrierUps + l.Attributes.CarrierDowns)), new("carrier_down_count", static l => Number(l.Attributes.CarrierDowns)),
        new("carrier_up_count", static l => Number(l.Attributes.CarrierUps)), new("dev_id", static _ => "0x0"), new("dev_port", static _ => "0"), new("dormant", static l => l.IsUp ? "0" : Errno.EINVAL),
        new("duplex", static l => l.IsLoopback || !l.IsUp ? Errno.EINVAL : "full"), new("flags", static l => "0x" + RawFlags(l).ToString("x", CultureInfo.InvariantCulture), SetFlags),
        new("gro_flush_timeout", static _ => "0"), new("ifalias", static l => l.Attributes.Alias, static (_, l, t) => SetAlias(l, t)), new("ifindex", static l => Number(l.Index)),
        new("iflink", static l => Number(l.Virtual?.Peer?.Index ?? l.Index)), new("link_mode", static _ => "0"), new("mtu", static l => Number(l.Mtu), SetMtu),
        new("name_assign_type", static l => l.IsLoopback ? "2" : l.Virtual is null ? "1" : "3"), new("napi_defer_hard_irqs", static _ => "0"),
        new("netdev_group", static l => Number(l.Attributes.Group), static (_, l, t) => SetUnsigned(t, v => l.Attributes.Group = (uint)v)),
        new("operstate", static l => LinkState.OperationalNames[LinkState.Operational(l)]), new("proto_down", static _ => "0"), new("speed", static l => l.IsLoopback || !l.IsUp ? Errno.EINVAL : "10000"),
        new("testing", static l => l.IsUp ? "0" : Errno.EINVAL), new("threaded", static _ => "0"),
        new("tx_queue_len", static l => Number(l.TransmitQueueLength), static (_, l, t) => SetUnsigned(t, v => l.TransmitQueueLength = (int)v)),
        new("type", static l => Number((int)l.Kind)), new("uevent", static l => $"INTERFACE={l.Name}\nIFINDEX={Number(l.Index)}"),
        new("power/control", static _ => "auto"), new("power/runtime_active_time", static _ => "0"), new("power/runtime_status", static _ => "unsupported"), new("power/runtime_suspended_time", static _ => "0"),
        new("queues/rx-0/rps_cpus", static _ => "0"), new("queues/rx-0/rps_flow_cnt", static _ => "0"), new("queues/tx-0/tx_maxrate", static _ => "0"), new("queues/tx-0/tx_timeout", static _ => "0"),
        .. StatisticRows(),
    ];

    /// <summary>All files, with folders in their paths, and their permissions.</summary>
    public static IEnumerable<(string Path, uint Mode)> Files => Rows.Select(r => (r.Path, r.Write is null ? ReadOnly : ReadWrite));

    /// <summary>The interfaces there are: name and number.</summary>
    public static IEnumerable<(string Name, int Index)> Links(NetworkNamespace network) => network.Stack.Interfaces.Select(l => (l.Name, l.Index));

    /// <summary>What a file shows; EINVAL where Linux cannot tell either; ENODEV when the interface is gone.</summary>
    public static Result<string> Read(NetworkNamespace network, int index, string path)
    {
        if (network.Stack.FindInterface(index) is not { } link || Array.Find(Rows, r => r.Path == path) is not { } row)
            return Errno.ENODEV;
        if (!row.Read(link).TryGet(out string? text, out Errno error))
            return error;
        return text.Length == 0 ? text : text + "\n";
    }

    public static Errno Write(NetworkNamespace network, int index, string path, string text)
    {
        if (network.Stack.FindInterface(index) is not { } link || Array.Find(Rows, r => r.Path == path) is not { Write: { } write })
            return Errno.ENODEV;
        using (network.Enter())
            return write(network, link, text.Trim('\n', '\0', ' '));
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>What is configured, without what follows from the state of the link.</summary>
    private static uint RawFlags(NetworkInterface link) => LinkState.Flags(link) & ~(LinkFlags.Running | LinkFlags.LowerUp);

    private static Errno SetFlags(NetworkNamespace network, NetworkInterface link, string text) =>
        NetworkSetting.TryParse(text, out long value) ? LinkChanges.SetFlags(null, link, (uint)value, 0) : Errno.EINVAL;

    private static Errno SetMtu(NetworkNamespace network, NetworkInterface link, string text) =>
        NetworkSetting.TryParse(text, out long value) && value is >= 0 and <= int.MaxValue ? LinkChanges.SetMtu(null, link, (int)value) : Errno.EINVAL;

    private static Errno SetAlias(NetworkInterface link, string text)
    {
        const int maxLength = 255;
        if (text.Length > maxLength)
            return Errno.EINVAL;
        link.Attributes.Alias = text;
        return Errno.None;
    }

    private static Errno SetUnsigned(string text, Action<long> set)
    {
        if (!NetworkSetting.TryParse(text, out long value) || value is < 0 or > int.MaxValue)
            return Errno.EINVAL;
        set(value);
        return Errno.None;
    }

    private static IEnumerable<Row> StatisticRows()
    {
        (string Name, Func<InterfaceCounters, ulong> Value)[] counters =
        [
            ("collisions", static _ => 0), ("multicast", static c => c.Multicast), ("rx_bytes", static c => c.ReceivedBytes), ("rx_compressed", static _ => 0), ("rx_crc_errors", static _ => 0),
            ("rx_dropped", static c => c.ReceiveDropped), ("rx_errors", static c => c.ReceiveErrors), ("rx_fifo_errors", static _ => 0), ("rx_frame_errors", static _ => 0), ("rx_length_errors", static _ => 0),
            ("rx_missed_errors", static _ => 0), ("rx_nohandler", static _ => 0), ("rx_over_errors", static _ => 0), ("rx_packets", static c => c.ReceivedPackets), ("tx_aborted_errors", static _ => 0),
            ("tx_bytes", static c => c.SentBytes), ("tx_carrier_errors", static _ => 0), ("tx_compressed", static _ => 0), ("tx_dropped", static c => c.SendDropped), ("tx_errors", static c => c.SendErrors),
            ("tx_fifo_errors", static _ => 0), ("tx_heartbeat_errors", static _ => 0), ("tx_packets", static c => c.SentPackets), ("tx_window_errors", static _ => 0),
        ];
        foreach ((string name, Func<InterfaceCounters, ulong> value) in counters)
            yield return new Row("statistics/" + name, l => value(l.Counters).ToString(CultureInfo.InvariantCulture));
    }
}
