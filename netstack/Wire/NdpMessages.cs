using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>A neighbour solicitation or advertisement (RFC 4861 sections 4.3 and 4.4); the ICMP checksum and the hop limit are the caller's affair.</summary>
/// <param name="IsAdvertisement">Or else a solicitation.</param>
/// <param name="Target">The address that is asked for or told.</param>
/// <param name="LinkAddress">Source link-layer address of a solicitation, target link-layer address of an advertisement; null when it is not there.</param>
public readonly record struct NeighbourMessage(bool IsAdvertisement, InetAddress Target, MacAddress? LinkAddress)
{
    /// <summary>Bytes without options.</summary>
    public const int FixedSize = 24;

    private const uint RouterFlag = 0x8000_0000, SolicitedFlag = 0x4000_0000, OverrideFlag = 0x2000_0000;

    public bool IsRouter { get; init; }

    public bool IsSolicited { get; init; }

    public bool IsOverride { get; init; }

    /// <summary>A nonce (RFC 7527), which tells a looped solicitation of duplicate address detection from another's; 0 for none.</summary>
    public ulong Nonce { get; init; }

    /// <summary>Bytes that <see cref="WriteTo"/> writes.</summary>
    public int Size => FixedSize + (LinkAddress is null ? 0 : 8) + (Nonce == 0 ? 0 : 8);

    /// <param name="message">From the ICMP header to the end of the packet.</param>
    public static bool TryParse(ReadOnlySpan<byte> message, out NeighbourMessage result)
    {
        result = default;
        if (message.Length < FixedSize || message[1] != 0)
            return false;
        bool advertisement = message[0] == Icmpv6Type.NeighbourAdvertisement;
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(message[4..]);
        var target = InetAddress.FromBytes(message.Slice(8, 16));
        if (target.IsMulticast || target.IsV4)
            return false;
        MacAddress? link = null;
        ulong nonce = 0;
        for (ReadOnlySpan<byte> rest = message[FixedSize..]; NdpOptions.TryNext(ref rest, out byte type, out ReadOnlySpan<byte> value, out bool wrong);)
        {
            if (wrong)
                return false;
            if (type == (advertisement ? NdpOptions.TargetLinkAddress : NdpOptions.SourceLinkAddress) && value.Length == 6)
                link = MacAddress.FromBytes(value);
            else if (type == NdpOptions.Nonce && value.Length == 6)
                nonce = MacAddress.FromBytes(value).Value;
        }

        result = new NeighbourMessage(advertisement, target, link)
        {
            IsRouter = advertisement && (flags & RouterFlag) != 0,
            IsSolicited = advertisement && (flags & SolicitedFlag) != 0,
            IsOverride = advertisement && (flags & OverrideFlag) != 0,
            Nonce = nonce,
        };
        return true;
    }

    /// <summary>Writes <see cref="Size"/> bytes with a checksum of 0.</summary>
    public void WriteTo(Span<byte> destination)
    {
        uint flags = (IsRouter ? RouterFlag : 0) | (IsSolicited ? SolicitedFlag : 0) | (IsOverride ? OverrideFlag : 0);
        new IcmpHeader(IsAdvertisement ? Icmpv6Type.NeighbourAdvertisement : Icmpv6Type.NeighbourSolicitation, 0, flags).WriteTo(destination);
        Target.WriteV6(destination[8..]);
        int offset = FixedSize;
        if (LinkAddress is { } link)
        {
            destination[offset] = IsAdvertisement ? NdpOptions.TargetLinkAddress : NdpOptions.SourceLinkAddress;
            destination[offset + 1] = 1;
            link.WriteTo(destination[(offset + 2)..]);
            offset += 8;
        }

        if (Nonce == 0)
            return;
        destination[offset] = NdpOptions.Nonce;
        destination[offset + 1] = 1;
        new MacAddress(Nonce).WriteTo(destination[(offset + 2)..]);
    }
}

/// <summary>A router solicitation (RFC 4861 section 4.1).</summary>
/// <param name="LinkAddress">Source link-layer address; null when it is not there.</param>
public readonly record struct RouterSolicitation(MacAddress? LinkAddress)
{
    /// <summary>Bytes without options.</summary>
    public const int FixedSize = 8;

    /// <summary>Bytes that <see cref="WriteTo"/> writes.</summary>
    public int Size => FixedSize + (LinkAddress is null ? 0 : 8);

    /// <param name="message">From the ICMP header to the end of the packet.</param>
    public static bool TryParse(ReadOnlySpan<byte> message, out RouterSolicitation solicitation)
    {
        solicitation = default;
        if (message.Length < FixedSize || message[1] != 0)
            return false;
        MacAddress? link = null;
        for (ReadOnlySpan<byte> rest = message[FixedSize..]; NdpOptions.TryNext(ref rest, out byte type, out ReadOnlySpan<byte> value, out bool wrong);)
        {
            if (wrong)
                return false;
            if (type == NdpOptions.SourceLinkAddress && value.Length == 6)
                link = MacAddress.FromBytes(value);
        }

        solicitation = new RouterSolicitation(link);
        return true;
    }

    /// <summary>Writes <see cref="Size"/> bytes with a checksum of 0.</summary>
    public void WriteTo(Span<byte> destination)
    {
        new IcmpHeader(Icmpv6Type.RouterSolicitation, 0, 0).WriteTo(destination);
        if (LinkAddress is not { } link)
            return;
        destination[FixedSize] = NdpOptions.SourceLinkAddress;
        destination[FixedSize + 1] = 1;
        link.WriteTo(destination[(FixedSize + 2)..]);
    }
}

