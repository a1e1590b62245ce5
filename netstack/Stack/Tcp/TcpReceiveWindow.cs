namespace Netstack.Stack;

/// <summary>The window that is offered: it follows the room in the buffer, never shrinks, avoids small steps (RFC 9293 section 3.8.6.2.2), and the
/// buffer grows with what the application reads in a round trip (dynamic right-sizing).</summary>
internal static class TcpReceiveWindow
{
    /// <summary>Of a buffer, half is for data and half for what holds it.</summary>
    public static int OfSpace(int space) => space >> 1;

    public static int FullSpace(TcpEndpoint e) => OfSpace(e.Options.ReceiveBuffer);

    /// <summary>Bytes that the application has not read, in order and not.</summary>
    public static int Used(TcpEndpoint e) => (e.ReceiveQueue?.Length ?? 0) + (e.Reassembly?.Length ?? 0);

    public static int Space(TcpEndpoint e) => FullSpace(e) - Used(e);

    /// <summary>Window, clamp and scale for a SYN.</summary>
    /// <param name="space">Room for data.</param>
    /// <param name="mss">What is announced.</param>
    /// <param name="settings">Limits of the stack.</param>
    /// <param name="scaling">Whether windows may be scaled.</param>
    /// <param name="clamp">TCP_WINDOW_CLAMP or 0; what it comes to.</param>
    /// <param name="scale">The shift to announce.</param>
    public static uint Initial(int space, int mss, StackSettings settings, bool scaling, ref uint clamp, out byte scale)
    {
        if (clamp == 0)
            clamp = 65535u << TcpHeaderOptions.MaxWindowScale;
        uint room = Math.Min(clamp, (uint)Math.Max(0, space));
        if (room > mss)
            room = room / (uint)mss * (uint)mss;
        uint window = Math.Min(room, 65535);
        scale = 0;
        if (scaling)
        {
            uint most = Math.Min(Math.Max(Math.Max(room, (uint)settings.ReceiveBuffer[2]), (uint)settings.RmemMax), clamp);
            scale = (byte)Math.Clamp(System.Numerics.BitOperations.Log2(Math.Max(most, 1)) - 15, 0, TcpHeaderOptions.MaxWindowScale);
        }

        clamp = Math.Min(65535u << scale, clamp);
        return window;
    }

    /// <summary>The window field of a segment that is about to leave.</summary>
    public static ushort Select(TcpEndpoint e)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        if ((e.Ack.Pending & TcpAckPending.NoRoom) != 0)
        {
            rcv.Window = 0;
            rcv.Wup = rcv.Nxt;
            return 0;
        }

        uint left = rcv.Left, window = Compute(e);
        if (window < left)
        {
            // What was promised stays promised.
            window = Align(left, rcv.Scale);
        }

