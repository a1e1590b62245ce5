using Netstack.Wire;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>A port that the agent listens at for a sandbox; what comes is carried to the sandbox's own port. On the loop's thread.</summary>
public abstract class PublishedPort(NetworkLoop loop, PublishSpec spec, int socket)
{
    /// <summary>With the port that was chosen where 0 was asked for.</summary>
    public PublishSpec Spec { get; } = spec;

    protected NetworkLoop Loop => loop;

    protected int Socket => socket;

    /// <summary>Begins to listen.</summary>
    /// <exception cref="AgentException">The port is taken, or may not be used.</exception>
    public static PublishedPort Open(NetworkLoop loop, PublishSpec spec, InetAddress sandbox, IDialer dialer)
    {
        int socket = Bind(spec);
        Span<byte> name = stackalloc byte[HostSockets.MaxAddress];
        Result<int> length = HostSockets.GetName(socket, name);
        if (length.IsOk && InetSocketAddress.TryRead(name[..length.Value], out InetSocketAddress bound))
            spec = spec with { HostPort = bound.Port };
        return spec.IsUdp ? new PublishedDatagrams(loop, spec, socket, sandbox, dialer) : new PublishedStreams(loop, spec, socket, sandbox, dialer);
    }

    public virtual void Close()
    {
        loop.Forget(socket);
        HostFile.Close(socket);
    }

    private static int Bind(PublishSpec spec)
    {
        const int Backlog = 4096, Ipv6Level = 41, V6Only = 26;
        Result<int> made = HostSockets.Create(spec.HostAddress.IsV4 ? HostSockets.Inet : HostSockets.Inet6, (spec.IsUdp ? HostSockets.Datagram : HostSockets.Stream) | HostSockets.NonBlocking);
        if (made.IsError)
            throw AgentException.Failed($"cannot publish {spec}: {made.Error}");
        if (!spec.IsUdp)
            HostSockets.SetOption(made.Value, HostSockets.SocketLevel, HostSockets.ReuseAddress, 1);
        if (spec.HostAddress.IsV6)
            HostSockets.SetOption(made.Value, Ipv6Level, V6Only, 1);
        Errno error = HostSockets.Bind(made.Value, new InetSocketAddress(spec.HostAddress.ToBytes(), spec.HostPort).Bytes);
        if (error == Errno.None && !spec.IsUdp)
            error = HostSockets.Listen(made.Value, Backlog);
        if (error == Errno.None)
            return made.Value;
        HostFile.Close(made.Value);
        throw error switch
        {
            Errno.EADDRINUSE => AgentException.Conflict($"port {spec.HostPort} of {spec.HostAddress} is in use; publish another one"),
            Errno.EADDRNOTAVAIL => AgentException.Invalid($"{spec.HostAddress} is no address of this host"),
            Errno.EACCES => AgentException.Invalid($"port {spec.HostPort} is for root only; publish one from 1024 on"),
            _ => AgentException.Failed($"cannot publish {spec}: {error}"),
        };
    }
}

/// <summary>TCP: each connection is accepted here and carried over one that is made to the sandbox.</summary>
public sealed class PublishedStreams : PublishedPort
{
    private const int Batch = 64;

    private readonly InetAddress _sandbox;
    private readonly IDialer _dialer;
    private readonly HashSet<StreamRelay> _relays = [];
    private bool _closed;

    public PublishedStreams(NetworkLoop loop, PublishSpec spec, int socket, InetAddress sandbox, IDialer dialer)
        : base(loop, spec, socket)
    {
        (_sandbox, _dialer) = (sandbox, dialer);
        loop.Watch(socket, NetworkLoop.Readable, _ => Accept());
    }

    public override void Close()
    {
        _closed = true;
        base.Close();
        foreach (StreamRelay relay in _relays.ToArray())
            relay.Abort();
    }

