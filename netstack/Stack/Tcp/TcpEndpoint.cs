namespace Netstack.Stack;

/// <summary>States of a connection, numbered as Linux shows them (RFC 9293 section 3.3.2).</summary>
public enum TcpState : byte
{
    Established = 1,
    SynSent = 2,
    SynReceived = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Closed = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynReceived = 12,
}

/// <summary>How bytes handed to <see cref="TcpEndpoint.CommitSend"/> go out.</summary>
[Flags]
public enum TcpSendFlags
{
    None = 0,

    /// <summary>MSG_MORE: more comes at once, do not send a short segment.</summary>
    More = 1,

    /// <summary>MSG_OOB: the last byte is urgent.</summary>
    Urgent = 2,

    /// <summary>MSG_EOR: later bytes are not joined to these in one segment.</summary>
    EndOfRecord = 4,
}

/// <summary>TCP (RFC 9293). All calls are made between Enter and Leave of the stack.</summary>
[Savable("tcp-endpoint")]
public sealed partial class TcpEndpoint : Endpoint
{
    [Saved(1)] private bool _isV6;

    internal TcpEndpoint(NetworkStack stack, bool isV6, EndpointOptions options)
        : base(stack, options) => _isV6 = isV6;

    public bool IsV6 => _isV6;

    public TcpState State => throw new NotImplementedException();

    /// <summary>Unspecified until bound or connected.</summary>
    public InetAddress LocalAddress => throw new NotImplementedException();

    /// <summary>0 until bound.</summary>
    public ushort LocalPort => throw new NotImplementedException();

    public InetAddress RemoteAddress => throw new NotImplementedException();

    public ushort RemotePort => throw new NotImplementedException();

    /// <summary>TCP_*: what the options of tcp(7) set.</summary>
    public TcpOptions TcpOptions => throw new NotImplementedException();

    /// <summary>An option of <see cref="TcpOptions"/> or <see cref="Endpoint.Options"/> was changed: acts on what takes effect at once (NoDelay and Cork send what waits,
    /// KeepAlive and the keepalive times arm or disarm the timer, QuickAck acknowledges, buffers change the window, congestion control is exchanged).</summary>
    public void OnOptionsChanged() => throw new NotImplementedException();

    // ---- connections ---------------------------------------------------------------------------------------------

    /// <summary>Port 0 chooses one. EINVAL when bound already, EADDRINUSE, EADDRNOTAVAIL.</summary>
    public Errno Bind(InetAddress address, ushort port) => throw new NotImplementedException();

    /// <summary>Also changes the backlog of a listener.</summary>
    public Errno Listen(int backlog) => throw new NotImplementedException();

    /// <summary>The oldest established connection that has not been accepted; null when there is none. It has no observer yet.</summary>
    public TcpEndpoint? Accept() => throw new NotImplementedException();

    /// <summary>Begins to connect: EINPROGRESS when the SYN is on its way; the end is told by <see cref="EndpointEvents.Out"/> and the pending error.
    /// EISCONN, EALREADY, EADDRINUSE, ENETUNREACH, ECONNREFUSED at once on loopback is told by the pending error too.</summary>
    public Errno Connect(InetAddress address, ushort port) => throw new NotImplementedException();

    /// <summary>connect(2) with AF_UNSPEC: aborts a connection and makes the endpoint new.</summary>
    public Errno Disconnect() => throw new NotImplementedException();

    /// <summary>ENOTCONN where there is no connection. Shutting a listener for reading ends listening.</summary>
    public Errno Shutdown(bool receive, bool send) => throw new NotImplementedException();

    public override void Close() => throw new NotImplementedException();

    public override EndpointEvents Poll() => throw new NotImplementedException();

    // ---- sending -------------------------------------------------------------------------------------------------

    /// <summary>Whether bytes may be sent at all: EPIPE after shutdown or reset, ENOTCONN before connecting, EAGAIN while connecting; takes the pending error.</summary>
    public Errno CanSend() => throw new NotImplementedException();

    /// <summary>Bytes that the send buffer has room for.</summary>
    public int SendRoom => throw new NotImplementedException();

    /// <summary>Room for up to <paramref name="length"/> bytes at the end of the send queue, perhaps less; the caller fills it from the front and commits.</summary>
    public Span<byte> PrepareSend(int length) => throw new NotImplementedException();

    /// <summary>The first <paramref name="count"/> bytes of the prepared room are to be sent.</summary>
    public void CommitSend(int count, TcpSendFlags flags) => throw new NotImplementedException();

    /// <summary>Adds a piece that nobody will change (sendfile, splice) without copying it; the whole piece is taken.</summary>
    public void SendShared(ReadOnlyMemory<byte> piece, TcpSendFlags flags) => throw new NotImplementedException();

    /// <summary>Bytes not yet acknowledged, sent or not (SIOCOUTQ), and bytes not yet sent (SIOCOUTQNSD).</summary>
    public int SendQueueLength => throw new NotImplementedException();

    public int UnsentLength => throw new NotImplementedException();

    // ---- receiving -----------------------------------------------------------------------------------------------

    /// <summary>Bytes that can be read now, up to the urgent mark when there is one ahead.</summary>
    public int Available => throw new NotImplementedException();

    /// <summary>The peer has sent its FIN and all bytes before it have been read, or receiving was shut down: read returns 0.</summary>
    public bool IsAtEnd => throw new NotImplementedException();

    /// <summary>What a read that finds no bytes says: 0 bytes at the end is None, EAGAIN, ENOTCONN, or the pending error, which it takes.</summary>
    public Errno CanReceive() => throw new NotImplementedException();

    /// <summary>The contiguous bytes at <paramref name="offset"/> (below <see cref="Available"/>) of what can be read.</summary>
    public ReadOnlyMemory<byte> Peek(int offset) => throw new NotImplementedException();

    /// <summary>Takes bytes off the front; the window opens.</summary>
    public void Consume(int count) => throw new NotImplementedException();

    /// <summary>recv with MSG_OOB: the urgent byte; EINVAL when there is none or it is inline, EAGAIN when it has not come yet.</summary>
    public Errno ReceiveUrgent(bool peek, out byte value) => throw new NotImplementedException();

    /// <summary>SIOCATMARK.</summary>
    public bool IsAtMark => throw new NotImplementedException();

    // ---- telling -------------------------------------------------------------------------------------------------

    /// <summary>struct tcp_info in its full present length.</summary>
    public byte[] GetInfo() => throw new NotImplementedException();

    /// <summary>Timer for /proc/net/tcp: 0 none, 1 retransmit, 2 keepalive, 3 TIME-WAIT, 4 zero-window probe; when it expires (ns from now) and retries.</summary>
    public (byte Kind, long Remaining, int Retries) ShownTimer => throw new NotImplementedException();

    /// <summary>Of a listener: connections that wait to be accepted, and the backlog.</summary>
    public (int Waiting, int Backlog) AcceptQueue => throw new NotImplementedException();
}
