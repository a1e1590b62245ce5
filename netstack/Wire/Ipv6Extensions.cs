using System.Buffers.Binary;

namespace Netstack.Wire;

/// <summary>How a walk over extension headers ended.</summary>
public enum Ipv6WalkEnd
{
    /// <summary>At an upper-layer header, or at "no next header".</summary>
    UpperLayer,

    /// <summary>At a fragment header, which is at <see cref="Ipv6Walk.Offset"/>.</summary>
    Fragment,

    /// <summary>Malformed or to be discarded silently.</summary>
    Drop,

    /// <summary>To be discarded with an ICMP parameter problem.</summary>
    ParameterProblem,
}

/// <summary>Where a walk over the extension headers of a packet ended.</summary>
/// <param name="End">How.</param>
/// <param name="Protocol">The header at <paramref name="Offset"/>.</param>
/// <param name="Offset">From the beginning of the IPv6 header.</param>
public readonly record struct Ipv6Walk(Ipv6WalkEnd End, byte Protocol, int Offset)
{
    /// <summary>Of a parameter problem: 0 erroneous field, 1 unknown next header, 2 unknown option (RFC 4443 section 3.4).</summary>
    public byte Code { get; init; }

    /// <summary>Of a parameter problem: which byte is wrong.</summary>
    public int Pointer { get; init; }

    /// <summary>Of a parameter problem with an option: the sender of a packet to a group is not told (action 11).</summary>
    public bool NotIfGroup { get; init; }

    /// <summary>Where the next-header field that names <see cref="Protocol"/> stands.</summary>
    public int NextHeaderField { get; init; }

    /// <summary>A hop-by-hop option asks routers to look (RFC 2711).</summary>
    public bool HasRouterAlert { get; init; }
}

/// <summary>A fragment header (RFC 8200 section 4.5).</summary>
/// <param name="NextHeader">Of the first header in the fragmented part.</param>
/// <param name="Offset">In bytes.</param>
/// <param name="MoreFragments">Whether others follow.</param>
/// <param name="Identification">What the fragments of a packet have in common.</param>
public readonly record struct Ipv6Fragment(byte NextHeader, int Offset, bool MoreFragments, uint Identification)
{
    public const int Size = 8;

    public static bool TryParse(ReadOnlySpan<byte> bytes, out Ipv6Fragment fragment)
    {
        fragment = default;
        if (bytes.Length < Size)
            return false;
        int field = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        fragment = new Ipv6Fragment(bytes[0], field & 0xfff8, (field & 1) != 0, BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]));
        return true;
    }

    public void WriteTo(Span<byte> destination)
    {
        destination[0] = NextHeader;
        destination[1] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(destination[2..], (ushort)(Offset | (MoreFragments ? 1 : 0)));
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], Identification);
    }
}

/// <summary>The chain of extension headers (RFC 8200 section 4).</summary>
public static class Ipv6Extensions
{
    public const byte HopByHop = 0, Routing = 43, Fragment = 44, EncapsulatingSecurity = 50, Authentication = 51, NoNext = 59, DestinationOptions = 60;

    private const byte Pad1 = 0, PadN = 1, RouterAlert = 5;
    private const int MaxHeaders = 8, MaxOptions = 8;

    /// <summary>Walks from the header named <paramref name="next"/> at <paramref name="offset"/> to the upper layer or a fragment header.</summary>
    /// <param name="packet">From the IPv6 header on.</param>
    /// <param name="next">The next-header value.</param>
    /// <param name="offset">Where that header is.</param>
    /// <param name="nextField">Where the value stands; 6 for that of the fixed header.</param>
    public static Ipv6Walk Walk(ReadOnlySpan<byte> packet, byte next, int offset, int nextField)
    {
        bool alert = false;
        for (int count = 0; ; count++)
        {
            if (next is not (HopByHop or Routing or Fragment or DestinationOptions))
                return new Ipv6Walk(Ipv6WalkEnd.UpperLayer, next, offset) { NextHeaderField = nextField, HasRouterAlert = alert };
            if (count == MaxHeaders || offset + 8 > packet.Length)
                return new Ipv6Walk(Ipv6WalkEnd.Drop, next, offset);
            if (next == Fragment)
                return new Ipv6Walk(Ipv6WalkEnd.Fragment, next, offset) { NextHeaderField = nextField, HasRouterAlert = alert };

            // Only the fixed header may be followed by hop-by-hop options (section 4.1); elsewhere they are an unknown header.
            if (next == HopByHop && nextField != 6)
                return Problem(next, offset, 1, nextField);
            int length = (packet[offset + 1] + 1) * 8;
            if (offset + length > packet.Length)
                return new Ipv6Walk(Ipv6WalkEnd.Drop, next, offset);

            if (next == Routing)
            {
                // Type 0 is refused and no other is implemented: skipped when nothing is left of it (RFC 8200 section 4.4, RFC 5095).
                if (packet[offset + 3] != 0)
                    return Problem(next, offset, 0, offset + 2);
            }
            else if (CheckOptions(packet.Slice(offset, length), next, offset, ref alert) is { } wrong)
            {
                return wrong;
            }

            next = packet[offset];
            nextField = offset;
            offset += length;
        }
    }

    /// <summary>Finds the upper-layer header of a packet that an ICMP error quotes; false when it is not there.</summary>
    public static bool TryFindUpperLayer(ReadOnlySpan<byte> packet, byte next, out byte protocol, out int offset)
    {
        protocol = next;
        offset = Ipv6Header.Size;
        for (int count = 0; count < MaxHeaders; count++)
        {
            if (protocol is not (HopByHop or Routing or Fragment or DestinationOptions))
                return offset <= packet.Length;
            if (offset + 8 > packet.Length)
                return false;
            if (protocol == Fragment)
            {
                if ((BinaryPrimitives.ReadUInt16BigEndian(packet[(offset + 2)..]) & 0xfff8) != 0)
                    return false;
                protocol = packet[offset];
                offset += Ipv6Fragment.Size;
                continue;
            }

            protocol = packet[offset];
            offset += (packet[offset + 1] + 1) * 8;
        }

        return false;
    }

    private static Ipv6Walk? CheckOptions(ReadOnlySpan<byte> header, byte next, int headerOffset, ref bool alert)
    {
        int options = 0;
        for (int i = 2; i < header.Length;)
        {
            byte type = header[i];
            if (type == Pad1)
            {
                i++;
                continue;
            }

            if (i + 2 > header.Length || i + 2 + header[i + 1] > header.Length)
                return new Ipv6Walk(Ipv6WalkEnd.Drop, next, headerOffset);
            int length = header[i + 1];
            if (type != PadN && ++options > MaxOptions)
                return new Ipv6Walk(Ipv6WalkEnd.Drop, next, headerOffset);
            if (type == RouterAlert && next == HopByHop && length == 2)
            {
                alert = true;
            }
            else if (type != PadN)
            {
                // The two highest bits say what to do with an option that is not known (section 4.2).
                switch (type >> 6)
                {
                    case 1:
                        return new Ipv6Walk(Ipv6WalkEnd.Drop, next, headerOffset);
                    case 2:
                        return Problem(next, headerOffset, 2, headerOffset + i);
                    case 3:
                        return Problem(next, headerOffset, 2, headerOffset + i) with { NotIfGroup = true };
                }
            }

            i += 2 + length;
        }

        return null;
    }

    private static Ipv6Walk Problem(byte next, int offset, byte code, int pointer) =>
        new(Ipv6WalkEnd.ParameterProblem, next, offset) { Code = code, Pointer = pointer };
}
