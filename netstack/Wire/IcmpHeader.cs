using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>Types of ICMP (RFC 792).</summary>
public static class IcmpType
{
    public const byte EchoReply = 0, Unreachable = 3, SourceQuench = 4, Redirect = 5, Echo = 8, TimeExceeded = 11, ParameterProblem = 12, Timestamp = 13,
        TimestampReply = 14, InformationRequest = 15, InformationReply = 16, AddressMask = 17, AddressMaskReply = 18;

    /// <summary>Codes of <see cref="Unreachable"/>.</summary>
    public const byte NetUnreachable = 0, HostUnreachable = 1, ProtocolUnreachable = 2, PortUnreachable = 3, FragmentationNeeded = 4, SourceRouteFailed = 5,
        HostProhibited = 10, Prohibited = 13;

    /// <summary>Whether it reports an error, so that none is sent in answer.</summary>
    public static bool IsError(byte type) => type is Unreachable or SourceQuench or Redirect or TimeExceeded or ParameterProblem;
}

/// <summary>Types of ICMPv6 (RFC 4443, RFC 4861, RFC 3810).</summary>
public static class Icmpv6Type
{
    public const byte Unreachable = 1, PacketTooBig = 2, TimeExceeded = 3, ParameterProblem = 4, Echo = 128, EchoReply = 129, ListenerQuery = 130, ListenerReport = 131,
        ListenerDone = 132, RouterSolicitation = 133, RouterAdvertisement = 134, NeighbourSolicitation = 135, NeighbourAdvertisement = 136, Redirect = 137,
        ListenerReportV2 = 143;

    /// <summary>Codes of <see cref="Unreachable"/>.</summary>
    public const byte NoRoute = 0, Prohibited = 1, BeyondScope = 2, AddressUnreachable = 3, PortUnreachable = 4, PolicyFailed = 5, RejectRoute = 6;

    /// <summary>Errors have the high bit clear (RFC 4443 section 2.1).</summary>
    public static bool IsError(byte type) => type < 128;
}

/// <summary>The eight bytes that every ICMP message begins with.</summary>
/// <param name="Type">What it is.</param>
/// <param name="Code">Which kind of it.</param>
/// <param name="Rest">The second four bytes: identifier and sequence number, MTU, pointer.</param>
public readonly record struct IcmpHeader(byte Type, byte Code, uint Rest)
{
    public const int Size = 8, ChecksumOffset = 2;

    /// <summary>Of echo messages.</summary>
    public ushort Identifier => (ushort)(Rest >> 16);

    /// <summary>Of echo messages.</summary>
    public ushort Sequence => (ushort)Rest;

    public static bool TryParse(ReadOnlySpan<byte> bytes, out IcmpHeader header)
    {
        header = default;
        if (bytes.Length < Size)
            return false;
        header = new IcmpHeader(bytes[0], bytes[1], BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]));
        return true;
    }

    /// <summary>Writes eight bytes with a checksum of 0.</summary>
    public void WriteTo(Span<byte> destination)
    {
        destination[0] = Type;
        destination[1] = Code;
        destination[2] = 0;
        destination[3] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], Rest);
    }
}
