using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>An IPv4 header (RFC 791). Options stay in the packet, between <see cref="Size"/> and <see cref="HeaderLength"/>.</summary>
public readonly record struct Ipv4Header
{
    /// <summary>Bytes without options.</summary>
    public const int Size = 20;

    /// <summary>Bytes with all the options there can be.</summary>
    public const int MaxSize = 60;

    private const ushort DontFragmentBit = 0x4000, MoreFragmentsBit = 0x2000;

    /// <summary>20 to 60.</summary>
    public int HeaderLength { get; init; }

    public byte TypeOfService { get; init; }

    /// <summary>Bytes of header and payload.</summary>
    public int TotalLength { get; init; }

    public ushort Identification { get; init; }

    public bool DontFragment { get; init; }

    public bool MoreFragments { get; init; }

    /// <summary>In bytes.</summary>
    public int FragmentOffset { get; init; }

    public byte TimeToLive { get; init; }

    public byte Protocol { get; init; }

    public InetAddress Source { get; init; }

    public InetAddress Destination { get; init; }

    /// <summary>Whether it is a part of a larger packet.</summary>
    public bool IsFragment => MoreFragments || FragmentOffset != 0;

    /// <param name="head">The packet's beginning, with the whole header.</param>
    /// <param name="available">Bytes there are of the packet; a total length beyond them is refused.</param>
    public static bool TryParse(ReadOnlySpan<byte> head, int available, out Ipv4Header header)
    {
        header = default;
        if (head.Length < Size || head[0] >> 4 != 4)
            return false;
        int headerLength = (head[0] & 0xf) * 4;
        int total = BinaryPrimitives.ReadUInt16BigEndian(head[2..]);
        if (headerLength < Size || head.Length < headerLength || total < headerLength || total > available)
            return false;
        header = ReadFields(head, headerLength, total);
        return true;
    }

    /// <summary>The header at the front of a packet that an ICMP error quotes, of which only the beginning is there.</summary>
    public static bool TryParseQuoted(ReadOnlySpan<byte> head, out Ipv4Header header)
    {
        header = default;
        if (head.Length < Size || head[0] >> 4 != 4)
            return false;
        int headerLength = (head[0] & 0xf) * 4;
        if (headerLength < Size || head.Length < headerLength)
            return false;
        header = ReadFields(head, headerLength, BinaryPrimitives.ReadUInt16BigEndian(head[2..]));
        return true;
    }

    /// <summary>Whether the checksum of a header of <paramref name="headerLength"/> bytes is right.</summary>
    public static bool IsChecksumRight(ReadOnlySpan<byte> head, int headerLength) =>
        InternetChecksum.Finish(InternetChecksum.Add(0, head[..headerLength])) == 0;

    /// <summary>Writes header and checksum.</summary>
    /// <param name="options">A multiple of four bytes, at most 40.</param>
    public void WriteTo(Span<byte> destination, ReadOnlySpan<byte> options = default)
    {
        int length = Size + options.Length;
        destination[0] = (byte)(0x40 | length / 4);
        destination[1] = TypeOfService;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)TotalLength);
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], Identification);
        int fragment = FragmentOffset / 8 | (DontFragment ? DontFragmentBit : 0) | (MoreFragments ? MoreFragmentsBit : 0);
        BinaryPrimitives.WriteUInt16BigEndian(destination[6..], (ushort)fragment);
        destination[8] = TimeToLive;
        destination[9] = Protocol;
        destination[10] = 0;
        destination[11] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(destination[12..], Source.V4);
        BinaryPrimitives.WriteUInt32BigEndian(destination[16..], Destination.V4);
        options.CopyTo(destination[Size..]);
        WriteChecksum(destination[..length]);
    }

    /// <summary>Computes the checksum of a header anew.</summary>
    public static void WriteChecksum(Span<byte> header)
    {
        header[10] = 0;
        header[11] = 0;
        InternetChecksum.Write(header[10..], InternetChecksum.Finish(InternetChecksum.Add(0, header)));
    }

    private static Ipv4Header ReadFields(ReadOnlySpan<byte> head, int headerLength, int total)
    {
        int fragment = BinaryPrimitives.ReadUInt16BigEndian(head[6..]);
        return new Ipv4Header
        {
            HeaderLength = headerLength,
            TypeOfService = head[1],
            TotalLength = total,
            Identification = BinaryPrimitives.ReadUInt16BigEndian(head[4..]),
            DontFragment = (fragment & DontFragmentBit) != 0,
            MoreFragments = (fragment & MoreFragmentsBit) != 0,
            FragmentOffset = (fragment & 0x1fff) * 8,
            TimeToLive = head[8],
            Protocol = head[9],
            Source = InetAddress.FromV4(BinaryPrimitives.ReadUInt32BigEndian(head[12..])),
            Destination = InetAddress.FromV4(BinaryPrimitives.ReadUInt32BigEndian(head[16..])),
        };
    }
}
