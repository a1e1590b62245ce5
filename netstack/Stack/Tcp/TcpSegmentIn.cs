namespace Netstack.Stack;

/// <summary>A received segment, read but not yet looked at.</summary>
internal struct TcpSegmentIn
{
    public TcpHeader Header;
    public TcpHeaderOptions Options;
    public Packet Packet;

    /// <summary>After the last sequence number it occupies, SYN and FIN counted.</summary>
    public uint End;

    /// <summary>Payload bytes.</summary>
    public int Length;

    /// <summary>TOS or traffic class.</summary>
    public byte Tos;

    public readonly uint Seq => Header.Sequence;

    public readonly bool Has(TcpFlags flags) => Header.Has(flags);

    /// <summary>Segments of the wire that it stands for.</summary>
    public readonly int Count => Packet.SegmentSize > 0 && Length > 0 ? (Length + Packet.SegmentSize - 1) / Packet.SegmentSize : 1;

    /// <summary>Payload of the largest of them.</summary>
    public readonly int SegmentLength => Packet.SegmentSize > 0 ? Math.Min(Packet.SegmentSize, Length) : Length;

    /// <summary>The pieces of its payload from <paramref name="skip"/> on; returns how many.</summary>
    public readonly int Pieces(int skip, Span<ReadOnlyMemory<byte>> pieces)
    {
        int count = 0;
        int start = Packet.TransportOffset + Header.Length;
        int inHead = Packet.End - start;
        if (skip < inHead)
        {
            pieces[count++] = Own(Packet.Buffer.AsMemory(start + skip, inHead - skip));
            skip = 0;
        }
        else
        {
            skip -= inHead;
        }

        for (int i = 0; i < Packet.PieceCount; i++)
        {
            ReadOnlyMemory<byte> piece = Packet.Piece(i);
            if (skip >= piece.Length)
            {
                skip -= piece.Length;
                continue;
            }

            pieces[count++] = piece[skip..];
            skip = 0;
        }

        return count;
    }

    /// <summary>A few bytes must not keep a large buffer.</summary>
    private readonly ReadOnlyMemory<byte> Own(ReadOnlyMemory<byte> piece) => Packet.Buffer.Length > 512 && piece.Length < Packet.Buffer.Length / 2 ? piece.ToArray() : piece;
}
