namespace Netstack.Stack;

/// <summary>What the application has written: takes it into segments as large as may be sent at once, and says when there is room for more.</summary>
internal static class TcpSendBuffer
{
    /// <summary>Bytes that can be taken without a break: what the last segment has room for, or a new one when there is memory for it.</summary>
    public static int Room(TcpEndpoint e)
    {
        int goal = TcpMss.SizeGoal(e, TcpMss.Current(e), false);
        if (Tail(e) is { } tail && tail.Length < goal)
            return goal - tail.Length;
        if (HasMemory(e, 0))
            return goal;
        e.NoSpace = true;
        return 0;
    }

    /// <summary>Takes written bytes in and sends what may be sent.</summary>
    public static void Take(TcpEndpoint e, ReadOnlyMemory<byte> bytes, TcpSendFlags flags)
    {
        if (bytes.Length == 0 && (flags & TcpSendFlags.Continues) != 0)
            return;
        TcpRate.CheckAppLimited(e);
        bool urgent = (flags & TcpSendFlags.Urgent) != 0;
        int mss = TcpMss.Current(e), goal = TcpMss.SizeGoal(e, mss, urgent);
        bool begins = !e.IsWriting;
        e.IsWriting = (flags & TcpSendFlags.Continues) != 0;
        while (bytes.Length > 0)
        {
            TcpSegment tail = Tail(e) is { } last && last.Length < goal ? last : NewTail(e);
            if (begins)
                tail.Flags &= ~TcpFlags.Psh;
            begins = false;
            int count = Math.Min(bytes.Length, goal - tail.Length);
            tail.Append(bytes[..count]);
            tail.Count = 0;
            bytes = bytes[count..];
            e.Snd.WriteSeq += (uint)count;
            e.Snd.Queued += count;
            if (bytes.Length == 0 && (flags & TcpSendFlags.EndOfRecord) != 0)
                tail.EndOfRecord = true;
            if (bytes.Length == 0 && (flags & TcpSendFlags.Continues) == 0)
                break;
            if (tail.Length < goal || urgent)
                continue;
            if (IsPushDue(e))
            {
                MarkPush(e, tail);
                TcpOutput.Push(e, mss, TcpNagle.Push);
            }
            else if (ReferenceEquals(tail, e.SendQueue!.SendHead))
            {
                TcpOutput.Write(e, mss, TcpNagle.Push, TcpOutput.Force.One);
            }

            if (bytes.Length == 0)
                OnPause(e, mss, goal);
        }

        if ((flags & TcpSendFlags.Continues) == 0)
            Push(e, flags, mss);
    }

    /// <summary>Adds a segment at the end.</summary>
    public static void Queue(TcpEndpoint e, TcpSegment segment)
    {
        (e.SendQueue ??= e.Layer.Pools.NewSendQueue()).Add(segment);
        e.Snd.Queued += segment.Length + TcpConstants.SegmentOverhead;
        if (e.Stat.Limit == TcpLimit.None && !segment.Has(TcpFlags.Syn))
            TcpLimits.Start(e, TcpLimit.Busy);
    }

    /// <summary>Throws away what was not acknowledged.</summary>
    public static void Purge(TcpEndpoint e)
    {
        if (e.SendQueue is { } queue)
        {
            while (queue.Count > 0)
            {
                TcpSegment segment = queue[0];
                queue.RemoveAt(0);
                e.Layer.Free(e, segment);
            }

            e.Layer.FreeQueue(e);
        }

        TcpLimits.Stop(e, TcpLimit.Busy);
        e.Snd.PacketsOut = e.Snd.SackedOut = e.Snd.LostOut = e.Snd.RetransOut = 0;
        e.Snd.Queued = 0;
        e.Backoff = 0;
    }

    /// <summary>Whether poll says that there is room: a third of the buffer is free.</summary>
    public static bool IsWriteable(TcpEndpoint e, int wake = 1) =>
        e.Options.SendBuffer - e.Snd.Queued >= e.Snd.Queued >> 1 && HasMemory(e, wake);

