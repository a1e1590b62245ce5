namespace Netstack.Stack;

/// <summary>Urgent data that has been announced (RFC 9293 section 3.8.5, RFC 6093: the pointer is taken as just after the urgent byte).</summary>
[Savable("tcp-urgent")]
internal sealed partial class TcpUrgent
{
    /// <summary>Sequence number of the urgent byte.</summary>
    [Saved(1)] public uint Seq;

    [Saved(2)] public TcpUrgentState State;
    [Saved(3)] public byte Value;

    public TcpUrgent()
    {
    }
}

internal enum TcpUrgentState : byte
{
    /// <summary>Announced, not here yet.</summary>
    Awaited,

    /// <summary>Here and not read.</summary>
    Valid,

    /// <summary>Read; the mark in the stream remains.</summary>
    Read,
}

/// <summary>The URG bit and pointer of incoming segments, and reading around the mark.</summary>
internal static class TcpUrgentInput
{
    public static void OnSegment(TcpEndpoint e, in TcpSegmentIn segment)
    {
        if (segment.Has(TcpFlags.Urg))
            Announce(e, in segment);
        if (e.UrgentIn is not { State: TcpUrgentState.Awaited } urgent)
            return;
        uint offset = urgent.Seq - segment.Seq;
        if (segment.Has(TcpFlags.Syn))
            offset--;
        if (offset >= (uint)segment.Length)
            return;
        Span<byte> value = stackalloc byte[1];
        segment.Packet.CopyTo(segment.Packet.TransportOffset - segment.Packet.Start + segment.Header.Length + (int)offset, value);
        urgent.Value = value[0];
        urgent.State = TcpUrgentState.Valid;
        e.Notify(EndpointEvents.Pri);
    }

    /// <summary>recv with MSG_OOB.</summary>
    public static Errno Read(TcpEndpoint e, bool peek, out byte value)
    {
        value = 0;
        if (e.Options.OutOfBandInline || e.UrgentIn is not { } urgent || urgent.State == TcpUrgentState.Read)
            return Errno.EINVAL;
        if (e.State == TcpState.Closed && !e.IsDone)
            return Errno.ENOTCONN;
        if (urgent.State == TcpUrgentState.Valid)
        {
            value = urgent.Value;
            if (!peek)
                urgent.State = TcpUrgentState.Read;
            return Errno.None;
        }

        return e.State == TcpState.Closed || (e.Shut & TcpShutdown.Receive) != 0 ? Errno.None : Errno.EAGAIN;
    }

    /// <summary>Whether the next byte to read is the urgent one.</summary>
    public static bool IsAtMark(TcpEndpoint e) => e.UrgentIn is { } urgent && urgent.Seq == e.Rcv.Copied;

    /// <summary>1 when the urgent byte is next in the stream and not part of it.</summary>
    public static int Skip(TcpEndpoint e) => IsAtMark(e) && !e.Options.OutOfBandInline && (e.ReceiveQueue?.Length ?? 0) > 0 ? 1 : 0;

    /// <summary>Bytes to be read in one go: up to the mark.</summary>
    public static int Available(TcpEndpoint e)
    {
        int queued = e.ReceiveQueue?.Length ?? 0;
        if (e.UrgentIn is not { } urgent || queued == 0)
            return queued;
        uint ahead = urgent.Seq - e.Rcv.Copied;
        if (ahead == 0)
            return queued - Skip(e);
        return ahead < (uint)queued ? (int)ahead : queued;
    }

    private static void Announce(TcpEndpoint e, in TcpSegmentIn segment)
    {
        uint pointer = segment.Header.UrgentPointer;
        if (pointer > 0)
            pointer--;
        pointer += segment.Seq;

        // What has been read cannot become urgent, nor what has come already, unless it is what was announced.
        if (TcpSequence.After(e.Rcv.Copied, pointer) || TcpSequence.Before(pointer, e.Rcv.Nxt))
            return;
        if (e.UrgentIn is { } known && !TcpSequence.After(pointer, known.Seq))
            return;
        e.Observer?.OnUrgent();
        e.UrgentIn ??= new TcpUrgent();

        // A second urgent byte makes the first an ordinary one; where it would be the very next to be read, Linux passes over it.
        if (e.UrgentIn.State != TcpUrgentState.Awaited && e.UrgentIn.Seq == e.Rcv.Copied && !e.Options.OutOfBandInline && e.Rcv.Copied != e.Rcv.Nxt && e.ReceiveQueue is { Length: > 0 } queue)
        {
            queue.Consume(1);
            e.Rcv.Copied++;
            if (queue.Length == 0)
                e.Layer.FreeReceiveQueue(e);
        }

        e.UrgentIn.Seq = pointer;
        e.UrgentIn.State = TcpUrgentState.Awaited;
    }
}
