using System.Buffers.Binary;
using Sentry.Abi;
using Sentry.Host;

namespace Broker.Protocol;

/// <summary>What a sentry can ask of its broker.</summary>
public enum BrokerOperation
{
    /// <summary>A new socket: family, type, protocol. The descriptor comes with the answer.</summary>
    Socket = 1,

    /// <summary>bind(2) of a socket that comes along, for ports that the sentry itself may not use: the address is the payload.</summary>
    Bind = 2,
}

/// <summary>
/// Requests over a SOCK_SEQPACKET pair, one packet each, answered by one packet of four bytes: an errno. A request is operation, family, type,
/// protocol as 32-bit little-endian numbers, then the payload.
/// </summary>
public static class BrokerWire
{
    public const int HeaderSize = 16, MaxRequest = HeaderSize + HostSockets.MaxAddress, AnswerSize = 4;

    /// <summary>AF_INET and AF_INET6: streams and datagrams of TCP and UDP, and echo requests of ICMP (icmp(7)). Raw sockets would show the host's traffic.</summary>
    public static bool IsAllowed(int family, int type, int protocol)
    {
        const int Tcp = 6, Udp = 17, Icmp = 1, Icmpv6 = 58;
        return family is HostSockets.Inet or HostSockets.Inet6 && type switch
        {
            HostSockets.Stream => protocol is 0 or Tcp,
            HostSockets.Datagram => protocol is 0 or Udp || protocol == (family == HostSockets.Inet ? Icmp : Icmpv6),
            _ => false,
        };
    }

    public static void Write(Span<byte> request, BrokerOperation operation, int family, int type, int protocol)
    {
        BinaryPrimitives.WriteInt32LittleEndian(request, (int)operation);
        BinaryPrimitives.WriteInt32LittleEndian(request[4..], family);
        BinaryPrimitives.WriteInt32LittleEndian(request[8..], type);
        BinaryPrimitives.WriteInt32LittleEndian(request[12..], protocol);
    }

    public static (BrokerOperation Operation, int Family, int Type, int Protocol) Read(ReadOnlySpan<byte> request) => (
        (BrokerOperation)BinaryPrimitives.ReadInt32LittleEndian(request),
        BinaryPrimitives.ReadInt32LittleEndian(request[4..]),
        BinaryPrimitives.ReadInt32LittleEndian(request[8..]),
        BinaryPrimitives.ReadInt32LittleEndian(request[12..]));
}

/// <summary>The sentry's side. One call at a time; the broker answers at once.</summary>
public sealed class BrokerClient(UnixChannel channel) : IDisposable
{
    /// <summary>A new socket, close-on-exec; EPIPE when the broker is gone.</summary>
    public Result<int> Socket(int family, int type, int protocol)
    {
        Span<byte> request = stackalloc byte[BrokerWire.HeaderSize];
        Span<int> descriptors = stackalloc int[1];
        BrokerWire.Write(request, BrokerOperation.Socket, family, type, protocol);
        Errno error = Exchange(request, default, descriptors, out int count);
        if (error == Errno.None)
            return count == 1 ? descriptors[0] : Errno.EPROTO;
        return error;
    }

    /// <summary>Has the broker bind a socket, since ports below 1024 need a privilege that it has and the sentry has not.</summary>
    public Errno Bind(int descriptor, ReadOnlySpan<byte> address)
    {
        if (address.Length > HostSockets.MaxAddress)
            return Errno.EINVAL;
        Span<byte> request = stackalloc byte[BrokerWire.MaxRequest];
        BrokerWire.Write(request, BrokerOperation.Bind, 0, 0, 0);
        address.CopyTo(request[BrokerWire.HeaderSize..]);
        return Exchange(request[..(BrokerWire.HeaderSize + address.Length)], [descriptor], default, out _);
    }

    public void Dispose() => channel.Dispose();

    private Errno Exchange(ReadOnlySpan<byte> request, ReadOnlySpan<int> sent, Span<int> received, out int count)
    {
        count = 0;
        Span<byte> answer = stackalloc byte[BrokerWire.AnswerSize];
        Errno error = channel.Send(request, sent);
        if (error != Errno.None)
            return error;
        Result<int> got = channel.Receive(answer, received, out count);
        if (got.IsError)
            return got.Error;
        return got.Value == answer.Length ? (Errno)BinaryPrimitives.ReadInt32LittleEndian(answer) : Errno.EPIPE;
    }
}
