using System.Buffers.Binary;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETSTATS, and the counters of links.</summary>
internal static class StatisticsMessages
{
    /// <summary>struct if_stats_msg.</summary>
    private const int HeaderSize = 12;

    private const int Link64 = 1;
    private const int Counters64 = 25, Counters32 = 24;

    private static readonly AttributePolicy Policy = new(1);

    internal static Errno Get(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out _);
        if (error != Errno.None)
            return error;
        if (request.Int32(4) <= 0)
            return Errno.EINVAL;
        if (request.Stack().FindInterface(request.Int32(4)) is not { } link)
            return Errno.ENODEV;
        uint filter = request.UInt32(8);
        if (filter == 0)
            return Errno.EINVAL;
        request.Reply(Describe(request.Answer(RouteMessage.NewStatistics), link, filter));
        return Errno.None;
    }

    internal static Errno Dump(NetlinkRequest request)
    {
        Errno error = request.Parse(HeaderSize, Policy, strict: false, out _);
        if (error != Errno.None)
            return error;
        uint filter = request.UInt32(8);
        if (filter == 0)
            return request.Refuse(Errno.EINVAL, "Filter mask must be set for stats dump");
        return request.Dump([.. request.Stack().Interfaces.Select(l => Describe(request.Answer(RouteMessage.NewStatistics, NetlinkFlags.Multi), l, filter).ToArray())]);
    }

    private static NetlinkWriter Describe(NetlinkWriter writer, NetworkInterface link, uint filter)
    {
        Span<byte> header = writer.Reserve(HeaderSize);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], link.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], filter);
        if ((filter & 1 << (Link64 - 1)) != 0)
            Put64(writer, Link64, link.Counters);
        return writer;
    }

    /// <summary>struct rtnl_link_stats64.</summary>
    internal static void Put64(NetlinkWriter writer, int type, InterfaceCounters counters)
    {
        Span<byte> bytes = writer.Put(type, 8 * Counters64);
        ReadOnlySpan<ulong> values = Values(counters);
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[(8 * i)..], values[i]);
    }

    /// <summary>struct rtnl_link_stats.</summary>
    internal static void Put32(NetlinkWriter writer, int type, InterfaceCounters counters)
    {
        Span<byte> bytes = writer.Put(type, 4 * Counters32);
        ReadOnlySpan<ulong> values = Values(counters);
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(4 * i)..], (uint)values[i]);
    }

    private static ulong[] Values(InterfaceCounters c) =>
        [c.ReceivedPackets, c.SentPackets, c.ReceivedBytes, c.SentBytes, c.ReceiveErrors, c.SendErrors, c.ReceiveDropped, c.SendDropped, c.Multicast];
}
