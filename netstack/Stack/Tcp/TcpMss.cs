namespace Netstack.Stack;

/// <summary>Segment sizes: from path MTU, MSS option, TCP_MAXSEG and the peer's window (RFC 9293 section 3.7, RFC 6691, RFC 8201).</summary>
internal static class TcpMss
{
    /// <summary>What a route lets this side announce: its interface's MTU less headers.</summary>
    public static int OfRoute(in Route route, InetAddress remote) => Math.Clamp(route.Interface.Mtu - HeadersOf(remote), TcpConstants.MinMss, 65535 - 40);

    /// <summary>What is announced in a SYN.</summary>
    public static int Advertised(TcpEndpoint e)
    {
        int mss = e.Snd.AdvertisedMss;
        return e.TcpOptions.MaxSegment > 0 ? Math.Min(mss, e.TcpOptions.MaxSegment) : mss;
    }

    /// <summary>Payload of a segment that fills a packet of <paramref name="mtu"/> bytes, with timestamps when they are in use.</summary>
    public static int OfMtu(TcpEndpoint e, int mtu)
    {
        int mss = Math.Min(mtu - HeadersOf(e.RemoteAddress), e.Snd.MssClamp);
        return Math.Max(mss, TcpConstants.MinSendMss) - (e.Ext.Timestamps ? TcpHeaderOptions.TimestampLength : 0);
    }

    /// <summary>Computes the segment size anew for a path MTU.</summary>
    public static int Synchronize(TcpEndpoint e, int mtu)
    {
        int mss = BoundToHalfWindow(e, OfMtu(e, mtu));
        e.Snd.PathMtu = mtu;
        if (e.Probing is { SearchLow: > 0 } probing)
            mss = Math.Min(mss, OfMtu(e, probing.SearchLow));
        e.Snd.Mss = mss;
        return mss;
    }

    /// <summary>The segment size now: asks the path, and leaves room for the blocks of a selective acknowledgment.</summary>
    public static int Current(TcpEndpoint e)
    {
        int mss = e.Snd.Mss;
        if (e.TryRoute(out _))
        {
            int mtu = PathMtu(e);
            if (mtu != e.Snd.PathMtu)
                mss = Synchronize(e, mtu);
        }

        if (e.Reassembly is not null)
            mss -= TcpTransmit.HeaderLength(e) - TcpHeader.MinLength - (e.Ext.Timestamps ? TcpHeaderOptions.TimestampLength : 0);
        return mss;
    }

    /// <summary>Bytes of an IP packet that reach the peer, as far as is known; the route is looked up anew when that changes.</summary>
    public static int PathMtu(TcpEndpoint e)
    {
        PathMtuMode mode = e.RemoteAddress.IsV4 ? e.Options.PathMtu : e.Options.PathMtuV6;
        return mode is PathMtuMode.Probe or PathMtuMode.Interface or PathMtuMode.Omit ? e.Route.Interface.Mtu : e.Route.Mtu;
    }

    /// <summary>Payload that is written into one segment before the next is begun: up to 64 KiB in whole segments of the wire.</summary>
    public static int SizeGoal(TcpEndpoint e, int mss, bool urgent)
    {
        if (urgent)
            return mss;
        int goal = BoundToHalfWindow(e, TcpConstants.MaxSegmentedPayload);
        return Math.Max(goal / mss * mss, mss);
    }

    /// <summary>Guesses the peer's segment size before it has sent any.</summary>
    public static void InitializeReceive(TcpEndpoint e)
    {
        int hint = Math.Min(e.Snd.AdvertisedMss, e.Snd.Mss);
        hint = (int)Math.Min(hint, e.Rcv.Window / 2);
        e.Ack.Mss = (ushort)Math.Max(Math.Min(hint, TcpConstants.DefaultMss), TcpConstants.MinMss);
    }

    public static int HeadersOf(InetAddress remote) => (remote.IsV4 ? 20 : 40) + TcpHeader.MinLength;

    /// <summary>Never more than half of what the peer has ever offered: a whole window in one segment would wait for its acknowledgment.</summary>
    private static int BoundToHalfWindow(TcpEndpoint e, int size)
    {
        uint cutoff = e.Snd.MaxWindow > TcpConstants.DefaultMss ? e.Snd.MaxWindow >> 1 : e.Snd.MaxWindow;
        return cutoff != 0 && size > cutoff ? (int)Math.Max(cutoff, 68 - TcpHeader.MinLength) : size;
    }
}
