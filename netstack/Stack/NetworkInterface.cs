namespace Netstack.Stack;

/// <summary>ARPHRD_* of netdevice(7).</summary>
public enum InterfaceKind : ushort
{
    Ethernet = 1,
    Loopback = 772,
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
    /// <summary>Sends a frame (from <see cref="Packet.Start"/>, Ethernet header first). False when it had to be dropped. The driver may keep the packet; it is
    /// never changed afterwards.</summary>
    bool Transmit(Packet frame);
}

/// <summary>A network interface: its addresses, groups and counters. The driver under it is not saved: a restored stack is
/// given another.</summary>
[Savable("network-interface")]
public sealed partial class NetworkInterface
{
    public const int MinMtu = 68, MaxMtu = 65536, MinMtuV6 = 1280;

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
    [Saved(11)] private int _promiscuity;
    [Saved(12)] private int _allMulticast;
    [Saved(13)] private InterfaceGroups _groups;
    [Saved(14)] private bool _disableIpv6;
    [Saved(20)] private LinkAttributes _attributes = new();
    [Saved(21)] private VirtualLink? _virtual;
    [Saved(22)] private bool _hasStartedIpv6;
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
        _groups = new InterfaceGroups(this);
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
        set
        {
            _mac = value;
            _stack.Ip.Neighbours.Flush(this);
            _stack.TellLink(this, StackChange.Changed);
        }
    }

    /// <summary>Bytes of an IP packet. Checked by <see cref="SetMtu"/>.</summary>
    public int Mtu
    {
        get => _mtu;
        set
        {
            _mtu = value;
            _stack.Routes.Touch();
            _stack.TellLink(this, StackChange.Changed);
        }
    }

    /// <summary>IFF_UP. Going up brings routes and, on Ethernet, a link-local address; going down takes routes and IPv6 addresses away, as in Linux.</summary>
    public bool IsUp
    {
        get => _isUp;
        set
        {
            if (value == _isUp)
                return;
            if (value)
                InterfaceAddresses.GoUp(this);
            else
                InterfaceAddresses.GoDown(this);
            _stack.TellLink(this, StackChange.Changed);
            if (value && _virtual?.Peer is { } peer)
                InterfaceAddresses.OnCarrier(peer);
        }
    }

    /// <summary>How many ask for frames to other stations (IFF_PROMISC and packet sockets).</summary>
    public int Promiscuity
    {
        get => _promiscuity;
        set
        {
            bool was = IsPromiscuous;
            _promiscuity = Math.Max(0, value);
            if (was != IsPromiscuous)
                _stack.TellLink(this, StackChange.Changed);
        }
    }

    public bool IsPromiscuous => _promiscuity > 0;

    /// <summary>How many ask for all multicast frames (IFF_ALLMULTI and packet sockets).</summary>
    public int AllMulticast
    {
        get => _allMulticast;
        set => _allMulticast = Math.Max(0, value);
    }

    public int TransmitQueueLength
    {
        get => _transmitQueueLength;
        set => _transmitQueueLength = value;
    }

    /// <summary>net.ipv6.conf.NAME.disable_ipv6.</summary>
    public bool DisableIpv6
    {
        get => _disableIpv6;
        set
        {
            if (value == _disableIpv6)
                return;
            _disableIpv6 = value;
            InterfaceAddresses.OnIpv6Switched(this);
        }
    }

    /// <summary>Whether IPv6 has been begun since it is up: it has a link-local address and multicast routes.</summary>
    internal bool HasStartedIpv6
    {
        get => _hasStartedIpv6;
        set => _hasStartedIpv6 = value;
    }

    /// <summary>Whether IPv6 works here.</summary>
    public bool HasIpv6 => !_disableIpv6 && _mtu >= MinMtuV6;

    public IReadOnlyList<InterfaceAddress> Addresses => _addresses;

    /// <summary>The addresses of a family in the order in which Linux keeps them: of IPv4 the primary ones by scope, the widest last, then the secondary; of IPv6 those of wider
    /// scope first, and of equal ones the newest.</summary>
    public List<InterfaceAddress> AddressesInOrder(bool isV6)
    {
        List<InterfaceAddress> ordered = [];
        foreach (InterfaceAddress address in _addresses)
        {
            if (address.Address.IsV6 != isV6)
                continue;
            int position;
            if (isV6)
                position = ordered.FindIndex(other => address.Scope <= other.Scope);
            else if (address.IsSecondary)
                position = -1;
            else
                position = ordered.FindLastIndex(other => !other.IsSecondary && address.Scope <= other.Scope) + 1;
            ordered.Insert(position < 0 ? ordered.Count : position, address);
        }

        return ordered;
    }

    /// <summary>The multicast groups it is in.</summary>
    public InterfaceGroups Groups => _groups;

    public InterfaceCounters Counters => _counters;

    /// <summary>Null: nothing is attached, IFF_RUNNING is off.</summary>
    public ILinkDriver? Driver => _driver ?? _virtual;

    /// <summary>The link that is saved with the interface; null of loopback and of a link to the world outside.</summary>
    public VirtualLink? Virtual => _virtual;

    public LinkAttributes Attributes => _attributes;

    /// <summary>IFF_LOWER_UP: something is there to send to.</summary>
    public bool HasCarrier => _isUp && (IsLoopback || _driver is not null || _virtual is { HasCarrier: true });

    /// <summary>IFF_RUNNING: up, and something is there to send to.</summary>
    public bool IsRunning => HasCarrier;

    /// <summary>The longest IP packet that the driver cuts into TCP segments by itself; 0 when it does not.</summary>
    public int MaxSegmentedLength => IsLoopback ? 65535 : _maxSegmentedLength;

    /// <summary>Whether transport checksums may be left to the driver.</summary>
    public bool OffloadsChecksum => IsLoopback || _offloadsChecksum;

    internal List<InterfaceAddress> AddressList => _addresses;

    internal void SetUpFlag(bool isUp) => _isUp = isUp;

    /// <summary>Gives the interface its way out.</summary>
    public void Attach(ILinkDriver driver, int maxSegmentedLength, bool offloadsChecksum)
    {
        _driver = driver;
        _maxSegmentedLength = maxSegmentedLength;
        _offloadsChecksum = offloadsChecksum;
        _stack.TellLink(this, StackChange.Changed);
        InterfaceAddresses.OnCarrier(this);
    }

    /// <summary>Gives it a way out that leads nowhere outside.</summary>
    internal void Attach(VirtualLink link) => _virtual = link;

    public void Detach()
    {
        _driver = null;
        _stack.TellLink(this, StackChange.Changed);
    }

    /// <summary>Renames it: EINVAL, EEXIST; also while it is up, as since Linux 6.2.</summary>
    public Errno Rename(string name)
    {
        const int maxLength = 15;
        if (name.Length is 0 or > maxLength || name is "." or ".." || name.AsSpan().IndexOfAny('/', ':', ' ') >= 0)
            return Errno.EINVAL;
        if (_stack.FindInterface(name) is { } other)
            return ReferenceEquals(other, this) ? Errno.None : Errno.EEXIST;
        // As Linux does, the first address has the new name as its label, others get their numbers (inetdev_changename).
        int number = 0;
        foreach (InterfaceAddress address in AddressesInOrder(isV6: false))
        {
            int colon = address.Label.IndexOf(':');
            string suffix = number++ == 0 ? "" : colon < 0 ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $":{number}") : address.Label[colon..];
            address.Label = name[..Math.Min(name.Length, maxLength - suffix.Length)] + suffix;
        }

        _name = name;
        _stack.TellLink(this, StackChange.Changed);
        return Errno.None;
    }

    /// <summary>EINVAL outside 68 to 65536.</summary>
    public Errno SetMtu(int mtu)
    {
        if (mtu is < MinMtu or > MaxMtu)
            return Errno.EINVAL;
        if (mtu == _mtu)
            return Errno.None;
        bool had = HasIpv6;
        Mtu = mtu;
        if (had != HasIpv6)
            InterfaceAddresses.OnIpv6Switched(this);
        return Errno.None;
    }

    /// <summary>Adds an address, which it takes over: EEXIST, EINVAL, EACCES (IPv6 is off).</summary>
    public Errno AddAddress(InterfaceAddress address) => InterfaceAddresses.Add(this, address);

    /// <summary>EADDRNOTAVAIL when it is not there.</summary>
    /// <param name="prefix">-1 for any.</param>
    public Errno RemoveAddress(InetAddress address, int prefix = -1) => InterfaceAddresses.Remove(this, address, prefix);

    /// <summary>An address of this interface has been given other lifetimes.</summary>
    public void RenewAddress(InterfaceAddress address)
    {
        address.Updated = _stack.Now;
        address.ArmLifetime();
        _stack.Routes.Touch();
        _stack.TellAddress(this, address, StackChange.Changed);
    }

    public InterfaceAddress? FindAddress(InetAddress address)
    {
        foreach (InterfaceAddress candidate in _addresses)
        {
            if (candidate.Address == address)
                return candidate;
        }

        return null;
    }

    /// <summary>The IPv6 link-local address; null when there is none to use.</summary>
    public InterfaceAddress? LinkLocal => _addresses.Find(a => a.Address is { IsV6: true, IsLinkLocal: true } && a.IsUsable);

    /// <summary>Sends a packet (from its IP or ARP header on) to a station of the link.</summary>
    internal void TransmitTo(Packet packet, MacAddress to) => LinkOutput.Transmit(this, packet, to);

    internal void OnDetectionDone(InterfaceAddress address) => InterfaceAddresses.OnDetectionDone(this, address);

    public override string ToString() => _name;
}
