namespace Sentry.Kernel.Time;

/// <summary>The host's clocks and its one wake-up; given to the kernel by the sentry's main program.</summary>
public interface IHostClock
{
    /// <summary>CLOCK_MONOTONIC of the host, ns.</summary>
    long Monotonic { get; }

    /// <summary>CLOCK_REALTIME of the host, ns since 1970.</summary>
    long Realtime { get; }

    /// <summary>The time stamp counter, if it runs at one rate on all processors and guests may read it; else 0.</summary>
    ulong Counter => 0;

    /// <summary>Asks for <see cref="TimerQueue.RunExpired"/> at this host monotonic time; long.MaxValue for never. Replaces the last request.</summary>
    void ArmWakeup(long hostMonotonic);
}

/// <summary>Guest time. The monotonic clock goes on from where it was across a restore; the wall clock is the host's (plus what the guest set).</summary>
[Savable("guest-clock")]
public sealed partial class GuestClock : IAfterLoad
{
    [NotSaved("the restoring host's")] private IHostClock _host = null!;
    [NotSaved("follows the restoring host's clock")] private CounterClock _counter = null!;
    [NotSaved("given by the kernel")] private Vdso.ClockPage? _page;
    [NotSaved("derived from _savedMonotonic")] private long _monotonicOffset;
    [Saved(1)] private long _savedMonotonic;
    [Saved(2)] private uint _sequence;

    public GuestClock(IHostClock host)
    {
        UseHost(host);
        _monotonicOffset = -host.Monotonic + 1_000_000_000;
    }

    /// <summary>CLOCK_MONOTONIC and CLOCK_BOOTTIME of the guest, ns.</summary>
    public long Monotonic => HostMonotonic + _monotonicOffset;

    /// <summary>CLOCK_REALTIME of the guest, ns since 1970.</summary>
    public long Realtime => _counter.IsUsable ? HostMonotonic + _counter.RealtimeOffset : _host.Realtime;

    /// <summary>Where the vDSO finds what it needs to tell the same time.</summary>
    internal Vdso.ClockPage? Page
    {
        get => _page;
        set => _page = value;
    }

    /// <summary>The host time that corresponds to a guest monotonic time.</summary>
    public long ToHost(long guestMonotonic) => guestMonotonic >= long.MaxValue + Math.Min(0, _monotonicOffset) ? long.MaxValue : guestMonotonic - _monotonicOffset;

    /// <summary>Called when the guest has been stopped for a checkpoint.</summary>
    public void BeforeSave() => _savedMonotonic = Monotonic;

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Host)
            return;
        UseHost(context.Get<IHostClock>());
        _monotonicOffset = _savedMonotonic - _host.Monotonic;
    }

    private long HostMonotonic => _counter.TryRead(out long time) ? time : Compare();

    private void UseHost(IHostClock host)
    {
        _host = host;
        _counter = new CounterClock(host);
        _counter.Compare();
    }

    private long Compare()
    {
        long time = _counter.Compare();
        if (_page is not null && _counter.Limit > 0)
        {
            // The number goes on across a restore: a thread saved while it read the old page must not take the new one for it.
            _sequence += 2;
            _page.Write(_sequence, new Vdso.ClockParameters(_counter.Base, _counter.Limit, _counter.Rate, _counter.Time + _monotonicOffset, _counter.Time + _counter.RealtimeOffset));
        }

        return time;
    }
}

/// <summary>Does something when a <see cref="KernelTimer"/> expires. Implemented by saved objects, never by a closure.</summary>
public interface ITimerTarget
{
    void OnTimer(KernelTimer timer);
}

/// <summary>A one-shot timer on the guest's monotonic clock; whoever wants a period or the wall clock re-arms it. Not saved: its owner
/// keeps the deadline and re-arms in <see cref="RestorePhase.Activation"/>.</summary>
public sealed class KernelTimer(ITimerTarget target)
{
    internal int Index = -1;

    public ITimerTarget Target { get; } = target;

    /// <summary>Guest monotonic ns; meaningful while armed.</summary>
    public long Deadline { get; internal set; }

    public bool IsArmed => Index >= 0;
}

/// <summary>The armed timers, a binary heap by deadline.</summary>
public sealed class TimerQueue(IHostClock host, GuestClock clock)
{
    private readonly List<KernelTimer> _heap = [];
    private long _requested = long.MaxValue;

    public int Count => _heap.Count;

    /// <summary>Arms or re-arms.</summary>
    public void Arm(KernelTimer timer, long deadline)
    {
        Cancel(timer);
        timer.Deadline = deadline;
        timer.Index = _heap.Count;
        _heap.Add(timer);
        Up(timer.Index);
        Request();
    }

    public void Cancel(KernelTimer timer)
    {
        if (timer.Index < 0)
            return;
        int index = timer.Index;
        KernelTimer last = _heap[^1];
        _heap.RemoveAt(_heap.Count - 1);
        timer.Index = -1;
        if (!ReferenceEquals(last, timer))
        {
            _heap[index] = last;
            last.Index = index;
            Up(index);
            Down(last.Index);
        }
    }

    /// <summary>Fires what has expired. The host calls it, under the kernel lock, when the wake-up comes (or earlier, harmlessly).</summary>
    public void RunExpired()
    {
        _requested = long.MaxValue;

        // One look at the clock: timers with periods shorter than the round through them would keep it going for ever.
        long now = clock.Monotonic;
        while (_heap.Count > 0 && _heap[0].Deadline <= now)
        {
            KernelTimer timer = _heap[0];
            Cancel(timer);
            timer.Target.OnTimer(timer);
        }
        Request();
    }

    private void Request()
    {
        // A wake-up that comes too early costs one look at the heap; one that is too late must be asked for anew.
        long next = _heap.Count == 0 ? long.MaxValue : clock.ToHost(_heap[0].Deadline);
        if (next >= _requested)
            return;
        _requested = next;
        host.ArmWakeup(next);
    }

    private void Up(int i)
    {
        KernelTimer timer = _heap[i];
        while (i > 0 && _heap[(i - 1) / 2].Deadline > timer.Deadline)
        {
            Place(_heap[(i - 1) / 2], i);
            i = (i - 1) / 2;
        }
        Place(timer, i);
    }

    private void Down(int i)
    {
        KernelTimer timer = _heap[i];
        for (; ; )
        {
            int child = (2 * i) + 1;
            if (child >= _heap.Count)
                break;
            if (child + 1 < _heap.Count && _heap[child + 1].Deadline < _heap[child].Deadline)
                child++;
            if (_heap[child].Deadline >= timer.Deadline)
                break;
            Place(_heap[child], i);
            i = child;
        }
        Place(timer, i);
    }

    private void Place(KernelTimer timer, int i)
    {
        _heap[i] = timer;
        timer.Index = i;
    }
}
