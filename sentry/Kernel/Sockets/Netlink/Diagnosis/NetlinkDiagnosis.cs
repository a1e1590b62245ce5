using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>netlink_diag: sockets of AF_NETLINK themselves.</summary>
internal static class NetlinkDiagnosis
{
    private const int RequestSize = 20, MessageSize = 28;
    private const byte AllProtocols = 0xff;
    private const int Memory = 0, Groups = 1, Flags = 4;
    private const uint ShowMemory = 1, ShowGroups = 2, ShowFlags = 8;

    internal static Errno Handle(NetlinkRequest request)
    {
        ReadOnlySpan<byte> body = request.Body;
        if (body.Length < RequestSize)
            return Errno.EINVAL;
        if (!request.Has(NetlinkFlags.Dump))
            return Errno.EOPNOTSUPP;
        byte protocol = body[1];
        if (protocol != AllProtocols && protocol >= NetlinkProtocols.Max)
            return Errno.ENOENT;
        uint show = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]);
        List<byte[]> found = [];
        foreach (NetlinkProtocol kernel in NetlinkProtocol.WithKernel)
        {
            if (protocol == AllProtocols || protocol == kernel.Number)
                found.Add(Begin(request, SocketType.Raw, kernel.Number, null).ToArray());
        }

        foreach (NetlinkSocket socket in request.Task.Network.Netlink.Sockets)
        {
            if (protocol == AllProtocols || protocol == socket.Protocol)
                found.Add(Describe(request, socket, show));
        }

        return request.Dump(found);
    }

    private static byte[] Describe(NetlinkRequest request, NetlinkSocket socket, uint show)
    {
        NetlinkWriter writer = Begin(request, socket.Type, socket.Protocol, socket);
        if ((show & ShowMemory) != 0)
            DiagnosisProtocol.PutMemory(writer, Memory, new SocketMemory(socket.QueuedBytes, socket.Options.ReceiveBuffer, 0, socket.Options.SendBuffer, 0, socket.Drops));
        if ((show & ShowGroups) != 0)
        {
            Span<byte> groups = writer.Put(Groups, 8 * socket.Groups.Length);
            for (int i = 0; i < socket.Groups.Length; i++)
                BinaryPrimitives.WriteUInt64LittleEndian(groups[(8 * i)..], socket.Groups[i]);
        }

        if ((show & ShowFlags) != 0)
            writer.PutUInt32(Flags, FlagsOf(socket));
        return writer.ToArray();
    }

    /// <summary>struct netlink_diag_msg; the kernel's own end has port 0 and no socket.</summary>
    private static NetlinkWriter Begin(NetlinkRequest request, int type, int protocol, NetlinkSocket? socket)
    {
        NetlinkWriter writer = request.Answer(DiagnosisProtocol.ByFamily, NetlinkFlags.Multi);
        Span<byte> message = writer.Reserve(MessageSize);
        message[0] = AF.Netlink;
        message[1] = (byte)type;
        message[2] = (byte)protocol;
        if (socket is null)
            return writer;
        message[3] = (byte)(socket.IsConnected ? 1 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(message[4..], socket.Port);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], socket.PeerPort);
        BinaryPrimitives.WriteInt32LittleEndian(message[12..], socket.PeerGroup);
        BinaryPrimitives.WriteUInt32LittleEndian(message[16..], (uint)socket.Inode);
        BinaryPrimitives.WriteUInt64LittleEndian(message[20..], socket.Inode);
        return writer;
    }

    /// <summary>NDIAG_FLAG_*.</summary>
    private static uint FlagsOf(NetlinkSocket socket)
    {
        uint flags = socket.IsDumping ? 1u : 0;
        (int Option, uint Flag)[] names = [(NetlinkOptions.PacketInfo, 2), (NetlinkOptions.BroadcastError, 4), (NetlinkOptions.NoEnobufs, 8),
            (NetlinkOptions.ListenAllNamespaces, 0x10), (NetlinkOptions.CapAck, 0x20)];
        foreach ((int option, uint flag) in names)
            flags |= socket.Settings.Has(option) ? flag : 0;
        return flags;
    }
}
