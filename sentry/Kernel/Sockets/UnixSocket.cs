namespace Sentry.Kernel.Sockets;

/// <summary>A socket of AF_UNIX. Messages queue at the receiver and count against the sender's SO_SNDBUF until they are read.</summary>
[Savable("unix-socket")]
internal sealed partial class UnixSocket : SocketFile
{
    private enum Stage
    {
        Unconnected,
        Listening,
        Connected,
    }

    /// <summary>/proc/sys/net/unix/max_dgram_qlen: a datagram queue is full above this.</summary>
    private const int MaxDatagrams = 10;

    private const int MaxBacklog = 4096;
    private const int StreamPiece = 32 * 1024;
    private const int ShutReceive = 1, ShutSend = 2;
    private const uint Fionread = 0x541B, Siocoutq = 0x5411;

    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private Stage _stage;
    [Saved(3)] private string? _name;
    [Saved(4)] private Inode? _inode;
    [Saved(5)] private UnixSocket? _peer;
    [Saved(6)] private Queue<UnixMessage> _queue = new();
    [Saved(7)] private Queue<UnixSocket> _pending = new();
    [Saved(8)] private int _backlog;
    [Saved(9)] private int _shut;
    [Saved(10)] private long _inFlight;
    [Saved(11)] private SocketCredentials _own;
    [Saved(12)] private SocketCredentials _peerCredentials = new() { Uid = uint.MaxValue, Gid = uint.MaxValue };
    [Saved(13)] private bool _closed;
    [Saved(14)] private List<UnixSocket> _senders = [];

    internal UnixSocket(Task owner, int type, OpenFlags status)
        : base(owner, type, 0, status)
    {
        _kernel = owner.Kernel;
    }

    public override int Domain => AF.Unix;

    internal override NetworkNamespace Network => _kernel.Network;

    public override bool IsListening => _stage == Stage.Listening;

    public override SocketCredentials PeerCredentials => _peerCredentials;

    private bool IsConnectionBased => Type != SocketType.Datagram;

    private bool IsFull => _queue.Count > MaxDatagrams;

    private bool HasRoom => _inFlight < Options.SendBuffer;

    private bool IsWritable => _inFlight * 4 <= Options.SendBuffer;

    internal static SocketCredentials CredentialsOf(Task task) =>
        new() { Pid = task.Group.Pid, Uid = task.Credentials.EffectiveUid, Gid = task.Credentials.EffectiveGid };

    /// <summary>socketpair(2).</summary>
    internal static void Join(Task task, UnixSocket first, UnixSocket second)
    {
        first.Connect(second);
        second.Connect(first);
        first._peerCredentials = second._peerCredentials = CredentialsOf(task);
    }

    // ---- names ---------------------------------------------------------------------------------------------------

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        if (!UnixAddress.Parse(address).TryGet(out string? name, out Errno error))
            return error;
        if (_name is not null)
            return name.Length == 0 ? Errno.None : Errno.EINVAL;
        if (name.Length == 0)
        {
            _name = _kernel.UnixNames.AddAutomatic(this);
            return Errno.None;
        }

        if (name[0] == '\0')
        {
            if (!_kernel.UnixNames.TryAdd(name, this))
                return Errno.EADDRINUSE;
        }
        else
        {
            if (!Vfs.BindSocket(task, name, this).TryGet(out VfsPath place, out error))
                return error;
            _inode = place.Inode;
        }

