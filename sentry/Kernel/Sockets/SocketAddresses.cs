using System.Buffers.Binary;
using Netstack.Wire;

namespace Sentry.Kernel.Sockets;

/// <summary>What is in a sockaddr_in or sockaddr_in6.</summary>
/// <param name="Scope">sin6_scope_id: an interface's index; 0 for none.</param>
internal readonly record struct InetEndpointAddress(InetAddress Address, ushort Port, int Scope)
{
    /// <summary>struct sockaddr_in (ip(7)), struct sockaddr_in6 and the shortest that is taken for one, without sin6_scope_id (ipv6(7)).</summary>
    internal const int SizeV4 = 16, SizeV6 = 28, ShortSizeV6 = 24;

    internal static ushort FamilyOf(ReadOnlySpan<byte> address) => address.Length < 2 ? (ushort)AF.Unspec : BinaryPrimitives.ReadUInt16LittleEndian(address);

    /// <summary>Reads the address whatever family it names. <paramref name="address"/> has at least <see cref="SizeV4"/> bytes.</summary>
    internal static InetEndpointAddress ReadV4(ReadOnlySpan<byte> address) =>
        new(InetAddress.FromBytes(address.Slice(4, 4)), BinaryPrimitives.ReadUInt16BigEndian(address[2..]), 0);

    /// <summary><paramref name="address"/> has at least <see cref="ShortSizeV6"/> bytes. An address in the form ::ffff:a.b.c.d is one of IPv4.</summary>
    internal static InetEndpointAddress ReadV6(ReadOnlySpan<byte> address) =>
        new(InetAddress.FromBytes(address.Slice(8, 16)), BinaryPrimitives.ReadUInt16BigEndian(address[2..]), address.Length >= SizeV6 ? BinaryPrimitives.ReadInt32LittleEndian(address[24..]) : 0);

    /// <summary>As a socket of that family shows it: IPv6 ones show IPv4 addresses in their mapped form.</summary>
    internal byte[] Format(bool isV6)
    {
        byte[] bytes = new byte[isV6 ? SizeV6 : SizeV4];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(isV6 ? AF.Inet6 : AF.Inet));
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), Port);
        if (isV6)
        {
            Address.WriteV6(bytes.AsSpan(8));
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(24), Scope);
        }
        else if (Address.IsV4)
        {
            Address.WriteTo(bytes.AsSpan(4));
        }

        return bytes;
    }
}
