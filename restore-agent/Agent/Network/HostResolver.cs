using Netstack.Wire;

namespace RestoreAgent.Agent.Network;

/// <summary>The host's name servers, as /etc/resolv.conf names them (resolv.conf(5)); looked up again when the file changes.</summary>
public static class HostResolver
{
    public const string ConfigurationFile = "/etc/resolv.conf";

    private static readonly Lock _lock = new();
    private static DateTime _read;
    private static IReadOnlyList<InetAddress> _servers = [];

    public static IReadOnlyList<InetAddress> Servers
    {
        get
        {
            lock (_lock)
            {
                DateTime changed = File.GetLastWriteTimeUtc(ConfigurationFile);
                if (changed != _read)
                    (_read, _servers) = (changed, Parse(ReadOrEmpty(ConfigurationFile)));
                return _servers;
            }
        }
    }

    /// <summary>The file that is for a network namespace of that name (ip-netns(8)), else the host's.</summary>
    public static string TextFor(string? namespaceName)
    {
        string own = Path.Combine("/etc/netns", namespaceName ?? "", "resolv.conf");
        return ReadOrEmpty(namespaceName is not null && !namespaceName.Contains('/', StringComparison.Ordinal) && File.Exists(own) ? own : ConfigurationFile);
    }

    public static IReadOnlyList<InetAddress> Parse(string text) =>
    [
        .. text.Split('\n')
            .Select(l => l.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
            .Where(w => w.Length >= 2 && w[0] == "nameserver")
            .Select(w => InetAddress.TryParse(w[1].Split('%')[0], out InetAddress address) ? address : InetAddress.AnyV6)
            .Where(a => !a.IsAny),
    ];

    private static string ReadOrEmpty(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // a host without name servers
        }
    }
}
