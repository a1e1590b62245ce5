using System.Globalization;
using Netstack.Wire;

namespace RestoreAgent.Agent.Network;

/// <summary>A port of the host that leads to one of a sandbox.</summary>
/// <param name="HostAddress">Where the host listens.</param>
/// <param name="IsUdp">Else TCP.</param>
public sealed record PublishSpec(InetAddress HostAddress, int HostPort, int GuestPort, bool IsUdp)
{
    private const string Udp = "/udp", Tcp = "/tcp";

    /// <summary>Reads [IP:]HOST:GUEST[/udp]; an IPv6 address stands in brackets. Without an address only this host can connect.</summary>
    public static PublishSpec Parse(string text)
    {
        string rest = text;
        bool udp = rest.EndsWith(Udp, StringComparison.OrdinalIgnoreCase);
        if (udp || rest.EndsWith(Tcp, StringComparison.OrdinalIgnoreCase))
            rest = rest[..^Udp.Length];
        int last = rest.LastIndexOf(':');
        if (last < 0 || !TryPort(rest[(last + 1)..], 1, out int guest))
            throw Wrong(text);
        rest = rest[..last];
        int before = rest.LastIndexOf(':');
        InetAddress address = InetAddress.LoopbackV4;
        if (before >= 0)
        {
            string host = rest[..before];
            if (host.StartsWith('[') && host.EndsWith(']'))
                host = host[1..^1];
            else if (host.Contains(':', StringComparison.Ordinal))
                throw Wrong(text);
            if (!InetAddress.TryParse(host, out address) || address.IsMulticast)
                throw Wrong(text);
        }

        return TryPort(rest[(before + 1)..], 0, out int port) ? new PublishSpec(address, port, guest, udp) : throw Wrong(text);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{(HostAddress.IsV4 ? $"{HostAddress}" : $"[{HostAddress}]")}:{HostPort}:{GuestPort}{(IsUdp ? Udp : "")}");

    private static bool TryPort(string text, int least, out int port) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port >= least && port <= ushort.MaxValue;

    private static AgentException Wrong(string text) =>
        AgentException.Invalid($"'{text}' is no port to publish: write [IP:]HOST:GUEST[/udp], for instance 8080:80; host port 0 chooses one");
}
