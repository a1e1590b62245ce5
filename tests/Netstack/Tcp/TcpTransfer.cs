using Tests.Netstack.Simulation;

namespace Tests.Netstack.Tcp;

/// <summary>Moves bytes from one endpoint to another as an application would, and verifies each. The bytes are a function of their place, so that no length is
/// too long.</summary>
public sealed class TcpTransfer : IEndpointObserver
{
    private static readonly byte[] Pattern = Sockets.Pattern(1_000_003, 17);

    private readonly SimHost _from, _to;
    private readonly long _length;
    private readonly int _readAtOnce;
    private TcpEndpoint _sender, _receiver;
    private bool _mayMove = true;

    /// <param name="readAtOnce">The application reads at most so much in a round.</param>
    public TcpTransfer(SimHost from, TcpEndpoint sender, SimHost to, TcpEndpoint receiver, long length, int readAtOnce = int.MaxValue)
    {
        _from = from;
        _to = to;
        _length = length;
        _readAtOnce = readAtOnce;
        _sender = sender;
        _receiver = receiver;
        Watch(sender, receiver);
    }

    public long Sent { get; private set; }

    public long Received { get; private set; }

    public bool IsDone => Received == _length;

    public void OnReady(EndpointEvents events) => _mayMove = true;

    /// <summary>After a restore.</summary>
    public void Watch(TcpEndpoint sender, TcpEndpoint receiver)
    {
        _sender = sender;
        _receiver = receiver;
        _mayMove = true;
        Add(sender);
        Add(receiver);
    }

    /// <summary>Writes and reads what can be; true when all has arrived.</summary>
    public bool Move()
    {
        if (!_mayMove)
            return IsDone;
        _mayMove = false;
        if (Sent < _length)
            _from.Do(_ => Write());
        _to.Do(_ => Read());
        if (_sender.TakeError() is var error && error != Errno.None)
            Assert.Fail($"sender: {error} after {Sent}");
        return IsDone;
    }

    private void Add(TcpEndpoint endpoint)
    {
        if (endpoint.Observer is Both both)
            both.Others.Add(this);
        else
            endpoint.Observer = new Both { Others = { this } };
    }

    private void Write()
    {
        while (Sent < _length)
        {
            int room = (int)Math.Min(_sender.SendRoom, _length - Sent);
            if (room == 0)
                return;
            Span<byte> space = _sender.PrepareSend(room);
            if (space.Length > room)
                space = space[..room];
            for (int done = 0; done < space.Length;)
            {
                ReadOnlySpan<byte> source = Pattern.AsSpan((int)((Sent + done) % Pattern.Length));
                int count = Math.Min(source.Length, space.Length - done);
                source[..count].CopyTo(space[done..]);
                done += count;
            }

            Sent += space.Length;
            _sender.CommitSend(space.Length, Sent == _length ? TcpSendFlags.None : TcpSendFlags.Continues);
        }
    }

    private void Read()
    {
        int left = _readAtOnce;
        while (left > 0 && _receiver.Available > 0)
        {
            ReadOnlySpan<byte> piece = _receiver.Peek(0).Span;
            piece = piece[..Math.Min(piece.Length, left)];
            for (int done = 0; done < piece.Length;)
            {
                ReadOnlySpan<byte> expected = Pattern.AsSpan((int)((Received + done) % Pattern.Length));
                int count = Math.Min(expected.Length, piece.Length - done);
                if (!piece.Slice(done, count).SequenceEqual(expected[..count]))
                    Assert.Fail($"bytes differ after {Received + done}");
                done += count;
            }

            Received += piece.Length;
            left -= piece.Length;
            _receiver.Consume(piece.Length);
        }

        _mayMove |= _receiver.Available > 0;
    }

    private sealed class Both : IEndpointObserver
    {
        public List<TcpTransfer> Others { get; } = [];

        public void OnReady(EndpointEvents events)
        {
            foreach (TcpTransfer other in Others)
                other.OnReady(events);
        }
    }
}
