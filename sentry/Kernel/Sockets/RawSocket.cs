using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>A raw socket (raw(7)), or a ping socket (icmp(7)).</summary>
[Savable("raw-socket")]
internal sealed partial class RawSocket : DatagramSocket
{
    private const int IcmpFilter = 1, Icmpv6FilterSize = 32;

    [Saved(1)] private RawEndpoint _endpoint;

    internal RawSocket(Task owner, bool isV6, int protocol, RawEndpoint endpoint, int type, OpenFlags status)
        : base(owner, isV6, type, protocol, status)
    {
        _endpoint = endpoint;

        // IPPROTO_RAW sends whole packets and receives nothing (raw(7)).
        endpoint.IncludesHeader = !isV6 && protocol == IPPROTO.RAW;
        Attach();
    }

    internal RawEndpoint Raw => _endpoint;

    protected override DatagramEndpoint Datagrams => _endpoint;

    /// <summary>What stands in the place of a port is an echo identifier, or nothing.</summary>
    protected override Errno CheckPort(Task task, ushort port) => Errno.None;

    protected override Errno BindTo(InetEndpointAddress address) => _endpoint.Bind(address.Address, address.Port);

    protected override Errno ConnectTo(InetEndpointAddress address) => _endpoint.Connect(address.Address, address.Port, address.Scope);

    protected override Errno Disconnect() => _endpoint.Disconnect();

    protected override Errno ShutDown(bool receive, bool send) => _endpoint.Shutdown(receive, send);

    protected override Errno Transmit(in OutgoingDatagram datagram) =>
        _endpoint.Send(datagram.Data, datagram.Destination.Address, datagram.Destination.Port, datagram.Destination.Scope, datagram.Control);

    /// <summary>Names of raw sockets have no port; the protocol stands there in getsockname of IPv4 and nowhere else.</summary>
    protected override void Describe(Datagram datagram, ReceiveRequest request)
    {
        base.Describe(datagram, request);
        if (Type == SocketType.Raw)
            request.Address = FormatName(datagram.Source, 0, datagram.InterfaceIndex);
    }

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value)
    {
        if (level == SOL.RAW && !IsV6 && name == IcmpFilter)
        {
            if (Type != SocketType.Raw || Protocol != IPPROTO.ICMP)
                return Errno.EOPNOTSUPP;
            Span<byte> bits = stackalloc byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32LittleEndian(bits, _endpoint.IcmpFilter);
            value[..Math.Min(value.Length, bits.Length)].CopyTo(bits);
            _endpoint.IcmpFilter = BinaryPrimitives.ReadUInt32LittleEndian(bits);
            return Errno.None;
        }

        if (level == SOL.ICMPV6 && IsV6 && name == IcmpFilter)
        {
            if (Type != SocketType.Raw || Protocol != IPPROTO.ICMPV6)
                return Errno.EOPNOTSUPP;
            Span<uint> words = _endpoint.Icmpv6Filter;
            value[..Math.Min(value.Length, Icmpv6FilterSize)].CopyTo(MemoryMarshal.AsBytes(words));
            return Errno.None;
        }

        // RFC 3542 names the checksum option at this level as well, where (as ping knows) it may be set for ICMPv6.
        if (level == SOL.RAW && IsV6 && Type == SocketType.Raw && name == IPV6.CHECKSUM && value.Length >= sizeof(int))
        {
            int offset = BitConverter.ToInt32(value);
            if (offset > 0 && (offset & 1) != 0)
                return Errno.EINVAL;
            _endpoint.ChecksumOffset = Math.Max(offset, -1);
            return Errno.None;
        }

        return base.SetOption(task, level, name, value);
    }

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given)
    {
        if (level == SOL.RAW && !IsV6 && name == IcmpFilter)
            return Type == SocketType.Raw && Protocol == IPPROTO.ICMP ? BitConverter.GetBytes(_endpoint.IcmpFilter) : Errno.EOPNOTSUPP;
        if (level == SOL.ICMPV6 && IsV6 && name == IcmpFilter)
            return Type == SocketType.Raw && Protocol == IPPROTO.ICMPV6 ? MemoryMarshal.AsBytes<uint>(_endpoint.Icmpv6Filter).ToArray() : Errno.EOPNOTSUPP;
        if (level == SOL.RAW && IsV6 && Type == SocketType.Raw && name == IPV6.CHECKSUM)
            level = SOL.IPV6;
        return base.GetOption(task, level, name, given);
    }
}
