using System.Buffers.Binary;

namespace Sentry.Kernel.Sockets.Netlink.Routing;

/// <summary>RTM_GETRULE.</summary>
internal static class RuleMessages
{
    internal static Errno Dump(NetlinkRequest request) => request.Dump([]);
}
