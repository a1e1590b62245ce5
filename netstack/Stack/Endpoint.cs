namespace Netstack.Stack;

/// <summary>Readiness of an endpoint; the values are those of poll(2).</summary>
[Flags]
public enum EndpointEvents
{
    None = 0,
    In = 0x001,
    Pri = 0x002,
    Out = 0x004,
    Err = 0x008,
    Hup = 0x010,
    RdHup = 0x2000,
}

/// <summary>Told when an endpoint may have become ready. It must not call back into the stack from within.</summary>
public interface IEndpointObserver
{
    /// <param name="events">What may have changed.</param>
    void OnReady(EndpointEvents events);

    /// <summary>Urgent data has come (SIGURG).</summary>
    void OnUrgent()
    {
    }
}

/// <summary>One end of a transport: what a socket of the kernel stands on. Methods only try, and never call the observer of the endpoint
/// they were called on from within a failure. Everything about it is saved; the observer is given again after a restore.</summary>
[Savable("endpoint")]
public abstract partial class Endpoint
{
    [Saved(1)] private NetworkStack _stack;
    [Saved(2)] private Errno _error;
    [Saved(3)] private EndpointOptions _options;
    [NotSaved("the socket sets it again after a restore")] private IEndpointObserver? _observer;

    protected Endpoint(NetworkStack stack, EndpointOptions options)
    {
        _stack = stack;
        _options = options;
    }

    public NetworkStack Stack => _stack;

    /// <summary>The options of the IP layer and of SOL_SOCKET that the stack itself acts on.</summary>
    public EndpointOptions Options => _options;

    public IEndpointObserver? Observer
    {
        get => _observer;
        set => _observer = value;
    }

    /// <summary>SO_ERROR: the error that waits to be told; reading it with <see cref="TakeError"/> clears it.</summary>
    public Errno PendingError
    {
        get => _error;
        protected set => _error = value;
    }

    public Errno TakeError()
    {
        Errno error = _error;
        _error = Errno.None;
        return error;
    }

    /// <summary>What it is ready for now.</summary>
    public abstract EndpointEvents Poll();

    /// <summary>The last reference to its socket is gone; the endpoint may live on (FIN, TIME-WAIT) without an observer.</summary>
    public abstract void Close();

    /// <summary>Tells the observer, if there is one.</summary>
    protected internal void Notify(EndpointEvents events) => _observer?.OnReady(events);
}
