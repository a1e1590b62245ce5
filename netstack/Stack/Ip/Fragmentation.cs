using System.Buffers.Binary;

namespace Netstack.Stack;

/// <summary>Cuts packets that are longer than the MTU (RFC 791 section 2.3, RFC 8200 section 4.5). Payload is shared, not copied.</summary>
internal static class Fragmentation
{
    /// <param name="packet">From the IPv4 header on, its transport checksum complete.</param>
    public static List<Packet> SplitV4(Packet packet, int mtu)
    {
        ReadOnlySpan<byte> head = packet.Head;
        Ipv4Header.TryParseQuoted(head, out Ipv4Header header);
        byte[] options = head[Ipv4Header.Size..header.HeaderLength].ToArray();
        int payload = packet.Length - header.HeaderLength;
        int step = (mtu - header.HeaderLength) & ~7;
        List<Packet> fragments = [];
        for (int offset = 0; offset < payload; offset += step)
        {
            int length = Math.Min(step, payload - offset);
            Packet fragment = Part(packet, header.HeaderLength + offset, length);
            Ipv4Header own = header with
            {
                TotalLength = header.HeaderLength + length,
                FragmentOffset = header.FragmentOffset + offset,
                MoreFragments = offset + length < payload || header.MoreFragments,
                DontFragment = false,
            };
            own.WriteTo(fragment.Prepend(header.HeaderLength), options);
            fragment.NetworkOffset = fragment.Start;
            fragments.Add(fragment);
            if (offset == 0)
                Ipv4Options.KeepCopied(options);
        }

        return fragments;
    }

    /// <param name="packet">From the IPv6 header on, its transport checksum complete.</param>
    /// <param name="unfragmentable">Bytes of the headers that each fragment repeats.</param>
    /// <param name="nextField">Where among them the next-header value is that now names the fragment header.</param>
    public static List<Packet> SplitV6(Packet packet, int mtu, int unfragmentable, int nextField, uint identification)
    {
        byte[] headers = packet.Head[..unfragmentable].ToArray();
        byte next = headers[nextField];
        headers[nextField] = Ipv6Extensions.Fragment;
        int payload = packet.Length - unfragmentable;
        int step = (mtu - unfragmentable - Ipv6Fragment.Size) & ~7;
        List<Packet> fragments = [];
        for (int offset = 0; offset < payload; offset += step)
        {
            int length = Math.Min(step, payload - offset);
            Packet fragment = Part(packet, unfragmentable + offset, length);
            new Ipv6Fragment(next, offset, offset + length < payload, identification).WriteTo(fragment.Prepend(Ipv6Fragment.Size));
            BinaryPrimitives.WriteUInt16BigEndian(headers.AsSpan(4), (ushort)(unfragmentable - Ipv6Header.Size + Ipv6Fragment.Size + length));
            headers.CopyTo(fragment.Prepend(unfragmentable));
            fragment.NetworkOffset = fragment.Start;
            fragments.Add(fragment);
        }

        return fragments;
    }

    private static Packet Part(Packet packet, int offset, int length)
    {
        Packet part = Packet.Create();
        part.AppendShared(packet, offset, length);
        part.Protocol = packet.Protocol;
        part.Type = packet.Type;
        part.Interface = packet.Interface;
        part.TransportProtocol = packet.TransportProtocol;
        return part;
    }
}