/// <summary>Options of neighbour discovery (RFC 4861 section 4.6): type, length in units of eight bytes, value.</summary>
public static class NdpOptions
{
    public const byte SourceLinkAddress = 1, TargetLinkAddress = 2, PrefixInformation = 3, RedirectedHeader = 4, Mtu = 5, Nonce = 14, RecursiveDns = 25;

    /// <summary>Takes the next option off; false at the end. A length of 0 or beyond the message is <paramref name="wrong"/> (section 4.6: discard the packet).</summary>
    public static bool TryNext(ref ReadOnlySpan<byte> rest, out byte type, out ReadOnlySpan<byte> value, out bool wrong)
    {
        type = 0;
        value = default;
        wrong = false;
        if (rest.Length == 0)
            return false;
        if (rest.Length < 8 || rest[1] == 0 || rest[1] * 8 > rest.Length)
        {
            wrong = true;
            rest = default;
            return true;
        }

        int length = rest[1] * 8;
        type = rest[0];
        value = rest[2..length];
        rest = rest[length..];
        return true;
    }
}

/// <summary>A prefix that a router advertises (RFC 4861 section 4.6.2).</summary>
/// <param name="Prefix">The prefix, other bits cleared.</param>
/// <param name="Length">0 to 128.</param>
/// <param name="OnLink">Destinations within it are neighbours.</param>
/// <param name="Autonomous">Addresses may be made of it (RFC 4862).</param>
/// <param name="ValidLifetime">Seconds; uint.MaxValue is for ever.</param>
/// <param name="PreferredLifetime">Seconds.</param>
public readonly record struct AdvertisedPrefix(InetAddress Prefix, int Length, bool OnLink, bool Autonomous, uint ValidLifetime, uint PreferredLifetime);

/// <summary>A router advertisement (RFC 4861 section 4.2).</summary>
public sealed class RouterAdvertisement
{
    /// <summary>Bytes without options.</summary>
    public const int FixedSize = 16;

    private const int MaxPrefixes = 16;

    private readonly List<AdvertisedPrefix> _prefixes = [];

    /// <summary>0 when it is not told.</summary>
    public byte HopLimit { get; private init; }

    /// <summary>Seconds; 0: not a default router.</summary>
    public int RouterLifetime { get; private init; }

    /// <summary>Milliseconds; 0 when it is not told.</summary>
    public uint ReachableTime { get; private init; }

    /// <summary>Milliseconds; 0 when it is not told.</summary>
    public uint RetransmitTime { get; private init; }

    public MacAddress? LinkAddress { get; private set; }

    /// <summary>0 when it is not told.</summary>
    public int Mtu { get; private set; }

    public IReadOnlyList<AdvertisedPrefix> Prefixes => _prefixes;

    /// <param name="message">From the ICMP header to the end of the packet.</param>
    /// <param name="advertisement">Null when it is malformed.</param>
    public static bool TryParse(ReadOnlySpan<byte> message, out RouterAdvertisement? advertisement)
    {
        advertisement = null;
        if (message.Length < FixedSize || message[1] != 0)
            return false;
        var parsed = new RouterAdvertisement
        {
            HopLimit = message[4],
            RouterLifetime = BinaryPrimitives.ReadUInt16BigEndian(message[6..]),
            ReachableTime = BinaryPrimitives.ReadUInt32BigEndian(message[8..]),
            RetransmitTime = BinaryPrimitives.ReadUInt32BigEndian(message[12..]),
        };
        for (ReadOnlySpan<byte> rest = message[FixedSize..]; NdpOptions.TryNext(ref rest, out byte type, out ReadOnlySpan<byte> value, out bool wrong);)
        {
            if (wrong)
                return false;
            parsed.Take(type, value);
        }

        advertisement = parsed;
        return true;
    }

    private void Take(byte type, ReadOnlySpan<byte> value)
    {
        if (type == NdpOptions.SourceLinkAddress && value.Length == 6)
        {
            LinkAddress = MacAddress.FromBytes(value);
        }
        else if (type == NdpOptions.Mtu && value.Length == 6)
        {
            uint mtu = BinaryPrimitives.ReadUInt32BigEndian(value[2..]);
            Mtu = mtu <= 65535 ? (int)mtu : 0;
        }
        else if (type == NdpOptions.PrefixInformation && value.Length == 30 && value[0] <= 128 && _prefixes.Count < MaxPrefixes)
        {
            InetAddress prefix = InetAddress.FromBytes(value.Slice(14, 16));
            if (prefix.IsV6)
            {
                _prefixes.Add(new AdvertisedPrefix(prefix.Network(value[0]), value[0], (value[1] & 0x80) != 0, (value[1] & 0x40) != 0,
                    BinaryPrimitives.ReadUInt32BigEndian(value[2..]), BinaryPrimitives.ReadUInt32BigEndian(value[6..])));
            }
        }
    }
}
