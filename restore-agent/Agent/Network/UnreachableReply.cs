using System.Buffers.Binary;
using Netstack.Links;
using Netstack.Stack;
using Netstack.Wire;

namespace RestoreAgent.Agent.Network;

/// <summary>ICMP errors of a gateway about packets that it does not carry on (RFC 792, RFC 4443).</summary>
public static class UnreachableReply
{
    private const byte Unreachable = 3, NetworkProhibited = 9, HostUnreachable = 1, UnreachableV6 = 1, ProhibitedV6 = 0, AddressUnreachableV6 = 3;
    private const int HeaderV4 = 20, HeaderV6 = 40, IcmpHeader = 8, QuotedV4 = 28 + 8, QuotedV6 = 1232;

    /// <summary>A frame (virtio header first) that answers one of a sandbox, from its Ethernet header on.</summary>
    /// <param name="prohibited">It is not allowed; else nothing answers there.</param>
    public static byte[]? Build(ReadOnlySpan<byte> frame, GatewayAddresses gateway, bool prohibited)
    {
        ReadOnlySpan<byte> ip = frame[FrameView.HeaderSize..];
        bool isV4 = new FrameView(frame).Protocol == FrameView.Ipv4;
        int header = isV4 ? HeaderV4 : HeaderV6;
        if (ip.Length < header)
            return null;
        ReadOnlySpan<byte> quoted = ip[..Math.Min(ip.Length, isV4 ? QuotedV4 : QuotedV6)];
        byte[] reply = new byte[VirtioNetHeader.Size + FrameView.HeaderSize + header + IcmpHeader + quoted.Length];
        Span<byte> ethernet = reply.AsSpan(VirtioNetHeader.Size);
        frame.Slice(6, 6).CopyTo(ethernet);
        gateway.Mac.WriteTo(ethernet[6..]);
        frame.Slice(12, 2).CopyTo(ethernet[12..]);
        Span<byte> packet = ethernet[FrameView.HeaderSize..];
        Span<byte> icmp = packet[header..];
        quoted.CopyTo(icmp[IcmpHeader..]);
        if (isV4)
        {
            packet[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)packet.Length);
            packet[8] = 64;
            packet[9] = IpProtocol.Icmp;
            gateway.Gateway.WriteTo(packet[12..]);
            ip.Slice(12, 4).CopyTo(packet[16..]);
            InternetChecksum.Write(packet[10..], InternetChecksum.Finish(InternetChecksum.Add(0, packet[..header])));
            (icmp[0], icmp[1]) = (Unreachable, prohibited ? NetworkProhibited : HostUnreachable);
            InternetChecksum.Write(icmp[2..], InternetChecksum.Finish(InternetChecksum.Add(0, icmp)));
            return reply;
        }

        InetAddress to = InetAddress.FromBytes(ip.Slice(8, 16));
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)icmp.Length);
        packet[6] = IpProtocol.Icmpv6;
        packet[7] = 64;
        gateway.GatewayV6.WriteV6(packet[8..]);
        to.WriteV6(packet[24..]);
        (icmp[0], icmp[1]) = (UnreachableV6, prohibited ? ProhibitedV6 : AddressUnreachableV6);
        ulong sum = InternetChecksum.PseudoHeader(gateway.GatewayV6, to, IpProtocol.Icmpv6, icmp.Length);
        InternetChecksum.Write(icmp[2..], InternetChecksum.Finish(InternetChecksum.Add(sum, icmp)));
        return reply;
    }
}
