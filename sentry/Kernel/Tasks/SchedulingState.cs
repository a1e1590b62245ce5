namespace Sentry.Kernel.Tasks;

/// <summary>What sched(7) calls have set for one task. The host's scheduler decides alone; this is kept so that guests read back what they set.</summary>
[Savable("scheduling-state")]
public sealed partial class SchedulingState
{
    /// <summary>Policies of sched(7).</summary>
    public const int Other = 0, Fifo = 1, RoundRobin = 2, Batch = 3, Idle = 5, Deadline = 6;

    /// <summary>50 µs, what Linux starts with.</summary>
    public const ulong DefaultTimerSlack = 50_000;

    [Saved(1)] public int Policy;

    /// <summary>1 to 99 of a real-time policy, else 0.</summary>
    [Saved(2)] public int Priority;

    /// <summary>-20 to 19.</summary>
    [Saved(3)] public int Nice;

    [Saved(4)] public bool ResetOnFork;

    /// <summary>Bit n is CPU n; 0 for all.</summary>
    [Saved(5)] public ulong Affinity;

    /// <summary>ioprio_set(2): class in the upper 3 bits of 16.</summary>
    [Saved(6)] public int IoPriority;

    /// <summary>prctl(PR_SET_TIMERSLACK), ns.</summary>
    [Saved(7)] public ulong TimerSlack = DefaultTimerSlack;

    /// <summary>What PR_SET_TIMERSLACK with 0 goes back to: what the creator had.</summary>
    [Saved(8)] public ulong InheritedTimerSlack = DefaultTimerSlack;

    /// <summary>Of SCHED_DEADLINE (sched_setattr(2)), ns.</summary>
    [Saved(9)] public ulong Runtime;
    [Saved(10)] public ulong RelativeDeadline;
    [Saved(11)] public ulong Period;

    public SchedulingState()
    {
    }

    /// <summary>What a new thread or process starts with.</summary>
    public SchedulingState ForChild()
    {
        bool reset = ResetOnFork;
        return new SchedulingState
        {
            Policy = (reset && Policy is Fifo or RoundRobin) || Policy == Deadline ? Other : Policy,
            Priority = reset ? 0 : Priority,
            Nice = reset && Nice < 0 ? 0 : Nice,
            Affinity = Affinity,
            IoPriority = IoPriority,
            TimerSlack = TimerSlack,
            InheritedTimerSlack = TimerSlack,
        };
    }
}
