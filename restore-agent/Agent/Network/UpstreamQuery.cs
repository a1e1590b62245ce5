using System.Buffers.Binary;
using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A query that is passed on to name servers of the host: each is asked in turn, from a port of its own that nobody can guess, until one
/// answers. Over TCP when the sandbox asks so, since an answer too long for a datagram would be cut again.</summary>
internal sealed class UpstreamQuery
{
    private const int Port = 53, Rounds = 2, HeaderSize = 12, LongestMessage = 65535;
    private const long Patience = 2L * 1_000_000_000;

    private readonly NetworkLoop _loop;
    private readonly IReadOnlyList<InetAddress> _servers;
    private readonly byte[] _query;
    private readonly bool _overStream;
    private readonly Action<byte[]?> _done;
    private readonly byte[] _input = new byte[2 + LongestMessage];
    private int _attempt;
    private int _filled;
    private HostDatagrams? _socket;
    private HostStream? _stream;
    private LoopTimer? _timeout;

    /// <param name="done">Called once, with the answer or with null when no server gave one.</param>
    public UpstreamQuery(NetworkLoop loop, IReadOnlyList<InetAddress> servers, byte[] query, bool overStream, Action<byte[]?> done)
    {
        (_loop, _servers, _query, _overStream, _done) = (loop, servers, query, overStream, done);
        Next();
    }

    private void Next()
    {
        End();
        if (_attempt >= _servers.Count * Rounds)
        {
            _done(null);
            return;
        }

        InetAddress server = _servers[_attempt++ % _servers.Count];
        _timeout = _loop.At(NetworkLoop.Now + Patience, Next);
        int attempt = _attempt;
        Result<int> made = HostSockets.Create(server.IsV4 ? HostSockets.Inet : HostSockets.Inet6, (_overStream ? HostSockets.Stream : HostSockets.Datagram) | HostSockets.NonBlocking);
        if (made.IsError)
            return;
        if (_overStream)
        {
            HostStream.Connect(_loop, made.Value, server, Port, (stream, _) => OnConnected(stream, attempt));
        }
        else if (HostSockets.Connect(made.Value, new InetSocketAddress(server.ToBytes(), Port).Bytes) == Errno.None)
        {
            _socket = new HostDatagrams(_loop, made.Value) { OnReceived = reply => OnAnswer(reply.Span) };
            _socket.Send(_query);
        }
        else
        {
            HostFile.Close(made.Value);
        }
    }

    private void OnConnected(HostStream? stream, int attempt)
    {
        if (stream is null)
            return; // the next server is asked when the time is over
        if (attempt != _attempt || _timeout is null)
        {
            stream.Close(abort: true);
            return;
        }

        _stream = stream;
        _filled = 0;
        byte[] message = new byte[2 + _query.Length];
        BinaryPrimitives.WriteUInt16BigEndian(message, (ushort)_query.Length);
        _query.CopyTo(message, 2);
        _ = stream.Write(message); // a new socket has room for it
        stream.OnReady = Read;
        stream.Want(read: true, write: false);
    }

    private void Read()
    {
        while (_stream is not null)
        {
            int wanted = _filled < 2 ? 2 : 2 + BinaryPrimitives.ReadUInt16BigEndian(_input);
            if (_filled == wanted && wanted > 2)
            {
                OnAnswer(_input.AsSpan(2, wanted - 2));
                return;
            }

            Result<int> got = _stream.Read(_input.AsSpan(_filled, wanted - _filled));
            if (got.Error == Errno.EAGAIN)
                return;
            if (got.IsError || got.Value == 0)
            {
                Next();
                return;
            }

            _filled += got.Value;
        }
    }

    private void OnAnswer(ReadOnlySpan<byte> reply)
    {
        if (reply.Length < HeaderSize || BinaryPrimitives.ReadUInt16BigEndian(reply) != BinaryPrimitives.ReadUInt16BigEndian(_query))
            return;
        byte[] answer = reply.ToArray();
        End();
        _done(answer);
    }

    private void End()
    {
        _timeout?.Cancel();
        _timeout = null;
        _socket?.Close();
        _socket = null;
        _stream?.Close(abort: false);
        _stream = null;
    }
}
