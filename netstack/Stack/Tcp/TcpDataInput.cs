namespace Netstack.Stack;

/// <summary>The text of a segment: in order to the application, out of order to reassembly, and FIN (RFC 9293 section 3.10.7.4, seventh and eighth step).</summary>
internal static class TcpDataInput
{
    public static void Queue(TcpEndpoint e, in TcpSegmentIn segment)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        uint seq = segment.Seq, end = segment.End;
        if (seq == end)
            return;
        if (seq == rcv.Nxt)
        {
            // A bare FIN needs no room.
            if (rcv.Left == 0 && !(segment.Length == 0 && segment.Has(TcpFlags.Fin)))
                AnswerAtOnce(e);
            else
                Accept(e, in segment, 0);
            return;
        }

        if (!TcpSequence.After(end, rcv.Nxt))
        {
            SetDuplicate(e, seq, end);
            AnswerAtOnce(e);
            return;
        }

        if (!TcpSequence.Before(seq, rcv.Nxt + rcv.Left))
        {
            AnswerAtOnce(e);
            return;
        }

        if (TcpSequence.Before(seq, rcv.Nxt))
        {
            SetDuplicate(e, seq, rcv.Nxt);
            if (rcv.Left == 0)
                AnswerAtOnce(e);
            else
                Accept(e, in segment, (int)(rcv.Nxt - seq));
            return;
        }

