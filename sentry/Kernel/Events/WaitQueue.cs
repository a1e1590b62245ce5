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
    private readonly record struct Entry(IWaiter Waiter, PollEvents Events, bool Exclusive);

    // The first stands in the object itself: most queues never have a second one.
    private Entry _first;
    private List<Entry>? _others;

    public bool IsEmpty => _first.Waiter is null;

    private int Count => _first.Waiter is null ? 0 : 1 + (_others?.Count ?? 0);

    public void Add(IWaiter waiter, PollEvents events) => Add(new Entry(waiter, events | PollEvents.Err | PollEvents.Hup, false));

    /// <summary>A waiter that a wake-up may pass over when another such one has been told.</summary>
    public void AddExclusive(IExclusiveWaiter waiter, PollEvents events) => Add(new Entry(waiter, events | PollEvents.Err | PollEvents.Hup, true));

    public virtual void Remove(IWaiter waiter)
    {
        for (int i = (_others?.Count ?? 0) - 1; i >= 0; i--)
        {
            if (ReferenceEquals(_others![i].Waiter, waiter))
                _others.RemoveAt(i);
        }

        if (!ReferenceEquals(_first.Waiter, waiter))
            return;
        _first = default;
        if (_others is { Count: > 0 })
        {
            _first = _others[0];
            _others.RemoveAt(0);
        }
    }

    /// <summary>Tells every waiter that is interested in any of <paramref name="events"/>. Waiters stay until they remove themselves.</summary>
    public void Wake(PollEvents events = PollEvents.All)
    {
        bool told = false;
        for (int i = 0; i < Count; i++)
        {
            Entry entry = i == 0 ? _first : _others![i - 1];
            if ((entry.Events & events) == 0 || (entry.Exclusive && told))
                continue;
            int count = Count;
            if (entry.Exclusive)
                told = ((IExclusiveWaiter)entry.Waiter).OnWakeExclusive(this, events);
            else
                entry.Waiter.OnWake(this, events);
            if (Count < count)
                i -= count - Count;
        }
    }

    private void Add(in Entry entry)
    {
        if (_first.Waiter is null)
            _first = entry;
        else
            (_others ??= new(2)).Add(entry);
    }
}
