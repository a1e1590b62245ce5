using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>Datagrams to and from one address of a sandbox's network.</summary>
public interface IDatagramEnd
{
    /// <summary>Called for each datagram that comes back.</summary>
    Action<ReadOnlyMemory<byte>>? OnReceived { get; set; }

    void Send(ReadOnlySpan<byte> datagram);

    void Close();
}

/// <summary>Connects to a sandbox from its network's side. On the loop's thread.</summary>
public interface IDialer
{
    /// <summary>Connects by TCP and calls back, with a stream or with what prevented it.</summary>
    void Dial(InetAddress address, int port, Action<IStreamEnd?, Errno> done);

    /// <summary>A socket for datagrams to one address; null when it cannot be made.</summary>
    IDatagramEnd? Open(InetAddress address, int port);
}

/// <summary>Dials by the host's own stack in a network namespace: the way to sandboxes on a TAP device or veth pair.</summary>
public sealed class NamespaceDialer(NetworkLoop loop, NetworkNamespace place) : IDialer
{
    public void Dial(InetAddress address, int port, Action<IStreamEnd?, Errno> done)
    {
        Result<int> made = Make(address, HostSockets.Stream);
        if (made.IsError)
            done(null, made.Error);
        else
            HostStream.Connect(loop, made.Value, address, port, done);
    }

    public IDatagramEnd? Open(InetAddress address, int port)
    {
        Result<int> made = Make(address, HostSockets.Datagram);
        if (made.IsError)
            return null;
        if (HostSockets.Connect(made.Value, new InetSocketAddress(address.ToBytes(), port).Bytes) == Errno.None)
            return new HostDatagrams(loop, made.Value);
        HostFile.Close(made.Value);
        return null;
    }

    private Result<int> Make(InetAddress address, int type)
    {
        int family = address.IsV4 ? HostSockets.Inet : HostSockets.Inet6;
        return place.Run(() => HostSockets.Create(family, type | HostSockets.NonBlocking));
    }
}

/// <summary>A connected UDP socket of the host. It owns the descriptor.</summary>
public sealed class HostDatagrams : IDatagramEnd
{
    private const int LongestDatagram = 65536, Batch = 64;

    private readonly NetworkLoop _loop;
    private readonly int _socket;
    private bool _closed;

    public HostDatagrams(NetworkLoop loop, int socket)
    {
        (_loop, _socket) = (loop, socket);
        loop.Watch(socket, NetworkLoop.Readable, _ => Receive());
    }

    public Action<ReadOnlyMemory<byte>>? OnReceived { get; set; }

    /// <summary>Datagrams may be lost, so one that finds no room is.</summary>
    public void Send(ReadOnlySpan<byte> datagram) => _ = HostSockets.Send(_socket, datagram, HostSockets.DontWait | HostSockets.NoSignal);

    public void Close()
    {
        if (_closed)
            return;
        _closed = true;
        _loop.Forget(_socket);
        HostFile.Close(_socket);
    }

    private void Receive()
    {
        byte[] buffer = new byte[LongestDatagram];
        for (int i = 0; i < Batch && !_closed; i++)
        {
            Result<int> got = HostSockets.Receive(_socket, buffer, HostSockets.DontWait, default, out _);
            if (got.Error is Errno.ECONNREFUSED or Errno.EINTR)
                continue; // an ICMP error of an earlier datagram
            if (got.IsError)
                return;
            OnReceived?.Invoke(buffer.AsMemory(0, got.Value));
        }
    }
}
