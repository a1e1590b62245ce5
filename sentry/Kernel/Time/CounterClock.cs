namespace Sentry.Kernel.Time;

/// <summary>
/// The host's monotonic clock told by the time stamp counter, so that the kernel and the vDSO say the same without asking the host. What it
/// tells runs at the rate that the host's clock had between two looks at it, and is compared with the host anew after at most
/// <see cref="MaxAge"/>. It never goes back: when it has got ahead of the host it runs slower until the host has caught up.
/// </summary>
internal sealed class CounterClock(IHostClock host)
{
    /// <summary>ns for which one comparison holds. The host's rate changes by at most 500 ppm at a time (adjtimex(2)): 100 µs then.</summary>
    private const long MaxAge = 200_000_000;

    // ns between two looks at the host before a rate is believed (a look is good to about 50 ns), and before the older one is given up.
    private const long MinBaseline = 4_000_000, MaxBaseline = 4_000_000_000;

    private const int MaxFaults = 8;

    private Look _older;
    private Look _newer;
    private ulong _fullRate;
    private int _faults;
    private long _latest;
    private long _realtimeOffset = long.MinValue;

    /// <summary>What it tells is <see cref="Time"/> + ticks since <see cref="Base"/> * <see cref="Rate"/> / 2^32, for <see cref="Limit"/> ticks.</summary>
    public ulong Base { get; private set; }

    /// <summary>0 when it tells nothing: the host is asked.</summary>
    public ulong Limit { get; private set; }

    public ulong Rate { get; private set; }

    public long Time { get; private set; }

    /// <summary>Whether there is a counter that keeps time with the host.</summary>
    public bool IsUsable => _faults < MaxFaults && host.Counter != 0;

    /// <summary>CLOCK_REALTIME minus CLOCK_MONOTONIC, which Linux changes in steps only. Known once the host has been asked.</summary>
    public long RealtimeOffset => _realtimeOffset;

    public bool TryRead(out long monotonic)
    {
        ulong ticks = Limit == 0 ? 0 : host.Counter - Base;
        monotonic = Time + Scale(ticks, Rate);
        return ticks < Limit;
    }

    /// <summary>The host's monotonic time, by asking it; makes <see cref="TryRead"/> good for a while where that is possible.</summary>
    public long Compare()
    {
        if (!IsUsable)
        {
            Limit = 0;
            return Math.Max(host.Monotonic, _latest);
        }

        Look look = LookAtHost();
        if (Limit > 0)
            _latest = Math.Max(_latest, Time + Scale(Math.Min(look.Ticks - Base, Limit), Rate));
        Limit = 0;
        Follow(look);
        return Math.Max(look.Time, _latest);
    }

    private void Follow(in Look look)
    {
        if (_older.Ticks == 0)
            _older = _newer = look;
        long baseline = look.Time - _older.Time;
        if (baseline < MinBaseline)
            return;
        ulong rate = look.Ticks <= _older.Ticks ? 0 : (ulong)(((UInt128)(ulong)baseline << 32) / (look.Ticks - _older.Ticks));
        if (rate == 0 || (_fullRate != 0 && Math.Abs((long)(rate - _fullRate)) > (long)(_fullRate / 1000)))
        {
            // No clock of the host does that: the machine was stopped and moved, or its processors' counters differ.
            _faults++;
            _fullRate = 0;
            _older = _newer = look;
            return;
        }

        _fullRate = rate;
        if (look.Time - _newer.Time > MaxBaseline)
            (_older, _newer) = (_newer, look);
        long age = Math.Min(MaxAge, baseline * 4), ahead = Math.Max(0, _latest - look.Time);
        Base = look.Ticks;
        Time = look.Time + ahead;
        Rate = rate - (ulong)((double)rate * Math.Min(ahead, age / 2) / age);
        Limit = (ulong)(((UInt128)(ulong)age << 32) / rate);
    }

    private Look LookAtHost()
    {
        Look best = new(0, host.Monotonic);
        ulong width = ulong.MaxValue;
        for (int i = 0; i < 3; i++)
        {
            ulong before = host.Counter;
            long time = host.Monotonic;
            ulong after = host.Counter;
            if (after - before >= width)
                continue;
            width = after - before;
            best = new Look(before + (width / 2), time);
        }

        long narrowest = long.MaxValue, offset = 0;
        for (int i = 0; i < 2; i++)
        {
            long before = host.Monotonic, wall = host.Realtime, after = host.Monotonic;
            if (after - before >= narrowest)
                continue;
            narrowest = after - before;
            offset = wall - before - (narrowest / 2);
        }

        // What is less than a step of the wall clock is the inaccuracy of the look.
        const long Step = 5000;
        if (_realtimeOffset == long.MinValue || Math.Abs(offset - _realtimeOffset) > Step + narrowest)
            _realtimeOffset = offset;
        return best;
    }

    private static long Scale(ulong ticks, ulong rate)
    {
        ulong high = Math.BigMul(ticks, rate, out ulong low);
        return (long)(high << 32 | low >> 32);
    }

    private readonly record struct Look(ulong Ticks, long Time);
}
