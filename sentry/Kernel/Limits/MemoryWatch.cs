namespace Sentry.Kernel.Limits;

/// <summary>Looks at what memory a sandbox with a limit uses, more often the nearer it is, and kills a process when it is too much. Guests touch their memory
/// without asking anybody, so what is used can only be looked at.</summary>
internal sealed class MemoryWatch : ITimerTarget
{
    private const long Millisecond = 1_000_000;

    private readonly GuestKernel _kernel;
    private readonly KernelTimer _timer;
    private ThreadGroup? _victim;
    private long _accepted;

    internal MemoryWatch(GuestKernel kernel)
    {
        _kernel = kernel;
        _timer = new KernelTimer(this);
    }

    /// <summary>Begins, goes on or ends, as the limit says.</summary>
    internal void Follow()
    {
        _kernel.Timers.Cancel(_timer);
        if (_kernel.Limits.Memory > 0)
            _kernel.Timers.Arm(_timer, _kernel.Clock.Monotonic + Millisecond);
    }

    public void OnTimer(KernelTimer timer)
    {
        long limit = _kernel.Limits.Memory;
        if (limit <= 0)
            return;
        long began = _kernel.Clock.Monotonic;
        long used = MemoryUse.Measure(_kernel).Total;
        if (_victim is not { WaitStatus: null } && used > limit)
            used = Relieve(limit);

        // Not more than a twentieth of the time goes into looking.
        long pause = used > limit / 10 * 9 ? 2 : used > limit / 2 ? 10 : 50;
        _kernel.Timers.Arm(_timer, _kernel.Clock.Monotonic + Math.Max(pause * Millisecond, (_kernel.Clock.Monotonic - began) * 20));
    }

    private long Relieve(long limit)
    {
        // The cheap figure counts pages that forked processes share once for each.
        long used = MemoryUse.Measure(_kernel, shares: true).Total;

        // What stays when a victim has gone is in files: killing all others would not make it less. Only growth is answered again.
        bool hasKilled = _victim is not null;
        _victim = null;
        if (used <= limit)
            _accepted = 0;
        else if (hasKilled)
            _accepted = used;
        if (used <= limit || used <= _accepted + (limit / 64))
            return used;
        if (FindVictim(limit) is not { } victim)
            return used;
        _victim = victim;
        _kernel.Limits.Kills++;
        _kernel.Host.Log($"out of memory: {used >> 20} MiB are used of {limit >> 20} MiB; killed process {victim.Pid} ({victim.Tasks.FirstOrDefault()?.Name})");
        SignalDelivery.SendToProcess(victim, SignalInfo.Kernel(Signal.SIGKILL));
        return used;
    }

    /// <summary>The process with most memory, moved by /proc/PID/oom_score_adj as in Linux (oom_badness): a thousandth of the limit a point, -1000 never.</summary>
    private ThreadGroup? FindVictim(long limit)
    {
        const int never = -1000;
        ThreadGroup? victim = null;
        long worst = long.MinValue;
        foreach (ThreadGroup process in _kernel.Processes.Values)
        {
            if (process.OomScoreAdjustment <= never || process.Tasks.FirstOrDefault() is not { } task)
                continue;
            long badness = task.Memory.Space.ResidentBytes + (process.OomScoreAdjustment * (limit / 1000));
            if (badness > worst)
                (victim, worst) = (process, badness);
        }

        return victim;
    }
}