        QueueOutOfOrder(e, in segment);
    }

    /// <summary>Remembers data that came twice, to be told in the next acknowledgment.</summary>
    public static void SetDuplicate(TcpEndpoint e, uint start, uint end)
    {
        if (!e.Ext.Sack || !e.Stack.Settings.DuplicateSack)
            return;
        (e.Reassembly ??= new TcpReassembly()).SetDuplicate(start, end);
    }

    /// <summary>The peer has sent all it had to.</summary>
    public static void OnFin(TcpEndpoint e)
    {
        TcpDelayedAck.Schedule(e);
        e.Shut |= TcpShutdown.Receive;
        e.IsDone = true;
        switch (e.State)
        {
            case TcpState.SynReceived or TcpState.Established:
                e.State = TcpState.CloseWait;
                e.Ack.IsPingPong = true;
                break;
            case TcpState.FinWait1:
                TcpTransmit.SendAck(e);
                e.State = TcpState.Closing;
                break;
            case TcpState.FinWait2:
                TcpTransmit.SendAck(e);
                TcpTimeWait.Enter(e, TcpState.TimeWait, TcpConstants.TimeWaitLength);
                break;
        }

        // Nothing can follow.
        e.Reassembly = null;
        e.Notify(e.Shut == TcpShutdown.Both || e.State == TcpState.Closed
            ? EndpointEvents.In | EndpointEvents.RdHup | EndpointEvents.Hup
            : EndpointEvents.In | EndpointEvents.RdHup);
    }

    private static void AnswerAtOnce(TcpEndpoint e)
    {
        TcpDelayedAck.EnterQuick(e, TcpConstants.MaxQuickAcks);
        TcpDelayedAck.Schedule(e);
    }

    /// <summary>Data in order, from <paramref name="skip"/> bytes on.</summary>
    private static void Accept(TcpEndpoint e, in TcpSegmentIn segment, int skip)
    {
        if (segment.Length > 0 && !MakeRoom(e, segment.Length))
        {
            e.Ack.Pending |= TcpAckPending.NoRoom | TcpAckPending.Now | TcpAckPending.Scheduled;
            e.Notify(EndpointEvents.In);
            return;
        }

        ref TcpReceiveState rcv = ref e.Rcv;
        if (skip < segment.Length)
            Deliver(e, in segment, skip);
        e.Stat.BytesReceived += segment.End - rcv.Nxt;
        rcv.Nxt = segment.End;
        if (segment.Length > 0)
            TcpDelayedAck.OnData(e, in segment);
        if (segment.Has(TcpFlags.Fin))
            OnFin(e);
        if (e.Reassembly is { } reassembly)
        {
            if (!reassembly.IsEmpty)
            {
                DeliverReady(e, reassembly);

                // The last hole is filled: the peer waits to hear of it.
                if (e.Reassembly is { IsEmpty: true })
                    e.Ack.Pending |= TcpAckPending.Now;
            }

            e.Reassembly?.DropBlocksBefore(rcv.Nxt);
            e.DropEmptyReassembly();
        }

        if (segment.Length > 0)
            e.NotifyData();
    }

    private static void Deliver(TcpEndpoint e, in TcpSegmentIn segment, int skip)
    {
        int most = 1 + segment.Packet.PieceCount;
        TcpPieceBuffer buffer = default;
        Span<ReadOnlyMemory<byte>> pieces = most <= TcpPieceBuffer.Size ? ((Span<ReadOnlyMemory<byte>>)buffer)[..most] : new ReadOnlyMemory<byte>[most];
        int count = segment.Pieces(skip, pieces);
        TcpReceiveQueue queue = e.ReceiveQueue ??= e.Layer.Pools.NewReceiveQueue();
        for (int i = 0; i < count; i++)
            queue.Add(pieces[i]);
        if (queue.Length == 0)
            e.Layer.FreeReceiveQueue(e);
    }

    private static void DeliverReady(TcpEndpoint e, TcpReassembly reassembly)
    {
        ref TcpReceiveState rcv = ref e.Rcv;
        while (reassembly.TakeReady(rcv.Nxt) is { } range)
        {
            if (!TcpSequence.After(range.End, rcv.Nxt))
            {
                SetDuplicate(e, range.Seq, range.End);
                continue;
            }

            int skip = (int)(rcv.Nxt - range.Seq);
            if (skip > 0)
                SetDuplicate(e, range.Seq, rcv.Nxt);
            foreach (ReadOnlyMemory<byte> piece in range.Pieces)
            {
                if (skip >= piece.Length)
                {
                    skip -= piece.Length;
                    continue;
                }

                (e.ReceiveQueue ??= e.Layer.Pools.NewReceiveQueue()).Add(piece[skip..]);
                skip = 0;
            }

            e.Stat.BytesReceived += range.End - rcv.Nxt;
            rcv.Nxt = range.End;
            if (!range.HasFin)
                continue;
            OnFin(e);
            return;
        }
    }

    private static void QueueOutOfOrder(TcpEndpoint e, in TcpSegmentIn segment)
    {
        TcpEcn.OnData(e, segment.Tos);
        if (!MakeRoom(e, segment.Length))
            return;
        TcpDelayedAck.Schedule(e);
        e.Stat.OutOfOrder += (uint)segment.Count;
        e.Stack.Counters.OutOfOrderQueued++;
        TcpReassembly reassembly = e.Reassembly ??= new TcpReassembly();
        int most = 1 + segment.Packet.PieceCount;
        ReadOnlyMemory<byte>[] pieces = new ReadOnlyMemory<byte>[most];
        int count = segment.Pieces(0, pieces);
        reassembly.Add(segment.Seq, segment.End, segment.Has(TcpFlags.Fin), pieces.AsSpan(0, count), e.Ext.Sack && e.Stack.Settings.DuplicateSack);
        if (e.Ext.Sack)
            TcpReceiveWindow.Grow(e, segment.Length);
    }

    /// <summary>Room for a segment: drops the furthest of what is out of order when the buffer, overhead left aside, would be over its limit (SACK is advisory, RFC 2018 section 8).
    /// A peer that keeps to the window it was offered never comes so far.</summary>
    private static bool MakeRoom(TcpEndpoint e, int length)
    {
        int limit = e.Options.ReceiveBuffer;
        if (TcpReceiveWindow.Used(e) + length <= limit)
            return true;
        while (e.Reassembly is { } reassembly && TcpReceiveWindow.Used(e) + length > limit && reassembly.DropLast())
        {
        }

        e.DropEmptyReassembly();
        return TcpReceiveWindow.Used(e) + length <= limit;
    }
}

/// <summary>Room on the stack for the pieces of a usual packet.</summary>
[System.Runtime.CompilerServices.InlineArray(Size)]
internal struct TcpPieceBuffer
{
    public const int Size = 8;

    private ReadOnlyMemory<byte> _first;
}