    private void Accept()
    {
        for (int i = 0; i < Batch; i++)
        {
            Result<int> accepted = HostSockets.Accept(Socket, HostSockets.NonBlocking, default, out _);
            if (accepted.Error is Errno.EMFILE or Errno.ENFILE or Errno.ENOMEM or Errno.ENOBUFS)
            {
                // Nothing can be taken just now; asking again at once would only burn time.
                Loop.Change(Socket, 0);
                Loop.At(NetworkLoop.Now + 100_000_000, () => { if (!_closed) Loop.Change(Socket, NetworkLoop.Readable); });
                return;
            }

            if (accepted.IsError)
                return;
            int client = accepted.Value;
            _dialer.Dial(_sandbox, Spec.GuestPort, (stream, _) => Carry(client, stream));
        }
    }

    private void Carry(int client, IStreamEnd? stream)
    {
        if (stream is null || _closed)
        {
            // As if nobody listened here: the client had no answer from the sandbox either.
            HostStream.SetAbort(client);
            HostFile.Close(client);
            stream?.Close(abort: true);
            return;
        }

        StreamRelay relay = new(new HostStream(Loop, client), stream, ended => _relays.Remove(ended));
        _relays.Add(relay);
        relay.Start();
    }
}

/// <summary>UDP: each client gets a socket on the sandbox's network, until nothing has come or gone for a while.</summary>
public sealed class PublishedDatagrams : PublishedPort
{
    private const int LongestDatagram = 65536, Batch = 64, MostClients = 4096;
    private const long Idle = 60L * 1_000_000_000;

    private readonly InetAddress _sandbox;
    private readonly IDialer _dialer;
    private readonly Dictionary<InetEndpoint, Client> _clients = [];
    private LoopTimer _sweep;

    public PublishedDatagrams(NetworkLoop loop, PublishSpec spec, int socket, InetAddress sandbox, IDialer dialer)
        : base(loop, spec, socket)
    {
        (_sandbox, _dialer) = (sandbox, dialer);
        loop.Watch(socket, NetworkLoop.Readable, _ => Receive());
        _sweep = loop.At(NetworkLoop.Now + Idle, Sweep);
    }

    public override void Close()
    {
        _sweep.Cancel();
        base.Close();
        foreach (Client client in _clients.Values)
            client.End.Close();
        _clients.Clear();
    }

    private void Receive()
    {
        byte[] buffer = new byte[LongestDatagram];
        Span<byte> from = stackalloc byte[HostSockets.MaxAddress];
        for (int i = 0; i < Batch; i++)
        {
            Result<int> got = HostSockets.Receive(Socket, buffer, HostSockets.DontWait, from, out int length);
            if (got.Error is Errno.EINTR or Errno.ECONNREFUSED)
                continue;
            if (got.IsError)
                return;
            if (!InetSocketAddress.TryRead(from[..length], out InetSocketAddress sender))
                continue;
            if (FindClient(sender) is not { } client)
                continue;
            client.Seen = NetworkLoop.Now;
            client.End.Send(buffer.AsSpan(0, got.Value));
        }
    }

    private Client? FindClient(InetSocketAddress sender)
    {
        InetEndpoint key = new(InetAddress.FromBytes(sender.Address), sender.Port);
        if (_clients.TryGetValue(key, out Client? known))
            return known;
        if (_clients.Count >= MostClients || _dialer.Open(_sandbox, Spec.GuestPort) is not { } end)
            return null;
        Client client = new(end);
        byte[] address = sender.Bytes;
        end.OnReceived = datagram =>
        {
            client.Seen = NetworkLoop.Now;
            _ = HostSockets.Send(Socket, datagram.Span, HostSockets.DontWait | HostSockets.NoSignal, address);
        };
        _clients[key] = client;
        return client;
    }

    private void Sweep()
    {
        long now = NetworkLoop.Now;
        foreach ((InetEndpoint key, Client client) in _clients.Where(c => now - c.Value.Seen > Idle).ToArray())
        {
            client.End.Close();
            _clients.Remove(key);
        }

        _sweep = Loop.At(now + Idle, Sweep);
    }

    private sealed class Client(IDatagramEnd end)
    {
        public IDatagramEnd End => end;

        public long Seen { get; set; }
    }
}

/// <summary>An address and a port.</summary>
public readonly record struct InetEndpoint(InetAddress Address, int Port);
