namespace Netstack.Stack;

/// <summary>Half-open connections and TIME-WAIT as endpoints, to be looked at by /proc/net/tcp and sock_diag(7).</summary>
internal static class TcpViews
{
    public static TcpEndpoint Of(TcpRequest request)
    {
        TcpEndpoint listener = request.Listener;
        return new TcpEndpoint(listener.Stack, listener.IsV6, listener.Options, listener.TcpOptions, TcpCongestionKind.Cubic)
        {
            State = TcpState.SynReceived,
            LocalAddress = request.Tuple.Local,
            LocalPort = request.Tuple.LocalPort,
            RemoteAddress = request.Tuple.Remote,
            RemotePort = request.Tuple.RemotePort,
            SendTimer = TcpSendTimer.Retransmit,
            SendDeadline = request.Deadline,
            Retransmits = (byte)Math.Min(request.Timeouts, byte.MaxValue),
        };
    }

    public static TcpEndpoint Of(TcpTimeWait waiting) => new(waiting.Stack, waiting.IsV6, new EndpointOptions { OwnerUid = waiting.User.OwnerUid }, waiting.Stack.Tcp.OptionsCache.Default, TcpCongestionKind.Cubic)
    {
        State = waiting.State,
        LocalAddress = waiting.Tuple.Local,
        LocalPort = waiting.LocalPort,
        RemoteAddress = waiting.Tuple.Remote,
        RemotePort = waiting.Tuple.RemotePort,
        KeepDeadline = waiting.Deadline,
        IsOrphan = true,
    };
}
