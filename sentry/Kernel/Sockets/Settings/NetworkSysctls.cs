using System.Globalization;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Settings;

/// <summary>The files of /proc/sys/net, by their paths below it.</summary>
public static class NetworkSysctls
{
    private const uint ReadWrite = 0x1A4, ReadOnly = 0x124, WriteOnly = 0x80, Private = 0x180;

    private static readonly Dictionary<string, NetworkSetting> ByPath = NetworkSettings.All.ToDictionary(s => s.Path);

    /// <summary>Folders that have a folder for each interface.</summary>
    public static IReadOnlyList<string> InterfaceFolders { get; } = ["ipv4/conf", "ipv4/neigh", "ipv6/conf", "ipv6/neigh"];

    /// <summary>The files that are not of one interface, and their permissions.</summary>
    public static IEnumerable<(string Path, uint Mode)> Files => NetworkSettings.All.Select(s => (s.Path, !s.IsReadable ? WriteOnly : s.IsPrivate ? Private : s.IsWritable ? ReadWrite : ReadOnly));

    /// <summary>The folders within one of <see cref="InterfaceFolders"/>.</summary>
    public static IEnumerable<string> Interfaces(NetworkNamespace network, string folder)
    {
        IEnumerable<string> links = network.Stack.Interfaces.Select(l => l.Name);
        return IsNeighbours(folder) ? ["default", .. links] : ["all", "default", .. links];
    }

    /// <summary>The files in each of those.</summary>
    public static IEnumerable<string> InterfaceFiles(string folder) => SettingsOf(folder).Select(s => s.Name);

    /// <summary>What a file shows, without its end of line; null when there is no such file (any more).</summary>
    public static string? Read(NetworkNamespace network, string path)
    {
        if (ByPath.TryGetValue(path, out NetworkSetting? setting))
            return setting.Get(network);
        if (!TrySplit(path, out string folder, out string owner, out InterfaceSetting? each))
            return null;
        NetworkInterface? link = network.Stack.FindInterface(owner);
        if (link is null && owner is not ("all" or "default"))
            return null;
        long value;
        if (IsNeighbours(folder))
            value = NeighbourValues(network, link, folder).GetValueOrDefault(each.Name, each.Default);
        else if (link is not null)
            value = InterfaceSettings.Get(link, IsV6(folder), each);
        else
            value = InterfaceSettings.GetCommon(network, owner == "all", IsV6(folder), each);
        return (each.IsUnsigned ? (uint)value : value).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Writes a file: EINVAL where the value is not one, or out of range; ENOENT when there is no such file.</summary>
    public static Errno Write(NetworkNamespace network, string path, string text)
    {
        using (network.Enter())
        {
            if (ByPath.TryGetValue(path, out NetworkSetting? setting))
                return setting.Set(network, text);
            if (!TrySplit(path, out string folder, out string owner, out InterfaceSetting? each))
                return Errno.ENOENT;
            NetworkInterface? link = network.Stack.FindInterface(owner);
            if (link is null && owner is not ("all" or "default"))
                return Errno.ENOENT;
            string word = text.Trim(' ', '\t', '\n', '\0');
            if (word.Length == 0)
                return Errno.None;
            if (!NetworkSetting.TryParse(word, out long value) || value < (each.IsUnsigned ? 0 : int.MinValue) || value > (each.IsUnsigned ? uint.MaxValue : int.MaxValue))
                return Errno.EINVAL;
            if (IsNeighbours(folder))
                return SetNeighbours(network, link, folder, each, (int)value);
            return link is not null
                ? InterfaceSettings.Set(network, link, IsV6(folder), each, unchecked((int)value))
                : InterfaceSettings.SetCommon(network, owner == "all", IsV6(folder), each, unchecked((int)value));
        }
    }

    private static bool IsV6(string folder) => folder.StartsWith("ipv6", StringComparison.Ordinal);

    private static bool IsNeighbours(string folder) => folder.EndsWith("neigh", StringComparison.Ordinal);

    private static InterfaceSetting[] SettingsOf(string folder) => (IsV6(folder), IsNeighbours(folder)) switch
    {
        (false, false) => InterfaceSettings.V4,
        (true, false) => InterfaceSettings.V6,
        (false, true) => InterfaceSettings.NeighboursV4,
        _ => InterfaceSettings.NeighboursV6,
    };

    private static bool TrySplit(string path, out string folder, out string owner, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out InterfaceSetting? setting)
    {
        string[] parts = path.Split('/');
        folder = parts.Length == 4 ? parts[0] + "/" + parts[1] : "";
        owner = parts.Length == 4 ? parts[2] : "";
        setting = InterfaceFolders.Contains(folder) ? Array.Find(SettingsOf(folder), s => s.Name == parts[3]) : null;
        return setting is not null;
    }

    private static SortedDictionary<string, int> NeighbourValues(NetworkNamespace network, NetworkInterface? link, string folder)
    {
        InterfaceConfiguration configuration = link?.Attributes.Configuration ?? network.NewInterfaces;
        return IsV6(folder) ? configuration.NeighboursV6 : configuration.NeighboursV4;
    }

    /// <summary>Times are there twice, in seconds and in milliseconds; both are the same setting.</summary>
    private static Errno SetNeighbours(NetworkNamespace network, NetworkInterface? link, string folder, InterfaceSetting setting, int value)
    {
        if (value < setting.Min || value > setting.Max)
            return Errno.EINVAL;
        SortedDictionary<string, int> values = NeighbourValues(network, link, folder);
        values[setting.Name] = value;
        switch (setting.Name)
        {
            case "base_reachable_time":
                values["base_reachable_time_ms"] = value * 1000;
                break;
            case "base_reachable_time_ms":
                values["base_reachable_time"] = value / 1000;
                break;
            case "retrans_time":
                values["retrans_time_ms"] = IsV6(folder) ? value * 4 : value * 10;
                break;
            case "retrans_time_ms":
                values["retrans_time"] = IsV6(folder) ? value / 4 : value / 10;
                break;
        }

        return Errno.None;
    }
}
