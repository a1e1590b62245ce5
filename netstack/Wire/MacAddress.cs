using System.Globalization;

namespace Netstack.Wire;

/// <summary>An Ethernet address (EUI-48).</summary>
[Savable("mac-address")]
public partial struct MacAddress : IEquatable<MacAddress>
{
    [Saved(1)] private ulong _value;

    /// <param name="value">48 bits, the first byte on the wire the most significant.</param>
    public MacAddress(ulong value) => _value = value & 0xffff_ffff_ffff;

    public static readonly MacAddress Broadcast = new(0xffff_ffff_ffff);

    public readonly ulong Value => _value;

    public readonly bool IsBroadcast => _value == 0xffff_ffff_ffff;

    /// <summary>Group bit; also of broadcast.</summary>
    public readonly bool IsMulticast => (_value >> 40 & 1) != 0;

    public static MacAddress FromBytes(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        foreach (byte b in bytes[..6])
            value = value << 8 | b;
        return new MacAddress(value);
    }

    /// <summary>The group address of an IP multicast address (RFC 1112 section 6.4, RFC 2464 section 7).</summary>
    public static MacAddress OfMulticast(InetAddress group) => new(group.IsV4 ? 0x01_00_5e_00_00_00UL | (group.V4 & 0x7f_ffff) : 0x33_33_00_00_00_00UL | (uint)group.Low);

    /// <summary>aa:bb:cc:dd:ee:ff.</summary>
    public static bool TryParse(string text, out MacAddress address)
    {
        address = default;
        string[] parts = text.Split(':');
        if (parts.Length != 6)
            return false;
        ulong value = 0;
        foreach (string part in parts)
        {
            if (part.Length is 0 or > 2 || !byte.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte b))
                return false;
            value = value << 8 | b;
        }

        address = new MacAddress(value);
        return true;
    }

    /// <summary>Writes six bytes.</summary>
    public readonly void WriteTo(Span<byte> destination)
    {
        for (int i = 0; i < 6; i++)
            destination[i] = (byte)(_value >> (40 - (8 * i)));
    }

    /// <summary>The modified EUI-64 link-local address (RFC 4291, appendix A).</summary>
    public readonly InetAddress LinkLocal => new(0xfe80_0000_0000_0000, (_value & 0xff_ffff_000000) << 16 ^ 0x0200_0000_0000_0000 | 0xff_fe00_0000 | (_value & 0xff_ffff));

    public static bool operator ==(MacAddress left, MacAddress right) => left._value == right._value;

    public static bool operator !=(MacAddress left, MacAddress right) => left._value != right._value;

    public readonly bool Equals(MacAddress other) => _value == other._value;

    public override readonly bool Equals(object? obj) => obj is MacAddress other && Equals(other);

    public override readonly int GetHashCode() => _value.GetHashCode();

    public override readonly string ToString()
    {
        Span<byte> bytes = stackalloc byte[6];
        WriteTo(bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{bytes[0]:x2}:{bytes[1]:x2}:{bytes[2]:x2}:{bytes[3]:x2}:{bytes[4]:x2}:{bytes[5]:x2}");
    }
}
