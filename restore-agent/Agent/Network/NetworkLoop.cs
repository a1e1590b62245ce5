using System.Collections.Concurrent;
using Sentry.Abi;
using Sentry.Host;

namespace RestoreAgent.Agent.Network;

/// <summary>
/// A thread that waits for descriptors and times and does everything about one network, so that nothing in there needs a lock. Others hand
/// it work with <see cref="Invoke{T}"/> or <see cref="Post"/>.
/// </summary>
public sealed class NetworkLoop : IDisposable
{
    public const uint Readable = 1, Writable = 4, Failed = 8, HungUp = 16, PeerClosed = 0x2000;

    private const int Add = 1, Delete = 2, Modify = 3, Monotonic = 1;
    private const long Millisecond = 1_000_000;

    private readonly int _epoll;
    private readonly int _wake;
    private readonly Thread _thread;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly Dictionary<int, Action<uint>> _watched = [];
    private readonly PriorityQueue<LoopTimer, long> _timers = new();
    private volatile bool _stopped;

    public NetworkLoop(string name, ILogger logger)
    {
        _logger = logger;
        _epoll = Need(HostEvents.CreateEpoll(), "an epoll");
        _wake = Need(HostEvents.CreateEvent(0, 0x800), "an eventfd");
        HostEvents.ControlEpoll(_epoll, Add, _wake, Readable, (ulong)_wake);
        _thread = new Thread(Run, 512 << 10) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Called after each round of events, before the loop waits again.</summary>
    public Action? AfterEvents { get; set; }

    /// <summary>When <see cref="AfterEvents"/> is wanted without an event; ns, long.MaxValue for never.</summary>
    public Func<long>? NextDeadline { get; set; }

    /// <summary>CLOCK_MONOTONIC, ns.</summary>
    public static long Now => HostEvents.GetTime(Monotonic);

    /// <summary>Waits for events of a descriptor from now on. On the loop's thread only, as are all below.</summary>
    public void Watch(int descriptor, uint events, Action<uint> handler)
    {
        _watched[descriptor] = handler;
        Errno error = HostEvents.ControlEpoll(_epoll, Add, descriptor, events, (ulong)descriptor);
        if (error != Errno.None)
            throw AgentException.Failed($"cannot wait for a descriptor: {error}");
    }

    public void Change(int descriptor, uint events) => HostEvents.ControlEpoll(_epoll, Modify, descriptor, events, (ulong)descriptor);

    /// <summary>Before the descriptor is closed.</summary>
    public void Forget(int descriptor)
    {
        if (_watched.Remove(descriptor))
            HostEvents.ControlEpoll(_epoll, Delete, descriptor, 0, 0);
    }

    /// <summary>Calls a function once at a time (ns) unless it is cancelled before.</summary>
    public LoopTimer At(long time, Action action)
    {
        LoopTimer timer = new(action);
        _timers.Enqueue(timer, time);
        return timer;
    }

    /// <summary>Has the thread do something soon. From any thread.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        HostEvents.Signal(_wake);
    }

    /// <summary>Has the thread do something and waits for it; an exception is the caller's.</summary>
    public T Invoke<T>(Func<T> function)
    {
        if (Thread.CurrentThread == _thread)
            return function();
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(() =>
        {
            try
            {
                done.SetResult(function());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        if (_stopped)
            done.TrySetException(AgentException.Failed("the network has been removed"));
        return done.Task.GetAwaiter().GetResult();
    }

    public void Invoke(Action action) => Invoke(() =>
    {
        action();
        return 0;
    });

    /// <summary>Ends the thread; descriptors that are still watched are their owners' to close.</summary>
    public void Dispose()
    {
        _stopped = true;
        HostEvents.Signal(_wake);
        if (Thread.CurrentThread != _thread)
            _thread.Join();
    }

    private static int Need(Result<int> made, string what) => made.IsOk ? made.Value : throw AgentException.Failed($"cannot make {what}: {made.Error}");

    private void Run()
    {
        EpollEvent[] events = new EpollEvent[64];
        while (!_stopped)
        {
            Result<int> count = HostEvents.WaitEpoll(_epoll, events, Timeout());
            for (int i = 0; count.IsOk && i < count.Value; i++)
            {
                int descriptor = (int)events[i].Data;
                if (descriptor == _wake)
                    RunPosted();
                else if (_watched.TryGetValue(descriptor, out Action<uint>? handler))
                    Guarded(() => handler(events[i].Events));
            }

            RunTimers();
            if (AfterEvents is { } after)
                Guarded(after);
        }

        RunPosted();
        HostFile.Close(_epoll);
        HostFile.Close(_wake);
    }

    private int Timeout()
    {
        long next = NextDeadline?.Invoke() ?? long.MaxValue;
        while (_timers.TryPeek(out LoopTimer? timer, out long time))
        {
            if (!timer.IsCancelled)
            {
                next = Math.Min(next, time);
                break;
            }

            _timers.Dequeue();
        }

        return next == long.MaxValue ? -1 : (int)Math.Clamp((next - Now + Millisecond - 1) / Millisecond, 0, int.MaxValue);
    }

    private void RunTimers()
    {
        long now = 0;
        while (_timers.TryPeek(out LoopTimer? timer, out long time))
        {
            if (!timer.IsCancelled && time > (now == 0 ? now = Now : now))
                return;
            _timers.Dequeue();
            if (!timer.IsCancelled)
                Guarded(timer.Action);
        }
    }

    private void RunPosted()
    {
        Span<byte> counter = stackalloc byte[8];
        HostFile.Read(_wake, counter);
        while (_posted.TryDequeue(out Action? action))
            Guarded(action);
    }

    // A bug met by one frame or connection must not end the network of all others.
    private void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            _logger.LogError(e, "in the network {Name}", _thread.Name);
        }
    }
}

/// <summary>Something to be done at a time.</summary>
public sealed class LoopTimer(Action action)
{
    public bool IsCancelled { get; private set; }

    internal Action Action => action;

    public void Cancel() => IsCancelled = true;
}
