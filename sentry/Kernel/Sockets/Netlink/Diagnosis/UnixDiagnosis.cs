using System.Buffers.Binary;
using System.Text;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>unix_diag (sock_diag(7), "UNIX domain sockets").</summary>
internal static class UnixDiagnosis
{
    private const int RequestSize = 24, MessageSize = 16;
    private const int Name = 0, Place = 1, Peer = 2, Waiting = 3, Queues = 4, Memory = 5, ShutdownState = 6, Owner = 7;
    private const uint ShowName = 1, ShowPlace = 2, ShowPeer = 4, ShowWaiting = 8, ShowQueues = 0x10, ShowMemory = 0x20, ShowOwner = 0x40;

    internal static Errno Handle(NetlinkRequest request)
    {
        ReadOnlySpan<byte> body = request.Body;
        if (body.Length < RequestSize)
            return Errno.EINVAL;
        uint states = BinaryPrimitives.ReadUInt32LittleEndian(body[4..]), inode = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]), show = BinaryPrimitives.ReadUInt32LittleEndian(body[12..]);
        ulong cookie = BinaryPrimitives.ReadUInt64LittleEndian(body[16..]);
        if (request.Has(NetlinkFlags.Dump))
        {
            List<byte[]> found = [];
            foreach (SocketFile socket in request.Task.Network.Sockets.Values)
            {
                if (socket is UnixSocket unix && (states >> unix.DiagnosedState & 1) != 0)
                    found.Add(Describe(request, unix, show, NetlinkFlags.Multi).ToArray());
            }

            return request.Dump(found, apart: true);
        }

        if (inode == 0)
            return Errno.EINVAL;
        if (request.Task.Network.Sockets.GetValueOrDefault(inode) is not UnixSocket one)
            return Errno.ENOENT;
        Errno error = DiagnosisProtocol.CheckCookie(one.Inode, cookie);
        if (error == Errno.None)
            request.Reply(Describe(request, one, show, 0));
        return error;
    }

    private static NetlinkWriter Describe(NetlinkRequest request, UnixSocket socket, uint show, ushort flags)
    {
        NetlinkWriter writer = request.Answer(DiagnosisProtocol.ByFamily, flags);
        Span<byte> message = writer.Reserve(MessageSize);
        message[0] = AF.Unix;
        message[1] = (byte)socket.Type;
        message[2] = (byte)socket.DiagnosedState;
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], (uint)socket.Inode);
        BinaryPrimitives.WriteUInt64LittleEndian(message[8..], socket.Inode);
        if ((show & ShowName) != 0 && socket.Name is { } name)
            Encoding.Latin1.GetBytes(name[0] == '\0' ? name : name + "\0", writer.Put(Name, name[0] == '\0' ? name.Length : name.Length + 1));
        if ((show & ShowPlace) != 0 && socket.BoundInode is { } place)
        {
            Span<byte> value = writer.Put(Place, 8);
            BinaryPrimitives.WriteUInt32LittleEndian(value, (uint)place.Number);
            BinaryPrimitives.WriteUInt32LittleEndian(value[4..], (uint)place.FileSystem.Device);
        }

        if ((show & ShowPeer) != 0 && socket.Peer is { } peer)
            writer.PutUInt32(Peer, (uint)peer.Inode);
        if ((show & ShowWaiting) != 0 && socket.IsListening)
            PutWaiting(writer, socket);
        if ((show & ShowQueues) != 0)
        {
            (int receive, int send) = socket.QueueLengths;
            Span<byte> value = writer.Put(Queues, 8);
            BinaryPrimitives.WriteInt32LittleEndian(value, receive);
            BinaryPrimitives.WriteInt32LittleEndian(value[4..], send);
        }

        if ((show & ShowMemory) != 0)
            DiagnosisProtocol.PutMemory(writer, Memory, new SocketMemory(0, socket.Options.ReceiveBuffer, (int)socket.BytesInFlight, socket.Options.SendBuffer, 0, 0));
        writer.PutByte(ShutdownState, (byte)socket.ShutdownMask);
        if ((show & ShowOwner) != 0)
            writer.PutUInt32(Owner, socket.Uid);
        return writer;
    }

    /// <summary>The clients whose connections have not been accepted.</summary>
    private static void PutWaiting(NetlinkWriter writer, UnixSocket socket)
    {
        ulong[] clients = [.. socket.WaitingClients];
        Span<byte> value = writer.Put(Waiting, 4 * clients.Length);
        for (int i = 0; i < clients.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(value[(4 * i)..], (uint)clients[i]);
    }
}
