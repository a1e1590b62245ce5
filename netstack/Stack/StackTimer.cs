namespace Netstack.Stack;

/// <summary>Does something when a <see cref="StackTimer"/> expires.</summary>
public interface IStackTimerTarget
{
    void OnTimer(StackTimer timer);
}

/// <summary>A one-shot timer on stack time. Not saved: its owner keeps the deadline and arms it again after loading.</summary>
public sealed class StackTimer(IStackTimerTarget target)
{
    internal int Index = -1;

    public IStackTimerTarget Target { get; } = target;

    /// <summary>Stack time, ns; meaningful while armed.</summary>
    public long Deadline { get; internal set; }

    public bool IsArmed => Index >= 0;
}

/// <summary>The armed timers, a binary heap by deadline.</summary>
public sealed class StackTimers
{
    private readonly List<StackTimer> _heap = [];

    /// <summary>The earliest deadline, ns; long.MaxValue when no timer is armed.</summary>
    public long NextDeadline => _heap.Count == 0 ? long.MaxValue : _heap[0].Deadline;

    public int Count => _heap.Count;

    /// <summary>Arms or re-arms.</summary>
    public void Arm(StackTimer timer, long deadline)
    {
        if (timer.Index >= 0)
        {
            long old = timer.Deadline;
            timer.Deadline = deadline;
            if (deadline < old)
                Up(timer.Index);
            else
                Down(timer.Index);
            return;
        }

        timer.Deadline = deadline;
        timer.Index = _heap.Count;
        _heap.Add(timer);
        Up(timer.Index);
    }

    public void Cancel(StackTimer timer)
    {
        if (timer.Index < 0)
            return;
        int index = timer.Index;
        StackTimer last = _heap[^1];
        _heap.RemoveAt(_heap.Count - 1);
        timer.Index = -1;
        if (ReferenceEquals(last, timer))
            return;
        _heap[index] = last;
        last.Index = index;
        Up(index);
        Down(last.Index);
    }

    /// <summary>Fires what has expired at <paramref name="now"/>.</summary>
    public void RunExpired(long now)
    {
        while (_heap.Count > 0 && _heap[0].Deadline <= now)
        {
            StackTimer timer = _heap[0];
            Cancel(timer);
            timer.Target.OnTimer(timer);
        }
    }

    private void Up(int i)
    {
        StackTimer timer = _heap[i];
        while (i > 0 && _heap[(i - 1) / 2].Deadline > timer.Deadline)
        {
            Place(_heap[(i - 1) / 2], i);
            i = (i - 1) / 2;
        }

        Place(timer, i);
    }

    private void Down(int i)
    {
        StackTimer timer = _heap[i];
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

    private void Place(StackTimer timer, int i)
    {
        _heap[i] = timer;
        timer.Index = i;
    }
}
