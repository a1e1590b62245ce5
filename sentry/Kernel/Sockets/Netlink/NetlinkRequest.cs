using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink;

/// <summary>One message that a program sent to the kernel, on its way through a protocol, and what is to be said about it.</summary>
internal sealed class NetlinkRequest
{
    internal NetlinkRequest(Task task, NetlinkSocket socket, byte[] bytes)
    {
        Task = task;
        Socket = socket;
        Bytes = bytes;
    }

    internal Task Task { get; }

    internal NetlinkSocket Socket { get; }

    internal GuestKernel Kernel => Task.Kernel;

    /// <summary>The whole message, header first.</summary>
    internal byte[] Bytes { get; }

    internal ushort Type => BinaryPrimitives.ReadUInt16LittleEndian(Bytes.AsSpan(4));

    internal ushort Flags => BinaryPrimitives.ReadUInt16LittleEndian(Bytes.AsSpan(6));

    internal uint Sequence => BinaryPrimitives.ReadUInt32LittleEndian(Bytes.AsSpan(8));

    internal bool Has(ushort flag) => (Flags & flag) != 0;

    /// <summary>What follows the header.</summary>
    internal ReadOnlySpan<byte> Body => Bytes.AsSpan(NetlinkLayout.Header);

    /// <summary>NETLINK_GET_STRICT_CHK: GET requests are checked in full.</summary>
    internal bool IsStrict => Socket.ChecksStrictly;

    /// <summary>Whether who asks may change the network: now, and when the socket was opened (netlink_net_capable).</summary>
    internal bool MayConfigure => Task.Credentials.HasIn(Task.Network.Owner, Capability.CAP_NET_ADMIN) && Socket.Opener.HasIn(Task.Network.Owner, Capability.CAP_NET_ADMIN);

    // ---- the extended acknowledgement ----------------------------------------------------------------------------

    /// <summary>Why it was refused (NLMSGERR_ATTR_MSG).</summary>
    internal string? Message { get; private set; }

    /// <summary>The attribute that is to blame (NLMSGERR_ATTR_OFFS); -1 for none.</summary>
    internal int BadOffset { get; private set; } = -1;

    /// <summary>The attribute that is missing (NLMSGERR_ATTR_MISS_TYPE); 0 for none.</summary>
    internal int MissingType { get; private set; }

    /// <summary>A dump has begun: there is no acknowledgement.</summary>
    internal bool StartedDump { get; private set; }

    /// <summary>Refuses, saying why.</summary>
    internal Errno Refuse(Errno error, string message, int badOffset = -1)
    {
        Message = message;
        if (badOffset >= 0)
            BadOffset = badOffset;
        return error;
    }

    /// <summary>Refuses because an attribute is not there.</summary>
    internal Errno RefuseMissing(Errno error, string? message, int type)
    {
        Message = message;
        MissingType = type;
        return error;
    }

    // ---- answers -------------------------------------------------------------------------------------------------

    /// <summary>Begins an answer to this request.</summary>
    internal NetlinkWriter Answer(ushort type, ushort flags = 0) => new(type, flags, Sequence, Socket.Port);

    /// <summary>Sends one message to who asked.</summary>
    internal void Reply(NetlinkWriter message) => Socket.DeliverFromKernel(message.ToArray());

    /// <summary>Answers with a list that is handed out as the receiver reads (NLM_F_DUMP). EBUSY while another list is.</summary>
    /// <param name="messages">Flags and sequence are filled in.</param>
    /// <param name="minimumSize">What the longest message may need; 0 for the usual.</param>
    /// <param name="error">What the end of the list says.</param>
    /// <param name="filtered">Not all is in the list, as was asked (NLM_F_DUMP_FILTERED).</param>
    /// <param name="apart">The end comes in a datagram of its own, as it always did for lists that programs read so.</param>
    internal Errno Dump(List<byte[]> messages, int minimumSize = 0, Errno error = Errno.None, bool filtered = false, bool apart = false)
    {
        if (Socket.IsDumping)
            return Errno.EBUSY;
        StartedDump = true;
        NetlinkWriter done = Answer(MessageType.Done, (ushort)(NetlinkFlags.Multi | (filtered ? NetlinkFlags.DumpFiltered : 0)));
        System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(done.Reserve(sizeof(int)), -(int)error);
        Socket.StartDump(new NetlinkDump(messages, done.ToArray(), minimumSize, apart));
        return Errno.None;
    }
}
