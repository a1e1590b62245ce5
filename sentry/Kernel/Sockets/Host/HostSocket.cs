namespace Sentry.Kernel.Sockets.Host;

/// <summary>An option that was set, so that a restored socket can be made like the saved one.</summary>
[Savable("host-socket-option")]
public sealed partial class HostSocketOption
{
    [Saved(1)] public int Level;
    [Saved(2)] public int Name;
    [Saved(3)] public byte[] Value = [];

    public HostSocketOption()
    {
    }
}

/// <summary>
/// A socket of AF_INET or AF_INET6 in a sandbox with the host's network: the host's kernel owns the protocol state, so a checkpoint holds no more
/// than what it takes to make such a socket again. A restored listener listens again where the port is free; connections are found reset.
/// </summary>
[Savable("host-socket")]
internal sealed partial class HostSocket : SocketFile, IHostStreamWatcher
{
    private const int MaxTransfer = 256 * 1024;
    private const int PassedFlags = MessageFlags.OutOfBand | MessageFlags.Peek | MessageFlags.DontRoute | MessageFlags.Truncated | MessageFlags.More | MessageFlags.ErrorQueue;

    [Saved(1)] private NetworkNamespace _network;
    [Saved(2)] private bool _isV6;
    [Saved(3)] private bool _isBound;
    [Saved(4)] private bool _isListening;
    [Saved(5)] private int _backlog;
    [Saved(6)] private bool _isConnected;
    [Saved(7)] private byte[] _name = [];
    [Saved(8)] private byte[] _peer = [];
    [Saved(9)] private List<HostSocketOption> _set = [];
    [Saved(10)] private Errno _error;
    [Saved(11)] private bool _isLost;
    [NotSaved("made again by Reopen")] private IHostSocket? _host;

    internal HostSocket(Task owner, bool isV6, int type, int protocol, IHostSocket host, OpenFlags status)
        : base(owner, type, protocol, status)
    {
        _network = owner.Network;
        _isV6 = isV6;
        _host = host;
        host.Watch(this);
    }

    internal override NetworkNamespace Network => _network;

    public override int Domain => _isV6 ? AF.Inet6 : AF.Inet;

    public override bool IsListening => _isListening;

    internal bool IsConnected => _isConnected;

    /// <summary>What a checkpoint now would make of it; null when nothing is lost.</summary>
    internal string? Loss => _isLost || Type != SocketType.Stream ? null
        : _isListening ? "listens again after a restore if the port is free"
        : _isConnected ? "reset after a restore" : null;

    internal byte[] LocalName => _name;

    internal byte[] PeerName => _peer;

    /// <summary>Makes the socket of the host again after a restore; what cannot be had again is found lost.</summary>
    /// <param name="sockets">Null where the sandbox has not the host's network any more.</param>
    /// <returns>A line for the log when a socket that should be there again is not.</returns>
    internal string? Reopen(IHostSockets? sockets)
    {
        bool wasConnected = _isConnected && Type == SocketType.Stream;
        Result<IHostSocket> made = sockets is null ? Errno.ENETDOWN : sockets.Create(Domain, Type, Protocol);
        if (wasConnected || made.IsError)
        {
            if (made.IsOk)
                made.Value.Close();
            Lose(wasConnected ? Errno.ECONNRESET : Errno.ENETDOWN);
            return null;
        }

        _host = made.Value;
        foreach (HostSocketOption option in _set)
            _host.SetOption(option.Level, option.Name, option.Value);
        Errno error = _isBound ? _host.Bind(_name) : Errno.None;
        if (error == Errno.None && _isListening)
            error = _host.Listen(_backlog);
        if (error == Errno.None && _isConnected)
            error = _host.Connect(_peer);
        if (error != Errno.None)
        {
            string what = _isListening ? "listener" : "socket";
            Lose(_isListening ? Errno.ECONNABORTED : error);
            return $"the {what} at {HostSocketNames.Format(_name)} cannot be had again: {error}";
        }

        _host.Watch(this);
        return null;
    }

    void IHostStreamWatcher.OnReady(PollEvents events)
    {
        if ((events & PollEvents.Pri) != 0)
            AsyncOwner?.RaiseUrgent();
        Waiters.Wake(WithNorm(events));
    }

    // ---- connections ---------------------------------------------------------------------------------------------

