using System.Buffers.Binary;
using Netstack.Stack;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>What requests of rtnetlink have in common.</summary>
internal static class RouteRequests
{
    /// <summary>The stack that a request is about.</summary>
    internal static NetworkStack Stack(this NetlinkRequest request) => request.Task.Network.Stack;

    /// <summary>The address family, the first byte of every request.</summary>
    internal static byte Family(this NetlinkRequest request) => request.Body[0];

    internal static int Int32(this NetlinkRequest request, int offset) => BinaryPrimitives.ReadInt32LittleEndian(request.Body[offset..]);

    internal static uint UInt32(this NetlinkRequest request, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(request.Body[offset..]);

    /// <summary>Reads the attributes behind a fixed part; EINVAL when that is not whole.</summary>
    internal static Errno Parse(this NetlinkRequest request, int headerSize, AttributePolicy policy, bool strict, out AttributeTable attributes)
    {
        int start = Math.Min(NetlinkLayout.Header + NetlinkLayout.Align(headerSize), request.Bytes.Length);
        Errno error = AttributeTable.Parse(request, start, request.Bytes.Length, policy, strict, out attributes);
        return request.Body.Length < headerSize ? Errno.EINVAL : error;
    }

    /// <summary>How a NEW request treats what is there already, of its NLM_F_*.</summary>
    internal static RouteAddMode AddMode(this NetlinkRequest request) =>
        (request.Has(NetlinkFlags.Create) ? RouteAddMode.Create : 0) | (request.Has(NetlinkFlags.Exclusive) ? RouteAddMode.Exclusive : 0) |
        (request.Has(NetlinkFlags.Replace) ? RouteAddMode.Replace : 0) | (request.Has(NetlinkFlags.Append) ? RouteAddMode.Append : 0);

    /// <summary>Hundredths of a second, as struct ifa_cacheinfo and nda_cacheinfo count.</summary>
    internal static uint Centiseconds(long nanoseconds) => (uint)(nanoseconds / 10_000_000);
}
