using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets;

/// <summary>SIOCGSTAMP and SIOCGSTAMPNS: when the last packet came that was given to the user (socket(7)). Who asks for the first time is told ENOENT, and has packets
/// noted from then on; those whose time is told in ancillary data are not.</summary>
internal static class SocketStamps
{
    private const long Wanted = -1;

    /// <summary>SOF_TIMESTAMPING_RX_SOFTWARE.</summary>
    private const int ReceivedSoftware = 1 << 3;

    /// <summary>A packet is given to the user.</summary>
    internal static void Note(SocketFile socket, ref long stamp, long realtime)
    {
        if (stamp == 0 || (socket.Timestamping & ReceivedSoftware) != 0)
            return;
        foreach (int option in (ReadOnlySpan<int>)[SO.TIMESTAMP_OLD, SO.TIMESTAMPNS_OLD, SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW])
        {
            if (socket.HasOption(option))
                return;
        }

        stamp = realtime;
    }

    /// <param name="stamp">ns since 1970.</param>
    internal static SyscallResult Answer(Task caller, ref long stamp, uint request, ulong argument)
    {
        if (stamp <= 0)
        {
            stamp = Wanted;
            return Errno.ENOENT;
        }

        bool nanoseconds = request is SIOC.GSTAMPNS_OLD or SIOC.GSTAMPNS_NEW;
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, stamp / 1_000_000_000);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], nanoseconds ? stamp % 1_000_000_000 : stamp % 1_000_000_000 / 1000);
        return caller.Memory.TryWriteAll(argument, bytes) ? SyscallResult.Ok : Errno.EFAULT;
    }
}
