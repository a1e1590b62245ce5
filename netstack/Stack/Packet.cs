namespace Netstack.Stack;

/// <summary>What is known of a packet's transport checksum.</summary>
public enum ChecksumState : byte
{
    /// <summary>Received: to be verified. Sent: complete.</summary>
    Unknown,

    /// <summary>Received: verified by the link or never left this host.</summary>
    Verified,

    /// <summary>The field holds the folded pseudo-header sum; the link completes it, or a receiver on this host takes it as verified (CHECKSUM_PARTIAL).</summary>
    Partial,
}

/// <summary>sll_pkttype of packet(7): to whom a frame was addressed.</summary>
public enum PacketType : byte
{
    Host,
    Broadcast,
    Multicast,
    OtherHost,
    Outgoing,
}

/// <summary>
/// A packet on its way through the stack: a head that is contiguous and owned by the packet (all headers, and for received packets the
/// payload too), and after it payload pieces that are shared and never change. Layers move <see cref="Start"/> as they take headers off
/// (receiving) or put them on (sending). Offsets are into <see cref="Buffer"/>.
/// </summary>
public sealed class Packet
{
    /// <summary>Room for Ethernet, IPv6 with a few extension headers, and TCP with options.</summary>
    public const int Headroom = 160;

    private List<ReadOnlyMemory<byte>>? _more;

    private Packet(byte[] buffer, int start, int end)
    {
        Buffer = buffer;
        Start = start;
        End = end;
    }

    public byte[] Buffer { get; }

    /// <summary>Where the head begins.</summary>
    public int Start { get; set; }

    /// <summary>Where the head ends.</summary>
    public int End { get; set; }

    public int LinkOffset { get; set; } = -1;

    public int NetworkOffset { get; set; } = -1;

    public int TransportOffset { get; set; } = -1;

    /// <summary>ETH_P_*.</summary>
    public ushort Protocol { get; set; }

    public PacketType Type { get; set; }

    public ChecksumState Checksum { get; set; }

    /// <summary>More than 0: the payload is to be (or was) cut into TCP segments of so many payload bytes, the last may be shorter.</summary>
    public int SegmentSize { get; set; }

    /// <summary>How many packets of the wire it stands for (at least 1).</summary>
    public int SegmentCount => SegmentSize > 0 ? Math.Max(1, (PayloadLength(TransportOffset) + SegmentSize - 1) / SegmentSize) : 1;

    /// <summary>The interface it came in by or goes out by.</summary>
    public NetworkInterface? Interface { get; set; }

    /// <summary>Received: stack time of the arrival, ns.</summary>
    public long ArrivalTime { get; set; }

    /// <summary>The head as it stands.</summary>
    public Span<byte> Head => Buffer.AsSpan(Start, End - Start);

    /// <summary>Bytes in head and payload pieces.</summary>
    public int Length => End - Start + MoreLength;

    /// <summary>Bytes in payload pieces.</summary>
    public int MoreLength { get; private set; }

    /// <summary>The payload pieces behind the head.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> More => _more ?? (IReadOnlyList<ReadOnlyMemory<byte>>)[];

    /// <summary>An empty packet to be built from the inside out: <see cref="Prepend"/>.</summary>
    /// <param name="tailroom">Bytes that will be added with <see cref="Append(int)"/>.</param>
    public static Packet Create(int tailroom = 0)
    {
        byte[] buffer = GC.AllocateUninitializedArray<byte>(Headroom + tailroom);
        return new Packet(buffer, Headroom, Headroom);
    }

    /// <summary>A packet of received bytes, which it takes over.</summary>
    public static Packet Received(byte[] bytes, int start, int length) => new(bytes, start, start + length);

    /// <summary>Makes room for a header in front; the span is not cleared.</summary>
    public Span<byte> Prepend(int size)
    {
        Start -= size;
        return Buffer.AsSpan(Start, size);
    }

    /// <summary>Makes room at the end of the head; the span is not cleared.</summary>
    public Span<byte> Append(int size)
    {
        End += size;
        return Buffer.AsSpan(End - size, size);
    }

    /// <summary>Adds a payload piece that nobody will change.</summary>
    public void Append(ReadOnlyMemory<byte> piece)
    {
        if (piece.Length == 0)
            return;
        (_more ??= new(4)).Add(piece);
        MoreLength += piece.Length;
    }

    /// <summary>Cuts to <paramref name="length"/> bytes from <see cref="Start"/> (padding behind an IP packet).</summary>
    public void Trim(int length)
    {
        int excess = Length - length;
        while (excess > 0 && _more is { Count: > 0 })
        {
            ReadOnlyMemory<byte> last = _more[^1];
            int cut = Math.Min(excess, last.Length);
            if (cut == last.Length)
                _more.RemoveAt(_more.Count - 1);
            else
                _more[^1] = last[..^cut];
            MoreLength -= cut;
            excess -= cut;
        }

        End -= Math.Max(0, excess);
    }

    /// <summary>A copy with a head of its own and the same payload pieces (loopback of multicast, packet sockets).</summary>
    public Packet Clone()
    {
        var copy = new Packet(Buffer.AsSpan().ToArray(), Start, End)
        {
            LinkOffset = LinkOffset,
            NetworkOffset = NetworkOffset,
            TransportOffset = TransportOffset,
            Protocol = Protocol,
            Type = Type,
            Checksum = Checksum,
            SegmentSize = SegmentSize,
            Interface = Interface,
            ArrivalTime = ArrivalTime,
            _more = _more is null ? null : [.. _more],
            MoreLength = MoreLength,
        };
        return copy;
    }

    /// <summary>Copies bytes from <paramref name="offset"/> after <see cref="Start"/>; returns how many.</summary>
    public int CopyTo(int offset, Span<byte> destination)
    {
        int done = 0;
        int head = End - Start;
        if (offset < head)
        {
            int count = Math.Min(destination.Length, head - offset);
            Buffer.AsSpan(Start + offset, count).CopyTo(destination);
            done = count;
            offset = head;
        }

        offset -= head;
        foreach (ReadOnlyMemory<byte> piece in More)
        {
            if (done == destination.Length)
                break;
            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            int count = Math.Min(destination.Length - done, piece.Length - offset);
            piece.Span.Slice(offset, count).CopyTo(destination[done..]);
            done += count;
            offset = 0;
        }

        return done;
    }

    /// <summary>All bytes from <see cref="Start"/>.</summary>
    public byte[] ToArray()
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(Length);
        CopyTo(0, bytes);
        return bytes;
    }

    private int PayloadLength(int transport) => transport < 0 ? Length : End - transport - ((Buffer[transport + 12] >> 4) * 4) + MoreLength;
}
