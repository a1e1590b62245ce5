using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>An ARP packet for IPv4 over Ethernet (RFC 826).</summary>
/// <param name="Operation"><see cref="Request"/> or <see cref="Reply"/>.</param>
/// <param name="SenderMac">ar$sha.</param>
/// <param name="Sender">ar$spa; 0.0.0.0 in a probe (RFC 5227).</param>
/// <param name="TargetMac">ar$tha; of no meaning in a request.</param>
/// <param name="Target">ar$tpa.</param>
public readonly record struct ArpPacket(ushort Operation, MacAddress SenderMac, InetAddress Sender, MacAddress TargetMac, InetAddress Target)
{
    public const int Size = 28;
    public const ushort Request = 1, Reply = 2;

    /// <summary>False for other hardware and other protocols, and when it is too short.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out ArpPacket packet)
    {
        packet = default;
        if (bytes.Length < Size)
            return false;

        // Hardware Ethernet (1) or IEEE 802 (6), protocol IPv4, address lengths 6 and 4.
        if (bytes[0] != 0 || bytes[1] is not (1 or 6) || BinaryPrimitives.ReadUInt32BigEndian(bytes[2..]) != 0x0800_0604)
            return false;
        packet = new ArpPacket(
            BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]),
            MacAddress.FromBytes(bytes[8..]),
            InetAddress.FromBytes(bytes.Slice(14, 4)),
            MacAddress.FromBytes(bytes[18..]),
            InetAddress.FromBytes(bytes.Slice(24, 4)));
        return true;
    }

    /// <summary>Writes 28 bytes.</summary>
    public void WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, 0x0001_0800_0604_0000UL | Operation);
        SenderMac.WriteTo(destination[8..]);
        Sender.WriteTo(destination[14..]);
        TargetMac.WriteTo(destination[18..]);
        Target.WriteTo(destination[24..]);
    }
}
