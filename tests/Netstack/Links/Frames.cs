using System.Buffers.Binary;
using Netstack.Links;

namespace Tests.Netstack.Links;

/// <summary>Frames as they are on a link, virtio header first.</summary>
internal static class Frames
{
    public static byte[] Ipv4(MacAddress from, MacAddress to, InetAddress source, int payload = 20)
    {
        byte[] frame = Ethernet(from, to, 0x0800, 20 + payload);
        frame[24] = 0x45;
        source.WriteTo(frame.AsSpan(24 + 12));
        return frame;
    }

    public static byte[] Ipv6(MacAddress from, MacAddress to, InetAddress source)
    {
        byte[] frame = Ethernet(from, to, 0x86dd, 40 + 24);
        frame[24] = 0x60;
        source.WriteV6(frame.AsSpan(24 + 8));
        return frame;
    }

    public static byte[] Advertisement(MacAddress from, MacAddress to, InetAddress source, InetAddress target)
    {
        byte[] frame = Ipv6(from, to, source);
        frame[24 + 6] = 58;
        frame[24 + 40] = 136;
        target.WriteV6(frame.AsSpan(24 + 48));
        return frame;
    }

    public static byte[] Arp(MacAddress from, MacAddress to, ushort operation, InetAddress sender, InetAddress target)
    {
        byte[] frame = Ethernet(from, to, 0x0806, 28);
        Span<byte> arp = frame.AsSpan(24);
        BinaryPrimitives.WriteUInt16BigEndian(arp, 1);
        BinaryPrimitives.WriteUInt16BigEndian(arp[2..], 0x0800);
        (arp[4], arp[5]) = (6, 4);
        BinaryPrimitives.WriteUInt16BigEndian(arp[6..], operation);
        from.WriteTo(arp[8..]);
        sender.WriteTo(arp[14..]);
        target.WriteTo(arp[24..]);
        return frame;
    }

    private static byte[] Ethernet(MacAddress from, MacAddress to, ushort protocol, int length)
    {
        byte[] frame = new byte[VirtioNetHeader.Size + FrameView.HeaderSize + length];
        to.WriteTo(frame.AsSpan(10));
        from.WriteTo(frame.AsSpan(16));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(22), protocol);
        return frame;
    }
}
