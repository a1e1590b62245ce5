using System.Buffers.Binary;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>What a socket tells of each packet in ancillary data (ip(7), ipv6(7)).</summary>
[Flags]
internal enum InetAncillary : uint
{
    None = 0,
    PacketInfo = 1,
    TimeToLive = 2,
    TypeOfService = 4,
    OriginalDestination = 8,
    PacketInfoV6 = 0x10,
    HopLimit = 0x20,
    TrafficClass = 0x40,
    OriginalDestinationV6 = 0x80,
    OldPacketInfoV6 = 0x100,
    OldHopLimit = 0x200,
    AnyV4 = PacketInfo | TimeToLive | TypeOfService | OriginalDestination,
    AnyV6 = PacketInfoV6 | HopLimit | TrafficClass | OriginalDestinationV6 | OldPacketInfoV6 | OldHopLimit,

    /// <summary>IP_BIND_ADDRESS_NO_PORT, IP_NODEFRAG, IPV6_RECVPATHMTU and their like change nothing here and are kept to be given back.</summary>
    BindAddressNoPort = 0x1000,
    NoDefragment = 0x2000,
    ReceivePathMtu = 0x4000,
    AutoFlowLabel = 0x8000,
    FlowInfoSend = 0x10000,
}

/// <summary>A socket of AF_INET or AF_INET6. What is the same for all transports is here: names, and the options of SOL_IP and SOL_IPV6.</summary>
[Savable("inet-socket")]
internal abstract partial class InetSocket : EndpointSocket
{
    [Saved(1)] private bool _isV6;
    [Saved(2)] private InetAncillary _ancillary = InetAncillary.AutoFlowLabel;
    [Saved(3)] private int _unicastInterface;

    protected InetSocket(Task owner, bool isV6, int type, int protocol, OpenFlags status)
        : base(owner, type, protocol, status) => _isV6 = isV6;

    public override int Domain => _isV6 ? AF.Inet6 : AF.Inet;

    internal bool IsV6 => _isV6;

    internal InetAncillary Ancillary
    {
        get => _ancillary;
        set => _ancillary = value;
    }

    /// <summary>IP_UNICAST_IF: where packets leave when nothing else says so; 0 for the routing table's choice.</summary>
    internal int UnicastInterface
    {
        get => _unicastInterface;
        set => _unicastInterface = value;
    }

    // ---- names ---------------------------------------------------------------------------------------------------

    /// <summary>Reads a sockaddr that names a place to bind to.</summary>
    protected Errno ReadBindAddress(Task task, ReadOnlySpan<byte> address, out InetEndpointAddress result)
    {
        result = default;
        if (address.Length < (_isV6 ? InetEndpointAddress.ShortSizeV6 : InetEndpointAddress.SizeV4))
            return Errno.EINVAL;
        ushort family = InetEndpointAddress.FamilyOf(address);
        if (_isV6)
        {
            if (family != AF.Inet6)
                return Errno.EAFNOSUPPORT;
            result = InetEndpointAddress.ReadV6(address);
            if (result.Address.IsV4 && Ip.V6Only)
                return Errno.EINVAL;
            if (result.Address is { IsV6: true, IsLinkLocal: true } && result.Scope == 0 && Ip.BoundInterface == 0)
                return Errno.EINVAL;
        }
        else
        {
            result = InetEndpointAddress.ReadV4(address);

            // "Compatibility games: accept AF_UNSPEC (mapped to AF_INET) only if s_addr is INADDR_ANY" (inet_bind).
            if (family != AF.Inet && !(family == AF.Unspec && result.Address.IsAny))
                return Errno.EAFNOSUPPORT;
        }

        return CheckPort(task, result.Port);
    }

    /// <summary>Ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: EACCES.</summary>
    protected virtual Errno CheckPort(Task task, ushort port) =>
        port != 0 && port < Network.Stack.Settings.UnprivilegedPortStart && !task.Credentials.Has(Capability.CAP_NET_BIND_SERVICE) ? Errno.EACCES : Errno.None;

    /// <summary>Reads a sockaddr that names a peer. A socket of AF_INET6 takes IPv4 peers in mapped form, and where <paramref name="takesV4"/> says so as sockaddr_in.</summary>
    protected Errno ReadPeerAddress(ReadOnlySpan<byte> address, bool takesV4, out InetEndpointAddress result)
    {
        result = default;
        ushort family = InetEndpointAddress.FamilyOf(address);
        if (!_isV6 || (takesV4 && family == AF.Inet))
        {
            if (address.Length < InetEndpointAddress.SizeV4)
                return Errno.EINVAL;
            if (family is not (AF.Inet or AF.Unspec) || (family == AF.Unspec && _isV6))
                return Errno.EAFNOSUPPORT;
            result = InetEndpointAddress.ReadV4(address);
        }
        else
        {
            if (address.Length < InetEndpointAddress.ShortSizeV6)
                return Errno.EINVAL;
            if (family != AF.Inet6)
                return Errno.EAFNOSUPPORT;
            result = InetEndpointAddress.ReadV6(address);
            if (result.Address is { IsV6: true, IsLinkLocal: true } && result.Scope == 0)
                result = result with { Scope = Ip.BoundInterface };
            if (result.Address is { IsV6: true, IsLinkLocal: true } && result.Scope == 0)
                return Errno.EINVAL;
        }

        return _isV6 && Ip.V6Only && result.Address.IsV4 ? Errno.ENETUNREACH : Errno.None;
    }

    /// <summary>A sockaddr of this socket's family.</summary>
    protected byte[] FormatName(InetAddress address, ushort port, int scope = 0)
    {
        if (_isV6 && address == InetAddress.AnyV4)
            address = InetAddress.AnyV6;
        return new InetEndpointAddress(address, port, address is { IsV6: true, IsLinkLocal: true } ? (scope != 0 ? scope : Ip.BoundInterface) : 0).Format(_isV6);
    }

    /// <summary>Whether it has a port or an address.</summary>
    internal abstract bool IsBound { get; }

    /// <summary>Unspecified until bound or connected.</summary>
    internal abstract InetAddress BoundAddress { get; }

    /// <summary>Null without a connection.</summary>
    internal abstract InetAddress? ConnectedPeer { get; }

    /// <summary>Empties the error queue (MSG_ERRQUEUE), where there is one.</summary>
    internal virtual void ClearErrors()
    {
    }

    // ---- options -------------------------------------------------------------------------------------------------

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value) => level switch
    {
        SOL.IP when !_isV6 || Type != SocketType.Raw => IpOptions.Set(task, this, name, value),
        SOL.IPV6 when _isV6 => Ipv6Options.Set(task, this, name, value),
        _ => Errno.ENOPROTOOPT,
    };

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given) => level switch
    {
        SOL.IP when !_isV6 || Type != SocketType.Raw => IpOptions.Get(this, name, given),
        SOL.IPV6 when _isV6 => Ipv6Options.Get(this, name, given),
        _ => level is SOL.IP or SOL.IPV6 ? Errno.ENOPROTOOPT : Errno.EOPNOTSUPP,
    };

    /// <summary>Reads a number that may be given as an int or as one byte (ip(7)).</summary>
    internal static int ReadNumber(ReadOnlySpan<byte> value) => value.Length >= sizeof(int) ? BinaryPrimitives.ReadInt32LittleEndian(value) : value.Length > 0 ? value[0] : 0;
}
