using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink.Diagnosis;

/// <summary>NETLINK_SOCK_DIAG (sock_diag(7)): tells of sockets, for ss(8).</summary>
internal sealed class DiagnosisProtocol : NetlinkProtocol
{
    internal const ushort ByFamily = 20, Destroy = 21;

    /// <summary>Of a cookie in a request: any.</summary>
    internal const ulong NoCookie = ulong.MaxValue;

    internal override int Number => NetlinkProtocols.SocketDiagnosis;

    internal override int GroupCount => 32;

    internal override bool AnyoneMayListen => true;

    internal override Errno Handle(NetlinkRequest request)
    {
        if (request.Type == Destroy)
            return request.MayConfigure ? Errno.EOPNOTSUPP : Errno.EPERM;
        if (request.Type != ByFamily || request.Body.Length < 2)
            return Errno.EINVAL;
        return request.Body[0] switch
        {
            AF.Unix => UnixDiagnosis.Handle(request),
            AF.Inet or AF.Inet6 => InetDiagnosis.Handle(request),
            AF.Netlink => NetlinkDiagnosis.Handle(request),
            AF.Packet => PacketDiagnosis.Handle(request),
            _ => Errno.ENOENT,
        };
    }

    /// <summary>Whether a request for one socket means this one: ESTALE when its cookie is another's.</summary>
    internal static Errno CheckCookie(ulong inode, ulong cookie) => cookie == NoCookie || cookie == inode ? Errno.None : Errno.ESTALE;

    /// <summary>SK_MEMINFO_*: nine numbers.</summary>
    internal static void PutMemory(NetlinkWriter writer, int type, in SocketMemory memory)
    {
        Span<byte> numbers = writer.Put(type, 36);
        int[] values = [memory.Received, memory.ReceiveBuffer, memory.Sent, memory.SendBuffer, 0, memory.Queued, 0, 0, memory.Drops];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteInt32LittleEndian(numbers[(4 * i)..], values[i]);
    }
}

/// <summary>What a socket's queues hold, in bytes as Linux counts them.</summary>
internal readonly record struct SocketMemory(int Received, int ReceiveBuffer, int Sent, int SendBuffer, int Queued, int Drops);
