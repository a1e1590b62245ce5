using System.Buffers.Binary;
using Netstack.Links;
using Netstack.Stack;
using Netstack.Wire;

namespace RestoreAgent.Agent.Network;

/// <summary>Source and destination of a flow.</summary>
public readonly record struct Flow(InetAddress Source, int SourcePort, InetAddress Destination, int DestinationPort);

/// <summary>What a frame of a sandbox carries, as far as a gateway must know it before its stack takes it.</summary>
public readonly record struct TransportView(byte Protocol, Flow Flow, bool OpensConnection)
{
    private const byte Syn = 2, Ack = 16;

    /// <summary>Reads a frame from its Ethernet header on. False when it is no whole first fragment of TCP or UDP.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, out TransportView view)
    {
        view = default;
        if (frame.Length < FrameView.HeaderSize)
            return false;
        ReadOnlySpan<byte> ip = frame[FrameView.HeaderSize..];
        byte protocol;
        int header;
        InetAddress source, destination;
        switch (new FrameView(frame).Protocol)
        {
            case FrameView.Ipv4 when ip.Length >= 20 && ip[0] >> 4 == 4:
                const ushort Offset = 0x1fff;
                header = (ip[0] & 15) * 4;
                protocol = ip[9];
                if (header < 20 || (BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & Offset) != 0)
                    return false;
                (source, destination) = (InetAddress.FromBytes(ip.Slice(12, 4)), InetAddress.FromBytes(ip.Slice(16, 4)));
                break;
            case FrameView.Ipv6 when ip.Length >= 40 && ip[0] >> 4 == 6:
                header = 40;
                protocol = ip[6];
                (source, destination) = (InetAddress.FromBytes(ip.Slice(8, 16)), InetAddress.FromBytes(ip.Slice(24, 16)));
                break;
            default:
                return false;
        }

        int least = protocol == IpProtocol.Tcp ? 20 : protocol == IpProtocol.Udp ? 8 : int.MaxValue;
        if (ip.Length - header < least)
            return false;
        ReadOnlySpan<byte> transport = ip[header..];
        Flow flow = new(source, BinaryPrimitives.ReadUInt16BigEndian(transport), destination, BinaryPrimitives.ReadUInt16BigEndian(transport[2..]));
        view = new TransportView(protocol, flow, protocol == IpProtocol.Tcp && (transport[13] & (Syn | Ack)) == Syn);
        return true;
    }
}
