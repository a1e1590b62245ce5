namespace Netstack.Stack;

/// <summary>Marks of a segment in the scoreboard (RFC 6675).</summary>
[Flags]
internal enum TcpMarks : byte
{
    None = 0,
    Sacked = 1,

    /// <summary>The retransmission is in flight.</summary>
    Retransmitted = 2,
    Lost = 4,

    /// <summary>It was retransmitted at some time: round trips measured with it are ambiguous (Karn).</summary>
    EverRetransmitted = 8,
    AnyRetransmit = Retransmitted | EverRetransmitted,
}

/// <summary>A stretch of the send sequence space: one or several segments of the wire that were or will be sent together. Its bytes are pieces that never change.</summary>
[Savable("tcp-segment")]
internal sealed partial class TcpSegment
{
    [Saved(1)] public uint Seq;

    /// <summary>After its last byte, SYN and FIN counted.</summary>
    [Saved(2)] public uint End;

    /// <summary>Payload bytes.</summary>
    [Saved(3)] public int Length;

    /// <summary>SYN, FIN and PSH.</summary>
    [Saved(4)] public TcpFlags Flags;

    [Saved(5)] public TcpMarks Marks;

    /// <summary>Nothing is joined behind it (MSG_EOR).</summary>
    [Saved(6)] public bool EndOfRecord;

    /// <summary>How many segments of the wire it is (0 until it is about to be sent) and the payload of each.</summary>
    [Saved(7)] public int Count;

    [Saved(8)] public int Size;

    /// <summary>When it last left.</summary>
    [Saved(9)] public long SentAt;

    /// <summary>State of delivery when it left, for the delivery rate.</summary>
    [Saved(10)] public uint PriorDelivered;

    [Saved(11)] public bool AppLimited;
    [Saved(12)] public long PriorDeliveredAt;
    [Saved(13)] public long FirstSentAt;

    [Saved(14)] public ReadOnlyMemory<byte> First;
    [Saved(15)] public List<ReadOnlyMemory<byte>>? More;

    /// <summary>Neighbours in the order of sending, while it is neither acknowledged nor found lost.</summary>
    [Saved(16)] public TcpSegment? SentBefore;

    [Saved(17)] public TcpSegment? SentAfter;
    [Saved(18)] public bool IsInSentOrder;

    public TcpSegment()
    {
    }

    public bool Is(TcpMarks marks) => (Marks & marks) != 0;

    public bool Has(TcpFlags flags) => (Flags & flags) != 0;

    /// <summary>Makes it new for the pool.</summary>
    public void Reset()
    {
        Seq = End = 0;
        Length = Count = Size = 0;
        Flags = TcpFlags.None;
        Marks = TcpMarks.None;
        EndOfRecord = AppLimited = IsInSentOrder = false;
        SentAt = PriorDeliveredAt = FirstSentAt = 0;
        PriorDelivered = 0;
        First = default;
        More?.Clear();
        SentBefore = SentAfter = null;
    }

    /// <summary>Sets <see cref="Count"/> for segments of <paramref name="mss"/> bytes.</summary>
    public void SetCount(int mss)
    {
        if (Length <= mss)
        {
            Count = 1;
            Size = 0;
            return;
        }

        Size = mss;
        Count = (Length + mss - 1) / mss;
    }

    /// <summary>Payload of each of its segments.</summary>
    public int SegmentLength => Count == 1 ? Length : Size;

    /// <summary>Adds bytes at the end; bytes that follow those of the last piece in the same buffer lengthen it.</summary>
    public void Append(ReadOnlyMemory<byte> piece)
    {
        if (piece.Length == 0)
            return;
        Length += piece.Length;
        End += (uint)piece.Length;
        if (First.Length == 0)
            First = piece;
        else if (More is not { Count: > 0 })
        {
            if (!TryJoin(ref First, piece))
                (More ??= new(4)).Add(piece);
        }
        else
        {
            ReadOnlyMemory<byte> last = More[^1];
            if (TryJoin(ref last, piece))
                More[^1] = last;
            else
                More.Add(piece);
        }
    }

    /// <summary>Takes <paramref name="count"/> payload bytes off the front.</summary>
    public void TrimFront(int count)
    {
        Seq += (uint)count;
        Length -= count;
        int cut = Math.Min(count, First.Length);
        First = First[cut..];
        count -= cut;
        if (More is null)
            return;
        int gone = 0;
        while (count > 0)
        {
            cut = Math.Min(count, More[gone].Length);
            if (cut < More[gone].Length)
                More[gone] = More[gone][cut..];
            else
                gone++;
            count -= cut;
        }

        if (First.Length == 0 && gone < More.Count)
            First = More[gone++];
        More.RemoveRange(0, gone);
    }

    /// <summary>Moves the payload from <paramref name="keep"/> on to an empty segment behind it, with FIN and PSH.</summary>
    public void SplitTo(TcpSegment rest, int keep)
    {
        rest.Seq = Seq + (uint)keep;
        rest.End = rest.Seq;
        rest.Flags = Flags & ~TcpFlags.Syn;
        rest.Marks = Marks;
        rest.EndOfRecord = EndOfRecord;
        rest.SentAt = SentAt;
        rest.PriorDelivered = PriorDelivered;
        rest.PriorDeliveredAt = PriorDeliveredAt;
        rest.FirstSentAt = FirstSentAt;
        rest.AppLimited = AppLimited;
        Flags &= ~(TcpFlags.Fin | TcpFlags.Psh);
        EndOfRecord = false;
        MovePieces(rest, keep);
        rest.End = End;
        End = rest.Seq;
        Length = keep;
    }

    private void MovePieces(TcpSegment rest, int keep)
    {
        int left = keep;
        if (left < First.Length)
        {
            rest.Append(First[left..]);
            First = First[..left];
            left = 0;
        }
        else
        {
            left -= First.Length;
        }

        if (More is null)
            return;
        int kept = 0;
        for (int i = 0; i < More.Count; i++)
        {
            ReadOnlyMemory<byte> piece = More[i];
            if (left >= piece.Length)
            {
                left -= piece.Length;
                kept++;
                continue;
            }

            rest.Append(piece[left..]);
            if (left > 0)
            {
                More[i] = piece[..left];
                kept++;
                left = 0;
            }
        }

        More.RemoveRange(kept, More.Count - kept);
    }

    /// <summary>Adds its payload to a packet: copied into the head, or by reference.</summary>
    public void AddTo(Packet packet, bool copy)
    {
        Add(packet, First, copy);
        if (More is null)
            return;
        foreach (ReadOnlyMemory<byte> piece in More)
            Add(packet, piece, copy);
    }

    private static void Add(Packet packet, ReadOnlyMemory<byte> piece, bool copy)
    {
        if (copy)
            piece.Span.CopyTo(packet.Append(piece.Length));
        else
            packet.Append(piece);
    }

    private static bool TryJoin(ref ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second)
    {
        if (!System.Runtime.InteropServices.MemoryMarshal.TryGetArray(first, out ArraySegment<byte> a)
            || !System.Runtime.InteropServices.MemoryMarshal.TryGetArray(second, out ArraySegment<byte> b)
            || !ReferenceEquals(a.Array, b.Array) || a.Offset + a.Count != b.Offset)
            return false;
        first = a.Array.AsMemory(a.Offset, a.Count + b.Count);
        return true;
    }
}
