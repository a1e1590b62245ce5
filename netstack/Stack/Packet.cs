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

    // Most packets have at most one payload piece; the others are in the list.
    private ReadOnlyMemory<byte> _first;
    private List<ReadOnlyMemory<byte>>? _rest;

    private Packet(byte[] buffer, int start, int end)
    {
        Buffer = buffer;
        Start = start;
        End = end;
    }

    public byte[] Buffer { get; private set; }

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

    /// <summary>IPPROTO_* of the header at <see cref="TransportOffset"/>; set with it.</summary>
    public byte TransportProtocol { get; set; }

    /// <summary>More than 0: the payload is to be (or was) cut into TCP segments (or UDP datagrams) of so many payload bytes, the last may be shorter.</summary>
    public int SegmentSize { get; set; }

    /// <summary>How many packets of the wire it stands for (at least 1). Needs <see cref="TransportOffset"/>.</summary>
    public int SegmentCount => SegmentSize > 0 ? Math.Max(1, (PayloadLength(TransportOffset) + SegmentSize - 1) / SegmentSize) : 1;

    /// <summary>The interface it came in by or goes out by.</summary>
    public NetworkInterface? Interface { get; set; }

    /// <summary>Received: stack time of the arrival, ns.</summary>
    public long ArrivalTime { get; set; }

    /// <summary>Who sent the frame it came in; null for packets without a link header.</summary>
    public MacAddress? EthernetSource => LinkOffset >= 0 && LinkOffset + EthernetHeader.Size <= End ? MacAddress.FromBytes(Buffer.AsSpan(LinkOffset + 6)) : null;

    /// <summary>The head as it stands.</summary>
    public Span<byte> Head => Buffer.AsSpan(Start, End - Start);

    /// <summary>Bytes in head and payload pieces.</summary>
    public int Length => End - Start + MoreLength;

    /// <summary>Bytes in payload pieces.</summary>
    public int MoreLength { get; private set; }

    /// <summary>How many payload pieces are behind the head.</summary>
    public int PieceCount => _first.Length == 0 ? 0 : 1 + (_rest?.Count ?? 0);

    /// <summary>The payload pieces behind the head; <see cref="Piece"/> does not allocate.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> More => _first.Length == 0 ? [] : [_first, .. _rest ?? []];

    /// <summary>A payload piece.</summary>
    /// <param name="index">Below <see cref="PieceCount"/>.</param>
    public ReadOnlyMemory<byte> Piece(int index) => index == 0 ? _first : _rest![index - 1];

    /// <summary>An empty packet to be built from the inside out: <see cref="Prepend"/>.</summary>
    /// <param name="tailroom">Bytes that will be added with <see cref="Append(int)"/>.</param>
    /// <param name="headroom">Bytes that will be put in front; for who knows the headers to come.</param>
    public static Packet Create(int tailroom = 0, int headroom = Headroom)
    {
        byte[] buffer = GC.AllocateUninitializedArray<byte>(headroom + tailroom);
        return new Packet(buffer, headroom, headroom);
    }

    /// <summary>A packet of received bytes, which it takes over.</summary>
    public static Packet Received(byte[] bytes, int start, int length) => new(bytes, start, start + length);

    /// <summary>Makes room for a header in front; the span is not cleared.</summary>
    public Span<byte> Prepend(int size)
    {
        if (Start < size)
            Grow(size);
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
        if (_first.Length == 0)
            _first = piece;
        else
            (_rest ??= new(4)).Add(piece);
        MoreLength += piece.Length;
    }

    /// <summary>Adds bytes of another packet, from <paramref name="offset"/> after its Start, without copying them: neither may be changed there any more.</summary>
    public void AppendShared(Packet source, int offset, int length)
    {
        int head = source.End - source.Start;
        if (offset < head)
        {
            int count = Math.Min(length, head - offset);
            Append(source.Buffer.AsMemory(source.Start + offset, count));
            length -= count;
            offset = head;
        }

        offset -= head;
        for (int i = 0; i < source.PieceCount && length > 0; i++)
        {
            ReadOnlyMemory<byte> piece = source.Piece(i);
            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            int count = Math.Min(length, piece.Length - offset);
            Append(piece.Slice(offset, count));
            length -= count;
            offset = 0;
        }
    }

    /// <summary>Cuts to <paramref name="length"/> bytes from <see cref="Start"/> (padding behind an IP packet).</summary>
    public void Trim(int length)
    {
        int excess = Length - length;
        while (excess > 0 && MoreLength > 0)
        {
            int index = PieceCount - 1;
            ReadOnlyMemory<byte> last = Piece(index);
            int cut = Math.Min(excess, last.Length);
            if (index == 0)
                _first = last[..^cut];
            else if (cut == last.Length)
                _rest!.RemoveAt(index - 1);
            else
                _rest![index - 1] = last[..^cut];
            MoreLength -= cut;
            excess -= cut;
        }

        End -= Math.Max(0, excess);
    }

    /// <summary>Puts all bytes into the head, for layers that look into the payload.</summary>
    public void Flatten()
    {
        if (MoreLength == 0)
            return;
        int start = Start;
        byte[] buffer = GC.AllocateUninitializedArray<byte>(start + Length);
        Buffer.AsSpan(0, End).CopyTo(buffer);
        int end = End;
        for (int i = 0; i < PieceCount; i++)
        {
            Piece(i).Span.CopyTo(buffer.AsSpan(end));
            end += Piece(i).Length;
        }

        Buffer = buffer;
        End = end;
        _first = default;
        _rest = null;
        MoreLength = 0;
    }

    /// <summary>A copy with a head of its own and the same payload pieces (loopback of multicast, packet sockets).</summary>
    public Packet Clone()
    {
        var copy = new Packet(Buffer.AsSpan().ToArray(), Start, End)
        {
            LinkOffset = LinkOffset,
            NetworkOffset = NetworkOffset,
            TransportOffset = TransportOffset,
            TransportProtocol = TransportProtocol,
            Protocol = Protocol,
            Type = Type,
            Checksum = Checksum,
            SegmentSize = SegmentSize,
            Interface = Interface,
            ArrivalTime = ArrivalTime,
            _first = _first,
            _rest = _rest is null ? null : [.. _rest],
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
        for (int i = 0; i < PieceCount && done < destination.Length; i++)
        {
            ReadOnlyMemory<byte> piece = Piece(i);
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

    /// <summary>The unfolded checksum of all bytes from <paramref name="offset"/> after <see cref="Start"/> on; an even number of bytes apart from the end.</summary>
    public ulong Sum(int offset)
    {
        ulong sum = 0;
        bool odd = false;
        int head = End - Start;
        if (offset < head)
        {
            sum = InternetChecksum.Add(0, Buffer.AsSpan(Start + offset, head - offset));
            odd = (head - offset) % 2 != 0;
            offset = head;
        }

        offset -= head;
        for (int i = 0; i < PieceCount; i++)
        {
            ReadOnlyMemory<byte> piece = Piece(i);
            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            ulong part = InternetChecksum.Add(0, piece.Span[offset..]);
            if (odd)
            {
                // A piece at an odd place has its bytes in the other halves of the words (RFC 1071 section 2(B)).
                ushort folded = InternetChecksum.Fold(part);
                part = (ushort)(folded << 8 | folded >> 8);
            }

            odd ^= (piece.Length - offset) % 2 != 0;
            offset = 0;
            sum = InternetChecksum.Combine(sum, part);
        }

        return sum;
    }

    // Rarely: a packet that came in with less room than what is put in front of it now.
    private void Grow(int size)
    {
        int added = Headroom + size;
        byte[] buffer = GC.AllocateUninitializedArray<byte>(Buffer.Length + added);
        Buffer.CopyTo(buffer.AsSpan(added));
        Buffer = buffer;
        Start += added;
        End += added;
        LinkOffset += LinkOffset < 0 ? 0 : added;
        NetworkOffset += NetworkOffset < 0 ? 0 : added;
        TransportOffset += TransportOffset < 0 ? 0 : added;
    }

    private int PayloadLength(int transport)
    {
        if (transport < 0)
            return Length;
        const int tcpHeader = 20;
        int header = TransportProtocol == IpProtocol.Udp || transport + tcpHeader > End ? UdpHeader.Size : (Buffer[transport + 12] >> 4) * 4;
        return End - transport - header + MoreLength;
    }
}
