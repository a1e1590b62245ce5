namespace Sentry.Kernel.Limits;

/// <summary>RLIMIT_CPU of a process (getrlimit(2)): SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one. The host counts the time, so it
/// is looked at when the limit could be reached at the earliest, with all processors busy.</summary>
[Savable("cpu-limit")]
internal sealed partial class CpuLimit : ITimerTarget, IAfterLoad
{
    private const long Second = 1_000_000_000, ShortestPause = 4_000_000, LongestPause = Second;

    [Saved(1)] private ThreadGroup _group;
    [NotSaved("armed again in the activation phase")] private KernelTimer? _timer;
    [NotSaved("measured anew")] private long _seen = -1;
    [NotSaved("begins short again")] private long _pause = ShortestPause;

    internal CpuLimit(ThreadGroup group) => _group = group;

    /// <summary>The limit was set, or the process begins with it.</summary>
    internal void Follow()
    {
        _seen = -1;
        Look();
    }

    internal void Disarm()
    {
        if (_timer is not null)
            _group.Kernel.Timers.Cancel(_timer);
    }

    public void OnTimer(KernelTimer timer) => Look();

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase == RestorePhase.Activation && _group.WaitStatus is null)
            Arm(0, 0);
    }

    private void Look()
    {
        ResourceLimit limit = _group.Limits[ResourceLimits.Cpu];
        if (_group.WaitStatus is not null || (limit.Soft == ulong.MaxValue && limit.Hard == ulong.MaxValue))
        {
            Disarm();
            return;
        }

        long used = LimitSyscalls.CpuTime(_group);
        if (used >= Nanoseconds(limit.Hard))
        {
            SignalDelivery.SendToProcess(_group, SignalInfo.Kernel(Signal.SIGKILL));
            return;
        }

        if (used >= Nanoseconds(limit.Soft))
        {
            // Linux moves the soft limit along, so that the next signal comes a second later (check_process_timers).
            limit.Soft++;
            _group.Limits[ResourceLimits.Cpu] = limit;
            SignalDelivery.SendToProcess(_group, SignalInfo.Kernel(Signal.SIGXCPU));
        }

        Arm(used, Math.Min(Nanoseconds(limit.Soft), Nanoseconds(limit.Hard)) - used);
    }

    /// <summary>A process near its limit that sleeps is looked at less and less often.</summary>
    private void Arm(long used, long left)
    {
        _pause = used == _seen ? Math.Min(LongestPause, _pause * 2) : ShortestPause;
        _seen = used;
        int parallel = Math.Max(1, Math.Min(_group.Tasks.Count, _group.Kernel.CpuCount));
        _group.Kernel.Timers.Arm(_timer ??= new KernelTimer(this), _group.Kernel.Clock.Monotonic + Math.Clamp(left / parallel, _pause, 1000 * Second));
    }

    private static long Nanoseconds(ulong seconds) => seconds > (ulong)(long.MaxValue / Second) ? long.MaxValue : (long)seconds * Second;
}