        _name = name;
        return Errno.None;
    }

    public override Result<byte[]> GetName() => UnixAddress.Format(_name);

    public override Result<byte[]> GetPeerName() => _peer is null ? Errno.ENOTCONN : UnixAddress.Format(_peer._name);

    private Result<UnixSocket> Find(Task task, ReadOnlySpan<byte> address)
    {
        if (!UnixAddress.Parse(address).TryGet(out string? name, out Errno error))
            return error;
        if (name.Length == 0)
            return Errno.EINVAL;
        UnixSocket? found;
        if (name[0] == '\0')
        {
            found = _kernel.UnixNames.Find(name);
        }
        else
        {
            if (!Vfs.FindSocket(task, name).TryGet(out FileObject? file, out error))
                return error;
            found = file as UnixSocket;
        }

        if (found is null || found._closed)
            return Errno.ECONNREFUSED;
        return found.Type == Type ? found : Errno.EPROTOTYPE;
    }

    // ---- connections ---------------------------------------------------------------------------------------------

    public override Errno Listen(Task task, int backlog)
    {
        if (!IsConnectionBased)
            return Errno.EOPNOTSUPP;
        if (_name is null || _stage == Stage.Connected)
            return Errno.EINVAL;
        _backlog = (int)Math.Min((uint)backlog, MaxBacklog);
        _stage = Stage.Listening;
        _own = CredentialsOf(task);
        Waiters.Wake(PollEvents.WriteMask);
        return Errno.None;
    }

    public override Result<SocketFile> Accept(Task task, OpenFlags status)
    {
        if (!IsConnectionBased)
            return Errno.EOPNOTSUPP;
        if (_stage != Stage.Listening)
            return Errno.EINVAL;
        if (!_pending.TryDequeue(out UnixSocket? accepted))
            return (_shut & ShutReceive) != 0 ? Errno.EINVAL : Errno.EAGAIN;
        accepted.Flags |= status;
        Waiters.Wake(PollEvents.WriteMask);
        return accepted;
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address)
    {
        if (address.Length >= 2 && BitConverter.ToUInt16(address) == AF.Unspec)
        {
            if (IsConnectionBased)
                return Errno.EINVAL;
            Disconnect();
            return SyscallResult.Ok;
        }

        if (!Find(task, address).TryGet(out UnixSocket? other, out Errno error))
            return error;
        if (Options.PassCredentials && _name is null)
            _name = _kernel.UnixNames.AddAutomatic(this);
        if (!IsConnectionBased)
        {
            if (other._peer is { } only && only != this)
                return Errno.EPERM;
            Disconnect();
            Connect(other);
            Waiters.Wake(PollEvents.WriteMask);
            return SyscallResult.Ok;
        }

        if (_stage != Stage.Unconnected)
            return _stage == Stage.Connected ? Errno.EISCONN : Errno.EINVAL;
        if (other._stage != Stage.Listening || (other._shut & ShutReceive) != 0)
            return Errno.ECONNREFUSED;
        if (other._pending.Count > other._backlog)
        {
            if (IsNonBlocking || task.Call.TimedOut)
                return Errno.EAGAIN;
            task.Call.SetTimeoutOnce(_kernel.Clock.Monotonic, Options.SendTimeout);
            task.WaitOn(other.Waiters, PollEvents.WriteMask);
            return task.Block(Options.SendTimeout >= 0 ? InterruptMode.Interrupt : InterruptMode.Restart);
        }

        // The server's end is there at once, with its listener's name and options, and waits to be accepted.
        var server = new UnixSocket(task, Type, 0) { _name = other._name };
        other.Options.CopyTo(server.Options);
        server.Connect(this);
        Connect(server);
        server._peerCredentials = CredentialsOf(task);
        _peerCredentials = other._own;
        other._pending.Enqueue(server);
        other.Waiters.Wake(PollEvents.ReadMask);
        Waiters.Wake(PollEvents.WriteMask);
        return SyscallResult.Ok;
    }

    private void Connect(UnixSocket peer)
    {
        _peer = peer;
        _stage = Stage.Connected;
        if (!IsConnectionBased)
            peer._senders.Add(this);
    }

    private void Disconnect()
    {
        _peer?._senders.Remove(this);
        _peer = null;
        _stage = Stage.Unconnected;
    }

    public override Errno Shutdown(int how)
    {
        if (how is < 0 or > 2)
            return Errno.EINVAL;
        int mode = how + 1;
        _shut |= mode;
        if (IsConnectionBased && _peer is { } peer)
        {
            peer._shut |= ((mode & ShutReceive) != 0 ? ShutSend : 0) | ((mode & ShutSend) != 0 ? ShutReceive : 0);
            peer.Waiters.Wake();
        }

        Waiters.Wake();
        return Errno.None;
    }

    protected override void OnRelease()
    {
        base.OnRelease();
        _closed = true;
        if (_inode is not null && _inode.BoundSocket == this)
            _inode.BoundSocket = null;
        else if (_name is not null && _name[0] == '\0')
            _kernel.UnixNames.Remove(_name, this);

        bool unread = _queue.Count > 0;
        while (_queue.TryDequeue(out UnixMessage? message))
            Discard(message);
        while (_pending.TryDequeue(out UnixSocket? waiting))
        {
            waiting.AddReference();
            if (waiting._peer is { } client)
                client.Options.PendingError = Errno.ECONNRESET;
            waiting.Release();
        }

        Waiters.Wake();
        foreach (UnixSocket sender in _senders)
            sender.Waiters.Wake();
        if (_peer is not { } peer)
            return;
        if (IsConnectionBased)
        {
            peer._shut |= ShutReceive | ShutSend;
            if (unread)
                peer.Options.PendingError = Errno.ECONNRESET;
            peer.Waiters.Wake();
        }

        peer._senders.Remove(this);
    }

    // ---- messages ------------------------------------------------------------------------------------------------

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return Errno.EOPNOTSUPP;
        if (Type == SocketType.Stream)
            return SendStream(task, source, request);
        if (Type == SocketType.SeqPacket && _stage != Stage.Connected)
            return Errno.ENOTCONN;
        return SendDatagram(task, source, request);
    }

    private Result<long> SendStream(Task task, in UserBuffer source, SendRequest request)
    {
        if (request.Address is not null)
            return _stage == Stage.Connected ? Errno.EISCONN : Errno.EOPNOTSUPP;
        if (_peer is not { } peer)
            return Errno.ENOTCONN;
        if ((_shut & ShutSend) != 0 || peer._closed || (peer._shut & ShutReceive) != 0)
            return Errno.EPIPE;
        SocketCredentials credentials = request.Credentials ?? SenderCredentials(task);
        long done = 0;
        while (done < source.Length)
        {
            if (!HasRoom)
                break;
            var data = new byte[(int)Math.Min(source.Length - done, StreamPiece)];
            int copied = source.CopyIn(data, done);
            if (copied < data.Length)
            {
                if (copied == 0)
                    return done > 0 ? done : Errno.EFAULT;
                Array.Resize(ref data, copied);
            }

            Queue(peer, new UnixMessage(data, this, _name, done == 0 ? request.Files : null, credentials));
            done += copied;
        }

        if (done == 0 && source.Length > 0)
            return Errno.EAGAIN;
        peer.Waiters.Wake(PollEvents.ReadMask);
        return done;
    }

    private Result<long> SendDatagram(Task task, in UserBuffer source, SendRequest request)
    {
        UnixSocket? target = _peer;
        if (request.Address is not null && Type == SocketType.Datagram)
        {
            if (!Find(task, request.Address).TryGet(out target, out Errno error))
                return error;
        }

        if (target is null)
            return Errno.ENOTCONN;
        if (source.Length > Options.SendBuffer - 32)
            return Errno.EMSGSIZE;
        if ((_shut & ShutSend) != 0)
            return Errno.EPIPE;
        if (target._closed)
        {
            if (Type == SocketType.SeqPacket)
                return Errno.EPIPE;
            if (target == _peer)
                Disconnect();
            return Errno.ECONNREFUSED;
        }

        if (target._peer is { } only && only != this)
            return Errno.EPERM;
        if ((target._shut & ShutReceive) != 0)
            return Errno.EPIPE;
        if (!HasRoom)
            return Errno.EAGAIN;
        if (target.IsFull)
        {
            request.WaitFor = target.Waiters;
            return Errno.EAGAIN;
        }

        if (Options.PassCredentials && _name is null)
            _name = _kernel.UnixNames.AddAutomatic(this);
        var data = new byte[source.Length];
        if (source.CopyIn(data) < data.Length)
            return Errno.EFAULT;
        Queue(target, new UnixMessage(data, this, _name, request.Files, request.Credentials ?? SenderCredentials(task)));
        target.Waiters.Wake(PollEvents.ReadMask);
        return data.Length;
    }

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        if ((request.Flags & MessageFlags.OutOfBand) != 0)
            return Errno.EOPNOTSUPP;
        if (Type == SocketType.Stream)
        {
            if (_stage != Stage.Connected)
                return Errno.EINVAL;
            return ReceiveStream(destination, request);
        }

        if (Type == SocketType.SeqPacket && _stage != Stage.Connected)
            return Errno.ENOTCONN;
        return ReceiveDatagram(destination, request);
    }

    private Result<long> ReceiveStream(in UserBuffer destination, ReceiveRequest request)
    {
        if (_queue.Count == 0)
            return WhenEmpty();
        bool peek = (request.Flags & MessageFlags.Peek) != 0;
        long done = 0;
        if (peek)
        {
            foreach (UnixMessage message in _queue)
            {
                if (done >= destination.Length || (done > 0 && StartsAnew(message, request)))
                    break;
                int copied = destination.CopyOut(message.Bytes[..(int)Math.Min(message.Length, destination.Length - done)], done);
                if (copied == 0)
                    break;
                done += copied;
                Describe(message, request, peek);
                if (message.HasFiles)
                    break;
            }

            return done > 0 || destination.Length == 0 ? done : Errno.EFAULT;
        }

        while (done < destination.Length && _queue.TryPeek(out UnixMessage? message) && (done == 0 || !StartsAnew(message, request)))
        {
            int wanted = (int)Math.Min(message.Length, destination.Length - done);
            int copied = destination.CopyOut(message.Bytes[..wanted], done);
            if (copied == 0)
                return done > 0 ? done : Errno.EFAULT;
            bool files = message.HasFiles;
            Describe(message, request, peek);
            message.Consume(copied);
            done += copied;
            if (message.Length == 0)
            {
                _queue.Dequeue();
                Discard(message);
            }

            if (files || copied < wanted)
                break;
        }

        return done;
    }

    /// <summary>Bytes of different writers are not mixed when the reader wants to know who wrote (SO_PASSCRED).</summary>
    private bool StartsAnew(UnixMessage message, ReceiveRequest request) =>
        Options.PassCredentials && request.Credentials is { } first && !first.Equals(message.Credentials);

    private Result<long> ReceiveDatagram(in UserBuffer destination, ReceiveRequest request)
    {
        if (!_queue.TryPeek(out UnixMessage? message))
            return WhenEmpty();
        bool peek = (request.Flags & MessageFlags.Peek) != 0;
        int wanted = (int)Math.Min(message.Length, destination.Length), length = message.Length;
        if (destination.CopyOut(message.Bytes[..wanted]) < wanted)
            return Errno.EFAULT;
        Describe(message, request, peek);
        if (wanted < length)
            request.ResultFlags |= MessageFlags.Truncated;
        if (Type == SocketType.SeqPacket)
            request.ResultFlags |= MessageFlags.EndOfRecord;
        if (!peek)
        {
            bool wasFull = IsFull;
            _queue.Dequeue();
            Discard(message);
            if (wasFull)
            {
                Waiters.Wake(PollEvents.WriteMask);
                foreach (UnixSocket sender in _senders)
                    sender.Waiters.Wake(PollEvents.WriteMask);
            }
        }

        return (request.Flags & MessageFlags.Truncated) != 0 ? length : wanted;
    }

    private Result<long> WhenEmpty()
    {
        Errno error = Options.TakeError();
        if (error != Errno.None)
            return error;
        return (_shut & ShutReceive) != 0 ? 0L : Errno.EAGAIN;
    }

    private void Describe(UnixMessage message, ReceiveRequest request, bool peek)
    {
        request.Address ??= message.From is null ? [] : UnixAddress.Format(message.From);
        if (Options.PassCredentials)
            request.Credentials ??= message.Credentials;
        if (message.HasFiles)
            request.Files = peek ? message.PeekFiles() : message.TakeFiles();
    }

    private static SocketCredentials SenderCredentials(Task task) => new() { Pid = task.Group.Pid, Uid = task.Credentials.Uid, Gid = task.Credentials.Gid };

    private void Queue(UnixSocket target, UnixMessage message)
    {
        _inFlight += message.Charge;
        target._queue.Enqueue(message);
    }

    /// <summary>A message has been read or thrown away: its sender has room again.</summary>
    private static void Discard(UnixMessage message)
    {
        foreach (FileObject file in message.TakeFiles() ?? [])
            file.Release();
        UnixSocket sender = message.Sender;
        bool was = sender.IsWritable;
        sender._inFlight -= message.Charge;
        if (!was && sender.IsWritable)
            sender.Waiters.Wake(PollEvents.WriteMask);
    }

    // ---- readiness -----------------------------------------------------------------------------------------------

    public override PollEvents Poll()
    {
        PollEvents events = PollEvents.None;
        if (Options.PendingError != Errno.None)
            events |= PollEvents.Err;
        if (_shut == (ShutReceive | ShutSend))
            events |= PollEvents.Hup;
        if ((_shut & ShutReceive) != 0)
            events |= PollEvents.RdHup | PollEvents.ReadMask;
        if (_queue.Count > 0 || _pending.Count > 0)
            events |= PollEvents.ReadMask;
        if (IsConnectionBased && _stage == Stage.Unconnected)
            events |= PollEvents.Hup;
        bool blocked = Type == SocketType.Datagram && _peer is { } peer && peer._peer != this && peer.IsFull;
        if (_stage != Stage.Listening && IsWritable && !blocked)
            events |= PollEvents.WriteMask | PollEvents.WrBand;
        return events;
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        long value;
        switch (request)
        {
            case Fionread:
                if (_stage == Stage.Listening)
                    return Errno.EINVAL;
                value = ReadableBytes;
                break;
            case Siocoutq:
                value = _inFlight;
                break;
            default:
                return base.Ioctl(caller, request, argument);
        }

        return caller.TryWrite(argument, (int)value) ? SyscallResult.Ok : Errno.EFAULT;
    }

    // ---- what sock_diag(7) and /proc/net/unix tell -------------------------------------------------------------------

    /// <summary>A path, or an abstract name that begins with NUL; null for none.</summary>
    internal string? Name => _name;

    /// <summary>The file it is bound to.</summary>
    internal Inode? BoundInode => _inode;

    internal UnixSocket? Peer => _peer is { _closed: false } peer ? peer : null;

    /// <summary>As a state of TCP: 1 connected, 7 not, 10 listening.</summary>
    internal int DiagnosedState => _stage switch
    {
        Stage.Connected => 1,
        Stage.Listening => 10,
        _ => 7,
    };

    /// <summary>RCV_SHUTDOWN 1, SEND_SHUTDOWN 2.</summary>
    internal int ShutdownMask => _shut;

    internal long BytesInFlight => _inFlight;

    /// <summary>Bytes to be read and bytes not yet read by others; of a listener, connections that wait and how many may.</summary>
    internal (int Receive, int Send) QueueLengths => _stage == Stage.Listening ? (_pending.Count, _backlog) : ((int)ReadableBytes, (int)_inFlight);

    /// <summary>The sockets whose connections wait to be accepted, by inode number.</summary>
    internal IEnumerable<ulong> WaitingClients => _pending.Select(p => p.Peer?.Inode ?? 0);

    private long ReadableBytes => Type == SocketType.Datagram ? _queue.TryPeek(out UnixMessage? first) ? first.Length : 0 : _queue.Sum(m => (long)m.Length);
}
