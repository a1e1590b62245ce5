using System.Buffers.Binary;
using System.Text;

namespace Netstack.Links;

/// <summary>
/// Writes frames as a pcapng file (IETF draft-ietf-opsawg-pcapng) that can be read while it grows. Every block goes to the stream in one
/// write.
/// </summary>
public sealed class PcapngWriter
{
    private const uint SectionHeader = 0x0a0d0d0a, InterfaceDescription = 1, EnhancedPacket = 6, ByteOrderMagic = 0x1a2b3c4d;
    private const ushort Ethernet = 1, OptionEnd = 0, InterfaceName = 2, TimeResolution = 9, PacketFlags = 2;
    private const byte Nanoseconds = 9;
    private const int BlockOverhead = 12;

    private readonly Stream _stream;
    private byte[] _buffer = new byte[2048];
    private int _interfaces;

    public PcapngWriter(Stream stream)
    {
        _stream = stream;
        Span<byte> body = Begin(16);
        BinaryPrimitives.WriteUInt32LittleEndian(body, ByteOrderMagic);
        BinaryPrimitives.WriteUInt16LittleEndian(body[4..], 1);
        BinaryPrimitives.WriteUInt16LittleEndian(body[6..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(body[8..], -1);
        End(SectionHeader, 16);
    }

    /// <summary>Declares a link; its number is for <see cref="Write"/>.</summary>
    public int AddInterface(string name)
    {
        byte[] text = Encoding.UTF8.GetBytes(name);
        int length = 8 + 4 + Padded(text.Length) + 8 + 4;
        Span<byte> body = Begin(length);
        BinaryPrimitives.WriteUInt16LittleEndian(body, Ethernet);
        BinaryPrimitives.WriteUInt32LittleEndian(body[4..], 0); // whole packets
        int at = Option(body, 8, InterfaceName, text);
        at = Option(body, at, TimeResolution, [Nanoseconds]);
        BinaryPrimitives.WriteUInt16LittleEndian(body[at..], OptionEnd);
        End(InterfaceDescription, length);
        return _interfaces++;
    }

    /// <summary>Writes one frame.</summary>
    /// <param name="realtime">ns since 1970.</param>
    /// <param name="outbound">Whether the sandbox sent it.</param>
    public void Write(int link, long realtime, ReadOnlySpan<byte> frame, bool outbound)
    {
        int options = 20 + Padded(frame.Length), length = options + 8 + 4;
        Span<byte> body = Begin(length);
        BinaryPrimitives.WriteInt32LittleEndian(body, link);
        BinaryPrimitives.WriteUInt32LittleEndian(body[4..], (uint)(realtime >> 32));
        BinaryPrimitives.WriteUInt32LittleEndian(body[8..], (uint)realtime);
        BinaryPrimitives.WriteInt32LittleEndian(body[12..], frame.Length);
        BinaryPrimitives.WriteInt32LittleEndian(body[16..], frame.Length);
        frame.CopyTo(body[20..]);
        Option(body, options, PacketFlags, [outbound ? (byte)2 : (byte)1, 0, 0, 0]);
        End(EnhancedPacket, length);
    }

    private static int Padded(int length) => (length + 3) & ~3;

    private static int Option(Span<byte> body, int at, ushort code, ReadOnlySpan<byte> value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(body[at..], code);
        BinaryPrimitives.WriteUInt16LittleEndian(body[(at + 2)..], (ushort)value.Length);
        value.CopyTo(body[(at + 4)..]);
        return at + 4 + Padded(value.Length);
    }

    private Span<byte> Begin(int length)
    {
        if (_buffer.Length < length + BlockOverhead)
            _buffer = new byte[Math.Max(2 * _buffer.Length, length + BlockOverhead)];
        Span<byte> body = _buffer.AsSpan(8, length);
        body.Clear();
        return body;
    }

    private void End(uint kind, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer, kind);
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(4), length + BlockOverhead);
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(8 + length), length + BlockOverhead);
        _stream.Write(_buffer, 0, length + BlockOverhead);
        _stream.Flush();
    }
}
