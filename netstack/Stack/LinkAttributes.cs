namespace Netstack.Stack;

/// <summary>What an interface keeps for those who ask (ip-link(8)) without the stack acting on it.</summary>
[Savable("link-attributes")]
public sealed partial class LinkAttributes
{
    /// <summary>IFLA_INFO_KIND: veth, dummy; null of loopback and of a link to the world outside.</summary>
    [Saved(1)] public string? Kind;

    /// <summary>IFLA_IFALIAS; empty for none.</summary>
    [Saved(2)] public string Alias = "";

    /// <summary>IFLA_GROUP.</summary>
    [Saved(3)] public uint Group;

    /// <summary>IFF_PROMISC and IFF_ALLMULTI as users set them; what packet sockets ask for is not shown as a flag.</summary>
    [Saved(4)] public bool IsPromiscuous;

    [Saved(5)] public bool IsAllMulticast;

    /// <summary>IFF_NOARP on, IFF_MULTICAST off.</summary>
    [Saved(6)] public bool NoArp;

    [Saved(7)] public bool NoMulticast;

    /// <summary>IFLA_ALT_IFNAME.</summary>
    [Saved(8)] public List<string> AlternativeNames = [];

    /// <summary>Whether it has ever been up: until then it has no queueing discipline (noop).</summary>
    [Saved(9)] public bool WasUp;

    /// <summary>How often the carrier came and went.</summary>
    [Saved(10)] public uint CarrierUps;

    [Saved(11)] public uint CarrierDowns;

    /// <summary>IFLA_BROADCAST; all ones, or zeros of loopback, unless set.</summary>
    [Saved(12)] public MacAddress? Broadcast;

    /// <summary>Send and receive queues that it shows.</summary>
    [Saved(13)] public uint Queues = 1;

    [Saved(14)] public InterfaceConfiguration Configuration = new();

    public LinkAttributes()
    {
    }
}
