using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Netstack.Wire;

/// <summary>An IPv4 or IPv6 address in 16 bytes. IPv4 is kept in its IPv4-mapped form (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that
/// one table holds both; a mapped address never appears on the wire as IPv6. <c>default</c> is the IPv6 unspecified address.</summary>
[Savable("inet-address")]
public partial struct InetAddress : IEquatable<InetAddress>, IComparable<InetAddress>
{
    private const ulong MappedPrefix = 0xffff_0000_0000;

    [Saved(1)] private ulong _high;
    [Saved(2)] private ulong _low;

    /// <param name="high">The first eight bytes, most significant first.</param>
    /// <param name="low">The last eight bytes.</param>
    public InetAddress(ulong high, ulong low) => (_high, _low) = (high, low);

    public static readonly InetAddress AnyV4 = FromV4(0), AnyV6 = default, LoopbackV4 = FromV4(0x7f000001), LoopbackV6 = new(0, 1), BroadcastV4 = FromV4(0xffffffff);

    public readonly ulong High => _high;

    public readonly ulong Low => _low;

    /// <param name="address">In host order: 127.0.0.1 is 0x7f000001.</param>
    public static InetAddress FromV4(uint address) => new(0, MappedPrefix | address);

    /// <summary>Of 4 or 16 bytes in network order.</summary>
    public static InetAddress FromBytes(ReadOnlySpan<byte> bytes) => bytes.Length == 4
        ? FromV4(BinaryPrimitives.ReadUInt32BigEndian(bytes))
        : new(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]));

    public static InetAddress Parse(string text) => FromBytes(IPAddress.Parse(text).GetAddressBytes());

    public static bool TryParse(string text, out InetAddress address)
    {
        bool parsed = IPAddress.TryParse(text, out IPAddress? found) && (found.AddressFamily == AddressFamily.InterNetworkV6 || text.Count(c => c == '.') == 3);
        address = parsed ? FromBytes(found!.GetAddressBytes()) : default;
        return parsed;
    }

    public readonly bool IsV4 => _high == 0 && _low >> 32 == 0xffff;

    public readonly bool IsV6 => !IsV4;

    /// <summary>The IPv4 address in host order; only of one that <see cref="IsV4"/>.</summary>
    public readonly uint V4 => (uint)_low;

    /// <summary>Bytes on the wire: 4 or 16.</summary>
    public readonly int Size => IsV4 ? 4 : 16;

    /// <summary>32 or 128.</summary>
    public readonly int Bits => IsV4 ? 32 : 128;

    /// <summary>0.0.0.0 or ::.</summary>
    public readonly bool IsAny => _high == 0 && _low is 0 or MappedPrefix;

    public readonly bool IsLoopback => _high == 0 && (_low == 1 || _low >> 24 == 0xffff_7f);

    public readonly bool IsMulticast => IsV4 ? (byte)(_low >> 24) is >= 224 and < 240 : _high >> 56 == 0xff;

    /// <summary>255.255.255.255.</summary>
    public readonly bool IsBroadcast => _high == 0 && _low == (MappedPrefix | 0xffffffff);

    /// <summary>169.254.0.0/16 or fe80::/10.</summary>
    public readonly bool IsLinkLocal => IsV4 ? _low >> 16 == 0xffff_a9fe : _high >> 54 == 0x3fa;

    /// <summary>Multicast of link-local scope: 224.0.0.0/24, ff02::/16.</summary>
    public readonly bool IsLinkLocalMulticast => IsV4 ? _low >> 8 == 0xffff_e00000 : _high >> 48 == 0xff02;

    /// <summary>Writes 4 or 16 bytes in network order.</summary>
    public readonly void WriteTo(Span<byte> destination)
    {
        if (IsV4)
            BinaryPrimitives.WriteUInt32BigEndian(destination, V4);
        else
            WriteV6(destination);
    }

    /// <summary>Writes 16 bytes; IPv4 in mapped form.</summary>
    public readonly void WriteV6(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _high);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _low);
    }

    /// <summary>4 or 16 bytes in network order.</summary>
    public readonly byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        WriteTo(bytes);
        return bytes;
    }

    /// <summary>The network part.</summary>
    /// <param name="prefix">0 to <see cref="Bits"/>.</param>
    public readonly InetAddress Network(int prefix)
    {
        if (IsV4)
            prefix += 96;
        ulong high = prefix >= 64 ? ulong.MaxValue : prefix == 0 ? 0 : ulong.MaxValue << (64 - prefix);
        ulong low = prefix >= 128 ? ulong.MaxValue : prefix <= 64 ? 0 : ulong.MaxValue << (128 - prefix);
        return new InetAddress(_high & high, _low & low);
    }

    /// <summary>Whether the first <paramref name="prefix"/> bits (of <see cref="Bits"/>) and the family are the same.</summary>
    public readonly bool IsWithin(InetAddress network, int prefix) => IsV4 == network.IsV4 && Network(prefix) == network.Network(prefix);

    /// <summary>How many leading bits (of 128) two addresses share (RFC 6724, CommonPrefixLen).</summary>
    public readonly int CommonPrefix(InetAddress other)
    {
        ulong difference = _high ^ other._high;
        return difference != 0 ? (int)ulong.LeadingZeroCount(difference) : 64 + (int)ulong.LeadingZeroCount(_low ^ other._low);
    }

    /// <summary>The solicited-node multicast address (RFC 4291 section 2.7.1).</summary>
    public readonly InetAddress SolicitedNode => new(0xff02_0000_0000_0000, 0x1_ff00_0000 | (_low & 0xff_ffff));

    public static bool operator ==(InetAddress left, InetAddress right) => left._low == right._low && left._high == right._high;

    public static bool operator !=(InetAddress left, InetAddress right) => !(left == right);

    public readonly bool Equals(InetAddress other) => this == other;

    public override readonly bool Equals(object? obj) => obj is InetAddress other && this == other;

    public override readonly int GetHashCode() => HashCode.Combine(_high, _low);

    public readonly int CompareTo(InetAddress other) => _high != other._high ? _high.CompareTo(other._high) : _low.CompareTo(other._low);

    public override readonly string ToString() => IsV4
        ? string.Create(CultureInfo.InvariantCulture, $"{(byte)(V4 >> 24)}.{(byte)(V4 >> 16)}.{(byte)(V4 >> 8)}.{(byte)V4}")
        : new IPAddress(ToBytes()).ToString();
}
