namespace Netstack.Stack;

/// <summary>Packetization-layer path MTU discovery (RFC 4821), for paths on which ICMP is lost: always (tcp_mtu_probing 2), or once segments seem to
/// vanish (1). Connections that do not probe have none.</summary>
[Savable("tcp-mtu-probe")]
internal sealed partial class TcpMtuProbe
{
    private const int StopBelow = 8;
    private const long ReprobeInterval = 600 * TcpConstants.Second;

    /// <summary>MTU known to work, and the one that is known not to; less one.</summary>
    [Saved(1)] public int SearchLow;

    [Saved(2)] public int SearchHigh;

    /// <summary>MTU of the probe in flight; 0 for none.</summary>
    [Saved(3)] private int _size;

    [Saved(4)] private uint _start;
    [Saved(5)] private uint _end;
    [Saved(6)] private long _lastChange;

    public TcpMtuProbe()
    {
    }

    public bool IsOut => _size != 0;

    /// <summary>A connection is established.</summary>
    public static void Initialize(TcpEndpoint e)
    {
        if (e.Stack.Settings.MtuProbingMode > 1)
            Begin(e);
    }

    /// <summary>Retransmissions have been in vain for long: perhaps full segments do not pass.</summary>
    public static void OnBlackHole(TcpEndpoint e)
    {
        if (e.Stack.Settings.MtuProbingMode == 0)
            return;
        if (e.Probing is null)
        {
            Begin(e);
        }
        else
        {
            int mss = MssOf(e, e.Probing.SearchLow) >> 1;
            mss = Math.Max(Math.Min(e.Stack.Settings.BaseMss, mss), TcpConstants.MinSendMss);
            e.Probing.SearchLow = MtuOf(e, mss);
        }

        TcpMss.Synchronize(e, e.Snd.PathMtu);
    }

    /// <summary>Sends a probe in place of the next data where one is due and enough data waits; false when not.</summary>
    public static bool TrySend(TcpEndpoint e)
    {
        TcpMtuProbe probing = e.Probing!;
        if (probing.IsOut || e.Cong.State != TcpLossState.Open || e.Cong.Window < 11 || (e.Reassembly?.BlockCount ?? 0) > 0)
            return false;
        int size = MssOf(e, (probing.SearchHigh + probing.SearchLow) >> 1);
        int interval = probing.SearchHigh - probing.SearchLow;
        int needed = size + ((e.Cong.Reordering + 1) * e.Snd.Mss);
        if (size > MssOf(e, probing.SearchHigh) || interval < StopBelow)
        {
            probing.CheckReprobe(e);
            return false;
        }

        TcpSendQueue queue = e.SendQueue!;
        if (e.Snd.WriteSeq - e.Snd.Nxt < needed || e.Snd.Window < needed || TcpSequence.After(e.Snd.Nxt + (uint)needed, e.Snd.WindowEnd)
            || e.Snd.InFlight + 2 > e.Cong.Window)
            return false;
        TcpSegment? probe = Gather(e, queue, size);
        if (probe is null)
            return false;
        probe.SetCount(size);
        if (TcpTransmit.Send(e, probe) != Errno.None)
            return false;

        // Its loss is not to count as congestion, so it is paid for in advance.
        e.Cong.Window--;
        TcpOutput.OnNewDataSent(e, queue, probe);
        probing._size = MtuOf(e, size);
        probing._start = probe.Seq;
        probing._end = probe.End;
        return true;
    }

    /// <summary>Something else is retransmitted: the probe tells nothing any more.</summary>
    public void Cancel() => _size = 0;

    /// <summary>Data was acknowledged while the probe was out.</summary>
    public void OnAcked(TcpEndpoint e)
    {
        if (TcpSequence.After(_end, e.Snd.Una))
            return;

        // The window was counted in smaller segments.
        e.Cong.Window = Math.Max(1, (uint)((ulong)e.Cong.Window * (ulong)MssOf(e, e.Snd.PathMtu) / (ulong)Math.Max(1, MssOf(e, _size))));
        e.Cong.Count = 0;
        e.Cong.Stamp = e.Now;
        SearchLow = _size;
        _size = 0;
        TcpMss.Synchronize(e, e.Snd.PathMtu);
    }

    /// <summary>Whether what is found lost is the probe.</summary>
    public bool IsLost(TcpEndpoint e) => IsOut && e.Snd.Una == _start;

    public void OnFailed(TcpEndpoint e)
    {
        SearchHigh = _size - 1;
        _size = 0;
        e.Cong.Window++;
        TcpRecovery.RetransmitTooLong(e);
    }

    private static void Begin(TcpEndpoint e)
    {
        int headers = TcpMss.HeadersOf(e.RemoteAddress);
        e.Probing = new TcpMtuProbe
        {
            SearchHigh = e.Snd.MssClamp + headers,
            SearchLow = Math.Min(e.Stack.Settings.BaseMss, (int)e.Snd.MssClamp) + headers,
            _lastChange = e.Now,
        };
        if (e.Stack.Settings.MtuProbingMode > 1)
            TcpMss.Synchronize(e, e.Snd.PathMtu);
    }

    private static int MssOf(TcpEndpoint e, int mtu) => TcpMss.OfMtu(e, mtu);

    private static int MtuOf(TcpEndpoint e, int mss) => mss + TcpMss.HeadersOf(e.RemoteAddress) + (e.Ext.Timestamps ? TcpHeaderOptions.TimestampLength : 0);

    /// <summary>Joins unsent segments into one of exactly the probe's size; null when a record's end forbids it.</summary>
    private static TcpSegment? Gather(TcpEndpoint e, TcpSendQueue queue, int size)
    {
        int have = 0;
        for (int i = queue.SentCount; i < queue.Count && have < size; i++)
        {
            if (queue[i].EndOfRecord && have + queue[i].Length < size)
                return null;
            have += queue[i].Length;
        }

        TcpSegment head = queue.SendHead!;
        int first = queue.SentCount;
        while (head.Length < size)
        {
            TcpSegment next = queue[first + 1];
            if (head.Length + next.Length > size)
                TcpOutput.Split(e, queue, first + 1, size - head.Length, size);
            next = queue[first + 1];
            head.Append(next.First);
            foreach (ReadOnlyMemory<byte> piece in next.More ?? [])
                head.Append(piece);
            head.End = next.End;
            head.Flags |= next.Flags & (TcpFlags.Fin | TcpFlags.Psh);
            head.EndOfRecord = next.EndOfRecord;
            e.Snd.Queued += next.Length;
            queue.RemoveAt(first + 1);
            e.Layer.Free(e, next);
        }

        if (head.Length > size)
            TcpOutput.Split(e, queue, first, size, size);
        return head;
    }

    /// <summary>After a while paths may have changed.</summary>
    private void CheckReprobe(TcpEndpoint e)
    {
        if (e.Now - _lastChange < ReprobeInterval)
            return;
        SearchHigh = e.Snd.MssClamp + TcpMss.HeadersOf(e.RemoteAddress);
        SearchLow = MtuOf(e, TcpMss.Current(e));
        _lastChange = e.Now;
    }
}
