namespace Sentry.Kernel.Sockets.Host;

/// <summary>Sockets of the host for a sandbox that has its network (--network host); given to the kernel by the sentry's main program. Not saved.</summary>
public interface IHostSockets
{
    /// <summary>A new socket of AF_INET or AF_INET6: SOCK_STREAM, or SOCK_DGRAM of UDP or ICMP echo.</summary>
    Result<IHostSocket> Create(int domain, int type, int protocol);
}

/// <summary>What came with a message.</summary>
/// <param name="Count">Bytes; with MSG_TRUNC perhaps more than were put into the buffer.</param>
/// <param name="Flags">msg_flags.</param>
/// <param name="Address">The sender's sockaddr; empty when none was told.</param>
/// <param name="Control">Ancillary data; null when there is none.</param>
public readonly record struct HostMessage(int Count, int Flags, byte[] Address, List<ControlMessage>? Control);

/// <summary>A socket of the host. Nothing waits: what cannot be done now is EAGAIN. Addresses are sockaddr as the guest has them, which are the host's own.</summary>
public interface IHostSocket
{
    /// <summary>Calls <paramref name="watcher"/> under the kernel lock each time that something may have changed.</summary>
    void Watch(IHostStreamWatcher watcher);

    Errno Bind(ReadOnlySpan<byte> address);

    /// <summary>EINPROGRESS when it goes on by itself.</summary>
    Errno Connect(ReadOnlySpan<byte> address);

    Errno Listen(int backlog);

    Result<IHostSocket> Accept();

    Errno Shutdown(int how);

    Result<byte[]> GetName();

    Result<byte[]> GetPeerName();

    Errno SetOption(int level, int name, ReadOnlySpan<byte> value);

    /// <param name="length">The longest value that is of use.</param>
    Result<byte[]> GetOption(int level, int name, int length);

    Result<int> Send(ReadOnlySpan<byte> data, int flags, ReadOnlySpan<byte> address, List<ControlMessage>? control);

    Result<HostMessage> Receive(Span<byte> data, int flags, bool wantsControl);

    /// <summary>An ioctl that gives one int: FIONREAD, SIOCOUTQ, SIOCATMARK.</summary>
    Result<int> Count(uint request);

    PollEvents Poll();

    void Close();
}
