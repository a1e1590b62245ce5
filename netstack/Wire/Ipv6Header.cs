using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>The fixed header of IPv6 (RFC 8200 section 3).</summary>
public readonly record struct Ipv6Header
{
    public const int Size = 40;

    public byte TrafficClass { get; init; }

    /// <summary>20 bits.</summary>
    public uint FlowLabel { get; init; }

    /// <summary>Bytes behind this header.</summary>
    public int PayloadLength { get; init; }

    public byte NextHeader { get; init; }

    public byte HopLimit { get; init; }

    public InetAddress Source { get; init; }

    public InetAddress Destination { get; init; }

    /// <param name="head">The packet's beginning, with the whole header.</param>
    /// <param name="available">Bytes there are of the packet; a payload length beyond them is refused.</param>
    public static bool TryParse(ReadOnlySpan<byte> head, int available, out Ipv6Header header) =>
        TryParseQuoted(head, out header) && Size + header.PayloadLength <= available;

    /// <summary>The header at the front of a packet that an ICMP error quotes.</summary>
    public static bool TryParseQuoted(ReadOnlySpan<byte> head, out Ipv6Header header)
    {
        header = default;
        if (head.Length < Size || head[0] >> 4 != 6)
            return false;
        uint first = BinaryPrimitives.ReadUInt32BigEndian(head);
        header = new Ipv6Header
        {
            TrafficClass = (byte)(first >> 20),
            FlowLabel = first & 0xfffff,
            PayloadLength = BinaryPrimitives.ReadUInt16BigEndian(head[4..]),
            NextHeader = head[6],
            HopLimit = head[7],
            Source = InetAddress.FromBytes(head.Slice(8, 16)),
            Destination = InetAddress.FromBytes(head.Slice(24, 16)),
        };
        return true;
    }

    public void WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, 0x6000_0000 | (uint)TrafficClass << 20 | FlowLabel & 0xfffff);
        BinaryPrimitives.WriteUInt16BigEndian(destination[4..], (ushort)PayloadLength);
        destination[6] = NextHeader;
        destination[7] = HopLimit;
        Source.WriteV6(destination[8..]);
        Destination.WriteV6(destination[24..]);
    }
}
