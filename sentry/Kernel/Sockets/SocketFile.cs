namespace Sentry.Kernel.Sockets;

/// <summary>Who sent a message or is at the other end (struct ucred of unix(7)).</summary>
[Savable("ucred")]
public partial struct SocketCredentials : IEquatable<SocketCredentials>
{
    [Saved(1)] public int Pid;
    [Saved(2)] public uint Uid;
    [Saved(3)] public uint Gid;

    public readonly bool Equals(SocketCredentials other) => Pid == other.Pid && Uid == other.Uid && Gid == other.Gid;

    public override readonly bool Equals(object? obj) => obj is SocketCredentials other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(Pid, Uid, Gid);
}

/// <summary>What send(2) and its like say beside the bytes. One is used again for every call.</summary>
public sealed class SendRequest
{
    internal void Reset(int flags)
    {
        Flags = flags;
        Address = null;
        Files = null;
        Credentials = null;
        Control = null;
        WaitFor = null;
    }

    /// <summary>MSG_*.</summary>
    public int Flags { get; set; }

    /// <summary>sockaddr, or null when there is none.</summary>
    public byte[]? Address { get; set; }

    /// <summary>SCM_RIGHTS; the socket takes references of its own.</summary>
    public FileObject[]? Files { get; set; }

    /// <summary>SCM_CREDENTIALS, checked.</summary>
    public SocketCredentials? Credentials { get; set; }

    /// <summary>Ancillary data beside SCM_RIGHTS and SCM_CREDENTIALS, as it was given.</summary>
    public List<ControlMessage>? Control { get; set; }

    /// <summary>Set by the socket when it answers EAGAIN: where room will be made known, if not on its own queue.</summary>
    public WaitQueue? WaitFor { get; set; }
}

/// <summary>What recv(2) and its like tell beside the bytes. One is used again for every call.</summary>
public sealed class ReceiveRequest
{
    internal void Reset(int flags)
    {
        Flags = flags;
        ResultFlags = 0;
        Address = null;
        Files = null;
        Credentials = null;
        WantsControl = false;
        _control = null;
    }

    /// <summary>MSG_* of the caller.</summary>
    public int Flags { get; set; }

    /// <summary>msg_flags as they will be told.</summary>
    public int ResultFlags { get; set; }

    /// <summary>The sender's sockaddr; empty when it has no name, null when the kind of socket does not tell.</summary>
    public byte[]? Address { get; set; }

    /// <summary>SCM_RIGHTS; the references are now the caller's.</summary>
    public FileObject[]? Files { get; set; }

    /// <summary>SCM_CREDENTIALS.</summary>
    public SocketCredentials? Credentials { get; set; }

    /// <summary>Whether the caller has room for ancillary data; if not, a socket need not make any.</summary>
    public bool WantsControl { get; set; }

    /// <summary>Ancillary data beside SCM_RIGHTS and SCM_CREDENTIALS, in the order it is told.</summary>
    public List<ControlMessage> Control => _control ??= [];

    /// <summary>Null when there is none.</summary>
    public List<ControlMessage>? ControlOrNull => _control;

    private List<ControlMessage>? _control;
}

/// <summary>One piece of ancillary data (struct cmsghdr, cmsg(3)).</summary>
public readonly record struct ControlMessage(int Level, int Type, byte[] Data);

/// <summary>A socket (socket(7)). What is the same in all families is here: options, waiting, what fstat says. Methods only try.</summary>
[Savable("socket")]
public abstract partial class SocketFile : FileObject
{
    [Saved(1)] private int _type;
    [Saved(2)] private int _protocol;
    [Saved(3)] private SocketOptions? _options;
    [Saved(4)] private ulong _inode;
    [Saved(5)] private uint _uid;
    [Saved(6)] private uint _gid;
    [NotSaved("waiters register again when their call is tried again")] private readonly WaitQueue _waiters = new();

    internal override bool RaisesSignals => true;

    protected SocketFile(Task owner, int type, int protocol, OpenFlags status)
        : base(OpenFlags.ReadWrite | status)
    {
        _type = type;
        _protocol = protocol;
        _inode = owner.Kernel.NewAnonymousInode();
        _uid = owner.Credentials.FsUid;
        _gid = owner.Credentials.FsGid;
        owner.Network.Sockets.Add(_inode, this);
    }

    /// <summary>The network it was made in.</summary>
    internal abstract NetworkNamespace Network { get; }

    /// <summary>Its owner (fchown does not change sockets).</summary>
    internal uint Uid => _uid;

    /// <summary>AF_*.</summary>
    public abstract int Domain { get; }

    /// <summary>SOCK_*.</summary>
    public int Type => _type;

    public int Protocol => _protocol;

    /// <summary>Made when first asked for: most connections change nothing that is in it.</summary>
    public SocketOptions Options => _options ??= new SocketOptions();

    /// <summary>SO_RCVTIMEO in ns; negative for none.</summary>
    public long ReceiveTimeout => _options?.ReceiveTimeout ?? -1;

    /// <summary>SO_SNDTIMEO in ns; negative for none.</summary>
    public long SendTimeout => _options?.SendTimeout ?? -1;

    /// <summary>Whether a boolean option of <see cref="Options"/> (its SO_* number) is on.</summary>
    public bool HasOption(int option) => _options is not null && _options.Has(option);

    /// <summary>SO_TIMESTAMPING: SOF_TIMESTAMPING_*.</summary>
    internal int Timestamping => _options?.Timestamping ?? 0;

