using System.Buffers.Binary;

namespace Netstack.Links;

/// <summary>
/// Asks a link whether an address is in use before a sandbox takes it: an ARP probe (RFC 5227 section 2.1.1), for IPv6 a neighbour
/// solicitation of duplicate address detection (RFC 4862 section 5.4.2). It is sent from an address of its own, so that bridges do not
/// learn the sandbox's here while another still uses it.
/// </summary>
public sealed class ConflictProbe
{
    private const ushort Reply = 2;
    private const byte Icmpv6 = 58, NeighborAdvertisement = 136;

    private readonly MacAddress _asker;
    private readonly InetAddress _address;

    /// <param name="asker">A random, locally administered address.</param>
    public ConflictProbe(MacAddress asker, InetAddress address) => (_asker, _address) = (asker, address);

    /// <summary>The frame to send, virtio header first.</summary>
    public byte[] Build() => _address.IsV4 ? BuildArp() : BuildSolicitation();

    /// <summary>Whether a received frame (virtio header first) shows that somebody has the address, and who.</summary>
    public bool IsAnswer(ReadOnlySpan<byte> frame, out MacAddress holder)
    {
        holder = default;
        if (frame.Length < VirtioNetHeader.Size + FrameView.HeaderSize)
            return false;
        frame = frame[VirtioNetHeader.Size..];
        FrameView view = new(frame);
        if (view.Source == _asker || view.ClaimedAddress != _address)
            return false;
        ReadOnlySpan<byte> payload = frame[FrameView.HeaderSize..];

        // Traffic that somebody else sent from the address before does not count: only an answer of one who has it now.
        bool answers = view.Protocol == FrameView.Arp
            ? BinaryPrimitives.ReadUInt16BigEndian(payload[6..]) == Reply
            : view.Protocol == FrameView.Ipv6 && payload[6] == Icmpv6 && payload[40] == NeighborAdvertisement;
        holder = view.Source;
        return answers;
    }

    private byte[] BuildArp()
    {
        const int Length = VirtioNetHeader.Size + FrameView.HeaderSize + 28;
        byte[] frame = new byte[Length];
        Span<byte> ethernet = frame.AsSpan(VirtioNetHeader.Size);
        MacAddress.Broadcast.WriteTo(ethernet);
        _asker.WriteTo(ethernet[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(ethernet[12..], FrameView.Arp);
        Span<byte> arp = ethernet[FrameView.HeaderSize..];
        BinaryPrimitives.WriteUInt16BigEndian(arp, 1);
        BinaryPrimitives.WriteUInt16BigEndian(arp[2..], FrameView.Ipv4);
        arp[4] = 6;
        arp[5] = 4;
        BinaryPrimitives.WriteUInt16BigEndian(arp[6..], 1);
        _asker.WriteTo(arp[8..]);
        _address.WriteTo(arp[24..]); // the sender's address stays 0.0.0.0
        return frame;
    }

    private byte[] BuildSolicitation()
    {
        const int PayloadLength = 24, Ip = VirtioNetHeader.Size + FrameView.HeaderSize;
        byte[] frame = new byte[Ip + 40 + PayloadLength];
        InetAddress group = _address.SolicitedNode;
        Span<byte> ethernet = frame.AsSpan(VirtioNetHeader.Size);
        MacAddress.OfMulticast(group).WriteTo(ethernet);
        _asker.WriteTo(ethernet[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(ethernet[12..], FrameView.Ipv6);
        Span<byte> ip = frame.AsSpan(Ip);
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], PayloadLength);
        ip[6] = Icmpv6;
        ip[7] = 255;
        group.WriteV6(ip[24..]); // the source stays ::
        Span<byte> icmp = ip[40..];
        icmp[0] = 135;
        _address.WriteV6(icmp[8..]);
        ulong sum = InternetChecksum.Add(InternetChecksum.PseudoHeader(InetAddress.AnyV6, group, Icmpv6, PayloadLength), icmp);
        InternetChecksum.Write(icmp[2..], InternetChecksum.Finish(sum));
        return frame;
    }
}
