using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>The options at level SOL_NETLINK (netlink(7)).</summary>
[Savable("netlink-options")]
internal sealed partial class NetlinkOptions
{
    public const int Level = 270;

    public const int AddMembership = 1, DropMembership = 2, PacketInfo = 3, BroadcastError = 4, NoEnobufs = 5, ListenAllNamespaces = 8, ListMemberships = 9, CapAck = 10,
        ExtendedAck = 11, StrictCheck = 12;

    [Saved(1)] private uint _flags;

    internal NetlinkOptions()
    {
    }

    /// <summary>Whether a boolean option (its NETLINK_* number) is on.</summary>
    internal bool Has(int option) => (_flags >> option & 1) != 0;

    internal Errno Set(Task task, NetlinkSocket socket, int name, ReadOnlySpan<byte> value)
    {
        int number = value.Length >= sizeof(int) ? BinaryPrimitives.ReadInt32LittleEndian(value) : 0;
        switch (name)
        {
            case AddMembership or DropMembership:
                return socket.SetMembership(task, number, name == AddMembership);
            case ListenAllNamespaces when !task.Credentials.Has(Capability.CAP_NET_BROADCAST):
                return Errno.EPERM;
            case PacketInfo or BroadcastError or NoEnobufs or ListenAllNamespaces or CapAck or ExtendedAck or StrictCheck:
                _flags = number != 0 ? _flags | 1u << name : _flags & ~(1u << name);
                return Errno.None;
            default:
                return Errno.ENOPROTOOPT;
        }
    }

    internal Result<byte[]> Get(NetlinkSocket socket, int name)
    {
        switch (name)
        {
            case PacketInfo or BroadcastError or NoEnobufs or CapAck or ExtendedAck or StrictCheck:
                return BitConverter.GetBytes(Has(name) ? 1 : 0);
            case ListMemberships:
                var groups = new byte[Math.Max(sizeof(ulong), (NetlinkProtocol.Find(socket.Protocol)!.GroupCount + 63) / 64 * sizeof(ulong))];
                for (int i = 0; i < socket.Groups.Length; i++)
                    BinaryPrimitives.WriteUInt64LittleEndian(groups.AsSpan(i * sizeof(ulong)), socket.Groups[i]);
                return groups;
            default:
                return Errno.ENOPROTOOPT;
        }
    }
}
