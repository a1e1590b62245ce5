using System.Runtime.InteropServices;

namespace Netstack.Stack;

/// <summary>What selective acknowledgments say, written into the scoreboard (RFC 2018, RFC 2883, RFC 6675).</summary>
internal static class TcpSack
{
    /// <summary>Marks what the blocks of a segment cover.</summary>
    public static void Process(TcpEndpoint e, in TcpHeaderOptions options, uint ackSeq, ref TcpAckContext ack)
    {
        ack.Reorder = e.Snd.Nxt;
        if (e.Snd.SackedOut == 0)
        {
            e.Loss.HighestSack = e.Snd.Una;
            e.Loss.Cache.IsValid = false;
        }

        bool duplicate = CheckDuplicate(e, in options, ackSeq, ref ack);

        // Too old to be of use.
        if (TcpSequence.Before(ackSeq, ack.PriorUna - e.Snd.MaxWindow) || e.Snd.PacketsOut == 0)
            return;
        Span<SackBlock> blocks = stackalloc SackBlock[4];
        int count = 0, duplicateIndex = -1;
        for (int i = 0; i < options.BlockCount; i++)
        {
            SackBlock block = options.Blocks[i];
            bool isDuplicate = i == 0 && duplicate;
            if (!IsValid(e, isDuplicate, block) || !TcpSequence.After(block.End, ack.PriorUna))
                continue;
            if (isDuplicate)
                duplicateIndex = count;
            blocks[count++] = block;
        }

        Span<bool> isDuplicateBlock = stackalloc bool[4];
        isDuplicateBlock.Clear();
        if (duplicateIndex >= 0)
            isDuplicateBlock[duplicateIndex] = true;
        Sort(blocks[..count], isDuplicateBlock);
        for (int i = 0; i < count; i++)
            MarkBlock(e, blocks[i], isDuplicateBlock[i], ref ack);
        if (e.Cong.State != TcpLossState.Loss || e.Loss.CanUndo)
            CheckReordering(e, ack.Reorder);
    }

    /// <summary>Something at <paramref name="low"/> was delivered after what is above it: notes the distance.</summary>
    public static void CheckReordering(TcpEndpoint e, uint low)
    {
        uint highest = HighestSequence(e);
        if (!TcpSequence.Before(low, highest))
            return;
        uint distance = highest - low;
        uint mss = (uint)e.Snd.Mss;
        if (distance > (uint)e.Cong.Reordering * mss)
            e.Cong.Reordering = (int)Math.Min((distance + mss - 1) / mss, TcpConstants.MaxReordering);
        e.Cong.ReorderSeen++;
    }

    /// <summary>Sequence after the highest selectively acknowledged segment; Una when there is none.</summary>
    public static uint HighestSequence(TcpEndpoint e) => e.Snd.SackedOut == 0 || TcpSequence.Before(e.Loss.HighestSack, e.Snd.Una) ? e.Snd.Una : e.Loss.HighestSack;

    private static void Sort(Span<SackBlock> blocks, Span<bool> duplicates)
    {
        for (int i = 1; i < blocks.Length; i++)
        {
            for (int j = i; j > 0 && TcpSequence.After(blocks[j - 1].Start, blocks[j].Start); j--)
            {
                (blocks[j - 1], blocks[j]) = (blocks[j], blocks[j - 1]);
                (duplicates[j - 1], duplicates[j]) = (duplicates[j], duplicates[j - 1]);
            }
        }
    }

    /// <summary>Whether the first block tells of data that came twice (RFC 2883 section 4).</summary>
    private static bool CheckDuplicate(TcpEndpoint e, in TcpHeaderOptions options, uint ackSeq, ref TcpAckContext ack)
    {
        SackBlock first = options.Blocks[0];
        if (!TcpSequence.Before(first.Start, ackSeq)
            && !(options.BlockCount > 1 && !TcpSequence.After(first.End, options.Blocks[1].End) && !TcpSequence.Before(first.Start, options.Blocks[1].Start)))
            return false;
        int segments = CountDuplicate(e, first, ref ack);
        if (segments == 0)
            return false;
        ref TcpCongestionState c = ref e.Cong;
        if (e.Loss.CanUndo && e.Loss.UndoRetrans > 0 && !TcpSequence.After(first.End, ack.PriorUna) && TcpSequence.After(first.End, e.Loss.UndoMarker))
            e.Loss.UndoRetrans = Math.Max(0, e.Loss.UndoRetrans - segments);
        return true;
    }

