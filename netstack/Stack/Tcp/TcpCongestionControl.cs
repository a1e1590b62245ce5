namespace Netstack.Stack;

/// <summary>Names of TCP_CONGESTION.</summary>
internal enum TcpCongestionKind : byte
{
    Cubic,
    Reno,
}

/// <summary>The exchangeable part of congestion control: NewReno (RFC 5681, RFC 6582) or CUBIC (RFC 9438).</summary>
internal static class TcpCongestionControl
{
    /// <summary>What net.ipv4.tcp_available_congestion_control shows.</summary>
    public static readonly string[] Available = ["reno", "cubic"];

    public static bool TryParse(string? name, out TcpCongestionKind kind)
    {
        kind = name == "reno" ? TcpCongestionKind.Reno : TcpCongestionKind.Cubic;
        return name is "reno" or "cubic";
    }

    public static string NameOf(TcpCongestionKind kind) => kind == TcpCongestionKind.Reno ? "reno" : "cubic";

    public static void Initialize(TcpEndpoint e) => e.Cubic = null;

    /// <summary>The threshold after a loss or mark.</summary>
    public static uint ReducedThreshold(TcpEndpoint e) => e.CongestionKind == TcpCongestionKind.Reno ? Math.Max(e.Cong.Window >> 1, 2) : TcpCubic.ReducedThreshold(e);

    /// <summary>Raises the window for <paramref name="acked"/> segments.</summary>
    public static void Avoid(TcpEndpoint e, uint acked)
    {
        if (!TcpCongestionWindow.IsLimited(e))
            return;
        if (e.Cong.InSlowStart)
        {
            acked = SlowStart(e, acked);
            if (acked == 0)
                return;
        }

        if (e.CongestionKind == TcpCongestionKind.Reno)
            Increase(e, e.Cong.Window, acked);
        else
            TcpCubic.Avoid(e, acked);
    }

    public static void OnAcked(TcpEndpoint e, long rttUs)
    {
        if (e.CongestionKind == TcpCongestionKind.Cubic)
            TcpCubic.OnAcked(e, rttUs);
    }

    public static void OnState(TcpEndpoint e, TcpLossState state)
    {
        if (state == TcpLossState.Loss)
            e.Cubic?.Reset(e);
    }

    /// <summary>Sending begins after all was acknowledged.</summary>
    public static void OnTransmitStart(TcpEndpoint e) => e.Cubic?.SkipIdle(e);

    /// <summary>The window when a reduction turns out to have been needless.</summary>
    public static uint UndoneWindow(TcpEndpoint e) => Math.Max(e.Cong.Window, e.Loss.PriorWindow);

    /// <summary>One segment more for each <paramref name="perSegment"/> acknowledged (RFC 5681 section 3.1).</summary>
    public static void Increase(TcpEndpoint e, uint perSegment, uint acked)
    {
        ref TcpCongestionState c = ref e.Cong;

        // Credit from a larger divisor is spent gently.
        if (c.Count >= perSegment)
        {
            c.Count = 0;
            c.Window++;
        }

        c.Count += acked;
        if (c.Count >= perSegment)
        {
            uint more = c.Count / perSegment;
            c.Count -= more * perSegment;
            c.Window += more;
        }
    }

    /// <summary>Returns what is left of <paramref name="acked"/> once the threshold is reached.</summary>
    private static uint SlowStart(TcpEndpoint e, uint acked)
    {
        uint window = Math.Min(e.Cong.Window + acked, e.Cong.Threshold);
        acked -= window - e.Cong.Window;
        e.Cong.Window = window;
        return acked;
    }
}