    public override Errno Bind(Task task, ReadOnlySpan<byte> address)
    {
        if (_host is null)
            return Errno.ENETDOWN;
        if (HostSocketNames.PortOf(address) is > 0 and < 1024 && !task.Credentials.Has(Capability.CAP_NET_BIND_SERVICE))
            return Errno.EACCES;
        Errno error = _host.Bind(address);
        if (error == Errno.None)
        {
            _isBound = true;
            RememberName();
        }

        return error;
    }

    public override Errno Listen(Task task, int backlog)
    {
        if (_host is null)
            return Errno.ENETDOWN;
        Errno error = _host.Listen(backlog);
        if (error != Errno.None)
            return error;
        (_isListening, _isBound, _backlog) = (true, true, backlog);
        RememberName();
        return Errno.None;
    }

    public override Result<SocketFile> Accept(Task task, OpenFlags status)
    {
        if (_isLost)
            return Errno.EINVAL;
        Result<IHostSocket> accepted = _host!.Accept();
        if (accepted.IsError)
            return accepted.Error;
        var socket = new HostSocket(task, _isV6, Type, Protocol, accepted.Value, status) { _isConnected = true };
        CopyOptionsTo(socket);
        socket.RememberName();
        socket.RememberPeer();
        return socket;
    }

    public override SyscallResult Connect(Task task, ReadOnlySpan<byte> address)
    {
        if (_host is null)
            return _isLost ? TakeOwnError(Errno.ECONNREFUSED) : Errno.ENETDOWN;
        bool begins = task.Call.State is not HostConnect;
        Errno error = begins ? _host.Connect(address) : Errno.None;
        if (begins && error is not (Errno.None or Errno.EINPROGRESS or Errno.EALREADY))
            return error;
        if (Type != SocketType.Stream)
        {
            _isConnected = address.Length >= 2 && HostSocketNames.FamilyOf(address) != AF.Unspec;
            RememberName();
            RememberPeer();
            return SyscallResult.Ok;
        }

        if (error == Errno.EALREADY && IsNonBlocking)
            return Errno.EALREADY;
        if (error == Errno.None && begins)
            return Connected();
        if (begins && IsNonBlocking)
        {
            _isConnected = true;
            RememberName();
            _peer = address.ToArray();
            return Errno.EINPROGRESS;
        }

        if ((_host.Poll() & (PollEvents.Out | PollEvents.Err | PollEvents.Hup)) == 0)
        {
            if (task.Call.TimedOut)
                return Errno.EINPROGRESS;
            task.Call.State ??= new HostConnect();
            task.WaitOn(Waiters, PollEvents.WriteMask);
            task.Call.SetTimeoutOnce(task.Kernel.Clock.Monotonic, SendTimeout);
            return task.Block(SendTimeout >= 0 ? InterruptMode.Interrupt : InterruptMode.Restart);
        }

        Result<byte[]> result = _host.GetOption(SOL.SOCKET, SO.ERROR, sizeof(int));
        int failed = result.IsOk ? BitConverter.ToInt32(result.Value) : (int)result.Error;
        return failed != 0 ? (Errno)failed : Connected();
    }

    public override Result<byte[]> GetName() => _host is null ? _name : _host.GetName();

    public override Result<byte[]> GetPeerName() => _host is null ? Errno.ENOTCONN : _host.GetPeerName();

    public override Errno Shutdown(int how)
    {
        if (how is < 0 or > 2)
            return Errno.EINVAL;
        return _host is null ? Errno.ENOTCONN : _host.Shutdown(how);
    }

    protected override void OnRelease()
    {
        _host?.Close();
        _host = null;
        base.OnRelease();
    }

    // ---- bytes ---------------------------------------------------------------------------------------------------

    public override PollEvents Poll() => _host is null
        ? PollEvents.ReadMask | PollEvents.WriteMask | PollEvents.Hup | PollEvents.RdHup | (_error != Errno.None ? PollEvents.Err : 0)
        : WithNorm(_host.Poll());

    public override Result<long> Send(Task task, in UserBuffer source, SendRequest request)
    {
        if (_host is null)
            return TakeOwnError(Errno.EPIPE);
        byte[] buffer = new byte[(int)Math.Min(source.Length, MaxTransfer)];
        if (Type != SocketType.Stream && source.Length > MaxTransfer)
            return Errno.EMSGSIZE;
        int count = source.CopyIn(buffer);
        if (count < buffer.Length && (count == 0 || Type != SocketType.Stream))
            return Errno.EFAULT;
        Result<int> sent = _host.Send(buffer.AsSpan(0, count), request.Flags & PassedFlags, request.Address, request.Control);
        return sent.IsError ? sent.Error : sent.Value;
    }

