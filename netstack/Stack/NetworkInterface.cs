namespace Netstack.Stack;

/// <summary>ARPHRD_* of netdevice(7).</summary>
public enum InterfaceKind : ushort
{
    Ethernet = 1,
    Loopback = 772,
}

/// <summary>An address of an interface (struct ifaddrmsg, rtnetlink(7)).</summary>
[Savable("interface-address")]
public sealed partial class InterfaceAddress
{
    [Saved(1)] public InetAddress Address;

    /// <summary>0 to 32 or 128.</summary>
    [Saved(2)] public int Prefix;

    /// <summary>IPv4 only; 0.0.0.0 for none.</summary>
    [Saved(3)] public InetAddress Broadcast = InetAddress.AnyV4;

    /// <summary>RT_SCOPE_*: universe 0, link 253, host 254.</summary>
    [Saved(4)] public byte Scope;

    /// <summary>IFA_F_*: PERMANENT 0x80, TENTATIVE 0x40, NODAD 2, DEPRECATED 0x20.</summary>
    [Saved(5)] public uint Flags = 0x80;

    [Saved(6)] public string Label = "";

    public InterfaceAddress()
    {
    }
}

/// <summary>Counters of struct rtnl_link_stats64.</summary>
[Savable("interface-counters")]
public sealed partial class InterfaceCounters
{
    [Saved(1)] public ulong ReceivedPackets;
    [Saved(2)] public ulong ReceivedBytes;
    [Saved(3)] public ulong ReceiveErrors;
    [Saved(4)] public ulong ReceiveDropped;
    [Saved(5)] public ulong SentPackets;
    [Saved(6)] public ulong SentBytes;
    [Saved(7)] public ulong SendErrors;
    [Saved(8)] public ulong SendDropped;
    [Saved(9)] public ulong Multicast;

    public InterfaceCounters()
    {
    }
}

/// <summary>The way out of the stack: takes whole frames to a TAP device, a veth end, a switch. Never waits.</summary>
public interface ILinkDriver
{
    /// <summary>Sends a frame (from <see cref="Packet.Start"/>, Ethernet header first). False when it had to be dropped.</summary>
    bool Transmit(Packet frame);
}

/// <summary>A network interface: its addresses, neighbours, groups and counters. The driver under it is not saved: a restored stack is
/// given another.</summary>
[Savable("network-interface")]
public sealed partial class NetworkInterface
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private int _index;
    [Saved(3)] private string _name;
    [Saved(4)] private InterfaceKind _kind;
    [Saved(5)] private MacAddress _mac;
    [Saved(6)] private int _mtu;
    [Saved(7)] private List<InterfaceAddress> _addresses = [];
    [Saved(8)] private InterfaceCounters _counters = new();
    [Saved(9)] private bool _isUp;
    [Saved(10)] private int _transmitQueueLength = 1000;
    [Saved(11)] private bool _isPromiscuous;
    [NotSaved("a host resource, attached again by the restoring sentry")] private ILinkDriver? _driver;
    [NotSaved("of the driver")] private int _maxSegmentedLength;
    [NotSaved("of the driver")] private bool _offloadsChecksum;

    internal NetworkInterface(NetworkStack stack, int index, string name, InterfaceKind kind, MacAddress mac, int mtu)
    {
        _stack = stack;
        _index = index;
        _name = name;
        _kind = kind;
        _mac = mac;
        _mtu = mtu;
    }

    public NetworkStack Stack => _stack;

    /// <summary>From 1; loopback is 1.</summary>
    public int Index => _index;

    public string Name => _name;

    public InterfaceKind Kind => _kind;

    public bool IsLoopback => _kind == InterfaceKind.Loopback;

    public MacAddress Mac
    {
        get => _mac;
        set => _mac = value;
    }

    /// <summary>Bytes of an IP packet.</summary>
    public int Mtu
    {
        get => _mtu;
        set => _mtu = value;
    }

    /// <summary>IFF_UP.</summary>
    public bool IsUp
    {
        get => _isUp;
        set => _isUp = value;
    }

    public bool IsPromiscuous
    {
        get => _isPromiscuous;
        set => _isPromiscuous = value;
    }

    public int TransmitQueueLength
    {
        get => _transmitQueueLength;
        set => _transmitQueueLength = value;
    }

    public List<InterfaceAddress> Addresses => _addresses;

    public InterfaceCounters Counters => _counters;

    /// <summary>Null: nothing is attached, IFF_RUNNING is off.</summary>
    public ILinkDriver? Driver => _driver;

    /// <summary>The longest IP packet that the driver cuts into TCP segments by itself; 0 when it does not.</summary>
    public int MaxSegmentedLength => IsLoopback ? 65535 : _maxSegmentedLength;

    /// <summary>Whether transport checksums may be left to the driver.</summary>
    public bool OffloadsChecksum => IsLoopback || _offloadsChecksum;

    /// <summary>Gives the interface its way out.</summary>
    public void Attach(ILinkDriver driver, int maxSegmentedLength, bool offloadsChecksum)
    {
        _driver = driver;
        _maxSegmentedLength = maxSegmentedLength;
        _offloadsChecksum = offloadsChecksum;
    }

    public void Detach() => _driver = null;
}
