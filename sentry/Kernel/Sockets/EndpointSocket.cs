using Netstack.Stack;

namespace Sentry.Kernel.Sockets;

/// <summary>A socket over an endpoint of the network stack: wake-ups, readiness, and the options of SOL_SOCKET that the stack acts on.</summary>
[Savable("endpoint-socket")]
internal abstract partial class EndpointSocket : SocketFile, IEndpointObserver, IAfterLoad
{
    [Saved(1)] private NetworkNamespace _network;

    protected EndpointSocket(Task owner, int type, int protocol, OpenFlags status)
        : base(owner, type, protocol, status) => _network = owner.Network;

    internal override NetworkNamespace Network => _network;

    /// <summary>What it stands on.</summary>
    internal abstract Endpoint Endpoint { get; }

    internal EndpointOptions Ip => Endpoint.Options;

    /// <summary>Begins a call of the stack.</summary>
    protected StackCall Enter() => _network.Enter();

    /// <summary>The endpoint is there: it wakes this socket, and is known by its inode.</summary>
    protected void Attach()
    {
        Endpoint.Observer = this;
        Ip.SocketInode = Inode;
    }

    // ---- readiness -----------------------------------------------------------------------------------------------

    /// <summary>WrBand goes with Out where datagrams are sent (datagram_poll).</summary>
    private PollEvents OutEvents => Type == SocketType.Stream ? PollEvents.WriteMask : PollEvents.WriteMask | PollEvents.WrBand;

    public override PollEvents Poll() => Translate(Endpoint.Poll());

    private PollEvents Translate(EndpointEvents events)
    {
        var result = (PollEvents)(int)(events & (EndpointEvents.Pri | EndpointEvents.Err | EndpointEvents.Hup | EndpointEvents.RdHup));
        if ((events & EndpointEvents.In) != 0)
            result |= PollEvents.ReadMask;
        if ((events & EndpointEvents.Out) != 0)
            result |= OutEvents;
        return result;
    }

    void IEndpointObserver.OnReady(EndpointEvents events) => OnReady(events);

    void IEndpointObserver.OnUrgent() => AsyncOwner?.RaiseUrgent();

    protected virtual void OnReady(EndpointEvents events) => Waiters.Wake(Translate(events));

    public virtual void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Links)
            Endpoint.Observer = this;
    }

    // ---- options -------------------------------------------------------------------------------------------------

    /// <summary>An option that the stack acts on has changed.</summary>
    internal virtual void OnOptionsChanged()
    {
    }

    public override Errno SetSocketOption(Task task, int name, ReadOnlySpan<byte> value) =>
        EndpointSocketOptions.Set(task, this, name, value) ?? base.SetSocketOption(task, name, value);

    public override Result<byte[]> GetSocketOption(Task task, int name) => EndpointSocketOptions.Get(this, name) ?? base.GetSocketOption(task, name);

    /// <summary>SO_ATTACH_FILTER: a classic BPF program; null takes it away.</summary>
    internal virtual Errno SetFilter(byte[]? program) => Errno.ENOPROTOOPT;

    /// <summary>Bytes that are queued to be read and to be sent, and datagrams that found no room, for SO_MEMINFO.</summary>
    internal abstract (int Receive, int Send, int Dropped) MemoryInUse { get; }
}
