using System.Buffers.Binary;
using System.Text;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>SIOCETHTOOL: the little of linux/ethtool.h that programs ask virtual interfaces for.</summary>
internal static class EthtoolRequests
{
    private const uint DriverInfo = 3, Link = 0xA, ReceiveChecksum = 0x14, SendChecksum = 0x16, ScatterGather = 0x18, Segmentation = 0x1E, GenericSegmentation = 0x23, GenericReceive = 0x2B;
    private const int DriverInfoSize = 196, NameSize = 32;

    internal static Errno Answer(Task caller, NetworkInterface link, ulong address)
    {
        if (!caller.TryRead(address, out uint command))
            return Errno.EFAULT;
        switch (command)
        {
            case DriverInfo:
                byte[] info = new byte[DriverInfoSize];
                BinaryPrimitives.WriteUInt32LittleEndian(info, command);
                Encoding.ASCII.GetBytes(link.IsLoopback ? "loopback" : "netstack", info.AsSpan(4));
                Encoding.ASCII.GetBytes("1.0", info.AsSpan(4 + NameSize));
                return caller.Memory.TryWriteAll(address, info) ? Errno.None : Errno.EFAULT;
            case Link:
                return Put(caller, address, link.IsRunning);
            case ReceiveChecksum or SendChecksum:
                return Put(caller, address, link.OffloadsChecksum);
            case Segmentation or GenericSegmentation or GenericReceive:
                return Put(caller, address, link.MaxSegmentedLength > 0);
            case ScatterGather:
                return Put(caller, address, true);
            default:
                return Errno.EOPNOTSUPP;
        }
    }

    /// <summary>struct ethtool_value.</summary>
    private static Errno Put(Task caller, ulong address, bool value) => caller.TryWrite(address + sizeof(uint), value ? 1u : 0u) ? Errno.None : Errno.EFAULT;
}