    /// <summary>Whether SO_PEEK_OFF is on.</summary>
    protected bool HasPeekOffset => _options is { PeekOffset: >= 0 };

    /// <summary>What accept(2) hands on.</summary>
    protected void CopyOptionsTo(SocketFile accepted) => _options?.CopyTo(accepted.Options);

    /// <summary>st_ino, also in /proc/net.</summary>
    public ulong Inode => _inode;

    public WaitQueue Waiters => _waiters;

    public override WaitQueue? WaitQueue => _waiters;

    /// <summary>The peer that accept(2) tells.</summary>
    internal virtual Result<byte[]> GetAcceptedPeerName() => GetPeerName();

    /// <summary>A call with MSG_ZEROCOPY has ended and sent something: the sender is told when its memory is its own again.</summary>
    internal virtual void OnZeroCopySent()
    {
    }

    public override bool WritesInFull => _type == SocketType.Stream;

    public override bool RaisesPipeSignal => _type == SocketType.Stream;

    public override long WaitTimeout(PollEvents events) => (events & PollEvents.Out) != 0 ? SendTimeout : ReceiveTimeout;

    public override string Describe() => $"socket:[{_inode}]";

    public override Result<FileStatus> GetStatus() => new FileStatus
    {
        Device = 8,
        Inode = _inode,
        Mode = S.IFSOCK | 0x1FF,
        LinkCount = 1,
        Uid = _uid,
        Gid = _gid,
        BlockSize = 4096,
    };

    public override Result<long> Read(Task caller, in UserBuffer destination)
    {
        if (destination.Length == 0 && _type == SocketType.Stream)
            return 0L;
        ReceiveRequest request = caller.Kernel.Messages.Receive(0);
        Result<long> received = Receive(caller, destination, request);

        // Descriptors that came along are lost on a reader that has no place for them (unix(7)).
        foreach (FileObject file in request.Files ?? [])
            file.Release();
        return received;
    }

    public override Result<long> Write(Task caller, in UserBuffer source) => Send(caller, source, caller.Kernel.Messages.Send(0));

    /// <summary>Overrides call this.</summary>
    protected override void OnRelease() => Network.Sockets.Remove(_inode);

    // ---- what a family does --------------------------------------------------------------------------------------

    public abstract Errno Bind(Task task, ReadOnlySpan<byte> address);

    public virtual Errno Listen(Task task, int backlog) => Errno.EOPNOTSUPP;

    /// <summary>A connection that has come, without a reference yet; EAGAIN when there is none.</summary>
    public virtual Result<SocketFile> Accept(Task task, OpenFlags status) => Errno.EOPNOTSUPP;

    /// <summary>connect(2), one try of it: may register the task and block as a handler does.</summary>
    public abstract SyscallResult Connect(Task task, ReadOnlySpan<byte> address);

    /// <summary>getsockname(2): sockaddr.</summary>
    public abstract Result<byte[]> GetName();

    /// <summary>getpeername(2): sockaddr.</summary>
    public abstract Result<byte[]> GetPeerName();

    /// <summary>shutdown(2): SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2.</summary>
    public abstract Errno Shutdown(int how);

    /// <summary>Takes what there is room for: bytes taken; EAGAIN when none; EPIPE makes the caller raise SIGPIPE for a stream.</summary>
    public abstract Result<long> Send(Task task, in UserBuffer source, SendRequest request);

    /// <summary>Gives what there is; EAGAIN when nothing, 0 at the end.</summary>
    public abstract Result<long> Receive(Task task, in UserBuffer destination, ReceiveRequest request);

    public virtual bool IsListening => false;

    /// <summary>SO_PEERCRED; pid 0 and ids of -1 when nobody is known.</summary>
    public virtual SocketCredentials PeerCredentials => new() { Uid = uint.MaxValue, Gid = uint.MaxValue };

    /// <summary>Requests on any socket: its owner (socket(7)), interfaces, routes and neighbours (netdevice(7), arp(7)).</summary>
    public override SyscallResult Ioctl(Task caller, uint request, ulong argument)
    {
        switch (request)
        {
            case SIOC.SETOWN_FIO or SIOC.SPGRP:
                return caller.TryRead(argument, out int owner) ? DescriptorSyscalls.SetOwner(caller, caller.Call.Args.I0, this, owner) : Errno.EFAULT;
            case SIOC.GETOWN_FIO or SIOC.GPGRP:
                return caller.TryWrite(argument, DescriptorSyscalls.GetOwner(caller, this)) ? SyscallResult.Ok : Errno.EFAULT;
            default:
                return InterfaceRequests.Handle(caller, Domain, request, argument);
        }
    }

    /// <summary>An option of SOL_SOCKET.</summary>
    public virtual Errno SetSocketOption(Task task, int name, ReadOnlySpan<byte> value) => Options.Set(task, this, name, value);

    /// <summary>The value of an option of SOL_SOCKET, in full length.</summary>
    public virtual Result<byte[]> GetSocketOption(Task task, int name) => (_options ?? SocketOptions.Unset).Get(this, name);

    /// <summary>An option beyond SOL_SOCKET.</summary>
    public virtual Errno SetOption(Task task, int level, int name, ReadOnlySpan<byte> value) => Errno.EOPNOTSUPP;

    /// <summary>The value of an option beyond SOL_SOCKET, in full length.</summary>
    /// <param name="given">What the caller put into the value's place, as long as it said; a few options take a question from there.</param>
    public virtual Result<byte[]> GetOption(Task task, int level, int name, ReadOnlySpan<byte> given) => Errno.EOPNOTSUPP;

}
