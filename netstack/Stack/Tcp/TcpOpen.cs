namespace Netstack.Stack;

/// <summary>Calls that bind, open and undo: bind(2), listen(2), connect(2), shutdown(2).</summary>
internal static class TcpOpen
{
    public static Errno Bind(TcpEndpoint e, InetAddress address, ushort port)
    {
        if (e.State != TcpState.Closed || e.Binding is not null)
            return Errno.EINVAL;
        if (!address.IsAny && !IsUsable(e, address))
            return Errno.EADDRNOTAVAIL;
        Errno error = e.Layer.Ports.Bind(e, address, port);
        if (error == Errno.None)
            e.LocalAddress = address;
        return error;
    }

    public static Errno Listen(TcpEndpoint e, int backlog)
    {
        if (e.State is not (TcpState.Closed or TcpState.Listen))
            return Errno.EINVAL;
        backlog = (int)Math.Min((uint)backlog, (uint)e.Stack.Settings.MaxBacklog);
        if (e.State == TcpState.Listen)
        {
            e.Listener!.Backlog = backlog;
            return Errno.None;
        }

        if (e.Binding is null)
        {
            Errno error = Bind(e, e.BoundAddress, 0);
            if (error != Errno.None)
                return error;
        }
        else if (e.Layer.Ports.CheckListen(e) != Errno.None)
        {
            return Errno.EADDRINUSE;
        }

        e.Reset();
        e.LocalAddress = e.BoundAddress;
        e.RemoteAddress = e.IsV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        e.RemotePort = 0;
        e.Listener = new TcpListener { Backlog = backlog };
        e.State = TcpState.Listen;
        return Errno.None;
    }

    public static Errno Connect(TcpEndpoint e, InetAddress address, ushort port, int scope)
    {
        if (e.State is TcpState.SynSent or TcpState.SynReceived)
            return Errno.EALREADY;
        if (e.State != TcpState.Closed)
            return Errno.EISCONN;
        InetAddress bound = e.BoundAddress;
        address = IpLayer.EffectiveDestination(address, bound);
        if (address.IsMulticast || address.IsBroadcast)
            return Errno.ENETUNREACH;
        if (!bound.IsAny && bound.IsV4 != address.IsV4)
            return bound.IsV4 ? Errno.EINVAL : Errno.ENETUNREACH;
        e.Reset();
        e.ScopeInterface = address.IsLinkLocal ? scope : 0;
        if (address.IsV6 && address.IsLinkLocal && e.BoundInterface == 0)
            return Errno.EINVAL;
        Result<Route> route = e.Stack.Ip.FindRoute(address, bound, e.BoundInterface);
        if (route.IsError)
            return route.Error;
        if (route.Value.Type is RouteType.Broadcast or RouteType.Multicast)
            return Errno.ENETUNREACH;
        e.RemoteAddress = address;
        e.RemotePort = port;
        e.LocalAddress = bound.IsAny ? route.Value.Source : bound;
        Errno error = TakePort(e);
        if (error != Errno.None || !e.TryRoute(out error))
            return error;
        if (e.Snd.WriteSeq == 0)
            e.Snd.WriteSeq = TcpHashes.InitialSequence(e.Stack, e.LocalAddress, e.LocalPort, e.RemoteAddress, e.RemotePort);
        e.Ext.Offset = TcpHashes.TimestampOffset(e.Stack, e.LocalAddress, e.RemoteAddress);
        e.State = TcpState.SynSent;
        e.Layer.Add(e);
        return TcpSynSent.Start(e);
    }

    public static Errno Disconnect(TcpEndpoint e)
    {
        switch (e.State)
        {
            case TcpState.Closed:
                break;
            case TcpState.Listen:
                e.State = TcpState.Closed;
                TcpListen.Stop(e);
                break;
            default:
                bool tell = e.State is not (TcpState.Closing or TcpState.LastAck or TcpState.TimeWait) || e.Snd.Nxt != e.Snd.WriteSeq;
                TcpClose.Abort(e);
                if (tell)
                    e.SetError(Errno.ECONNRESET);
                break;
        }

        if (e.ReceiveQueue is not null)
            e.Layer.FreeReceiveQueue(e);
        e.Reset();
        e.LocalAddress = e.BoundAddress;
        if (e.Binding is null)
            e.LocalPort = 0;
        e.RemoteAddress = e.IsV6 ? InetAddress.AnyV6 : InetAddress.AnyV4;
        e.RemotePort = 0;
        e.ForgetRoute();
        return Errno.None;
    }

    public static Errno ShutDown(TcpEndpoint e, bool receive, bool send)
    {
        TcpShutdown how = (receive ? TcpShutdown.Receive : TcpShutdown.None) | (send ? TcpShutdown.Send : TcpShutdown.None);
        switch (e.State)
        {
            case TcpState.Closed:
                e.Shut |= how;
                return Errno.ENOTCONN;
            case TcpState.Listen when !receive:
                return Errno.None;
            case TcpState.Listen or TcpState.SynSent:
                Disconnect(e);
                e.TakeError();
                break;
            default:
                e.Shut |= how;
                if (send && e.State is TcpState.Established or TcpState.CloseWait)
                    TcpClose.ShutdownSend(e);
                break;
        }

        e.Notify(EndpointEvents.In | EndpointEvents.Out | EndpointEvents.Hup | EndpointEvents.RdHup);
        return Errno.None;
    }

    private static bool IsUsable(TcpEndpoint e, InetAddress address)
    {
        if (address.IsMulticast || e.Stack.Ip.IsBroadcast(address))
            return false;
        StackSettings settings = e.Stack.Settings;
        return e.Options.FreeBind || e.Options.Transparent || (address.IsV4 ? settings.NonlocalBind : settings.NonlocalBindV6) || e.Stack.Ip.IsLocal(address);
    }

    /// <summary>Finds a port with which the connection is unique; TIME-WAIT of an earlier one gives way where timestamps make that safe.</summary>
    private static Errno TakePort(TcpEndpoint e)
    {
        if (e.Binding is not null)
            return IsFree(e, e.LocalPort) ? Errno.None : Errno.EADDRNOTAVAIL;
        ushort port = e.Layer.Ports.ChooseForConnect(e, candidate => IsFree(e, candidate));
        if (port == 0)
            return Errno.EADDRNOTAVAIL;
        e.LocalPort = port;
        return Errno.None;
    }

    private static bool IsFree(TcpEndpoint e, ushort port)
    {
        var tuple = new TcpTuple(e.LocalAddress, port, e.RemoteAddress, e.RemotePort);
        if (e.Layer.Find(in tuple) is not null || e.Layer.FindRequest(in tuple) is not null)
            return false;
        if (e.Layer.FindWaiting(in tuple) is not { } waiting)
            return true;
        if (!waiting.MayReuse(e.Binding is not null, out uint sequence, out uint recent, out long recentAt))
            return false;
        waiting.Kill();
        e.Snd.WriteSeq = sequence;
        e.Ext.Recent = recent;
        e.Ext.RecentAt = recentAt;
        return true;
    }
}
