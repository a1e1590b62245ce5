namespace Tests.Kernel.Time;

/// <summary>A host whose counter runs at 2.5 ticks a nanosecond while its clock runs at a rate of its own.</summary>
public sealed class CounterClockTests
{
    private const long Millisecond = 1_000_000, Accuracy = 20;

    private readonly FakeClock _host = new() { Counter = 1_000_000_000 };
    private readonly CounterClock _clock;

    public CounterClockTests()
    {
        _clock = new CounterClock(_host);
        _clock.Compare();
    }

    [Fact]
    public void TryRead_BeforeTheRateIsKnown_TellsNothing()
    {
        Pass(3 * Millisecond);
        _clock.Compare();
        Assert.False(_clock.TryRead(out _));
    }

    [Fact]
    public void TryRead_FollowsTheCounter()
    {
        Settle();
        for (int i = 0; i < 7; i++)
        {
            Pass(2 * Millisecond);
            AssertReads(_host.Monotonic);
        }
    }

    [Fact]
    public void TryRead_LongAfterAComparison_TellsNothing()
    {
        Settle();
        Pass(1000 * Millisecond);
        Assert.False(_clock.TryRead(out _));
        Assert.InRange(_clock.Compare() - _host.Monotonic, 0, Accuracy);
        Assert.True(_clock.TryRead(out _));
    }

    [Fact]
    public void Compare_HostClockHasSlowedDown_TimeNeverGoesBackAndMeetsIt()
    {
        Settle();
        for (int i = 0; i < 20; i++)
        {
            Pass(150 * Millisecond);
            _clock.Compare();
        }

        long last = 0;
        for (int i = 0; i < 1000; i++)
        {
            Pass(10 * Millisecond, partsPerMillion: -500);
            long now = _clock.TryRead(out long read) ? read : _clock.Compare();
            Assert.True(now >= last, $"from {last} to {now}");
            last = now;
        }

        // The rate is that of the last seconds, and what it was wrong by is made up for.
        AssertReads(_host.Monotonic, 1000);
    }

    [Fact]
    public void Compare_CounterWentBack_StartsAnewWithoutGoingBack()
    {
        Settle();
        Pass(10 * Millisecond);
        Assert.True(_clock.TryRead(out long before));
        _host.Counter = 5;
        Pass(1);
        Assert.True(_clock.Compare() >= before);
        Assert.False(_clock.TryRead(out _));

        // A program may have read anything up to the limit of the last comparison: the time waits for the host from there.
        for (int i = 0; i < 100; i++)
        {
            Pass(10 * Millisecond);
            long now = _clock.TryRead(out long read) ? read : _clock.Compare();
            Assert.True(now >= before);
            before = now;
        }

        AssertReads(_host.Monotonic);
    }

    [Fact]
    public void Compare_CounterKeepsJumping_GivesItUp()
    {
        for (int i = 0; i < 20; i++)
        {
            Settle();
            _host.Counter += 1_000_000_000;
            Pass(1);
            _clock.Compare();
        }

        Assert.False(_clock.IsUsable);
        Settle();
        Assert.False(_clock.TryRead(out _));
        Assert.True(_clock.Compare() >= _host.Monotonic);
    }

    [Fact]
    public void RealtimeOffset_FollowsSteps()
    {
        Settle();
        long before = _clock.RealtimeOffset;
        Assert.InRange(_host.Realtime - _host.Monotonic - before, -Accuracy, Accuracy);
        _host.Realtime += 3600 * 1000 * Millisecond;
        Pass(1000 * Millisecond);
        _clock.Compare();
        Assert.InRange(_clock.RealtimeOffset - before - (3600 * 1000 * Millisecond), -Accuracy, Accuracy);
    }

    [Fact]
    public void GuestClock_WithACounter_GoesOnFromOneSecond()
    {
        var clock = new GuestClock(_host);
        for (int i = 0; i < 50; i++)
        {
            Assert.InRange(clock.Monotonic - (1_000_000_000 + (i * Millisecond)), -Accuracy, Accuracy);
            Assert.InRange(clock.Realtime - _host.Realtime, -Accuracy, Accuracy);
            Pass(Millisecond);
        }
    }

    private void Settle()
    {
        for (int i = 0; i < 3; i++)
        {
            Pass(5 * Millisecond);
            _clock.Compare();
        }
    }

    private void Pass(long nanoseconds, int partsPerMillion = 0)
    {
        _host.Counter += (ulong)(nanoseconds * 5 / 2);
        long passed = nanoseconds + (nanoseconds * partsPerMillion / 1_000_000);
        _host.Monotonic += passed;
        _host.Realtime += passed;
    }

    private void AssertReads(long expected, long accuracy = Accuracy)
    {
        Assert.True(_clock.TryRead(out long read));
        Assert.InRange(read - expected, -accuracy, accuracy);
    }
}
