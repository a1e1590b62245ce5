namespace Tests.Kernel.Events;

public sealed class WaitQueueTests
{
    private readonly WaitQueue _queue = new();
    private readonly List<string> _told = [];

    private sealed class Waiter(string name, List<string> told) : IExclusiveWaiter
    {
        /// <summary>Takes itself off when it is told.</summary>
        public bool Leaves { get; init; }

        public bool Accepts { get; init; } = true;

        public void OnWake(WaitQueue queue, PollEvents events)
        {
            told.Add(name);
            if (Leaves)
                queue.Remove(this);
        }

        public bool OnWakeExclusive(WaitQueue queue, PollEvents events)
        {
            OnWake(queue, events);
            return Accepts;
        }
    }

    private Waiter New(string name, bool leaves = false, bool accepts = true) => new(name, _told) { Leaves = leaves, Accepts = accepts };

    [Fact]
    public void Wake_TellsAllInTheirOrder_ThoughSomeLeaveMeanwhile()
    {
        Waiter stays = New("b");
        _queue.Add(New("a", leaves: true), PollEvents.In);
        _queue.Add(stays, PollEvents.In);
        _queue.Add(New("c", leaves: true), PollEvents.In);
        _queue.Add(New("d"), PollEvents.Out);
        _queue.Wake(PollEvents.In);
        _queue.Wake(PollEvents.In | PollEvents.Out);
        Assert.Equal(["a", "b", "c", "b", "d"], _told);
        _queue.Remove(stays);
        _queue.Wake(PollEvents.Err);
        Assert.Equal("d", _told[^1]);
    }

    [Fact]
    public void Remove_OfTheFirst_LetsTheNextTakeItsPlace()
    {
        Waiter[] waiters = [New("a"), New("b"), New("c")];
        foreach (Waiter waiter in waiters)
            _queue.Add(waiter, PollEvents.In);
        _queue.Remove(waiters[0]);
        _queue.Add(waiters[0], PollEvents.In);
        _queue.Wake();
        Assert.Equal(["b", "c", "a"], _told);
        foreach (Waiter waiter in waiters)
            _queue.Remove(waiter);
        Assert.True(_queue.IsEmpty);
    }

    [Fact]
    public void Remove_OfOneThatIsThereTwice_TakesBothAway()
    {
        Waiter twice = New("a");
        _queue.Add(twice, PollEvents.In);
        _queue.Add(New("b"), PollEvents.In);
        _queue.Add(twice, PollEvents.Out);
        _queue.Remove(twice);
        _queue.Wake();
        Assert.Equal(["b"], _told);
        _queue.Add(twice, PollEvents.In);
        _queue.Add(twice, PollEvents.In);
        _queue.Remove(twice);
        _queue.Wake();
        Assert.Equal(["b", "b"], _told);
    }

    [Fact]
    public void Wake_Exclusive_StopsAtTheFirstThatWasWoken()
    {
        _queue.AddExclusive(New("a", accepts: false), PollEvents.In);
        _queue.AddExclusive(New("b"), PollEvents.In);
        _queue.AddExclusive(New("c"), PollEvents.In);
        _queue.Add(New("d"), PollEvents.In);
        _queue.Wake(PollEvents.In);
        Assert.Equal(["a", "b", "d"], _told);
    }
}