    public override Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request)
    {
        if (_host is null)
        {
            Errno told = TakeOwnError(Errno.None);
            return told == Errno.None ? 0L : told;
        }

        byte[] buffer = new byte[(int)Math.Min(destination.Length, MaxTransfer)];
        Result<HostMessage> received = _host.Receive(buffer, request.Flags & PassedFlags, request.WantsControl);
        if (received.IsError)
            return received.Error;
        HostMessage message = received.Value;
        int there = Math.Min(message.Count, buffer.Length);
        if (destination.CopyOut(buffer.AsSpan(0, there)) < there)
            return Errno.EFAULT;
        request.ResultFlags |= message.Flags;
        if (Type != SocketType.Stream)
            request.Address = message.Address;
        foreach (ControlMessage control in message.Control ?? [])
            request.Control.Add(control);
        return message.Count;
    }

    // ---- options -------------------------------------------------------------------------------------------------

    public override Errno SetSocketOption(Task task, int name, ReadOnlySpan<byte> value)
    {
        if (!HostSocketNames.IsHostOption(name))
            return base.SetSocketOption(task, name, value);
        return Set(SOL.SOCKET, name, value);
    }

    public override Result<byte[]> GetSocketOption(Task task, int name)
    {
        const int longest = 8;
        if (name == SO.ERROR && _error != Errno.None)
            return SocketOptions.Number((int)TakeOwnError(Errno.None));
        return _host is not null && (HostSocketNames.IsHostOption(name) || name == SO.ERROR) ? _host.GetOption(SOL.SOCKET, name, longest) : base.GetSocketOption(task, name);
    }

    public override Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value) =>
        HostSocketNames.IsHostLevel(level, name) ? Set(level, name, value) : Errno.ENOPROTOOPT;

    public override Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given)
    {
        const int longest = 512;
        if (!HostSocketNames.IsHostLevel(level, name))
            return Errno.ENOPROTOOPT;
        return _host is null ? Errno.EINVAL : _host.GetOption(level, name, longest);
    }

    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        if (request is not (SIOC.FIONREAD or SIOC.OUTQ or SIOC.OUTQNSD or SIOC.ATMARK))
            return base.Ioctl(caller, request, argument);
        Result<int> count = _host is null ? 0 : _host.Count(request);
        if (count.IsError)
            return count.Error;
        return caller.TryWrite(argument, count.Value) ? SyscallResult.Ok : Errno.EFAULT;
    }

    private static PollEvents WithNorm(PollEvents events)
    {
        if ((events & PollEvents.In) != 0)
            events |= PollEvents.RdNorm;
        return (events & PollEvents.Out) != 0 ? events | PollEvents.WrNorm | PollEvents.WrBand : events;
    }

    private Errno Set(int level, int name, ReadOnlySpan<byte> value)
    {
        if (_host is null)
            return Errno.EINVAL;
        Errno error = _host.SetOption(level, name, value);
        if (error != Errno.None)
            return error;
        _set.RemoveAll(o => o.Level == level && o.Name == name);
        _set.Add(new HostSocketOption { Level = level, Name = name, Value = value.ToArray() });
        return Errno.None;
    }

    private SyscallResult Connected()
    {
        _isConnected = true;
        RememberName();
        RememberPeer();
        return SyscallResult.Ok;
    }

    private Errno TakeOwnError(Errno otherwise)
    {
        Errno error = _error;
        _error = Errno.None;
        return error == Errno.None ? otherwise : error;
    }

    private void Lose(Errno error)
    {
        _host?.Close();
        (_host, _isLost, _isListening, _error) = (null, true, false, error);
        Waiters.Wake();
    }

    private void RememberName()
    {
        if (_host!.GetName() is { IsOk: true } name)
            _name = name.Value;
    }

    private void RememberPeer()
    {
        if (_host!.GetPeerName() is { IsOk: true } peer)
            _peer = peer.Value;
    }
}

/// <summary>A connect(2) on the host that has begun and is waited for.</summary>
[Savable("host-connect")]
internal sealed partial class HostConnect : CallState
{
    public HostConnect()
    {
    }
}
