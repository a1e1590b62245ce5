using System.Buffers.Binary;

namespace Netstack.Links;

/// <summary>Writes Ethernet frames as a capture file with nanosecond time stamps (the pcap format of draft-ietf-opsawg-pcap, magic 0xa1b23c4d), which
/// tcpdump and tshark read.</summary>
public sealed class PcapWriter
{
    /// <summary>Bytes of the file's header, and of that of each frame.</summary>
    public const int FileHeaderSize = 24, RecordHeaderSize = 16;

    /// <summary>Longer than any frame there is: an IP packet of 64 KiB and its link header.</summary>
    public const int DefaultSnapLength = 262144;

    private const uint Magic = 0xa1b23c4d;
    private const int LinkTypeEthernet = 1;
    private const long Second = 1_000_000_000;

    private readonly Stream _stream;
    private readonly int _snapLength;

    /// <summary>Writes the file's header.</summary>
    /// <param name="stream">Where to; it is not closed here.</param>
    /// <param name="snapLength">Bytes of a frame that are kept at most.</param>
    public PcapWriter(Stream stream, int snapLength = DefaultSnapLength)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(snapLength, 1);
        _stream = stream;
        _snapLength = snapLength;
        Span<byte> header = stackalloc byte[FileHeaderSize];
        header.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], 4);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], snapLength);
        BinaryPrimitives.WriteInt32LittleEndian(header[20..], LinkTypeEthernet);
        stream.Write(header);
    }

    /// <param name="time">Nanoseconds since 1970.</param>
    /// <param name="frame">From the Ethernet header on.</param>
    public void Write(long time, ReadOnlySpan<byte> frame)
    {
        WriteHeader(time, frame.Length);
        _stream.Write(frame[..Math.Min(frame.Length, _snapLength)]);
    }

    /// <summary>A frame of the stack, from its Start on.</summary>
    /// <param name="time">Nanoseconds since 1970.</param>
    /// <param name="frame">From the Ethernet header on.</param>
    public void Write(long time, Packet frame)
    {
        WriteHeader(time, frame.Length);
        int left = Math.Min(frame.Length, _snapLength);
        ReadOnlySpan<byte> head = frame.Head;
        head = head[..Math.Min(head.Length, left)];
        _stream.Write(head);
        left -= head.Length;
        for (int i = 0; i < frame.PieceCount && left > 0; i++)
        {
            ReadOnlySpan<byte> piece = frame.Piece(i).Span;
            piece = piece[..Math.Min(piece.Length, left)];
            _stream.Write(piece);
            left -= piece.Length;
        }
    }

    /// <summary>Hands what was written on to the stream's file.</summary>
    public void Flush() => _stream.Flush();

    private void WriteHeader(long time, int length)
    {
        Span<byte> header = stackalloc byte[RecordHeaderSize];
        BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)(time / Second));
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], (uint)(time % Second));
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], Math.Min(length, _snapLength));
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], length);
        _stream.Write(header);
    }
}