    /// <summary>Acknowledgments have made room, or let data out: tells the socket that asked.</summary>
    public static void CheckSpace(TcpEndpoint e)
    {
        if (!e.NoSpace)
            return;
        if (!e.Options.SendBufferLocked && e.Snd.InFlight < e.Cong.Window)
        {
            Expand(e);
            e.Cong.Stamp = e.Now;
        }

        if (!IsWriteable(e))
            return;
        e.NoSpace = false;
        TcpLimits.Stop(e, TcpLimit.SendBuffer);
        e.Notify(EndpointEvents.Out);
    }

    /// <summary>Lets the buffer hold twice the congestion window, with its overhead.</summary>
    public static void Expand(TcpEndpoint e)
    {
        if (e.Options.SendBufferLocked)
            return;
        int segment = Math.Max(e.Snd.MssClamp, e.Snd.Mss) + 320 + 320;
        segment = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)segment) + 256;
        long segments = Math.Max(Math.Max(TcpConstants.InitialWindow, e.Cong.Window), (uint)e.Cong.Reordering + 1);
        long wanted = 2 * segments * segment;
        if (e.Options.SendBuffer < wanted)
            e.Options.SendBuffer = (int)Math.Max(Math.Min(wanted, e.Stack.Settings.SendBuffer[2]), e.Options.SendBuffer);
    }

    private static bool HasMemory(TcpEndpoint e, int wake)
    {
        if (e.Snd.Queued >= e.Options.SendBuffer)
            return false;
        uint low = e.TcpOptions.NotSentLowWater != 0 ? e.TcpOptions.NotSentLowWater : e.Stack.Settings.NotSentLowWater;
        return (ulong)(e.Snd.WriteSeq - e.Snd.Nxt) << wake < low;
    }

    /// <summary>The unsent segment that more may be joined to.</summary>
    private static TcpSegment? Tail(TcpEndpoint e) => e.SendQueue?.UnsentTail is { EndOfRecord: false } tail && !tail.Has(TcpFlags.Fin | TcpFlags.Syn) ? tail : null;

    private static TcpSegment NewTail(TcpEndpoint e)
    {
        TcpSegment segment = e.Layer.NewSegment();
        segment.Seq = segment.End = e.Snd.WriteSeq;
        TcpCongestionWindow.CheckIdle(e);
        Queue(e, segment);
        return segment;
    }

    /// <summary>The call goes on: when there is no memory for more, what is here is sent before it waits.</summary>
    private static void OnPause(TcpEndpoint e, int mss, int goal)
    {
        if ((Tail(e) is { } tail && tail.Length < goal) || HasMemory(e, 0))
            return;
        e.NoSpace = true;
        if (e.SendQueue?.UnsentTail is not { } last)
            return;
        MarkPush(e, last);
        TcpOutput.Push(e, mss, TcpNagle.Push);
    }

    /// <summary>The end of a call.</summary>
    private static void Push(TcpEndpoint e, TcpSendFlags flags, int mss)
    {
        if (e.SendQueue?.UnsentTail is not { } tail)
            return;
        bool more = (flags & TcpSendFlags.More) != 0;
        if (!more || IsPushDue(e))
            MarkPush(e, tail);
        if ((flags & TcpSendFlags.Urgent) != 0)
            e.Snd.Urgent = e.Snd.WriteSeq;
        TcpOutput.Push(e, mss, more ? TcpNagle.Cork : e.Nagle);
        TcpSendBuffer.CheckSpace(e);
    }

    /// <summary>More than half of the peer's largest window was written since data was last marked to be pushed.</summary>
    private static bool IsPushDue(TcpEndpoint e) => TcpSequence.After(e.Snd.WriteSeq, e.Snd.PushedSeq + (e.Snd.MaxWindow >> 1));

    private static void MarkPush(TcpEndpoint e, TcpSegment segment)
    {
        segment.Flags |= TcpFlags.Psh;
        e.Snd.PushedSeq = e.Snd.WriteSeq;
    }
}
