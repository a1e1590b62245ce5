using Netstack.Stack;
using Sentry.Abi;

namespace RestoreAgent.Agent.Network;

/// <summary>A connection of a gateway's stack to a sandbox, as one end of a relay.</summary>
public sealed class GuestStream : IStreamEnd, IEndpointObserver
{
    private readonly Gateway _gateway;
    private readonly TcpEndpoint _endpoint;
    private bool _read;
    private bool _write;
    private bool _closed;

    public GuestStream(Gateway gateway, TcpEndpoint endpoint)
    {
        (_gateway, _endpoint) = (gateway, endpoint);
        endpoint.Observer = this;
    }

    public Action? OnReady { get; set; }

    public TcpEndpoint Endpoint => _endpoint;

    public Result<int> Read(Span<byte> destination)
    {
        using StackTurn turn = _gateway.Enter();
        int done = 0;
        while (done < destination.Length && _endpoint.Available > 0)
        {
            ReadOnlySpan<byte> piece = _endpoint.Peek(0).Span;
            int count = Math.Min(piece.Length, destination.Length - done);
            piece[..count].CopyTo(destination[done..]);
            _endpoint.Consume(count);
            done += count;
        }

        if (done > 0)
            return done;
        Errno error = _endpoint.CanReceive();
        return error == Errno.None ? 0 : error;
    }

    public Result<int> Write(ReadOnlySpan<byte> source)
    {
        using StackTurn turn = _gateway.Enter();
        Errno error = _endpoint.CanSend();
        if (error != Errno.None)
            return error;
        int done = 0;
        while (done < source.Length && _endpoint.SendRoom > 0)
        {
            Span<byte> room = _endpoint.PrepareSend(Math.Min(source.Length - done, _endpoint.SendRoom));
            if (room.Length == 0)
                break;
            int count = Math.Min(room.Length, source.Length - done);
            source.Slice(done, count).CopyTo(room);
            _endpoint.CommitSend(count, TcpSendFlags.None);
            done += count;
        }

        return done > 0 ? done : Errno.EAGAIN;
    }

    public void ShutdownWrite()
    {
        using StackTurn turn = _gateway.Enter();
        _endpoint.Shutdown(receive: false, send: true);
    }

    public void Want(bool read, bool write)
    {
        (_read, _write) = (read, write);
        using StackTurn turn = _gateway.Enter();
        EndpointEvents ready = _endpoint.Poll();
        if ((read && (ready & (EndpointEvents.In | EndpointEvents.RdHup | EndpointEvents.Err | EndpointEvents.Hup)) != 0)
            || (write && (ready & (EndpointEvents.Out | EndpointEvents.Err | EndpointEvents.Hup)) != 0))
        {
            _gateway.Soon(RunReady);
        }
    }

    public void Close(bool abort)
    {
        if (_closed)
            return;
        _closed = true;
        using StackTurn turn = _gateway.Enter();
        _endpoint.Observer = null;
        if (abort)
            _endpoint.Options.Linger = 0;
        _endpoint.Close();
    }

    void IEndpointObserver.OnReady(EndpointEvents events)
    {
        if (_read || _write || (events & (EndpointEvents.Err | EndpointEvents.Hup)) != 0)
            _gateway.Soon(RunReady);
    }

    private void RunReady()
    {
        if (!_closed)
            OnReady?.Invoke();
    }
}

/// <summary>A datagram socket of a gateway's stack that talks to one address of a sandbox.</summary>
public sealed class GuestDatagrams : IDatagramEnd, IEndpointObserver
{
    private readonly Gateway _gateway;
    private readonly UdpEndpoint _endpoint;
    private bool _closed;

    public GuestDatagrams(Gateway gateway, UdpEndpoint endpoint)
    {
        (_gateway, _endpoint) = (gateway, endpoint);
        endpoint.Observer = this;
    }

    public Action<ReadOnlyMemory<byte>>? OnReceived { get; set; }

    public void Send(ReadOnlySpan<byte> datagram)
    {
        using StackTurn turn = _gateway.Enter();
        _endpoint.Send(datagram.ToArray(), default, 0, 0, new DatagramControl());
    }

    public void Close()
    {
        if (_closed)
            return;
        _closed = true;
        using StackTurn turn = _gateway.Enter();
        _endpoint.Observer = null;
        _endpoint.Close();
    }

    void IEndpointObserver.OnReady(EndpointEvents events) => _gateway.Soon(Receive);

    private void Receive()
    {
        while (!_closed)
        {
            Datagram? datagram;
            using (_gateway.Enter())
            {
                _endpoint.TakeError();
                datagram = _endpoint.Receive(peek: false);
            }

            if (datagram is null)
                return;
            OnReceived?.Invoke(datagram.Data);
        }
    }
}
