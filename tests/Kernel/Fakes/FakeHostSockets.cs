using System.Buffers.Binary;
using Sentry.Kernel.Sockets;
using Sentry.Kernel.Sockets.Host;

namespace Tests.Kernel.Fakes;

/// <summary>A host's sockets in memory: names, listeners and what was asked of each; no traffic but what a test puts in.</summary>
internal sealed class FakeHostSockets : IHostSockets
{
    public List<FakeHostSocket> Made { get; } = [];

    /// <summary>Ports that somebody else has.</summary>
    public HashSet<int> Taken { get; } = [];

    public Result<IHostSocket> Create(int domain, int type, int protocol)
    {
        FakeHostSocket made = new(this);
        Made.Add(made);
        return made;
    }
}

internal sealed class FakeHostSocket(FakeHostSockets host) : IHostSocket
{
    public byte[] Name { get; private set; } = new byte[16];

    public byte[] Peer { get; private set; } = [];

    public int Backlog { get; private set; } = -1;

    public bool IsClosed { get; private set; }

    public Dictionary<(int Level, int Name), byte[]> Options { get; } = [];

    /// <summary>Connections that nobody has accepted yet.</summary>
    public Queue<FakeHostSocket> Arrived { get; } = [];

    public Queue<byte[]> Incoming { get; } = [];

    public List<byte[]> Sent { get; } = [];

    public IHostStreamWatcher? Watcher { get; private set; }

    public FakeHostSocket Arrive(byte[] peer)
    {
        FakeHostSocket connection = new(host) { Name = Name, Peer = peer };
        host.Made.Add(connection);
        Arrived.Enqueue(connection);
        Watcher?.OnReady(PollEvents.In);
        return connection;
    }

    public void Watch(IHostStreamWatcher watcher) => Watcher = watcher;

    public Errno Bind(ReadOnlySpan<byte> address)
    {
        if (host.Taken.Contains(BinaryPrimitives.ReadUInt16BigEndian(address[2..])))
            return Errno.EADDRINUSE;
        Name = address.ToArray();
        return Errno.None;
    }

    public Errno Connect(ReadOnlySpan<byte> address)
    {
        Peer = address.ToArray();
        return Errno.None;
    }

    public Errno Listen(int backlog)
    {
        Backlog = backlog;
        return Errno.None;
    }

    public Result<IHostSocket> Accept() => Arrived.TryDequeue(out FakeHostSocket? connection) ? connection : Errno.EAGAIN;

    public Errno Shutdown(int how) => Errno.None;

    public Result<byte[]> GetName() => Name;

    public Result<byte[]> GetPeerName() => Peer.Length > 0 ? Peer : Errno.ENOTCONN;

    public Errno SetOption(int level, int name, ReadOnlySpan<byte> value)
    {
        Options[(level, name)] = value.ToArray();
        return Errno.None;
    }

    public Result<byte[]> GetOption(int level, int name, int length) => Options.TryGetValue((level, name), out byte[]? value) ? value : new byte[4];

    public Result<int> Send(ReadOnlySpan<byte> data, int flags, ReadOnlySpan<byte> address, List<ControlMessage>? control)
    {
        Sent.Add(data.ToArray());
        return data.Length;
    }

    public Result<HostMessage> Receive(Span<byte> data, int flags, bool wantsControl)
    {
        if (!Incoming.TryDequeue(out byte[]? bytes))
            return Errno.EAGAIN;
        bytes.CopyTo(data);
        return new HostMessage(bytes.Length, 0, Peer, null);
    }

    public Result<int> Count(uint request) => Incoming.Sum(b => b.Length);

    public PollEvents Poll() => PollEvents.Out | (Arrived.Count > 0 || Incoming.Count > 0 ? PollEvents.In : 0);

    public void Close() => IsClosed = true;
}
