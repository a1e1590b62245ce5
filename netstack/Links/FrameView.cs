using System.Buffers.Binary;

namespace Netstack.Links;

/// <summary>Looks at an Ethernet frame without taking it apart: only what a switch must know. Reads are bounds-checked by the kind of frame.</summary>
public readonly ref struct FrameView
{
    /// <summary>Bytes of an Ethernet header.</summary>
    public const int HeaderSize = 14;

    /// <summary>ETH_P_*.</summary>
    public const ushort Ipv4 = 0x0800, Arp = 0x0806, Ipv6 = 0x86dd;

    private const byte Icmpv6 = 58, NeighborSolicitation = 135, NeighborAdvertisement = 136;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">From the Ethernet header, at least <see cref="HeaderSize"/> bytes.</param>
    public FrameView(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    public MacAddress Destination => MacAddress.FromBytes(_bytes);

    public MacAddress Source => MacAddress.FromBytes(_bytes[6..]);

    public ushort Protocol => BinaryPrimitives.ReadUInt16BigEndian(_bytes[12..]);

    /// <summary>The addresses that the frame says are its sender's: an IP packet's source, ARP's sender, the target of a neighbour
    /// advertisement. Null when it says none.</summary>
    public InetAddress? ClaimedAddress
    {
        get
        {
            ReadOnlySpan<byte> payload = _bytes[HeaderSize..];
            switch (Protocol)
            {
                case Ipv4 when payload.Length >= 20:
                    return InetAddress.FromBytes(payload.Slice(12, 4));
                case Arp when IsIpv4Arp(payload):
                    return InetAddress.FromBytes(payload.Slice(14, 4));
                case Ipv6 when payload.Length >= 64 && payload[6] == Icmpv6 && payload[40] == NeighborAdvertisement:
                    return InetAddress.FromBytes(payload.Slice(48, 16));
                case Ipv6 when payload.Length >= 40:
                    return InetAddress.FromBytes(payload.Slice(8, 16));
                default:
                    return null;
            }
        }
    }

    /// <summary>The address that an ARP request or neighbour solicitation asks for.</summary>
    public InetAddress? WantedAddress
    {
        get
        {
            ReadOnlySpan<byte> payload = _bytes[HeaderSize..];
            return Protocol switch
            {
                Arp when IsIpv4Arp(payload) && payload[7] == 1 => InetAddress.FromBytes(payload.Slice(24, 4)),
                Ipv6 when payload.Length >= 64 && payload[6] == Icmpv6 && payload[40] == NeighborSolicitation => InetAddress.FromBytes(payload.Slice(48, 16)),
                _ => null,
            };
        }
    }

    private static bool IsIpv4Arp(ReadOnlySpan<byte> payload) =>
        payload.Length >= 28 && BinaryPrimitives.ReadUInt16BigEndian(payload) == 1 && BinaryPrimitives.ReadUInt16BigEndian(payload[2..]) == Ipv4
        && payload[4] == 6 && payload[5] == 4;
}
