namespace Sentry.Kernel.Signals;

/// <summary>Signals that wait for delivery, to one task or to a process: a standard signal at most once, real-time ones in order.</summary>
[Savable("pending-signals")]
public sealed partial class PendingSignals : IAfterLoad
{
    [Saved(1)] private List<SignalInfo> _queue = [];
    [Saved(2)] private ulong _set;

    public PendingSignals()
    {
    }

    /// <summary>Bit n-1 is signal n.</summary>
    public ulong Set => _set;

    public int Count => _queue.Count;

    /// <summary>In the order in which they came.</summary>
    internal IReadOnlyList<SignalInfo> All => _queue;

    public bool Has(int signal) => Signal.Has(_set, signal);

    /// <summary>Queues a signal; false when it is a standard one that waits already.</summary>
    public bool Add(SignalInfo info)
    {
        if (info.Number < Signal.SIGRTMIN && Has(info.Number))
            return false;
        _queue.Add(info);
        _set |= Signal.Bit(info.Number);
        return true;
    }

    /// <summary>The signal among <paramref name="wanted"/> that is next: those that an instruction caused, then by number, then by age.</summary>
    public SignalInfo? Peek(ulong wanted)
    {
        int index = Find(wanted);
        return index < 0 ? null : _queue[index];
    }

    /// <summary>Takes what <see cref="Peek"/> shows.</summary>
    public SignalInfo? Take(ulong wanted)
    {
        int index = Find(wanted);
        if (index < 0)
            return null;
        SignalInfo info = _queue[index];
        _queue.RemoveAt(index);
        if (!_queue.Exists(other => other.Number == info.Number))
            _set &= ~Signal.Bit(info.Number);
        return info;
    }

    /// <summary>Forgets all signals of a set.</summary>
    public void Discard(ulong signals)
    {
        if ((_set & signals) == 0)
            return;
        _queue.RemoveAll(info => Signal.Has(signals, info.Number));
        _set &= ~signals;
    }

    public void AfterLoad(RestorePhase phase, IRestoreContext context)
    {
        if (phase != RestorePhase.Host)
            return;
        ulong set = 0;
        foreach (SignalInfo info in _queue)
        {
            if (!Signal.IsValid(info.Number) || info.Fields.Length > RtSigframe.SiginfoSize - 16)
                throw new InvalidImageException("the image holds a pending signal that does not exist");
            set |= Signal.Bit(info.Number);
        }

        _set = set;
    }

    private int Find(ulong wanted)
    {
        ulong ready = _set & wanted;
        if (ready == 0)
            return -1;
        if ((ready & Signal.Synchronous) != 0)
            ready &= Signal.Synchronous;
        int number = System.Numerics.BitOperations.TrailingZeroCount(ready) + 1;
        return _queue.FindIndex(info => info.Number == number);
    }
}
