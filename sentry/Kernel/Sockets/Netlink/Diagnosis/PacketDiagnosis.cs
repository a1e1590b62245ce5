using System.Buffers.Binary;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>packet_diag: sockets of AF_PACKET.</summary>
internal static class PacketDiagnosis
{
    private const int RequestSize = 20, MessageSize = 16;
    private const int Info = 0, Owner = 5, Memory = 6;
    private const uint ShowInfo = 1, ShowMemory = 0x10;

    internal static Errno Handle(NetlinkRequest request)
    {
        ReadOnlySpan<byte> body = request.Body;
        if (body.Length < RequestSize || body[1] != 0)
            return Errno.EINVAL;
        if (!request.Has(NetlinkFlags.Dump))
            return Errno.EOPNOTSUPP;
        uint show = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]);
        List<byte[]> found = [];
        foreach (PacketEndpoint endpoint in request.Task.Network.Stack.Raw.PacketEndpoints)
            found.Add(Describe(request, endpoint, show));
        return request.Dump(found, apart: true);
    }

    private static byte[] Describe(NetlinkRequest request, PacketEndpoint endpoint, uint show)
    {
        NetlinkWriter writer = request.Answer(DiagnosisProtocol.ByFamily, NetlinkFlags.Multi);
        Span<byte> message = writer.Reserve(MessageSize);
        message[0] = AF.Packet;
        message[1] = (byte)(endpoint.IsCooked ? SocketType.Datagram : SocketType.Raw);
        BinaryPrimitives.WriteUInt16LittleEndian(message[2..], endpoint.Protocol);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], (uint)endpoint.Options.SocketInode);
        BinaryPrimitives.WriteUInt64LittleEndian(message[8..], endpoint.Options.SocketInode);
        if ((show & ShowInfo) != 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(writer.Put(Info, 24), endpoint.InterfaceIndex);
            writer.PutUInt32(Owner, endpoint.Options.OwnerUid);
        }

        if ((show & ShowMemory) != 0)
            DiagnosisProtocol.PutMemory(writer, Memory, new SocketMemory(endpoint.QueuedBytes, endpoint.Options.ReceiveBuffer, 0, endpoint.Options.SendBuffer, 0, endpoint.Dropped));
        return writer.ToArray();
    }
}
