namespace Sentry.Kernel.Time;

/// <summary>A timer that a guest set: when it expires next, on the monotonic or the wall clock, and its period. The core of timerfd(2),
/// setitimer(2) and timer_create(2). A wall-clock timer follows the wall clock when it jumps (a restore); see timerfd_create(2).</summary>
[Savable("interval-timer")]
public abstract partial class IntervalTimer : ITimerTarget, IAfterLoad
{
    [Saved(1)] private GuestKernel _kernel;
    [Saved(2)] private bool _wall;
    [Saved(3)] private long _next = -1;
    [Saved(4)] private long _interval;
    [NotSaved("armed again in the activation phase")] private KernelTimer? _timer;

    protected IntervalTimer(GuestKernel kernel) => _kernel = kernel;

    protected GuestKernel Kernel => _kernel;

    public bool IsArmed => _next >= 0;

    /// <summary>The period in ns; 0 for none.</summary>
    public long Interval => _interval;

    /// <summary>ns until it expires, at least 1 while armed; 0 when it is not.</summary>
    public long Remaining => _next < 0 ? 0 : Math.Max(1, _next - Now);

    /// <summary>Sets it to expire after <paramref name="value"/> ns, or at <paramref name="value"/> when <paramref name="absolute"/>; then every <paramref name="interval"/>.</summary>
    /// <param name="wall">The clock of an absolute time; a relative one always counts monotonic time.</param>
    public void Set(long value, long interval, bool absolute, bool wall)
    {
        _wall = absolute && wall;
        _interval = interval;
        _next = absolute ? value : value > long.MaxValue - Now ? long.MaxValue : Now + value;
        Arm();
    }

    public void Disarm()
    {
        _next = -1;
        _interval = 0;
        if (_timer is not null)
            _kernel.Timers.Cancel(_timer);
    }

    /// <summary>Whether its periods are counted only when somebody looks (<see cref="CatchUp"/>): one of microseconds that nobody reads costs nothing.</summary>
    protected virtual bool WaitsForReader => false;

    /// <summary>How often it has expired since it told last, where it waits for its reader; it goes on from here.</summary>
    internal long CatchUp()
    {
        if (_next < 0 || _interval <= 0)
            return 0;

        // After a restore it may be armed and late: its expiry comes after the reader.
        long count = Now < _next ? 0 : Forward();
        if (count > 0 || _timer is not { IsArmed: true })
            Arm();
        return count;
    }

    /// <summary>It has expired <paramref name="count"/> times since last told.</summary>
    protected abstract void OnExpired(long count);

    public void OnTimer(KernelTimer timer)
    {
        long now = Now;
        if (_next < 0)
            return;
        if (now < _next)
        {
            Arm();
            return;
        }

        long count = 1;
        if (_interval > 0)
        {
            count = Forward();
            if (!WaitsForReader)
                Arm();
        }
        else
        {
            _next = -1;
        }

        OnExpired(count);
    }

    public virtual void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _next >= 0)
            Arm();
    }

    /// <summary>Moves to the next expiry after now; how many have passed.</summary>
    private long Forward()
    {
        long count = 1 + ((Now - _next) / _interval);
        long step = count > long.MaxValue / _interval ? long.MaxValue : count * _interval;
        _next = _next > long.MaxValue - step ? long.MaxValue : _next + step;
        return count;
    }

    private long Now => _wall ? _kernel.Clock.Realtime : _kernel.Clock.Monotonic;

    private void Arm()
    {
        long left = Math.Max(0, _next - Now), monotonic = _kernel.Clock.Monotonic;
        _kernel.Timers.Arm(_timer ??= new KernelTimer(this), left > long.MaxValue - monotonic ? long.MaxValue : monotonic + left);
    }
}