    private static int CountDuplicate(TcpEndpoint e, SackBlock block, ref TcpAckContext ack)
    {
        if (!TcpSequence.Before(block.Start, block.End))
            return 0;
        uint length = block.End - block.Start;
        if (length > e.Snd.MaxWindow)
            return 0;
        uint segments = 1;
        if (length > e.Snd.Mss)
            segments = (length + (uint)e.Snd.Mss - 1) / (uint)e.Snd.Mss;
        else if (e.Cong.HasProbe && e.Loss.ProbeHighSeq == block.End)
            ack.Flags |= AckFlags.ProbeDuplicate;
        e.Stat.DuplicateSacks += segments;

        // More than was ever retransmitted: the network made them, or the peer makes them up.
        if (e.Stat.DuplicateSacks > e.Stat.Retransmits)
            return 0;
        e.Ext.DuplicateSackSeen = true;
        if (e.Cong.ReorderSeen > 0 && !ack.Is(AckFlags.ProbeDuplicate))
            e.Rack.DuplicateSeen = true;
        ack.Flags |= AckFlags.DuplicateSack;
        ack.SackDelivered += (int)segments;
        return (int)segments;
    }

    private static bool IsValid(TcpEndpoint e, bool isDuplicate, SackBlock block)
    {
        if (TcpSequence.After(block.End, e.Snd.Nxt) || !TcpSequence.Before(block.Start, block.End))
            return false;
        if (!TcpSequence.Before(block.Start, e.Snd.Nxt))
            return false;
        if (TcpSequence.After(block.Start, e.Snd.Una))
            return true;
        if (!isDuplicate || !e.Loss.CanUndo)
            return false;
        if (TcpSequence.After(block.End, e.Snd.Una))
            return false;
        if (!TcpSequence.Before(block.Start, e.Loss.UndoMarker))
            return true;
        return TcpSequence.After(block.End, e.Loss.UndoMarker) && !TcpSequence.Before(block.Start, block.End - e.Snd.MaxWindow);
    }

    private static void MarkBlock(TcpEndpoint e, SackBlock block, bool isDuplicate, ref TcpAckContext ack)
    {
        TcpSendQueue queue = e.SendQueue!;
        int index = isDuplicate ? queue.Find(block.Start) : SkipKnown(e, queue, ref block);
        for (; index < queue.SentCount; index++)
        {
            TcpSegment segment = queue[index];
            if (!TcpSequence.Before(segment.Seq, block.End))
                break;
            if (segment.Is(TcpMarks.Sacked) && !isDuplicate)
                continue;
            if (!Match(e, queue, index, block))
                continue;
            segment = queue[index];
            MarkOne(e, segment, isDuplicate, ref ack);
            TcpRate.OnDelivered(e, segment, ref ack);
            if (!segment.Is(TcpMarks.Sacked))
                continue;
            queue.Unlink(segment);
            if (TcpSequence.After(segment.End, HighestSequence(e)))
                e.Loss.HighestSack = segment.End;
        }
    }

    /// <summary>Finds where the block has news: what a block before it covered is known, up to the first segment that is not marked.</summary>
    private static int SkipKnown(TcpEndpoint e, TcpSendQueue queue, ref SackBlock block)
    {
        int index = queue.Find(block.Start);
        ref TcpSackCache cache = ref e.Loss.Cache;
        if (cache.IsValid && !TcpSequence.After(cache.Start, block.Start) && TcpSequence.After(cache.End, block.Start))
            index = queue.Find(TcpSequence.Min(cache.End, block.End));
        if (!cache.IsValid || block.End - block.Start >= cache.End - cache.Start)
            cache = new TcpSackCache { IsValid = true, Start = block.Start, End = block.End };
        return index;
    }

