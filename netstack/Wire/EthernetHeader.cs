using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>ETH_P_* of linux/if_ether.h, in host order.</summary>
public static class EtherType
{
    public const ushort Ipv4 = 0x0800, Arp = 0x0806, Vlan = 0x8100, Ipv6 = 0x86dd, ServiceVlan = 0x88a8;

    /// <summary>Smaller values in the type field are lengths (IEEE 802.3).</summary>
    public const ushort FirstType = 0x0600;

    /// <summary>ETH_P_ALL, ETH_P_802_2: what packet sockets ask for, never on the wire.</summary>
    public const ushort All = 0x0003, Llc = 0x0004;
}

/// <summary>The header of an Ethernet II frame, perhaps with one 802.1Q tag.</summary>
/// <param name="Destination">To whom.</param>
/// <param name="Source">From whom.</param>
/// <param name="Type">ETH_P_*, the inner one of a tagged frame.</param>
public readonly record struct EthernetHeader(MacAddress Destination, MacAddress Source, ushort Type)
{
    /// <summary>Bytes without a tag.</summary>
    public const int Size = 14;

    /// <summary>Bytes of an 802.1Q tag.</summary>
    public const int TagSize = 4;

    /// <summary>Whether the frame carries an 802.1Q tag.</summary>
    public bool IsTagged { get; init; }

    /// <summary>VLAN identifier; 0 is a priority tag, which belongs to the untagged network.</summary>
    public int VlanId { get; init; }

    /// <summary>Where the payload begins.</summary>
    public int Length => IsTagged ? Size + TagSize : Size;

    /// <summary>False when the frame is too short.</summary>
    public static bool TryParse(ReadOnlySpan<byte> frame, out EthernetHeader header)
    {
        header = default;
        if (frame.Length < Size)
            return false;
        ushort type = BinaryPrimitives.ReadUInt16BigEndian(frame[12..]);
        var destination = MacAddress.FromBytes(frame);
        var source = MacAddress.FromBytes(frame[6..]);
        if (type is not (EtherType.Vlan or EtherType.ServiceVlan))
        {
            header = new EthernetHeader(destination, source, type);
            return true;
        }

        if (frame.Length < Size + TagSize)
            return false;
        header = new EthernetHeader(destination, source, BinaryPrimitives.ReadUInt16BigEndian(frame[16..]))
        {
            IsTagged = true,
            VlanId = BinaryPrimitives.ReadUInt16BigEndian(frame[14..]) & 0xfff,
        };
        return true;
    }

    /// <summary>Writes the 14 bytes of an untagged header.</summary>
    public static void Write(Span<byte> destination, MacAddress to, MacAddress from, ushort type)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, to.Value << 16 | from.Value >> 32);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], (uint)from.Value);
        BinaryPrimitives.WriteUInt16BigEndian(destination[12..], type);
    }
}
