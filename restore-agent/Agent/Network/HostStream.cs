using System.Buffers.Binary;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A connected TCP socket of the host as one end of a relay. It owns the descriptor.</summary>
public sealed class HostStream : IStreamEnd
{
    private const int WriteSide = 1, TcpLevel = 6, NoDelay = 1;

    private readonly NetworkLoop _loop;
    private readonly int _socket;
    private uint _events;
    private bool _muted;
    private bool _closed;

    /// <param name="socket">Non-blocking and connected.</param>
    public HostStream(NetworkLoop loop, int socket)
    {
        (_loop, _socket) = (loop, socket);
        HostSockets.SetOption(socket, TcpLevel, NoDelay, 1);
        loop.Watch(socket, 0, OnEvents);
    }

    public Action? OnReady { get; set; }

    /// <summary>Connects and calls back, with a stream or with what prevented it.</summary>
    /// <param name="socket">A new socket, which is taken over.</param>
    public static void Connect(NetworkLoop loop, int socket, InetAddress address, int port, Action<HostStream?, Errno> done)
    {
        HostFile.SetNonBlocking(socket, true);
        Errno error = HostSockets.Connect(socket, new InetSocketAddress(address.ToBytes(), port).Bytes);
        if (error == Errno.EINPROGRESS)
        {
            loop.Watch(socket, NetworkLoop.Writable, _ =>
            {
                loop.Forget(socket);
                Finish(HostSockets.TakeError(socket));
            });
            return;
        }

        Finish(error);

        void Finish(Errno result)
        {
            if (result == Errno.None)
            {
                done(new HostStream(loop, socket), Errno.None);
                return;
            }

            HostFile.Close(socket);
            done(null, result);
        }
    }

    public Result<int> Read(Span<byte> destination) => HostSockets.Receive(_socket, destination, HostSockets.DontWait, default, out _);

    public Result<int> Write(ReadOnlySpan<byte> source) => HostSockets.Send(_socket, source, HostSockets.DontWait | HostSockets.NoSignal);

    public void ShutdownWrite() => HostSockets.Shutdown(_socket, WriteSide);

    public void Want(bool read, bool write)
    {
        uint events = (read ? NetworkLoop.Readable : 0) | (write ? NetworkLoop.Writable : 0);
        if (events == _events || _closed)
            return;
        _events = events;
        if (!_muted)
        {
            _loop.Change(_socket, events);
        }
        else if (events != 0)
        {
            _muted = false;
            _loop.Watch(_socket, events, OnEvents);
        }
    }

    public void Close(bool abort)
    {
        if (_closed)
            return;
        _closed = true;
        _loop.Forget(_socket);
        if (abort)
            SetAbort(_socket);
        HostFile.Close(_socket);
    }

    private void OnEvents(uint events)
    {
        if (_events == 0)
        {
            // An end or error is told whether it is wanted or not, and again and again: it can wait until somebody reads or writes.
            _loop.Forget(_socket);
            _muted = true;
            return;
        }

        OnReady?.Invoke();
    }

    /// <summary>Makes close(2) send a reset (SO_LINGER of 0 s, socket(7)).</summary>
    public static void SetAbort(int socket)
    {
        Span<byte> linger = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(linger, 1);
        HostSockets.SetOption(socket, HostSockets.SocketLevel, HostSockets.Linger, linger);
    }
}
