namespace Netstack.Stack;

/// <summary>What came with a datagram, beside its bytes.</summary>
[Savable("datagram")]
public sealed partial class Datagram
{
    [Saved(1)] public InetAddress Source;
    [Saved(2)] public ushort SourcePort;
    [Saved(3)] public InetAddress Destination;
    [Saved(4)] public ushort DestinationPort;
    [Saved(5)] public int InterfaceIndex;
    [Saved(6)] public byte TimeToLive;
    [Saved(7)] public byte TypeOfService;
    [Saved(8)] public long Realtime;

    /// <summary>Never changed: several sockets may have the same.</summary>
    [Saved(9)] public byte[] Data = [];

    /// <summary>Of packet sockets: sll_pkttype, ETH_P_*, sender's link address; where the network header begins in <see cref="Data"/>.</summary>
    [Saved(10)] public PacketType PacketType;

    [Saved(11)] public ushort Protocol;
    [Saved(12)] public MacAddress LinkAddress;

    /// <summary>Of the error queue (MSG_ERRQUEUE): struct sock_extended_err without its offender, whose address is <see cref="Source"/>.</summary>
    [Saved(13)] public byte[]? ExtendedError;

    /// <summary>UDP_GRO: payload bytes of each datagram joined in this one; 0 when it is one.</summary>
    [Saved(14)] public int SegmentSize;

    /// <summary>Of packet sockets: bytes of the frame before a filter cut it (tpacket_auxdata).</summary>
    [Saved(15)] public int OriginalLength;

    [Saved(16)] public int NetworkOffset;

    /// <summary>Of packet sockets: its checksum is not complete (TP_STATUS_CSUMNOTREADY), or verified (TP_STATUS_CSUM_VALID).</summary>
    [Saved(17)] public ChecksumState Checksum;

    public Datagram()
    {
    }
}

/// <summary>What ancillary data says of one datagram to be sent (IP_PKTINFO, IPV6_PKTINFO, IP_TTL, IP_TOS).</summary>
public readonly record struct DatagramControl
{
    // One more than what is meant, so that default says nothing.
    private readonly int _timeToLive, _typeOfService;

    /// <summary>Source address; unspecified for the usual choice.</summary>
    public InetAddress Source { get; init; }

    /// <summary>0 for the usual choice.</summary>
    public int InterfaceIndex { get; init; }

    /// <summary>-1 for the socket's.</summary>
    public int TimeToLive
    {
        get => _timeToLive - 1;
        init => _timeToLive = value + 1;
    }

    /// <summary>-1 for the socket's.</summary>
    public int TypeOfService
    {
        get => _typeOfService - 1;
        init => _typeOfService = value + 1;
    }
}
