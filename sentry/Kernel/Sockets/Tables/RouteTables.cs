using System.Globalization;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>/proc/net/route, ipv6_route, rt_cache and rt6_stats.</summary>
internal static class RouteTables
{
    private const int Width = 127;

    /// <summary>RTF_* of route(8).</summary>
    private const uint Up = 1, Gateway = 2, Host = 4, Reject = 0x200, NoNextHop = 0x00200000, Local = 0x80000000;

    internal static string RoutesV4(NetworkNamespace network)
    {
        var text = new StringBuilder("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT".PadRight(Width) + "\n");
        foreach (RouteEntry route in network.Stack.Routes.Dump(isV6: false, RouteTable.Main))
        {
            if (route.Type is RouteType.Broadcast or RouteType.Multicast)
                continue;
            uint mask = route.Prefix == 0 ? 0 : uint.MaxValue << (32 - route.Prefix);
            RouteNextHop hop = route.NextHops is { } hops ? hops[0] : new RouteNextHop { InterfaceIndex = route.InterfaceIndex, Gateway = route.Gateway };
            uint flags = Up | (route.Type is RouteType.Unreachable or RouteType.Prohibit ? Reject : 0) | (hop.Gateway.IsAny ? 0 : Gateway) | (mask == uint.MaxValue ? Host : 0);
            int start = text.Length;
            uint advertised = route.Metrics is { } metrics && metrics.Length > 8 && metrics[8] != 0 ? metrics[8] + 40 : 0;
            text.Append(CultureInfo.InvariantCulture,
                $"{network.Stack.FindInterface(hop.InterfaceIndex)?.Name ?? "*"}\t{Reversed(route.Destination)}\t{Reversed(hop.Gateway)}\t{flags:X4}\t0\t0\t{route.Metric}\t{System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(mask):X8}\t{advertised}\t0\t0");
            text.EndPadded(start, Width);
        }

        return text.ToString();
    }

    private static string Reversed(InetAddress address) => System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(address.IsV4 ? address.V4 : 0).ToString("X8", CultureInfo.InvariantCulture);

    internal static string RoutesV6(NetworkNamespace network)
    {
        var text = new StringBuilder();
        foreach (uint table in (uint[])[RouteTable.Main, RouteTable.Local])
        {
            foreach (RouteEntry route in network.Stack.Routes.Dump(isV6: true, table))
            {
                uint flags = Up | (route.HasGateway ? Gateway : 0) | (route.Refuses ? Reject : 0) | (route.Type == RouteType.Local ? Local | NoNextHop : 0);
                if (route.Prefix == 128 && route.Type == RouteType.Unicast)
                    flags |= Host;
                text.Append(CultureInfo.InvariantCulture, $"{InterfaceTables.Hex(route.Destination)} {route.Prefix:x2} {new string('0', 32)} 00 {InterfaceTables.Hex(route.HasGateway ? route.Gateway : InetAddress.AnyV6)} {route.Metric:x8} {1:x8} {0:x8} {flags:x8} {network.Stack.FindInterface(route.InterfaceIndex)?.Name,8}\n");
            }

            // Each table ends in the entry that stands for "nothing found".
            text.Append(CultureInfo.InvariantCulture, $"{new string('0', 32)} 00 {new string('0', 32)} 00 {new string('0', 32)} ffffffff 00000001 00000000 {NoNextHop | Reject:x8} {"lo",8}\n");
        }

        return text.ToString();
    }

    internal static string Cache(NetworkNamespace network) =>
        "Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst".PadRight(Width) + "\n";

    internal static string StatisticsV6(NetworkNamespace network)
    {
        int routes = network.Stack.Routes.Dump(isV6: true).Count;
        return string.Create(CultureInfo.InvariantCulture, $"{routes:x4} {routes:x4} {routes:x4} {routes:x4} 0000 0000 0000\n");
    }
}
