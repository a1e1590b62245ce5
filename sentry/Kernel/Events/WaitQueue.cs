namespace Sentry.Kernel.Events;

/// <summary>Readiness of a file, the bits of poll(2) and epoll(7).</summary>
[Flags]
public enum PollEvents
{
    None = 0,
    In = 0x001,
    Pri = 0x002,
    Out = 0x004,
    Err = 0x008,
    Hup = 0x010,
    Nval = 0x020,
    RdNorm = 0x040,
    RdBand = 0x080,
    WrNorm = 0x100,
    WrBand = 0x200,
    Msg = 0x400,
    RdHup = 0x2000,
    ReadMask = In | RdNorm,
    WriteMask = Out | WrNorm,
    All = -1,
}

/// <summary>Told when something it waits for may have happened. Must not change the queue's owner from within.</summary>
public interface IWaiter
{
    void OnWake(WaitQueue queue, PollEvents events);
}

/// <summary>One of several of which one is to be told (EPOLLEXCLUSIVE).</summary>
public interface IExclusiveWaiter : IWaiter
{
    /// <summary>As <see cref="IWaiter.OnWake"/>; false when nobody was woken by it, so that the next one is told.</summary>
    bool OnWakeExclusive(WaitQueue queue, PollEvents events);
}

/// <summary>Those who wait for an object to change, in the order of their coming. Never saved: after a restore blocked calls are tried
/// again and register again, epoll items register in <see cref="RestorePhase.Links"/>.</summary>
public class WaitQueue
{
    private List<(IWaiter Waiter, PollEvents Events, bool Exclusive)>? _waiters;

    public bool IsEmpty => _waiters is null || _waiters.Count == 0;

    public void Add(IWaiter waiter, PollEvents events) => (_waiters ??= new(2)).Add((waiter, events | PollEvents.Err | PollEvents.Hup, false));

    /// <summary>A waiter that a wake-up may pass over when another such one has been told.</summary>
    public void AddExclusive(IExclusiveWaiter waiter, PollEvents events) => (_waiters ??= new(2)).Add((waiter, events | PollEvents.Err | PollEvents.Hup, true));

    public virtual void Remove(IWaiter waiter)
    {
        if (_waiters is null)
            return;
        for (int i = _waiters.Count - 1; i >= 0; i--)
        {
            if (ReferenceEquals(_waiters[i].Waiter, waiter))
                _waiters.RemoveAt(i);
        }
    }

    /// <summary>Tells every waiter that is interested in any of <paramref name="events"/>. Waiters stay until they remove themselves.</summary>
    public void Wake(PollEvents events = PollEvents.All)
    {
        if (_waiters is null)
            return;
        bool told = false;
        for (int i = 0; i < _waiters.Count; i++)
        {
            (IWaiter waiter, PollEvents wanted, bool exclusive) = _waiters[i];
            if ((wanted & events) == 0 || (exclusive && told))
                continue;
            int count = _waiters.Count;
            if (exclusive)
                told = ((IExclusiveWaiter)waiter).OnWakeExclusive(this, events);
            else
                waiter.OnWake(this, events);
            if (_waiters.Count < count)
                i -= count - _waiters.Count;
        }
    }
}