    /// <summary>Whether the block covers the segment; splits it so that the covered part is one of its own, in whole segments of the wire.</summary>
    private static bool Match(TcpEndpoint e, TcpSendQueue queue, int index, SackBlock block)
    {
        TcpSegment segment = queue[index];
        bool startsInside = !TcpSequence.After(block.Start, segment.Seq);
        bool covered = startsInside && !TcpSequence.Before(block.End, segment.End);
        if (covered || segment.Count <= 1 || !TcpSequence.After(segment.End, block.Start))
            return covered;
        int mss = segment.SegmentLength;
        int keep = startsInside ? (int)(block.End - segment.Seq) : (int)(block.Start - segment.Seq);
        if (startsInside && keep < mss)
            return false;
        keep = Math.Max(keep, mss);
        if (keep > mss)
        {
            int whole = keep / mss * mss;
            if (!startsInside && whole < keep)
                whole += mss;
            keep = whole;
        }

        if (keep >= segment.Length || !CanSplit(e, queue, index))
            return false;
        TcpOutput.Split(e, queue, index, keep, mss);
        return startsInside;
    }

    /// <summary>A peer that makes the sender split its queue into crumbs is not followed (CVE-2019-11478).</summary>
    private static bool CanSplit(TcpEndpoint e, TcpSendQueue queue, int index) =>
        index == 0 || index == queue.SentCount - 1 || e.Snd.Queued >> 1 <= e.Options.SendBuffer + (2 * 65536);

    private static void MarkOne(TcpEndpoint e, TcpSegment segment, bool isDuplicate, ref TcpAckContext ack)
    {
        ref TcpCongestionState c = ref e.Cong;
        int count = segment.Count;
        if (isDuplicate && segment.Is(TcpMarks.AnyRetransmit))
        {
            if (e.Loss.CanUndo && e.Loss.UndoRetrans > 0 && TcpSequence.After(segment.End, e.Loss.UndoMarker))
                e.Loss.UndoRetrans = Math.Max(0, e.Loss.UndoRetrans - count);
            if (segment.Is(TcpMarks.Sacked) && TcpSequence.Before(segment.Seq, ack.Reorder))
                ack.Reorder = segment.Seq;
        }

        if (!TcpSequence.After(segment.End, e.Snd.Una))
            return;
        if (!segment.Is(TcpMarks.Sacked))
        {
            TcpRack.Advance(e, segment.Marks, segment.End, segment.SentAt);
            if (segment.Is(TcpMarks.Retransmitted))
            {
                // Not marked lost: the retransmission may still be in flight.
                if (segment.Is(TcpMarks.Lost))
                {
                    segment.Marks &= ~(TcpMarks.Lost | TcpMarks.Retransmitted);
                    e.Snd.LostOut -= count;
                    e.Snd.RetransOut -= count;
                }
            }
            else
            {
                if (!segment.Is(TcpMarks.EverRetransmitted))
                {
                    // It was sent once and lies below what was delivered: reordering.
                    if (TcpSequence.Before(segment.Seq, HighestSequence(e)) && TcpSequence.Before(segment.Seq, ack.Reorder))
                        ack.Reorder = segment.Seq;
                    if (!TcpSequence.After(segment.End, c.HighSeq))
                        ack.Flags |= AckFlags.OriginalAcked;
                    if (ack.FirstSacked == 0)
                        ack.FirstSacked = segment.SentAt;
                    ack.LastSacked = segment.SentAt;
                }

                if (segment.Is(TcpMarks.Lost))
                {
                    segment.Marks &= ~TcpMarks.Lost;
                    e.Snd.LostOut -= count;
                }
            }

            segment.Marks |= TcpMarks.Sacked;
            ack.Flags |= AckFlags.DataSacked;
            e.Snd.SackedOut += count;
            ack.SackDelivered += count;
        }

        if (isDuplicate && segment.Is(TcpMarks.Retransmitted))
        {
            segment.Marks &= ~TcpMarks.Retransmitted;
            e.Snd.RetransOut -= count;
        }
    }
}

/// <summary>The largest block that was written into the scoreboard, whose segments need not be looked at again.</summary>
[Savable("tcp-sack-cache")]
[StructLayout(LayoutKind.Auto)]
internal partial struct TcpSackCache
{
    [Saved(1)] public bool IsValid;
    [Saved(2)] public uint Start;
    [Saved(3)] public uint End;
}
