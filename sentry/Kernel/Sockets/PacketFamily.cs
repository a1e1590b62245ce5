using System.Buffers.Binary;
using Netstack.Stack;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>AF_PACKET (packet(7)).</summary>
internal sealed class PacketFamily : SocketFamily
{
    public override int Domain => AF.Packet;

    public override Result<SocketFile> Create(Task task, int type, int protocol, OpenFlags status)
    {
        if (!task.HasOverNetwork(Capability.CAP_NET_RAW))
            return Errno.EPERM;
        if (type is not (SocketType.Raw or SocketType.Datagram))
            return Errno.ESOCKTNOSUPPORT;

        // The protocol is given in network order.
        ushort etherType = BinaryPrimitives.ReverseEndianness((ushort)protocol);
        var options = new EndpointOptions { OwnerUid = task.Credentials.FsUid };
        using StackCall call = task.Network.Enter();
        return new PacketSocket(task, type, protocol, task.Network.Stack.Raw.CreatePacket(etherType, type == SocketType.Datagram, options), status);
    }
}

/// <summary>struct sockaddr_ll of packet(7).</summary>
internal readonly record struct LinkAddress(ushort Protocol, int InterfaceIndex, ushort HardwareType, byte PacketType, byte AddressLength, MacAddress Address)
{
    internal const int Size = 20, ShortSize = 12;
    private const int AddressOffset = 12;

    internal static bool TryRead(ReadOnlySpan<byte> bytes, out LinkAddress address)
    {
        address = default;
        if (bytes.Length < Size || BinaryPrimitives.ReadUInt16LittleEndian(bytes) != AF.Packet)
            return false;
        byte length = bytes[11];
        address = new LinkAddress(BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]), bytes[10], length,
            MacAddress.FromBytes(bytes[AddressOffset..]));
        return true;
    }

    /// <summary>All of the struct; <see cref="AddressLength"/> says how much of it counts.</summary>
    internal byte[] Format()
    {
        byte[] bytes = new byte[Size];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, AF.Packet);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), Protocol);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), InterfaceIndex);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), HardwareType);
        bytes[10] = PacketType;
        bytes[11] = AddressLength;
        if (AddressLength > 0)
            Address.WriteTo(bytes.AsSpan(AddressOffset));
        return bytes;
    }

    /// <summary>Where a received frame came from.</summary>
    internal static LinkAddress Of(Datagram frame, NetworkStack stack)
    {
        ushort kind = (ushort)(stack.FindInterface(frame.InterfaceIndex)?.Kind ?? InterfaceKind.Loopback);
        return new LinkAddress(frame.Protocol, frame.InterfaceIndex, kind, (byte)frame.PacketType, 6, frame.LinkAddress);
    }
}
