namespace Sentry.Kernel.Time;

/// <summary>A timer of setitimer(2).</summary>
[Savable("itimer")]
internal sealed partial class SignalTimer : IntervalTimer
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private int _signal;

    internal SignalTimer(ThreadGroup group, int signal)
        : base(group.Kernel)
    {
        _group = group;
        _signal = signal;
    }

    protected override void OnExpired(long count)
    {
        if (_group.WaitStatus is not null)
            Disarm();
        else
            SignalDelivery.SendToProcess(_group, SignalInfo.Kernel(_signal));
    }
}

/// <summary>How a POSIX timer tells (sigevent(3type)).</summary>
internal static class TimerNotify
{
    internal const int SendSignal = 0, None = 1, Thread = 2, ThreadId = 4;
}

/// <summary>A timer of timer_create(2).</summary>
[Savable("posix-timer")]
internal sealed partial class PosixTimer : IntervalTimer
{
    [Saved(1)] private ThreadGroup _group;
    [Saved(2)] private int _id;
    [Saved(3)] private int _clock;
    [Saved(4)] private int _notify;
    [Saved(5)] private int _signal;
    [Saved(6)] private ulong _value;
    [Saved(7)] private Task? _target;
    [Saved(8)] private int _overrun;

    internal PosixTimer(ThreadGroup group, int id, int clock, int notify, int signal, ulong value, Task? target)
        : base(group.Kernel)
    {
        _group = group;
        _id = id;
        _clock = clock;
        _notify = notify;
        _signal = signal;
        _value = value;
        _target = target;
    }

    /// <summary>ClockId.*.</summary>
    internal int Clock => _clock;

    /// <summary>Expirations since its last signal was raised that raised none.</summary>
    internal int Overrun => _overrun;

    protected override void OnExpired(long count)
    {
        if (_group.WaitStatus is not null)
        {
            Disarm();
            return;
        }

        if (_notify == TimerNotify.None)
            return;
        PendingSignals pending = _target is { } thread ? thread.Signals.Pending : _group.Pending;
        if (pending.Has(_signal))
        {
            // One signal per timer waits at a time; the rest are overruns (timer_getoverrun(2)).
            _overrun = (int)Math.Min(int.MaxValue, _overrun + count);
            return;
        }

        _overrun = (int)Math.Min(int.MaxValue, count - 1);
        SignalInfo info = SignalInfo.Timer(_signal, _id, _overrun, _value);
        if (_target is { } target)
            SignalDelivery.SendToTask(target, info);
        else
            SignalDelivery.SendToProcess(_group, info);
    }
}

/// <summary>The timers of a process: three of setitimer(2) and those of timer_create(2). Not inherited by fork.</summary>
[Savable("process-timers")]
public sealed partial class ProcessTimers
{
    [Saved(1)] private SignalTimer[] _interval;
    [Saved(2)] private SortedDictionary<int, PosixTimer> _posix = [];
    [Saved(3)] private int _nextId;

    internal ProcessTimers(ThreadGroup group) =>
        _interval = [new SignalTimer(group, Signal.SIGALRM), new SignalTimer(group, Signal.SIGVTALRM), new SignalTimer(group, Signal.SIGPROF)];

    /// <summary>ITIMER_REAL 0, ITIMER_VIRTUAL 1, ITIMER_PROF 2.</summary>
    internal IntervalTimer Interval(int which) => _interval[which];

    internal PosixTimer? Find(int id) => _posix.GetValueOrDefault(id);

    internal int NewId() => _nextId++;

    internal void Add(int id, PosixTimer timer) => _posix.Add(id, timer);

    /// <summary>timer_delete(2); false when there is none.</summary>
    internal bool Delete(int id)
    {
        if (!_posix.Remove(id, out PosixTimer? timer))
            return false;
        timer.Disarm();
        return true;
    }

    /// <summary>execve(2) deletes them.</summary>
    public void DeletePosixTimers()
    {
        foreach (PosixTimer timer in _posix.Values)
            timer.Disarm();
        _posix.Clear();
    }

    /// <summary>The process has ended.</summary>
    public void Disarm()
    {
        DeletePosixTimers();
        foreach (SignalTimer timer in _interval)
            timer.Disarm();
    }
}
