using System.Globalization;
using System.Text;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets.Tables;

/// <summary>/proc/net/fib_trie and fib_triestat: the routes of IPv4 as leaves of one node, since the tables here are no tries. Programs look in it for
/// addresses that are "/32 host LOCAL".</summary>
internal static class RouteTrie
{
    private static readonly string[] Types = ["UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW"];

    internal static string Describe(NetworkNamespace network)
    {
        var text = new StringBuilder();
        List<IGrouping<InetAddress, RouteEntry>> leaves = Leaves(network);

        // As long as there are no rules of users, tables main and local are one (fib_unmerge).
        foreach (string table in (string[])["Main", "Local"])
        {
            text.Append(table).Append(":\n");
            if (leaves.Count > 0)
                text.Append(CultureInfo.InvariantCulture, $"  +-- 0.0.0.0/0 {Bits(leaves.Count)} 0 {(1 << Bits(leaves.Count)) - leaves.Count}\n");
            foreach (IGrouping<InetAddress, RouteEntry> leaf in leaves)
            {
                text.Append(CultureInfo.InvariantCulture, $"     |-- {leaf.Key}\n");
                foreach (RouteEntry route in leaf.OrderByDescending(r => r.Prefix))
                    text.Append(CultureInfo.InvariantCulture, $"        /{route.Prefix} {ScopeName(route.Scope)} {Types[route.Type]}\n");
            }
        }

        return text.ToString();
    }

    internal static string DescribeStatistics(NetworkNamespace network)
    {
        List<IGrouping<InetAddress, RouteEntry>> leaves = Leaves(network);
        int prefixes = leaves.Sum(l => l.Count()), bits = Bits(leaves.Count), pointers = leaves.Count == 0 ? 0 : 1 << bits;
        var text = new StringBuilder("Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\n");
        foreach (string table in (string[])["Main", "Local"])
        {
            text.Append(CultureInfo.InvariantCulture, $"{table}:\n\tAver depth:     {(leaves.Count == 0 ? "0.00" : "1.00")}\n\tMax depth:      {(leaves.Count == 0 ? 0 : 1)}\n\tLeaves:         {leaves.Count}\n");
            text.Append(CultureInfo.InvariantCulture, $"\tPrefixes:       {prefixes}\n\tInternal nodes: {(leaves.Count == 0 ? 0 : 1)}\n");
            if (leaves.Count > 0)
                text.Append(CultureInfo.InvariantCulture, $"\t  {bits}: 1\n");
            int bytes = (48 * leaves.Count) + (leaves.Count == 0 ? 0 : 40) + (8 * pointers);
            text.Append(CultureInfo.InvariantCulture, $"\tPointers: {pointers}\nNull ptrs: {pointers - leaves.Count}\nTotal size: {(bytes + 1023) / 1024}  kB\n");
        }

        return text.ToString();
    }

    private static List<IGrouping<InetAddress, RouteEntry>> Leaves(NetworkNamespace network) =>
        [.. network.Stack.Routes.Entries.Where(r => !r.IsV6 && r.Table is RouteTable.Main or RouteTable.Local).OrderBy(r => r.Destination).GroupBy(r => r.Destination)];

    private static int Bits(int leaves) => Math.Max(1, 32 - int.LeadingZeroCount(Math.Max(0, leaves - 1)));

    private static string ScopeName(byte scope) => scope switch
    {
        RouteScope.Universe => "universe",
        RouteScope.Site => "site",
        RouteScope.Link => "link",
        RouteScope.Host => "host",
        RouteScope.Nowhere => "nowhere",
        _ => "scope=" + scope.ToString(CultureInfo.InvariantCulture),
    };
}