        rcv.Window = window;
        rcv.Wup = rcv.Nxt;
        window = Math.Min(window, 65535u << rcv.Scale);
        return (ushort)(window >> rcv.Scale);
    }

    /// <summary>The window that the room allows.</summary>
    public static uint Compute(TcpEndpoint e)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        int mss = e.Ack.Mss, all = FullSpace(e), free = all - Used(e);
        int full = (int)Math.Min(rcv.Clamp, (uint)all);
        if (mss > full)
        {
            mss = full;
            if (mss <= 0)
                return 0;
        }

        if (free < full >> 1)
        {
            e.Ack.Quick = 0;
            free = free >> rcv.Scale << rcv.Scale;
            if (free < all >> 4 || free < mss)
                return 0;
        }

        free = (int)Math.Min((uint)free, rcv.SoftLimit);
        if (rcv.Scale > 0)
            return Align((uint)free, rcv.Scale);
        uint window = rcv.Window;
        if ((long)window <= free - mss || window > free)
            window = (uint)(free / mss * mss);
        else if (mss == full && free > window + (full >> 1))
            window = (uint)free;
        return window;
    }

    /// <summary>A full segment came: the soft limit may grow to what the buffer allows.</summary>
    public static void Grow(TcpEndpoint e, int length)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        long room = Math.Min(rcv.Clamp, (long)Space(e)) - rcv.SoftLimit;
        if (room <= 0)
            return;
        rcv.SoftLimit += (uint)Math.Min(room, Math.Max(2 * e.Snd.AdvertisedMss, 2 * length));
        e.Ack.Quick |= 1;
    }

    /// <summary>Once the connection is established: sizes buffers and window for it.</summary>
    public static void InitializeBuffers(TcpEndpoint e)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        TcpSendBuffer.Expand(e);
        rcv.TuneAt = e.Now;
        rcv.TuneSeq = rcv.Copied;
        rcv.RttAt = 0;
        uint most = (uint)FullSpace(e);
        if (rcv.Clamp >= most)
            rcv.Clamp = most;
        rcv.SoftLimit = Math.Min(rcv.SoftLimit, rcv.Clamp);
        rcv.TuneSpace = Math.Min(Math.Min(rcv.SoftLimit, rcv.Window), TcpConstants.InitialWindow * (uint)e.Snd.AdvertisedMss);
        e.Cong.Stamp = e.Now;
    }

    /// <summary>The application has read: makes the buffer larger when it read more in the last round trip than before, and tells the peer of room.</summary>
    public static void OnRead(TcpEndpoint e, int count)
    {
        ref TcpDelayedAckState ack = ref e.Ack;
        ref TcpReceiveState rcv = ref e.Rcv;
        bool now = false;
        if (ack.IsScheduled)
        {
            now = rcv.Nxt - rcv.Wup > ack.Mss
                || (count > 0 && ((ack.Pending & TcpAckPending.PushedAgain) != 0 || ((ack.Pending & TcpAckPending.Pushed) != 0 && !ack.IsPingPong)) && e.ReceiveQueue is null);
        }

        if (count > 0 && !now && (e.Shut & TcpShutdown.Receive) == 0)
        {
            uint left = rcv.Left;
            if (2 * left <= rcv.Clamp)
            {
                uint window = Compute(e);
                now = window > 0 && window >= 2 * left;
            }
        }

        if (now)
            TcpTransmit.SendAck(e);
    }

    /// <summary>Dynamic right-sizing (Fisk, Feng 2001).</summary>
    public static void Tune(TcpEndpoint e)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        if (rcv.RttUs == 0 || e.Now - rcv.TuneAt < (rcv.RttUs >> 3) * TcpConstants.Microsecond)
            return;
        uint copied = rcv.Copied - rcv.TuneSeq;
        if (copied > rcv.TuneSpace)
        {
            StackSettings settings = e.Stack.Settings;
            if (settings.ModerateReceiveBuffer && !e.Options.ReceiveBufferLocked)
            {
                long window = ((long)copied << 1) + (16 * e.Snd.AdvertisedMss);
                long grow = window * (copied - rcv.TuneSpace) / Math.Max(1, rcv.TuneSpace);
                window += grow << 1;
                long buffer = Math.Min(window * 2, settings.ReceiveBuffer[2]);
                if (buffer > e.Options.ReceiveBuffer)
                {
                    e.Options.ReceiveBuffer = (int)buffer;
                    rcv.Clamp = (uint)OfSpace((int)buffer);
                }
            }

            rcv.TuneSpace = copied;
        }

        rcv.TuneSeq = rcv.Copied;
        rcv.TuneAt = e.Now;
    }

    /// <summary>The receiver's round trip: without timestamps, the time in which a window full of data comes.</summary>
    public static void MeasureRtt(TcpEndpoint e)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        if (rcv.RttAt != 0)
        {
            if (TcpSequence.Before(rcv.Nxt, rcv.RttSeq))
                return;
            UpdateRtt(ref rcv, Math.Max(1, (e.Now - rcv.RttAt) / TcpConstants.Microsecond), true);
        }

        rcv.RttSeq = rcv.Nxt + rcv.Window;
        rcv.RttAt = e.Now;
    }

    /// <summary>With timestamps: from the echo in full segments.</summary>
    public static void MeasureRttByEcho(TcpEndpoint e, in TcpSegmentIn segment)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        if (e.Ext.Echo == rcv.RttEcho)
            return;
        rcv.RttEcho = e.Ext.Echo;
        if (segment.Length < e.Ack.Mss)
            return;
        uint ticks = TcpTransmit.TimestampClock(e) - e.Ext.Echo;
        if (ticks < int.MaxValue / 1000)
            UpdateRtt(ref rcv, Math.Max(1, ticks) * 1000L, false);
    }

    private static void UpdateRtt(ref TcpReceiveState rcv, long sample, bool depends)
    {
        uint now = rcv.RttUs;
        long next = sample;
        if (now != 0)
        {
            // Samples that depend on the window only bound it from above.
            if (depends)
                next = Math.Min(sample << 3, now);
            else
                next = now + (sample - (now >> 3));
        }
        else
        {
            next = sample << 3;
        }

        rcv.RttUs = (uint)Math.Min(next, int.MaxValue);
    }

    private static uint Align(uint value, int shift) => (value + (1u << shift) - 1) >> shift << shift;
}
